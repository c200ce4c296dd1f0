//! What a case study shows (the paper's Sec. VI-D, Fig. 8): users under two models, as data. `eliverec case-study` fills it in, prints it
//! as JSON and makes a page of it ([`crate::case_page`]).

use std::collections::BTreeMap;

use serde::Serialize;

/// Users under two models.
#[derive(Clone, Debug, Serialize)]
pub struct CaseStudy {
    /// The split of the requests.
    pub split: String,
    /// Places of a ranking that are looked at.
    pub top: usize,
    /// Of the users by chance.
    pub seed: u64,
    /// Both models, in the order of every list of two.
    pub models: [StudiedModel; 2],
    /// Users whose last request was compared.
    pub users: u64,
    /// Mean distance of the two rankings over these users.
    pub mean_distance: f64,
    /// Share of them whose first places are alike.
    pub alike: f64,
    /// Requests that were not compared, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// What outcomes there may be beside a watch, by the schema's tasks.
    pub tasks: Vec<StudiedTask>,
    /// The users that are looked at.
    pub cases: Vec<Case>,
}

/// A model of the two.
#[derive(Clone, Debug, Serialize)]
pub struct StudiedModel {
    /// What the page calls it.
    pub name: String,
    /// Its name in the registry.
    pub model: String,
    /// Its run, as it was given.
    pub run: String,
    /// The checkpoint, relative to the run.
    pub checkpoint: String,
}

/// Something that may follow a watch.
#[derive(Clone, Debug, Serialize)]
pub struct StudiedTask {
    /// Its name in the schema.
    pub name: String,
    /// Whether it is seconds; otherwise it happens or does not.
    pub is_duration: bool,
}

/// A user's request.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// `distance` of a user whose rankings differ most, `chance` of one by the seed.
    pub chosen_by: &'static str,
    /// Of the two rankings, from 0 (alike) to 1 (nothing in common).
    pub distance: f64,
    /// As the feeds write it.
    pub user_id: String,
    /// As the feeds write it.
    pub request_id: String,
    /// When, milliseconds since 1970 UTC.
    pub at: i64,
    /// By domain, `live` and `product`, what the user had done, oldest first.
    pub histories: BTreeMap<&'static str, Vec<PastEvent>>,
    /// The channels shown, in the order of the feed.
    pub candidates: Vec<ShownChannel>,
    /// What each model made of it.
    pub by_model: [OfModel; 2],
}

/// A channel or product, and what it is about.
#[derive(Clone, Debug, Serialize)]
pub struct Entity {
    /// As the feeds write it.
    pub id: String,
    /// From the log's table, if it has names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is about, as the feeds write it; absent if the schema has no such field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// From the log's table, if it has names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category_name: Option<String>,
}

impl Entity {
    /// What people call it.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    /// What people call what it is about.
    pub fn category_title(&self) -> Option<&str> {
        self.category_name.as_deref().or(self.category.as_deref())
    }
}

/// A watch or a product click.
#[derive(Clone, Debug, Serialize)]
pub struct PastEvent {
    /// Of what.
    #[serde(flatten)]
    pub of: Entity,
    /// Seconds before the request.
    pub age_s: f32,
    /// Whether the same channel or product stands earlier in the history.
    pub is_repeat: bool,
    /// All its fields as the feed has them.
    pub fields: BTreeMap<String, String>,
}

/// A channel that was shown, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct ShownChannel {
    /// Which.
    #[serde(flatten)]
    pub of: Entity,
    /// Whether the user watched it; absent where the feeds have no labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watched: Option<bool>,
    /// What followed, by task; what is not known is absent.
    pub outcomes: BTreeMap<String, f32>,
    /// How often the user's history has it.
    pub watched_before: usize,
}

/// What a model made of a request.
#[derive(Clone, Debug, Serialize)]
pub struct OfModel {
    /// All channels shown by their place among the candidates, the likeliest watch first.
    pub ranking: Vec<usize>,
    /// Probability of a watch, by candidate.
    pub probabilities: Vec<f32>,
    /// By domain the share of the consistent intent in each of the newest events, as many as the model takes in; empty for a model without
    /// intents.
    pub intents: BTreeMap<&'static str, Vec<f32>>,
    /// By domain and kind a weight for each of these events, the mean over the first places of the ranking.
    pub attention: BTreeMap<&'static str, BTreeMap<String, Vec<f32>>>,
}

impl OfModel {
    /// The place of a candidate in the ranking, from 0.
    pub fn place_of(&self, candidate: usize) -> Option<usize> {
        self.ranking.iter().position(|of| *of == candidate)
    }
}
