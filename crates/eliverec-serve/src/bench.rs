//! How fast one request is scored: processor time of one thread, against what the same thread's matrix product reaches meanwhile.
//!
//! Machines are shared and their clocks change, so the clock that counts is that of the thread, and a product of known size is timed
//! between the requests: the share of its rate says more than milliseconds do.

use eliverec_core::seed::{Random, stream};
use eliverec_core::toy::{self, Counts};
use eliverec_core::{Batch, BatchBuilder, Feed, TaskKind};
use eliverec_models::fast::{Calibration, FastModel, Request, Room, Stage, Wanted};
use eliverec_run::{Error, Prepared, Scores, Scoring};
use serde::Serialize;

use crate::candidate_scorer::{CandidateScorer, Path};

/// Sizes of drawn requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Candidates of a request.
    pub candidates: usize,
    /// Events in each history.
    pub length: usize,
    /// Different ids of every vocabulary.
    pub ids: usize,
    /// Requests.
    pub requests: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { candidates: 100, length: 50, ids: 20_000, requests: 400 }
    }
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    /// Registry name.
    pub model: String,
    /// Width d.
    pub width: usize,
    /// Requests.
    pub requests: usize,
    /// Candidates of all requests.
    pub candidates: usize,
    /// Events of all histories.
    pub events: usize,
    /// Why the fast path does not take the model; then there is nothing but the general path.
    pub general: Option<String>,
    /// The matrix product that was timed between the requests, GFLOP/s, the middle.
    pub gemm: f64,
    /// The ways to score, each over all requests.
    pub ways: Vec<Way>,
    /// The greatest difference of the fast path's scores from the general one's.
    pub difference: Option<Difference>,
}

/// One way to score.
#[derive(Clone, Debug, Serialize)]
pub struct Way {
    /// Which.
    pub name: &'static str,
    /// Milliseconds of processor time: the middle, and those that nine in ten and 99 in a hundred requests stay below.
    pub p50_ms: f64,
    /// See `p50_ms`.
    pub p90_ms: f64,
    /// See `p50_ms`.
    pub p99_ms: f64,
    /// The middle of every stage's milliseconds; none on the general path.
    pub stages_ms: Vec<(&'static str, f64)>,
    /// Millions of operations of the matrix products of a request, the mean; absent on the general path, which counts none.
    pub mflop: Option<f64>,
    /// Their rate over the rate of the timed product, at the mean of the requests' times.
    pub share: Option<f64>,
}

/// The greatest differences between the two paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// Of probabilities, of a watch and of what happens after it.
    pub probability: f32,
    /// Of durations, over the larger of the duration and one second.
    pub duration: f32,
}

/// How the names of ways end that find the user's encoded side kept.
pub const KEPT: &str = "histories kept";

/// Requests for `sizes` of a model's schema, every one of another user.
///
/// # Errors
/// Settings that give no batch.
pub fn draw(scoring: &Scoring<'_>, sizes: Sizes) -> Result<Vec<Batch>, Error> {
    let mut random = Random::new(stream(scoring.config.seed, "bench/ranker"));
    let Sizes { candidates, length, ids, requests } = sizes;
    let counts = Counts { products: length, channels: length, candidates };
    let feeds: Vec<Feed> = (0..requests)
        .map(|user| {
            let feed = toy::draw(scoring.schema, counts, ids, &mut random);
            Feed { user_id: user as u64, ..feed }
        })
        .collect();
    batches(scoring, &feeds)
}

/// One batch per feed.
///
/// # Errors
/// A feed that is not one of the model's schema.
pub fn batches(scoring: &Scoring<'_>, feeds: &[Feed]) -> Result<Vec<Batch>, Error> {
    let lengths = scoring.config.settings().lengths();
    let batch = |feed: &Feed| {
        let mut builder = BatchBuilder::new(scoring.schema, scoring.normalization, lengths);
        builder.push(feed)?;
        Ok(builder.finish().expect("a feed was added"))
    };
    feeds.iter().map(batch).collect()
}

/// Times every way to score `requests`, request by request, so that all ways share the machine's good and bad moments. Call it on
/// the only thread of a pool: the general path may use all of them.
///
/// # Panics
/// Without requests.
pub fn ranker(scoring: &Scoring<'_>, requests: &[Batch]) -> Timing {
    // Enough for every user: what is kept is never evicted.
    let all = usize::MAX;
    let (fresh, kept) = (CandidateScorer::new(scoring, 0), CandidateScorer::new(scoring, all));
    let fast = fresh.path() == Path::Fast;
    let has_tasks = scoring.config.settings().heads.is_some();
    let mut ways = vec![Measured::new("general path")];
    if fast {
        ways.extend(["p(watch) alone", "p(watch) alone, histories kept"].map(Measured::new));
        if has_tasks {
            ways.extend(["all tasks", "all tasks, histories kept"].map(Measured::new));
        }
    }
    let mut gemm = Vec::new();
    let mut calibration = Calibration::new(512);
    let mut difference = Difference::default();
    for (i, batch) in requests.iter().enumerate() {
        if i.is_multiple_of(4) {
            let begun = cpu_time();
            let operations = calibration.run();
            gemm.push(operations as f64 / (cpu_time() - begun) / 1e9);
        }
        let general = ways[0].time(|_| {
            let prepared = Prepared::of(scoring.schema, batch.clone());
            scoring.score(&prepared)
        });
        for (i, way) in ways.iter_mut().enumerate().skip(1) {
            let wanted = if i < 3 { Wanted::Watch } else { Wanted::All };
            let scorer = if i % 2 == 1 { &fresh } else { &kept };
            if i % 2 == 0 {
                scorer.score(scoring, batch.clone(), wanted, |_| ());
            }
            let batch = batch.clone();
            let scores = way.time(|done| scorer.score(scoring, batch, wanted, done));
            difference = difference.with(scoring, &scores, &general);
        }
    }
    gemm.sort_by(f64::total_cmp);
    let gemm = gemm[gemm.len() / 2];
    let operations = operations(scoring, requests);
    let ways = ways.into_iter().enumerate();
    Timing {
        model: scoring.config.model.name().into(),
        width: scoring.config.input.width,
        requests: requests.len(),
        candidates: requests.iter().map(Batch::impressions).sum(),
        events: requests.iter().map(|b| b.products.total() + b.channels.total()).sum(),
        general: fresh.counts().general,
        gemm,
        ways: ways
            .map(|(i, way)| way.summary(i.checked_sub(1).map(|i| operations[i]), gemm))
            .collect(),
        difference: fast.then_some(difference),
    }
}

/// GFLOP/s of the timed product on this thread, of its processor time: to compare machines and moments.
pub fn product_rate() -> f64 {
    let mut product = Calibration::new(512);
    product.run();
    let begun = cpu_time();
    let operations: u64 = (0..40).map(|_| product.run()).sum();
    operations as f64 / (cpu_time() - begun) / 1e9
}

/// Operations of the matrix products of a request by way of the fast path, the mean.
fn operations(scoring: &Scoring<'_>, requests: &[Batch]) -> [f64; 4] {
    let settings = scoring.config.settings();
    let Ok(fast) = FastModel::new(&settings, scoring.schema, scoring.model) else {
        return [0.0; 4];
    };
    let rows = |table: usize, id: u64, to: &mut [f32]| scoring.rows.read(table, id, to);
    let mut sums = [0; 4];
    let mut room = Room::default();
    for batch in requests {
        let request = Request { batch, feed: 0, rows: &rows };
        let mut count = |work: &mut dyn FnMut(&mut Room)| {
            let before = room.operations();
            work(&mut room);
            room.operations() - before
        };
        let mut encoded = eliverec_models::fast::Encoded::default();
        let of_user = count(&mut |room| encoded = fast.encode(&request, room));
        for (i, wanted) in [Wanted::Watch, Wanted::All].into_iter().enumerate() {
            let of_candidates = count(&mut |room| {
                fast.score(&request, &encoded, wanted, room, |_| ());
            });
            sums[2 * i] += of_user + of_candidates;
            sums[2 * i + 1] += of_candidates;
        }
    }
    sums.map(|sum| sum as f64 / requests.len() as f64)
}

/// The times of one way.
struct Measured {
    name: &'static str,
    times: Vec<f64>,
    /// By [`Stage::ALL`].
    stages: [Vec<f64>; Stage::ALL.len()],
}

impl Measured {
    fn new(name: &'static str) -> Self {
        Self { name, times: Vec::new(), stages: Default::default() }
    }

    fn time(&mut self, work: impl FnOnce(&mut dyn FnMut(Stage)) -> Scores) -> Scores {
        let stages = &mut self.stages;
        let begun = cpu_time();
        let mut last = begun;
        let scores = work(&mut |stage| {
            let now = cpu_time();
            stages[stage as usize].push(now - last);
            last = now;
        });
        self.times.push(cpu_time() - begun);
        scores
    }

    fn summary(mut self, operations: Option<f64>, gemm: f64) -> Way {
        let mean = self.times.iter().sum::<f64>() / self.times.len() as f64;
        let stages = Stage::ALL.into_iter().zip(&mut self.stages);
        let stages = stages.filter(|(_, times)| !times.is_empty());
        Way {
            name: self.name,
            stages_ms: stages.map(|(stage, times)| (stage.name(), quantile(times, 0.5))).collect(),
            p50_ms: quantile(&mut self.times, 0.5),
            p90_ms: quantile(&mut self.times, 0.9),
            p99_ms: quantile(&mut self.times, 0.99),
            mflop: operations.map(|operations| operations / 1e6),
            share: operations.map(|operations| operations / mean / 1e9 / gemm),
        }
    }
}

/// Milliseconds that the share `q` of the times stays below.
fn quantile(times: &mut [f64], q: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    1e3 * times[((q * times.len() as f64).ceil() as usize).saturating_sub(1)]
}

impl Difference {
    /// The greater of this and that between two answers to one request.
    fn with(self, scoring: &Scoring<'_>, fast: &Scores, general: &Scores) -> Self {
        let greatest = |a: &[f32], b: &[f32], of: fn(f32, f32) -> f32| {
            a.iter().zip(b).map(|(a, b)| of(*a, *b)).fold(0.0, f32::max)
        };
        let absolute = |a: f32, b: f32| (a - b).abs();
        let watch = greatest(&fast.p_watch, &general.p_watch, absolute);
        let Self { mut probability, mut duration } = self;
        probability = probability.max(watch);
        let tasks = fast.tasks.iter().flatten().zip(general.tasks.iter().flatten());
        for (task, (fast, general)) in scoring.schema.task.iter().zip(tasks) {
            match task.kind {
                TaskKind::Binary => {
                    probability = probability.max(greatest(fast, general, absolute));
                }
                TaskKind::Duration => {
                    let relative = |a: f32, b: f32| (a - b).abs() / b.max(1.0);
                    duration = duration.max(greatest(fast, general, relative));
                }
            }
        }
        Self { probability, duration }
    }
}

/// Seconds of processor time of this thread; where the system does not tell, seconds.
fn cpu_time() -> f64 {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    }
    #[cfg(not(unix))]
    {
        static START: std::sync::LazyLock<std::time::Instant> =
            std::sync::LazyLock::new(std::time::Instant::now);
        START.elapsed().as_secs_f64()
    }
}
