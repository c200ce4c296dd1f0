//! What one source file declares, imports and names.

use std::collections::BTreeSet;

use super::tokens::{Token, tokens};

/// One `use`, of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    /// What is imported, as it is written; of `a::*` the path in front of it.
    pub(super) path: Vec<String>,
    /// What it is called here; nothing for `a::*`.
    pub(super) name: Option<String>,
    /// Whether others may take it from here: `pub use`, `pub(crate) use`.
    pub(super) passed_on: bool,
}

/// A source file, without what only tests compile.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    /// Modules in files of their own.
    pub(super) children: Vec<String>,
    /// What is defined outside of functions and other items.
    pub(super) items: BTreeSet<String>,
    /// All imports, also those inside functions.
    pub(super) imports: Vec<Import>,
    /// Paths of two names at least, outside of imports.
    pub(super) paths: BTreeSet<Vec<String>>,
    /// All names outside of imports.
    pub(super) words: BTreeSet<String>,
}

impl Source {
    /// Reads a file's text.
    pub(super) fn of(text: &str) -> Self {
        let tokens = tokens(text);
        let mut source = Self::default();
        let (mut i, mut depth) = (0, 0_usize);
        // The depth at which each module that stands in the file itself was opened.
        let mut inside: Vec<usize> = Vec::new();
        while i < tokens.len() {
            match &tokens[i] {
                Token::Mark('{') => {
                    if i > 1 && tokens[i - 2].is("mod") {
                        inside.push(depth);
                    }
                    depth += 1;
                }
                Token::Mark('}') => {
                    depth = depth.saturating_sub(1);
                    inside.pop_if(|opened| *opened == depth);
                }
                Token::Word(word) if word == "use" => {
                    let passed_on = is_public(&tokens[..i]);
                    let first = source.imports.len();
                    i = source.import(&tokens, i + 1, &[], passed_on);
                    for import in &mut source.imports[first..] {
                        leave(&mut import.path, inside.len());
                    }
                    continue;
                }
                Token::Word(word) => {
                    source.words.insert(word.clone());
                    if depth == 0 {
                        source.declare(word, &tokens[i + 1..]);
                    }
                    if i == 0 || tokens[i - 1] != Token::Path {
                        let mut path = path(&tokens[i..]);
                        if path.len() > 1 {
                            leave(&mut path, inside.len());
                            source.paths.insert(path);
                        }
                    }
                }
                _ => {}
            }
            i += 1;
        }
        source
    }

    /// Takes down what the keyword `word` declares, if it is one.
    fn declare(&mut self, word: &str, rest: &[Token]) {
        const ITEMS: [&str; 10] = [
            "struct",
            "enum",
            "union",
            "trait",
            "type",
            "fn",
            "const",
            "static",
            "mod",
            "macro_rules",
        ];
        if !ITEMS.contains(&word) {
            return;
        }
        let mut names = rest.iter().enumerate().filter_map(|(i, token)| match token {
            Token::Word(name) if name != "mut" => Some((i, name)),
            _ => None,
        });
        let Some((i, name)) = names.next() else { return };
        if name == "fn" {
            return; // `const fn`: what follows declares it
        }
        if word == "mod" && rest.get(i + 1) == Some(&Token::Mark(';')) {
            self.children.push(name.clone());
        } else {
            self.items.insert(name.clone());
        }
    }

    /// Reads an import from `i` on, behind the names of `prefix`; where it ends.
    fn import(
        &mut self,
        tokens: &[Token],
        mut i: usize,
        prefix: &[String],
        passed_on: bool,
    ) -> usize {
        let mut path = prefix.to_vec();
        let mut name = None;
        loop {
            match tokens.get(i) {
                Some(Token::Path) => {}
                Some(token) if token.is("as") => {
                    if let Some(Token::Word(alias)) = tokens.get(i + 1) {
                        name = Some(alias.clone());
                    }
                    i += 1;
                }
                // `a::{self}` is a.
                Some(Token::Word(word)) if word == "self" && !path.is_empty() => {
                    name = path.last().cloned();
                }
                Some(Token::Word(word)) => {
                    path.push(word.clone());
                    name = Some(word.clone());
                }
                Some(Token::Mark('*')) => {
                    self.imports.push(Import { path, name: None, passed_on });
                    return i + 1;
                }
                Some(Token::Mark('{')) => {
                    i += 1;
                    while !matches!(tokens.get(i), None | Some(Token::Mark('}'))) {
                        i = self.import(tokens, i, &path, passed_on);
                        if tokens.get(i) == Some(&Token::Mark(',')) {
                            i += 1;
                        }
                    }
                    return i + 1;
                }
                _ => {
                    if name.is_some() {
                        self.imports.push(Import { path, name, passed_on });
                    }
                    return i;
                }
            }
            i += 1;
        }
    }
}

/// Makes a path that stands in so many modules inside the file one that is seen from the file's own module.
fn leave(path: &mut Vec<String>, modules: usize) {
    let supers = path.iter().take(modules).take_while(|name| *name == "super").count();
    if supers > 0 {
        path.splice(..supers, ["self".to_owned()]);
    }
}

/// Whether `pub` or `pub(...)` stands at the end of what comes before.
fn is_public(before: &[Token]) -> bool {
    let open = before.iter().rposition(|token| *token == Token::Mark('('));
    let before = match (before.last(), open) {
        (Some(Token::Mark(')')), Some(open)) => &before[..open],
        _ => before,
    };
    before.last().is_some_and(|token| token.is("pub"))
}

/// The names that `::` joins, from the first token on.
fn path(tokens: &[Token]) -> Vec<String> {
    let mut names = Vec::new();
    for pair in tokens.chunks(2) {
        let Token::Word(name) = &pair[0] else { break };
        names.push(name.clone());
        if pair.get(1) != Some(&Token::Path) {
            break;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(path: &str, name: Option<&str>, passed_on: bool) -> Import {
        let path = path.split("::").map(ToOwned::to_owned).collect();
        Import { path, name: name.map(ToOwned::to_owned), passed_on }
    }

    #[test]
    fn imports_are_read_name_by_name() {
        let source = Source::of(
            "use crate::a::{self, B as C, d::{E, F}};\nuse super::g::*;\npub(crate) use h::I;\n\
             use crate::j::{K, L,};",
        );
        let expected = [
            import("crate::a", Some("a"), false),
            import("crate::a::B", Some("C"), false),
            import("crate::a::d::E", Some("E"), false),
            import("crate::a::d::F", Some("F"), false),
            import("super::g", None, false),
            import("h::I", Some("I"), true),
            import("crate::j::K", Some("K"), false),
            import("crate::j::L", Some("L"), false),
        ];
        assert_eq!(source.imports, expected);
    }

    #[test]
    fn modules_inside_a_file_are_the_file() {
        let source = Source::of(
            "mod inside { use super::{A, super::B}; fn f() { super::g(); super::super::h() } }\n\
             fn g() { super::i::j() }",
        );
        assert_eq!(
            source.imports,
            [import("self::A", Some("A"), false), import("self::super::B", Some("B"), false)]
        );
        let paths: Vec<String> = source.paths.iter().map(|path| path.join("::")).collect();
        assert_eq!(paths, ["self::g", "self::super::h", "super::i::j"]);
    }

    #[test]
    fn items_children_and_paths_are_found() {
        let source = Source::of(
            "mod a;\nmod inside { fn hidden() {} }\npub const fn f() -> a::B { crate::c::D::<u8>::new() }\n\
             static mut E: u8 = 0;\nimpl F for super::g::H { fn method() {} }",
        );
        assert_eq!(source.children, ["a"]);
        let items: Vec<&str> = source.items.iter().map(String::as_str).collect();
        assert_eq!(items, ["E", "f", "inside"]);
        let paths: Vec<String> = source.paths.iter().map(|path| path.join("::")).collect();
        assert_eq!(paths, ["a::B", "crate::c::D", "super::g::H"]);
    }
}
