//! What one finished run leaves: enough for every table and plot, without its checkpoints.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use eliverec_metrics::{Report, UserAuc};
use serde::{Deserialize, Serialize};

use crate::Error;

/// One row of a folder under one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The folder, as `table3`.
    pub experiment: String,
    /// The file without its ending, as `wo-c`.
    pub row: String,
    /// Of initial values, shuffles and draws.
    pub seed: u64,
    /// The resolved config, as TOML.
    pub config: String,
    /// Of the resolved config: two runs with one fingerprint differ in nothing that was chosen.
    pub config_fingerprint: String,
    /// Of schema and files of the feeds.
    pub data_fingerprint: String,
    /// History length n of the product domain, for the sweep of Fig. 6.
    pub product_length: usize,
    /// Test split, best checkpoint.
    pub report: Report,
    /// Best validation value of the stop metric.
    pub validation: Option<f64>,
    /// Updates made.
    pub steps: u64,
    /// Dense parameters.
    pub parameters: u64,
    /// Wall time of training and evaluation, on whatever else the machine did.
    pub seconds: f64,
    /// By name: `loss`, the terms, `weight.TASK`, `cosine.TASK`.
    pub curves: BTreeMap<String, Curve>,
    /// Mean predicted, share watched and impressions of every bin that has any.
    pub calibration: Vec<(f64, f64, u64)>,
    /// Statistics of the intents at the last evaluation.
    pub intent: BTreeMap<String, f64>,
    /// Of a simulated world: how well the intents find what users meant, on the test split.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub truth: BTreeMap<String, f64>,
    /// Of the truth that the intents were compared with, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth_fingerprint: Option<String>,
}

/// A number over the updates, a mean per stretch of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Middle of each stretch.
    pub steps: Vec<f64>,
    /// Mean over it.
    pub values: Vec<f64>,
}

impl Curve {
    /// From one value per update that has one, at most `points` stretches.
    pub fn of(values: &[(u64, f64)], points: usize) -> Self {
        let stretch = values.len().div_ceil(points.max(1)).max(1);
        let mut curve = Self::default();
        for chunk in values.chunks(stretch) {
            let n = chunk.len() as f64;
            curve.steps.push(chunk.iter().map(|(step, _)| *step as f64).sum::<f64>() / n);
            let mean = chunk.iter().map(|(_, value)| value).sum::<f64>() / n;
            // Six digits are more than a plot shows.
            curve.values.push((mean * 1e6).round() / 1e6);
        }
        curve
    }
}

/// The name of a run's file.
pub fn file_name(row: &str, seed: u64) -> String {
    format!("{row}-seed{seed}.json")
}

/// The folder of the users' AUCs beside the results; a report does without it, but then compares nothing.
pub const USERS: &str = "users";

/// The AUC of every user with both classes, as a run's side file holds them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Users(Vec<(u64, u64, f64)>);

/// The text of a side file.
pub fn users_to_json(users: &[UserAuc]) -> String {
    let all = users.iter().map(|user| (user.user, user.impressions, user.auc)).collect();
    serde_json::to_string(&Users(all)).unwrap_or_default()
}

/// Reads a side file; `None` if there is none.
///
/// # Errors
/// A file that does not parse.
pub fn read_users(path: &Path) -> Result<Option<Vec<UserAuc>>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let users: Users = parse(path)?;
    let all = users.0.into_iter();
    Ok(Some(all.map(|(user, impressions, auc)| UserAuc { user, impressions, auc }).collect()))
}

/// Reads a result.
///
/// # Errors
/// A file that does not parse.
pub fn read(path: &Path) -> Result<RunResult, Error> {
    parse(path)
}

/// Reads whatever is kept of a run as JSON.
///
/// # Errors
/// A file that does not parse, and a folder in its place.
pub fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let damaged = |reason: String| Error::Damaged { path: path.into(), reason };
    if fs_err::metadata(path).is_ok_and(|of| !of.is_file() && !of.is_dir()) {
        // To open one would wait for ever.
        return Err(damaged("is no regular file but a pipe, a socket or a device".into()));
    }
    let bytes = fs_err::read(path).map_err(|error| match error.kind() {
        ErrorKind::IsADirectory => damaged("is a folder, where a file should be".into()),
        _ => error.into(),
    })?;
    serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_keeps_the_mean_of_every_stretch() {
        let values: Vec<(u64, f64)> = (0..10).map(|i| (i, i as f64)).collect();
        let curve = Curve::of(&values, 2);
        assert_eq!(curve.steps, [2.0, 7.0]);
        assert_eq!(curve.values, [2.0, 7.0]);
        assert_eq!(Curve::of(&[], 5), Curve::default());
    }

    #[test]
    fn users_come_back_and_may_be_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        assert!(read_users(&path).unwrap().is_none());
        let users = [UserAuc { user: u64::MAX, impressions: 3, auc: 0.1 + 0.2 }];
        fs_err::write(&path, users_to_json(&users)).unwrap();
        assert_eq!(read_users(&path).unwrap().unwrap(), users);
        fs_err::write(&path, "[").unwrap();
        assert!(read_users(&path).unwrap_err().to_string().contains("users.json"));
    }
}
