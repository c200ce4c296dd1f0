//! What a state gives to other processes that follow it.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError};

use crate::error::Error;
use crate::files::replace;
use crate::group::Publisher;
use crate::state::State;

/// The file that names the log, whichever copy or place of the directory it is.
const IDENTITY_FILE: &str = "identity";

impl State {
    /// Tells `publisher` of every group from now on; a second one is not told.
    pub fn publish_to(&self, publisher: Arc<dyn Publisher>) {
        // The first one stays.
        let _ = self.shared.publisher.set(publisher);
    }

    /// The number of the last record that others can follow; `None` if nobody is told.
    pub fn published(&self) -> Option<u64> {
        self.shared.publisher.get().map(|publisher| publisher.position())
    }

    /// Texts of channels, which those who follow are told with the next group.
    pub fn publish_names(&self, names: impl IntoIterator<Item = (u64, String)>) {
        if self.shared.publisher.get().is_some() {
            self.shared.names.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
        }
    }

    /// A moment, as close to `now_ms` as the order allows, with the position at which a request at this moment stands; whatever
    /// comes later gets a later stamp or this one.
    pub fn stand(&self, now_ms: i64) -> (i64, u64) {
        self.shared.contended.store.with_clock(|clock| clock.read(now_ms))
    }

    /// A word that names the log of this state and no other; made when it is asked for first.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn identity(&self) -> Result<String, Error> {
        let path = self.shared.directory.join(IDENTITY_FILE);
        match fs_err::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        let identity = drawn();
        replace(&path, &identity)?;
        Ok(identity)
    }

    /// Hands on the folds of users that changed after record `after`, encoded, some at a time or none, each as it is when it comes to
    /// it.
    ///
    /// # Errors
    /// What `each` gives.
    pub fn users_changed_after<E: From<Error>>(
        &self,
        after: u64,
        each: impl FnMut(Vec<(u64, Vec<u8>)>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.shared.contended.store.users_changed_after(after, each)
    }

    /// Whether anything is known of a user.
    pub fn knows_user(&self, user: u64) -> bool {
        self.shared.contended.store.read_user(user, |_, _| ()).is_some()
    }

    /// What those who follow begin with, of the snapshot at that position, by name; [`crate::Replica::begin`] reads it.
    ///
    /// # Errors
    /// A snapshot that is not there or damaged.
    pub fn files_to_follow(&self, position: u64) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        let snapshots = self.shared.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        snapshots.files_to_follow(position)
    }
}

/// A word that nobody has drawn before: the standard library's hashers begin with random keys.
pub fn drawn() -> String {
    let draw = |place: u64| RandomState::new().hash_one(place);
    format!("{:016x}{:016x}", draw(0), draw(1))
}
