//! Names of what stands at the server.

use eliverec_core::id::mix;

/// Hashes for the folds of users; a hash of all users would have to be removed in one go.
const USER_HASHES: u64 = 1024;

/// Under a prefix.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) prefix: String,
}

impl Keys {
    pub(crate) fn owner(&self) -> String {
        format!("{}:owner", self.prefix)
    }

    pub(crate) fn about(&self) -> String {
        format!("{}:about", self.prefix)
    }

    pub(crate) fn closed(&self, epoch: &str) -> String {
        format!("{}:{epoch}:closed", self.prefix)
    }

    pub(crate) fn stream(&self, epoch: &str) -> String {
        format!("{}:{epoch}:stream", self.prefix)
    }

    pub(crate) fn names(&self, epoch: &str) -> String {
        format!("{}:{epoch}:names", self.prefix)
    }

    /// The positions of the newest snapshot and of the one before.
    pub(crate) fn snapshots(&self, epoch: &str) -> String {
        format!("{}:{epoch}:snapshot", self.prefix)
    }

    pub(crate) fn snapshot(&self, epoch: &str, position: u64) -> String {
        format!("{}:{epoch}:snapshot:{position}", self.prefix)
    }

    /// The hash that has the folds of a user.
    pub(crate) fn user(&self, epoch: &str, user: u64) -> String {
        self.users(epoch, (mix(user) >> 40) % USER_HASHES)
    }

    fn users(&self, epoch: &str, number: u64) -> String {
        format!("{}:{epoch}:users:{number:04}", self.prefix)
    }

    /// The hashes that have the folds of users.
    pub(crate) fn all_users(&self, epoch: &str) -> impl Iterator<Item = String> {
        (0..USER_HASHES).map(move |number| self.users(epoch, number))
    }

    /// Everything of an epoch but its snapshots.
    pub(crate) fn all(&self, epoch: &str) -> Vec<String> {
        let users = self.all_users(epoch);
        let others =
            [self.closed(epoch), self.stream(epoch), self.names(epoch), self.snapshots(epoch)];
        others.into_iter().chain(users).collect()
    }
}
