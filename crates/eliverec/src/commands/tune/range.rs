//! What a key may be, and drawing from it.

use eliverec_core::seed::{Random, stream};
use serde::Deserialize;
use toml::{Table, Value};

/// What a key may be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Range {
    /// One of these.
    Values(Vec<Value>),
    /// A number from `low` to `high`.
    Between {
        low: f64,
        high: f64,
        scale: Scale,
        /// Whether both ends are whole numbers, and so are the draws.
        whole: bool,
    },
}

/// In which unit draws lie evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scale {
    Linear,
    Log,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    values: Option<Vec<Value>>,
    low: Option<Value>,
    high: Option<Value>,
    scale: Option<Scale>,
}

impl Range {
    /// The keys of a range, by which its table is told from one of a config.
    pub(super) const KEYS: [&str; 4] = ["values", "low", "high", "scale"];

    /// Reads and checks a range.
    ///
    /// # Errors
    /// What is wrong and what to do, without the place.
    pub(super) fn read(table: Table) -> Result<Self, String> {
        let written: Written =
            Value::Table(table).try_into().map_err(|e: toml::de::Error| e.message().to_string())?;
        match written {
            Written { values: Some(values), low: None, high: None, scale: None } => {
                if values.is_empty() {
                    return Err("values is empty; list at least one".into());
                }
                Ok(Self::Values(values))
            }
            Written { values: None, low: Some(low), high: Some(high), scale } => {
                let scale =
                    scale.ok_or("has no scale; add scale = \"log\" or scale = \"linear\"")?;
                Self::between(&low, &high, scale)
            }
            _ => Err("give either values = [...], or low, high and scale".into()),
        }
    }

    fn between(low: &Value, high: &Value, scale: Scale) -> Result<Self, String> {
        let number = |name: &str, value: &Value| match value {
            Value::Integer(x) => Ok(*x as f64),
            Value::Float(x) if x.is_finite() => Ok(*x),
            other => Err(format!("{name} is {other}; it must be a number")),
        };
        let whole = low.is_integer() && high.is_integer();
        let (low, high) = (number("low", low)?, number("high", high)?);
        if low >= high {
            return Err(format!("low is {low} and high is {high}; low must be the smaller"));
        }
        if scale == Scale::Log && low <= 0.0 {
            return Err(format!("low is {low}; on a log scale it must be above 0"));
        }
        Ok(Self::Between { low, high, scale, whole })
    }

    /// `n` draws, one of each n-th part of the range, in an order of the key's own. With few draws as here, independent ones
    /// would leave gaps; and a key's draws do not depend on what else is drawn, so models try the same values of shared keys.
    pub(super) fn draw(&self, seed: u64, key: &str, n: usize) -> Vec<Value> {
        let mut random = Random::new(stream(seed, &format!("tune/{key}")));
        let mut parts: Vec<usize> = (0..n).collect();
        random.shuffle(&mut parts);
        let share = |part| (part as f64 + random.uniform()) / n as f64;
        parts.into_iter().map(share).map(|share| self.at(share)).collect()
    }

    /// What every draw lies between, or all there is.
    pub(super) fn ends(&self) -> Vec<Value> {
        match self {
            Self::Values(values) => values.clone(),
            Self::Between { .. } => vec![self.at(0.0), self.at(1.0)],
        }
    }

    /// The value at a share of the range, from 0 to 1.
    fn at(&self, share: f64) -> Value {
        match self {
            Self::Values(values) => {
                let i = (share * values.len() as f64) as usize;
                values[i.min(values.len() - 1)].clone()
            }
            Self::Between { low, high, scale, whole } => {
                // Whole numbers get a stretch of length one each.
                let top = if *whole { high + 1.0 } else { *high };
                let x = match scale {
                    Scale::Linear => low + share * (top - low),
                    Scale::Log => (low.ln() + share * (top.ln() - low.ln())).exp(),
                };
                if *whole {
                    Value::Integer(x.floor().clamp(*low, *high) as i64)
                } else {
                    Value::Float(three_digits(x).clamp(*low, *high))
                }
            }
        }
    }
}

/// Configs are read by people, and no fourth digit was ever tuned.
fn three_digits(x: f64) -> f64 {
    format!("{x:.2e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Result<Range, String> {
        Range::read(text.parse().unwrap())
    }

    #[test]
    fn draws_depend_on_seed_and_key_and_cover_the_range() {
        let rates = range("low = 0.001\nhigh = 1.0\nscale = \"log\"").unwrap();
        let draws = rates.draw(1, "training.learning_rate", 30);
        assert_eq!(draws, rates.draw(1, "training.learning_rate", 30));
        assert_ne!(draws, rates.draw(2, "training.learning_rate", 30));
        assert_ne!(draws, rates.draw(1, "store.learning_rate", 30));
        let mut draws: Vec<f64> = draws.iter().map(|x| x.as_float().unwrap()).collect();
        draws.sort_by(f64::total_cmp);
        for (decade, draws) in draws.chunks(10).enumerate() {
            let low = 10_f64.powi(decade as i32 - 3);
            assert!(draws.iter().all(|x| (low..=low * 10.0).contains(x)), "{draws:?}");
        }
        assert!(draws.iter().all(|x| x.to_string().len() <= "0.00123".len()), "{draws:?}");
    }

    #[test]
    fn whole_ends_give_whole_numbers_and_lists_give_every_value() {
        let blocks = range("low = 1\nhigh = 3\nscale = \"linear\"").unwrap();
        let mut draws = blocks.draw(5, "model.blocks", 6);
        draws.sort_by_key(Value::as_integer);
        assert_eq!(draws, [1, 1, 2, 2, 3, 3].map(Value::Integer));
        assert_eq!(blocks.ends(), [1, 3].map(Value::Integer));
        let kinds = range("values = [\"a\", [8, 4], true]").unwrap();
        let draws = kinds.draw(5, "any.key", 3);
        assert!(kinds.ends().iter().all(|value| draws.contains(value)), "{draws:?}");
    }

    #[test]
    fn draws_stay_between_ends_with_more_digits() {
        let narrow = range("low = 0.12345\nhigh = 0.12346\nscale = \"linear\"").unwrap();
        for draw in narrow.draw(1, "x", 5) {
            assert!((0.12345..=0.12346).contains(&draw.as_float().unwrap()), "{draw}");
        }
    }

    #[test]
    fn wrong_ranges_say_what_to_do() {
        for (text, expected) in [
            ("values = []", "at least one"),
            ("values = [1]\nlow = 1", "either values"),
            ("low = 1", "either values"),
            ("low = 1\nhigh = 2", "scale = \"log\""),
            ("low = 1\nhigh = 2\nscale = \"cubic\"", "cubic"),
            ("low = 2.5\nhigh = 2.5\nscale = \"log\"", "low must be the smaller"),
            ("low = 0.0\nhigh = 2.5\nscale = \"log\"", "above 0"),
            ("low = \"a\"\nhigh = 2\nscale = \"log\"", "must be a number"),
            ("low = 1.0\nhigh = inf\nscale = \"log\"", "high is inf"),
            ("lwo = 1\nhigh = 2\nscale = \"log\"", "lwo"),
        ] {
            let message = range(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
