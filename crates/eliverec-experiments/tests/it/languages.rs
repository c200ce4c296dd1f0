//! The function in Python and the line of SQL of docs/experiments.md give what [`slot`] gives.
//!
//! They need a Python, with the package `duckdb` for the line of SQL: the one that `ELIVEREC_DUCKDB_PYTHON` names, which must have
//! it, or `python3`. Without them the test says that it was skipped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use eliverec_experiments::slot;

const PYTHON: &str = "ELIVEREC_DUCKDB_PYTHON";
const SALT: &str = "ranker-2026.1";

/// Prints the slot of every user that it reads: in Python, and by the SQL that the documentation has.
const SCRIPT: &str = r#"
import importlib.util, json, sys
import duckdb
module, sql, users = json.load(sys.stdin)
spec = importlib.util.spec_from_file_location("experiments", module)
experiments = importlib.util.module_from_spec(spec)
spec.loader.exec_module(experiments)
salt = "ranker-2026.1"
in_python = [experiments.slot(salt, int(user) if user.lstrip("-").isdigit() else user) for user in users]
duckdb.sql("create table users (user_id varchar, place integer)")
duckdb.executemany("insert into users values (?, ?)", [[user, place] for place, user in enumerate(users)])
in_sql = [row[0] for row in duckdb.sql(f"select {sql} from users order by place").fetchall()]
print(json.dumps([in_python, in_sql]))
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
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

/// The expression of the documentation.
fn documented_sql() -> String {
    let page = fs_err::read_to_string(root().join("docs/experiments.md")).unwrap();
    let (_, rest) = page.split_once("```sql\n").expect("the page has SQL");
    let (line, _) = rest.split_once("\n```").unwrap();
    let expression =
        line.strip_prefix("select ").and_then(|of| of.split_once(" as slot")).unwrap().0;
    assert!(expression.contains("'ranker-1:'"), "{expression}");
    expression.replace("ranker-1", SALT)
}

#[test]
fn slots_are_the_same_in_rust_python_and_sql() {
    let Some(python) = python() else {
        let mut out = std::io::stdout().lock();
        writeln!(out, "skipped: no Python with the package duckdb; name one by {PYTHON}").unwrap();
        return;
    };
    let integers = (0..3_000).map(|i: u64| (i * i * 977).to_string());
    let texts = (0..3_000).map(|i| format!("user {i} ä"));
    let ends = ["0", "18446744073709551615", "sofa:1", "'"].map(str::to_owned);
    let users: Vec<String> = integers.chain(texts).chain(ends).collect();
    let module = root().join("python/python/eliverec/experiments.py");
    let input = serde_json::json!([module, documented_sql(), users]);
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let [in_python, in_sql]: [Vec<u16>; 2] = serde_json::from_slice(&output.stdout).unwrap();
    let expected: Vec<u16> = users.iter().map(|user| slot(SALT, user)).collect();
    assert_eq!(in_python, expected);
    assert_eq!(in_sql, expected);
}
