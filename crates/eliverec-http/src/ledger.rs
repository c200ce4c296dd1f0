//! What was answered lately, by request, so that it can be explained: bounded, the oldest leaves first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// The newest answers by request id.
#[derive(Debug)]
pub struct Ledger<T> {
    most: usize,
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    order: VecDeque<u64>,
    by_request: HashMap<u64, Arc<T>>,
}

impl<T> Ledger<T> {
    /// Room for `most` answers.
    pub fn new(most: usize) -> Self {
        let kept = Kept { order: VecDeque::new(), by_request: HashMap::new() };
        Self { most, kept: Mutex::new(kept) }
    }

    /// Keeps an answer; a second one of the same request takes the place of the first.
    pub fn keep(&self, request_id: u64, answer: T) {
        if self.most == 0 {
            return;
        }
        // Nothing between lock and unlock can panic half-way.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.by_request.insert(request_id, Arc::new(answer)).is_none() {
            kept.order.push_back(request_id);
        }
        if kept.order.len() > self.most
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.by_request.remove(&oldest);
        }
    }

    /// The newest answers with their requests, at most `most`, the newest first.
    pub fn newest(&self, most: usize) -> Vec<(u64, Arc<T>)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = kept.order.iter().rev().take(most);
        newest.filter_map(|id| Some((*id, Arc::clone(kept.by_request.get(id)?)))).collect()
    }

    /// The answer of a request, if it is among the newest.
    pub fn find(&self, request_id: u64) -> Option<Arc<T>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_request.get(&request_id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leaves() {
        let ledger = Ledger::new(2);
        for (request, answer) in [(1, "a"), (2, "b"), (1, "c"), (3, "d")] {
            ledger.keep(request, answer);
        }
        assert_eq!(ledger.find(1), None);
        assert_eq!(ledger.find(2).as_deref(), Some(&"b"));
        assert_eq!(ledger.find(3).as_deref(), Some(&"d"));
        let newest: Vec<u64> = ledger.newest(9).into_iter().map(|(request, _)| request).collect();
        assert_eq!(newest, [3, 2]);
        assert_eq!(ledger.newest(1).len(), 1);
        let none = Ledger::new(0);
        none.keep(1, "a");
        assert_eq!(none.find(1), None);
    }
}
