//! One log split many times by chance, as text.

use eliverec_ab::metrics::title;
use eliverec_ab::splits::Splits;
use eliverec_metrics::table::Format;

use crate::comparison_text::{percent, section};
use crate::text::grid;

/// What was found where nothing is, and what was planted.
pub fn text(found: &Splits, format: Format) -> String {
    let (least, most) = found.expected;
    let of = |count: u64| format!("{count} of {}", found.splits);
    let rows = found.found.iter().map(|of_metric| {
        let is_in = (least..=most).contains(&of_metric.planned);
        vec![
            title(&of_metric.metric).into(),
            of(of_metric.planned),
            if is_in { "yes".into() } else { "no".into() },
            of(of_metric.always),
        ]
    });
    let head = ["metric", "if planned", "as said", "at any time"];
    let mut text = String::new();
    let note = format!(
        "Splits in which a difference was found that is not there, at a level of 5 %. As said: from {least} to {most} with a probability of 95 %, of each metric by itself. At any time: at the end of any day; at most 5 % are to be expected.\nAny metric after the correction for all of them: {}. Refused for their sample ratio, of which one in a thousand is expected: {}.",
        of(found.corrected),
        of(found.refused)
    );
    let body = format!("{}\n{note}", grid(&head, rows.collect(), format));
    section(&mut text, "Nothing planted", &body, format);
    let (least, most) = found.effect_expected;
    let rows = vec![
        vec![
            format!("CTR {}", percent(found.effect)),
            of(found.effect_found),
            format!("{:.1} %", 100.0 * found.power),
            format!("{least} to {most}"),
        ],
        vec![
            format!("answers of {:.0} % of a bucket's users lost", 100.0 * found.lost),
            of(found.lost_refused),
            "-".into(),
            "-".into(),
        ],
    ];
    let head = ["planted", "found or refused", "power predicted", "splits expected"];
    let note = "The power is predicted from the standard errors without the effect. Splits expected: where their number lies with a probability of 95 % then.";
    let body = format!("{}\n{note}", grid(&head, rows, format));
    section(&mut text, "Planted", &body, format);
    text.trim_start().to_owned()
}
