//! The file of `explain --tensors`: everything that the scores of one request were computed from and by, enough to compute them
//! again without this program, as `reference/recompute.py` does.
//!
//! The header's `__metadata__` has the texts `config.toml`, resolved, and `schema.toml`, which say in which order fields stand and
//! what the model's options are. All floats are float32, all integers uint64.
//!
//! | name | what |
//! | --- | --- |
//! | `ids/TABLE` | the ids in use, in the order of their rows |
//! | `rows/TABLE` | their rows `[u, w]`; a trunk's own tables are named `MODEL.TABLE` |
//! | `places/user_id` | which row of the tables of users is the feed's; only where the trunk has such tables |
//! | `places/GROUP.FIELD` | of each entity, which of these rows its value is; of a list, those of all its values |
//! | `lengths/GROUP.FIELD` | of a multi-valued field, how many values each entity has |
//! | `numbers/GROUP.FIELD`, `numbers/match.NAME` | of a dense field or a match feature, the transformed and standardised values |
//! | `age_s/DOMAIN` | seconds from each event to the request |
//! | `labels/watched`, `labels/TASK` | what happened, -1 where it is not known; absent for a feed without labels |
//! | `parameter/NAME` | every dense parameter |
//! | `trace/NAME` | every intermediate |
//!
//! Of the intermediates over events, those of an empty history have no place: attention is `[1, c, 0]` then.
//!
//! Asked for, there is also the batch in which evaluation of the split has the request, with the random numbers of update 0:
//!
//! | name | what |
//! | --- | --- |
//! | `term/NAME`, `term_weight/NAME` | each of the trunk's terms of the loss `[1]`, before its weight, and the weight |
//! | `batch/request_id`, `batch/user_id` | which feeds, and whose `[b]` |
//! | `batch/candidates`, `batch/live`, `batch/product` | impressions and events of each feed `[b]` |
//! | `batch/field.NAME` | F `[n, w]` of all its impressions |
//! | `batch/sampled` | of elive, which impression of each feed its terms take, counted over the batch `[b]` |
//! | `batch/live.bare`, `batch/product.bare` | with `[training.next_event]`, the events' bare vectors `[m, d]` |
//! | `batch/ids.live`, `batch/ids.product`, `batch/ids.candidate` | which entity each event and each impression is of `[m]`, `[n]` |
//! | `batch/next_event.channel` | the channels shown, as their terms see them `[n, d]` |
//! | `batch/next_event.chosen` | which watched impressions they take, one of each feed that has any |
//! | `batch/next_event.TERM` | which events of the history that it draws from each of them drew |

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_core::batch::{Offsets, Values};
use eliverec_core::schema::Group;
use eliverec_core::table::Key;
use eliverec_models::draws::Draws;
use eliverec_models::entities::identities;
use eliverec_models::parameters;
use eliverec_models::term::{Training, Turn};
use eliverec_models::trace::{Recorded, Trace};
use eliverec_run::{Prepared, Scorer, tensor_file};
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use crate::evaluate::batches;

/// What the file will hold, by name.
pub(crate) struct Tensors {
    floats: BTreeMap<String, Recorded>,
    integers: BTreeMap<String, Vec<u64>>,
}

impl Tensors {
    /// Of the batch of one feed and what was recorded of it.
    pub(crate) fn of(
        scorer: &Scorer,
        prepared: &Prepared,
        recorded: &BTreeMap<String, Recorded>,
    ) -> Self {
        let mut tensors = Self { floats: BTreeMap::new(), integers: BTreeMap::new() };
        tensors.add_rows(scorer, prepared);
        tensors.add_batch(scorer, prepared);
        for (name, parameter) in parameters::export(&scorer.model) {
            tensors.floats.insert(format!("parameter/{name}"), parameter);
        }
        for (name, tensor) in recorded {
            tensors.floats.insert(format!("trace/{name}"), tensor.clone());
        }
        tensors
    }

    fn add_rows(&mut self, scorer: &Scorer, Prepared { unique, .. }: &Prepared) {
        let leaves = scorer.scoring().leaves(unique);
        for (table, rows) in scorer.config.tables(&scorer.schema).into_iter().zip(leaves) {
            let Some((ids, _)) = unique.of_key(table.key).filter(|(ids, _)| !ids.is_empty()) else {
                continue;
            };
            self.floats.insert(format!("rows/{}", table.name), Recorded::of(&rows));
            self.integers.insert(format!("ids/{}", table.name), ids.to_vec());
            if table.key == Key::User {
                self.integers.insert("places/user_id".into(), wide(unique.user_places()));
            }
        }
    }

    fn add_batch(&mut self, scorer: &Scorer, Prepared { batch, unique }: &Prepared) {
        let schema = &scorer.schema;
        for group in Group::ALL {
            let fields = schema.fields(group).iter().zip(batch.values(group));
            for ((field, values), places) in fields.zip(unique.places(group)) {
                let name = format!("{}.{}", group.name(), field.name);
                match values {
                    Values::Numbers(numbers) => self.list(format!("numbers/{name}"), numbers),
                    Values::Ids(_) => {
                        self.integers.insert(format!("places/{name}"), wide(places));
                    }
                    Values::Lists { offsets, .. } => {
                        self.integers.insert(format!("lengths/{name}"), lengths(offsets));
                        self.integers.insert(format!("places/{name}"), wide(places));
                    }
                }
            }
        }
        let extra = &batch.values(Group::Target)[schema.target.len()..];
        for (of, values) in schema.matches.iter().zip(extra) {
            if let Values::Numbers(numbers) = values {
                self.list(format!("numbers/match.{}", of.name), numbers);
            }
        }
        self.list("age_s/live".into(), &batch.channel_age_s);
        self.list("age_s/product".into(), &batch.product_age_s);
        if let Some(labels) = &batch.labels {
            let known = |label: &f32| if label.is_nan() { -1.0 } else { *label };
            self.list("labels/watched".into(), &labels.watched);
            for (task, labels) in schema.task.iter().zip(&labels.tasks) {
                let labels: Vec<f32> = labels.iter().map(known).collect();
                self.list(format!("labels/{}", task.name), &labels);
            }
        }
    }

    fn list(&mut self, name: String, values: &[f32]) {
        let list = Recorded { shape: vec![values.len()], values: values.to_vec() };
        self.floats.insert(name, list);
    }

    /// The trunk's terms over the batch of `split` that holds request `id`, as evaluation makes it.
    ///
    /// # Errors
    /// What reading the feeds gives.
    pub(crate) fn add_terms(
        &mut self,
        scorer: &Scorer,
        feeds: &FeedDirectory,
        split: Split,
        id: u64,
    ) -> Result<(), Error> {
        let scoring = scorer.scoring();
        for prepared in batches(&scoring, feeds, split)? {
            let prepared = prepared?;
            let batch = &prepared.batch;
            if !batch.request_ids.contains(&id) {
                continue;
            }
            let draws = Draws { seed: scorer.config.seed, step: 0 };
            let mut trace = Trace::on();
            let training = Training::whole(draws, Turn::All);
            for term in scoring.terms(&prepared, training, &mut trace) {
                self.floats.insert(format!("term/{}", term.name), Recorded::of(&term.value));
                self.list(format!("term_weight/{}", term.name), &[term.weight]);
            }
            let next_events = scorer.config.training.next_event.is_some();
            let of_next_events = |name: &str| {
                name.starts_with("next_event.") || name.strip_suffix(".bare").is_some()
            };
            let taken = |name: &str| {
                name.starts_with("field.")
                    || name == "sampled"
                    || next_events && of_next_events(name)
            };
            let recorded = trace.into_recorded().into_iter().filter(|(name, _)| taken(name));
            self.floats.extend(recorded.map(|(name, tensor)| (format!("batch/{name}"), tensor)));
            for (name, integers) in [
                ("request_id", batch.request_ids.clone()),
                ("user_id", batch.user_ids.clone()),
                ("candidates", lengths(&batch.candidates)),
                ("live", lengths(&batch.channels)),
                ("product", lengths(&batch.products)),
            ] {
                self.integers.insert(format!("batch/{name}"), integers);
            }
            let of = [("live", Group::Channel), ("product", Group::Product)];
            for (name, group) in of.into_iter().chain([("candidate", Group::Candidate)]) {
                if next_events {
                    let ids = identities(&scorer.schema, batch, group);
                    self.integers.insert(format!("batch/ids.{name}"), ids);
                }
            }
            break;
        }
        Ok(())
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn write(&self, path: &Path, scorer: &Scorer) -> Result<(), Error> {
        let texts = BTreeMap::from([
            ("config.toml", scorer.config.to_toml()),
            ("schema.toml", scorer.schema.to_toml()),
        ]);
        Ok(tensor_file::write_with(path, &self.floats, &self.integers, &texts)?)
    }
}

fn wide(places: &[u32]) -> Vec<u64> {
    places.iter().map(|place| u64::from(*place)).collect()
}

fn lengths(offsets: &Offsets) -> Vec<u64> {
    offsets.ranges().map(|range| range.len() as u64).collect()
}
