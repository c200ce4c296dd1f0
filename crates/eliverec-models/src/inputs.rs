//! What every model reads: a batch as vectors, and what is known of its ids.
//!
//! [`crate::entities`] makes it; nothing here has a parameter.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::Tensor;
use eliverec_core::batch::Offsets;
use eliverec_core::schema::Group;

use crate::draws::Draws;
use crate::ops;
use crate::own::OwnRows;
use crate::rows::{Rows, indices};
use crate::term::{TermKind, Training};

/// One batch as vectors. `b` feeds, `n` impressions, `m` events, all packed.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// e_c `[b, d]`: the user's profile and the moment; `None` if the schema declares neither.
    pub context: Option<Tensor<2>>,
    /// `[b, d]`: the share of e_c that the user's own fields have; `None` if the schema declares none.
    pub user: Option<Tensor<2>>,
    /// e_vt `[n, d]`: the target channel, in the space of the watched channels.
    pub target: Tensor<2>,
    /// `[n, d]`: the target channel alone, as the history's bare vectors; e_vt itself but for [`crate::settings::Query::Moment`].
    pub channel: Tensor<2>,
    /// `[n, d]`: the target's own fields, known before entering; the second half of e_vt for the tower.
    pub target_state: Option<Tensor<2>>,
    /// e_d `[n, d]`: what the user sees after entering.
    pub dynamic: Option<Tensor<2>>,
    /// Whether the tower sees e_d as well.
    pub tower_dynamic: bool,
    /// From feed to impressions.
    pub candidates: Rows,
    /// Which channel each impression shows `[n]`: the channel's first categorical field; numbers of no meaning without one.
    pub candidate_ids: Vec<u64>,
    /// E_V: watched channels.
    pub live: History,
    /// E_S: clicked products; `None` for the live domain alone.
    pub product: Option<History>,
    /// `[b]`
    pub user_ids: Vec<u64>,
    /// Rows of the trunk's own tables.
    pub own: OwnRows,
    /// The numbers of a group's entities `[entities, k]`, standardised: its dense fields in the order of the schema, then match
    /// features. Groups without are absent.
    pub numbers: BTreeMap<Group, Tensor<2>>,
    /// Whether the tower sees what the histories are on average ([`crate::settings::TowerConfig::history_means`]).
    pub history_means: bool,
    /// What an update asks for; `None` outside training.
    pub training: Option<Training>,
    /// What an update knows of the impressions `[n]`: 1 for watched; empty outside training.
    pub watched: Vec<f32>,
}

/// Per domain, live first, the names of the fields that [`Inputs::history_means`] adds.
pub(crate) const MEANS: [[&str; 2]; 2] =
    [["live_mean", "live_mean_target"], ["product_mean", "product_mean_target"]];

/// A domain's events, packed.
#[derive(Clone, Debug)]
pub struct History {
    /// `[m, d]`: entity and what only the event has.
    pub items: Tensor<2>,
    /// `[m, d]`: the entity alone. Whoever asks which event comes next uses these: what only an event has, such as its age,
    /// gives the answer away.
    pub bare: Tensor<2>,
    /// From feed to events.
    pub rows: Rows,
    /// Seconds from the event to the request `[m]`.
    pub age_s: Vec<f32>,
    /// Which entity each event is of `[m]`: the entity's first categorical field; numbers of no meaning without one.
    pub ids: Vec<u64>,
}

impl History {
    /// Histories of some of its events, one for each range `[r]`.
    pub(crate) fn of(&self, ranges: &[Range<usize>]) -> Self {
        let rows: Vec<usize> = ranges.iter().cloned().flatten().collect();
        let at = indices(rows.iter().map(|row| *row as u32).collect(), &self.items.device());
        let select = |vectors: &Tensor<2>| vectors.clone().select(0, at.clone());
        Self {
            items: select(&self.items),
            bare: select(&self.bare),
            rows: self.rows.with_offsets(Offsets::from_lengths(ranges.iter().map(Range::len))),
            age_s: rows.iter().map(|row| self.age_s[*row]).collect(),
            ids: rows.iter().map(|row| self.ids[*row]).collect(),
        }
    }
}

impl Inputs {
    /// The random numbers of this update, if terms of `kind` have their turn.
    pub fn asked(&self, kind: TermKind) -> Option<Draws> {
        self.training.filter(|training| training.asks(kind)).map(|training| training.draws)
    }

    /// e_c at every impression `[n, d]`.
    pub fn context_rows(&self) -> Option<Tensor<2>> {
        self.context.clone().map(|context| self.candidates.repeat(context))
    }

    /// e_c `[b, d]`, zero where the schema declares nothing of user and moment.
    pub fn context_or_zero(&self) -> Tensor<2> {
        self.context.clone().unwrap_or_else(|| self.zeros(self.candidates.feeds()))
    }

    /// The user's own share of e_c `[b, d]`, zero where the schema declares nothing of the user.
    pub fn user_or_zero(&self) -> Tensor<2> {
        self.user.clone().unwrap_or_else(|| self.zeros(self.candidates.feeds()))
    }

    fn zeros(&self, rows: usize) -> Tensor<2> {
        let [_, d] = self.target.dims();
        Tensor::zeros([rows, d], &self.target.device())
    }

    /// The fields that every model's tower sees first: context, target, target_state, and dynamic where it is asked for.
    pub fn shared_fields(&self) -> Vec<(&'static str, Tensor<2>)> {
        let mut fields = Vec::new();
        fields.extend(self.context_rows().map(|context| ("context", context)));
        fields.push(("target", self.target.clone()));
        fields.extend(self.target_state.clone().map(|state| ("target_state", state)));
        fields.extend(self.tower_dynamic().map(|dynamic| ("dynamic", dynamic.clone())));
        let of_feed = |mean: Tensor<2>| self.candidates.repeat(mean);
        fields.extend(self.means(&self.target, of_feed));
        fields
    }

    /// The same for other rows than the impressions: `entities` `[r, d]` in the target's place, each with the context of one of
    /// `feeds` (r of them). What only an impression has is zero.
    pub fn shared_fields_of(
        &self,
        feeds: &[u32],
        entities: Tensor<2>,
    ) -> Vec<(&'static str, Tensor<2>)> {
        let zeros = || self.zeros(feeds.len());
        let context = |context: &Tensor<2>| {
            context.clone().select(0, indices(feeds.to_vec(), &context.device()))
        };
        let mut fields = Vec::new();
        fields.extend(self.context.as_ref().map(|e_c| ("context", context(e_c))));
        let means = self.means(&entities, |mean| context(&mean));
        fields.push(("target", entities));
        fields.extend(self.target_state.as_ref().map(|_| ("target_state", zeros())));
        fields.extend(self.tower_dynamic().map(|_| ("dynamic", zeros())));
        fields.extend(means);
        fields
    }

    /// Per domain the mean of the bare events and its product with `targets` `[r, d]`, where the tower sees them; `of_rows` leads
    /// from feeds `[b, d]` to those rows.
    fn means(
        &self,
        targets: &Tensor<2>,
        of_rows: impl Fn(Tensor<2>) -> Tensor<2>,
    ) -> Vec<(&'static str, Tensor<2>)> {
        let mut fields = Vec::new();
        let histories = [Some(&self.live), self.product.as_ref()];
        for (history, [name, product]) in histories.into_iter().zip(MEANS) {
            let Some(history) = history.filter(|_| self.history_means) else { continue };
            let mean = of_rows(ops::masked_mean(history.bare.clone(), &history.rows));
            fields.push((name, mean.clone()));
            fields.push((product, mean * targets.clone()));
        }
        fields
    }

    fn tower_dynamic(&self) -> Option<&Tensor<2>> {
        self.dynamic.as_ref().filter(|_| self.tower_dynamic)
    }
}
