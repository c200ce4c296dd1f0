//! A program without MPI says how to build one with it, and trains in shards by itself.

use crate::sandbox::{Sandbox, text};

#[test]
fn several_ranks_are_refused_and_one_is_not() {
    let sandbox = Sandbox::new();
    let train = "train --config config.toml --feeds feeds --out run --quiet training.max_steps=2 training.shards=3";
    for name in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"] {
        let output = sandbox.command(train).env(name, "2").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let told = text(&output.stderr);
        assert!(told.contains("2 ranks") && told.contains("--features mpi"), "{told}");
    }
    let output = sandbox.command(train).env("PMI_SIZE", "1").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}
