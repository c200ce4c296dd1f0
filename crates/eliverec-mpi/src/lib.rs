//! The ranks of a job that mpirun has started, by the MPI library that is installed: what [`eliverec_train::ranks`] asks of them.
//!
//! Empty without the feature `mpi`, so that a build of the whole workspace needs no such library.

#![cfg(feature = "mpi")]

use std::sync::Mutex;

use eliverec_train::ranks::Communicator;
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};

/// What the library does not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was begun before.
    #[error("MPI is in use already")]
    Begun,
    /// Calls would have to come from the one thread that began it.
    #[error(
        "this MPI library takes calls from its first thread alone ({0:?}); use one that was built with support for threads"
    )]
    Threads(Threading),
}

/// Never dropped with a rank that fails: the library would wait there for the others, which wait for it.
static UNIVERSE: Mutex<Option<Universe>> = Mutex::new(None);

/// Bytes that go out, or come in, in one call at most: its counts have 32 bits.
const MOST_BYTES: usize = 1 << 30;

/// All ranks of the job.
#[derive(Debug)]
pub struct World {
    rank: usize,
    ranks: usize,
}

impl World {
    /// Joins the job.
    ///
    /// # Errors
    /// A library that cannot be used.
    pub fn begin() -> Result<Self, Error> {
        let (universe, threading) =
            mpi::initialize_with_threading(Threading::Serialized).ok_or(Error::Begun)?;
        let world = universe.world();
        let (rank, ranks) = (world.rank() as usize, world.size() as usize);
        *UNIVERSE.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(universe);
        if threading < Threading::Serialized {
            return Err(Error::Threads(threading));
        }
        Ok(Self { rank, ranks })
    }

    /// Leaves the job, as all ranks do at their end.
    pub fn end() {
        drop(UNIVERSE.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
    }

    /// Ends the job on all ranks, which exits with `code`.
    pub fn abort(code: u8) -> ! {
        SimpleCommunicator::world().abort(i32::from(code))
    }
}

impl Communicator for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn exchange(&self, parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let world = SimpleCommunicator::world();
        let sizes: Vec<u64> = parts.iter().map(|part| part.len() as u64).collect();
        let mut incoming = vec![0_u64; self.ranks];
        world.all_to_all_into(&sizes[..], &mut incoming[..]);
        let (own_longest, mut longest) = (sizes.into_iter().max().unwrap_or(0), 0_u64);
        world.all_reduce_into(&own_longest, &mut longest, SystemOperation::max());

        let mut received: Vec<Vec<u8>> =
            incoming.iter().map(|size| Vec::with_capacity(*size as usize)).collect();
        let piece = MOST_BYTES / self.ranks;
        for begin in (0..longest as usize).step_by(piece) {
            let size = |of: usize| of.saturating_sub(begin).min(piece);
            // A list of nothing would stand at the address 1, by which MPI means something else: that it is sent in place.
            let most = parts.iter().map(|part| size(part.len())).sum::<usize>() + 1;
            let mut out: Vec<u8> = Vec::with_capacity(most);
            for part in &parts {
                out.extend(&part[begin.min(part.len())..][..size(part.len())]);
            }
            let out_sizes: Vec<i32> = parts.iter().map(|part| size(part.len()) as i32).collect();
            let in_sizes: Vec<i32> = incoming.iter().map(|of| size(*of as usize) as i32).collect();
            let mut into =
                vec![0_u8; in_sizes.iter().map(|size| *size as usize).sum::<usize>() + 1];
            let begins = |sizes: &[i32]| {
                let begin = |end: &mut i32, size: &i32| {
                    *end += size;
                    Some(*end - size)
                };
                sizes.iter().scan(0, begin).collect::<Vec<i32>>()
            };
            let (out_begins, in_begins) = (begins(&out_sizes), begins(&in_sizes));
            world.all_to_all_varcount_into(
                &Partition::new(&out[..], &out_sizes[..], &out_begins[..]),
                &mut PartitionMut::new(&mut into[..], &in_sizes[..], &in_begins[..]),
            );
            for ((to, begin), size) in received.iter_mut().zip(in_begins).zip(in_sizes) {
                to.extend(&into[begin as usize..][..size as usize]);
            }
        }
        received
    }
}
