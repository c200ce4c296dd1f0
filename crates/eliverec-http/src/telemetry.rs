//! What a service tells of itself, for Prometheus. One registry per service, so that several can live in one process.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eliverec_retrieval::{Candidate, SourceName};
use eliverec_serve::CacheCounts;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::acknowledgement::Acknowledgement;
use crate::admission::Gate;
use crate::overlap::Overlap;
pub use crate::stage::{Stage, Stages};
use crate::traffic::Traffic;
use crate::upkeep::Upkeep;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    call: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FateLabel {
    fate: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PositionLabel {
    of: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabel {
    what: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BundleLabel {
    version: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BucketLabel {
    layer: String,
    bucket: String,
}

/// The age of the newest event, seconds: of one that is ahead of the clock 0, and no line at all before the first.
#[derive(Debug, Default)]
struct Freshness(Mutex<Option<f64>>);

impl Collector for Freshness {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let age_s = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(age_s) = age_s else { return Ok(()) };
        let help = "Age of the newest event that the features know";
        let age = ConstGauge::new(age_s.max(0.0));
        let unit = Some(&Unit::Seconds);
        let of = encoder.encode_descriptor("newest_event_age", help, unit, age.metric_type())?;
        age.encode(of)
    }
}

/// The counters and histograms of a service.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    /// The last minutes of what is counted here.
    pub(crate) traffic: Traffic,
    /// Which sources gave the candidates of the last hour.
    pub(crate) overlap: Overlap,
    answered: Family<Answered, Counter>,
    refused: Family<Refused, Counter>,
    stages: Family<StageLabel, Histogram>,
    events: Family<FateLabel, Counter>,
    candidates: Family<SourceLabel, Counter>,
    bundle: Family<BundleLabel, Gauge>,
    in_buckets: Family<BucketLabel, Counter>,
    not_finite: Family<BucketLabel, Counter>,
    not_logged: Counter,
    waiting: Family<QueueLabel, Gauge>,
    queue_age: Family<QueueLabel, Gauge<f64, AtomicU64>>,
    positions: Family<PositionLabel, Gauge>,
    freshness: Arc<Freshness>,
    resident: Gauge,
    processor: Gauge<f64, AtomicU64>,
    cache: Family<CacheLabel, Gauge>,
    /// Work beside requests.
    pub upkeep: Upkeep,
}

impl Default for Telemetry {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("eliverec");
        let answered = Family::default();
        registry.register("answers", "Answers by call and status", answered.clone());
        let refused = Family::default();
        registry.register("refusals", "Refusals by code", refused.clone());
        // 10 microseconds to 2.9 seconds.
        let histogram = || Histogram::new(exponential_buckets(10e-6, 1.25, 57));
        let stages = Family::<StageLabel, Histogram>::new_with_constructor(histogram);
        let help = "Time by stage";
        registry.register_with_unit("stage", help, Unit::Seconds, stages.clone());
        let events = Family::default();
        registry.register("events", "Events by fate", events.clone());
        let candidates = Family::default();
        let help = "Candidates by the source that gave them first";
        registry.register("candidates", help, candidates.clone());
        let bundle = Family::default();
        let help = "1 for the bundle in service and those of experiments";
        registry.register("bundle", help, bundle.clone());
        let in_buckets = Family::default();
        let help = "Answers by layer and bucket of experiments";
        registry.register("experiment_answers", help, in_buckets.clone());
        let not_finite = Family::default();
        let help =
            "Channels whose utility was no finite number, by layer and bucket of the request";
        registry.register("experiment_not_finite", help, not_finite.clone());
        let not_logged = Counter::default();
        let help = "Answers that a report or an estimate will ask for and the log did not take";
        registry.register("answers_not_logged", help, not_logged.clone());
        let waiting = Family::default();
        let help = "Requests that wait for a worker, batches that wait for the log";
        registry.register("waiting", help, waiting.clone());
        let queue_age = Family::default();
        let help = "How long the first of those that wait has waited";
        registry.register("queue_age_seconds", help, queue_age.clone());
        let positions = Family::default();
        let help = "Last record of the log that features know (applied), that others can follow (shared), or that is told (told)";
        registry.register("log_position", help, positions.clone());
        let freshness = Arc::<Freshness>::default();
        registry.register_collector(Box::new(Arc::clone(&freshness)));
        let resident = Gauge::default();
        let help = "Memory of the process";
        registry.register_with_unit("resident_memory", help, Unit::Bytes, resident.clone());
        let processor = Gauge::default();
        let help = "Time that the processor has spent on the process, by all its threads";
        registry.register_with_unit("processor", help, Unit::Seconds, processor.clone());
        let cache = Family::default();
        let help = "Encoded sides of users of the bundle in service: found, not found, evicted, kept, bytes";
        registry.register("encoded_users", help, cache.clone());
        let upkeep = Upkeep::new(&mut registry);
        Self {
            registry,
            traffic: Traffic::default(),
            overlap: Overlap::default(),
            answered,
            refused,
            stages,
            events,
            candidates,
            bundle,
            in_buckets,
            not_finite,
            not_logged,
            waiting,
            queue_age,
            positions,
            freshness,
            resident,
            processor,
            cache,
            upkeep,
        }
    }
}

impl Telemetry {
    /// An answer of a call.
    pub fn answered(&self, call: &str, status: u16) {
        self.answered.get_or_create(&Answered { call: call.into(), status }).inc();
        self.traffic.answered(call, status);
    }

    /// A refusal.
    pub fn refused(&self, code: &'static str) {
        self.refused.get_or_create(&Refused { code }).inc();
        self.traffic.refused(code);
    }

    /// What the stages of a request took.
    pub fn took(&self, stages: &Stages) {
        stages.0.iter().for_each(|(stage, time)| self.observe(*stage, *time));
        self.traffic.took(stages);
    }

    fn observe(&self, stage: Stage, time: Duration) {
        self.stages.get_or_create(&StageLabel { stage }).observe(time.as_secs_f64());
    }

    /// Events of a batch, which took so long from its arrival to its acknowledgement.
    pub fn ingested(&self, acknowledged: &Acknowledgement, time: Duration) {
        self.observe(Stage::Ingest, time);
        self.traffic.took(&Stages(vec![(Stage::Ingest, time)]));
        for (fate, count) in [
            ("admitted", acknowledged.admitted),
            ("duplicate", acknowledged.duplicate),
            ("late", acknowledged.late),
        ] {
            self.events.get_or_create(&FateLabel { fate }).inc_by(count);
        }
    }

    /// Channels that retrieval found.
    pub fn candidates(&self, found: &[Candidate]) {
        self.overlap.add(found);
        for source in SourceName::ALL {
            let first = |found: &&Candidate| {
                found.given_by.first().is_some_and(|given| given.source == source)
            };
            let count = found.iter().filter(first).count() as u64;
            let label = SourceLabel { source: source.name() };
            self.candidates.get_or_create(&label).inc_by(count);
        }
    }

    /// These bundles answer now: the one in service, and those of experiments' buckets.
    pub fn bundles<'a>(&self, versions: impl Iterator<Item = &'a str>) {
        self.bundle.clear();
        for version in versions {
            self.bundle.get_or_create(&BundleLabel { version: version.into() }).set(1);
        }
    }

    /// An answer to a user in that bucket of a layer, with so many channels whose utility is no finite number.
    pub fn in_bucket(&self, layer: &str, bucket: &str, not_finite: usize) {
        let label = || BucketLabel { layer: layer.into(), bucket: bucket.into() };
        self.in_buckets.get_or_create(&label()).inc();
        if not_finite > 0 {
            self.not_finite.get_or_create(&label()).inc_by(not_finite as u64);
        }
    }

    /// Answers to users in that bucket of a layer since the service began.
    pub fn answers_in_bucket(&self, layer: &str, bucket: &str) -> u64 {
        let label = BucketLabel { layer: layer.into(), bucket: bucket.into() };
        self.in_buckets.get_or_create(&label).get()
    }

    /// How an answer came to be could not be logged.
    pub fn not_logged(&self) {
        self.not_logged.inc();
    }

    /// What the cache of the bundle in service holds and has done.
    pub fn cache(&self, counts: CacheCounts) {
        let CacheCounts { hits, misses, evicted, entries, bytes } = counts;
        let (kept, bytes) = (entries as u64, bytes as u64);
        for (what, count) in [
            ("hits", hits),
            ("misses", misses),
            ("evicted", evicted),
            ("kept", kept),
            ("bytes", bytes),
        ] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.cache.get_or_create(&CacheLabel { what }).set(count);
        }
    }

    /// Everything in the text form of Prometheus; who waits where and how long the first has, the age of the newest event and positions in the log as of now.
    pub fn text(
        &self,
        queues: &[(&'static str, &Gate)],
        newest_event_age_s: Option<f64>,
        positions: &[(&'static str, u64)],
    ) -> String {
        for (of, position) in positions {
            let position = i64::try_from(*position).unwrap_or(i64::MAX);
            self.positions.get_or_create(&PositionLabel { of }).set(position);
        }
        for (queue, gate) in queues {
            let label = QueueLabel { queue };
            let waiting = i64::try_from(gate.waiting()).unwrap_or(i64::MAX);
            self.waiting.get_or_create(&label).set(waiting);
            self.queue_age.get_or_create(&label).set(gate.age().as_secs_f64());
        }
        let mut freshness = self.freshness.0.lock().unwrap_or_else(PoisonError::into_inner);
        *freshness = newest_event_age_s;
        drop(freshness);
        let memory = memory_stats::memory_stats().map_or(0, |memory| memory.physical_mem);
        self.resident.set(i64::try_from(memory).unwrap_or(i64::MAX));
        self.processor.set(processor_seconds());
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Seconds that the processor has spent on this process; not a number where the system does not tell.
fn processor_seconds() -> f64 {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    }
    #[cfg(not(unix))]
    f64::NAN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_what_was_counted() {
        let telemetry = Telemetry::default();
        telemetry.answered("/v1/rank", 200);
        telemetry.refused("overloaded");
        let stages = Stages(vec![
            (Stage::Rank, Duration::from_micros(2_250)),
            (Stage::Total, Duration::from_millis(3)),
        ]);
        assert_eq!(stages.header(), "rank;dur=2.250, total;dur=3.000");
        telemetry.took(&stages);
        let of = Acknowledgement { admitted: 3, duplicate: 0, late: 0, log_position: 3 };
        telemetry.ingested(&of, Duration::from_millis(1));
        telemetry.bundles(["a"].into_iter());
        telemetry.bundles(["b", "c"].into_iter());
        telemetry.in_bucket("ranker", "eta", 0);
        telemetry.in_bucket("ranker", "eta", 2);
        telemetry.not_logged();
        let gate = Gate::new(1, 1, Duration::from_millis(1));
        let text = telemetry.text(&[("ranking", &gate)], Some(1.5), &[("applied", 7)]);
        for line in [
            "eliverec_answers_total{call=\"/v1/rank\",status=\"200\"} 1",
            "eliverec_refusals_total{code=\"overloaded\"} 1",
            "eliverec_stage_seconds_count{stage=\"rank\"} 1",
            "eliverec_events_total{fate=\"admitted\"} 3",
            "eliverec_bundle{version=\"b\"} 1",
            "eliverec_bundle{version=\"c\"} 1",
            "eliverec_experiment_answers_total{layer=\"ranker\",bucket=\"eta\"} 2",
            "eliverec_experiment_not_finite_total{layer=\"ranker\",bucket=\"eta\"} 2",
            "eliverec_answers_not_logged_total 1",
            "eliverec_waiting{queue=\"ranking\"} 0",
            "eliverec_queue_age_seconds{queue=\"ranking\"} 0.0",
            "eliverec_newest_event_age_seconds 1.5",
            "eliverec_log_position{of=\"applied\"} 7",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("version=\"a\""), "the bundle that left is still told");
        let age = "eliverec_newest_event_age_seconds ";
        assert!(telemetry.text(&[], Some(-2.5), &[]).contains(&format!("{age}0")));
        assert!(!telemetry.text(&[], None, &[]).contains(age), "nobody knows it");
    }
}
