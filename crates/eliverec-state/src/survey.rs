//! What goes through the whole store, one shard at a time.

use crate::error::Error;
use crate::group::encode_user;
use crate::shards::Shards;
use crate::store::{FeatureStore, User};

impl FeatureStore {
    /// Forgets the users of whom no feature can tell anything from `at_ms` on, the last stamp; these. One shard is locked at a time.
    pub(crate) fn forget_idle_users(&self, at_ms: i64) -> Vec<u64> {
        let mut users = Vec::new();
        for number in 0..self.users.len() {
            let is_over = |_: &u64, user: &mut User| user.state.is_over(at_ms, &self.config);
            users.extend(self.users.write(number).by_id.extract_if(is_over).map(|(id, _)| id));
        }
        users
    }

    /// The same of channels and products.
    pub(crate) fn forget_idle_channels(&self, at_ms: i64) {
        for number in 0..self.channels.len() {
            let mut shard = self.channels.write(number);
            shard.by_id.retain(|_, channel| !channel.is_over(at_ms, &self.config));
        }
        for number in 0..self.products.len() {
            let mut shard = self.products.write(number);
            shard.by_id.retain(|_, product| !product.is_over(at_ms));
        }
    }

    /// Hands on the folds of users that changed after record `after`, encoded, shard by shard, of some shards none.
    pub(crate) fn users_changed_after<E: From<Error>>(
        &self,
        after: u64,
        mut each: impl FnMut(Vec<(u64, Vec<u8>)>) -> Result<(), E>,
    ) -> Result<(), E> {
        for number in 0..self.users.len() {
            let shard = self.users.read(number);
            let changed = shard.by_id.iter().filter(|(_, user)| user.changed > after);
            let users = changed.map(|(id, user)| Ok((*id, encode_user(*id, user)?)));
            let users = users.collect::<Result<Vec<_>, Error>>()?;
            drop(shard);
            each(users)?;
        }
        Ok(())
    }

    /// Whether there is a state of the channel.
    pub(crate) fn has_channel(&self, id: u64) -> bool {
        self.channels.read(self.channels.number(id)).by_id.contains_key(&id)
    }

    /// Users, channels and products with a state.
    pub(crate) fn sizes(&self) -> [usize; 3] {
        fn size<T>(shards: &Shards<T>) -> usize {
            (0..shards.len()).map(|number| shards.read(number).by_id.len()).sum()
        }
        [size(&self.users), size(&self.channels), size(&self.products)]
    }
}
