//! Where the time of an update goes, by kind of work: the work itself tells, where somebody asks.
//!
//! [`within`] marks a stretch of a thread's time; one inside another takes its time away from the outer one, so that the parts add up to
//! no more than all threads had. Nobody asks by default, and then a mark costs one look at a flag. The marks of a process are its own:
//! two profiles at a time would read each other's.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Matrix products of our own operations.
    Products,
    /// Self-attention, retrieval of the target, attention units.
    Attention,
    /// Recurrences, without their products.
    Recurrence,
    /// Norms, activations, pooling and sums of our own operations.
    Elements,
    /// From rows of tables to the fields of entities, and back.
    Gather,
    /// Finding, admitting and changing rows of the tables.
    Rows,
    /// The dense optimiser, and the norm of the gradient.
    Optimiser,
    /// Values and gradients on their way between the tensors of the graph and slices.
    Copies,
}

impl Part {
    /// All of them, in the order of a table.
    pub const ALL: [Self; 8] = [
        Self::Products,
        Self::Attention,
        Self::Recurrence,
        Self::Elements,
        Self::Gather,
        Self::Rows,
        Self::Optimiser,
        Self::Copies,
    ];

    /// As tables write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Attention => "attention",
            Self::Recurrence => "recurrence",
            Self::Elements => "elements",
            Self::Gather => "gather",
            Self::Rows => "rows",
            Self::Optimiser => "optimiser",
            Self::Copies => "copies",
        }
    }
}

static ASKED: AtomicBool = AtomicBool::new(false);

/// Nanoseconds by part.
static SPENT: [AtomicU64; Part::ALL.len()] = [const { AtomicU64::new(0) }; Part::ALL.len()];

thread_local! {
    /// What this thread is within, and since when that counts.
    static CURRENT: Cell<Option<(Part, Instant)>> = const { Cell::new(None) };
}

/// Sets all parts to nothing and counts from now on.
pub fn start() {
    SPENT.iter().for_each(|spent| spent.store(0, Ordering::Relaxed));
    ASKED.store(true, Ordering::Relaxed);
}

/// Counts no longer; what the parts took since [`start`], all threads together.
pub fn stop() -> [(Part, Duration); Part::ALL.len()] {
    ASKED.store(false, Ordering::Relaxed);
    let spent = |part: Part| SPENT[part as usize].load(Ordering::Relaxed);
    Part::ALL.map(|part| (part, Duration::from_nanos(spent(part))))
}

/// Until it is dropped, this thread's time is that of a part.
#[must_use = "the time until it is dropped is measured"]
#[derive(Debug)]
pub struct Within {
    asked: bool,
    /// What the thread was within before.
    outer: Option<Part>,
}

/// Marks what this thread does next.
#[inline]
pub fn within(part: Part) -> Within {
    if !ASKED.load(Ordering::Relaxed) {
        return Within { asked: false, outer: None };
    }
    Within { asked: true, outer: change(Some(part)) }
}

/// Begins another part, and gives the time so far to the one that ends, which is returned.
fn change(to: Option<Part>) -> Option<Part> {
    let now = Instant::now();
    let from = CURRENT.replace(to.map(|part| (part, now)));
    from.map(|(part, since)| {
        let spent = now.duration_since(since).as_nanos() as u64;
        SPENT[part as usize].fetch_add(spent, Ordering::Relaxed);
        part
    })
}

impl Drop for Within {
    #[inline]
    fn drop(&mut self) {
        if self.asked {
            change(self.outer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one test, since the marks are those of the process.
    #[test]
    fn an_inner_part_takes_its_time_from_the_outer_one() {
        let spin = || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(2) {
                std::hint::spin_loop();
            }
        };
        let of = |spent: &[(Part, Duration)], part| {
            spent.iter().find(|(of, _)| *of == part).map(|(_, time)| *time).unwrap()
        };
        drop(within(Part::Rows));
        let begun = Instant::now();
        start();
        {
            let _outer = within(Part::Attention);
            spin();
            {
                let _inner = within(Part::Products);
                spin();
            }
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let _other = within(Part::Copies);
                    spin();
                });
            });
        }
        let spent = stop();
        let all = begun.elapsed();
        for part in [Part::Attention, Part::Products, Part::Copies] {
            assert!(of(&spent, part) >= Duration::from_millis(2), "{part:?}: {spent:?}");
        }
        assert!(of(&spent, Part::Attention) + of(&spent, Part::Products) <= all, "{spent:?}");
        assert_eq!(of(&spent, Part::Rows), Duration::ZERO);
        drop(within(Part::Rows));
        assert_eq!(of(&stop(), Part::Rows), Duration::ZERO, "nobody asks any more");
    }
}
