//! Encoded sides of users, kept while their histories stay what they are.
//!
//! An entry is found by its user and holds all that it was computed from; it counts only if that is what a request has, word by
//! word. So a kept side has the bits that a fresh one would have, whatever else may know of the user.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eliverec_models::fast::Encoded;
use lru::LruCache;
use serde::Serialize;

/// What an entry costs beside its numbers: places in the map and in its order.
const OVERHEAD: usize = 128;

/// The encoded sides of the users asked for last, within a number of bytes.
#[derive(Debug)]
pub(crate) struct EncodedCache {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    entries: LruCache<u64, Entry>,
    counts: CacheCounts,
}

#[derive(Debug)]
struct Entry {
    content: Vec<u64>,
    encoded: Arc<Encoded>,
}

/// What became of the questions to a cache, and what it holds. Retrieval and ranking of one request may ask a question each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CacheCounts {
    /// Questions that found the user's histories as they were.
    pub hits: u64,
    /// Questions that did not.
    pub misses: u64,
    /// Entries that made room for others.
    pub evicted: u64,
    /// Users kept.
    pub entries: usize,
    /// What they take.
    pub bytes: usize,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.encoded.bytes() + 8 * self.content.capacity() + OVERHEAD
    }
}

impl EncodedCache {
    /// An empty cache of at most `limit` bytes; none at all for 0.
    pub(crate) fn new(limit: usize) -> Self {
        let kept = Kept { entries: LruCache::unbounded(), counts: CacheCounts::default() };
        Self { limit, kept: Mutex::new(kept) }
    }

    pub(crate) fn counts(&self) -> CacheCounts {
        self.lock().counts
    }

    /// The encoded side of a user whose histories are `content`, made by `encode` if it is not kept.
    pub(crate) fn get(
        &self,
        user: u64,
        content: impl FnOnce() -> Vec<u64>,
        encode: impl FnOnce() -> Encoded,
    ) -> Arc<Encoded> {
        if self.limit == 0 {
            return Arc::new(encode());
        }
        let content = content();
        {
            let mut kept = self.lock();
            let found = kept.entries.get(&user).filter(|entry| entry.content == content);
            if let Some(encoded) = found.map(|entry| Arc::clone(&entry.encoded)) {
                kept.counts.hits += 1;
                return encoded;
            }
            kept.counts.misses += 1;
        }
        // Without the lock: others are served meanwhile.
        let encoded = Arc::new(encode());
        let entry = Entry { content, encoded: Arc::clone(&encoded) };
        self.lock().put(user, entry, self.limit);
        encoded
    }

    /// A panic under the lock cannot leave an entry that is wrong, only a count.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn put(&mut self, user: u64, entry: Entry, limit: usize) {
        let bytes = entry.bytes();
        if let Some(earlier) = self.entries.pop(&user) {
            self.counts.bytes -= earlier.bytes();
        }
        if bytes <= limit {
            while self.counts.bytes + bytes > limit {
                let Some((_, oldest)) = self.entries.pop_lru() else { break };
                self.counts.bytes -= oldest.bytes();
                self.counts.evicted += 1;
            }
            self.counts.bytes += bytes;
            self.entries.put(user, entry);
        }
        self.counts.entries = self.entries.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(cache: &EncodedCache, user: u64, content: &[u64]) -> bool {
        let mut made = false;
        cache.get(
            user,
            || content.to_vec(),
            || {
                made = true;
                Encoded::default()
            },
        );
        !made
    }

    #[test]
    fn an_entry_counts_while_the_histories_are_what_they_were() {
        let cache = EncodedCache::new(1 << 20);
        assert!(!asked(&cache, 1, &[5, 6]));
        assert!(asked(&cache, 1, &[5, 6]));
        assert!(!asked(&cache, 2, &[5, 6]), "another user");
        assert!(!asked(&cache, 1, &[5, 6, 7]), "one more event");
        assert!(!asked(&cache, 1, &[5, 6]), "a user has one entry");
        let CacheCounts { hits, misses, evicted, entries, .. } = cache.counts();
        assert_eq!((hits, misses, evicted, entries), (1, 4, 0, 2));
    }

    #[test]
    fn bytes_are_bounded_and_the_longest_unasked_goes_first() {
        let one = Entry { content: vec![0; 4], encoded: Arc::default() }.bytes();
        let cache = EncodedCache::new(2 * one);
        for user in [1, 2, 1, 3] {
            asked(&cache, user, &[user, 0, 0, 0]);
            assert!(cache.counts().bytes <= 2 * one);
        }
        assert!(asked(&cache, 1, &[1, 0, 0, 0]));
        assert!(asked(&cache, 3, &[3, 0, 0, 0]));
        assert!(!asked(&cache, 2, &[2, 0, 0, 0]), "asked for before the others");
        assert_eq!(cache.counts().evicted, 2);
        asked(&cache, 4, &[0; 1_000]);
        assert_eq!(cache.counts().entries, 2, "what is larger than the cache is not kept");
    }

    #[test]
    fn no_bytes_are_no_cache() {
        let cache = EncodedCache::new(0);
        assert!(!asked(&cache, 1, &[1]) && !asked(&cache, 1, &[1]));
        assert_eq!(cache.counts(), CacheCounts::default());
    }
}
