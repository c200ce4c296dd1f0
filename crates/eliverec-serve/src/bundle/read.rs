//! Opening a bundle: nothing of it is used before all of it was compared with the manifest and the golden requests got their
//! scores.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eliverec_core::Dimensions;
use eliverec_core::normalize::Moments;
use eliverec_features::FeatureConfig;

use super::files::BundleFiles;
use super::golden::Golden;
use super::manifest::{GOLDEN_FILE, MANIFEST_FILE, Manifest};
use super::metrics::{METRICS_FILE, OfflineMetrics};
use super::model::{SCHEMA_FILE, ServedModel, of_files};
use super::tables;
use crate::error::Error;

pub(crate) const FEATURES_FILE: &str = "features.toml";

/// A bundle that is what was exported.
#[derive(Debug)]
pub struct Bundle {
    /// Where it was opened.
    pub path: PathBuf,
    /// What it is.
    pub manifest: Manifest,
    /// What scores.
    pub model: ServedModel,
    /// Settings of the folds; `None` if its feeds were not made of a log.
    pub features: Option<FeatureConfig>,
    /// What is known of users, products and channels; `None` if it was exported without.
    pub dimensions: Option<Arc<Dimensions>>,
    /// What was measured when it was made.
    pub metrics: Option<OfflineMetrics>,
    /// Of each output, p(watch) first, over the candidates of the golden requests.
    pub golden_scores: Vec<Moments>,
    files: BundleFiles,
}

impl Bundle {
    /// Opens the bundle at `path`: compares every byte with the manifest, maps the rows, scores the golden requests.
    ///
    /// # Errors
    /// [`Error::Bundle`] if there is none, [`Error::Refused`] with the file and the reason if it is not what was exported or
    /// scores otherwise.
    pub fn open(path: &Path) -> Result<Self, Error> {
        loop {
            let manifest = Manifest::read(path)?;
            match Self::load(path, &manifest) {
                // An export may have exchanged the bundle for another under our hands.
                Err(_) if Manifest::read(path).is_ok_and(|now| now != manifest) => {}
                loaded => return loaded,
            }
        }
    }

    fn load(path: &Path, manifest: &[u8]) -> Result<Self, Error> {
        let refused = |name: &str, reason: String| Error::refused(&path.join(name), reason);
        let manifest =
            Manifest::parse(manifest).map_err(|reason| refused(MANIFEST_FILE, reason))?;
        let mut files = BundleFiles::open(path, &manifest)?;
        let model = of_files(&mut files)?;
        let fingerprint = model.schema.fingerprint();
        if fingerprint != manifest.schema {
            let reason = format!("is schema {fingerprint}, the manifest names {}", manifest.schema);
            return Err(refused(SCHEMA_FILE, reason));
        }
        let name = model.config.model.name();
        if name != manifest.model {
            let reason = format!("names the model {}, the config {name}", manifest.model);
            return Err(refused(MANIFEST_FILE, reason));
        }
        let features = files.get(FEATURES_FILE).map(features).transpose();
        let features = features.map_err(|reason| refused(FEATURES_FILE, reason))?;
        let dimensions = tables::read(&model.schema, |name| files.get(name))
            .map_err(|(name, reason)| refused(&name, reason))?;
        let metrics = files.get(METRICS_FILE).map(serde_json::from_slice).transpose();
        let metrics = metrics.map_err(|e| refused(METRICS_FILE, format!("does not parse: {e}")))?;
        let golden =
            Golden::from_bytes(&model.schema, model.has_tasks(), files.needed(GOLDEN_FILE)?)
                .and_then(|golden| golden.check(&model, manifest.golden.tolerance).map(|()| golden))
                .map_err(|reason| refused(GOLDEN_FILE, reason))?;
        let (dimensions, path) = (dimensions.map(Arc::new), path.into());
        let golden_scores = golden.moments();
        Ok(Self { path, manifest, model, features, dimensions, metrics, golden_scores, files })
    }

    /// The bytes of a file that the manifest lists, but for the rows: those of whoever added files of their own.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name)
    }
}

/// The settings of the folds from the content of their file; otherwise what is wrong.
fn features(bytes: &[u8]) -> Result<FeatureConfig, String> {
    let features: FeatureConfig =
        toml::from_slice(bytes).map_err(|e| format!("does not parse: {}", e.message()))?;
    features.check().map_err(|e| e.to_string())?;
    Ok(features)
}
