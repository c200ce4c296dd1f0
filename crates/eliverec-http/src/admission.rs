//! How many requests are computed at once, how many may wait, and who is sent away before a queue grows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Code, Problem};

/// Workers of one kind of work, and a bounded queue before them.
#[derive(Debug)]
pub struct Gate {
    workers: usize,
    permits: Arc<Semaphore>,
    queue: Mutex<Queue>,
    most_waiting: usize,
    deadline: Duration,
    /// What a worker took for a request lately: a moving mean of nanoseconds.
    mean_ns: Arc<AtomicU64>,
}

/// Who waits, by when they came.
#[derive(Debug, Default)]
struct Queue {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

/// Leave to compute, given back when dropped. It goes with the work: a caller who hangs up ends no work that has begun, and frees no
/// worker.
#[derive(Debug)]
pub struct Admitted {
    mean_ns: Arc<AtomicU64>,
    began: Instant,
    /// How long the request has waited.
    pub waited: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let took = self.began.elapsed().as_nanos() as u64;
        // A lost update between two requests moves a mean of many by nothing that matters.
        let mean = self.mean_ns.load(Ordering::Relaxed);
        let mean = if mean == 0 { took } else { mean - mean / 16 + took / 16 };
        self.mean_ns.store(mean, Ordering::Relaxed);
    }
}

/// A request that waits, however its wait ends.
struct Waiting<'a>(&'a Gate, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.queue().since.remove(&self.1);
    }
}

impl Gate {
    /// `workers` at once, and at most `waiting` more per worker; nobody waits longer than `deadline`.
    pub fn new(workers: usize, waiting: usize, deadline: Duration) -> Self {
        Self {
            workers,
            permits: Arc::new(Semaphore::new(workers)),
            queue: Mutex::default(),
            most_waiting: waiting.saturating_mul(workers),
            deadline,
            mean_ns: Arc::default(),
        }
    }

    /// Leave to compute, as soon as a worker is free.
    ///
    /// # Errors
    /// [`Code::Overloaded`] at once where too many wait or the wait would pass the deadline, [`Code::Deadline`] where it did.
    pub async fn enter(&self) -> Result<Admitted, Problem> {
        let arrived = Instant::now();
        let (ahead, waiting) = self.wait(arrived);
        self.has_room_behind(ahead)?;
        let late = || {
            let detail = format!("no worker was free within {} ms", self.deadline.as_millis());
            Problem::new(Code::Deadline, detail).retry_after(1)
        };
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = tokio::time::timeout(self.deadline, permit);
        let permit = permit.await.map_err(|_| late())?.map_err(|_| late())?;
        drop(waiting);
        let (mean_ns, waited) = (Arc::clone(&self.mean_ns), arrived.elapsed());
        Ok(Admitted { mean_ns, began: Instant::now(), waited, _permit: permit })
    }

    /// How many waited before, and a place behind them.
    fn wait(&self, arrived: Instant) -> (usize, Waiting<'_>) {
        let mut queue = self.queue();
        let (ahead, place) = (queue.since.len(), queue.next);
        queue.next += 1;
        queue.since.insert(place, arrived);
        (ahead, Waiting(self, place))
    }

    /// No panic leaves it wrong.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request that comes now could wait.
    ///
    /// # Errors
    /// [`Code::Overloaded`] as [`Gate::enter`].
    pub fn has_room(&self) -> Result<(), Problem> {
        self.has_room_behind(self.waiting())
    }

    fn has_room_behind(&self, ahead: usize) -> Result<(), Problem> {
        let mean = Duration::from_nanos(self.mean_ns.load(Ordering::Relaxed));
        let wait = mean.mul_f64(ahead as f64 / self.workers as f64);
        if ahead < self.most_waiting && wait <= self.deadline {
            return Ok(());
        }
        let detail = format!("{ahead} requests wait already; try again");
        let seconds = wait.as_secs_f64().ceil().max(1.0) as u32;
        Err(Problem::new(Code::Overloaded, detail).retry_after(seconds))
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.queue().since.len()
    }

    /// How long the first of them has waited; zero if none waits.
    pub fn age(&self) -> Duration {
        let first = self.queue().since.values().next().copied();
        first.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_queue_is_bounded_and_moves_on() {
        let gate = Gate::new(1, 2, Duration::from_mins(1));
        let first = gate.enter().await.unwrap();
        let (mut second, mut third) = (Box::pin(gate.enter()), Box::pin(gate.enter()));
        for waiting in [&mut second, &mut third] {
            assert!(
                std::future::poll_fn(|c| std::task::Poll::Ready(
                    waiting.as_mut().poll(c).is_pending()
                ))
                .await
            );
        }
        assert_eq!(gate.waiting(), 2);
        assert!(gate.age() > Duration::ZERO);
        let refused = gate.enter().await.unwrap_err();
        assert_eq!((refused.code, refused.retry_after_s), (Code::Overloaded, Some(1)));
        assert_eq!(gate.waiting(), 2, "who is refused does not wait");
        drop(first);
        drop(second.await.unwrap());
        drop(third.await.unwrap());
        assert_eq!((gate.waiting(), gate.age()), (0, Duration::ZERO));
        assert!(gate.enter().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_beyond_the_deadline() {
        let gate = Gate::new(1, 2, Duration::from_millis(20));
        let _busy = gate.enter().await.unwrap();
        assert_eq!(gate.enter().await.unwrap_err().code, Code::Deadline);
        assert_eq!(gate.waiting(), 0);
    }

    #[tokio::test]
    async fn who_gives_up_does_not_stay_in_the_queue() {
        let gate = Gate::new(1, 2, Duration::from_mins(1));
        let _busy = gate.enter().await.unwrap();
        let mut waiting = Box::pin(gate.enter());
        assert!(
            std::future::poll_fn(|c| std::task::Poll::Ready(waiting.as_mut().poll(c).is_pending()))
                .await
        );
        drop(waiting);
        assert_eq!(gate.waiting(), 0);
    }
}
