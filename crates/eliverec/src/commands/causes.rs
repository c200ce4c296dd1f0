//! Why a simulated user did something.

use std::collections::HashMap;
use std::path::Path;

use eliverec_core::EventKind;
use eliverec_core::checksum::Checksum;
use eliverec_samples::other_log;
use eliverec_sim::{Cause, Truth, read_truth};
use eliverec_tables::check::{Checked, Part, Read};
use eliverec_tables::events::{EventLog, Store};
use eliverec_train::disentangling::{Behaviour, What};

/// When a user did something, and why.
pub(super) struct Causes {
    by_behaviour: HashMap<(u64, What), Vec<(i64, Cause)>>,
    /// Rows of the file.
    rows: u64,
    /// Of the file's content.
    pub(super) fingerprint: String,
}

impl Causes {
    /// Reads the truth of a log that `eliverec simulate` made.
    pub(super) fn read(logs: &Path) -> anyhow::Result<Self> {
        let mut causes: HashMap<_, Vec<_>> = HashMap::new();
        let path = logs.join(eliverec_tables::events::layout::TRUTH_FILE);
        if !path.is_file() {
            let reason = "no such file; the truth is known of logs that `eliverec simulate` made";
            return Err(eliverec_run::Error::Run { path, reason: reason.into() }.into());
        }
        let mut rows = 0;
        for record in read_truth(&path)? {
            rows += 1;
            let Truth::Cause { ts_ms, kind, user_id, channel_id, product_id, cause, .. } = record?
            else {
                continue;
            };
            let what = match (kind, channel_id, product_id) {
                (EventKind::Watch, Some(channel), _) => What::Channel(channel),
                (EventKind::ProductClick, None, Some(product)) => What::Product(product),
                _ => continue,
            };
            causes.entry((user_id, what)).or_default().push((ts_ms, cause));
        }
        causes.values_mut().for_each(|all| all.sort_by_key(|(ts_ms, _)| *ts_ms));
        let (_, content) = Checksum::of(fs_err::File::open(&path)?)?;
        let fingerprint = format!("{:016x}", content.value());
        Ok(Self { by_behaviour: causes, rows, fingerprint })
    }

    /// What was read, and whether the log of the truth is the one that feeds were made of.
    pub(super) fn checked(&self, logs: &Path, feeds: &Path) -> anyhow::Result<Checked> {
        let part = Part { name: "truth".into(), files: 1, rows: self.rows, impressions: None };
        let log = EventLog::open(&Store::open(logs)?)?;
        let findings = other_log(feeds, &log)?;
        Ok(Checked { read: Read::of(vec![part], Vec::new()), findings, ..Checked::default() })
    }

    /// Whether its cause was an interest shared by both domains or one of the domain's own; `None` for other causes.
    ///
    /// A history knows when a watch ended, the truth when it began; a user watches one channel at a time, so the last to
    /// begin is the one that ended. Histories know moments to half a second.
    pub(super) fn is_shared(&self, behaviour: Behaviour) -> Option<bool> {
        let all = self.by_behaviour.get(&(behaviour.user_id, behaviour.what))?;
        let after = all.partition_point(|(ts_ms, _)| *ts_ms <= behaviour.ts_ms + 500);
        match all[after.checked_sub(1)?].1 {
            Cause::Shared => Some(true),
            Cause::ProductOnly | Cause::LiveOnly => Some(false),
            Cause::Loyalty | Cause::Popularity | Cause::Noise => None,
        }
    }
}
