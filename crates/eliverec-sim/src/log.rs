//! Where a world's events and truths go.

use std::convert::Infallible;

use eliverec_core::Event;

use crate::truth::Truth;

/// Takes what the world emits; a failing log ends the run with its error.
pub trait Log {
    /// What can go wrong with writing.
    type Error;

    /// The next event, in the order of event time but for the displaced ones.
    ///
    /// # Errors
    /// The log's own.
    fn event(&mut self, event: &Event) -> Result<(), Self::Error>;

    /// The truth about an event, when it happens; ignored unless implemented.
    ///
    /// # Errors
    /// The log's own.
    fn truth(&mut self, truth: &Truth) -> Result<(), Self::Error> {
        let _ = truth;
        Ok(())
    }
}

/// A log in memory, for tests and small worlds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Collected {
    /// In the order of emission.
    pub events: Vec<Event>,
    /// Likewise.
    pub truths: Vec<Truth>,
}

impl Log for Collected {
    type Error = Infallible;

    fn event(&mut self, event: &Event) -> Result<(), Infallible> {
        self.events.push(event.clone());
        Ok(())
    }

    fn truth(&mut self, truth: &Truth) -> Result<(), Infallible> {
        self.truths.push(truth.clone());
        Ok(())
    }
}

/// A closure is a log of events.
impl<F: FnMut(&Event)> Log for F {
    type Error = Infallible;

    fn event(&mut self, event: &Event) -> Result<(), Infallible> {
        self(event);
        Ok(())
    }
}
