//! `eliverec export`: a run becomes a bundle, with what only feeds and logs can tell: settings of features, tables, golden requests,
//! and how far fewer bits are from the run.

use std::path::{Path, PathBuf};

use eliverec_core::dimensions::TABLE_GROUPS;
use eliverec_core::{Dimensions, FeedColumns, IdKinds};
use eliverec_http::{NEIGHBOURS_FILE, VECTORS_FILE};
use eliverec_retrieval::NeighbourSettings;
use eliverec_run::feeds_read::FeedsRead;
use eliverec_run::{RunDirectory, Scorer, no_intents};
use eliverec_samples::feature_settings;
use eliverec_serve::BundleWriter;
use eliverec_serve::bundle::{About, MadeOf, Manifest, OfflineMetrics, Precision};
use eliverec_tables::check::{Checked, Read, promises};
use eliverec_tables::events::check::tables_read;
use eliverec_tables::events::{EventLog, Store, read_dimensions};
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::compare::compare;
use eliverec_train::retrieval::{channel_vectors, neighbours};
use eliverec_train::{check_fit, feeds_hashed};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{bundle, fingerprint, now_ms, open_run, reading, tell, unchecked};

/// Golden requests of a bundle: enough for every kind of request, few enough to be scored in moments.
const GOLDEN_REQUESTS: u64 = 48;

/// Make a bundle of a run: one verified directory that `eliverec serve` answers from
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The bundle appears whole or not at all. A split of the feeds is scored by the run and by the bundle: how far they are apart is
printed, and kept in the bundle with the metrics and some requests that whoever opens it scores again (docs/serving.md).

Examples:
  eliverec export --run work/run --feeds work/ebnerd --out work/bundle
  eliverec export --run demo/elive --feeds demo/feeds --logs demo/logs --rows float16 --out work/bundle --force")]
pub(crate) struct Arguments {
    /// Run directory
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// Feed directory with the run's schema; its feeds need no labels
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// Directory to make
    #[arg(long, value_name = "BUNDLE")]
    out: PathBuf,
    /// The event log that the feeds were made of, for its tables of users, products and channels
    #[arg(long, value_name = "LOGS")]
    logs: Option<PathBuf>,
    /// Embedding rows as float32 (as trained), float16 or int8
    #[arg(long, value_name = "PRECISION", default_value = "float32")]
    rows: Precision,
    /// What is scored and what golden requests are taken from: train, validation or test
    #[arg(long, default_value = "test")]
    split: Split,
    /// What the bundle is called in answers and logs; name and step of the run, and digits of the bundle's content, if omitted
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Put it in the place of a bundle that is there, in one step
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Exported<'a> {
    out: &'a Path,
    manifest: &'a Manifest,
    metrics: &'a OfflineMetrics,
    auc_change: Option<f64>,
    indexes: Indexed,
    /// What the bundle lacks, and in what its feeds are not the run's.
    notes: &'a [String],
}

/// Channels in the indexes of retrieval; null of an index that the bundle lacks.
#[derive(Clone, Copy, Serialize)]
struct Indexed {
    neighbours: Option<u64>,
    vectors: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let Arguments { run, out, split, .. } = arguments;
    let feeds = FeedDirectory::open(&arguments.feeds)?;
    let (scorer, commit) = open_run(run)?;
    check_fit(&RunDirectory::at(run), &feeds)?;
    // One is measured, neighbours are of the training split, and vectors of the channels of all.
    let has_vectors = no_intents(&scorer.config).is_none();
    let is_read = |other: &Split| has_vectors || other == split || *other == Split::Train;
    let read: Vec<Split> = Split::ALL.into_iter().filter(is_read).collect();
    let checked = promises(&feeds, &read, &[*split])?;
    let mut notes = Vec::new();
    let mut writer = BundleWriter::create(out, arguments.force, &scorer, arguments.rows)?;
    let rows = &writer.model().rows;
    tell(&format!("{} rows written as {}", rows.rows(), arguments.rows.name()));

    let features = feature_settings(feeds.path())?;
    match &features {
        Some(features) => writer.write_features(features)?,
        None => notes.push(format!(
            "{} was not made by `eliverec samples`: without settings of features the bundle scores feeds and answers no requests",
            feeds.path().display()
        )),
    }
    let tables = tables(arguments, &feeds)?;
    let mut checked = checked.and(unchecked(run, &commit));
    match &tables {
        Some(Tables { rows, read, .. }) => {
            writer.write_dimensions(rows)?;
            checked = checked.and(Checked { read: read.clone(), ..Checked::default() });
        }
        None => notes.push(
            "no tables of users, products and channels; --logs names a log that has them".into(),
        ),
    }
    let indexes = write_indexes(&mut writer, &feeds, &mut notes)?;
    let metrics = measure(&scorer, &writer, &feeds, *split)?;
    writer.write_metrics(&metrics)?;
    tell(&format!("{} feeds of the {split} split scored twice", metrics.feeds));
    let golden = golden(&feeds, *split)?;
    tell(&format!("{} golden requests", golden.feeds()));
    writer.write_golden(golden, split.name())?;

    let (now, hashes) = feeds_hashed(&feeds)?;
    let other_feeds = other_feeds(run, now)?;
    notes.extend(other_feeds.iter().map(|difference| {
        format!("these are other feeds than those that the run was trained on: {difference}")
    }));
    let folder = run.file_name().unwrap_or_default().display();
    let step = commit.best.rsplit('-').next().unwrap_or_default();
    let by_content = format!("{folder}-{step}-{}", writer.content());
    let ids = tables.as_ref().map(|tables| tables.ids.clone()).unwrap_or_default();
    if features.is_some() && ids.is_empty() {
        notes.push(NO_IDS.into());
    }
    let about = About {
        version: arguments.name.clone().unwrap_or(by_content),
        created_ms: now_ms(),
        program: concat!("eliverec ", env!("CARGO_PKG_VERSION")).into(),
        made_of: MadeOf {
            run: run.display().to_string(),
            checkpoint: commit.best.clone(),
            step: step.parse().unwrap_or_default(),
            feeds: fingerprint::of_feeds(&feeds, &hashes),
            other_feeds,
            tables: tables.map(|tables| tables.place),
        },
        ids,
    };
    let manifest = writer.publish(about)?;
    notes.iter().for_each(|note| tell(&format!("note: {note}")));
    let (auc_change, notes) = (metrics.auc_change(), &notes);
    let (manifest, metrics) = (&manifest, &metrics);
    let exported = Exported { out, manifest, metrics, auc_change, indexes, notes };
    reading::end(arguments.json, &checked, &exported, || {
        Ok(bundle::table(out, manifest, Some(metrics)))
    })?;
    Ok(crate::OK)
}

/// Adds what the sources of retrieval stand on: neighbours of channels, and their vectors.
fn write_indexes(
    writer: &mut BundleWriter,
    feeds: &FeedDirectory,
    notes: &mut Vec<String>,
) -> anyhow::Result<Indexed> {
    let mut indexed = Indexed { neighbours: None, vectors: None };
    if feeds.feeds(Split::Train)? > 0 {
        let (settings, room) = (NeighbourSettings::default(), std::env::temp_dir());
        let (neighbours, counted) = neighbours(feeds, Split::Train, settings, &room)?;
        writer.write(NEIGHBOURS_FILE, &neighbours.to_bytes())?;
        tell(&format!("neighbours of {} channels, by {} users", counted.channels, counted.users));
        indexed.neighbours = Some(counted.channels);
    } else {
        notes.push("no train split: the bundle has no item-to-item neighbours".into());
    }
    if let Some(reason) = no_intents(&writer.model().config) {
        notes.push(format!("{reason}: the bundle has no vectors of channels"));
    } else {
        let vectors = channel_vectors(&writer.model().scoring(), feeds)?;
        writer.write(VECTORS_FILE, &vectors.to_bytes())?;
        let channels = vectors.channels().len();
        tell(&format!("vectors of {channels} channels, of width {}", vectors.width()));
        indexed.vectors = Some(channels);
    }
    Ok(indexed)
}

/// What is told where nothing says how callers write ids.
const NO_IDS: &str = "nothing says whether callers write ids as integers or as text: the service takes both, and 5 and \"5\" are two ids; \
                      --logs names a log that tells";

/// What is known of users, products and channels.
struct Tables {
    /// Where it was found.
    place: String,
    rows: Dimensions,
    /// How the log's ids are written. Feeds of `eliverec samples` do not tell: they have the 64 bits of all of them.
    ids: IdKinds,
    /// What was read of the tables.
    read: Read,
}

/// The tables of the log, or those that lie beside the feeds as they would in a log.
fn tables(arguments: &Arguments, feeds: &FeedDirectory) -> anyhow::Result<Option<Tables>> {
    let Some(logs) = &arguments.logs else {
        let place = feeds.path();
        let has = |name: String| place.join(name).is_file();
        if !TABLE_GROUPS.iter().any(|group| has(format!("{}s.parquet", group.name()))) {
            return Ok(None);
        }
        let store = Store::local(place)?;
        let rows = read_dimensions(&store, feeds.schema())?;
        let read = tables_read(&store, &rows)?;
        let place = place.display().to_string();
        return Ok(Some(Tables { place, rows, ids: IdKinds::default(), read }));
    };
    let log = EventLog::open(&Store::open(logs)?)?;
    let differences = feeds.schema().differences(log.schema());
    if !differences.is_empty() {
        let (expected, found) = (feeds.path().display().to_string(), logs.display().to_string());
        let differences = differences.join("; ");
        let error = eliverec_core::Error::SchemaMismatch { expected, found, differences };
        return Err(eliverec_run::Error::from(error).into());
    }
    let (rows, ids) = (log.dimensions()?, log.id_kinds()?);
    let read = Read { skipped: log.skipped().collect(), ..tables_read(log.store(), &rows)? };
    Ok(Some(Tables { place: logs.display().to_string(), rows, ids, read }))
}

/// Scores a split by the run and by the bundle.
fn measure(
    scorer: &Scorer,
    writer: &BundleWriter,
    feeds: &FeedDirectory,
    split: Split,
) -> anyhow::Result<OfflineMetrics> {
    let bar = ProgressBar::new(feeds.feeds(split)?);
    let both = [&scorer.scoring(), &writer.model().scoring()];
    let compared = compare(both, feeds, split, |feeds| bar.set_position(feeds));
    bar.finish_and_clear();
    let compared = compared?;
    let [run, bundle] = compared.reports.map_or([None, None], |reports| reports.map(Some));
    Ok(OfflineMetrics {
        split: split.name().into(),
        feeds: compared.feeds,
        impressions: compared.impressions,
        changes: compared.changes,
        run,
        bundle,
    })
}

/// Requests from the whole split, evenly, without their labels.
fn golden(feeds: &FeedDirectory, split: Split) -> anyhow::Result<FeedColumns> {
    let all = feeds.feeds(split)?;
    let taken = all.min(GOLDEN_REQUESTS);
    let mut golden = FeedColumns::empty(feeds.schema());
    for (i, feed) in (0_u64..).zip(feeds.read(split)?) {
        let mut feed = feed?;
        // The i-th of `all` is the next one to take if so many of `taken` come before it.
        if i * taken / all == golden.feeds() as u64 {
            feed.candidates.labels = None;
            golden.push(feeds.schema(), &feed).map_err(eliverec_run::Error::from)?;
        }
    }
    Ok(golden)
}

/// In what the feeds are not those that the run was trained on, if it kept which.
fn other_feeds(run: &Path, mut now: FeedsRead) -> anyhow::Result<Option<String>> {
    let Some(before) = RunDirectory::at(run).feeds_read()? else { return Ok(None) };
    now.file.retain(|file| file.split != Split::Test.name());
    Ok(before.difference(&now))
}
