//! Answers on their way into the log: what was shown, and how it came to be.

use eliverec_core::Event;

use crate::clock::check_moment;
use crate::error::Error;
use crate::queue::{Acknowledged, Batch};
use crate::record::Answered;
use crate::state::State;

impl State {
    /// Takes in what a request was shown, as [`State::ingest`] takes events: impressions of that one request, at its moment. The log
    /// gives them ids of their own ([`crate::OWN_EVENT_IDS`]). How the answer came to be is logged behind them, if it is given.
    ///
    /// # Errors
    /// A request that was answered in the last minutes ([`Error::Answered`]), after which nothing is taken in; otherwise as
    /// [`State::ingest`].
    pub fn log_answer(
        &self,
        shown: Vec<Event>,
        answered: Option<Answered>,
        now_ms: i64,
    ) -> Result<Acknowledged, Error> {
        let shown = self.checked(shown, now_ms)?;
        self.take(Batch::Answer { shown, answered }, now_ms)
    }

    /// Puts how an answer came to be behind what waits for the log, and does not wait for it: a kill within the next tenth of a
    /// second loses it.
    ///
    /// # Errors
    /// A moment outside the years 0000 to 9999, more than may wait, and a log that failed.
    pub fn note_answer(&self, answered: Answered, now_ms: i64) -> Result<(), Error> {
        check_moment(now_ms)?;
        let most = self.shared.config.waiting_records;
        let batch = Batch::Answer { shown: Vec::new(), answered: Some(answered) };
        self.shared.contended.queue.note(now_ms, batch, most)
    }
}
