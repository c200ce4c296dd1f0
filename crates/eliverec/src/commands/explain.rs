//! `eliverec explain`: what the model saw and did for one request, as tables or as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use eliverec_core::error::printable;
use eliverec_run::RunDirectory;
use eliverec_run::checkpoint::read_commit;
use eliverec_run::explained::{Candidate, Event};
use eliverec_tables::check::promises;
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::explain::{Explanation, TensorFile, explain};

use super::{plain_table, reading, tell_unchecked, unchecked};

/// Show what the model saw and did for one request
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The table shows, for one candidate, the weight of every event of both histories: p_c is the share of
the consistent intent in the event (Eq. 5, mean over its elements), the attention columns sum to 1
over the events (Eq. 7). --json has all candidates.

--tensors writes all that the scores were computed from and by: ids and their rows (ids/TABLE,
rows/TABLE), which rows the fields name (places/GROUP.FIELD), dense values (numbers/GROUP.FIELD),
parameters (parameter/NAME) and every intermediate (trace/NAME), with config.toml and schema.toml in
the header; reference/recompute.py computes the logits again from that file alone. --regularisers adds
the model's terms of the loss (term/NAME) over the batch of the split that holds the request.

Examples:
  eliverec explain --run work/run --feeds work/ebnerd --request 1234
  eliverec explain --run work/run --feeds work/ebnerd --request 1234 --top 5 --events 10 --fields channel_id,stay
  eliverec explain --run work/run --feeds work/ebnerd --request 1234 --tensors request.safetensors --json
  eliverec explain --run work/run --feeds work/ebnerd --request 1234 --tensors request.safetensors --regularisers")]
pub(crate) struct Arguments {
    /// Run directory
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// Feed directory with the run's schema
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// request_id of the feed, as the feeds have it: a number, which may be negative, or text
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    request: String,
    /// Candidate whose attention the table shows, from 0; the likeliest if omitted
    #[arg(long, value_name = "N")]
    candidate: Option<usize>,
    /// Rows of the candidates' table, likeliest first; all in the order of the feed if omitted
    #[arg(long, value_name = "K")]
    top: Option<usize>,
    /// Newest events of each history that its table shows; all if omitted
    #[arg(long, value_name = "N")]
    events: Option<usize>,
    /// Fields that the tables show, separated by commas; all if omitted
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    fields: Vec<String>,
    /// Write every intermediate and the weights there
    #[arg(long, value_name = "FILE.safetensors")]
    tensors: Option<PathBuf>,
    /// Add the model's own terms of the loss over the batch that holds the request in evaluation
    #[arg(long, requires = "tensors")]
    regularisers: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let feeds = FeedDirectory::open(&arguments.feeds)?;
    let regularisers = arguments.regularisers;
    let tensors = arguments.tensors.as_deref().map(|path| TensorFile { path, regularisers });
    let explanation =
        explain(&arguments.run, &feeds, &arguments.request, tensors, |explanation| {
            arguments.check_fields(explanation)?;
            arguments.check_candidate(explanation)
        })?;
    let mut checked = promises(&feeds, &Split::ALL, &[])?;
    if let Some(commit) = read_commit(&RunDirectory::at(&arguments.run))? {
        tell_unchecked(&arguments.run, &commit);
        checked = checked.and(unchecked(&arguments.run, &commit));
    }
    let likeliest = || {
        let all = explanation.explained.candidates.iter().enumerate();
        all.max_by(|a, b| a.1.probability.total_cmp(&b.1.probability)).map_or(0, |(i, _)| i)
    };
    let chosen = arguments.candidate.unwrap_or_else(likeliest);
    reading::end(arguments.json, &checked, &explanation, || {
        Ok(arguments.tables(&explanation, chosen))
    })?;
    Ok(crate::OK)
}

impl Arguments {
    /// Refuses fields that no table has.
    fn check_fields(&self, explanation: &Explanation) -> Result<(), eliverec_run::Error> {
        let events = explanation.explained.histories.values().flatten().map(|event| &event.fields);
        let rows = explanation
            .explained
            .candidates
            .iter()
            .map(|candidate| &candidate.fields)
            .chain(events);
        let known: BTreeSet<&String> = rows.flat_map(BTreeMap::keys).collect();
        let Some(unknown) = self.fields.iter().find(|name| !known.contains(name)) else {
            return Ok(());
        };
        let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
        let reason = format!("no table has the field {unknown}; there are {}", known.join(", "));
        Err(eliverec_run::Error::Config { place: "--fields".into(), reason })
    }

    /// Refuses a candidate that the request has not.
    fn check_candidate(&self, explanation: &Explanation) -> Result<(), eliverec_run::Error> {
        let count = explanation.explained.candidates.len();
        if self.candidate.is_none_or(|chosen| chosen < count) {
            return Ok(());
        }
        let reason = format!("request {} has candidates 0 to {}", self.request, count - 1);
        Err(eliverec_run::Error::Run { path: self.feeds.clone(), reason })
    }

    fn tables(&self, explanation: &Explanation, chosen: usize) -> String {
        let Explanation { request_id, user_id, split, model, checkpoint, .. } = explanation;
        let mut text = format!(
            "request {request_id} of user {user_id} ({split} split), {model}, {checkpoint}\n\nCandidates\n"
        );
        text += &self.candidates(&explanation.explained.candidates);
        for (domain, events) in &explanation.explained.histories {
            let _ = write!(
                text,
                "\n\nHistory {domain}, oldest first; attention of candidate {chosen}\n"
            );
            let attention = explanation.explained.candidates[chosen].attention.get(domain);
            text += &self.history(events, attention.unwrap_or(&BTreeMap::new()));
        }
        text
    }

    fn candidates(&self, candidates: &[Candidate]) -> String {
        let mut ranked: Vec<(usize, &Candidate)> = candidates.iter().enumerate().collect();
        if let Some(top) = self.top {
            ranked.sort_by(|a, b| b.1.probability.total_cmp(&a.1.probability));
            ranked.truncate(top);
        }
        let shown = self.shown(ranked.iter().map(|(_, candidate)| &candidate.fields));
        let mut table = plain_table();
        table.set_header([&[""], &*shown, &["probability", "watched"]].concat());
        for (i, candidate) in ranked {
            let mut row = vec![i.to_string()];
            row.extend(shown.iter().map(|name| value(&candidate.fields, name)));
            row.push(format!("{:.4}", candidate.probability));
            let watched = candidate.watched.map(|is_so| if is_so { "yes" } else { "no" });
            row.push(watched.unwrap_or_default().into());
            table.add_row(row);
        }
        table.trim_fmt()
    }

    fn history(&self, events: &[Event], attention: &BTreeMap<String, Vec<f32>>) -> String {
        let skipped = events.len().saturating_sub(self.events.unwrap_or(usize::MAX));
        let has_intent = events.iter().any(|event| event.intent.is_some());
        let shown = self.shown(events.iter().map(|event| &event.fields));
        let mut header = [&[""], &*shown, &["age"]].concat();
        header.extend(has_intent.then_some("p_c"));
        header.extend(attention.keys().map(String::as_str));
        let mut table = plain_table();
        table.set_header(header);
        for (i, event) in events.iter().enumerate().skip(skipped) {
            let mut row = vec![i.to_string()];
            row.extend(shown.iter().map(|name| value(&event.fields, name)));
            row.push(age(event.age_s));
            row.extend(event.intent.map(|p| format!("{p:.3}")));
            row.extend(attention.values().map(|weights| format!("{:.3}", weights[i])));
            table.add_row(row);
        }
        table.trim_fmt()
    }

    /// The names among `rows` that are asked for, a column each: in the order of --fields, or all by name.
    fn shown<'a>(
        &'a self,
        rows: impl Iterator<Item = &'a BTreeMap<String, String>>,
    ) -> Vec<&'a str> {
        let names: BTreeSet<&str> = rows.flat_map(|row| row.keys().map(String::as_str)).collect();
        if self.fields.is_empty() {
            return names.into_iter().collect();
        }
        self.fields.iter().map(String::as_str).filter(|name| names.contains(name)).collect()
    }
}

fn value(fields: &BTreeMap<String, String>, name: &str) -> String {
    // Ids may be any text; a line of the table stays one.
    fields.get(name).map(|value| printable(value).replace('\n', "\\n")).unwrap_or_default()
}

fn age(seconds: f32) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 3_600.0 => format!("{:.0} min", s / 60.0),
        s if s < 86_400.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}
