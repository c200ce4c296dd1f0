//! States by id in many small parts, each behind a lock of its own.
//!
//! Whoever needs several parts takes their locks in ascending order, and those of several lists in the order users, channels,
//! tables, products, so that nobody waits in a circle.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use eliverec_core::id::{IdHash, mix};

/// The states of some ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shard<T> {
    /// Every record up to here that concerns the shard is in it.
    pub(crate) position: u64,
    pub(crate) by_id: HashMap<u64, T, IdHash>,
}

/// All shards of one kind.
#[derive(Debug)]
pub(crate) struct Shards<T> {
    shards: Box<[RwLock<Shard<T>>]>,
}

/// Some shards of a list, locked, with their numbers in ascending order.
pub(crate) struct Locked<G> {
    numbers: Vec<usize>,
    guards: Vec<G>,
}

impl<G> Locked<G> {
    fn place(&self, number: usize) -> Option<usize> {
        self.numbers.binary_search(&number).ok()
    }

    pub(crate) fn get(&self, number: usize) -> Option<&G> {
        self.place(number).map(|place| &self.guards[place])
    }

    pub(crate) fn get_mut(&mut self, number: usize) -> Option<&mut G> {
        self.place(number).map(|place| &mut self.guards[place])
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut G> {
        self.guards.iter_mut()
    }
}

impl<T> Shards<T> {
    pub(crate) fn new(shards: impl IntoIterator<Item = Shard<T>>) -> Self {
        Self { shards: shards.into_iter().map(RwLock::new).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.len()
    }

    /// The shard of an id. The map inside uses the low bits, so these are others.
    pub(crate) fn number(&self, id: u64) -> usize {
        (mix(id) >> 40) as usize % self.shards.len()
    }

    pub(crate) fn read(&self, number: usize) -> RwLockReadGuard<'_, Shard<T>> {
        // A panic of another thread leaves no half-applied event that a later one could not see anyway.
        self.shards[number].read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self, number: usize) -> RwLockWriteGuard<'_, Shard<T>> {
        self.shards[number].write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the shards of some ids.
    pub(crate) fn read_of(
        &self,
        ids: impl IntoIterator<Item = u64>,
    ) -> Locked<RwLockReadGuard<'_, Shard<T>>> {
        let numbers = self.numbers(ids);
        let guards = numbers.iter().map(|number| self.read(*number)).collect();
        Locked { numbers, guards }
    }

    /// Locks the shards of some ids to change them.
    pub(crate) fn write_of(
        &self,
        ids: impl IntoIterator<Item = u64>,
    ) -> Locked<RwLockWriteGuard<'_, Shard<T>>> {
        let numbers = self.numbers(ids);
        let guards = numbers.iter().map(|number| self.write(*number)).collect();
        Locked { numbers, guards }
    }

    fn numbers(&self, ids: impl IntoIterator<Item = u64>) -> Vec<usize> {
        let mut numbers: Vec<usize> = ids.into_iter().map(|id| self.number(id)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}
