//! `DIR/left`: the days that stand elsewhere, one a line with the number of its events, and a checksum.
//!
//! It is a note, and nothing is removed because of it: a file of the log goes only when this very process has heard that its day stands
//! elsewhere ([`Left::leave`]).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use eliverec_core::Day;

use crate::error::Error;
use crate::files::replace;
use crate::snapshot_files::checksum;

/// What to do about it: nothing hangs on the note but what is told.
const REMOVE: &str = "remove it: days whose records are still in the log are compared with their folders again, and nothing is lost";

/// The days.
#[derive(Debug)]
pub(crate) struct Left {
    path: PathBuf,
    /// Events by day.
    days: BTreeMap<Day, u64>,
    /// The last day that is known to stand elsewhere since the state was opened, and so do all before it.
    confirmed: Option<Day>,
}

impl Left {
    /// Reads the file at `path`; without one no day has left. `newest` is the day of the newest record.
    ///
    /// # Errors
    /// A file that has not its checksum, and one that says more than a log with that record can have given.
    pub(crate) fn open(path: &Path, newest: Option<Day>) -> Result<Self, Error> {
        let days = match fs_err::read(path) {
            Ok(bytes) => {
                let reason = |reason: &str| Error::log(path, format!("{reason}; {REMOVE}"));
                parse(&bytes).ok_or_else(|| reason("is damaged (its checksum is wrong)"))?
            }
            Err(e) if e.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(e.into()),
        };
        if let Some((last, _)) = days.last_key_value().filter(|(last, _)| newest < Some(**last)) {
            let newest = newest.map_or("there is none".into(), |newest| format!("is of {newest}"));
            let reason = format!(
                "says that {last} is over and stands elsewhere, and the newest record here {newest}: it is another state's; {REMOVE}"
            );
            return Err(Error::log(path, reason));
        }
        Ok(Self { path: path.into(), days, confirmed: None })
    }

    /// Events by day.
    pub(crate) const fn days(&self) -> &BTreeMap<Day, u64> {
        &self.days
    }

    /// The last day that is known to stand elsewhere since the state was opened, and so do all before it.
    pub(crate) const fn confirmed(&self) -> Option<Day> {
        self.confirmed
    }

    /// A day with so many events stands elsewhere, as all days before it do.
    pub(crate) fn leave(&mut self, day: Day, events: u64) -> Result<(), Error> {
        if self.days.insert(day, events) != Some(events) {
            self.write()?;
        }
        self.confirmed = self.confirmed.max(Some(day));
        Ok(())
    }

    /// Says nothing of these days any more.
    pub(crate) fn forget(&mut self, days: &[Day]) -> Result<(), Error> {
        let before = self.days.len();
        // The last one stays: no record may come to a day that is over.
        let last = self.days.last_key_value().map(|(last, _)| *last);
        self.days.retain(|day, _| Some(*day) == last || !days.contains(day));
        if self.days.len() < before { self.write() } else { Ok(()) }
    }

    fn write(&self) -> Result<(), Error> {
        let lines: Vec<String> =
            self.days.iter().map(|(day, events)| format!("{day} {events}\n")).collect();
        let lines = lines.concat();
        replace(&self.path, &format!("{lines}checksum {:016x}", checksum(lines.as_bytes())))
    }
}

/// The days that a file names; `None` if that is not what was written.
fn parse(bytes: &[u8]) -> Option<BTreeMap<Day, u64>> {
    let text = str::from_utf8(bytes).ok()?;
    let (lines, sum) = text.split_at_checked(text.rfind("checksum ")?)?;
    if sum != format!("checksum {:016x}\n", checksum(lines.as_bytes())) {
        return None;
    }
    let day = |line: &str| {
        let (day, events) = line.split_once(' ')?;
        Some((day.parse().ok()?, events.parse().ok()?))
    };
    lines.lines().map(day).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_bit_or_a_day_that_cannot_be_over_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("left");
        let day = |text: &str| text.parse::<Day>().unwrap();
        let (first, second) = (day("2026-11-28"), day("2026-11-29"));
        let mut left = Left::open(&path, None).unwrap();
        left.leave(first, 30).unwrap();
        left.leave(second, 0).unwrap();
        assert_eq!(left.confirmed(), Some(second));
        let again = Left::open(&path, Some(second)).unwrap();
        assert_eq!((again.days(), again.confirmed()), (left.days(), None));
        for newest in [None, Some(first)] {
            let told = Left::open(&path, newest).unwrap_err().to_string();
            assert!(told.contains("left: says that 2026-11-29") && told.contains("remove it"));
        }
        let whole = fs_err::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            fs_err::write(&path, &bytes).unwrap();
            let told = Left::open(&path, Some(day("9999-12-31"))).unwrap_err().to_string();
            assert!(told.contains("left: is damaged"), "{told}");
            fs_err::write(&path, &whole[..place]).unwrap();
            assert!(Left::open(&path, Some(second)).is_err(), "cut at {place}");
        }
        left.forget(&[first, second]).unwrap();
        assert_eq!(Left::open(&path, Some(second)).unwrap().days().len(), 1);
    }
}
