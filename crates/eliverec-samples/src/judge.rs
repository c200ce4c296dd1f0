//! Which days of a feed directory stay as they are, now that the log has other files: see [`crate::made_of`] for the rule.

use std::collections::{BTreeMap, BTreeSet};

use eliverec_tables::check::{Finding, Level};
use eliverec_tables::events::Day;

use crate::log_files::LogFiles;
use crate::made_of::{MADE_OF_FILE, MadeDay, MadeOf};

/// What becomes of the days that are there.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Those whose feeds are what the log gives now.
    pub(crate) valid: BTreeSet<Day>,
    /// Those among them that would come out otherwise, had the log not dropped their arrivals: once these are back, they do.
    pub(crate) outdated: BTreeSet<Day>,
    /// Those to be made again.
    pub(crate) again: BTreeSet<Day>,
    /// What there is to say about it.
    pub(crate) notes: Vec<String>,
    /// What concerns the numbers in the feeds.
    pub(crate) findings: Vec<Finding>,
}

/// Judges the days that are `there`, with what their files are known by now; `before` what they were made of, or why that is not known.
/// The log has the files `now` and is read from day `from` on; feeds are `asked` for on some days.
pub(crate) fn judge(
    there: &BTreeMap<Day, String>,
    before: Result<&MadeOf, &str>,
    now: &LogFiles,
    from: Option<Day>,
    asked: impl Fn(Day) -> bool,
) -> Verdict {
    let (before, unknown) = (before.ok(), before.err().unwrap_or_default());
    // What the log has dropped at its beginning is no change of the days that it has.
    let change = before.and_then(|before| now.first_change(&before.files, now.first().max(from)));
    let (mut verdict, mut dropped, mut left) = (Verdict::default(), Vec::new(), Vec::new());
    let (mut again, mut removed) = (Vec::new(), Vec::new());
    for (&day, mark) in there {
        let made = before.and_then(|before| before.days.get(&day));
        let known = made.is_some_and(|made| made.mark == *mark);
        // Arrivals of the day after have labels of the day.
        let next = day.plus(1);
        let touched = change
            .as_ref()
            .filter(|(changed, _)| next.is_none_or(|next| *changed <= next))
            .map(|(_, why)| why.clone())
            .or_else(|| longer(made?.log_from.max(from)?, now.first().max(from)?));
        let why = match (&touched, before) {
            (Some(why), _) => why.clone(),
            (None, Some(_)) if made.is_some() => OTHER_FILE.to_owned(),
            (None, Some(_)) => format!("{MADE_OF_FILE} does not have them"),
            (None, None) => unknown.to_owned(),
        };
        if known && touched.is_none() {
            verdict.valid.insert(day);
        } else if now.first().is_none_or(|first| day < first) {
            // Arrivals before the first day are no more there to make a day of.
            if known {
                verdict.valid.insert(day);
                verdict.outdated.insert(day);
            }
            dropped.push((day, why));
        } else if asked(day) {
            verdict.again.insert(day);
            let arrivals = now.days.range(day..=next.unwrap_or(day));
            let days = if arrivals.count() == 0 { &mut removed } else { &mut again };
            days.push((day, why));
        } else {
            left.push((day, why));
        }
    }
    let mut note = |days: &[(Day, String)], text: &dyn Fn(&str) -> String| {
        for of_one_cause in days.chunk_by(|(_, a), (_, b)| a == b) {
            let days: Vec<Day> = of_one_cause.iter().map(|(day, _)| *day).collect();
            if let (Some(span), Some((_, why))) = (span(&days), of_one_cause.first()) {
                verdict.notes.push(format!("{span}: {}", text(why)));
            }
        }
    };
    note(&again, &|why| format!("made again, for {why}"));
    note(&removed, &|why| format!("removed, for the log has no arrivals of theirs, and {why}"));
    note(&left, &|why| {
        format!(
            "kept, though not what the log gives now, for {why}; ask for these days to have them made again"
        )
    });
    note(&dropped, &|why| format!("kept, though the log has dropped their arrivals and {why}"));
    let Some(before) = before else { return verdict };
    verdict.findings.extend(shorter(&verdict, &before.days, now.first(), from));
    let tables = now.known_tables();
    let is_other = |day: &&Day| before.days.get(day).is_some_and(|made| made.tables != tables);
    let others: Vec<Day> = verdict.valid.iter().filter(is_other).copied().collect();
    if let Some(span) = span(&others) {
        let why = now.other_table(&before.files).unwrap_or_else(|| OTHER_TABLES.to_owned());
        verdict.notes.push(format!(
            "{span}: kept with the rows of the tables as they were, for {why}; choose another directory to have all days of \
             one state of the tables"
        ));
    }
    verdict
}

/// What is said of a day whose file has been replaced or damaged since.
pub(crate) const OTHER_FILE: &str = "its file of feeds is not the one that was written";

/// What is said of days that were made with other tables, if it was told before of which.
pub(crate) const OTHER_TABLES: &str = "a table has changed since";

/// Why a day that was made of a log that began on `log_from` knows less than one of a log that begins on `first`.
pub(crate) fn longer(log_from: Day, first: Day) -> Option<String> {
    let why = format!("the log has days before {log_from}, which it did not have then");
    (first < log_from).then_some(why)
}

/// What is found of a log that begins later than it did, where features draw on days that are gone: of the days made again of it, and
/// otherwise of those that are kept.
fn shorter(
    verdict: &Verdict,
    made: &BTreeMap<Day, MadeDay>,
    first: Option<Day>,
    from: Option<Day>,
) -> Option<Finding> {
    let there = verdict.again.len() + verdict.valid.len();
    let begins = first.max(from)?;
    // Days that knew more than the log has now, and the first day of what they knew.
    let of = |days: &BTreeSet<Day>| -> Vec<(Day, Day)> {
        let began = |day: &Day| Some((*day, made.get(day)?.log_from.max(from)?));
        days.iter().filter_map(began).filter(|(_, began)| *began < begins).collect()
    };
    let (days, kept) = (of(&verdict.again), of(&verdict.valid));
    let began = days.iter().chain(&kept).map(|(_, began)| *began).min()?;
    let only = |days: &[(Day, Day)]| days.iter().map(|(day, _)| *day).collect::<Vec<Day>>();
    let than = if kept.is_empty() { "before" } else { "those of the days that are kept" };
    let (days, kept) = (only(&days), only(&kept));
    if days.is_empty() {
        return Some(Finding {
            check: "log_differs",
            level: Level::Warning,
            place: span(&kept)?,
            says: format!(
                "kept as they were made of a log whose first day was {began}, and is {begins} now: they know what is not in it any more"
            ),
            count: kept.len() as u64,
            of: there as u64,
            advice: "keep the folders of a log as long as features draw on them",
        });
    }
    Some(Finding {
        check: "log_shortened",
        level: Level::Warning,
        place: span(&days)?,
        says: format!(
            "made again of a log whose first day is {begins}, and was {began} before: histories and counters know less than {than}"
        ),
        count: days.len() as u64,
        of: there as u64,
        advice: "keep the folders of a log as long as features draw on them",
    })
}

/// Days in words.
fn span(days: &[Day]) -> Option<String> {
    match days {
        [] => None,
        [day] => Some(day.to_string()),
        [first, .., last] => Some(format!("{} days, {first} to {last}", days.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_of::tests::{before, day, files, made};

    fn days(of: &[i32]) -> BTreeSet<Day> {
        of.iter().map(|of| day(*of)).collect()
    }

    #[test]
    fn a_day_is_made_again_until_the_day_after_the_next_has_come() {
        let before = before(&[0, 1, 2], &[0, 1, 2]);
        let judged = |now: &LogFiles| judge(&made(&[0, 1, 2]), Ok(&before), now, None, |_| true);
        let same = judged(&files(&[0, 1, 2]));
        assert_eq!(same, Verdict { valid: days(&[0, 1, 2]), ..Verdict::default() });
        let grown = judged(&files(&[0, 1, 2, 3]));
        assert_eq!((grown.valid, grown.again), (days(&[0, 1]), days(&[2])));
        assert_eq!(grown.notes, ["2024-06-02: made again, for file 3 has come"]);
        // Nothing arrived on the day between.
        assert_eq!(judged(&files(&[0, 1, 2, 4])).again, days(&[]));
        let mut more = files(&[0, 1, 2, 3]);
        more.days.get_mut(&day(1)).unwrap().insert("a late file".into(), "as it was".into());
        let more = judged(&more);
        assert_eq!(more.again, days(&[0, 1, 2]));
        assert_eq!(
            more.notes,
            ["3 days, 2024-05-31 to 2024-06-02: made again, for a late file has come"]
        );
    }

    #[test]
    fn what_a_log_drops_at_its_beginning_changes_nothing() {
        let before = before(&[0, 1, 2], &[0, 1, 2]);
        let judged = judge(&made(&[0, 1, 2]), Ok(&before), &files(&[2, 3]), None, |_| true);
        assert_eq!((judged.valid, judged.again), (days(&[0, 1]), days(&[2])));
        let [found] = &judged.findings[..] else { panic!("{:?}", judged.findings) };
        assert_eq!((found.check, found.place.as_str()), ("log_shortened", "2024-06-02"));
        let told = "made again of a log whose first day is 2024-06-02, and was 2024-05-31 before";
        assert!(found.says.starts_with(told), "{}", found.says);
        // None is made again.
        let same = judge(&made(&[0, 1, 2]), Ok(&before), &files(&[1, 2]), None, |_| true);
        let [found] = &same.findings[..] else { panic!("{:?}", same.findings) };
        assert_eq!((found.check, found.count), ("log_differs", 3));
        // What was dropped is known on.
        assert_eq!(files(&[1, 2]).with_dropped(&before.files), files(&[0, 1, 2]));
        // Nothing that features draw on is gone.
        let limited =
            judge(&made(&[0, 1, 2]), Ok(&before), &files(&[2, 3]), Some(day(2)), |_| true);
        assert_eq!((limited.again, limited.findings), (days(&[2]), vec![]));
    }

    /// A log's first folders were away when some days were made, and are back: those days know less than they could.
    #[test]
    fn days_of_a_shorter_log_are_made_again_when_it_is_whole() {
        let whole = files(&[0, 1, 2]);
        let mut before = before(&[0, 1, 2], &[0, 1, 2]);
        before.days.get_mut(&day(2)).unwrap().log_from = Some(day(1));
        let judged = judge(&made(&[0, 1, 2]), Ok(&before), &whole, None, |_| true);
        assert_eq!((&judged.valid, &judged.again), (&days(&[0, 1]), &days(&[2])));
        let told = "2024-06-02: made again, for the log has days before 2024-06-01, which it did not have then";
        assert_eq!(judged.notes, [told]);
        // While they are away the other days are those that know more.
        let judged = judge(&made(&[0, 1, 2]), Ok(&before), &files(&[1, 2]), None, |_| true);
        let [found] = &judged.findings[..] else { panic!("{:?}", judged.findings) };
        assert_eq!((found.check, found.count), ("log_differs", 2));
        // Features that begin later draw on none of them.
        let judged = judge(&made(&[0, 1, 2]), Ok(&before), &whole, Some(day(1)), |_| true);
        assert_eq!((judged.valid, judged.findings), (days(&[0, 1, 2]), vec![]));
    }

    /// What happens to a day's arrivals while they are away shows when they are back.
    #[test]
    fn a_change_of_what_is_away_is_remembered() {
        let before = before(&[0, 1, 2], &[0, 1, 2]);
        // The day after the one that is away gets a file.
        let mut now = files(&[2, 3]);
        now.days.get_mut(&day(2)).unwrap().insert("late".into(), "as it was".into());
        let judged = judge(&made(&[0, 1, 2]), Ok(&before), &now, None, |_| true);
        assert_eq!((&judged.valid, &judged.outdated), (&days(&[0, 1]), &days(&[1])));
        // Nobody knows what they were made of, this time and the next: they are kept.
        for before in [Err("nobody knows"), Ok(&MadeOf::default())] {
            let judged = judge(&made(&[0, 1]), before, &files(&[2, 3]), None, |_| true);
            assert_eq!((judged.again, judged.valid), (days(&[]), days(&[])));
            let told = "kept, though the log has dropped their arrivals";
            assert!(judged.notes.iter().all(|note| note.contains(told)), "{:?}", judged.notes);
        }
    }

    /// The rows that a day has are told as long as it has them, and no longer.
    #[test]
    fn other_tables_are_told_until_days_are_made_of_them() {
        let mut now = files(&[0, 1, 2]);
        let mut before = before(&[0, 1, 2], &[0, 1, 2]);
        let told = |before: &MadeOf, now: &LogFiles| {
            judge(&made(&[0, 1, 2]), Ok(before), now, None, |_| true).notes
        };
        now.tables.insert("users.parquet".into(), "otherwise".into());
        assert!(told(&before, &now)[0].contains("for users.parquet has changed"));
        // A run has seen them and made the last day of them.
        before.files.tables = now.tables.clone();
        before.days.get_mut(&day(2)).unwrap().tables = now.known_tables();
        let again = told(&before, &now);
        assert!(again[0].starts_with("2 days, 2024-05-31 to 2024-06-01: kept with"), "{again:?}");
        assert!(again[0].contains("for a table has changed since"), "{again:?}");
        // They are what they were.
        before.days.remove(&day(2));
        assert_eq!(
            judge(&made(&[0, 1]), Ok(&before), &files(&[0, 1, 2]), None, |_| true).notes,
            [""; 0]
        );
    }

    #[test]
    fn a_day_whose_file_is_another_is_made_again() {
        let before = before(&[0, 1, 2], &[0, 1, 2]);
        let mut there = made(&[0, 1, 2]);
        there.insert(day(1), "another".into());
        let judged = judge(&there, Ok(&before), &files(&[0, 1, 2]), None, |_| true);
        assert_eq!((judged.valid, judged.again), (days(&[0, 2]), days(&[1])));
        let told = "2024-06-01: made again, for its file of feeds is not the one that was written";
        assert_eq!(judged.notes, [told]);
        // The log has no more what it could be made of.
        there.insert(day(0), "another".into());
        let judged = judge(&there, Ok(&before), &files(&[1, 2]), None, |_| true);
        assert_eq!((&judged.valid, &judged.again), (&days(&[2]), &days(&[1])));
        assert!(judged.notes[1].contains("kept, though the log has dropped"), "{judged:?}");
    }

    #[test]
    fn days_not_asked_for_stay_and_are_told() {
        let before = before(&[0, 1], &[0, 1]);
        let asked = |of| of == day(1);
        let mut now = files(&[0, 1]);
        now.days.get_mut(&day(0)).unwrap().insert("file 0".into(), "otherwise".into());
        now.tables.insert("users.parquet".into(), "otherwise".into());
        let judged = judge(&made(&[0, 1]), Ok(&before), &now, None, asked);
        assert_eq!((&judged.valid, &judged.again), (&days(&[]), &days(&[1])));
        assert_eq!(judged.notes.len(), 2, "{judged:?}");
        assert!(judged.notes[1].starts_with("2024-05-31: kept, though not what"), "{judged:?}");
        let unknown = judge(&made(&[0]), Err("nobody knows"), &files(&[0, 1]), None, |_| true);
        assert_eq!(unknown.again, days(&[0]));
        assert!(unknown.notes[0].contains("made again, for nobody knows"), "{unknown:?}");
    }
}
