//! A family of checks, and what the families ask of a feed.

use eliverec_core::Feed;
use eliverec_core::feed::{Column, Labels};
use eliverec_core::id::mix;
use eliverec_core::schema::Task;

use super::finding::Findings;
use crate::layout::Split;

/// Checks that look at the same values.
pub(crate) trait Family {
    /// Takes in a feed; those of training come first.
    fn feed(&mut self, split: Split, feed: &Feed);

    /// Tells what was found.
    fn tell(&self, findings: &mut Findings);

    /// What part of the ids was remembered, if any are.
    fn covers(&self) -> Option<String> {
        None
    }
}

/// The labels of a feed, if they are known.
#[expect(clippy::unnecessary_wraps, reason = "feeds are about to come without labels")]
pub(crate) fn labels_of(feed: &Feed) -> Option<&Labels> {
    Some(&feed.candidates.labels)
}

/// The label of the schema's task `k` for candidate `i`, a yes as 1; `None` where it is not known.
pub(crate) fn task_label(labels: &Labels, _k: usize, task: &Task, i: usize) -> Option<f32> {
    let yes = |label: Option<bool>| label.map(|yes| f32::from(u8::from(yes)));
    match task.column() {
        "stay_s" => labels.stay_s[i],
        "bag_click" => yes(labels.bag_click[i]),
        "product_click" => yes(labels.product_click[i]),
        _ => None,
    }
}

/// List `i` of a multi-valued column.
pub(crate) fn list<'a>(ends: &[u32], ids: &'a [u64], i: usize) -> &'a [u64] {
    let start = i.checked_sub(1).map_or(0, |before| ends[before]);
    &ids[start as usize..ends[i] as usize]
}

/// One number per entity that is equal for equal values, `None` beyond the end.
pub(crate) fn identity(column: &Column, i: usize) -> Option<u64> {
    match column {
        Column::Ids(ids) => ids.get(i).copied(),
        Column::Numbers(numbers) => numbers.get(i).map(|x| u64::from(x.to_bits())),
        Column::Lists { ends, ids } => {
            let ids = (i < ends.len()).then(|| list(ends, ids, i));
            ids.map(|ids| ids.iter().fold(0, |hash, id| mix(hash ^ mix(*id))))
        }
    }
}
