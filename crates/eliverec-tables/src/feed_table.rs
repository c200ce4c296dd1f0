//! Feeds in memory, as record batches of any program: read, checked and scored as those of files are.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use eliverec_core::batch::Lengths;
use eliverec_core::{Normalization, Schema};

use crate::batches::{Batches, Order};
use crate::error::Error;
use crate::file_columns::KnownColumns;
use crate::id_types::{IdTypes, id_columns};
use crate::layout::Split;
use crate::plain::plain_columns;
use crate::read::FeedReader;
use crate::table_rows::{TABLE, TABLE_TS_UNIT, TableRows};

/// Feeds of one schema; rows are decoded as they are asked for, columns are checked at once.
#[derive(Debug)]
pub struct FeedTable {
    schema: Arc<Schema>,
    batches: Arc<[RecordBatch]>,
    /// In plain types.
    columns: SchemaRef,
}

impl FeedTable {
    /// Takes record batches with the columns of docs/feeds.md, in any type of Arrow that is accepted there.
    ///
    /// # Errors
    /// No rows, a column that is missing, stands twice or has another type, ids of a vocabulary that are integers in one column
    /// and text in another, and rows that say that they are of another schema. Messages call the feeds `table`.
    pub fn new(
        schema: Arc<Schema>,
        columns: &ArrowSchema,
        batches: Vec<RecordBatch>,
    ) -> Result<Self, Error> {
        let (path, known) = (Path::new(TABLE), KnownColumns::new(&schema));
        known.check_fingerprint(path, |key| columns.metadata().get(key).map(String::as_str))?;
        let columns = plain_columns(columns, &schema);
        let (_, id_types) = known.check(path, &columns, TABLE_TS_UNIT)?;
        IdTypes::new(id_columns(&schema)).check(path, &id_types)?;
        if batches.iter().all(|batch| batch.num_rows() == 0) {
            return Err(Error::directory(path, "has no rows; give at least one feed"));
        }
        Ok(Self { schema, batches: batches.into(), columns })
    }

    /// Its schema.
    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Its rows, from the first.
    pub(crate) fn rows(&self) -> TableRows {
        TableRows::new(Arc::clone(&self.batches), Arc::clone(&self.columns))
    }

    /// Its feeds in batches, in the order of the rows, as [`FeedDirectory::batches`](crate::FeedDirectory::batches).
    pub fn batches(
        &self,
        schema: &Arc<Schema>,
        normalization: &Normalization,
        lengths: Lengths,
        max_impressions: usize,
    ) -> Batches {
        let feeds = FeedReader::of_table(&self.schema, self.rows());
        // No message names the split: the only one that would is of feeds with labels beside feeds without.
        let split = Split::Test;
        let order = Order::OfTheRows(feeds);
        Batches::new(split, Arc::clone(schema), normalization, lengths, max_impressions, order)
    }
}
