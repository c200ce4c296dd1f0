//! A model nobody trained, with weights and rows as they start: what is timed where there is no run.

use std::sync::Arc;

use eliverec_core::unique::UniqueIds;
use eliverec_core::{Normalization, Schema};
use eliverec_models::Model;
use eliverec_run::config::ComputeDevice;
use eliverec_run::{Config, Error, Scorer, device};
use eliverec_store::{MappedStore, Store};

/// The model that `config` asks for on feeds of `schema`, with a row for each of `ids` ids of every vocabulary, mapped from a file
/// as those of a run are.
///
/// # Errors
/// A config that cannot be built, or no room for the file.
pub fn drawn_model(config: &Config, schema: &Schema, ids: usize) -> Result<Scorer, Error> {
    let schema = Arc::new(schema.clone());
    let tables = config.tables(&schema);
    let device = device::open(ComputeDevice::Cpu)?;
    let mut store = Store::new(config.seed, tables.clone(), config.store.clone())?;
    let all = UniqueIds::of_lists(&vec![(0..ids as u64).collect(); schema.vocabulary.len()]);
    // Ids get their rows once they were seen as often as their vocabulary asks.
    let seen = schema.vocabulary.iter().map(|vocabulary| vocabulary.min_count).max();
    for step in 0..seen.unwrap_or(1) {
        store.gather_for_training(&all, u64::from(step));
    }
    let folder = tempfile::tempdir()?;
    store.save(folder.path())?;
    let rows = MappedStore::open(&[folder.path()], &tables, config.seed)?;
    let model = Model::new(&config.settings(), &schema, config.seed, &device)?;
    let (config, normalization) = (config.clone(), Normalization::default());
    Ok(Scorer { config, schema, normalization, model, rows, device })
}
