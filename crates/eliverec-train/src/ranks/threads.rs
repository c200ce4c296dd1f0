//! Ranks that are threads of one process, for tests.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::{Communicator, Ranks};

#[derive(Debug)]
struct Thread {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    /// Behind locks, since a communicator is shared; its own rank alone reads them.
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
}

impl Communicator for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.to.len()
    }

    fn exchange(&self, parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        assert_eq!(parts.len(), self.ranks(), "a part for each rank");
        for (to, part) in self.to.iter().zip(parts) {
            to.send(part).expect("the other rank is there");
        }
        let part = |from: &Mutex<Receiver<Vec<u8>>>| {
            from.lock().unwrap().recv().expect("the other rank is there")
        };
        self.from.iter().map(part).collect()
    }
}

/// What `work` gives on each of so many ranks.
pub(crate) fn on_ranks<T: Send>(count: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    let mut senders: Vec<Vec<Sender<Vec<u8>>>> = (0..count).map(|_| Vec::new()).collect();
    let mut receivers = Vec::new();
    for _ in 0..count {
        let (to, from): (Vec<_>, Vec<_>) = (0..count).map(|_| channel()).unzip();
        senders.iter_mut().zip(to).for_each(|(senders, to)| senders.push(to));
        receivers.push(from);
    }
    let threads = senders.into_iter().zip(receivers).enumerate().map(|(rank, (to, from))| {
        let from = from.into_iter().map(Mutex::new).collect();
        Arc::new(Thread { rank, to, from }) as Ranks
    });
    let threads: Vec<Ranks> = threads.collect();
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> =
            threads.into_iter().map(|ranks| scope.spawn(move || work(ranks))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
