//! Rust source as words and marks, without comments, literals, attributes and what only tests compile.
//!
//! No parser: what asks for tokens looks for `mod`, `use`, names of items and paths, which can be told from the words alone.

/// A piece of source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or keyword.
    Word(String),
    /// `::`
    Path,
    /// Any other character; a number is one `0`.
    Mark(char),
}

impl Token {
    /// Whether it is this name or keyword.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }
}

/// The tokens that count.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    without_tests(&all(text))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Everything but comments, texts and lifetimes.
fn all(text: &str) -> Vec<Token> {
    let text: Vec<char> = text.chars().collect();
    let at = |i: usize| text.get(i).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let mut i = 0;
    while i < text.len() {
        match (text[i], at(i + 1)) {
            ('/', '/') => i = end_of(&text, i, '\n'),
            ('/', '*') => i = after_comment(&text, i),
            (':', ':') => {
                found.push(Token::Path);
                i += 2;
            }
            ('"', _) => i = after_text(&text, i),
            ('\'', '\\') => i = end_of(&text, i + 3, '\'') + 1,
            ('\'', _) if at(i + 2) == '\'' => i += 3,
            ('\'', _) => i = after_word(&text, i + 1),
            (c, _) if c.is_whitespace() => i += 1,
            (c, _) if c.is_ascii_digit() => {
                found.push(Token::Mark('0'));
                i = after_word(&text, i);
            }
            (c, _) if is_word(c) => {
                let end = after_word(&text, i);
                let word: String = text[i..end].iter().collect();
                let raw = ["r", "br", "cr"].contains(&word.as_str());
                let marks = text[end..].iter().take_while(|c| **c == '#').count();
                i = end;
                if raw && at(end + marks) == '"' {
                    i = after_raw_text(&text, end + marks + 1, marks);
                } else if at(end) != '"' || !["b", "c"].contains(&word.as_str()) {
                    found.push(Token::Word(word));
                }
            }
            (c, _) => {
                found.push(Token::Mark(c));
                i += 1;
            }
        }
    }
    found
}

/// Where the next `mark` stands, or the end.
fn end_of(text: &[char], from: usize, mark: char) -> usize {
    (from..text.len()).find(|i| text[*i] == mark).unwrap_or(text.len())
}

fn after_word(text: &[char], from: usize) -> usize {
    (from..text.len()).find(|i| !is_word(text[*i])).unwrap_or(text.len())
}

/// Behind a comment that may hold others.
fn after_comment(text: &[char], from: usize) -> usize {
    let (mut i, mut depth) = (from, 0_usize);
    while i + 1 < text.len() {
        let step = match (text[i], text[i + 1]) {
            ('/', '*') => {
                depth += 1;
                2
            }
            ('*', '/') => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        i += step;
        if depth == 0 {
            return i;
        }
    }
    text.len()
}

/// Behind a text in quotes.
fn after_text(text: &[char], from: usize) -> usize {
    let mut i = from + 1;
    while i < text.len() && text[i] != '"' {
        i += if text[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Behind a raw text that ends with a quote and so many `#`.
fn after_raw_text(text: &[char], from: usize, marks: usize) -> usize {
    let ends = |i: &usize| {
        text[*i] == '"' && text[i + 1..].iter().take(marks).filter(|c| **c == '#').count() == marks
    };
    (from..text.len()).find(ends).map_or(text.len(), |i| i + 1 + marks)
}

/// Without attributes, and without what stands behind a `#[cfg(test)]`.
fn without_tests(all: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut i = 0;
    while i < all.len() {
        let Some(attribute) = attribute(all, i) else {
            kept.push(all[i].clone());
            i += 1;
            continue;
        };
        let of_tests = attribute.first().is_some_and(|token| token.is("cfg"))
            && attribute.iter().any(|token| token.is("test"))
            && !attribute.iter().any(|token| token.is("not"));
        i = after_attribute(all, i);
        if of_tests {
            while self::attribute(all, i).is_some() {
                i = after_attribute(all, i);
            }
            i = after_item(all, i);
        }
    }
    kept
}

/// What stands between the brackets of an attribute that begins at `i`.
fn attribute(all: &[Token], i: usize) -> Option<&[Token]> {
    let open = open_bracket(all, i)?;
    Some(&all[open + 1..closing(all, open).min(all.len())])
}

fn after_attribute(all: &[Token], i: usize) -> usize {
    open_bracket(all, i).map_or(i, |open| closing(all, open) + 1)
}

fn open_bracket(all: &[Token], i: usize) -> Option<usize> {
    let mark = |i: usize, c| all.get(i) == Some(&Token::Mark(c));
    let open = if mark(i + 1, '!') { i + 2 } else { i + 1 };
    (mark(i, '#') && mark(open, '[')).then_some(open)
}

/// Where the bracket that opens at `open` is closed.
fn closing(all: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in all.iter().enumerate().skip(open) {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return i;
                }
            }
            _ => {}
        }
    }
    all.len()
}

/// Behind the item, the statement, the field or the arm that begins at `i`.
fn after_item(all: &[Token], mut i: usize) -> usize {
    const ITEMS: [&str; 13] = [
        "pub", "fn", "mod", "use", "impl", "struct", "enum", "trait", "const", "static", "type",
        "async", "unsafe",
    ];
    let item = all.get(i).is_some_and(|first| ITEMS.iter().any(|word| first.is(word)));
    while i < all.len() {
        match &all[i] {
            Token::Mark('{') => return closing(all, i) + 1,
            Token::Mark('(' | '[') => i = closing(all, i) + 1,
            Token::Mark(';') => return i + 1,
            Token::Mark(',') if !item => return i + 1,
            Token::Mark(')' | ']' | '}') => return i,
            _ => i += 1,
        }
    }
    i
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let word = |token| if let Token::Word(word) = token { Some(word) } else { None };
        tokens(text).into_iter().filter_map(word).collect()
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        let text = r##"
            // crate::a
            /* crate::b /* inside */ still */
            let x = "crate::c \" still"; // here
            let y = r#"crate::d " "#; let z = ('"', '\'', b'"', b"crate::e", 1.5e3, '\u{1F600}');
            fn f<'a>(x: &'a str) {}
        "##;
        let expected = ["let", "x", "let", "y", "let", "z", "b", "fn", "f", "x", "str"];
        assert_eq!(words(text), expected);
    }

    #[test]
    fn what_only_tests_compile_is_left_out() {
        let text = "
            #[derive(Debug)]
            struct A { #[cfg(test)] x: u32, y: u64 }
            #[cfg(test)] use crate::a::{B, C};
            #[cfg(test)]
            #[expect(dead_code)]
            pub(super) fn f<T, U>(x: [T; 3]) -> U { g() }
            #[cfg(all(test, unix))] mod tests { fn h() {} }
            #[cfg(not(test))] fn kept() {}
            #[cfg(test)] mod elsewhere;
            fn last() {}
        ";
        let expected = ["struct", "A", "y", "u64", "fn", "kept", "fn", "last"];
        assert_eq!(words(text), expected);
    }
}
