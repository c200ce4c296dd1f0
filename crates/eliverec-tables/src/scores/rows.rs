//! Scores as rows: what a score file holds, for those who want it in memory, too.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float32Builder, ListBuilder, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use eliverec_core::offsets::Offsets;

use super::original::Originals;
use crate::error::{Error, cannot_write};

/// Lists `[b]` by the name of their column.
pub type NamedLists = Vec<(String, Vec<Vec<f32>>)>;

/// The scores of some requests.
#[derive(Debug)]
pub struct ScoredFeeds<'a> {
    /// Their ids.
    pub ids: Originals,
    /// From request to candidates.
    pub candidates: &'a Offsets,
    /// Named numbers of every candidate `[n]`; the same names in every call.
    pub numbers: Vec<(String, Vec<f32>)>,
    /// Named lists of every request `[b]`, the same for all of its candidates; the same names in every call.
    pub lists: NamedLists,
}

impl ScoredFeeds<'_> {
    /// One row per candidate, in the columns of [`crate::scores`]; `path` is where they go, for messages.
    ///
    /// # Errors
    /// Two columns of one name, because of a field or a task of that name.
    pub fn rows(self, path: &Path) -> Result<RecordBatch, Error> {
        let owners = UInt32Array::from(self.candidates.owners());
        let repeat =
            |array: &ArrayRef| take(array, &owners, None).map_err(|e| cannot_write(path, &e));
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("request_id".into(), repeat(&self.ids.request_id)?),
            ("user_id".into(), repeat(&self.ids.user_id)?),
        ];
        columns.extend(self.ids.candidates);
        columns.push(("position".into(), Arc::new(self.ids.position)));
        for (name, numbers) in self.numbers {
            columns.push((name, Arc::new(Float32Array::from(numbers))));
        }
        for (name, lists) in self.lists {
            let mut builder = ListBuilder::new(Float32Builder::new());
            for (list, range) in lists.iter().zip(self.candidates.ranges()) {
                for _ in range {
                    builder.values().append_slice(list);
                    builder.append(true);
                }
            }
            columns.push((name, Arc::new(builder.finish())));
        }
        let mut names = BTreeSet::new();
        if let Some((name, _)) = columns.iter().find(|(name, _)| !names.insert(name.as_str())) {
            let reason = format!(
                "would have two columns {name}; rename the channel's field or the task of that name"
            );
            return Err(Error::directory(path, reason));
        }
        let fields = columns.iter().map(|(name, array)| {
            Field::new(name, array.data_type().clone(), name == "position" || is_list(array))
        });
        let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        RecordBatch::try_new(schema, arrays).map_err(|e| cannot_write(path, &e))
    }
}

fn is_list(array: &ArrayRef) -> bool {
    matches!(array.data_type(), DataType::List(_))
}
