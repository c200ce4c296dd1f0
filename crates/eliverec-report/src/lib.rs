//! Results of experiment folders as tables and plots: in the terminal, as Markdown, and as one HTML page that opens offline.
//!
//! - [`results`]: what finished runs leave, the contract with `eliverec experiment`.
//! - [`experiment`]: the results of a folder, by row; [`paper`]: the figures that stand beside them.
//! - [`verdict`]: which rows differ, over users and seeds; which of the paper's orderings hold.
//! - [`named`]: figures that carry their names.
//! - [`text`]: terminal and Markdown; [`plot`]: SVG; [`page`]: HTML.
//! - [`comparison_text`], [`comparison_page`]: the same of an online experiment, and of estimates from another policy's log;
//!   [`online`]: the paper's figures beside it, and the truth where users are simulated; [`splits_text`]: one log split many times.
//! - [`case_study`]: users under two models; [`case_page`]: HTML of it.
//! - [`lanes`]: histories over time, of every page that shows one; [`written`]: moments, ages and numbers as people read them.

pub mod case_page;
pub mod case_study;
pub mod comparison_page;
pub mod comparison_text;
pub mod error;
pub mod experiment;
mod html;
pub mod lanes;
pub mod named;
pub mod online;
pub mod page;
pub mod paper;
pub mod plot;
pub mod results;
pub mod splits_text;
pub mod text;
pub mod verdict;
pub mod written;

pub use error::Error;
pub use experiment::Experiment;
pub use results::{Curve, Results, RunResult};
