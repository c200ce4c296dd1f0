//! What became of every row of the log and of every request, and how far a run has got.

use std::collections::BTreeMap;
use std::fmt;

use eliverec_tables::Split;
use eliverec_tables::check::Checked;
use eliverec_tables::events::{Day, Reason};
use serde::{Deserialize, Serialize};

/// How far the making of samples is, told now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleProgress {
    /// Rows taken in, over all passes over the log; some pass over impressions.
    pub rows_read: u64,
    /// Days of the log read, over all passes.
    pub days_read: u64,
    /// Days of the log to read, over all passes.
    pub days_to_read: u64,
    /// Feeds written so far; the first comes when the last row has been read.
    pub feeds: u64,
    /// Bytes that sorts have on disk for want of memory.
    pub spilled_bytes: u64,
}

/// The feeds of one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DaySummary {
    /// The day of the requests, UTC.
    pub day: Day,
    /// The split that the day belongs to.
    pub split: Split,
    /// Requests of the day that became feeds.
    pub feeds: u64,
    /// Channels shown in them.
    pub impressions: u64,
    /// Those watched.
    pub watched: u64,
    /// When they were made.
    pub made: Made,
    /// Whether no arrival to come can change them: the log has a day behind the one that follows.
    pub is_final: bool,
}

/// When the feeds of a day were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// By an earlier run; they are what this one would make.
    Before,
    /// By an earlier run; this one was not asked for the day.
    NotAsked,
    /// By this run.
    Now,
    /// By this run, in place of those of an earlier one that would come out otherwise now.
    Again,
}

impl Made {
    /// Whether this run wrote them.
    const fn is_of_this_run(self) -> bool {
        matches!(self, Self::Now | Self::Again)
    }
}

/// Why an impression is in no feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A second arrival of its `event_id`.
    Duplicate,
    /// Its request names another user at the same moment.
    UsersDiffer,
    /// Its request has another moment within two days.
    MomentsDiffer,
    /// Its channel stands in the request already.
    ChannelTwice,
    /// It arrived after the day that follows the day of the request: that day's feeds may be out.
    TooLate,
    /// The user entered and left before the threshold, where such are dropped.
    BelowThreshold,
    /// The request is not on the days asked for.
    OtherDay,
    /// An earlier run has written the feeds of that day.
    DayKept,
}

impl Refusal {
    /// All reasons, in their order.
    pub const ALL: [Self; 8] = [
        Self::Duplicate,
        Self::UsersDiffer,
        Self::MomentsDiffer,
        Self::ChannelTwice,
        Self::TooLate,
        Self::BelowThreshold,
        Self::OtherDay,
        Self::DayKept,
    ];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::UsersDiffer => "users_differ",
            Self::MomentsDiffer => "moments_differ",
            Self::ChannelTwice => "channel_twice",
            Self::TooLate => "too_late",
            Self::BelowThreshold => "below_threshold",
            Self::OtherDay => "other_day",
            Self::DayKept => "day_kept",
        }
    }
}

/// What a run read and made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Rows of the log: those used, late, duplicate and rejected.
    pub rows_in: u64,
    /// Events given to the features.
    pub events_used: u64,
    /// Left out of the features as late; labels and feeds take them still.
    pub late: u64,
    /// Left out as second arrivals.
    pub duplicates: u64,
    /// Rows that are no events, by column and reason.
    pub rejected: BTreeMap<(String, Reason), u64>,
    /// Events that are impressions: those in feeds and those refused.
    pub impressions_in: u64,
    /// Impressions that are in no feed, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// The days with feeds, in order.
    pub days: Vec<DaySummary>,
    /// What a person should know: which days of an earlier run were made again or kept, and why; what was passed over; a log
    /// in which much is late.
    pub notes: Vec<String>,
    /// What was read, what was left out, and what is not as docs/logs.md promises.
    pub checked: Checked,
}

impl Summary {
    /// Feeds of all days, kept ones included.
    pub fn feeds(&self) -> u64 {
        self.days.iter().map(|day| day.feeds).sum()
    }

    /// Impressions in the feeds that this run wrote.
    pub fn impressions(&self) -> u64 {
        let written = self.days.iter().filter(|day| day.made.is_of_this_run());
        written.map(|day| day.impressions).sum()
    }

    /// Rows that are no events.
    pub fn rows_rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Impressions that are in no feed.
    pub fn impressions_refused(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Rows and impressions that are in no feature or no feed, by reason.
    pub(crate) fn left_out(&self) -> BTreeMap<String, u64> {
        let of_events = [
            ("late", self.late),
            ("second arrivals", self.duplicates),
            ("no events", self.rows_rejected()),
        ];
        let of_events = of_events.map(|(reason, rows)| (reason.to_owned(), rows));
        let of_impressions = self
            .refused
            .iter()
            .map(|(refusal, count)| (format!("impressions {}", refusal.name()), *count));
        of_events.into_iter().chain(of_impressions).filter(|(_, count)| *count > 0).collect()
    }

    /// Whether every row and every impression is accounted for.
    pub fn adds_up(&self) -> bool {
        let rows = self.events_used + self.late + self.duplicates + self.rows_rejected();
        let impressions = self.impressions() + self.impressions_refused();
        self.rows_in == rows && self.impressions_in == impressions
    }
}

/// So many events, one of them too late, are usual; of fewer, a clock is wrong.
const USUAL_PER_LATE: u64 = 10;

impl Summary {
    /// What is to be said of late events, if there are many.
    pub(crate) fn too_late(&self, allowed_lateness_ms: i64) -> Option<String> {
        let (late, all) = (self.late, self.events_used + self.late + self.duplicates);
        (late.saturating_mul(USUAL_PER_LATE) > all).then(|| {
            format!(
                "{late} of {all} events ({:.0} %) arrived more than {} minutes after they happened, and no feature knows them: \
                 does available_at say when they were processed or loaded? write when they reached the system, leave it null, \
                 or raise --allowed-lateness",
                100.0 * late as f64 / all as f64,
                allowed_lateness_ms / 60_000
            )
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rows = {} used + {} late + {} duplicate + {} rejected",
            self.rows_in,
            self.events_used,
            self.late,
            self.duplicates,
            self.rows_rejected()
        )?;
        for (i, ((column, reason), count)) in self.rejected.iter().enumerate() {
            write!(f, "{} {column} {reason} {count}", if i == 0 { ":" } else { "," })?;
        }
        write!(
            f,
            "\n{} impressions = {} in feeds + {} not",
            self.impressions_in,
            self.impressions(),
            self.impressions_refused()
        )?;
        for (i, (refusal, count)) in self.refused.iter().enumerate() {
            write!(f, "{} {} {count}", if i == 0 { ":" } else { "," }, refusal.name())?;
        }
        for day in &self.days {
            let DaySummary { day, split, feeds, impressions, watched, made, .. } = day;
            write!(
                f,
                "\n{day} {split}: {feeds} feeds, {impressions} impressions, {watched} watched"
            )?;
            match made {
                Made::Now => {}
                Made::Again => write!(f, ", made again")?,
                Made::Before => write!(f, ", kept")?,
                Made::NotAsked => write!(f, ", as they were: not asked for")?,
            }
        }
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        if let Some(first) = self.days.iter().find(|day| !day.is_final) {
            write!(
                f,
                "\n{} and later: not final, for labels may still arrive; once they have, a rerun makes these days again",
                first.day
            )?;
        }
        Ok(())
    }
}
