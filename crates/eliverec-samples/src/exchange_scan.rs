//! The leaf that reads what tasks have made.

use std::fmt;
use std::sync::Arc;

use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::{EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr};
use datafusion_physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion_physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion_physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use eliverec_tables::events::Store;

use crate::record::RowsFile;
use crate::rows::columns;
use crate::rows_file::read;

/// Reads files of rows; partition i of n has the files i, i + n, ...
#[derive(Debug)]
pub(crate) struct ExchangeExec {
    store: Store,
    files: Arc<[RowsFile]>,
    partitions: usize,
    properties: Arc<PlanProperties>,
}

impl ExchangeExec {
    /// In any order, in so many partitions at most.
    pub(crate) fn new(store: &Store, files: Vec<RowsFile>, threads: usize) -> Self {
        let partitions = threads.min(files.len()).max(1);
        Self::of(store, files, partitions, EquivalenceProperties::new(columns()))
    }

    /// In a partition each, whose rows are in that order.
    pub(crate) fn sorted(store: &Store, files: Vec<RowsFile>, order: LexOrdering) -> Self {
        let partitions = files.len().max(1);
        let ordered = EquivalenceProperties::new_with_orderings(columns(), [order]);
        Self::of(store, files, partitions, ordered)
    }

    fn of(
        store: &Store,
        files: Vec<RowsFile>,
        partitions: usize,
        rows: EquivalenceProperties,
    ) -> Self {
        let properties = PlanProperties::new(
            rows,
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (store, files) = (store.clone(), files.into());
        Self { store, files, partitions, properties: Arc::new(properties) }
    }
}

impl DisplayAs for ExchangeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExchangeExec: {} files", self.files.len())
    }
}

impl ExecutionPlan for ExchangeExec {
    fn name(&self) -> &'static str {
        "ExchangeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        // As the leaf that reads the log: on threads that may block, two batches ahead.
        let mut stream = RecordBatchReceiverStreamBuilder::new(columns(), 2);
        let sender = stream.tx();
        let (store, files, step) = (self.store.clone(), Arc::clone(&self.files), self.partitions);
        stream.spawn_blocking(move || {
            for file in files.iter().skip(partition).step_by(step) {
                let mut send = |batch| sender.blocking_send(Ok(batch)).is_ok();
                read(&store, file, &mut send).map_err(DataFusionError::from)?;
            }
            Ok(())
        });
        Ok(stream.build())
    }
}
