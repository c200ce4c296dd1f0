//! Which experiments were in force when: the lines of `experiments.jsonl`, one per change.

use serde::Deserialize;

use crate::error::Error;

/// Shares of a layer may add up to so much more than 1 by the way numbers are written.
const ROUNDING: f64 = 1e-9;

/// A layer: users are in one of its buckets, or outside.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Layer {
    /// What answers call it.
    pub name: String,
    /// Its buckets, in the order of the file.
    pub buckets: Vec<Bucket>,
}

/// A part of the users.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Bucket {
    /// What answers call it.
    pub name: String,
    /// Share of all users that it gets, 0 to 1.
    pub share: f64,
}

#[derive(Deserialize)]
struct Experiments {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Line {
    at: i64,
    experiments: Experiments,
}

/// The shares of a layer from a moment on.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    /// From when, milliseconds since 1970 UTC.
    pub from_ms: i64,
    /// Share of each of [`Shares::buckets`]; 0 for one that was not there.
    pub shares: Vec<f64>,
}

/// The buckets of one layer, and their shares over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// The layer.
    pub layer: String,
    /// Names of all its buckets; those that were in force last come first, in their order.
    pub buckets: Vec<String>,
    /// In the order of time, each with other shares than the one before. The first holds for earlier moments, too.
    pub periods: Vec<Period>,
}

impl Shares {
    /// Reads the lines of `file` and takes a layer, which may be left out if there is one only.
    ///
    /// # Errors
    /// A line that does not parse or contradicts itself, and a layer that is not there, or not the only one.
    pub fn parse(text: &str, file: &str, layer: Option<&str>) -> Result<Self, Error> {
        let mut lines = Vec::new();
        for (number, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let wrong = |reason| Error::Experiments { file: file.into(), line: number + 1, reason };
            let line: Line = serde_json::from_str(text).map_err(|e| {
                wrong(format!(
                    "{e}; expected {{\"at\": ms, \"experiments\": {{\"layers\": [...]}}}}"
                ))
            })?;
            check(&line.experiments.layers).map_err(wrong)?;
            lines.push(line);
        }
        lines.sort_by_key(|line| line.at);
        let layer = chosen(&lines, file, layer)?;
        let of_layer = |line: &Line| {
            let found = line.experiments.layers.iter().find(|of| of.name == layer);
            (line.at, found.map(|of| of.buckets.clone()).unwrap_or_default())
        };
        Ok(Self::of(layer.clone(), &lines.iter().map(of_layer).collect::<Vec<_>>()))
    }

    /// A layer whose shares never change.
    pub(crate) fn constant(layer: &Layer) -> Self {
        Self::of(layer.name.clone(), &[(0, layer.buckets.clone())])
    }

    /// The shares of a layer of which the buckets from some moments on are known.
    fn of(layer: String, states: &[(i64, Vec<Bucket>)]) -> Self {
        let mut buckets: Vec<String> = Vec::new();
        for bucket in states.iter().rev().flat_map(|(_, buckets)| buckets) {
            if !buckets.contains(&bucket.name) {
                buckets.push(bucket.name.clone());
            }
        }
        let mut periods: Vec<Period> = Vec::new();
        for (from_ms, state) in states {
            let share = |name: &String| {
                let found = state.iter().find(|bucket| bucket.name == *name);
                found.map_or(0.0, |bucket| bucket.share)
            };
            let shares: Vec<f64> = buckets.iter().map(share).collect();
            if periods.last().is_none_or(|last| last.shares != shares) {
                periods.push(Period { from_ms: *from_ms, shares });
            }
        }
        Self { layer, buckets, periods }
    }

    /// The place of a bucket.
    pub fn bucket(&self, name: &str) -> Option<usize> {
        self.buckets.iter().position(|bucket| bucket == name)
    }

    /// Whether any bucket of the layer had users at a moment.
    pub(crate) fn is_open(&self, at_ms: i64) -> bool {
        let period = self.periods.get(self.period(at_ms));
        period.is_some_and(|period| {
            period.from_ms <= at_ms && period.shares.iter().any(|share| *share > 0.0)
        })
    }

    /// The place of the period that a moment lies in.
    pub fn period(&self, at_ms: i64) -> usize {
        self.periods.partition_point(|period| period.from_ms <= at_ms).saturating_sub(1)
    }
}

fn chosen(lines: &[Line], file: &str, asked: Option<&str>) -> Result<String, Error> {
    let mut names: Vec<&str> = Vec::new();
    for layer in lines.iter().rev().flat_map(|line| &line.experiments.layers) {
        if !names.contains(&layer.name.as_str()) {
            names.push(&layer.name);
        }
    }
    let refuse = |asked: String, reason: String| {
        Err(Error::Asked { asked, reason: format!("{file} {reason}") })
    };
    match (asked, names.as_slice()) {
        (None, []) => refuse("--layer".into(), "has no layer: no experiment was in force".into()),
        (None, [name]) => Ok((*name).into()),
        (None, names) => refuse(
            "--layer".into(),
            format!("has several layers; choose one of {}", names.join(", ")),
        ),
        (Some(asked), names) if names.contains(&asked) => Ok(asked.into()),
        (Some(asked), names) => refuse(
            format!("--layer {asked}"),
            format!("has no such layer; it has {}", names.join(", ")),
        ),
    }
}

fn check(layers: &[Layer]) -> Result<(), String> {
    for (i, layer) in layers.iter().enumerate() {
        if layers[..i].iter().any(|other| other.name == layer.name) {
            return Err(format!("the layer {} stands there twice", layer.name));
        }
        for (i, bucket) in layer.buckets.iter().enumerate() {
            let place = format!("layer {}, bucket {}", layer.name, bucket.name);
            if layer.buckets[..i].iter().any(|other| other.name == bucket.name) {
                return Err(format!("{place} stands there twice"));
            }
            if !(0.0..=1.0).contains(&bucket.share) {
                return Err(format!("{place}: share {} is not between 0 and 1", bucket.share));
            }
        }
        let sum: f64 = layer.buckets.iter().map(|bucket| bucket.share).sum();
        if sum > 1.0 + ROUNDING {
            return Err(format!("layer {}: its shares add up to {sum}, more than 1", layer.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: i64, layers: &str) -> String {
        format!("{{\"at\": {at}, \"experiments\": {{\"layers\": [{layers}], \"more\": 1}}}}\n")
    }

    fn layer(name: &str, buckets: &[(&str, f64)]) -> String {
        let buckets = buckets.iter().map(|(name, share)| {
            format!("{{\"name\": \"{name}\", \"share\": {share}, \"bundle\": \"x\"}}")
        });
        let buckets = buckets.collect::<Vec<_>>().join(", ");
        format!("{{\"name\": \"{name}\", \"salt\": \"s\", \"buckets\": [{buckets}]}}")
    }

    #[test]
    fn periods_are_those_of_other_shares() {
        let text = line(30, &layer("a", &[("new", 0.5), ("old", 0.5)]))
            + &line(10, &layer("a", &[("old", 0.9), ("gone", 0.1)]))
            + "\n"
            + &line(20, &layer("a", &[("gone", 0.1), ("old", 0.9)]))
            + &line(40, &layer("b", &[("old", 1.0)]));
        let shares = Shares::parse(&text, "f", Some("a")).unwrap();
        assert_eq!(shares.buckets, ["new", "old", "gone"]);
        let found: Vec<_> = shares.periods.iter().map(|p| (p.from_ms, p.shares.clone())).collect();
        let expected =
            [(10, vec![0.0, 0.9, 0.1]), (30, vec![0.5, 0.5, 0.0]), (40, vec![0.0, 0.0, 0.0])];
        assert_eq!(found, expected);
        assert_eq!([5, 10, 29, 30, 99].map(|at| shares.period(at)), [0, 0, 0, 1, 2]);
        assert_eq!([5, 10, 39, 40].map(|at| shares.is_open(at)), [false, true, true, false]);
        assert_eq!(shares.bucket("gone"), Some(2));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let one = |buckets: &[(&str, f64)]| line(1, &layer("a", buckets));
        let both = line(1, &[layer("a", &[("x", 1.0)]), layer("b", &[("x", 1.0)])].join(","));
        for (text, asked, message) in [
            (String::new(), None, "--layer: f has no layer: no experiment was in force"),
            (both.clone(), None, "--layer: f has several layers; choose one of a, b"),
            (both, Some("c"), "--layer c: f has no such layer; it has a, b"),
            (
                one(&[("x", 1.5)]),
                None,
                "f: line 1: layer a, bucket x: share 1.5 is not between 0 and 1",
            ),
            (
                one(&[("x", 0.6), ("y", 0.5)]),
                None,
                "f: line 1: layer a: its shares add up to 1.1, more than 1",
            ),
            (
                one(&[("x", 0.5), ("x", 0.5)]),
                None,
                "f: line 1: layer a, bucket x stands there twice",
            ),
        ] {
            assert_eq!(Shares::parse(&text, "f", asked).unwrap_err().to_string(), message);
        }
        let error = Shares::parse("\n{\"at\": 1}", "f", None).unwrap_err().to_string();
        assert!(error.starts_with("f: line 2: missing field `experiments`"), "{error}");
    }
}
