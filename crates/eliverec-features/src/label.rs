//! The labels of tasks that a log can give.

use eliverec_core::task::{Task, TaskKind};

use crate::error::Error;
use crate::request::Outcome;

/// What a log knows of a user inside a channel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Label {
    Stay,
    BagClick,
    ProductClick,
}

impl Label {
    /// Of one candidate.
    pub(crate) fn of(self, outcome: &Outcome) -> Option<f32> {
        let number = |happened: bool| Some(f32::from(u8::from(happened)));
        match self {
            Self::Stay => outcome.stay_s,
            Self::BagClick => number(outcome.bag_click),
            Self::ProductClick => number(outcome.product_click),
        }
    }

    /// The label of a task's column.
    pub(crate) fn named(task: &Task) -> Result<Self, Error> {
        match (task.column(), task.kind) {
            ("stay_s", TaskKind::Duration) => Ok(Self::Stay),
            ("bag_click", TaskKind::Binary) => Ok(Self::BagClick),
            ("product_click", TaskKind::Binary) => Ok(Self::ProductClick),
            (column, _) => Err(Error::Field {
                field: format!("task {}", task.name),
                reason: format!(
                    "a log has no label {column} of that kind, only stay_s (duration), bag_click and product_click (binary); \
                     name one of them, remove the task, or write feeds of your own"
                ),
            }),
        }
    }
}
