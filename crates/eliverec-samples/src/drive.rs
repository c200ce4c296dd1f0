//! The operator that drives folds: it asks the engine for all rows of a key in one partition and in order, and gives
//! them to a [`Drive`] one by one.
//!
//! The engine answers with its own exchange and its own sort, which goes to disk when memory is short. A window
//! function would ask for the same, but has to give one value per row, of a type that a query can name: events, which
//! give none, would be copied through it and filtered out, and a state that is read at requests would be turned into a
//! column at every row.

use std::fmt;
use std::sync::Arc;

use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning,
    PhysicalExpr, PhysicalSortExpr,
};
use datafusion_physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties,
};
use futures::StreamExt;

use crate::rows::{BATCH_ROWS, KEY, PLACE, Row, Rows, RowsBuilder, columns};

/// What is done with the rows of a partition, key by key.
pub(crate) trait Drive: Send {
    /// The next row; the rows of a key follow each other in the order of places.
    fn row(&mut self, row: Row<'_>, out: &mut RowsBuilder) -> Result<()>;

    /// There are no more rows of that key.
    fn end_key(&mut self, out: &mut RowsBuilder) -> Result<()>;

    /// There are no more rows.
    fn finish(&mut self) {}
}

/// Makes the drive of a partition.
pub(crate) type MakeDrive = Arc<dyn Fn() -> Box<dyn Drive> + Send + Sync>;

/// Runs a [`Drive`] over its input.
pub(crate) struct DriveExec {
    name: &'static str,
    input: Arc<dyn ExecutionPlan>,
    make: MakeDrive,
    properties: Arc<PlanProperties>,
}

impl DriveExec {
    pub(crate) fn new(name: &'static str, input: Arc<dyn ExecutionPlan>, make: MakeDrive) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(columns()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { name, input, make, properties: Arc::new(properties) }
    }
}

/// The order of places, ascending.
pub(crate) fn ordering() -> Result<LexOrdering> {
    let place: Arc<dyn PhysicalExpr> = Arc::new(Column::new_with_schema(PLACE, &columns())?);
    LexOrdering::new([PhysicalSortExpr::new_default(place)])
        .ok_or_else(|| DataFusionError::Internal("an ordering by no column".into()))
}

impl fmt::Debug for DriveExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriveExec").field("name", &self.name).finish_non_exhaustive()
    }
}

impl DisplayAs for DriveExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DriveExec: {}", self.name)
    }
}

impl ExecutionPlan for DriveExec {
    fn name(&self) -> &'static str {
        "DriveExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let key: Arc<dyn PhysicalExpr> = Arc::new(Column::new(KEY, 0));
        InputDistributionRequirements::new(vec![Distribution::KeyPartitioned(vec![key])])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![ordering().ok().map(OrderingRequirements::from)]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(self.name, children.swap_remove(0), Arc::clone(&self.make))))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        // Below here rows are small.
        let running = Running {
            input: self.input.execute(partition, with_batch_size(&context, BATCH_ROWS))?,
            drive: (self.make)(),
            key: None,
            out: RowsBuilder::default(),
            ended: false,
        };
        let batches = futures::stream::try_unfold(running, |mut running| async move {
            Ok(running.next().await?.map(|batch| (batch, running)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(columns(), batches)))
    }
}

/// The same context with other batches.
fn with_batch_size(context: &TaskContext, rows: usize) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        context.session_config().clone().with_batch_size(rows),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}

/// A drive at work on a partition.
struct Running {
    input: SendableRecordBatchStream,
    drive: Box<dyn Drive>,
    key: Option<u64>,
    out: RowsBuilder,
    ended: bool,
}

impl Running {
    async fn next(&mut self) -> Result<Option<arrow::array::RecordBatch>> {
        loop {
            if let Some(batch) = self.out.next_full() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            if let Some(batch) = self.input.next().await {
                for row in Rows::of(&batch?)?.iter() {
                    if self.key.replace(row.key).is_some_and(|before| before != row.key) {
                        self.drive.end_key(&mut self.out)?;
                    }
                    self.drive.row(row, &mut self.out)?;
                }
            } else {
                if self.key.is_some() {
                    self.drive.end_key(&mut self.out)?;
                }
                self.drive.finish();
                self.out.end_batch()?;
                self.ended = true;
            }
        }
    }
}
