//! The files of a checkpoint: weights, accumulators and what weighs the tasks in one, the rows of each shard in a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eliverec_core::Schema;
use eliverec_models::trace::Recorded;
use eliverec_store::{MappedStore, Store};

use crate::config::Config;
use crate::durable;
use crate::error::Error;
use crate::run::DENSE_FILE;
use crate::tensor_file;

/// What a checkpoint holds besides rows.
#[derive(Clone, Debug)]
pub struct Dense {
    /// Parameters by name.
    pub parameters: BTreeMap<String, Recorded>,
    /// Accumulators by parameter name.
    pub accumulators: BTreeMap<String, Vec<f32>>,
    /// State of the weighting of tasks by name.
    pub weighting: BTreeMap<String, Vec<f32>>,
}

/// Makes the empty directory of a checkpoint, which nothing names yet; what a kill has left there goes.
///
/// # Errors
/// What the file system says.
pub fn create(directory: &Path) -> Result<(), Error> {
    if directory.exists() {
        fs_err::remove_dir_all(directory)?;
    }
    Ok(fs_err::create_dir_all(directory)?)
}

/// Writes what a checkpoint holds besides rows, flushed to disk.
///
/// # Errors
/// What the file system says.
pub fn write_dense(directory: &Path, dense: &Dense) -> Result<(), Error> {
    let mut tensors = BTreeMap::new();
    for (name, parameter) in &dense.parameters {
        tensors.insert(format!("{WEIGHT}{name}"), parameter.clone());
    }
    for (kind, all) in [(ACCUMULATOR, &dense.accumulators), (WEIGHTING, &dense.weighting)] {
        for (name, values) in all {
            let state = Recorded { shape: vec![values.len()], values: values.clone() };
            tensors.insert(format!("{kind}{name}"), state);
        }
    }
    tensor_file::write(&dense_file(directory), &tensors)
}

/// Writes the rows of shard number `shard` of `shards`, flushed to disk.
///
/// # Errors
/// What the file system says.
pub fn write_rows(
    directory: &Path,
    store: &Store,
    shard: usize,
    shards: usize,
) -> Result<(), Error> {
    let rows = rows_folder(directory, shard, shards);
    store.save(&rows)?;
    // The folder's own name, and that of the one that it is in.
    rows.ancestors().skip(1).take(2).try_for_each(durable::sync_directory)?;
    Ok(())
}

const STORE: &str = "store";
const WEIGHT: &str = "weight/";
const ACCUMULATOR: &str = "accumulator/";
const WEIGHTING: &str = "weighting/";

/// Where the rows of a shard lie.
fn rows_folder(checkpoint: &Path, shard: usize, shards: usize) -> PathBuf {
    let rows = checkpoint.join(STORE);
    if shards == 1 { rows } else { rows.join(format!("shard-{shard:04}-of-{shards:04}")) }
}

fn dense_file(checkpoint: &Path) -> PathBuf {
    checkpoint.join(DENSE_FILE)
}

/// Reads weights and accumulators of a checkpoint.
///
/// # Errors
/// [`Error::Damaged`] names the file.
pub fn load_dense(checkpoint: &Path) -> Result<Dense, Error> {
    let path = dense_file(checkpoint);
    let mut dense = Dense {
        parameters: BTreeMap::new(),
        accumulators: BTreeMap::new(),
        weighting: BTreeMap::new(),
    };
    for (name, tensor) in tensor_file::read(&path)? {
        if let Some(name) = name.strip_prefix(WEIGHT) {
            dense.parameters.insert(name.into(), tensor);
        } else if let Some(name) = name.strip_prefix(ACCUMULATOR) {
            dense.accumulators.insert(name.into(), tensor.values);
        } else if let Some(name) = name.strip_prefix(WEIGHTING) {
            dense.weighting.insert(name.into(), tensor.values);
        } else {
            let reason = format!("tensor {name:?} is no weight, accumulator or weighting");
            return Err(Error::Damaged { path, reason });
        }
    }
    Ok(dense)
}

/// Reads the rows of shard number `shard` of a checkpoint, to train on.
///
/// # Errors
/// Files that are damaged or belong to another run.
pub fn load_rows(
    checkpoint: &Path,
    config: &Config,
    schema: &Schema,
    shard: usize,
) -> Result<Store, Error> {
    let shards = config.training.shards;
    let (rows, store) = (rows_folder(checkpoint, shard, shards), config.store.of_shard(shards));
    Ok(Store::load(&rows, config.tables(schema), store, config.seed)?)
}

/// Maps the rows of all shards of a checkpoint, to read them only; every byte has been compared with its checksum.
///
/// # Errors
/// Files that are damaged or belong to another run.
pub fn map_store(
    checkpoint: &Path,
    config: &Config,
    schema: &Schema,
) -> Result<MappedStore, Error> {
    let (tables, shards) = (config.tables(schema), config.training.shards);
    let folders: Vec<PathBuf> =
        (0..shards).map(|shard| rows_folder(checkpoint, shard, shards)).collect();
    let store = MappedStore::open(&folders, &tables, config.seed)?;
    store.verify()?;
    Ok(store)
}
