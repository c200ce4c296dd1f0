//! The product side's own task in models that predict in both domains: which product is clicked next.
//!
//! Feeds hold no products that were shown and not clicked, so the labels are drawn: of each feed with at least two clicks
//! s_1..s_n, s_n is a positive to whom the user was after s_1..s_{n-1}, and [`NEGATIVES`] of the batch's clicks are negatives,
//! where their products are none of the user's own. All are *bare* vectors, since what only an event has gives the answer away.
//! A model computes the logits by the same path as those of its live side, from [`NextClicks::before`].

use burn::tensor::{Tensor, TensorData};

use super::next_event::{Hidden, NextEvents, Sharing};
use crate::draws::Draws;
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::rows::indices;
use crate::term::{Term, TermKind};

/// Drawn for each positive.
pub const NEGATIVES: usize = 4;

/// The rows of the task in one update: `r`, positives first.
#[derive(Debug)]
pub struct NextClicks {
    /// The feeds as they were before their newest click: each history of products is one shorter. The live history is whole.
    pub before: Inputs,
    /// Whose feed each row is of `[r]`.
    pub feeds: Vec<u32>,
    /// The bare product that each row shows `[r, d]`.
    pub shown: Tensor<2>,
    positives: usize,
}

impl NextClicks {
    /// The term of an update that asks for it, by the logits `[r]` that `predict` gives to the rows: a mean of their cross entropy;
    /// 0 in a batch in which no feed has two clicks. A model that knows nothing is at H(1/5) = 0.500. The term has no part in a
    /// model without a weight for it.
    pub fn term(
        inputs: &Inputs,
        weight: f32,
        predict: impl FnOnce(&Self) -> Tensor<1>,
    ) -> Option<Term> {
        if weight == 0.0 {
            return None;
        }
        let draws = inputs.asked(TermKind::Auxiliary)?;
        let products = inputs.product.as_ref()?;
        let value = Self::draw(inputs, products, draws).map_or_else(
            || Tensor::zeros([1], &inputs.target.device()),
            |clicks| {
                let logits = predict(&clicks);
                ops::binary_cross_entropy(logits, clicks.labels())
            },
        );
        Some(Term { name: "next_click", kind: TermKind::Auxiliary, weight, value })
    }

    /// `None` if no feed has two clicks.
    fn draw(inputs: &Inputs, products: &History, draws: Draws) -> Option<Self> {
        let pairs = NextEvents::newest(&products.rows.offsets);
        if pairs.next.is_empty() {
            return None;
        }
        let mut random = draws.stream("next_click");
        let (sharing, hidden) = (Sharing::Pair, Hidden::History);
        let (of, drawn) =
            pairs.negatives(products, NEGATIVES, sharing, hidden, &mut random).counting();
        let of = of.into_iter().map(|pair| pairs.feeds[pair as usize]);
        let shown: Vec<u32> = pairs.next.iter().copied().chain(drawn).collect();
        let positives = pairs.next.len();
        let device = products.bare.device();
        Some(Self {
            before: Inputs { product: Some(without_newest(products)), ..inputs.clone() },
            feeds: pairs.feeds.iter().copied().chain(of).collect(),
            shown: products.bare.clone().select(0, indices(shown, &device)),
            positives,
        })
    }

    /// Each feed's vector at each of its rows: `[b, w]` to `[r, w]`.
    pub fn at_rows(&self, per_feed: Tensor<2>) -> Tensor<2> {
        let device = per_feed.device();
        per_feed.select(0, indices(self.feeds.clone(), &device))
    }

    fn labels(&self) -> Tensor<1> {
        let rows = self.feeds.len();
        let labels = (0..rows).map(|row| if row < self.positives { 1.0 } else { 0.0 }).collect();
        Tensor::from_data(TensorData::new::<f32, _>(labels, [rows]), &self.shown.device())
    }
}

/// A history without each feed's newest event.
fn without_newest(history: &History) -> History {
    let kept = history.rows.offsets.ranges().map(|range| {
        let newest = range.end.saturating_sub(1).max(range.start);
        range.start..newest
    });
    history.of(&kept.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burn::tensor::Device;
    use eliverec_core::batch::Offsets;

    use super::*;
    use crate::own::OwnRows;
    use crate::rows::Rows;
    use crate::term::{Training, Turn};

    /// Product events of some feeds, each of the given entity; a bare vector is the event's number.
    fn inputs(feeds: &[&[u64]]) -> Inputs {
        let device = Device::flex();
        let ids = feeds.concat();
        let numbers: Vec<f32> = (0..ids.len()).map(|row| row as f32).collect();
        let bare = Tensor::from_data(TensorData::new(numbers.clone(), [ids.len(), 1]), &device);
        let rows = Rows::new(Offsets::from_lengths(feeds.iter().map(|ids| ids.len())), &device);
        let product =
            History { items: bare.clone() + 100.0, bare, rows: rows.clone(), age_s: numbers, ids };
        let candidates = rows.with_offsets(Offsets::from_lengths(feeds.iter().map(|_| 1)));
        let target = Tensor::zeros([feeds.len(), 1], &device);
        Inputs {
            context: None,
            user: None,
            channel: target.clone(),
            target,
            target_state: None,
            dynamic: None,
            tower_dynamic: false,
            candidate_ids: vec![0; feeds.len()],
            candidates,
            live: product.clone(),
            product: Some(product),
            user_ids: vec![0; feeds.len()],
            own: OwnRows::default(),
            numbers: BTreeMap::new(),
            history_means: false,
            training: Some(Training::whole(Draws { seed: 1, step: 2 }, Turn::All)),
            watched: Vec::new(),
        }
    }

    fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
        tensor.clone().try_into_vec_as().unwrap()
    }

    #[test]
    fn rows_are_the_newest_clicks_and_what_others_clicked() {
        let feeds: [&[u64]; 5] = [&[4, 5, 4], &[], &[7], &[5, 8], &[1, 2, 3, 9]];
        let inputs = inputs(&feeds);
        let owners = inputs.live.rows.offsets.owners();
        let ids = feeds.concat();
        let term = NextClicks::term(&inputs, 0.5, |clicks| {
            assert_eq!(clicks.feeds[..3], [0, 3, 4]);
            let shown = values(&clicks.shown);
            assert_eq!(shown[..3], [2.0, 5.0, 9.0]);
            assert!(shown.len() > 3 && shown.len() <= 3 + 3 * NEGATIVES);
            for (event, feed) in shown[3..].iter().zip(&clicks.feeds[3..]) {
                let event = *event as usize;
                assert_ne!(owners[event], *feed);
                assert!(!feeds[*feed as usize].contains(&ids[event]));
            }
            let before = clicks.before.product.as_ref().unwrap();
            let lengths = before.rows.offsets.ranges().map(|range| range.len());
            assert_eq!(lengths.collect::<Vec<_>>(), [2, 0, 0, 1, 3]);
            assert_eq!(before.ids, [4, 5, 5, 1, 2, 3]);
            assert_eq!(before.age_s, [0.0, 1.0, 4.0, 6.0, 7.0, 8.0]);
            assert_eq!(values(&before.items), [100.0, 101.0, 104.0, 106.0, 107.0, 108.0]);
            assert_eq!(clicks.before.live.ids, ids, "the live side keeps all");
            // A logit of 2 for what was clicked, of -3 for what was not.
            let rows = clicks.feeds.len();
            let logits = (0..rows).map(|row| if row < 3 { 2.0 } else { -3.0 }).collect();
            Tensor::from_data(TensorData::new::<f32, _>(logits, [rows]), &Device::flex())
        });
        let term = term.unwrap();
        assert_eq!((term.name, term.weight), ("next_click", 0.5));
        let value = term.value.into_scalar::<f32>();
        let (clicked, not) = ((-2.0_f32).exp().ln_1p(), (-3.0_f32).exp().ln_1p());
        assert!(value > not.min(clicked) && value < not.max(clicked), "{value}");
    }

    #[test]
    fn it_is_zero_without_rows_and_absent_without_weight() {
        let few = inputs(&[&[4], &[], &[7]]);
        let term = NextClicks::term(&few, 1.0, |_| unreachable!("there is nothing to predict"));
        assert_eq!(term.unwrap().value.into_scalar::<f32>(), 0.0);
        let some = inputs(&[&[4, 5], &[6]]);
        let never = |_: &NextClicks| unreachable!("nobody asks");
        assert!(NextClicks::term(&some, 0.0, never).is_none());
        let served = Inputs { training: None, ..some };
        assert!(NextClicks::term(&served, 1.0, never).is_none());
    }
}
