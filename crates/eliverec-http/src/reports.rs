//! What a service tells of itself beside answers: its traffic, the newest requests, its bundles, features and sources. Calls and the
//! console read the same.

use std::path::PathBuf;
use std::sync::Arc;

use eliverec_core::IdKind;
use eliverec_retrieval::fields::Fields;
use eliverec_serve::bundle::OfflineMetrics;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::{Bundles, Explanation};
use crate::drift::DriftReport;
use crate::engine::Engine;
use crate::overlap::SourcesReport;
use crate::problem::{Code, Problem};
use crate::running::RunningExperiments;
use crate::served::Served;
use crate::service::Service;
use crate::stage::Stage;
use crate::traffic::TrafficReport;
use crate::wire::Id;

/// A request that was answered lately.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RecentRequest {
    /// Its id, of text the hash: what an explanation is asked for by.
    pub request_id: u64,
    /// Who asked, as explanations have it.
    pub user_id: u64,
    /// The moment whose features were used, milliseconds since 1970 UTC.
    pub at: i64,
    /// The bundle that scored.
    pub model: String,
    /// Channels that were scored.
    pub scored: usize,
    /// Channels of the answer.
    pub answered: usize,
    /// The first of them.
    pub first: Option<Id>,
    /// Its probability of a watch.
    pub p_watch: Option<f32>,
    /// From arrival to answer, milliseconds.
    pub took_ms: f64,
}

/// A bundle that is loaded.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BundleReport {
    /// What answers call it.
    pub version: String,
    /// `active`, `previous` of the one that a roll-back brings back, or `bucket` of one that answers in buckets of experiments alone.
    pub role: &'static str,
    /// The buckets of experiments that name it, as `LAYER/BUCKET`; the active one answers in those without a bundle, too.
    pub buckets: Vec<String>,
    /// The model's name in the registry.
    pub model: String,
    /// When it was made, milliseconds since 1970 UTC.
    pub created: i64,
    /// Dense parameters, numbers.
    pub parameters: u64,
    /// Embedding rows of all tables.
    pub rows: u64,
    /// Bits of their numbers.
    pub precision: String,
    /// The run that it was made of.
    pub run: String,
    /// Updates of that run's checkpoint.
    pub step: u64,
    /// Fingerprint of the feeds that the metrics are of.
    pub feeds: String,
    /// In what those feeds are others than the run was trained on; `null` if they are the same, or nobody kept which.
    pub other_feeds: Option<String>,
    /// What was measured when it was made: `metrics.json`.
    #[schema(value_type = Option<Object>)]
    pub metrics: Option<OfflineMetrics>,
}

impl BundleReport {
    fn of(served: &Served, role: &'static str) -> Self {
        let bundle = &served.bundle;
        let manifest = &bundle.manifest;
        Self {
            version: served.version.to_string(),
            role,
            buckets: Vec::new(),
            model: manifest.model.clone(),
            created: manifest.created_ms,
            parameters: manifest.parameters,
            rows: manifest.rows.rows,
            precision: manifest.rows.precision.name().into(),
            run: manifest.made_of.run.clone(),
            step: manifest.made_of.step,
            feeds: manifest.made_of.feeds.clone(),
            other_feeds: manifest.made_of.other_feeds.clone(),
            metrics: bundle.metrics.clone(),
        }
    }
}

impl Engine {
    /// The bundles that are loaded, the one in service first, then the one before and those of experiments' buckets.
    pub fn bundle_reports(&self) -> Vec<BundleReport> {
        let (active, previous) = self.in_service.both();
        let mut reports = vec![(Arc::clone(&active), BundleReport::of(&active, "active"))];
        reports.extend(previous.map(|of| (Arc::clone(&of), BundleReport::of(&of, "previous"))));
        for (served, buckets) in self.in_service.in_buckets() {
            let known = reports.iter_mut().find(|(of, _)| Arc::ptr_eq(of, &served));
            if let Some((_, report)) = known {
                report.buckets = buckets;
            } else {
                let report = BundleReport { buckets, ..BundleReport::of(&served, "bucket") };
                reports.push((served, report));
            }
        }
        reports.into_iter().map(|(_, report)| report).collect()
    }

    /// The fields of a channel and of a product that say what both are about, if the schema has such.
    pub fn category_fields(&self) -> Option<[String; 2]> {
        let fields = Fields::of(self.schema()).ok()?;
        fields.category.map(|category| category.names)
    }
}

impl Service {
    /// The last quarter of an hour.
    pub fn traffic(&self) -> TrafficReport {
        self.telemetry.traffic.report(self.ranking.waiting(), self.newest_event_age_s())
    }

    /// The age of the newest event that the features know, seconds; `None` before the first.
    pub fn newest_event_age_s(&self) -> Option<f64> {
        let newest = self.engine.newest_event_ms()?;
        Some(self.clock.now_ms().saturating_sub(newest) as f64 / 1000.0)
    }

    /// The newest answers that can be explained, at most so many, the newest first.
    pub fn recent_requests(&self, most: usize) -> Vec<RecentRequest> {
        let recent = self.ledger.newest(most);
        let of = |(request_id, answer): (u64, Arc<Arc<crate::answer::Answer>>)| {
            let first = answer.channels.first();
            RecentRequest {
                request_id,
                user_id: answer.feed.user_id,
                at: answer.at_ms,
                model: answer.model.to_string(),
                scored: answer.p_watch.len(),
                answered: answer.channels.len(),
                first: first.map(|scored| self.engine.name_of(scored.channel_id)),
                p_watch: first.map(|scored| scored.p_watch),
                took_ms: answer.stages.of(Stage::Total).map_or(0.0, |of| of.as_secs_f64() * 1e3),
            }
        };
        recent.into_iter().map(of).collect()
    }

    /// Why the answer of a request was what it was. Where `kind` does not say how to read its id, what is written as JSON writes an
    /// integer is one.
    ///
    /// # Errors
    /// An id that cannot be read, an answer that is not kept, a bundle that is not loaded any more, and too much to do.
    pub async fn explain(
        &self,
        request_id: &str,
        kind: Option<IdKind>,
    ) -> Result<Explanation, Problem> {
        let id = Id::of_address(request_id, kind);
        let id = id.map_err(|detail| Problem::invalid("request_id", detail))?;
        let answer = self.ledger.find(id.value()).ok_or_else(|| {
            let kept = self.settings.explained;
            let as_what = if matches!(id, Id::Text(_)) { "a text" } else { "an integer" };
            let detail = format!(
                "no answer of request {request_id:?}, read as {as_what}, is kept; the newest {kept} are, and &kind=text or &kind=integer says how to read it"
            );
            Problem::new(Code::NotFound, detail)
        })?;
        let admitted = self.ranking.enter().await?;
        self.compute_admitted(admitted, move || answer.explain(id)).await?
    }

    /// Puts the bundle at `path` in service on a thread beside requests, as [`Service::activate`].
    ///
    /// # Errors
    /// As [`Service::activate`].
    pub async fn put_in_service(self: &Arc<Self>, path: PathBuf) -> Result<Bundles, Problem> {
        let working = Arc::clone(self);
        self.compute(move || working.activate(&path)).await?
    }

    /// Reads the file of experiments at `path` and puts it in service on a thread beside requests, as [`Service::experiment`].
    ///
    /// # Errors
    /// As [`Service::experiment`].
    pub async fn put_experiments(
        self: &Arc<Self>,
        path: PathBuf,
    ) -> Result<RunningExperiments, Problem> {
        let working = Arc::clone(self);
        self.compute(move || working.experiment(Some(&path))).await?
    }

    /// What was served in the last hour by the bundle in service, beside what it was trained on.
    pub fn drift(&self) -> DriftReport {
        self.drift.report(&self.engine.in_service.active())
    }

    /// The same of each other bundle that answers in buckets of experiments.
    pub fn drift_in_buckets(&self) -> Vec<DriftReport> {
        let active = self.engine.in_service.active();
        let others = self.engine.in_service.in_buckets();
        let others = others.iter().filter(|(served, _)| !Arc::ptr_eq(served, &active));
        others.map(|(served, _)| self.drift.report(served)).collect()
    }

    /// Which sources gave the candidates of the last hour.
    pub fn sources(&self) -> SourcesReport {
        let served = self.engine.in_service.active();
        let quota = |source| self.engine.in_service.retrieval().quota(source);
        self.telemetry.overlap.report(quota, &served.left_out)
    }
}
