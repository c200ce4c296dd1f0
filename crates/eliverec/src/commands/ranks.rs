//! The processes of a job: this one, or all that mpirun has started.

use anyhow::bail;
use eliverec_train::ranks::Ranks;

/// How many ranks the launcher has started, told to each: by OpenMPI, and by MPICH and what is made of it.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// What a launcher tells each rank that does not tell their number.
#[cfg(feature = "mpi")]
const RANKS: [&str; 2] = ["PMIX_RANK", "PMI_RANK"];

/// Runs a command on the ranks of the job. An error of one is told with its number and ends all of them.
pub(super) fn on_every_rank(work: impl FnOnce(&Ranks) -> anyhow::Result<u8>) -> anyhow::Result<u8> {
    let ranks = begin()?;
    let outcome = work(&ranks);
    end(&ranks, &outcome);
    outcome
}

#[cfg(feature = "mpi")]
fn begin() -> anyhow::Result<Ranks> {
    let is_set = |name: &&str| std::env::var_os(name).is_some();
    if !SIZES.iter().chain(&RANKS).any(is_set) {
        return Ok(eliverec_train::ranks::alone());
    }
    match eliverec_mpi::World::begin() {
        Ok(world) => Ok(std::sync::Arc::new(world)),
        Err(error) => bail!("{error}"),
    }
}

#[cfg(feature = "mpi")]
fn end(ranks: &Ranks, outcome: &anyhow::Result<u8>) {
    use eliverec_mpi::World;

    let (rank, all) = (ranks.rank(), ranks.ranks());
    match outcome {
        Err(error) if all > 1 => {
            super::tell(&format!("error: rank {rank} of {all}: {}", crate::exit::line(error)));
            World::abort(crate::exit::code(error));
        }
        _ => World::end(),
    }
}

#[cfg(not(feature = "mpi"))]
fn begin() -> anyhow::Result<Ranks> {
    let size = |name: &&str| std::env::var(name).ok()?.parse::<usize>().ok();
    if let Some(ranks) = SIZES.iter().find_map(size).filter(|ranks| *ranks > 1) {
        bail!(eliverec_run::Error::Config {
            place: "mpirun".into(),
            reason: format!(
                "has started {ranks} ranks, and this program was built without MPI; build it with `--features mpi`"
            ),
        });
    }
    Ok(eliverec_train::ranks::alone())
}

#[cfg(not(feature = "mpi"))]
fn end(_: &Ranks, _: &anyhow::Result<u8>) {}
