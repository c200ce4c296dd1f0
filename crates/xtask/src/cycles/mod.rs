//! No cycle between the files of a crate: one can be read, tested and moved with what it stands on, without what stands on it.
//!
//! The rule. File A stands on file B of its crate if code of A, but not of its tests, names something that is defined in B: by an
//! import or by a path (`crate::`, `super::`, `self::`, a child's name, an imported name). Imports are followed to the file that
//! defines the name, through as many `pub use` as there are, so that a `mod.rs` or `lib.rs` that only declares its children and
//! passes their names on stands on nothing, and nothing on it. One that defines things, too, is a file as any other: its
//! children may use those, or it may use the children, but not both. Comments, texts and links in docs count for nothing, nor
//! do calls of methods whose type is named nowhere. A name that cannot be found (macros make it) counts as its module's.
//!
//! [`check`] prints each knot of files by its shortest way round, with what each file names of the next.

mod source;
mod tokens;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::repository::root;
use source::Source;

/// The files that `lib.rs` or `main.rs` reaches by `mod`, by module.
type Crate = BTreeMap<Vec<String>, File>;

/// One file of a crate.
struct File {
    /// Below `src`.
    place: String,
    source: Source,
}

/// From file to the files that it stands on, with what it names of them.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

/// Looks through every crate of the workspace.
pub(crate) fn check() -> Result<()> {
    let mut crates: Vec<PathBuf> = vec![root()?.join("python")];
    for entry in fs_err::read_dir(root()?.join("crates"))? {
        crates.push(entry?.path());
    }
    crates.sort();
    let mut found = Vec::new();
    for folder in crates {
        for start in ["lib.rs", "main.rs"] {
            let src = folder.join("src");
            if !src.join(start).exists() {
                continue;
            }
            let mut files = Crate::new();
            read(&src, start, &[], &mut files)?;
            let name = folder.file_name().unwrap_or_default().display();
            found.extend(cycles(&graph(&files)).iter().map(|cycle| format!("{name}: {cycle}")));
        }
    }
    if !found.is_empty() {
        bail!("files of a crate stand on each other in a circle:\n{}", found.join("\n"));
    }
    Ok(())
}

/// Reads a module's file and its children's.
fn read(src: &Path, place: &str, module: &[String], files: &mut Crate) -> Result<()> {
    let source = Source::of(&fs_err::read_to_string(src.join(place))?);
    for child in &source.children {
        let path: Vec<String> = module.iter().chain([child]).cloned().collect();
        let folder = path.join("/");
        let (flat, deep) = (format!("{folder}.rs"), format!("{folder}/mod.rs"));
        let place = if src.join(&flat).exists() { flat } else { deep };
        read(src, &place, &path, files)?;
    }
    files.insert(module.to_vec(), File { place: place.to_owned(), source });
    Ok(())
}

/// Which file stands on which.
fn graph(files: &Crate) -> Graph {
    let mut graph = Graph::new();
    for (module, file) in files {
        let mut edges = BTreeMap::new();
        let source = &file.source;
        // What is only passed on is nothing that the file stands on.
        let used = |name: &Option<String>, passed_on: bool| {
            !passed_on || name.as_ref().is_some_and(|name| source.words.contains(name))
        };
        let imports = source.imports.iter().filter(|import| used(&import.name, import.passed_on));
        for path in imports.map(|import| &import.path).chain(&source.paths) {
            let Some(definer) = definer(files, module, path, DEPTH) else { continue };
            if definer.place != file.place {
                edges.entry(definer.place.clone()).or_insert_with(|| path.join("::"));
            }
        }
        graph.insert(file.place.clone(), edges);
    }
    graph
}

/// Imports of imports that are followed: more than anyone writes, and an end for those that go in a circle.
const DEPTH: usize = 16;

/// The file that defines what a path names, seen from a module; none for modules and for what other crates define.
fn definer<'a>(
    files: &'a Crate,
    module: &[String],
    path: &[String],
    depth: usize,
) -> Option<&'a File> {
    let depth = depth.checked_sub(1)?;
    let mut at = module.to_vec();
    let mut rest = path;
    // Whether the path has come to a module of this crate, so that what cannot be found is that module's.
    let mut inside = false;
    loop {
        let file = files.get(&at)?;
        let (name, after) = rest.split_first()?;
        match name.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop();
            }
            child if file.source.children.iter().any(|own| own == child) => at.push(name.clone()),
            item => {
                if file.source.items.contains(item) {
                    return Some(file);
                }
                let imports = &file.source.imports;
                let import = imports.iter().find(|import| import.name.as_ref() == Some(name));
                // `use a;` names no import of this module, but a child of it or a crate.
                if let Some(import) = import.filter(|import| import.path != [name.clone()]) {
                    let path: Vec<String> = import.path.iter().chain(after).cloned().collect();
                    return definer(files, &at, &path, depth);
                }
                let globs = imports.iter().filter(|import| import.name.is_none());
                let through = globs.filter_map(|import| {
                    let path: Vec<String> = import.path.iter().chain(rest).cloned().collect();
                    definer(files, &at, &path, depth)
                        .filter(|file| file.source.items.contains(item))
                });
                return through.take(1).next().or(inside.then_some(file));
            }
        }
        inside = true;
        rest = after;
    }
}

/// The shortest way round of every knot of files, file by file.
fn cycles(graph: &Graph) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut cycles = Vec::new();
    let rounds = graph.keys().filter_map(|file| shortest(graph, file).map(|round| (file, round)));
    let mut rounds: Vec<(&String, Vec<String>)> = rounds.collect();
    rounds.sort_by_key(|(_, round)| round.len());
    for (file, round) in rounds {
        if seen.contains(file) {
            continue;
        }
        let knot = knot(graph, file);
        let names: Vec<&str> = knot.iter().map(String::as_str).collect();
        let mut text = format!("{} files: {}", knot.len(), names.join(", "));
        for pair in round.windows(2) {
            let named = &graph[&pair[0]][&pair[1]];
            let _ = write!(text, "\n    {} names {named} of {}", pair[0], pair[1]);
        }
        cycles.push(text);
        seen.extend(knot);
    }
    cycles
}

/// The shortest way from a file back to itself.
fn shortest(graph: &Graph, start: &str) -> Option<Vec<String>> {
    let mut from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(file) = next.pop_front() {
        for to in graph.get(file)?.keys() {
            if to == start {
                let mut round = vec![start.to_owned()];
                let mut at = file;
                while at != start {
                    round.push(at.to_owned());
                    at = from[at];
                }
                round.push(start.to_owned());
                round.reverse();
                return Some(round);
            }
            if !from.contains_key(to.as_str()) {
                from.insert(to, file);
                next.push_back(to);
            }
        }
    }
    None
}

/// The files that a file reaches and that reach it.
fn knot(graph: &Graph, file: &str) -> BTreeSet<String> {
    let there = reached(graph, file);
    there.into_iter().filter(|other| reached(graph, other).contains(file)).collect()
}

fn reached(graph: &Graph, start: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![start];
    while let Some(file) = next.pop() {
        for to in graph.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(to.clone()) {
                next.push(to);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a crate of these files.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(place, text)| {
            let module = place.trim_end_matches(".rs").trim_end_matches("/mod");
            let module = module.split('/').filter(|name| *name != "lib").map(ToOwned::to_owned);
            let file = File { place: (*place).to_owned(), source: Source::of(text) };
            (module.collect(), file)
        });
        cycles(&graph(&files.collect()))
    }

    #[test]
    fn a_planted_cycle_is_printed_file_by_file() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d; pub use a::A;"),
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            ("b.rs", "pub struct B; fn f() -> u32 { super::c::g() }"),
            ("c.rs", "pub fn g() -> u32 { crate::A::new().0 }"),
            ("d.rs", "use crate::{A, b::B};"),
        ];
        let expected = "3 files: a.rs, b.rs, c.rs\n    a.rs names crate::b::B of b.rs\n    b.rs names super::c::g of c.rs\n    \
                        c.rs names crate::A::new of a.rs";
        assert_eq!(found(&files), [expected]);
    }

    #[test]
    fn passing_names_on_is_no_edge() {
        let files = [
            ("lib.rs", "mod a; pub use a::*;"),
            ("a/mod.rs", "mod b; mod c; pub(crate) use b::B; pub use c::{C as D};"),
            ("a/b.rs", "use super::D; pub struct B(D);"),
            ("a/c.rs", "pub struct C;"),
        ];
        assert_eq!(found(&files), [""; 0]);
    }

    #[test]
    fn tests_and_docs_do_not_count() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            (
                "a.rs",
                "//! [`crate::b::B`]\n/// [`crate::b::B`]\npub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
            ),
            ("b.rs", "use crate::a::A; pub struct B(A);"),
        ];
        assert_eq!(found(&files), [""; 0]);
    }

    #[test]
    fn a_parent_that_defines_is_a_file_as_any_other() {
        let child = ("a/b.rs", "use super::Shared; pub struct B(Shared);");
        let defines = "mod b; pub use b::B; pub struct Shared;";
        let root = ("lib.rs", "mod a; pub use a::B;");
        assert_eq!(found(&[root, ("a/mod.rs", defines), child]), [""; 0]);
        let uses = format!("{defines} pub fn f() -> B {{ b::new() }}");
        let expected = "2 files: a/b.rs, a/mod.rs\n    a/b.rs names super::Shared of a/mod.rs\n    a/mod.rs names b::B of a/b.rs";
        assert_eq!(found(&[root, ("a/mod.rs", &uses), child]), [expected]);
    }

    #[test]
    fn names_are_followed_through_aliases_and_globs() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b as other; pub fn f() { other::g() }"),
            ("b.rs", "pub use crate::c::*;"),
            ("c.rs", "use crate::a; pub fn g() { a::f() }"),
        ];
        let found = found(&files);
        let expected =
            "2 files: a.rs, c.rs\n    a.rs names other::g of c.rs\n    c.rs names a::f of a.rs";
        assert_eq!(found, [expected]);
    }
}
