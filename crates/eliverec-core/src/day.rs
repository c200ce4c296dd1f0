//! A day in UTC, the unit by which an event log is cut into folders.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// 0000-01-01 and 9999-12-31, between which a date has four digits of a year.
const RANGE: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// A day in UTC of the years 0000 to 9999, written `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

impl Day {
    /// The day of a moment in milliseconds since 1970 UTC; `None` outside the years 0000 to 9999.
    pub fn of(ts_ms: i64) -> Option<Self> {
        let days = ts_ms.div_euclid(DAY_MS);
        RANGE.contains(&days).then_some(Self(days as i32))
    }

    /// Its first moment, milliseconds since 1970 UTC.
    pub const fn start_ms(self) -> i64 {
        self.0 as i64 * DAY_MS
    }

    /// The day `count` days later, or earlier if negative; `None` outside the years 0000 to 9999.
    pub fn plus(self, count: i32) -> Option<Self> {
        let days = i64::from(self.0) + i64::from(count);
        RANGE.contains(&days).then_some(Self(days as i32))
    }

    /// Year, month and day of the month in the Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date
    /// Algorithms", `civil_from_days`): years begin in March, so that the leap day is the last.
    fn civil(self) -> (i32, i32, i32) {
        let days = self.0 + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        (year_of_era + era * 400 + i32::from(month <= 2), month, day)
    }

    /// The inverse of [`Self::civil`]; days beyond the end of a month run into the next.
    fn from_civil(year: i32, month: i32, day: i32) -> Self {
        let year = year - i32::from(month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let shifted_month = (month + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self(era * 146_097 + day_of_era - 719_468)
    }
}

impl Serialize for Day {
    /// As text, `2024-05-31`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    /// Of text, `2024-05-31`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not a date; write it as YYYY-MM-DD, such as 2024-05-31");
        let digits = |range| text.get(range).and_then(|part: &str| part.parse::<u16>().ok());
        let parsed = (|| {
            let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
            (1..=12)
                .contains(&month)
                .then(|| Self::from_civil(year.into(), month.into(), day.into()))
        })();
        // Also refuses other separators, signs, and days that the month does not have.
        parsed.filter(|day| day.to_string() == text).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        let text = |ts_ms| Day::of(ts_ms).map(|day| day.to_string());
        assert_eq!(text(0).as_deref(), Some("1970-01-01"));
        assert_eq!(text(-1).as_deref(), Some("1969-12-31"));
        assert_eq!(text(1_709_164_800_000).as_deref(), Some("2024-02-29"));
        assert_eq!((text(i64::MIN), text(i64::MAX)), (None, None));
        let first: Day = "0000-01-01".parse().unwrap();
        let last: Day = "9999-12-31".parse().unwrap();
        assert_eq!((first.plus(-1), last.plus(1)), (None, None));
        assert_eq!(i64::from(first.0)..=i64::from(last.0), RANGE);
    }

    #[test]
    fn every_day_comes_back() {
        let mut day: Day = "1899-12-31".parse().unwrap();
        for _ in 0..200_000 {
            let next = day.plus(1).unwrap();
            assert!(next.to_string() > day.to_string());
            assert_eq!(next.to_string().parse(), Ok(next));
            assert_eq!(Day::of(next.start_ms()), Some(next));
            assert_eq!(Day::of(next.start_ms() - 1), Some(day));
            day = next;
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in ["", "2023-02-29", "2024-13-01", "2024-00-10", "2024-1-1", "2024/01/01"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        for text in ["+024-01-01", "2024-01-011", "24-01-01", "2024-01-1é"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }
}
