//! The constants, out of what `eliverec bench ... --json` printed.

mod output;
mod samples;
mod serving;
mod train;

use std::path::PathBuf;

use serde::Deserialize;

use crate::error::Error;
use crate::line::Constant;
use crate::network::Network;
use crate::traffic::TableRows;
use output::{only, paths, positive};
pub(crate) use samples::Samples;
use serving::Serving;
use train::Train;

/// Of which command the output of the network is.
const NETWORK: &str = "eliverec bench network --json";

/// Outputs of the commands, by path, as text.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Of `bench train`, with two or more numbers of `--feeds`.
    pub train: Vec<(PathBuf, String)>,
    /// Of `bench samples` with `--shards`.
    pub samples: Option<(PathBuf, String)>,
    /// Of `bench serve` with `--histories`, at a load that is answered.
    pub serve: Option<(PathBuf, String)>,
    /// Of `bench serve --call events`.
    pub events: Option<(PathBuf, String)>,
    /// Of `bench network`.
    pub network: Option<(PathBuf, String)>,
}

/// All constants of a plan.
#[derive(Clone, Debug)]
pub struct Measured {
    pub(crate) train: Train,
    pub(crate) samples: Samples,
    pub(crate) serving: Serving,
    pub(crate) network: Network,
    pub(crate) alpha: Constant,
    pub(crate) beta: Constant,
}

/// How long a rank computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Compute {
    /// Seconds of an update whatever its batch.
    pub(crate) update_s: f64,
    /// Seconds of each impression.
    pub(crate) impression_s: f64,
}

impl Measured {
    /// Takes the constants out of the files.
    ///
    /// # Errors
    /// [`Error::NotMeasured`] names the command whose output is missing; [`Error::NotThat`] the file that is not what it should be.
    pub fn new(files: &Files) -> Result<Self, Error> {
        let network: NetworkBench =
            only(files.network.as_ref(), NETWORK, "alpha and beta of the network", "--network")?;
        let paths = paths(files.network.as_ref());
        let constant = |name, value, unit, from| Constant {
            name,
            value,
            unit,
            from,
            command: NETWORK,
            files: paths.clone(),
        };
        let alpha = positive(constant("alpha", network.alpha_s, "s/message", "alpha_s"))?;
        let beta =
            positive(constant("beta", network.beta_s_per_byte, "s/byte", "beta_s_per_byte"))?;
        Ok(Self {
            train: Train::new(&files.train)?,
            samples: Samples::new(files.samples.as_ref())?,
            serving: Serving::new(files.serve.as_ref(), files.events.as_ref())?,
            network: Network { alpha_s: alpha.value, beta_s_per_byte: beta.value },
            alpha,
            beta,
        })
    }

    /// How long a rank computes.
    pub(crate) fn compute(&self) -> Compute {
        let Train { update_s, impression_s, .. } = &self.train;
        Compute { update_s: update_s.value, impression_s: impression_s.value }
    }

    /// Rows of a batch of so many feeds, as if all were in one table of the mean width.
    pub(crate) fn rows_of(&self, feeds: f64) -> TableRows {
        let Train { rows, numbers, growth, .. } = &self.train;
        let of_batch = rows.value * (feeds / self.train.feeds).powf(growth.value);
        TableRows { width: numbers.value / rows.value, rows: of_batch }
    }
}

#[derive(Debug, Deserialize)]
struct NetworkBench {
    alpha_s: f64,
    beta_s_per_byte: f64,
}
