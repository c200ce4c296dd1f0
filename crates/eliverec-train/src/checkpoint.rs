//! A learner to a checkpoint and back. What a checkpoint is, and its one commit point, stand in [`eliverec_run::checkpoint`].

use std::path::Path;

use eliverec_core::Schema;
use eliverec_models::{Model, parameters};
use eliverec_run::checkpoint::{self, Commit, Dense, TrainingPosition};
use eliverec_run::{Config, RunDirectory, durable};
use eliverec_store::Store;

use crate::error::Error;
use crate::learner::Learner;
use crate::log::MetricsLog;
use crate::optimizer::DenseOptimizer;
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
    pub store: &'a Store,
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

/// Writes a checkpoint and commits it. `best` says whether it is the best one as well.
///
/// # Errors
/// What the file system says; the run is then as it was before.
pub fn save(
    run: &RunDirectory,
    saved: &Saved<'_>,
    log: &mut MetricsLog,
    best: bool,
) -> Result<Commit, Error> {
    let previous = checkpoint::read_commit(run)?;
    let current = checkpoint::name(saved.position.step);
    // Of one step there is one state of weights and rows: a committed one is never written again.
    if previous.as_ref().is_none_or(|p| p.current != current && p.best != current) {
        checkpoint::write(&run.path().join(&current), &saved.dense(), saved.store)?;
        durable::sync_directory(&run.checkpoints())?;
    }
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
    checkpoint::remove_leftovers(run, Some(&commit))?;
    Ok(commit)
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
    learner.store = checkpoint::load_store(directory, config, schema)?;
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
