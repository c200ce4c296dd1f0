//! The time before the experiment: a simple recommender ranks, and its log is what the models begin with.

use std::cell::RefCell;

use eliverec_core::{Event, Schema};
use eliverec_sim::config::DAY_MS;
use eliverec_sim::{Log, LoggingPolicy, World};
use eliverec_tables::events::{Day, EventWriter, NewLog, Store, write_dimensions};

use super::arm::Life;
use super::folder::{Folder, MODELS, clear};
use super::night::{Fit, each, fit};
use super::platform::{Emits, Platform};
use super::served::Served;
use super::settings::Settings;
use super::steps::Step;
use crate::commands::simulate::dimensions;
use crate::commands::tell;

/// Days whose feeds the models begin with, the last two of them for validation and test.
const LEARNT_DAYS: u32 = 7;

/// Nobody asks in this time, and features take events that are up to ten minutes late; each call waits for the disk.
const SPAN_MS: i64 = 9 * 60_000;

/// Makes what the experiment begins with, as far as it is not there: a log, and bundles of both models.
pub(super) fn prepare(folder: &Folder, settings: &Settings) -> anyhow::Result<()> {
    let log = folder.before("logs");
    // A log appears whole or not at all.
    if !log.exists() {
        write_log(folder, settings)?;
    }
    let feeds = folder.before("feeds");
    if MODELS.iter().all(|model| folder.bundle(0, model).exists()) {
        return Ok(());
    }
    let from = settings.midnight_ms(0) - i64::from(LEARNT_DAYS.min(settings.before)) * DAY_MS;
    let from = Day::of(from).unwrap_or(settings.day(0)?).to_string();
    let samples = Step::new("samples").with("--logs", &log).with("--out", &feeds);
    samples.with("--from", from).run(folder, "before-samples")?;
    each(|model| {
        fit(
            folder,
            settings,
            model,
            &Fit {
                feeds: &feeds,
                run: folder.before(model),
                goes_on_from: None,
                log: &log,
                split: "test",
                bundle: folder.bundle(0, model),
                told: format!("before-{model}"),
            },
        )
    })
}

/// The world and its platform at the first moment of the experiment. A service hears of everything before it, unless one has; its state
/// is what the arms begin with.
pub(super) fn lived(folder: &Folder, settings: &Settings) -> anyhow::Result<Life> {
    let state = folder.before("state");
    let schema = Schema::parse(eliverec_sim::SCHEMA)?;
    let (mut world, platform) = (World::new(&settings.world())?, Platform::new(&schema));
    let platform = RefCell::new(platform);
    let partial = state.with_extension("partial");
    let mut served = None;
    if !state.exists() {
        clear(&partial)?;
        tell("a service hears of the time before the experiment");
        let begun = Served::begin(folder, folder.bundle(0, MODELS[0]), &partial, None)?;
        platform.borrow_mut().call(begun.client.clone(), SPAN_MS);
        served = Some(begun);
    }
    let failed = RefCell::new(None);
    let mut emits = Emits { platform: &platform, failed: &failed };
    let begin_ms = settings.midnight_ms(0);
    world.run_until(begin_ms, &mut LoggingPolicy::new(settings.seed), &mut emits, &mut |_| ())?;
    let mut platform = platform.into_inner();
    platform.send(begin_ms - 1)?;
    if let Some(served) = served {
        platform.hang_up();
        served.end()?;
        fs_err::rename(&partial, &state)?;
    }
    Ok(Life { world, platform })
}

/// Writes events as they come.
struct Writes(EventWriter);

impl Log for Writes {
    type Error = eliverec_tables::Error;

    fn event(&mut self, event: &Event) -> Result<(), Self::Error> {
        self.0.push(event)
    }
}

fn write_log(folder: &Folder, settings: &Settings) -> anyhow::Result<()> {
    let schema = Schema::parse(eliverec_sim::SCHEMA)?;
    let mut world = World::new(&settings.world())?;
    let log = NewLog::create(&Store::local(&folder.before("logs"))?)?;
    let mut writes = Writes(EventWriter::create(log.store(), &schema)?);
    let mut policy = LoggingPolicy::new(settings.seed);
    let totals = world.run_until(settings.midnight_ms(0), &mut policy, &mut writes, &mut |_| ())?;
    write_dimensions(&dimensions(&world, &schema)?, log.store())?;
    writes.0.finish()?;
    log.publish()?;
    tell(&format!(
        "{} days before the experiment: {} events, {} requests",
        settings.before, totals.events, totals.requests
    ));
    Ok(())
}
