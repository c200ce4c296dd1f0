//! docs/own-data.md, from its first block to its last: what it shows is what runs here.
//!
//! It needs a Python with the package `duckdb`: the one that `ELIVEREC_DUCKDB_PYTHON` names, which must have it, or
//! `python3`. Without the package the test says that it was skipped.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::sandbox::text;

/// Names the Python that must have the package.
const PYTHON: &str = "ELIVEREC_DUCKDB_PYTHON";
/// Behind the page's `eliverec train`: enough to see it run.
const FEW_STEPS: &str = "training.max_steps=100 training.patience=0";

/// The same feeds as a set of one domain: the page's schema without `[[product]]`, no column `products`.
const ONE_DOMAIN: &str = r#"# one_domain.py
import os, re
import duckdb

os.mkdir("live")
tables = re.split(r"(?m)^(?=\[\[)", open("schema.toml").read())
kept = [table for table in tables if not table.startswith("[[product]]") and '"product"' not in table]
open("live/schema.toml", "w").write("".join(kept))
for split in ["train", "validation", "test"]:
    os.mkdir(f"live/{split}")
    duckdb.sql(f"""copy (select * exclude (products) from 'feeds/{split}/part-0.parquet')
                   to 'live/{split}/part-0.parquet' (format parquet)""")
"#;

/// A block of the page: its language and its text.
type Block = (String, String);

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language.to_owned(), inside.join("\n") + "\n"));
        }
    }
    blocks
}

/// A Python that has the package, if there is one.
fn python() -> Option<String> {
    let named = std::env::var(PYTHON).ok();
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let import = Command::new(&python).args(["-c", "import duckdb"]).output();
    let has_it = import.is_ok_and(|output| output.status.success());
    assert!(has_it || named.is_none(), "{PYTHON} is {python}, which has no package duckdb");
    has_it.then_some(python)
}

/// The page's directory, in which its blocks have been run.
struct Page {
    directory: TempDir,
    python: String,
}

impl Page {
    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A block that names its file in its first line becomes that file; scripts and commands are run.
    fn run(&self, (language, block): &Block) {
        if language == "sh" {
            block.lines().for_each(|line| drop(self.command(line)));
            return;
        }
        let name = block.lines().next().and_then(|line| line.strip_prefix("# "));
        let name =
            name.unwrap_or_else(|| panic!("no name of a file in the first line of\n{block}"));
        fs_err::write(self.path().join(name), block).unwrap();
        if language == "python" {
            let output = Command::new(&self.python).arg(name).current_dir(self.path()).output();
            succeeded(name, &output.unwrap());
        }
    }

    /// A line of a shell: `eliverec` with its words, or `cp FROM TO/`.
    fn command(&self, line: &str) -> String {
        let mut line = line.to_owned();
        if line.starts_with("eliverec train ") {
            line = format!("{line} {FEW_STEPS}");
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let program = match words[0] {
            "eliverec" => env!("CARGO_BIN_EXE_eliverec"),
            other => other,
        };
        let output = Command::new(program)
            .args(&words[1..])
            .current_dir(self.path())
            .stdin(Stdio::null())
            .output();
        succeeded(&line, &output.unwrap())
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.command(line)).unwrap()
    }
}

fn succeeded(what: &str, output: &Output) -> String {
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{what}: {error}\n{out}");
    out
}

#[test]
fn the_page_runs_from_tables_to_scores() {
    let Some(python) = python() else {
        // Not by a macro of the standard library: those are silent in a test that passes.
        let told = "own_data: skipped, python3 has no package duckdb (pip install duckdb)\n";
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        return;
    };
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/own-data.md");
    let blocks = blocks(&fs_err::read_to_string(page).unwrap());
    let page = Page { directory: tempfile::tempdir().unwrap(), python };
    blocks.iter().for_each(|block| page.run(block));

    // Nothing above a note, in the feeds and in the log.
    page.command("eliverec check feeds --strict");
    page.command("eliverec check log --strict");
    let report = page.json("eliverec evaluate --run run --feeds feeds --json");
    assert!(report["auc"].as_f64().unwrap() > 0.55, "{report}");
    assert!(page.path().join("scores.parquet").is_file());
    // Both ways see the same requests, watches and histories.
    let (mut by_hand, mut from_log) =
        (page.json("eliverec inspect feeds --json"), page.json("eliverec inspect from-log --json"));
    // In another number of files.
    for inspected in [&mut by_hand, &mut from_log] {
        let read = &mut inspected["read"];
        assert!(read["files"].take().is_u64());
        for part in read["parts"].as_array_mut().unwrap() {
            assert!(part["files"].take().is_u64());
        }
    }
    assert_eq!(by_hand, from_log);
    assert_eq!(by_hand["train"]["users"], 150);

    page.run(&("python".into(), ONE_DOMAIN.into()));
    page.command("eliverec check live --strict");
    page.command(
        "eliverec train --config config.toml --feeds live --out live-run input.domain=live",
    );
    page.command("eliverec score --run live-run --feeds live --out live-scores.parquet");
}
