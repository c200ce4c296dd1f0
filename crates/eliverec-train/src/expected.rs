//! How long a run will take, from a few updates on its own feeds, before anybody waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eliverec_core::Normalization;
use eliverec_run::{Config, Prepared, Scoring};
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use crate::learner::Learner;

/// Updates that are timed, behind one that is not: it admits rows and warms the allocator up.
const TIMED: u64 = 2;

/// Time that a run of this config takes at most, on as many threads as it asks for: all its epochs, the validation split after each, the
/// test split once. Early stopping makes it less; reading is not counted, for it goes on beside the updates.
///
/// # Errors
/// Configs that cannot be built, feeds that cannot be read, a number that is none.
pub fn expected(config: &Config, feeds: &FeedDirectory) -> Result<Duration, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(config.training.threads.unwrap_or(0));
    pool.build().map_err(std::io::Error::other)?.install(|| timed(config, feeds))
}

fn timed(config: &Config, feeds: &FeedDirectory) -> Result<Duration, Error> {
    let training = &config.training;
    let schema = Arc::new(config.input.seen(feeds.schema()));
    let normalization = Normalization::default();
    let mut learner = Learner::new(config, &schema, &normalization)?;
    let batches = feeds.batches(
        Split::Train,
        &schema,
        &normalization,
        config.settings().lengths(),
        training.batch_impressions,
        None,
    )?;
    let (mut updating, mut scoring, mut seen) = (Duration::ZERO, Duration::ZERO, 0);
    for (step, batch) in (0..=TIMED).zip(batches) {
        let prepared = Prepared::of(&schema, batch?);
        let begun = Instant::now();
        let measured = learner.update(config, &schema, &prepared, step)?;
        measured.map_err(|number| Error::NotFinite {
            step,
            term: number.term,
            value: number.value,
            batch: "the first of the training split".into(),
        })?;
        let updated = begun.elapsed();
        let (model, device) = learner.evaluated(config, &schema)?;
        let (rows, normalization) = (&learner.store, &normalization);
        let room = Scoring {
            model: &model,
            rows,
            config,
            schema: &schema,
            normalization,
            device: &device,
        };
        let begun = Instant::now();
        room.score(&prepared);
        // A set of one batch has nothing else to go by.
        if step == 0 {
            (updating, scoring, seen) = (updated, begun.elapsed(), prepared.batch.feeds());
            continue;
        }
        if step == 1 {
            (updating, scoring, seen) = (Duration::ZERO, Duration::ZERO, 0);
        }
        updating += updated;
        scoring += begun.elapsed();
        seen += prepared.batch.feeds();
    }
    let per_feed = |time: Duration| time.as_secs_f64() / seen.max(1) as f64;
    let of_split = |split| Ok::<f64, Error>(feeds.feeds(split)? as f64);
    let epoch = of_split(Split::Train)?;
    let per_update = seen as f64 / TIMED as f64;
    let most = training.max_steps.map_or(f64::INFINITY, |most| most as f64 * per_update);
    let trained = (epoch * training.epochs as f64).min(most);
    let every = training.evaluate_every_steps as f64 * per_update;
    let evaluations = (trained / if every > 0.0 { every } else { epoch.max(1.0) }).ceil();
    let scored = of_split(Split::Validation)? * evaluations + of_split(Split::Test)?;
    Ok(Duration::from_secs_f64(per_feed(updating) * trained + per_feed(scoring) * scored))
}
