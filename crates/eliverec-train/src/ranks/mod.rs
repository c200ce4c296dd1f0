//! The processes that train one model together, its ranks, and how they exchange what each has.
//!
//! - [`Communicator`]: what an implementation must do; [`Alone`]: one process.
//! - [`bytes`]: numbers as bytes.
//!
//! What is exchanged in an update, and in which order it is added up, stands in [`crate::shards`].

pub mod bytes;
#[cfg(test)]
pub(crate) mod threads;

use std::fmt::Debug;
use std::sync::Arc;

/// All-to-all between the ranks of one job.
///
/// There are no errors: a rank that is gone can neither be waited for nor done without, so the implementation ends the job and says
/// which one it was.
pub trait Communicator: Debug + Send + Sync {
    /// Number of this process, from 0.
    fn rank(&self) -> usize;

    /// Processes.
    fn ranks(&self) -> usize;

    /// Sends `parts[r]` to rank r, itself among them, and returns what each rank had for this one, by rank. All ranks call it equally
    /// often and wait for each other.
    fn exchange(&self, parts: Vec<Vec<u8>>) -> Vec<Vec<u8>>;
}

/// One process.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Communicator for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn ranks(&self) -> usize {
        1
    }

    fn exchange(&self, parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        parts
    }
}

/// A communicator that several parts of a run share.
pub type Ranks = Arc<dyn Communicator>;

/// One process.
pub fn alone() -> Ranks {
    Arc::new(Alone)
}

/// Gives every rank what each of them has, by rank.
pub fn gather(ranks: &dyn Communicator, own: Vec<u8>) -> Vec<Vec<u8>> {
    ranks.exchange(vec![own; ranks.ranks()])
}

/// Waits for every rank.
pub fn barrier(ranks: &dyn Communicator) {
    ranks.exchange(vec![Vec::new(); ranks.ranks()]);
}

/// Whether something holds on any rank.
pub fn any(ranks: &dyn Communicator, holds: bool) -> bool {
    ranks.ranks() > 1 && gather(ranks, vec![u8::from(holds)]).concat().contains(&1) || holds
}

/// Work that the first rank does before the others, since they find done what it did, or told what is wrong.
///
/// # Errors
/// Those of the work. That of the first rank has to end the job, in which the others wait.
pub fn first_alone<T, E>(
    ranks: &dyn Communicator,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    if ranks.rank() > 0 {
        barrier(ranks);
        return work();
    }
    let done = work()?;
    barrier(ranks);
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use threads::on_ranks;

    #[test]
    fn everybody_gets_what_each_has() {
        let got = on_ranks(3, |ranks| {
            let to = |to: usize| vec![ranks.rank() as u8, to as u8];
            let parts = ranks.exchange((0..3).map(to).collect());
            let all = gather(&*ranks, vec![7; ranks.rank()]);
            barrier(&*ranks);
            (parts, all, any(&*ranks, ranks.rank() == 1), any(&*ranks, false))
        });
        for (rank, (parts, all, one, none)) in got.into_iter().enumerate() {
            assert_eq!(parts, (0..3).map(|from| vec![from, rank as u8]).collect::<Vec<_>>());
            assert_eq!(all, [vec![], vec![7], vec![7, 7]]);
            assert!(one && !none);
        }
        assert!(any(&Alone, true) && !any(&Alone, false));
    }

    #[test]
    fn the_first_rank_is_done_before_the_others_begin() {
        let done = std::sync::Mutex::new(Vec::new());
        on_ranks(4, |ranks| {
            let work = || -> Result<(), ()> {
                done.lock().unwrap().push(ranks.rank());
                Ok(())
            };
            first_alone(&*ranks, work).unwrap();
        });
        let done = done.into_inner().unwrap();
        assert_eq!((done[0], done.len()), (0, 4));
    }
}
