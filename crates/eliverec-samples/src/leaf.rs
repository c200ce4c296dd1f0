//! The leaf of a plan: days of the log or files that tasks have made, read on threads that may block.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::{EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr};
use datafusion_physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion_physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion_physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use crate::error::Error;
use crate::rows::columns;

/// What a leaf reads, piece by piece.
pub(crate) trait Pieces: fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// How many there are.
    fn count(&self) -> usize;

    /// Hands on the rows of piece `i` in batches until `send` wants no more.
    fn read(
        &self,
        i: usize,
        send: &mut dyn FnMut(RecordBatch) -> bool,
    ) -> std::result::Result<(), Error>;
}

/// Reads pieces; partition i of n has the pieces i, i + n, ...
#[derive(Debug)]
pub(crate) struct LeafExec<P> {
    pieces: Arc<P>,
    partitions: usize,
    properties: Arc<PlanProperties>,
}

impl<P: Pieces> LeafExec<P> {
    /// In any order, in so many partitions at most.
    pub(crate) fn new(pieces: P, threads: usize) -> Self {
        let partitions = threads.min(pieces.count()).max(1);
        Self::of(pieces, partitions, EquivalenceProperties::new(columns()))
    }

    /// In a partition each, whose rows are in that order.
    pub(crate) fn sorted(pieces: P, order: LexOrdering) -> Self {
        let partitions = pieces.count().max(1);
        let ordered = EquivalenceProperties::new_with_orderings(columns(), [order]);
        Self::of(pieces, partitions, ordered)
    }

    fn of(pieces: P, partitions: usize, rows: EquivalenceProperties) -> Self {
        let properties = PlanProperties::new(
            rows,
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { pieces: Arc::new(pieces), partitions, properties: Arc::new(properties) }
    }
}

impl<P: Pieces> DisplayAs for LeafExec<P> {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeafExec: {}", self.pieces)
    }
}

impl<P: Pieces> ExecutionPlan for LeafExec<P> {
    fn name(&self) -> &'static str {
        "LeafExec"
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
        // Two batches wait for the operators.
        let mut stream = RecordBatchReceiverStreamBuilder::new(columns(), 2);
        let sender = stream.tx();
        let (pieces, step) = (Arc::clone(&self.pieces), self.partitions);
        stream.spawn_blocking(move || {
            let mut send = |batch| sender.blocking_send(Ok(batch)).is_ok();
            for i in (partition..pieces.count()).step_by(step) {
                pieces.read(i, &mut send).map_err(DataFusionError::from)?;
            }
            Ok(())
        });
        Ok(stream.build())
    }
}
