//! The file of experiments: layers, each with a salt and buckets, and what a bucket changes.
//!
//! ```toml
//! [[layers]]
//! name = "ranker"
//! salt = "ranker-1"
//! [[layers.buckets]]
//! name = "eta"
//! slots = ["0-4999"]
//! bundle = "bundles/eta"
//! [[layers.buckets]]
//! name = "elive"
//! slots = ["5000-9999"]
//! bundle = "bundles/elive"
//! [layers.overrides]
//! 17 = "elive"
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use eliverec_retrieval::RetrievalConfig;
use serde::Serialize;

use crate::assignment::slot;
use crate::error::Error;
use crate::formula::Formula;
use crate::slots::{Slots, of_slots};
use crate::written::{BucketText, LayerText, read};

/// Bytes of the name of a layer or bucket, and of a salt.
const NAME_BYTES: usize = 64;

/// Layers that decide about requests side by side.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Experiments {
    /// In the file's order.
    pub layers: Vec<Layer>,
}

/// A way to split all users.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// What is hashed with the user.
    pub salt: String,
    /// Whether all buckets are meant to be alike, so that what differs between them is chance.
    pub aa: bool,
    /// In the file's order.
    pub buckets: Vec<Bucket>,
    /// Buckets by name of users who are in one whatever their slot is, by the user's id as [`slot`] has it.
    pub overrides: BTreeMap<String, String>,
    /// The bucket of each slot.
    #[serde(skip)]
    of_slot: Vec<Option<u16>>,
}

/// A part of a layer's users, and what is changed for them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Its share of all users, from 0 to 1.
    pub share: f64,
    /// Its slots.
    pub slots: Slots,
    /// The bundle that answers, as the file names it; without one the service's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<PathBuf>,
    /// What differs from the service's settings of retrieval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrieval: Option<toml::Table>,
    /// All of these settings.
    #[serde(skip)]
    pub quotas: Option<RetrievalConfig>,
    /// By what channels are ordered; without one by the probability of a watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utility: Option<Formula>,
}

/// What one layer may change, and no other beside it.
const THINGS: [&str; 3] = ["bundle", "retrieval", "utility"];

impl Experiments {
    /// Reads and checks the text of the file at `path`. What a bucket's `retrieval` leaves out is as in `base`, the service's.
    ///
    /// # Errors
    /// [`Error::File`] names the layer, the bucket and the field.
    pub fn parse(text: &str, path: &Path, base: &RetrievalConfig) -> Result<Self, Error> {
        let wrong = |reason: String| Error::File { path: path.into(), reason };
        let layers = read(text, path)?.layers;
        let mut names = BTreeSet::new();
        let mut salts = BTreeMap::new();
        let mut changed_by: [Option<String>; 3] = Default::default();
        let mut checked = Vec::with_capacity(layers.len());
        for layer in layers {
            let at = format!("layer {:?}", layer.name);
            check_name(&layer.name).map_err(|reason| wrong(format!("{at}: name: {reason}")))?;
            check_name(&layer.salt).map_err(|reason| wrong(format!("{at}: salt: {reason}")))?;
            if !names.insert(layer.name.clone()) {
                return Err(wrong(format!("{at}: name: another layer has it")));
            }
            if let Some(other) = salts.insert(layer.salt.clone(), layer.name.clone()) {
                return Err(wrong(format!(
                    "{at}: salt: layer {other:?} has it, too, so that both would split users alike; write another"
                )));
            }
            for (place, thing) in THINGS.iter().enumerate() {
                if !layer.buckets.iter().any(|bucket| bucket.changes()[place]) {
                    continue;
                }
                if let Some(other) = changed_by[place].replace(layer.name.clone()) {
                    return Err(wrong(format!(
                        "{at}: {thing}: layer {other:?} has one, too, and a request has one {thing}; move the buckets into one layer"
                    )));
                }
            }
            checked.push(Layer::of(layer, base).map_err(|of| wrong(format!("{at}{of}")))?);
        }
        Ok(Self { layers: checked })
    }

    /// Whether nothing is split.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }
}

impl Layer {
    /// What is wrong begins with `: FIELD` or `, bucket NAME: FIELD`.
    fn of(layer: LayerText, base: &RetrievalConfig) -> Result<Self, String> {
        let LayerText { name, salt, aa, buckets, overrides } = layer;
        if buckets.is_empty() {
            return Err(": buckets: is empty; a layer has at least one".into());
        }
        let mut checked: Vec<Bucket> = Vec::with_capacity(buckets.len());
        for bucket in buckets {
            let bucket = Bucket::of(bucket, base)?;
            if checked.iter().any(|other| other.name == bucket.name) {
                return Err(format!(", bucket {:?}: name: another bucket has it", bucket.name));
            }
            checked.push(bucket);
        }
        let of_slot = of_slots(checked.iter().map(|of| (of.name.as_str(), &of.slots)))?;
        if aa {
            let (first, rest) = (&checked[0], &checked[1..]);
            if let Some((other, thing)) =
                rest.iter().find_map(|of| Some(of).zip(first.difference(of)))
            {
                return Err(format!(
                    ": aa: buckets {:?} and {:?} differ in {thing}, and an A/A has buckets that are all alike",
                    first.name, other.name
                ));
            }
        }
        if let Some((user, bucket)) =
            overrides.iter().find(|(_, bucket)| !checked.iter().any(|of| of.name == **bucket))
        {
            return Err(format!(": overrides: user {user:?}: there is no bucket {bucket:?}"));
        }
        Ok(Self { name, salt, aa, buckets: checked, overrides, of_slot })
    }

    /// The place of the bucket that a user is in, by the id as [`slot`] has it; `None` in slots that no bucket has.
    pub fn bucket_of(&self, user: &str) -> Option<usize> {
        if let Some(name) = self.overrides.get(user) {
            return self.buckets.iter().position(|bucket| bucket.name == *name);
        }
        self.of_slot[usize::from(slot(&self.salt, user))].map(usize::from)
    }
}

impl Bucket {
    fn of(bucket: BucketText, base: &RetrievalConfig) -> Result<Self, String> {
        let BucketText { name, slots, bundle, retrieval, utility } = bucket;
        let at = format!(", bucket {name:?}");
        check_name(&name).map_err(|reason| format!("{at}: name: {reason}"))?;
        let slots =
            Slots::parse(slots.get_ref()).map_err(|reason| format!("{at}: slots: {reason}"))?;
        let quotas = retrieval.as_ref().map(|of| overlaid(base, of)).transpose();
        let quotas = quotas.map_err(|reason| format!("{at}: retrieval: {reason}"))?;
        let utility = utility.as_deref().map(Formula::parse).transpose();
        let utility = utility.map_err(|reason| format!("{at}: utility: {reason}"))?;
        Ok(Self { name, share: slots.share(), slots, bundle, retrieval, quotas, utility })
    }

    /// What of this and the other bucket is not the same.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        let differ = [
            self.bundle != other.bundle,
            self.quotas != other.quotas,
            self.utility != other.utility,
        ];
        THINGS.into_iter().zip(differ).find_map(|(thing, differs)| differs.then_some(thing))
    }
}

/// Names stand in logs, metrics and queries, so they are plain.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > NAME_BYTES || !name.chars().all(is_plain) {
        return Err(format!(
            "is {name:?}; write 1 to {NAME_BYTES} letters of a to z, digits, _ - and ."
        ));
    }
    Ok(())
}

/// `base` with other values.
fn overlaid(base: &RetrievalConfig, values: &toml::Table) -> Result<RetrievalConfig, String> {
    let mut table = toml::Table::try_from(base).map_err(|e| e.to_string())?;
    for (key, value) in values {
        match (table.get_mut(key), value) {
            (Some(toml::Value::Table(of)), toml::Value::Table(values)) => {
                of.extend(values.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
    let config: RetrievalConfig = table.try_into().map_err(|e| e.to_string().trim().to_owned())?;
    config.check().map_err(|e| e.to_string())?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[[layers]]
name = "ranker"
salt = "ranker-1"
[[layers.buckets]]
name = "eta"
slots = ["0-3999"]
bundle = "bundles/eta"
[[layers.buckets]]
name = "elive"
slots = ["5000-9999"]
bundle = "bundles/elive"
utility = "p_watch * (1 + p_buy)"
[layers.overrides]
17 = "elive"
anna = "eta"

[[layers]]
name = "retrieval"
salt = "retrieval-1"
aa = true
buckets = [
  { name = "a", slots = ["0-4999"], retrieval = { exploration = { quota = 20 } } },
  { name = "b", slots = ["5000-9999"], retrieval = { exploration = { quota = 20 } } },
]
"#;

    fn parse(text: &str) -> Result<Experiments, String> {
        let base = RetrievalConfig { candidates: 50, ..RetrievalConfig::default() };
        Experiments::parse(text, Path::new("e.toml"), &base).map_err(|e| e.to_string())
    }

    #[test]
    fn a_file_says_who_is_in_which_bucket() {
        let experiments = parse(FILE).unwrap();
        let [ranker, retrieval] = &experiments.layers[..] else { panic!("{experiments:?}") };
        assert_eq!((ranker.buckets[0].share, ranker.buckets[1].share), (0.4, 0.5));
        assert_eq!((ranker.bucket_of("17"), ranker.bucket_of("anna")), (Some(1), Some(0)));
        for user in 100..300 {
            let user = user.to_string();
            let expected = match slot("ranker-1", &user) {
                0..4_000 => Some(0),
                4_000..5_000 => None,
                _ => Some(1),
            };
            assert_eq!(ranker.bucket_of(&user), expected);
        }
        let quotas = retrieval.buckets[1].quotas.as_ref().unwrap();
        assert_eq!((quotas.exploration.quota, quotas.candidates), (20, 50));
        assert_eq!(parse("").unwrap(), Experiments::default());
        let json = serde_json::to_value(&experiments).unwrap();
        assert_eq!(json["layers"][0]["buckets"][1]["share"], 0.5);
        assert_eq!(json["layers"][0]["buckets"][1]["slots"], serde_json::json!(["5000-9999"]));
        assert_eq!(json["layers"][0]["buckets"][1]["utility"], "p_watch * (1 + p_buy)");
        assert_eq!(json["layers"][1]["buckets"][0]["retrieval"]["exploration"]["quota"], 20);
        assert_eq!(json["layers"][0]["overrides"]["17"], "elive");
    }

    #[test]
    fn what_is_wrong_is_named_by_layer_bucket_and_field() {
        for (from, to, words) in [
            ("salt = \"ranker-1\"", "salt = \"a:b\"", "layer \"ranker\": salt: is \"a:b\"; write"),
            ("\"ranker-1\"", "\"retrieval-1\"", "salt: layer \"ranker\" has it, too"),
            ("\"retrieval\"\n", "\"ranker\"\n", "layer \"ranker\": name: another layer has it"),
            ("\"eta\"\nslots", "\"e ta\"\nslots", "bucket \"e ta\": name: is \"e ta\""),
            ("name = \"eta\"", "name = \"elive\"", "bucket \"elive\": name: another bucket has it"),
            (
                "\"0-3999\"",
                "\"0-5000\"",
                "bucket \"elive\": slots: 5000 is one of bucket \"eta\", too",
            ),
            ("\"0-3999\"", "\"0-x\"", "bucket \"eta\": slots: \"0-x\" is no range"),
            (
                "anna = \"eta\"",
                "anna = \"din\"",
                "overrides: user \"anna\": there is no bucket \"din\"",
            ),
            ("p_buy)", "p_buy", "layer \"ranker\", bucket \"elive\": utility: "),
            ("20 } } },\n]", "30 } } },\n]", "aa: buckets \"a\" and \"b\" differ in retrieval"),
            (
                "20 } } },\n]",
                "60 } } },\n]",
                "bucket \"b\": retrieval: exploration.quota: is 60; an answer has at most 50",
            ),
            ("20 } } },\n]", "-1 } } },\n]", "bucket \"b\": retrieval: "),
            ("{ exploration =", "{ explore =", "bucket \"a\": retrieval: unknown field `explore`"),
            (
                "retrieval = { exploration = { quota = 20 } } },\n]",
                "bundle = \"x\" },\n]",
                "layer \"retrieval\": bundle: layer \"ranker\" has one, too",
            ),
            ("aa = true", "ab = true", "unknown field `ab`"),
            ("slots = [\"0-3999\"]\n", "", "missing field `slots`"),
        ] {
            let text = FILE.replacen(from, to, 1);
            assert_ne!(text, FILE, "{from}");
            let told = parse(&text).unwrap_err();
            assert!(told.starts_with("e.toml: ") && told.contains(words), "{told}\n{words}");
        }
        let empty = parse("[[layers]]\nname = \"a\"\nsalt = \"a\"\nbuckets = []").unwrap_err();
        assert_eq!(empty, "e.toml: layer \"a\": buckets: is empty; a layer has at least one");
    }
}
