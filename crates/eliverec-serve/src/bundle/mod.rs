//! A bundle: everything that answering requests with a trained model needs, in one directory that appears whole or not at all
//! and is known byte by byte.
//!
//! ```text
//! BUNDLE/manifest.json           what it is and was made of; name, size and sha256 of every file, and of itself
//! BUNDLE/config.toml             of the run, resolved
//! BUNDLE/schema.toml             of the feeds
//! BUNDLE/normalization.json      moments of dense fields and durations
//! BUNDLE/weights.safetensors     dense parameters
//! BUNDLE/rows/NNN.rows           embedding rows of table NNN, in float32, float16 or int8
//! BUNDLE/features.toml           settings of the folds, of feeds that `eliverec samples` made
//! BUNDLE/tables/*.safetensors    users, products and channels, where the log is given
//! BUNDLE/metrics.json            offline metrics, and what fewer bits changed
//! BUNDLE/golden.safetensors      some requests as feeds, with the scores that they must get
//! ```
//!
//! Other files may stand beside these: whoever exports them adds them with [`BundleWriter::write`], the manifest lists them, they
//! are verified alike, and [`Bundle::file`] has their bytes.
//!
//! - [`write`]: making one; [`partial`]: under a temporary name. [`read`]: opening one; [`files`]: mapped and verified.
//! - [`manifest`]: what is in it; [`sha256`]: how its bytes are known.
//! - [`model`], [`tables`], [`golden`], [`metrics`]: its parts; [`columns`]: columns in safetensors files.

pub(crate) mod columns;
pub(crate) mod files;
pub mod golden;
pub mod manifest;
pub mod metrics;
pub mod model;
pub(crate) mod partial;
pub mod read;
pub(crate) mod sha256;
pub(crate) mod tables;
pub mod write;

pub use golden::Golden;
pub use manifest::{MadeOf, Manifest};
pub use metrics::OfflineMetrics;
pub use model::ServedModel;
pub use read::Bundle;
pub use write::{About, BundleWriter};

pub use eliverec_store::Precision;
