//! Small pieces of work that need a lock, done by a thread of usual priority for those who stand back.
//!
//! Snapshots are written and days become folders on threads of the lowest priority. Such a thread may stay off the processor for
//! many seconds, and with a lock that the log or requests need it would keep them waiting for as long. So it takes none: what needs
//! one is done here, at the priority of whoever opened the state, and what is copied is handed over.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use crate::contended::Contended;

/// Where pieces of work are done that take locks of [`Contended`]: each at most what a shard or some thousand rows take.
pub(crate) trait Pieces {
    /// Waits until `work` is done; no lock is held when it returns.
    fn piece<T: Send + 'static>(&self, work: impl FnOnce(&Contended) -> T + Send + 'static) -> T;
}

type Piece = Box<dyn FnOnce(&Contended) + Send>;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct PieceThread {
    /// `None` while it is dropped.
    pieces: Option<Sender<Piece>>,
    thread: Option<JoinHandle<()>>,
}

impl PieceThread {
    /// Begins, at the priority of the calling thread.
    pub(crate) fn begin(contended: &Arc<Contended>) -> std::io::Result<Self> {
        let (pieces, come) = channel::<Piece>();
        let contended = Arc::clone(contended);
        let thread = std::thread::Builder::new().name("eliverec-pieces".into());
        let thread = thread.spawn(move || come.into_iter().for_each(|piece| piece(&contended)))?;
        Ok(Self { pieces: Some(pieces), thread: Some(thread) })
    }
}

impl Pieces for PieceThread {
    fn piece<T: Send + 'static>(&self, work: impl FnOnce(&Contended) -> T + Send + 'static) -> T {
        let (reply, done) = channel();
        let piece: Piece = Box::new(move |contended| {
            let worked = catch_unwind(AssertUnwindSafe(|| work(contended)));
            // Who does not wait any more needs no answer.
            let _ = reply.send(worked);
        });
        let sent = self.pieces.as_ref().is_some_and(|pieces| pieces.send(piece).is_ok());
        assert!(sent, "the thread lives as long as the state");
        // A panic goes on where the piece was waited for.
        let worked = done.recv().expect("each piece is done, or its panic caught");
        worked.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Drop for PieceThread {
    fn drop(&mut self) {
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            // Panics of pieces go on elsewhere.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;
    use std::sync::mpsc::Receiver;

    use eliverec_core::dimensions::Value;
    use eliverec_core::event::Scalar;
    use eliverec_core::schema::Group;
    use eliverec_core::{Dimension, Dimensions, Event, EventKind, Schema};
    use eliverec_features::UserState;

    use super::*;
    use crate::config::StateConfig;
    use crate::record::Table;
    use crate::state::{Row, State};

    const SCHEMA: &str = r#"
vocabulary = [{ name = "channel" }, { name = "anchor" }]
channel = [
    { name = "channel_id", kind = "categorical", vocabulary = "channel" },
    { name = "anchor_id", kind = "categorical", vocabulary = "anchor" },
]
"#;
    const BEGIN_MS: i64 = 20_000 * 86_400_000;
    /// More than are copied at a time.
    const CHANNELS: u64 = 9_000;

    /// Whoever writes a snapshot is off the processor behind some of its pieces, until it is told to go on.
    struct Stopping<'a> {
        pieces: &'a PieceThread,
        done: Cell<u64>,
        stopped: Sender<u64>,
        go_on: Receiver<()>,
    }

    impl Pieces for Stopping<'_> {
        fn piece<T: Send + 'static>(
            &self,
            work: impl FnOnce(&Contended) -> T + Send + 'static,
        ) -> T {
            let value = self.pieces.piece(work);
            let done = self.done.replace(self.done.get() + 1);
            if done < 8 || done.is_multiple_of(101) {
                self.stopped.send(done).unwrap();
                self.go_on.recv().unwrap();
            }
            value
        }
    }

    fn open(path: &Path) -> State {
        let schema = Schema::parse(SCHEMA).unwrap();
        let rows = (0..CHANNELS).map(|id| (id, [Scalar::Id(id + 1)]));
        let channels = Dimension::from_rows(&schema, Group::Channel, rows).unwrap();
        let dimensions = Dimensions { channels, ..Dimensions::empty(&schema).unwrap() };
        let config = StateConfig { gather_ms: 0, ..StateConfig::default() };
        State::open(path, config, &schema, &dimensions).unwrap()
    }

    fn leave(number: u64) -> Event {
        let leave = Event::new(number, BEGIN_MS + number as i64, EventKind::Leave);
        let (user_id, channel_id) = (Some(number % 50), Some(number % 7));
        Event { user_id, channel_id, value: Some(20.0), ..leave }
    }

    fn anchors(state: &State) -> Vec<Option<u64>> {
        let tables = state.shared.contended.store.tables.read().unwrap();
        (0..CHANNELS).map(|id| tables.dimensions.anchor_of(id, i64::MAX)).collect()
    }

    fn users(state: &State) -> Vec<Option<UserState>> {
        (0..50).map(|user| state.read_user(user, |user, _| user.clone())).collect()
    }

    /// However long whoever writes it is off the processor: no lock is held meanwhile, and what is taken in is not in a part of it.
    #[test]
    fn ingest_goes_on_while_a_snapshot_waits() {
        let folder = tempfile::tempdir().unwrap();
        let state = open(folder.path());
        let ingest = |numbers: std::ops::Range<u64>| {
            let now_ms = BEGIN_MS + numbers.start as i64;
            let taken = state.ingest(numbers.clone().map(leave).collect(), now_ms).unwrap();
            assert_eq!(taken.applied, numbers.end - numbers.start);
        };
        let upsert = |ids: std::ops::Range<u64>, anchor: u64| {
            let row = |id| Row { id, values: vec![Value::Id(anchor)] };
            // Each twice in one moment.
            let rows = ids.flat_map(|id| [row(id), row(id)]).collect();
            state.upsert(Table::Channels, rows, BEGIN_MS).unwrap();
        };
        ingest(1..100);
        upsert(0..10, 70);
        let before = state.position();
        let mut number = 100;
        let position = std::thread::scope(|scope| {
            let ((stopped, stops), (tell, go_on)) = (channel(), channel());
            let writing = scope.spawn(|| {
                let pieces = Stopping { pieces: &state.pieces, done: Cell::new(0), stopped, go_on };
                state.shared.snapshot(&pieces).unwrap()
            });
            for done in stops {
                let contended = &state.shared.contended;
                assert!(contended.known.try_lock().is_ok(), "piece {done}");
                assert!(contended.log.try_lock().is_ok(), "piece {done}");
                assert!(contended.store.tables.try_write().is_ok(), "piece {done}");
                // In all shards and in the log.
                ingest(number..number + 50);
                number += 50;
                // The table is copied in two pieces, and rewritten in between.
                if done == 1 {
                    upsert(0..CHANNELS, 80);
                }
                upsert(done..done + 1, 90);
                tell.send(()).unwrap();
            }
            writing.join().unwrap()
        });
        assert!(position > before && position < state.position());
        let expected = (users(&state), anchors(&state), state.position());
        assert_eq!(state.snapshot().unwrap(), state.position());
        drop(state);
        // The newest one has nothing to replay.
        let newest = format!("snapshots/{:020}", expected.2);
        fs_err::remove_dir_all(folder.path().join(newest)).unwrap();
        let state = open(folder.path());
        assert_eq!(state.opened().snapshot, Some(position));
        assert_eq!((users(&state), anchors(&state), state.position()), expected);
        let again: Vec<Event> = (1..number).map(leave).collect();
        let taken = state.ingest(again, BEGIN_MS + number as i64).unwrap();
        assert_eq!((taken.applied, taken.duplicates), (0, number - 1));
    }
}
