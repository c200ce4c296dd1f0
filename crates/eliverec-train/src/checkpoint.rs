//! A learner to a checkpoint and back. What a checkpoint is, and its one commit point, stand in [`eliverec_run::checkpoint`].

use std::path::Path;

use eliverec_core::Schema;
use eliverec_models::{Model, parameters};
use eliverec_run::checkpoint::{self, Commit, Dense, TrainingPosition};
use eliverec_run::{Config, RunDirectory, durable};

use crate::error::Error;
use crate::learner::Learner;
use crate::log::MetricsLog;
use crate::optimizer::DenseOptimizer;
use crate::shards::rows::RowShards;
use crate::tasks::Weighting;

/// What of a run goes into its checkpoints.
#[derive(Debug)]
pub struct Saved<'a> {
    /// Weights.
    pub model: &'a Model,
    /// Accumulators.
    pub optimizer: &'a DenseOptimizer,
    /// What balances the inter-channel tasks.
    pub weighting: Option<&'a Weighting>,
    /// Rows.
    pub store: &'a RowShards,
    /// Where training is.
    pub position: &'a TrainingPosition,
    /// Feeds of the training split.
    pub training_feeds: u64,
}

impl Saved<'_> {
    fn dense(&self) -> Dense {
        let weighting = self.weighting.cloned();
        let state = weighting.map(|mut weighting| {
            weighting.state().into_iter().map(|(name, values)| (name, values.to_vec())).collect()
        });
        Dense {
            parameters: parameters::export(self.model),
            accumulators: self.optimizer.accumulators().clone(),
            weighting: state.unwrap_or_default(),
        }
    }
}

/// Writes a checkpoint and commits it. `best` says whether it is the best one as well. Every rank calls it and writes the rows that it
/// keeps; the first writes what there is one of, to whom alone the log belongs, and commits once all have written.
///
/// # Errors
/// What the file system says; the run is then as it was before.
pub fn save(
    run: &RunDirectory,
    saved: &Saved<'_>,
    log: Option<&mut MetricsLog>,
    best: bool,
) -> Result<(), Error> {
    let (shards, is_first) = (saved.store.shards(), saved.store.shards().is_first());
    let previous = if is_first { checkpoint::read_commit(run)? } else { None };
    let current = checkpoint::name(saved.position.step);
    let directory = run.path().join(&current);
    // Of one step there is one state of weights and rows: a committed one is never written again.
    let is_new = previous.as_ref().is_none_or(|p| p.current != current && p.best != current);
    if shards.any(is_first && is_new) {
        if is_first {
            checkpoint::create(&directory)?;
            checkpoint::write_dense(&directory, &saved.dense())?;
        }
        shards.barrier();
        for (shard, store) in saved.store.stores() {
            checkpoint::write_rows(&directory, store, shard, shards.count())?;
        }
        shards.barrier();
    }
    let Some(log) = log else { return Ok(()) };
    durable::sync_directory(&run.checkpoints())?;
    let best = match &previous {
        Some(previous) if !best => previous.best.clone(),
        _ => current.clone(),
    };
    let commit = Commit {
        version: checkpoint::VERSION,
        current,
        best,
        position: saved.position.clone(),
        metrics_bytes: log.commit()?,
        training_feeds: saved.training_feeds,
        checksums: None,
    };
    let commit = commit.sealed(run, previous.as_ref())?;
    commit.write(run)?;
    Ok(checkpoint::remove_leftovers(run, Some(&commit))?)
}

/// Puts a checkpoint into a learner.
///
/// # Errors
/// Files that are damaged or belong to another model.
pub fn load(
    directory: &Path,
    config: &Config,
    schema: &Schema,
    learner: &mut Learner,
) -> Result<(), Error> {
    let dense = checkpoint::load_dense(directory)?;
    learner.model = parameters::import(learner.model.clone(), &dense.parameters)?;
    learner.optimizer = DenseOptimizer::resume(config.training.adagrad, dense.accumulators);
    learner.store.replace(|shard| Ok(checkpoint::load_rows(directory, config, schema, shard)?))?;
    let mut state = learner.weighting.as_mut().map(Weighting::state).unwrap_or_default();
    for (name, values) in &mut state {
        match dense.weighting.get(name) {
            Some(stored) if stored.len() == values.len() => values.copy_from_slice(stored),
            _ => {
                let reason = format!("the state {name:?} of the tasks' weighting is not in it");
                return Err(eliverec_run::Error::Damaged { path: directory.into(), reason }.into());
            }
        }
    }
    Ok(())
}
