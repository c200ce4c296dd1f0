//! The file of experiments as it is written, before anything of it is checked but its syntax.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::error::Error;
use crate::slots::{Slots, of_slots};

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FileText {
    pub(crate) layers: Vec<LayerText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LayerText {
    pub(crate) name: String,
    pub(crate) salt: String,
    #[serde(default)]
    pub(crate) aa: bool,
    pub(crate) buckets: Vec<BucketText>,
    #[serde(default)]
    pub(crate) overrides: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BucketText {
    pub(crate) name: String,
    pub(crate) slots: Spanned<Vec<String>>,
    pub(crate) bundle: Option<PathBuf>,
    pub(crate) retrieval: Option<toml::Table>,
    pub(crate) utility: Option<String>,
}

impl BucketText {
    /// By thing, whether it is changed.
    pub(crate) const fn changes(&self) -> [bool; 3] {
        [self.bundle.is_some(), self.retrieval.is_some(), self.utility.is_some()]
    }
}

/// The slots of a bucket, and where in the text they stand.
pub(crate) struct WrittenSlots {
    pub(crate) bucket: String,
    pub(crate) slots: Slots,
    pub(crate) place: Range<usize>,
}

pub(crate) fn read(text: &str, path: &Path) -> Result<FileText, Error> {
    toml::from_str(text)
        .map_err(|e| Error::File { path: path.into(), reason: e.to_string().trim().to_owned() })
}

/// The slots alone, by the layer's name, for whoever changes them.
pub(crate) fn slots_of_layers(
    text: &str,
    path: &Path,
) -> Result<Vec<(String, Vec<WrittenSlots>)>, Error> {
    let of_bucket = |layer: &str, BucketText { name: bucket, slots, .. }: BucketText| {
        let place = slots.span();
        let slots = Slots::parse(slots.get_ref()).map_err(|reason| Error::File {
            path: path.into(),
            reason: format!("layer {layer:?}, bucket {bucket:?}: slots: {reason}"),
        })?;
        Ok(WrittenSlots { bucket, slots, place })
    };
    let of_layer = |LayerText { name, buckets, .. }: LayerText| {
        let buckets = buckets.into_iter().map(|bucket| of_bucket(&name, bucket));
        let buckets = buckets.collect::<Result<Vec<WrittenSlots>, Error>>()?;
        // As the service has it: shares of a file that it refuses are not changed.
        of_slots(buckets.iter().map(|of| (of.bucket.as_str(), &of.slots))).map_err(|reason| {
            Error::File { path: path.into(), reason: format!("layer {name:?}{reason}") }
        })?;
        Ok((name, buckets))
    };
    read(text, path)?.layers.into_iter().map(of_layer).collect()
}
