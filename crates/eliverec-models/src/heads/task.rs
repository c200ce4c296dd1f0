//! The inter-channel tasks.

use serde::{Deserialize, Serialize};

/// What is predicted of a user inside a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// How long the user stays: regression on the standardised log1p of the seconds.
    Stay,
    /// Whether the goods bag is opened.
    BagClick,
    /// Whether a product is clicked.
    ProductClick,
}

impl Task {
    /// All of them, in the order of every list over tasks.
    pub const ALL: [Self; 3] = [Self::Stay, Self::BagClick, Self::ProductClick];

    /// As in configs, logs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stay => "stay",
            Self::BagClick => "bag_click",
            Self::ProductClick => "product_click",
        }
    }
}
