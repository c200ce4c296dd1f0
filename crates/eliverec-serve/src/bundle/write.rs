//! Making a bundle, part by part. Every file is hashed and flushed to disk as it is written; the whole is opened as a reader would,
//! golden requests included, before it gets its name.

use std::collections::BTreeSet;
use std::io::{BufWriter, IntoInnerError, Write};
use std::path::{Path, PathBuf};

use eliverec_core::{Dimensions, FeedColumns, IdKinds};
use eliverec_features::FeatureConfig;
use eliverec_models::parameters;
use eliverec_run::{Scorer, durable, tensor_file};
use eliverec_store::{MappedFile, Precision};

use super::golden::{Golden, TOLERANCE};
use super::manifest::{
    FORMAT, FileEntry, GOLDEN_FILE, GoldenRequests, MANIFEST_FILE, MadeOf, Manifest, Rows,
    is_file_name,
};
use super::metrics::{METRICS_FILE, OfflineMetrics};
use super::model::{
    CONFIG_FILE, NORMALIZATION_FILE, SCHEMA_FILE, ServedModel, WEIGHTS_FILE, of_run, rows_file,
};
use super::partial::PartialBundle;
use super::read::{Bundle, FEATURES_FILE};
use super::sha256::{self, Hashing};
use super::tables;
use crate::error::Error;

/// What a bundle is called and where it came from; the fields of [`Manifest`] have the same names.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented at the manifest")]
pub struct About {
    pub version: String,
    pub created_ms: i64,
    pub program: String,
    pub made_of: MadeOf,
    pub ids: IdKinds,
}

/// A bundle in the making; dropped before [`BundleWriter::publish`], it leaves nothing behind.
#[derive(Debug)]
pub struct BundleWriter {
    files: NewFiles,
    model: ServedModel,
    precision: Precision,
    parameters: u64,
    golden: GoldenRequests,
}

impl BundleWriter {
    /// Begins the bundle `out` with the model of a run. One that is there is replaced if `replace`, when the new one is finished.
    ///
    /// # Errors
    /// [`Error::Bundle`] for a name that is taken or another process that writes it, numbers of rows that `precision` cannot
    /// hold, and what the file system says.
    pub fn create(
        out: &Path,
        replace: bool,
        scorer: &Scorer,
        precision: Precision,
    ) -> Result<Self, Error> {
        let mut files = NewFiles::create(out, replace)?;
        files.write(CONFIG_FILE, scorer.config.to_toml().as_bytes())?;
        files.write(SCHEMA_FILE, scorer.schema.to_toml().as_bytes())?;
        files.write_json(NORMALIZATION_FILE, &scorer.normalization)?;
        let weights = parameters::export(&scorer.model);
        let weights = tensor_file::to_bytes(&weights, &[].into(), &[].into())?;
        files.write(WEIGHTS_FILE, &weights)?;
        let mut rows = Vec::new();
        for table in 0..scorer.config.tables(&scorer.schema).len() {
            let name = rows_file(table);
            files.write_with(&name, |sink| {
                let written = scorer.rows.write_compact(table, precision, sink);
                written.map_err(|e| eliverec_run::Error::from(e).into())
            })?;
            rows.push(MappedFile::open(&files.partial.path().join(name))?);
        }
        let model = of_run(scorer, rows)?;
        let (parameters, golden) = (scorer.parameters(), GoldenRequests::default());
        Ok(Self { files, model, precision, parameters, golden })
    }

    /// The model as the bundle has it.
    pub const fn model(&self) -> &ServedModel {
        &self.model
    }

    /// Adds a file of any name that is not taken yet, for example `retrieval/neighbours.safetensors`.
    ///
    /// # Errors
    /// [`Error::Bundle`] for a name that cannot be that of a file in a bundle, and what the file system says.
    pub fn write(&mut self, name: &str, content: &[u8]) -> Result<(), Error> {
        self.files.write(name, content)
    }

    /// Adds the settings of the folds that made the feeds.
    ///
    /// # Errors
    /// As [`BundleWriter::write`].
    pub fn write_features(&mut self, features: &FeatureConfig) -> Result<(), Error> {
        let text = toml::to_string(features).expect("settings always serialise");
        self.files.write(FEATURES_FILE, text.as_bytes())
    }

    /// Adds what is known of users, products and channels.
    ///
    /// # Errors
    /// As [`BundleWriter::write`].
    pub fn write_dimensions(&mut self, dimensions: &Dimensions) -> Result<(), Error> {
        let files = tables::to_files(dimensions)?;
        files.iter().try_for_each(|(name, content)| self.files.write(name, content))
    }

    /// Adds what was measured.
    ///
    /// # Errors
    /// As [`BundleWriter::write`].
    pub fn write_metrics(&mut self, metrics: &OfflineMetrics) -> Result<(), Error> {
        self.files.write_json(METRICS_FILE, metrics)
    }

    /// Adds requests of the split of that name, which must have no labels, with the scores that the bundle's model gives them.
    ///
    /// # Errors
    /// Scores that are no numbers; as [`BundleWriter::write`].
    pub fn write_golden(&mut self, feeds: FeedColumns, split: &str) -> Result<(), Error> {
        let golden = Golden::of(&self.model, feeds).map_err(|reason| {
            eliverec_run::Error::Damaged { path: self.files.out.clone(), reason }
        })?;
        self.golden = GoldenRequests {
            split: split.into(),
            requests: golden.feeds.feeds() as u64,
            candidates: golden.feeds.parts().candidates.total() as u64,
            tolerance: TOLERANCE,
        };
        let bytes = golden.to_bytes(&self.model.schema)?;
        self.files.write(GOLDEN_FILE, &bytes)
    }

    /// What tells the content of the files so far from any other, in eight hexadecimal digits.
    pub fn content(&self) -> String {
        let words = self.files.entries.iter().fold(String::new(), |mut words, entry| {
            words.extend([entry.name.as_str(), " ", &entry.sha256, "\n"]);
            words
        });
        let mut digits = sha256::of(words.as_bytes());
        digits.truncate(8);
        digits
    }

    /// Writes the manifest, opens the whole, and gives it its name.
    ///
    /// # Errors
    /// What opening a bundle refuses, such as one without golden requests, and what the file system says. What had the name
    /// has it still.
    pub fn publish(self, about: About) -> Result<Manifest, Error> {
        let Self { files, model, precision, parameters, golden } = self;
        let About { version, created_ms, program, made_of, ids } = about;
        let manifest = Manifest {
            format: FORMAT,
            version,
            created_ms,
            program,
            model: model.config.model.name().into(),
            schema: model.schema.fingerprint(),
            parameters,
            rows: Rows { precision, rows: model.rows.rows(), bytes: model.rows.bytes() },
            made_of,
            ids,
            golden,
            files: files.entries,
        };
        let path = files.partial.path();
        let mut file = fs_err::File::create(path.join(MANIFEST_FILE))?;
        file.write_all(&manifest.to_bytes())?;
        file.sync_all()?;
        for folder in files.folders.iter().map(PathBuf::as_path).chain([Path::new("")]) {
            durable::sync_directory(&path.join(folder))?;
        }
        Bundle::open(path)?;
        files.partial.publish()?;
        Ok(manifest)
    }
}

/// The files that were written.
#[derive(Debug)]
struct NewFiles {
    out: PathBuf,
    partial: PartialBundle,
    /// Below the bundle.
    folders: BTreeSet<PathBuf>,
    entries: Vec<FileEntry>,
}

impl NewFiles {
    fn create(out: &Path, replace: bool) -> Result<Self, Error> {
        let partial = PartialBundle::create(out, replace)?;
        Ok(Self { out: out.into(), partial, folders: BTreeSet::new(), entries: Vec::new() })
    }

    fn write(&mut self, name: &str, content: &[u8]) -> Result<(), Error> {
        self.write_with(name, |sink| Ok(sink.write_all(content)?))
    }

    fn write_json(&mut self, name: &str, value: &impl serde::Serialize) -> Result<(), Error> {
        let mut text = serde_json::to_vec_pretty(value).map_err(std::io::Error::other)?;
        text.push(b'\n');
        self.write(name, &text)
    }

    fn write_with(
        &mut self,
        name: &str,
        content: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !is_file_name(name) || self.entries.iter().any(|entry| entry.name == name) {
            let reason = format!("cannot have a file {name:?}: it is taken, or no plain name");
            return Err(Error::Bundle { path: self.out.clone(), reason });
        }
        let path = self.partial.path().join(name);
        for folder in Path::new(name).ancestors().skip(1).filter(|f| !f.as_os_str().is_empty()) {
            fs_err::create_dir_all(self.partial.path().join(folder))?;
            self.folders.insert(folder.into());
        }
        let file = BufWriter::with_capacity(1 << 20, fs_err::File::create(path)?);
        let mut hashing = Hashing::new(file);
        content(&mut hashing)?;
        let (file, bytes, sha256) = hashing.finish();
        file.into_inner().map_err(IntoInnerError::into_error)?.sync_all()?;
        self.entries.push(FileEntry { name: name.into(), bytes, sha256 });
        Ok(())
    }
}
