//! Tables of metrics: the values of the buckets, their differences from the control, and what can be said of these.

use serde::Serialize;

use crate::difference::{Difference, MISS, holm};

/// The metrics of some users.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Which users.
    pub group: String,
    /// How they were chosen.
    pub rule: String,
    /// Users of each bucket.
    pub users: Vec<u64>,
    /// One per metric that can be known.
    pub rows: Vec<Row>,
}

/// A metric in all buckets.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name for programs.
    pub metric: &'static str,
    /// Value in each bucket; `None` where its denominator is 0.
    pub values: Vec<Option<Value>>,
    /// Share of the variance that CUPED took off; `None` without days before.
    pub taken_off: Option<f64>,
    /// The other buckets against the control.
    pub comparisons: Vec<Comparison>,
}

/// A metric in a bucket.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Value {
    /// The value, adjusted where CUPED was asked for.
    pub value: f64,
    /// Its standard error over users; `None` of one user.
    pub standard_error: Option<f64>,
}

/// A bucket against the control.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The bucket.
    pub bucket: String,
    /// `None` where there is nothing to compare.
    pub difference: Option<Difference>,
    /// The difference's p-value corrected by Holm for the table, for a look that was planned.
    pub p_corrected: Option<f64>,
    /// The same for looks at any time.
    pub always_p_corrected: Option<f64>,
    /// What all that says.
    pub verdict: Verdict,
}

/// What can be said of a difference, corrected for the comparisons of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// More than the control, whenever one looks.
    Higher,
    /// Less than the control, whenever one looks.
    Lower,
    /// More, if this look was planned before the experiment began.
    HigherIfPlanned,
    /// Less, if this look was planned before the experiment began.
    LowerIfPlanned,
    /// The difference may be none.
    Undecided,
    /// Nothing to compare.
    Unknown,
}

impl Verdict {
    /// For a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
            Self::HigherIfPlanned => "higher if planned",
            Self::LowerIfPlanned => "lower if planned",
            Self::Undecided => "undecided",
            Self::Unknown => "-",
        }
    }

    fn of(difference: &Difference, p: f64, always_p: f64) -> Self {
        match (difference.relative > 0.0, always_p < MISS, p < MISS) {
            (true, true, _) => Self::Higher,
            (false, true, _) => Self::Lower,
            (true, false, true) => Self::HigherIfPlanned,
            (false, false, true) => Self::LowerIfPlanned,
            (_, false, false) => Self::Undecided,
        }
    }
}

/// Corrects the p-values of a table's comparisons together, and says what they say.
pub(crate) fn correct(rows: &mut [Row]) {
    let mut compared: Vec<&mut Comparison> = rows
        .iter_mut()
        .flat_map(|row| &mut row.comparisons)
        .filter(|comparison| comparison.difference.is_some())
        .collect();
    let of = |value: fn(&Difference) -> f64, compared: &[&mut Comparison]| {
        let values = compared.iter().filter_map(|comparison| comparison.difference.as_ref());
        holm(&values.map(value).collect::<Vec<_>>())
    };
    let planned = of(|difference| difference.p, &compared);
    let always = of(|difference| difference.always_p, &compared);
    for ((comparison, p), always_p) in compared.iter_mut().zip(planned).zip(always) {
        comparison.p_corrected = Some(p);
        comparison.always_p_corrected = Some(always_p);
        if let Some(difference) = &comparison.difference {
            comparison.verdict = Verdict::of(difference, p, always_p);
        }
    }
}
