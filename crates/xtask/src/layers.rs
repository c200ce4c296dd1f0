//! Dependencies point one way: which of our crates, and which heavy engines, each crate may name.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Crate, and the crates of ours and heavy engines that it may depend on directly.
const ALLOWED: &[(&str, &[&str])] = &[
    ("eliverec-ab", &["eliverec-core", "eliverec-metrics"]),
    ("eliverec-archive", &["eliverec-core", "eliverec-state", "eliverec-tables"]),
    (
        "eliverec-console",
        &[
            "eliverec-ab",
            "eliverec-core",
            "eliverec-experiments",
            "eliverec-http",
            "eliverec-metrics",
            "eliverec-report",
            "eliverec-run",
            "axum",
        ],
    ),
    ("eliverec-core", &[]),
    ("eliverec-experiments", &["eliverec-core", "eliverec-retrieval"]),
    ("eliverec-features", &["eliverec-core"]),
    (
        "eliverec-http",
        &[
            "eliverec-core",
            "eliverec-experiments",
            "eliverec-features",
            "eliverec-models",
            "eliverec-retrieval",
            "eliverec-run",
            "eliverec-serve",
            "eliverec-state",
            "axum",
        ],
    ),
    ("eliverec-metrics", &["eliverec-core"]),
    ("eliverec-mpi", &["eliverec-train", "mpi"]),
    (
        "eliverec-samples",
        &[
            "eliverec-core",
            "eliverec-features",
            "eliverec-tables",
            "arrow",
            "datafusion-common",
            "datafusion-execution",
            "datafusion-physical-expr",
            "datafusion-physical-optimizer",
            "datafusion-physical-plan",
        ],
    ),
    ("eliverec-plan", &[]),
    (
        "eliverec-python",
        &[
            "eliverec-core",
            "eliverec-metrics",
            "eliverec-serve",
            "eliverec-tables",
            "eliverec-train",
            "arrow",
            "arrow-pyarrow",
        ],
    ),
    ("eliverec-report", &["eliverec-ab", "eliverec-core", "eliverec-metrics"]),
    ("eliverec-retrieval", &["eliverec-core", "eliverec-features"]),
    (
        "eliverec-run",
        &["eliverec-core", "eliverec-metrics", "eliverec-models", "eliverec-store", "burn"],
    ),
    (
        "eliverec-serve",
        &[
            "eliverec-core",
            "eliverec-features",
            "eliverec-metrics",
            "eliverec-models",
            "eliverec-run",
            "eliverec-store",
        ],
    ),
    ("eliverec-shared", &["eliverec-core", "eliverec-features", "eliverec-state", "redis"]),
    ("eliverec-sim", &["eliverec-core", "eliverec-metrics", "arrow", "parquet"]),
    ("eliverec-state", &["eliverec-core", "eliverec-features"]),
    ("eliverec-store", &["eliverec-core"]),
    ("eliverec-tables", &["eliverec-core", "arrow", "parquet"]),
    ("eliverec-models", &["eliverec-core", "burn"]),
    (
        "eliverec-train",
        &[
            "eliverec-core",
            "eliverec-features",
            "eliverec-metrics",
            "eliverec-models",
            "eliverec-retrieval",
            "eliverec-run",
            "eliverec-store",
            "eliverec-tables",
            "burn",
        ],
    ),
    (
        "eliverec",
        &[
            "eliverec-ab",
            "eliverec-archive",
            "eliverec-console",
            "eliverec-core",
            "eliverec-experiments",
            "eliverec-features",
            "eliverec-http",
            "eliverec-metrics",
            "eliverec-plan",
            "eliverec-mpi",
            "eliverec-report",
            "eliverec-retrieval",
            "eliverec-run",
            "eliverec-samples",
            "eliverec-serve",
            "eliverec-shared",
            "eliverec-sim",
            "eliverec-state",
            "eliverec-tables",
            "eliverec-train",
        ],
    ),
    ("xtask", &[]),
];

/// Engines that only the crates above may name; everything else is free.
const HEAVY: &[&str] = &["arrow", "axum", "burn", "datafusion", "mpi", "parquet", "redis"];

/// Compares `cargo metadata` with [`ALLOWED`]. Development dependencies are free: tests may look across.
pub(crate) fn check() -> Result<()> {
    let output =
        Command::new("cargo").args(["metadata", "--format-version", "1", "--no-deps"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let breaches: Vec<String> = packages.iter().flat_map(breaches).collect();
    if !breaches.is_empty() {
        bail!(
            "layers:\n  {}\nAllowed edges stand in crates/xtask/src/layers.rs.",
            breaches.join("\n  ")
        );
    }
    Ok(())
}

fn breaches(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let Some((_, allowed)) = ALLOWED.iter().find(|(of, _)| *of == name) else {
        return vec![format!("{name} has no line; add what it may depend on")];
    };
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    let named: BTreeSet<&str> = dependencies
        .filter(|dependency| dependency["kind"] != "dev")
        .filter_map(|dependency| dependency["name"].as_str())
        .filter(|dependency| {
            // Engines come in parts, such as arrow-array.
            let engine = dependency.split('-').next().unwrap_or(dependency);
            dependency.starts_with("eliverec") || HEAVY.contains(&engine)
        })
        .collect();
    let wrong = named.into_iter().filter(|dependency| !allowed.contains(dependency));
    wrong.map(|dependency| format!("{name} must not depend on {dependency}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_forbidden_edge_is_named_and_development_edges_are_free() {
        let package = json!({"name": "eliverec-core", "dependencies": [
            {"name": "serde", "kind": null}, {"name": "burn", "kind": null}, {"name": "parquet", "kind": "dev"},
            {"name": "arrow-array", "kind": "build"},
        ]});
        let expected = [
            "eliverec-core must not depend on arrow-array",
            "eliverec-core must not depend on burn",
        ];
        assert_eq!(breaches(&package), expected);
    }

    #[test]
    fn a_crate_without_a_line_is_named() {
        assert!(
            breaches(&json!({"name": "new", "dependencies": []}))[0].starts_with("new has no line")
        );
    }
}
