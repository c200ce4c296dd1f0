//! What is asked of training, and how it ends.

use std::path::PathBuf;

use eliverec_run::Config;
use eliverec_run::checkpoint::Finish;
use eliverec_tables::FeedDirectory;

use crate::ranks::Ranks;
use crate::shards::traffic::Traffic;

/// What to train, on what, and where to.
#[derive(Debug)]
pub struct TrainingOrder {
    /// The config with overrides applied; `None` goes on with the config of the run.
    pub config: Option<Config>,
    /// The overrides, kept as a comment.
    pub overrides: Vec<String>,
    /// The feeds, with what is known of their files: nothing is opened twice.
    pub feeds: FeedDirectory,
    /// The run directory.
    pub run: PathBuf,
    /// Whether to go on with a run that exists.
    pub resume: bool,
    /// Another run whose best checkpoint a new run begins with.
    pub init_from: Option<PathBuf>,
    /// The processes that train it together.
    pub ranks: Ranks,
}

/// How training ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TrainingEnd {
    /// It is over.
    Finished {
        /// For this reason.
        finish: Finish,
        /// What this rank sent to others; `None` of one alone.
        traffic: Option<Traffic>,
    },
    /// It was over before, for this reason.
    AlreadyFinished(Finish),
    /// `stop` was set; a checkpoint was written.
    Interrupted {
        /// Updates made.
        step: u64,
    },
}
