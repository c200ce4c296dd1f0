//! All tables together: the interface of training and evaluation.
//!
//! Tables are independent, so they are served in parallel; no number depends on the threads.

use std::path::Path;

use eliverec_core::TableSpec;
use eliverec_core::unique::UniqueIds;
use rayon::prelude::*;

use crate::config::{StoreConfig, check_specs};
use crate::error::Error;
use crate::file;
use crate::gather::Gathered;
use crate::table::Table;

/// Rows to look up: of a store in training, or of a saved one.
pub trait RowReader: std::fmt::Debug + Sync {
    /// The rows of ids, by table, row-major `[distinct ids, width]`. An id without a row gets the rare-id row if that was
    /// ever trained, else the value that its row would start from.
    ///
    /// # Panics
    /// If `unique` lacks the vocabulary of a table.
    fn gather(&self, unique: &UniqueIds) -> Vec<Vec<f32>>;

    /// Writes the row that [`RowReader::gather`] gives for an id of table number `table` into `to` `[width]`, on the calling thread.
    ///
    /// # Panics
    /// If there are fewer tables, or `to` is not as wide as the table.
    fn read(&self, table: usize, id: u64, to: &mut [f32]);
}

/// Embedding tables: those of the schema's vocabularies, then a model's own.
#[derive(Debug)]
pub struct Store {
    pub(crate) seed: u64,
    pub(crate) config: StoreConfig,
    pub(crate) tables: Vec<Table>,
}

impl Store {
    /// An empty store.
    ///
    /// # Errors
    /// [`Error::Config`] for options or vocabularies that cannot work.
    pub fn new(seed: u64, specs: Vec<TableSpec>, config: StoreConfig) -> Result<Self, Error> {
        config.check()?;
        check_specs(&specs)?;
        let name = |spec: &TableSpec| {
            let first = specs.iter().find(|other| other.key == spec.key);
            first.unwrap_or(spec).name.clone()
        };
        let dropout: Vec<String> = specs.iter().map(name).collect();
        let tables = specs.into_iter().zip(&dropout);
        let tables = tables.map(|(spec, dropout)| Table::new(seed, spec, dropout, &config));
        Ok(Self { seed, tables: tables.collect(), config })
    }

    /// The rows of a training batch, `step` counted from 0 over all epochs.
    ///
    /// In this order: ids older than `max_age_steps` are forgotten; the batch is counted; ids that have now been seen
    /// `min_count` times get a row, for which others are evicted if need be; every other id, and by `id_dropout` some
    /// that have a row, get the rare-id row. If a batch alone has more ids than `max_rows`, the largest ids share the
    /// rare-id row. No row that the batch uses is ever evicted for it.
    ///
    /// # Panics
    /// If `unique` lacks the vocabulary of a table.
    pub fn gather_for_training(&mut self, unique: &UniqueIds, step: u64) -> Gathered {
        let config = &self.config;
        let (rows, places) = self
            .tables
            .par_iter_mut()
            .map(|table| {
                let (ids, counts) = ids_of(&table.spec, unique);
                table.gather_for_training(ids, counts, step, config)
            })
            .unzip();
        Gathered { rows, places }
    }

    /// Updates the rows of `gathered` with the gradients of its blocks, as update number `step`.
    ///
    /// # Errors
    /// [`Error::Gradient`] for gradients of another shape, for NaN or infinity, and if rows were evicted since the
    /// blocks were gathered. Nothing has changed then.
    pub fn scatter(
        &mut self,
        gathered: &Gathered,
        gradients: &[Vec<f32>],
        step: u64,
    ) -> Result<(), Error> {
        self.check_gradients(gathered, gradients)?;
        let rare = self.rare_sums(gathered, gradients);
        self.scatter_with(gathered, gradients, &rare, step);
        Ok(())
    }

    /// Whether gradients fit what was gathered; see [`Store::scatter`].
    ///
    /// # Errors
    /// [`Error::Gradient`]
    pub fn check_gradients(
        &self,
        gathered: &Gathered,
        gradients: &[Vec<f32>],
    ) -> Result<(), Error> {
        if gathered.places.len() != self.tables.len() || gradients.len() != self.tables.len() {
            return Err(Error::Gradient {
                vocabulary: "all".into(),
                reason: format!(
                    "there are {} gradients and {} blocks for {} vocabularies",
                    gradients.len(),
                    gathered.places.len(),
                    self.tables.len()
                ),
            });
        }
        let work = gathered.places.par_iter().zip(gradients);
        self.tables
            .par_iter()
            .zip(work)
            .map(|(table, (places, gradient))| table.check_gradient(places, gradient))
            // Collected, so that the first vocabulary is named and not the fastest.
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }

    /// By table the gradient of the rare-id row: the sum over the ids that shared it, empty where none did. The gradients are
    /// checked.
    pub fn rare_sums(&self, gathered: &Gathered, gradients: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let work = gathered.places.par_iter().zip(gradients);
        let sum = |(table, (places, gradient)): (&Table, (_, &Vec<f32>))| {
            table.rare_sum(places, gradient).unwrap_or_default()
        };
        self.tables.par_iter().zip(work).map(sum).collect()
    }

    /// As [`Store::scatter`], with the gradients of the rare-id rows, `rare`, given: where several stores have the rows of a table
    /// among them, each of these rows is one. The gradients are checked.
    pub fn scatter_with(
        &mut self,
        gathered: &Gathered,
        gradients: &[Vec<f32>],
        rare: &[Vec<f32>],
        step: u64,
    ) {
        let work = gathered.places.par_iter().zip(gradients).zip(rare);
        let (rule, rate) = (self.config.adagrad, self.config.learning_rate);
        self.tables.par_iter_mut().zip(work).for_each(|(table, ((places, gradient), rare))| {
            table.scatter(places, [gradient, rare], step, rule, rate);
        });
    }

    /// Rows of all tables.
    pub fn rows(&self) -> usize {
        self.tables.iter().map(Table::rows).sum()
    }

    /// Allocated bytes, spare capacity included.
    pub fn memory_bytes(&self) -> u64 {
        self.tables.iter().map(Table::memory_bytes).sum::<usize>() as u64
    }

    /// Writes the whole state into a directory, which is created if need be and may hold an earlier save.
    ///
    /// The rename of `store.json` is the commit point: killed at any moment, the directory holds the earlier save or
    /// this one. Rows are streamed; besides buffers, saving needs 16 bytes per row of the largest vocabulary.
    ///
    /// # Errors
    /// [`Error::Io`] names the path.
    pub fn save(&self, directory: &Path) -> Result<(), Error> {
        file::save(&self.tables, self.seed, self.config.init_std, directory)
    }

    /// Reads what [`Store::save`] wrote, bit for bit: the run goes on as if it had never stopped.
    ///
    /// # Errors
    /// [`Error::Damaged`] for truncated, changed or foreign files, [`Error::Mismatch`] for another seed or other
    /// vocabularies, [`Error::Config`] as in [`Store::new`].
    pub fn load(
        directory: &Path,
        specs: Vec<TableSpec>,
        config: StoreConfig,
        seed: u64,
    ) -> Result<Self, Error> {
        let mut store = Self::new(seed, specs, config)?;
        file::load(&mut store.tables, seed, directory)?;
        Ok(store)
    }
}

impl RowReader for Store {
    fn gather(&self, unique: &UniqueIds) -> Vec<Vec<f32>> {
        let gather = |table: &Table| table.gather(ids_of(&table.spec, unique).0);
        self.tables.par_iter().map(gather).collect()
    }

    fn read(&self, table: usize, id: u64, to: &mut [f32]) {
        self.tables[table].read(id, to);
    }
}

/// The ids of a batch that name rows of a table, with their counts.
pub(crate) fn ids_of<'a>(spec: &TableSpec, unique: &'a UniqueIds) -> (&'a [u64], &'a [u32]) {
    unique.of_key(spec.key).expect("ids and store come from one schema")
}
