//! The state of a service: opened, fed, asked, saved.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use eliverec_core::event::check_context;
use eliverec_core::{Day, Dimension, Dimensions, Event, Feed, Schema};
use eliverec_features::{ChannelState, FeedBuilder, Request, UserState, Wanted};

use crate::clock::check_moment;
use crate::config::StateConfig;
use crate::contended::Contended;
use crate::error::Error;
use crate::files::create_directory;
use crate::known::Known;
use crate::left::Left;
use crate::log::Log;
use crate::pieces::{PieceThread, Pieces};
use crate::queue::{Acknowledged, Batch, Queue};
use crate::record::{Record, Table, Upsert};
use crate::recover::{lock, newest, refuse_foreign, replay};
use crate::shared::{LEFT_FILE, Shared};
use crate::snapshot::{Loaded, Snapshots};
use crate::store::{FeatureStore, Features, Stand};

/// New values of a row, as a caller brings them.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Of whom.
    pub id: u64,
    /// One per field of [`Dimension::fields_of`], in its order.
    pub values: Vec<eliverec_core::dimensions::Value>,
}

/// How a state was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opened {
    /// The snapshot that it began with; `None` if it was made of the log alone, or is new.
    pub snapshot: Option<u64>,
    /// Records of the log that were applied after it.
    pub replayed: u64,
    /// Snapshots that could not be read, and why.
    pub passed_over: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// A day of the log that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedDay {
    /// The day on which its records arrived.
    pub day: Day,
    /// Its first record.
    pub first: u64,
    /// The number behind its last record.
    pub end: u64,
}

/// What the state holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Users with a state.
    pub users: usize,
    /// Channels with a state.
    pub channels: usize,
    /// Products with clicks.
    pub products: usize,
    /// Event ids that are remembered.
    pub known_ids: usize,
}

/// What a service knows, and the log that it follows from. Any number of threads may use it at a time; dropped, it takes in what
/// waits and closes the log.
#[derive(Debug)]
pub struct State {
    pub(crate) shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    /// Takes the locks for those who stand back.
    pub(crate) pieces: PieceThread,
    opened: Opened,
    // Held until everything else is closed.
    _lock: std::fs::File,
}

impl State {
    /// Opens the state in a directory: the newest snapshot that is whole, and the records of the log after it. A directory that has
    /// none begins with `dimensions`; later what was written since counts. The context of impressions and the fields of tables are
    /// those of `schema`.
    ///
    /// # Errors
    /// A directory of something else, that another process has open, that was written with another schema, or whose log is damaged or
    /// lacks records;
    /// and what the file system refuses.
    pub fn open(
        directory: &Path,
        config: StateConfig,
        schema: &Schema,
        dimensions: &Dimensions,
    ) -> Result<Self, Error> {
        let begun = Instant::now();
        config.features.check()?;
        refuse_foreign(directory)?;
        create_directory(directory)?;
        let lock = lock(directory)?;
        let snapshots = Snapshots::open(&directory.join("snapshots"), schema, config.features)?;
        let (loaded, passed_over) = newest(&snapshots, schema)?;
        let is_new = loaded.is_none() && passed_over.is_empty();
        let snapshot = loaded.as_ref().map(|loaded| loaded.manifest.position);
        let end = loaded.as_ref().map_or(0, |loaded| loaded.manifest.end);
        let logs = directory.join("log");
        let log = Log::open(&logs, &schema.fingerprint(), config.segment_records, end + 1, is_new)?;
        if log.next() <= end {
            let reason = format!(
                "ends before record {}, and the newest snapshot has {end}; restore what is missing from a backup",
                log.next()
            );
            return Err(Error::log(&logs, reason));
        }
        let first = snapshot.map_or(1, |position| position + 1);
        if log.first() > first {
            let mut reason = format!("begins with record {}, and {first} is needed", log.first());
            for passed_over in &passed_over {
                reason = format!("{reason}; {passed_over}");
            }
            return Err(Error::log(&logs, reason));
        }
        let (store, mut known, known_position) = if let Some(loaded) = loaded {
            let Loaded { manifest, store, known, known_position } = loaded;
            store.with_clock(|clock| clock.set(manifest.stamp_ms, manifest.position));
            (store, known, known_position)
        } else {
            let store = FeatureStore::empty(config.features, dimensions.clone());
            (store, Known::new(&config.features), 0)
        };
        let replayed = replay(&log, &store, &mut known, known_position, first)?;
        let newest = store.with_clock(|clock| clock.applied_ms()).and_then(Day::of);
        let left = Left::open(&directory.join(LEFT_FILE), newest)?;
        // A clock that goes back brings no record to a day that is over.
        let day_after = left.days().last_key_value().and_then(|(last, _)| last.plus(1));
        if let Some(day_after) = day_after {
            store.with_clock(|clock| clock.not_before(day_after.start_ms()));
        }
        let contended = Contended {
            known: Mutex::new(known),
            log: Mutex::new(log),
            queue: Queue::default(),
            store,
        };
        let shared = Arc::new(Shared {
            config,
            schema: schema.clone(),
            contended: Arc::new(contended),
            snapshots: Mutex::new(snapshots),
            directory: directory.into(),
            left: Mutex::new(left),
            publisher: OnceLock::new(),
            names: Mutex::default(),
        });
        let pieces = PieceThread::begin(&shared.contended)?;
        if is_new {
            // The tables that it begins with are in no record.
            shared.snapshot(&pieces)?;
        }
        let writing = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("eliverec-log".into())
            .spawn(move || writing.write())?;
        let opened = Opened { snapshot, replayed, passed_over, took: begun.elapsed() };
        Ok(Self { shared, writer: Some(writer), pieces, opened, _lock: lock })
    }

    /// How it was opened.
    pub const fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Takes events in, when it is `now_ms` (milliseconds since 1970 UTC): it returns when they are on disk and known to every
    /// request that begins afterwards. Their arrival is written by the log. Events that are there already are acknowledged again.
    ///
    /// # Errors
    /// An event that contradicts the contract or the schema, after which none of the batch is taken in; more than may wait; a log
    /// that failed, after which nobody knows of the batch's events whether they are there: send them again after the next start.
    pub fn ingest(&self, events: Vec<Event>, now_ms: i64) -> Result<Acknowledged, Error> {
        let events = self.checked(events, now_ms)?;
        self.take(Batch::Events(events), now_ms)
    }

    /// The events as of `now_ms`, if all of them keep the contract.
    pub(crate) fn checked(&self, mut events: Vec<Event>, now_ms: i64) -> Result<Vec<Event>, Error> {
        check_moment(now_ms)?;
        for (index, event) in events.iter_mut().enumerate() {
            event.available_at_ms = now_ms;
            let wrong = |reason| Error::Event { index, event_id: event.event_id, reason };
            event.check().map_err(|e| wrong(e.to_string()))?;
            check_context(&self.shared.schema, event)
                .map_err(|(column, reason)| wrong(format!("{column}: {reason}")))?;
        }
        Ok(events)
    }

    /// Gives rows of a table other values, as [`State::ingest`] takes events in.
    ///
    /// # Errors
    /// A row that does not fit its table, after which none is taken; otherwise as [`State::ingest`].
    pub fn upsert(&self, table: Table, rows: Vec<Row>, now_ms: i64) -> Result<Acknowledged, Error> {
        check_moment(now_ms)?;
        let group = table.group();
        let fields = Dimension::fields_of(&self.shared.schema, group);
        for (index, Row { id, values }) in rows.iter().enumerate() {
            Dimension::check_values(group, &fields, values).map_err(|source| Error::Row {
                index,
                id: *id,
                source,
            })?;
        }
        let upsert = |Row { id, values }| Upsert { table, id, values, available_at_ms: now_ms };
        self.take(Batch::Upserts(rows.into_iter().map(upsert).collect()), now_ms)
    }

    pub(crate) fn take(&self, batch: Batch, now_ms: i64) -> Result<Acknowledged, Error> {
        let most = self.shared.config.waiting_records;
        let reply: Receiver<_> = self.shared.contended.queue.push(now_ms, batch, most)?;
        let gone = || {
            let reason = "the thread that writes the log has ended".to_owned();
            self.shared
                .contended
                .queue
                .stopped()
                .unwrap_or(Error::Stopped { reason, is_disk_full: false })
        };
        reply.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// What is known for a request of `user` that could show `channels`, when it is `now_ms`; see [`Stand::ts_ms`].
    pub fn features(&self, wanted: &Wanted, user: u64, now_ms: i64, channels: &[u64]) -> Features {
        self.shared.contended.store.features(wanted, user, now_ms, channels)
    }

    /// The feed of a request, when it is `now_ms`; its moment becomes [`Stand::ts_ms`]. `builder` must have been made for the schema
    /// of the state.
    pub fn feed(&self, builder: &FeedBuilder, request: &mut Request, now_ms: i64) -> (Feed, Stand) {
        self.shared.contended.store.feed(builder, request, now_ms)
    }

    /// The channels that are live now, in ascending order.
    pub fn live(&self) -> Arc<[u64]> {
        self.shared.contended.store.live()
    }

    /// Hands the states of some channels to `each`, with the tables, each as it is when it comes to it: for what need not be of one
    /// moment. Channels without a state are left out.
    pub fn read_channels<T>(
        &self,
        channels: &[u64],
        each: impl FnMut(u64, &ChannelState, &Dimensions) -> T,
    ) -> Vec<T> {
        self.shared.contended.store.read_channels(channels, each)
    }

    /// Hands the state of a user to `with`, with the tables; `None` for a user of whom nothing is known.
    pub fn read_user<T>(
        &self,
        user: u64,
        with: impl FnOnce(&UserState, &Dimensions) -> T,
    ) -> Option<T> {
        self.shared.contended.store.read_user(user, with)
    }

    /// When the newest event that was applied happened, milliseconds since 1970 UTC; `None` before the first.
    pub fn newest_event_ms(&self) -> Option<i64> {
        self.shared.contended.store.newest_event_ms()
    }

    /// Its settings.
    pub fn config(&self) -> &StateConfig {
        &self.shared.config
    }

    /// The schema of its context and tables.
    pub fn schema(&self) -> &Schema {
        &self.shared.schema
    }

    /// The number of the last record that is applied, 0 if there is none.
    pub fn position(&self) -> u64 {
        self.shared.contended.store.with_clock(|clock| clock.position())
    }

    /// Why nothing is taken in any more; `None` while all is well.
    pub fn stopped(&self) -> Option<Error> {
        self.shared.contended.queue.stopped()
    }

    /// What it holds.
    pub fn sizes(&self) -> Sizes {
        let [users, channels, products] = self.shared.contended.store.sizes();
        let known_ids = self.shared.contended.known().len();
        Sizes { users, channels, products, known_ids }
    }

    /// Writes a snapshot, after which a restart needs only the records behind it, and removes those before the last; requests and
    /// ingest go on meanwhile. Its position, which may be that of one that is there already.
    ///
    /// # Errors
    /// A log that failed, and what the file system refuses; the snapshots before stay.
    pub fn snapshot(&self) -> Result<u64, Error> {
        self.shared.snapshot(&self.pieces)
    }

    /// The days that are over when it is `now_ms`, in order: no record of theirs can come any more. Those of which [`State::leave`] was
    /// told since the state was opened are left out.
    ///
    /// # Errors
    /// A moment outside the years 0000 to 9999.
    pub fn days_over(&self, now_ms: i64) -> Result<Vec<LoggedDay>, Error> {
        let left = self.shared.left().confirmed();
        self.pieces.piece(move |contended| {
            let mut log = contended.log();
            // Whatever comes next gets a stamp from here on.
            let earliest_ms = contended.store.with_clock(|clock| {
                clock.read(now_ms);
                clock.earliest_stamp_ms()
            });
            let today = Day::of(earliest_ms).ok_or(Error::Clock { now_ms: earliest_ms })?;
            log.end_days_before(today);
            let days = log.days().into_iter();
            let over = days.filter(|(day, ..)| *day < today && left.is_none_or(|left| *day > left));
            Ok(over.map(|(day, first, end)| LoggedDay { day, first, end }).collect())
        })
    }

    /// Hands on the records of a day that is over, in order.
    ///
    /// # Errors
    /// A damaged file of the log, and what `each` gives.
    pub fn read_day<E: From<Error>>(
        &self,
        day: LoggedDay,
        mut each: impl FnMut(u64, Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let files = self.pieces.piece(move |contended| contended.log().files_of(day.day));
        let mut failed = None;
        for file in files {
            let read = file.read(0, &mut |sequence, record| {
                each(sequence, record).map_err(|e| {
                    failed = Some(e);
                    Error::log(Path::new(""), "")
                })
            });
            if let Some(failed) = failed {
                return Err(failed);
            }
            read?;
        }
        Ok(())
    }

    /// A day stands elsewhere with so many events, as all days before it do: their records leave when no snapshot that is kept needs
    /// them. The number of files removed.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn leave(&self, day: Day, events: u64) -> Result<usize, Error> {
        self.shared.left().leave(day, events)?;
        self.shared.remove_left(&self.pieces)
    }

    /// The days that stand elsewhere, with their events, as it was told in this life of the state or an earlier one.
    pub fn left(&self) -> BTreeMap<Day, u64> {
        self.shared.left().days().clone()
    }

    /// These days are not looked for any more where they stood: they were to be removed.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn forget(&self, days: &[Day]) -> Result<(), Error> {
        self.shared.left().forget(days)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.shared.contended.queue.close();
        if let Some(writer) = self.writer.take() {
            // A panic there was told when it happened.
            let _ = writer.join();
        }
    }
}
