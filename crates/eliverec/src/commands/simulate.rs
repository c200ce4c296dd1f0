//! `eliverec simulate`: a made-up live platform writes its event log, and beside it the truth.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;

use eliverec_core::event::Event;
use eliverec_core::schema::{Group, Schema};
use eliverec_core::{Dimension, Dimensions};
use eliverec_sim::config::DAY_MS;
use eliverec_sim::{
    Ceiling, Log, LoggingPolicy, TableOneBuilder, Truth, TruthWriter, World, WorldConfig,
    WorldProgress,
};
use eliverec_tables::events::{EventWriter, NewLog, Store, write_dimensions};
use indicatif::{ProgressBar, ProgressStyle};

use super::{inspect, print, tell};

/// Days at the end of the log that Table I and the ceiling are taken over.
const MEASURED_DAYS: u32 = 7;

/// Simulate a live-commerce platform and write its event log
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes LOGS/events (Parquet, a folder per day of arrival), LOGS/{users,products,channels}.parquet, LOGS/schema.toml, and
LOGS/truth.parquet: the true probability of every watch and what drove it, which nothing else reads. One seed, one log.

Example:
  eliverec simulate --out work/logs --users 20000 --days 14 --seed 1")]
pub(crate) struct Arguments {
    /// Log directory to make
    #[arg(long, value_name = "LOGS")]
    out: PathBuf,
    /// Accounts at the end of the last day
    #[arg(long, default_value_t = 20_000)]
    users: u32,
    /// Days with every event
    #[arg(long, default_value_t = 14)]
    days: u32,
    /// Every random decision follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let config = WorldConfig {
        users: arguments.users,
        days: arguments.days,
        seed: arguments.seed,
        ..WorldConfig::default()
    };
    let mut world = World::new(&config)?;
    let schema = Schema::parse(eliverec_sim::SCHEMA)?;
    let log_files = NewLog::create(&Store::open(&arguments.out)?)?;
    let measured_from_ms =
        config.start_ms + i64::from(config.days.saturating_sub(MEASURED_DAYS)) * DAY_MS;
    let mut log = FileLog {
        events: EventWriter::create(log_files.store(), &schema)?,
        truth: TruthWriter::create(
            &log_files.path().join(eliverec_tables::events::layout::TRUTH_FILE),
        )?,
        table: TableOneBuilder::from(measured_from_ms),
        ceiling: Ceiling::new(),
        measured_from_ms,
    };
    let reporter = Reporter::new(world.total_days());
    let begun = Instant::now();
    let totals = world.run(&mut LoggingPolicy::new(config.seed), &mut log, &mut |progress| {
        reporter.tell(progress);
    })?;
    reporter.finish();
    let seconds = begun.elapsed().as_secs_f64();
    tell(&format!("{:.0} events/s", totals.events as f64 / seconds.max(f64::MIN_POSITIVE)));
    write_dimensions(&dimensions(&world, &schema)?, log_files.store())?;
    log.truth.finish()?;
    let written = log.events.finish()?;
    log_files.publish()?;
    print(&format!(
        "{} events of {} users in {} days of arrival\n",
        totals.events,
        config.users,
        written.days.len()
    ))?;
    print(&inspect::table_one(&[("here", &log.table.finish())]).trim_fmt())?;
    let ceiling = log.ceiling.finish()?;
    let figure = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.4}"));
    print(&format!(
        "\nthe world's own probabilities over the same days: auc {}, gauc_user {}, gauc_feed {} (they {})",
        figure(ceiling.auc),
        figure(ceiling.gauc_user),
        figure(ceiling.gauc_feed),
        eliverec_sim::CEILING
    ))?;
    Ok(crate::OK)
}

/// Writes as the world lives, and measures the last days.
struct FileLog {
    events: EventWriter,
    truth: TruthWriter,
    table: TableOneBuilder,
    ceiling: Ceiling,
    measured_from_ms: i64,
}

impl Log for FileLog {
    type Error = anyhow::Error;

    fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        self.table.add(event);
        Ok(self.events.push(event)?)
    }

    fn truth(&mut self, truth: &Truth) -> anyhow::Result<()> {
        if truth.ts_ms() >= self.measured_from_ms {
            self.ceiling.add(truth)?;
        }
        Ok(self.truth.push(truth)?)
    }
}

/// A bar on a terminal, a line per day elsewhere.
enum Reporter {
    Bar(ProgressBar),
    Lines,
}

impl Reporter {
    fn new(days: u32) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let style = ProgressStyle::with_template("{bar:20} day {pos}/{len}, {eta} left, {msg}");
        let bar = ProgressBar::new(days.into());
        Self::Bar(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    fn tell(&self, WorldProgress { days_done, days, events }: WorldProgress) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(days_done.into());
                bar.set_message(format!("{events} events"));
            }
            Self::Lines => tell(&format!("day {days_done}/{days}, {events} events")),
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// The tables of a world's log.
pub(super) fn dimensions(
    world: &World,
    schema: &Schema,
) -> Result<Dimensions, eliverec_core::Error> {
    Ok(Dimensions {
        users: Dimension::from_rows(schema, Group::User, world.users())?,
        products: Dimension::from_rows(schema, Group::Product, world.products())?,
        channels: Dimension::from_rows(schema, Group::Channel, world.channels())?,
    })
}
