//! A family of checks of events.

use eliverec_core::Event;

use crate::check::finding::Findings;

/// Checks that look at the same values.
pub(super) trait Family {
    /// Takes in an event, in the order of the files.
    fn event(&mut self, event: &Event);

    /// Tells what was found.
    fn tell(&self, findings: &mut Findings);

    /// What part of the ids was remembered, if any are.
    fn covers(&self) -> Option<String> {
        None
    }
}
