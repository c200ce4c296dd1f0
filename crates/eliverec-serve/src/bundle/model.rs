//! The model of a bundle, ready to score: config, schema, normalisation, weights and rows, in memory or mapped.

use std::collections::BTreeMap;
use std::sync::Arc;

use eliverec_core::{Normalization, Schema};
use eliverec_models::trace::Recorded;
use eliverec_models::{Model, parameters};
use eliverec_run::config::ComputeDevice;
use eliverec_run::{Config, Scorer, device, tensor_file};
use eliverec_store::{CompactRows, MappedFile};

use super::files::BundleFiles;
use crate::error::Error;

pub(crate) const CONFIG_FILE: &str = "config.toml";
pub(crate) const SCHEMA_FILE: &str = "schema.toml";
pub(crate) const NORMALIZATION_FILE: &str = "normalization.json";
pub(crate) const WEIGHTS_FILE: &str = "weights.safetensors";

/// The file of the rows of table number `table`.
pub(crate) fn rows_file(table: usize) -> String {
    format!("rows/{table:03}.rows")
}

/// The model of a bundle. It computes on the processor, wherever it was trained.
pub type ServedModel = Scorer<CompactRows>;

/// The model of a run with rows of its bundle, which may be in fewer bits than the run's.
///
/// # Errors
/// Files that are not those of the run's tables.
pub(crate) fn of_run(run: &Scorer, rows: Vec<MappedFile>) -> Result<ServedModel, Error> {
    let Scorer { config, schema, normalization, .. } = run;
    let weights = parameters::export(&run.model);
    load(config.clone(), Arc::clone(schema), normalization.clone(), &weights, rows)
}

/// The model of a bundle, whose rows it takes out of `files`.
///
/// # Errors
/// [`Error::Refused`] names the file.
pub(crate) fn of_files(files: &mut BundleFiles) -> Result<ServedModel, Error> {
    let place = |name: &str| files.path(name);
    let refused = |name: &str, reason: String| Error::refused(&place(name), reason);
    let config = Config::parse(files.text(CONFIG_FILE)?, CONFIG_FILE, &[])
        .map_err(|e| refused(CONFIG_FILE, e.to_string()))?;
    let schema =
        Schema::parse(files.text(SCHEMA_FILE)?).map_err(|e| refused(SCHEMA_FILE, e.to_string()))?;
    let normalization = serde_json::from_slice(files.needed(NORMALIZATION_FILE)?)
        .map_err(|e| refused(NORMALIZATION_FILE, format!("does not parse: {e}")))?;
    let weights = files.needed(WEIGHTS_FILE)?;
    let weights = tensor_file::from_bytes(weights, &place(WEIGHTS_FILE))
        .map_err(|e| refused(WEIGHTS_FILE, of_the_content(e)))?;
    let tables = config.tables(&schema).len();
    let path = place(WEIGHTS_FILE);
    let rows = (0..tables).map(|table| files.take(&rows_file(table))).collect::<Result<_, _>>()?;
    load(config, Arc::new(schema), normalization, &weights, rows).map_err(|e| match e {
        Error::Run(eliverec_run::Error::Models(e)) => Error::refused(&path, e),
        other => other,
    })
}

fn load(
    config: Config,
    schema: Arc<Schema>,
    normalization: Normalization,
    weights: &BTreeMap<String, Recorded>,
    rows: Vec<MappedFile>,
) -> Result<ServedModel, Error> {
    let device = device::open(ComputeDevice::Cpu)?;
    let model = Model::new(&config.settings(), &schema, config.seed, &device)
        .and_then(|model| parameters::import(model, weights))
        .map_err(eliverec_run::Error::from)?;
    let rows = CompactRows::new(rows, &config.tables(&schema), config.seed);
    let rows = rows.map_err(|e| match e {
        eliverec_store::Error::Damaged { path, reason }
        | eliverec_store::Error::Mismatch { path, reason } => Error::refused(&path, reason),
        other => eliverec_run::Error::from(other).into(),
    })?;
    Ok(Scorer { config, schema, normalization, model, rows, device })
}

/// What a damaged file is said to hold, without its name and what to do about a run.
fn of_the_content(error: eliverec_run::Error) -> String {
    match error {
        eliverec_run::Error::Damaged { reason, .. } => reason,
        other => other.to_string(),
    }
}
