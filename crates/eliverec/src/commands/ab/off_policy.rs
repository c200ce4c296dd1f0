//! `eliverec ab off-policy`: the click-through rate of a policy, estimated from the rows that another one logged.

use std::path::{Path, PathBuf};

use eliverec_ab::off_policy::{Figure, Logged, OffPolicy, Policy};
use eliverec_metrics::table::Format;
use eliverec_report::comparison_text;
use eliverec_tables::check::{Checked, Read};
use eliverec_tables::import::read_bandit;
use serde_json::json;

use crate::commands::reading;

/// Estimate a policy's click-through rate from another policy's log with propensities
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads folders of the Open Bandit Dataset, POLICY/CAMPAIGN with CAMPAIGN.csv.gz. What the target shows is known by its own log, and its
clicks there are what the estimates are compared with. docs/ab-report.md says what is assumed.

Example:
  eliverec ab off-policy --logged open-bandit-sample/random/men --target open-bandit-sample/bts/men")]
pub(super) struct Arguments {
    /// Rows of the logging policy
    #[arg(long, value_name = "DIR")]
    logged: PathBuf,
    /// Rows of the policy that is estimated
    #[arg(long, value_name = "DIR")]
    target: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let (logged, read_logged) = rows(&arguments.logged)?;
    let (own, read_own) = rows(&arguments.target)?;
    let policy = Policy::of(&own);
    let on_policy = Figure::on_policy(&own);
    let found = OffPolicy::estimate(&logged, &policy)?;
    let checked = |read| Checked { read, ..Checked::default() };
    let read = checked(read_logged).and(checked(read_own));
    let result = json!({
        "estimates": found,
        "on_policy": on_policy,
        "sound": found.is_sound(),
        "agrees": {
            "inverse_propensity": found.inverse_propensity.agrees(&on_policy),
            "self_normalised": found.self_normalised.agrees(&on_policy),
            "direct": found.direct.agrees(&on_policy),
            "doubly_robust": found.doubly_robust.agrees(&on_policy),
        },
        "target_probabilities": if policy.is_logged { "logged" } else { "frequencies" },
    });
    reading::end(arguments.json, &read, &result, || {
        let known = if policy.is_logged {
            "the probabilities that it logged"
        } else {
            "how often it showed what, for the probabilities that it logged change"
        };
        let table = comparison_text::off_policy(&found, &on_policy, Format::Text);
        Ok(format!("{table}\nThe target is known by {known}."))
    })?;
    Ok(crate::OK)
}

fn rows(folder: &Path) -> anyhow::Result<(Vec<Logged>, Read)> {
    let (rows, read) = read_bandit(folder)?;
    let logged = rows.into_iter().map(|row| Logged {
        position: row.position,
        action: row.item_id,
        reward: f64::from(u8::from(row.click)),
        propensity: row.propensity,
    });
    Ok((logged.collect(), read))
}
