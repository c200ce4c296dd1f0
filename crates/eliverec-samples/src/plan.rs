//! The plans by name, and the engine that runs them.
//!
//! ```text
//! scan channels > channels [> products < scan products] > users < scan users
//!                                                         users > sorted requests
//! ```
//!
//! A task of a job has one drive of these, for its shard of the keys, and in place of the drive below it what the tasks of the phase
//! before have made.
//!
//! `>` into a drive is an exchange by key and a sort, which the engine's own rule puts where [`DriveExec`] asks for
//! them. The product plan is there only if the schema asks for the popularity of products.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use datafusion_common::Result;
use datafusion_execution::TaskContext;
use datafusion_execution::config::SessionConfig;
use datafusion_execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion_execution::runtime_env::RuntimeEnvBuilder;
use datafusion_physical_optimizer::PhysicalOptimizerRule;
use datafusion_physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion_physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::sorts::sort::SortExec;
use datafusion_physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion_physical_plan::union::UnionExec;
use eliverec_tables::events::Store;

use crate::channels::ChannelDrive;
use crate::context::Context;
use crate::drive::{Drive, DriveExec, MakeDrive, ordering};
use crate::exchange_scan::ExchangeFiles;
use crate::leaf::LeafExec;
use crate::memory::EqualShares;
use crate::products::ProductDrive;
use crate::record::{Phase, RowsFile};
use crate::rows::BATCH_REQUESTS;
use crate::scan::{LogDays, Route};
use crate::users::UserDrive;

pub(crate) type Plan = Arc<dyn ExecutionPlan>;

fn drive<D: Drive + 'static>(
    name: &'static str,
    input: Plan,
    context: &Arc<Context>,
    new: fn(Arc<Context>) -> D,
) -> Plan {
    let context = Arc::clone(context);
    let make: MakeDrive = Arc::new(move || Box::new(new(Arc::clone(&context))));
    Arc::new(DriveExec::new(name, input, make))
}

/// One row per request, sorted by moment and id, in one partition.
pub(crate) fn requests(context: &Arc<Context>, session: &SessionConfig) -> Result<Plan> {
    let scan = |route| scan(context, route);
    let mut channels = drive("channels", scan(Route::Channels), context, ChannelDrive::new);
    if context.wanted.popularity {
        let both = UnionExec::try_new(vec![channels, scan(Route::Products)])?;
        channels = drive("products", both, context, ProductDrive::new);
    }
    let both = UnionExec::try_new(vec![channels, scan(Route::Users)])?;
    sorted_requests(both, context, session)
}

/// The drive by user, and its requests in order.
fn sorted_requests(both: Plan, context: &Arc<Context>, session: &SessionConfig) -> Result<Plan> {
    let users = drive("users", both, context, UserDrive::new);
    let options = session.options();
    let users = EnsureRequirements::new().optimize(users, options)?;
    // After the rule, which takes away a merge that no operator asks for.
    let order = ordering()?;
    let sorted = SortExec::new(order.clone(), users).with_preserve_partitioning(true);
    let merged: Plan = Arc::new(SortPreservingMergeExec::new(order, Arc::new(sorted)));
    SanityCheckPlan::new().optimize(merged, options)
}

/// One phase of a job, for the keys that the context has: rows for the next phase in any order, or, by user, requests in order.
pub(crate) fn phase(
    phase: Phase,
    before: ExchangeFiles,
    context: &Arc<Context>,
    session: &SessionConfig,
) -> Result<Plan> {
    let scan = |route| scan(context, route);
    let before: Plan = Arc::new(LeafExec::new(before, context.config.threads));
    let driven = match phase {
        Phase::Channels => drive("channels", scan(Route::Channels), context, ChannelDrive::new),
        Phase::Products => {
            let both = UnionExec::try_new(vec![before, scan(Route::Products)])?;
            drive("products", both, context, ProductDrive::new)
        }
        Phase::Users => {
            let both = UnionExec::try_new(vec![before, scan(Route::Users)])?;
            return sorted_requests(both, context, session);
        }
    };
    let options = session.options();
    SanityCheckPlan::new().optimize(EnsureRequirements::new().optimize(driven, options)?, options)
}

/// The requests that tasks have made, each file in order, in one order.
pub(crate) fn gathered(store: &Store, files: Vec<RowsFile>) -> Result<Plan> {
    let order = ordering()?;
    let files = ExchangeFiles { store: store.clone(), files };
    let sorted = LeafExec::sorted(files, order.clone());
    Ok(Arc::new(SortPreservingMergeExec::new(order, Arc::new(sorted))))
}

/// Rows of the log.
fn scan(context: &Context, route: Route) -> Plan {
    Arc::new(LeafExec::new(LogDays::new(&context.source, route), context.config.threads))
}

/// The engine's settings.
pub(crate) fn session(context: &Context) -> SessionConfig {
    let config = &context.config;
    // What a sort sets aside for its merge while it takes rows in.
    let reserved = shares(context).share() / 2;
    SessionConfig::new()
        .with_batch_size(BATCH_REQUESTS)
        .with_target_partitions(config.threads)
        .with_round_robin_repartition(false)
        .with_sort_spill_reservation_bytes(reserved)
}

fn shares(context: &Context) -> EqualShares {
    // Channels, users and requests; products.
    let sorts = 3 + usize::from(context.wanted.popularity);
    EqualShares::new(context.config.memory_limit_bytes, context.config.threads, sorts)
}

/// Where plans run: memory up to the limit, and files in `folder` beyond it.
pub(crate) fn task(
    context: &Context,
    session: SessionConfig,
    folder: &Path,
) -> Result<Arc<TaskContext>> {
    let disk =
        DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![folder.into()]));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(shares(context)))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    Ok(Arc::new(TaskContext::new(
        None,
        "samples".into(),
        session,
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        runtime,
    )))
}
