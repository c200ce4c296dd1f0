//! A utility: a formula over a model's outputs, by which a bucket orders channels.
//!
//! ```text
//! sum     = product { ("+" | "-") product }
//! product = factor { ("*" | "/") factor }
//! factor  = "-" factor | number | output | function "(" sum { "," sum } ")" | "(" sum ")"
//! ```
//!
//! Names of outputs are those of score files: `p_watch`, `p_NAME` of a task that happens or not and `NAME_s` of a duration, both given
//! a watch. Functions are `min` and `max` of two or more, `ln` and `exp`. What no output can save is refused when it is read: a
//! formula without an output, and a part without one that is no finite number.

use std::fmt;

use serde::{Serialize, Serializer};

/// The longest formula, bytes.
const BYTES: usize = 1_000;
/// Parentheses and signs within each other.
const DEPTH: usize = 50;

/// A formula that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    text: String,
    /// In the order in which they are met.
    outputs: Vec<String>,
    term: Term,
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Number(f64),
    /// By place in [`Formula::outputs`].
    Output(usize),
    Negative(Box<Term>),
    Of(Operator, Box<Term>, Box<Term>),
    Call(Function, Vec<Term>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Plus,
    Minus,
    Times,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Min,
    Max,
    Ln,
    Exp,
}

impl Function {
    const ALL: [(&'static str, Self); 4] =
        [("min", Self::Min), ("max", Self::Max), ("ln", Self::Ln), ("exp", Self::Exp)];

    fn takes(self, arguments: usize) -> Result<(), &'static str> {
        match self {
            Self::Min | Self::Max if arguments < 2 => Err("two or more arguments"),
            Self::Ln | Self::Exp if arguments != 1 => Err("one argument"),
            _ => Ok(()),
        }
    }
}

impl Formula {
    /// Reads a formula.
    ///
    /// # Errors
    /// What is wrong, and where in the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > BYTES {
            return Err(format!("has {} bytes; a formula has at most {BYTES}", text.len()));
        }
        let mut reader = Reader { text, at: 0, depth: 0, outputs: Vec::new() };
        let term = reader.sum()?;
        reader.skip_space();
        if reader.at < text.len() {
            return Err(reader.expected("an operator (+ - * /) or the end"));
        }
        if reader.outputs.is_empty() {
            return Err(format!("{text:?} names no output, so it orders nothing; p_watch is one"));
        }
        check_constants(&term)?;
        Ok(Self { text: text.trim().into(), outputs: reader.outputs, term })
    }

    /// The names of the outputs that it needs, each once.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// The value, where `output` has that of each of [`Formula::outputs`] by its place. It is not finite where the outputs make it so
    /// (`1 / p_watch` of 0): whoever orders by it has a rule for that.
    pub fn value(&self, output: impl Fn(usize) -> f64) -> f64 {
        self.term.value(&output)
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Formula {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Term {
    fn value(&self, output: &impl Fn(usize) -> f64) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Output(place) => output(*place),
            Self::Negative(of) => -of.value(output),
            Self::Of(operator, a, b) => {
                let (a, b) = (a.value(output), b.value(output));
                match operator {
                    Operator::Plus => a + b,
                    Operator::Minus => a - b,
                    Operator::Times => a * b,
                    Operator::Over => a / b,
                }
            }
            Self::Call(function, arguments) => {
                let values = arguments.iter().map(|of| of.value(output));
                // NaN stays NaN, which `f64::min` would pass over.
                let either = |a: f64, b: f64| if a.is_nan() { a } else { b };
                match function {
                    Function::Min => {
                        values.fold(f64::INFINITY, |a, b| if a < b { a } else { either(a, b) })
                    }
                    Function::Max => {
                        values.fold(f64::NEG_INFINITY, |a, b| if a > b { a } else { either(a, b) })
                    }
                    Function::Ln => values.map(f64::ln).sum(),
                    Function::Exp => values.map(f64::exp).sum(),
                }
            }
        }
    }

    /// Whether it has no output.
    fn is_constant(&self) -> bool {
        match self {
            Self::Number(_) => true,
            Self::Output(_) => false,
            Self::Negative(of) => of.is_constant(),
            Self::Of(_, a, b) => a.is_constant() && b.is_constant(),
            Self::Call(_, arguments) => arguments.iter().all(Self::is_constant),
        }
    }
}

/// Refuses parts without an output whose value is no finite number, and divisions by what is always 0.
fn check_constants(term: &Term) -> Result<(), String> {
    if term.is_constant() {
        let value = term.value(&|_| 0.0);
        if value.is_finite() {
            return Ok(());
        }
        return Err(format!("a part of it is {value} whatever a model says"));
    }
    match term {
        Term::Number(_) | Term::Output(_) => Ok(()),
        Term::Negative(of) => check_constants(of),
        Term::Of(operator, a, b) => {
            check_constants(a)?;
            check_constants(b)?;
            if *operator == Operator::Over && b.is_constant() && b.value(&|_| 0.0) == 0.0 {
                return Err("a part of it is divided by 0".into());
            }
            Ok(())
        }
        Term::Call(_, arguments) => arguments.iter().try_for_each(check_constants),
    }
}

/// Reads a text from its beginning to its end.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    outputs: Vec<String>,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes the character, if it is the next.
    fn take(&mut self, character: char) -> bool {
        self.skip_space();
        let is_next = self.rest().starts_with(character);
        self.at += if is_next { character.len_utf8() } else { 0 };
        is_next
    }

    /// What should stand here.
    fn expected(&self, what: &str) -> String {
        let found = self.rest().chars().next();
        let found = found.map_or("it ends".into(), |of| format!("{of:?} stands there"));
        format!("{:?}: expected {what} at character {}, and {found}", self.text, self.place())
    }

    /// Of the next character, from 1.
    fn place(&self) -> usize {
        self.text[..self.at].chars().count() + 1
    }

    fn sum(&mut self) -> Result<Term, String> {
        let mut sum = self.product()?;
        loop {
            let operator = if self.take('+') {
                Operator::Plus
            } else if self.take('-') {
                Operator::Minus
            } else {
                return Ok(sum);
            };
            sum = Term::Of(operator, Box::new(sum), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Term, String> {
        let mut product = self.factor()?;
        loop {
            let operator = if self.take('*') {
                Operator::Times
            } else if self.take('/') {
                Operator::Over
            } else {
                return Ok(product);
            };
            product = Term::Of(operator, Box::new(product), Box::new(self.factor()?));
        }
    }

    fn factor(&mut self) -> Result<Term, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("has more than {DEPTH} parentheses and signs within each other"));
        }
        let factor = if self.take('-') {
            self.factor().map(|of| Term::Negative(Box::new(of)))
        } else if self.take('(') {
            let sum = self.sum()?;
            if self.take(')') { Ok(sum) } else { Err(self.expected("a closing parenthesis")) }
        } else {
            match self.rest().chars().next() {
                Some(next) if next.is_ascii_digit() || next == '.' => self.number(),
                Some(next) if next.is_ascii_alphabetic() || next == '_' => self.named(),
                _ => Err(self.expected("a number, an output, a function or a parenthesis")),
            }
        };
        self.depth -= 1;
        factor
    }

    fn number(&mut self) -> Result<Term, String> {
        let (mut length, mut before) = (0, ' ');
        for next in self.rest().chars() {
            let is_sign = matches!(next, '+' | '-') && matches!(before, 'e' | 'E');
            if !(next.is_ascii_alphanumeric() || next == '.' || is_sign) {
                break;
            }
            (length, before) = (length + next.len_utf8(), next);
        }
        let text = &self.rest()[..length];
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                self.at += length;
                Ok(Term::Number(number))
            }
            _ => Err(format!("{text:?} at character {} is no finite number", self.place())),
        }
    }

    fn named(&mut self) -> Result<Term, String> {
        let is_of_name = |next: char| next.is_ascii_alphanumeric() || next == '_';
        let rest = self.rest();
        let name = &rest[..rest.find(|next| !is_of_name(next)).unwrap_or(rest.len())];
        let (name, place) = (name.to_owned(), self.place());
        self.at += name.len();
        if !self.take('(') {
            let known = self.outputs.iter().position(|output| *output == name);
            return Ok(Term::Output(known.unwrap_or_else(|| {
                self.outputs.push(name);
                self.outputs.len() - 1
            })));
        }
        let Some((_, function)) = Function::ALL.iter().find(|(of, _)| *of == name) else {
            let known = Function::ALL.map(|(name, _)| name).join(", ");
            return Err(format!("{name:?} at character {place} is no function; there are {known}"));
        };
        let mut arguments = vec![self.sum()?];
        while self.take(',') {
            arguments.push(self.sum()?);
        }
        if !self.take(')') {
            return Err(self.expected("a comma or a closing parenthesis"));
        }
        let takes = function.takes(arguments.len());
        takes.map_err(|takes| format!("{name} at character {place} takes {takes}"))?;
        Ok(Term::Call(*function, arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> f64 {
        let formula = Formula::parse(text).unwrap();
        assert_eq!(formula.to_string(), text.trim());
        let of = |place: usize| match formula.outputs()[place].as_str() {
            "p_watch" => 0.5,
            "stay_s" => 60.0,
            "p_buy" => 0.25,
            other => panic!("{other}"),
        };
        formula.value(of)
    }

    #[test]
    fn values_are_those_of_arithmetic() {
        for (text, expected) in [
            ("p_watch", 0.5),
            ("p_watch * (1 + 0.3 * p_buy)", 0.5 * (1.0 + 0.3 * 0.25)),
            ("1 - 2 - p_watch", -1.5),
            ("8 / 2 / p_watch", 8.0),
            ("2 + 3 * p_watch - -1", 4.5),
            ("--p_watch", 0.5),
            (" max(p_watch, p_buy, .1) + min(stay_s, 1e1) ", 10.5),
            ("ln(exp(p_watch)) * 1E-1", 0.05),
            ("p_watch/p_watch", 1.0),
        ] {
            let found = value(text);
            assert!((found - expected).abs() < 1e-12, "{text}: {found}");
        }
        let of_zero = |text: &str| Formula::parse(text).unwrap().value(|_| 0.0);
        assert_eq!(of_zero("1 / p_watch"), f64::INFINITY);
        for text in ["p_watch / p_watch", "max(1, p_watch / p_watch)", "min(p_watch / p_watch, 1)"]
        {
            assert!(of_zero(text).is_nan(), "{text}");
        }
    }

    #[test]
    fn what_is_no_formula_is_refused_where_it_is_wrong() {
        let deep = format!("{}p_watch{}", "(".repeat(60), ")".repeat(60));
        let long = format!("p_watch{}", " + 1".repeat(300));
        for (text, words) in [
            ("", "at character 1, and it ends"),
            (
                "p_watch *",
                "expected a number, an output, a function or a parenthesis at character 10",
            ),
            ("p_watch p_buy", "expected an operator (+ - * /) or the end at character 9, and 'p'"),
            ("(p_watch", "expected a closing parenthesis at character 9"),
            ("p_watch)", "and ')' stands there"),
            ("1.2.3 * p_watch", "\"1.2.3\" at character 1 is no finite number"),
            ("1e999 * p_watch", "no finite number"),
            ("2p_watch", "no finite number"),
            (
                "sqrt(p_watch)",
                "\"sqrt\" at character 1 is no function; there are min, max, ln, exp",
            ),
            ("p_watch * ln(1, 2)", "ln at character 11 takes one argument"),
            ("max(p_watch)", "takes two or more arguments"),
            ("max()", "expected a number"),
            ("1 + 2", "names no output"),
            ("p_watch + 1 / 0", "is inf whatever a model says"),
            ("p_watch + ln(0 - 1)", "is NaN whatever"),
            ("p_watch / (1 - 1)", "divided by 0"),
            ("p_watch ^ 2", "and '^' stands there"),
            ("p_wätch", "and 'ä' stands there"),
            (&deep, "more than 50"),
            (&long, "has 1207 bytes"),
        ] {
            let told = Formula::parse(text).unwrap_err();
            assert!(told.contains(words), "{text}: {told}");
        }
    }
}
