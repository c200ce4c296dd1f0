//! How fast a model learns: whole updates on a synthetic batch, against what the machine's matrix product allows.
//!
//! Timings of shared machines drift, so the product is timed in the same process before and after, and the result is a
//! share of the rate at which the model's own products would run at that speed.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor};
use eliverec_core::batch::Lengths;
use eliverec_core::feed::Column;
use eliverec_core::profile;
use eliverec_core::schema::{Field, Group, Kind, Vocabulary};
use eliverec_core::seed::{Random, stream};
use eliverec_core::{BatchBuilder, Feed, Normalization, Schema, TableSpec};
use eliverec_models::parameters;
use eliverec_run::{Config, Prepared};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::error::Error;
use crate::learner::Learner;

/// Sizes of the benchmark.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sizes {
    /// Feeds in a batch.
    pub feeds: usize,
    /// Impressions of each.
    pub candidates: usize,
    /// Events in each history.
    pub length: usize,
    /// Different ids of either domain.
    pub ids: usize,
    /// Updates that are timed together.
    pub steps: u64,
    /// How often.
    pub repeats: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { feeds: 256, candidates: 8, length: 50, ids: 20_000, steps: 3, repeats: 7 }
    }
}

/// What of the learner is large: what a rank of many would send, and keep.
#[derive(Clone, Debug, Serialize)]
pub struct Extent {
    /// Numbers of all dense parameters.
    pub dense_parameters: u64,
    /// The tables of embedding rows.
    pub tables: Vec<TableExtent>,
    /// Bytes that a row takes in memory on average, vector, accumulator and index, after the last update.
    pub row_bytes: f64,
}

/// One table.
#[derive(Clone, Debug, Serialize)]
pub struct TableExtent {
    /// Its name.
    pub name: String,
    /// Numbers of a row's vector.
    pub width: usize,
    /// Different rows in a batch, the mean of those that were timed.
    pub rows_per_batch: f64,
}

impl Extent {
    fn of(learner: &Learner, batches: &[Prepared]) -> Self {
        let parameters = parameters::export(&learner.model);
        let table = |spec: &TableSpec| {
            let rows = |of: &Prepared| of.unique.of_key(spec.key).map_or(0, |(ids, _)| ids.len());
            let rows: usize = batches.iter().map(rows).sum();
            let rows_per_batch = rows as f64 / batches.len() as f64;
            TableExtent { name: spec.name.clone(), width: spec.width, rows_per_batch }
        };
        // Of one process: its stores are all that there are.
        let rows: usize = learner.store.rows().sum();
        Self {
            dense_parameters: parameters.values().map(|of| of.values.len() as u64).sum(),
            tables: learner.tables().iter().map(table).collect(),
            row_bytes: learner.store.memory_bytes() as f64 / rows.max(1) as f64,
        }
    }
}

/// Where the time of the updates went.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// Shares of the time that all threads had, by kind of work.
    pub shares: Vec<Share>,
    /// Updates that they are of.
    pub updates: u64,
}

/// What a kind of work took.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    /// [`profile::Part::name`]; beside them `library`, what else the process computed, most of it the tensor library's own operations and
    /// their graph, and `idle`, when threads waited.
    pub work: &'static str,
    /// Of the time that all threads had, 0 to 1.
    pub share: f64,
}

impl Profile {
    /// From the wall's seconds with so many threads, those of the process and those of the parts.
    fn of(
        [wall, process]: [f64; 2],
        threads: usize,
        parts: &[(profile::Part, Duration)],
        updates: u64,
    ) -> Self {
        let all = wall * threads as f64;
        let own: f64 = parts.iter().map(|(_, time)| time.as_secs_f64()).sum();
        let rest = [("library", process - own), ("idle", all - process)];
        let own = parts.iter().map(|(part, time)| (part.name(), time.as_secs_f64()));
        let shares = own.chain(rest.map(|(work, seconds)| (work, seconds.max(0.0))));
        let share = |(work, seconds)| Share { work, share: seconds / all };
        Self { shares: shares.map(share).collect(), updates }
    }
}

/// Seconds of processor time that this process has had.
fn process_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    /// Registry name.
    pub model: String,
    /// Width d.
    pub width: usize,
    /// Worker threads.
    pub threads: usize,
    /// Sizes.
    pub sizes: Sizes,
    /// Impressions per second, the middle of the repeats.
    pub median: f64,
    /// The slowest.
    pub min: f64,
    /// The fastest.
    pub max: f64,
    /// Matrix product before, GFLOP/s.
    pub gemm_before: f64,
    /// Matrix product after, GFLOP/s.
    pub gemm_after: f64,
    /// Impressions per second if only the products of the model took time; absent for models whose products nobody counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<f64>,
    /// `median / ceiling`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Where the time went, if that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// What a rank of many would send, and keep.
    pub extent: Extent,
    /// Last loss, to see that something was learned.
    pub loss: f32,
}

/// Times updates of the model that `config` asks for, and where their time goes if `profiled`; `report` hears of every repeat.
///
/// # Errors
/// Configs that cannot be built, a loss that is no number.
pub fn train(
    config: &Config,
    sizes: Sizes,
    profiled: bool,
    mut report: impl FnMut(usize, f64),
) -> Result<Timing, Error> {
    let schema = schema();
    let mut learner = Learner::new(config, &schema, &Normalization::default())?;
    let lengths = config.settings().lengths();
    let batches: Vec<Prepared> =
        (0..sizes.steps).map(|i| batch(&schema, sizes, lengths, config.seed + i)).collect();
    let impressions = (sizes.feeds * sizes.candidates) as f64 * sizes.steps as f64;
    let gemm_before = gemm();
    let (mut rates, mut loss, mut step) = (Vec::new(), 0.0, 0);
    let mut profiled_from = None;
    // The first round admits the rows and warms the allocator up.
    for repeat in 0..=sizes.repeats {
        let begun = Instant::now();
        for prepared in &batches {
            let measured = learner.update(config, &schema, prepared, step)?;
            let measured = measured.map_err(|number| Error::NotFinite {
                step,
                term: number.term,
                value: number.value,
                batch: "synthetic batch".into(),
            })?;
            loss = measured.loss;
            step += 1;
        }
        let rate = impressions / begun.elapsed().as_secs_f64();
        if repeat > 0 {
            rates.push(rate);
            report(repeat, rate);
        } else if profiled {
            profile::start();
            profiled_from = Some((Instant::now(), process_seconds()));
        }
    }
    let threads = rayon::current_num_threads();
    let profile = profiled_from.map(|(begun, process)| {
        let seconds = [begun.elapsed().as_secs_f64(), process_seconds() - process];
        let updates = sizes.steps * sizes.repeats as u64;
        Profile::of(seconds, threads, &profile::stop(), updates)
    });
    let gemm_after = gemm();
    rates.sort_by(f64::total_cmp);
    let median = rates[rates.len() / 2];
    let ceiling = operations(config, &schema, sizes)
        .map(|operations| f64::midpoint(gemm_before, gemm_after) * 1e9 / operations);
    Ok(Timing {
        model: config.model.name().into(),
        width: config.input.width,
        threads,
        sizes,
        median,
        min: rates[0],
        max: rates[rates.len() - 1],
        gemm_before,
        gemm_after,
        ceiling,
        share: ceiling.map(|ceiling| median / ceiling),
        profile,
        extent: Extent::of(&learner, &batches),
        loss,
    })
}

/// GFLOP/s of a product of two matrices of 1024 x 1024, the best of several.
fn gemm() -> f64 {
    const SIZE: usize = 1_024;
    let device = Device::flex();
    let random = || Tensor::<2>::random([SIZE, SIZE], Distribution::Default, &device);
    let (a, b) = (random(), random());
    let mut best = 0.0_f64;
    for _ in 0..20 {
        let begun = Instant::now();
        let product = a.clone().matmul(b.clone());
        let seconds = begun.elapsed().as_secs_f64();
        drop(product);
        best = best.max(2.0 * (SIZE as f64).powi(3) / seconds / 1e9);
    }
    best
}

/// Floating-point operations of the products of one update, forward and backward, per impression: transformer blocks, target
/// attention and tower of `elive`.
fn operations(config: &Config, schema: &Schema, sizes: Sizes) -> Option<f64> {
    use eliverec_models::registry::ModelConfig;
    use eliverec_models::zoo::elive::EncoderKind;
    let ModelConfig::Elive(model) = &config.model else { return None };
    if model.encoder != EncoderKind::Transformer {
        return None;
    }
    let (d, l, c) = (config.input.width as f64, sizes.length as f64, sizes.candidates as f64);
    let domains = if config.settings().has_products(schema) { 2.0 } else { 1.0 };
    let f = d * model.ffn_ratio as f64;
    // Q, K, V, output; expand and contract; Q K^T and its product with V.
    let block = l * (4.0 * d * d + 2.0 * d * f) + 2.0 * l * l * d;
    let encoder = domains * model.blocks as f64 * block / c;
    let vectors = if model.disentangle { 2.0 } else { 1.0 };
    let attention = domains * vectors * 2.0 * l * d;
    let mut widths = vec![(2.0 + domains * vectors) * d];
    widths.extend(config.tower.widths.iter().map(|width| *width as f64));
    widths.push(1.0);
    let tower: f64 = widths.windows(2).map(|pair| pair[0] * pair[1]).sum();
    // Two operations per multiplication; the backward pass has two products for each of the forward's.
    Some(2.0 * 3.0 * (encoder + attention + tower))
}

fn schema() -> Schema {
    let names = ["user", "product", "channel"];
    let field = |name: &str, vocabulary: &str| Field {
        name: name.into(),
        kind: Kind::Categorical { vocabulary: vocabulary.into() },
    };
    Schema {
        name: "synthetic".into(),
        vocabulary: names
            .map(|name| Vocabulary { name: name.into(), width: None, min_count: 1 })
            .into(),
        user: vec![field("user_id", "user")],
        product: vec![field("product_id", "product")],
        channel: vec![field("channel_id", "channel")],
        ..Schema::default()
    }
}

/// Full histories, ids drawn uniformly, every feed of another user.
fn batch(schema: &Schema, sizes: Sizes, lengths: Lengths, seed: u64) -> Prepared {
    let mut random = Random::new(stream(seed, "bench"));
    let normalization = Normalization::default();
    let mut builder = BatchBuilder::new(schema, &normalization, lengths);
    for i in 0..sizes.feeds {
        let mut ids = |count: usize| {
            Column::Ids((0..count).map(|_| random.below(sizes.ids) as u64).collect())
        };
        let mut feed = Feed::empty(schema);
        feed.request_id = i as u64;
        feed.user_id = i as u64;
        feed.user[0] = Column::Ids(vec![i as u64]);
        feed.products.entity[0] = ids(sizes.length);
        feed.channels.entity[0] = ids(sizes.length);
        feed.candidates.channel[0] = ids(sizes.candidates);
        let ages = || (0..sizes.length).rev().map(|age| age as f32 * 60.0).collect();
        (feed.products.age_s, feed.channels.age_s) = (ages(), ages());
        feed.candidates.position = vec![None; sizes.candidates];
        let labels = feed.candidates.labels.get_or_insert_default();
        labels.watched = (0..sizes.candidates).map(|_| random.below(8) == 0).collect();
        // For configs with inter-channel tasks: every watch has a stay and a known answer to both clicks.
        let every = |i: usize, nth: usize| f32::from(u8::from(i.is_multiple_of(nth)));
        let known = |label: &dyn Fn(usize) -> f32| -> Vec<Option<f32>> {
            let watched = labels.watched.iter().enumerate();
            watched.map(|(i, watched)| watched.then(|| label(i))).collect()
        };
        let stay_s = known(&|i| 20.0 + i as f32);
        labels.tasks = vec![stay_s, known(&|i| every(i, 2)), known(&|i| every(i, 3))];
        builder.push(&feed).expect("synthetic feeds keep the contract");
    }
    let batch = builder.finish().expect("at least one feed");
    debug_assert_eq!(batch.entities(Group::Candidate), sizes.feeds * sizes.candidates);
    Prepared::of(schema, batch)
}
