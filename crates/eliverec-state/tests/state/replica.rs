//! A process that follows a state answers as the log says, whatever comes between.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eliverec_core::{Event, EventKind};
use eliverec_state::{Closed, Error, Features, Group, Publisher, Replica, State, Table, Users};

use crate::log::{CHANNELS, USERS, batch, config, dimensions, moment, row, schema, wanted};
use crate::oracle::{expected, records};

const EPOCH: &str = "one";

/// What stands between a state and those who follow it: all in memory, each change at one moment.
#[derive(Debug, Default)]
struct Between(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    closed: Option<Closed>,
    users: HashMap<u64, Vec<u8>>,
    entries: Vec<Vec<u8>>,
    is_away: bool,
}

impl Told {
    fn close(&mut self, position: u64, at_ms: i64) {
        let beat = self.closed.map_or(0, |closed| closed.beat + 1);
        self.closed = Some(Closed { position, at_ms, beat });
    }
}

impl Publisher for Between {
    fn publish(&self, group: Group) {
        let mut told = self.0.lock().unwrap();
        for (user, folds) in group.users {
            match folds {
                Some(folds) => told.users.insert(user, folds),
                None => told.users.remove(&user),
            };
        }
        told.entries.push(group.entry);
        told.close(group.last, group.stamp_ms + 1);
    }

    fn position(&self) -> u64 {
        self.0.lock().unwrap().closed.map_or(0, |closed| closed.position)
    }
}

#[derive(Debug)]
struct Fetching(Arc<Between>);

impl Users for Fetching {
    fn fetch(
        &self,
        epoch: &str,
        user: u64,
        _: Duration,
    ) -> Result<(Option<Closed>, Option<Vec<u8>>), String> {
        assert_eq!(epoch, EPOCH);
        let told = self.0.0.lock().unwrap();
        if told.is_away {
            return Err("it is away".into());
        }
        Ok((told.closed, told.users.get(&user).cloned()))
    }
}

fn open(folder: &Path) -> (State, Arc<Between>) {
    let state = State::open(folder, config(), &schema(), &dimensions()).unwrap();
    let between = Arc::new(Between::default());
    state.publish_to(Arc::clone(&between) as Arc<dyn Publisher>);
    (state, between)
}

fn replica(between: &Arc<Between>) -> Replica {
    let users = Box::new(Fetching(Arc::clone(between)));
    Replica::new(&schema(), config().features, users).unwrap()
}

/// Sends a batch with its row, and tells a moment behind it.
fn send(state: &State, between: &Between, of: u64) {
    state.ingest(batch(of), moment(of)).unwrap();
    if let Some(row) = row(of) {
        state.publish_names([(of, format!("channel {of}"))]);
        state.upsert(Table::Channels, vec![row], moment(of)).unwrap();
    }
    let (at_ms, position) = state.stand(moment(of) + 500);
    between.0.lock().unwrap().close(position, at_ms);
}

fn ask(replica: &Replica, user: u64, now_ms: i64) -> Result<Features, Error> {
    let channels: Vec<u64> = (0..CHANNELS).collect();
    let mut known = replica.user(user, Duration::from_mins(1))?;
    replica.features(&mut known, &wanted(), now_ms, &channels)
}

#[test]
fn every_answer_stands_at_one_position_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let (state, between) = open(folder.path());
    (0..20).for_each(|of| send(&state, &between, of));
    let position = state.snapshot().unwrap();
    let replica = replica(&between);
    let files = state.files_to_follow(position).unwrap();
    assert_eq!(replica.begin(EPOCH, &files, HashMap::new()).unwrap(), position);
    let (is_sent, is_applied) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut answers: Vec<(u64, Features)> = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (20..140).for_each(|of| send(&state, &between, of));
            is_sent.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            let mut next = 0;
            loop {
                // What was told before the end is looked for once more behind it.
                let is_last = is_sent.load(Ordering::Acquire);
                let entries = between.0.lock().unwrap().entries[next..].to_vec();
                next += entries.len();
                entries.iter().for_each(|entry| replica.apply(entry).unwrap());
                if is_last && entries.is_empty() {
                    is_applied.store(true, Ordering::Release);
                    return;
                }
            }
        });
        let mut user = 0;
        while !is_applied.load(Ordering::Acquire) || answers.is_empty() {
            user = (user + 1) % USERS;
            match ask(&replica, user, moment(1_000)) {
                Ok(features) => answers.push((user, features)),
                // It has to be heard of twice.
                Err(Error::Behind { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    });
    // At the end both know the same at the same moment.
    for user in 0..USERS {
        let features = ask(&replica, user, moment(1_000)).unwrap();
        assert_eq!((features.stand.position, features.stand.ts_ms), {
            (state.position(), moment(139) + 500)
        });
        answers.push((user, features));
    }
    assert_eq!(state.published(), Some(state.position()));
    assert_eq!(replica.name_of(130).as_deref(), Some("channel 130"));
    assert_eq!(replica.not_ready(), None);
    let records = records(&state).unwrap();
    let mut by_stand: BTreeMap<(u64, i64), Vec<(u64, Features)>> = BTreeMap::new();
    for (user, features) in answers {
        let stand = (features.stand.position, features.stand.ts_ms);
        by_stand.entry(stand).or_default().push((user, features));
    }
    for ((position, at_ms), answers) in by_stand {
        let arrived = records.iter().take_while(|(_, record)| record.stamp_ms() < at_ms).count();
        assert_eq!(arrived as u64, position, "the moment {at_ms} says the same as the position");
        let expected = expected(&records[..arrived], at_ms);
        for (user, features) in answers {
            assert_eq!(features.values, expected[user as usize], "user {user} at {position}");
        }
    }
}

#[test]
fn what_is_not_known_is_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (state, between) = open(folder.path());
    let replica = replica(&between);
    let refused = |replica: &Replica, now| match replica.user(1, Duration::from_millis(1)) {
        Err(Error::Behind { reason }) => reason,
        other => panic!("{now}: {other:?}"),
    };
    assert!(refused(&replica, "first").contains("nothing is followed yet"));
    send(&state, &between, 0);
    let position = state.snapshot().unwrap();
    let files = state.files_to_follow(position).unwrap();
    replica.begin(EPOCH, &files, HashMap::new()).unwrap();
    assert!(refused(&replica, "once").contains("has not been heard of yet"));
    let beat = || {
        let (at_ms, position) = state.stand(moment(0));
        between.0.lock().unwrap().close(position, at_ms);
    };
    beat();
    assert!(replica.user(1, Duration::from_mins(1)).is_ok());
    // A record that was told and has not come.
    send(&state, &between, 1);
    assert!(refused(&replica, "behind").contains("is not here yet"));
    let next = || between.0.lock().unwrap().entries.last().unwrap().clone();
    replica.apply(&next()).unwrap();
    assert!(replica.user(1, Duration::from_mins(1)).is_ok());
    send(&state, &between, 2);
    send(&state, &between, 3);
    let message = replica.apply(&next()).unwrap_err().to_string();
    assert!(message.contains("is needed"), "{message}");
    between.0.lock().unwrap().is_away = true;
    assert!(refused(&replica, "away").contains("it is away"));

    let mut strict = config().features;
    strict.allowed_lateness_ms = 0;
    let users = || Box::new(Fetching(Arc::clone(&between)));
    let other = Replica::new(&schema(), strict, users()).unwrap();
    let message = other.begin(EPOCH, &files, HashMap::new()).unwrap_err().to_string();
    assert!(message.contains("other settings of the features"), "{message}");
    let mut schema = schema();
    schema.context.clear();
    let other = Replica::new(&schema, config().features, users()).unwrap();
    let message = other.begin(EPOCH, &files, HashMap::new()).unwrap_err().to_string();
    assert!(message.contains("another schema"), "{message}");
    assert_eq!(state.identity().unwrap(), state.identity().unwrap());
}

/// Users are not forgotten with them: whose folds are too old has to stay known.
#[test]
fn idle_channels_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (state, between) = open(folder.path());
    let replica = replica(&between);
    let files = state.files_to_follow(state.snapshot().unwrap()).unwrap();
    replica.begin(EPOCH, &files, HashMap::new()).unwrap();
    let leave = |event_id, channel, at_ms| {
        let leave = Event::new(event_id, at_ms, EventKind::Leave);
        Event { user_id: Some(5), channel_id: Some(channel), value: Some(9.0), ..leave }
    };
    let known_behind = |event: Event| {
        let now_ms = event.ts_ms;
        state.ingest(vec![event], now_ms).unwrap();
        let entry = between.0.lock().unwrap().entries.last().unwrap().clone();
        replica.apply(&entry).unwrap();
        // It has to be heard of twice.
        let closed = between.0.lock().unwrap().closed.unwrap();
        replica.hear(EPOCH, closed);
        let (at_ms, position) = state.stand(now_ms);
        between.0.lock().unwrap().close(position, at_ms);
        replica.user(5, Duration::from_mins(1)).unwrap()
    };
    let later_ms = moment(0) + 30 * 3_600_000;
    let mut before = known_behind(leave(1, 3, moment(0)));
    assert_eq!(before.read_channels(&[3, 4], |id, _, _| id), [3]);
    let behind = known_behind(leave(2, 4, later_ms));
    assert_eq!(behind.read_channels(&[3, 4], |id, _, _| id), [4]);
    let features = replica.features(&mut before, &wanted(), later_ms, &[3, 4]).unwrap();
    assert_eq!(features.stand.history, 2);
}
