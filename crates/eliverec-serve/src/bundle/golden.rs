//! `golden.safetensors`: requests with the scores that they got when the bundle was made. Who opens the bundle scores them again:
//! damaged weights, another reading of the files and a machine that computes otherwise show before any user sees them.
//!
//! | tensors | content |
//! | --- | --- |
//! | `request_id`, `user_id`, `ts_ms` | of each feed `[b]` |
//! | `products.events`, `channels.events`, `candidates` | how many each feed has `[b]` |
//! | `products.age_s`, `channels.age_s` | of each event |
//! | `position` | of each candidate `[n]`; the largest number where it is unknown |
//! | `GROUP.FIELD` | a column of the schema over the entities of its group |
//! | `score.NAME` | what a candidate must get `[n]`, under the name that score files have for it |

use eliverec_core::batch::BatchBuilder;
use eliverec_core::columns::{Histories, Parts};
use eliverec_core::normalize::{Moments, Running};
use eliverec_core::offsets::Offsets;
use eliverec_core::schema::Group;
use eliverec_core::task::{P_WATCH, Task};
use eliverec_core::{Batch, FeedColumns, Schema};
use eliverec_models::fast::Wanted;
use eliverec_run::{Prepared, Scores};

use super::columns::{ColumnReader, ColumnWriter};
use super::model::ServedModel;
use crate::candidate_scorer::{CandidateScorer, Path};

/// By how much a score may differ, in units of 1 or of its own magnitude if that is larger. On the machine that exported, nothing
/// differs; sums in another order, as another processor's registers ask for, stay far below this.
pub const TOLERANCE: f32 = 1e-5;

/// Requests with the scores that they must get.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// The requests, without labels.
    pub feeds: FeedColumns,
    /// By output, p(watch) first: its name and its value for every candidate `[n]`.
    pub scores: Vec<(String, Vec<f32>)>,
}

impl Golden {
    /// Scores `feeds` one by one, as requests come.
    ///
    /// # Errors
    /// A score that is no number, told by its request.
    pub fn of(model: &ServedModel, feeds: FeedColumns) -> Result<Self, String> {
        let scores = score(model, &feeds);
        let owners = feeds.parts().candidates.owners();
        for (name, values) in &scores {
            if let Some(i) = values.iter().position(|value| !value.is_finite()) {
                let request = feeds.parts().request_ids[owners[i] as usize];
                return Err(format!("gives {name} = {} for request {request}", values[i]));
            }
        }
        Ok(Self { feeds, scores })
    }

    /// Scores the requests again, by the model's own forward and by the path that requests go, if that is another; otherwise the first
    /// score that is further from what it must be than `tolerance`.
    ///
    /// # Errors
    /// The request, its candidate, both scores.
    pub fn check(&self, model: &ServedModel, tolerance: f32) -> Result<(), String> {
        let scoring = model.scoring();
        self.compare(&score(model, &self.feeds), tolerance)?;
        let served = CandidateScorer::new(&scoring, 0);
        if served.path() != Path::Fast {
            return Ok(());
        }
        let by_request = |batch| served.score(&scoring, batch, Wanted::All, |_| ());
        let found = score_by(model, &self.feeds, by_request);
        let by_path = |reason| format!("on the path that requests go, {reason}");
        self.compare(&found, tolerance).map_err(by_path)
    }

    fn compare(&self, found: &[(String, Vec<f32>)], tolerance: f32) -> Result<(), String> {
        if found.len() != self.scores.len() {
            let reason =
                format!("has {} outputs, the model has {}", self.scores.len(), found.len());
            return Err(reason);
        }
        for ((name, expected), (_, found)) in self.scores.iter().zip(found) {
            let fits = |(e, f): (&f32, &f32)| (e - f).abs() <= tolerance * e.abs().max(1.0);
            if let Some(i) = expected.iter().zip(found).position(|pair| !fits(pair)) {
                let parts = self.feeds.parts();
                let (feed, place) = parts.candidates.locate(i);
                return Err(format!(
                    "request {} must get {name} = {} for candidate {place} and gets {}, further apart than {tolerance}",
                    parts.request_ids[feed], expected[i], found[i]
                ));
            }
        }
        Ok(())
    }

    /// Mean and spread of each output over the candidates of the requests, in the order of the outputs.
    pub fn moments(&self) -> Vec<Moments> {
        let of = |(_, values): &(String, Vec<f32>)| {
            let mut running = Running::default();
            values.iter().for_each(|value| running.add(f64::from(*value)));
            running.moments()
        };
        self.scores.iter().map(of).collect()
    }

    /// The content of the file.
    pub(crate) fn to_bytes(&self, schema: &Schema) -> std::io::Result<Vec<u8>> {
        let (parts, mut columns) = (self.feeds.parts(), ColumnWriter::default());
        columns.numbers("request_id", &parts.request_ids);
        columns.numbers("user_id", &parts.user_ids);
        columns.numbers("ts_ms", &parts.ts_ms);
        for (name, histories) in [("products", &parts.products), ("channels", &parts.channels)] {
            columns.numbers(&format!("{name}.events"), &lengths(&histories.offsets));
            columns.numbers(&format!("{name}.age_s"), &histories.age_s);
        }
        columns.numbers("candidates", &lengths(&parts.candidates));
        let positions = parts.position.iter().map(|position| position.map_or(u32::MAX, u32::from));
        columns.numbers("position", &positions.collect::<Vec<_>>());
        for group in Group::ALL {
            for (field, column) in schema.fields(group).iter().zip(parts.columns(group)) {
                columns.column(&format!("{}.{}", group.name(), field.name), column);
            }
        }
        for (name, values) in &self.scores {
            columns.numbers(&format!("score.{name}"), values);
        }
        columns.to_bytes()
    }

    /// From the content of the file; otherwise what is wrong.
    pub(crate) fn from_bytes(schema: &Schema, heads: bool, bytes: &[u8]) -> Result<Self, String> {
        let reader = ColumnReader::new(bytes)?;
        let histories = |name: &str| -> Result<Histories, String> {
            let offsets = offsets(&reader, &format!("{name}.events"))?;
            Ok(Histories { offsets, age_s: reader.numbers(&format!("{name}.age_s"))? })
        };
        let mut groups = Group::ALL.map(|_| Vec::new());
        for group in Group::ALL {
            for field in schema.fields(group) {
                let name = format!("{}.{}", group.name(), field.name);
                groups[group as usize].push(reader.column(&name, &field.kind)?);
            }
        }
        let position: Vec<u32> = reader.numbers("position")?;
        let parts = Parts {
            request_ids: reader.numbers("request_id")?,
            user_ids: reader.numbers("user_id")?,
            ts_ms: reader.numbers("ts_ms")?,
            groups,
            products: histories("products")?,
            channels: histories("channels")?,
            candidates: offsets(&reader, "candidates")?,
            position: position.into_iter().map(|position| u16::try_from(position).ok()).collect(),
            labels: None,
        };
        let feeds = parts.request_ids.len();
        if feeds == 0 || parts.user_ids.len() != feeds || parts.ts_ms.len() != feeds {
            return Err("has no requests, or not one user and moment for each".into());
        }
        let candidates = parts.candidates.total();
        let feeds = FeedColumns::new(schema, parts)
            .map_err(|breach| eliverec_core::Error::from(breach).to_string())?;
        let outputs = output_names(schema, heads).into_iter().map(|name| {
            let values: Vec<f32> = reader.numbers(&format!("score.{name}"))?;
            if values.len() != candidates {
                return Err(format!("has {} of {name} for {candidates} candidates", values.len()));
            }
            Ok((name, values))
        });
        Ok(Self { scores: outputs.collect::<Result<_, String>>()?, feeds })
    }
}

/// p(watch), then the tasks of a model that has heads for them.
fn output_names(schema: &Schema, heads: bool) -> Vec<String> {
    let tasks = schema.task.iter().filter(|_| heads).map(Task::score_column);
    std::iter::once(P_WATCH.to_owned()).chain(tasks).collect()
}

/// By the model's own forward.
fn score(model: &ServedModel, feeds: &FeedColumns) -> Vec<(String, Vec<f32>)> {
    let scoring = model.scoring();
    score_by(model, feeds, |batch| scoring.score(&Prepared::of(&model.schema, batch)))
}

fn score_by(
    model: &ServedModel,
    feeds: &FeedColumns,
    by_request: impl Fn(Batch) -> Scores,
) -> Vec<(String, Vec<f32>)> {
    let schema = &model.schema;
    let lengths = model.config.settings().lengths();
    let names = output_names(schema, model.has_tasks());
    let mut outputs: Vec<_> = names.into_iter().map(|name| (name, Vec::new())).collect();
    for feed in 0..feeds.feeds() {
        let mut builder = BatchBuilder::new(schema, &model.normalization, lengths);
        builder.append(feeds, feed).expect("the first feed of a batch may have labels or none");
        let batch = builder.finish().expect("a feed was added");
        let Scores { p_watch, tasks } = by_request(batch);
        let values = std::iter::once(p_watch).chain(tasks.into_iter().flatten());
        outputs.iter_mut().zip(values).for_each(|((_, all), values)| all.extend(values));
    }
    outputs
}

fn lengths(offsets: &Offsets) -> Vec<u32> {
    offsets.ranges().map(|range| range.len() as u32).collect()
}

fn offsets(reader: &ColumnReader<'_>, name: &str) -> Result<Offsets, String> {
    let lengths: Vec<u32> = reader.numbers(name)?;
    Ok(Offsets::from_lengths(lengths.into_iter().map(|length| length as usize)))
}
