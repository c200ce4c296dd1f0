//! One way in which the days of the experiment go: with both buckets, or with all users in one. The users, their visits and the
//! random numbers are the same in all arms, and so are the bundles of a day.

use std::cell::RefCell;
use std::path::PathBuf;

use eliverec_core::{Event, EventKind};
use eliverec_experiments::SLOTS;
use eliverec_run::durable;
use eliverec_sim::{Policy, World};

use super::folder::{Folder, LAYER, MODELS, clear, copy};
use super::platform::{Asks, Emits, Platform, Recalls};
use super::served::Served;
use super::settings::Settings;

/// The arm of the experiment itself; the others are called by their bucket.
pub(super) const BOTH: &str = "both";

/// A day of the experiment ends so long after midnight: then the log of the day that is over is whole, and few users are awake.
const NIGHT_MS: i64 = 4 * 3_600_000;

/// Events are sent every two minutes, or when somebody asks. Those of a phone in a tunnel come eight minutes late, and features take
/// what is ten minutes late.
const SPAN_MS: i64 = 2 * 60_000;

/// What was shown on a day.
const RANKINGS: &str = "rankings";

/// Above all ids of the world's events.
const CLOSING_IDS: u64 = 1 << 40;

/// The world and its platform at a moment.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) world: World,
    pub(super) platform: Platform,
}

/// An arm and how far it is.
pub(super) struct Arm {
    name: &'static str,
    world: World,
    platform: RefCell<Platform>,
}

impl Arm {
    /// All arms, which begin alike.
    pub(super) fn all(life: &Life) -> Vec<Self> {
        let arm = |name| {
            let Life { world, platform } = life.clone();
            Self { name, world, platform: RefCell::new(platform) }
        };
        std::iter::once(BOTH).chain(MODELS).map(arm).collect()
    }

    /// Lives through a day of the experiment against the arm's service, or as it was written down if that was done before; what came
    /// of it, for people.
    pub(super) fn live(
        &mut self,
        folder: &Folder,
        settings: &Settings,
        day: u32,
    ) -> anyhow::Result<String> {
        let place = self.place(folder, day);
        let before = self.platform.get_mut().requests;
        if place.exists() {
            if let Some(earlier) = day.checked_sub(1) {
                clear(&self.place(folder, earlier).join("state"))?;
            }
            let rankings = fs_err::read_to_string(place.join(RANKINGS))?;
            self.recall(settings, day, &rankings).map_err(|error| {
                let path = place.clone();
                let reason = format!(
                    "does not fit to this world ({error:#}); remove {}",
                    folder.arm(self.name).display()
                );
                eliverec_run::Error::Run { path, reason }
            })?;
        } else {
            self.act(folder, settings, day)?;
        }
        let requests = self.platform.get_mut().requests - before;
        Ok(format!("{} {requests} requests", self.name))
    }

    fn place(&self, folder: &Folder, day: u32) -> PathBuf {
        folder.arm(self.name).join(day.to_string())
    }

    fn recall(&mut self, settings: &Settings, day: u32, rankings: &str) -> anyhow::Result<()> {
        let (platform, failed) = (&self.platform, RefCell::new(None));
        let mut recalls = Recalls { platform, failed: &failed, lines: rankings.lines() };
        let emits = Emits { platform, failed: &failed };
        run(&mut self.world, settings, day, &mut recalls, emits)?;
        anyhow::ensure!(recalls.lines.next().is_none(), "rankings go on after the day");
        Ok(())
    }

    fn act(&mut self, folder: &Folder, settings: &Settings, day: u32) -> anyhow::Result<()> {
        let place = self.place(folder, day);
        let partial = place.with_extension("partial");
        clear(&partial)?;
        let state = partial.join("state");
        let earlier = match day.checked_sub(1) {
            Some(earlier) => self.place(folder, earlier).join("state"),
            None => folder.before("state"),
        };
        copy(&earlier, &state)?;
        let file = folder.experiments(self.name, day);
        durable::write(&file, self.experiments(settings, day).as_bytes())?;
        // The service goes on as it ended; then the night's bundles are swapped in.
        let begins_with = folder.experiments(self.name, day.saturating_sub(1));
        let bundle = folder.bundle(0, MODELS[0]);
        let served = Served::begin(folder, bundle, &state, Some(begins_with))?;
        if day > 0 {
            served.client.experiment(&file)?;
        }
        self.platform.get_mut().call(served.client.clone(), SPAN_MS);
        let (platform, failed) = (&self.platform, RefCell::new(None));
        let mut asks = Asks { platform, failed: &failed, written: String::new() };
        run(&mut self.world, settings, day, &mut asks, Emits { platform, failed: &failed })?;
        let written = asks.written;
        if day + 1 == settings.days {
            let closing = closing(&self.world, settings);
            self.platform.get_mut().close(&closing)?;
            served.wait_for(settings.day(day + 1)?)?;
        } else {
            served.wait_for(settings.day(day)?)?;
        }
        self.platform.get_mut().hang_up();
        served.end()?;
        durable::write(&partial.join(RANKINGS), written.as_bytes())?;
        fs_err::rename(&partial, &place)?;
        if day > 0 {
            clear(&earlier)?;
        }
        Ok(())
    }

    /// The file of experiments of a day: half of the slots each, or all of them.
    fn experiments(&self, settings: &Settings, day: u32) -> String {
        let buckets: Vec<&str> =
            MODELS.into_iter().filter(|model| self.name == BOTH || self.name == *model).collect();
        let each = usize::from(SLOTS) / buckets.len();
        let layer = format!("[[layers]]\nname = \"{LAYER}\"\nsalt = \"ab-{}\"\n", settings.seed);
        let buckets = buckets.iter().zip((0..).step_by(each)).map(|(bucket, begin)| {
            format!(
                "[[layers.buckets]]\nname = \"{bucket}\"\nslots = [\"{begin}-{}\"]\nbundle = \"../bundles/{day}/{bucket}\"\n",
                begin + each - 1
            )
        });
        std::iter::once(layer).chain(buckets).collect()
    }
}

/// Lives to the end of a day of the experiment; the last one ends when the last users have left.
fn run(
    world: &mut World,
    settings: &Settings,
    day: u32,
    policy: &mut dyn Policy,
    mut emits: Emits<'_>,
) -> anyhow::Result<()> {
    let until_ms = settings.midnight_ms(day + 1) + NIGHT_MS;
    if day + 1 == settings.days {
        world.run(policy, &mut emits, &mut |_| ())?;
    } else {
        world.run_until(until_ms, policy, &mut emits, &mut |_| ())?;
    }
    match emits.failed.take() {
        Some(failed) => Err(failed),
        None => emits.platform.borrow_mut().send(until_ms - 1),
    }
}

/// The platform closes on the evening after the last day, when what arrived late is there: what is on the air ends. Some days
/// later there is one event more, so that these days are over.
fn closing(world: &World, settings: &Settings) -> Vec<Event> {
    let ended = |(i, (ts_ms, channel_id))| Event {
        channel_id: Some(channel_id),
        ..Event::new(CLOSING_IDS + i, ts_ms, EventKind::StreamEnd)
    };
    let [evening_ms, later_ms] = [1, 3].map(|days| settings.midnight_ms(settings.days + days) - 1);
    let live = world.live_channels().iter().map(|channel| (evening_ms, channel.channel_id));
    // There may be none.
    let ends = live.chain([(evening_ms, 1), (later_ms, 1)]);
    (0..).zip(ends).map(ended).collect()
}
