//! `eliverec explain`: what the model saw and did for one request, as tables or as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use eliverec_tables::FeedDirectory;
use eliverec_train::explain::{Candidate, Event, Explanation, explain};

use super::{plain_table, print, print_json};

/// Show what the model saw and did for one request
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The table shows, for one candidate, the weight of every event of both histories: p_c is the share of the consistent
intent in the event (Eq. 5, mean over its elements), the attention columns sum to 1 over the events (Eq. 7). --json has all
candidates. --tensors writes every intermediate (trace/NAME), all parameters (parameter/NAME) and the rows used
(rows/VOCABULARY).

Examples:
  eliverec explain --run work/run --feeds work/ebnerd --request 1234
  eliverec explain --run work/run --feeds work/ebnerd --request 1234 --tensors request.safetensors --json")]
pub(crate) struct Arguments {
    /// Run directory
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// Feed directory with the run's schema
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// request_id of the feed
    #[arg(long, value_name = "ID")]
    request: u64,
    /// Candidate whose attention the table shows, from 0; the likeliest if omitted
    #[arg(long, value_name = "N")]
    candidate: Option<usize>,
    /// Write every intermediate and the weights there
    #[arg(long, value_name = "FILE.safetensors")]
    tensors: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let feeds = FeedDirectory::open(&arguments.feeds)?;
    let tensors = arguments.tensors.as_deref();
    let explanation = explain(&arguments.run, &feeds, arguments.request, tensors)?;
    if arguments.json {
        print_json(&explanation)?;
        return Ok(crate::OK);
    }
    let likeliest = || {
        let all = explanation.candidates.iter().enumerate();
        all.max_by(|a, b| a.1.probability.total_cmp(&b.1.probability)).map_or(0, |(i, _)| i)
    };
    let chosen = arguments.candidate.unwrap_or_else(likeliest);
    let count = explanation.candidates.len();
    if chosen >= count {
        return Err(eliverec_train::Error::Run {
            path: arguments.feeds.clone(),
            reason: format!("request {} has candidates 0 to {}", arguments.request, count - 1),
        }
        .into());
    }
    print(&tables(&explanation, chosen))?;
    Ok(crate::OK)
}

fn tables(explanation: &Explanation, chosen: usize) -> String {
    let Explanation { request_id, user_id, split, model, checkpoint, .. } = explanation;
    let mut text = format!(
        "request {request_id} of user {user_id} ({split} split), {model}, {checkpoint}\n\nCandidates\n"
    );
    text += &candidates(&explanation.candidates);
    for (domain, events) in &explanation.histories {
        let _ =
            write!(text, "\n\nHistory {domain}, oldest first; attention of candidate {chosen}\n");
        let attention = explanation.candidates[chosen].attention.get(domain);
        text += &history(events, attention.unwrap_or(&BTreeMap::new()));
    }
    text
}

fn candidates(candidates: &[Candidate]) -> String {
    let mut table = plain_table();
    table.set_header(["", "fields", "probability", "watched"]);
    for (i, candidate) in candidates.iter().enumerate() {
        let probability = format!("{:.4}", candidate.probability);
        let watched = if candidate.watched { "yes" } else { "" };
        table.add_row([i.to_string(), fields(&candidate.fields), probability, watched.into()]);
    }
    table.trim_fmt()
}

fn history(events: &[Event], attention: &BTreeMap<String, Vec<f32>>) -> String {
    let mut table = plain_table();
    let has_intent = events.iter().any(|event| event.intent.is_some());
    let mut header = vec!["", "fields", "age"];
    header.extend(has_intent.then_some("p_c"));
    header.extend(attention.keys().map(String::as_str));
    table.set_header(header);
    for (i, event) in events.iter().enumerate() {
        let mut row = vec![i.to_string(), fields(&event.fields), age(event.age_s)];
        row.extend(event.intent.map(|p| format!("{p:.3}")));
        row.extend(attention.values().map(|weights| format!("{:.3}", weights[i])));
        table.add_row(row);
    }
    table.trim_fmt()
}

fn fields(fields: &BTreeMap<String, String>) -> String {
    fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn age(seconds: f32) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 3_600.0 => format!("{:.0} min", s / 60.0),
        s if s < 86_400.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}
