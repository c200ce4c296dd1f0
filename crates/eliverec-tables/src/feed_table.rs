//! Feeds in memory, as record batches of any program: read, checked and scored as those of files are.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef, TimeUnit};
use eliverec_core::batch::Lengths;
use eliverec_core::{Normalization, Schema};

use crate::arrow_schema::{STANDS_TWICE, stands_twice};
use crate::batches::{Batches, Order};
use crate::decode::{decode, wanted};
use crate::error::Error;
use crate::footer::{check_schema, located};
use crate::id_types::{IdTypes, id_columns, of_file};
use crate::layout::Split;
use crate::plain::plain_columns;
use crate::table_rows::{TABLE, TableFeeds, TableRows};

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
        let path = Path::new(TABLE);
        let value = |key: &str| columns.metadata().get(key).map(String::as_str);
        check_schema(path, value, &schema)?;
        if let Some(field) = stands_twice(columns, &wanted(&schema)) {
            return Err(Error::Column { path: path.into(), field, reason: STANDS_TWICE.into() });
        }
        let columns = plain_columns(columns, &schema);
        let no_rows = RecordBatch::new_empty(Arc::clone(&columns));
        decode(&schema, TimeUnit::Millisecond, &no_rows)
            .map_err(|problem| located(path, 0, problem))?;
        let ids = id_columns(&schema);
        let types = of_file(&ids, None, &columns);
        IdTypes::new(ids).check(path, &types)?;
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
        normalization: &Normalization,
        lengths: Lengths,
        max_impressions: usize,
    ) -> Batches {
        let schema = Arc::clone(&self.schema);
        let feeds = TableFeeds::new(Arc::clone(&schema), self.rows());
        // No message names the split: the only one that would is of feeds with labels beside feeds without.
        let split = Split::Test;
        let order = Order::OfTheTable(feeds);
        Batches::new(split, schema, normalization, lengths, max_impressions, order)
    }
}
