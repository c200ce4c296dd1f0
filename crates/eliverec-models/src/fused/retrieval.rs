//! Disentangled retrieval, Eq. 5 to 7: every event is split into a consistent and a specific part, and each candidate
//! attends to both parts of its feed's history. Forward and backward in one pass over a feed's events.
//!
//! Only the inputs are kept: the parts and weights of a feed are computed again in the backward, from 25 KiB that fit
//! the cache, instead of written and read for the whole batch.

use std::ops::Range;
use std::sync::Arc;

use eliverec_core::batch::Offsets;
use eliverec_core::profile::Part;
use pulp::Arch;
use rayon::prelude::*;

use super::chunks::cut;
use super::column_softmax::{ColumnSoftmax, ColumnSoftmaxBackward};
use super::intention::{Split, SplitBackward};
use super::product::{Left, Product, Write};
use super::record::{Keep, Operation};
use super::retrieval_options::RetrievalOptions;
use super::rows::Loop;

/// Feeds of one task.
const FEEDS: usize = 8;

/// Candidates are padded to a multiple of this, the widest register.
const PADDING: usize = 16;

/// Consistent and specific interest side by side `[n, 2 d]`: for every candidate e, over the events of its feed and for both
/// parts z of theirs, `sum_i softmax_i(z_i . e) z_i`.
#[derive(Debug)]
pub(super) struct DisentangledRetrieval {
    /// From feed to its events.
    pub(super) histories: Arc<Offsets>,
    /// From feed to its candidates.
    pub(super) candidates: Arc<Offsets>,
    /// `d`
    pub(super) width: usize,
    /// Kind of the intention.
    pub(super) options: RetrievalOptions,
}

/// A worker's room for one feed.
#[derive(Default)]
struct Room {
    /// P(consistent | event) `[l, d]`.
    share: Vec<f32>,
    /// Consistent and specific part of every event `[l, d]`.
    parts: [Vec<f32>; 2],
    /// Of the parts `[l, d]`.
    part_gradients: [Vec<f32>; 2],
    /// Targets or gradients, transposed `[d, padded]`.
    transposed: Vec<f32>,
    /// Scores, then attention of every candidate `[l, padded]`.
    weights: Vec<f32>,
    /// Of the weights, then of the scores `[l, padded]`.
    weight_gradients: Vec<f32>,
}

/// One feed's places.
struct Place {
    /// Its rows of `[m, d]`.
    events: Range<usize>,
    /// Its rows of `[n, d]`.
    candidates: Range<usize>,
}

impl DisentangledRetrieval {
    /// The feeds of every task.
    fn groups(&self) -> Vec<Range<usize>> {
        let feeds = self.histories.feeds();
        (0..feeds).step_by(FEEDS).map(|i| i..(i + FEEDS).min(feeds)).collect()
    }

    /// The feeds of a group that have both events and candidates.
    fn places(&self, group: Range<usize>) -> impl Iterator<Item = (usize, Place)> + '_ {
        group.filter_map(|i| {
            let (events, candidates) = (self.histories.range(i), self.candidates.range(i));
            let filled = !events.is_empty() && !candidates.is_empty();
            filled.then_some((i, Place { events, candidates }))
        })
    }

    /// The rows of a group's feeds.
    fn rows(offsets: &Offsets, group: &Range<usize>) -> Range<usize> {
        if group.is_empty() {
            return 0..0;
        }
        offsets.range(group.start).start..offsets.range(group.end - 1).end
    }

    /// Rows of the prototypes' difference that belong to feeds with these events.
    fn differences(&self, feeds: Range<usize>, events: Range<usize>) -> Range<usize> {
        if self.options.per_event { events } else { feeds }
    }

    /// Eq. 5 and 6: splits the events of a feed, `h` `[l, d]`; fills `share` and `parts`.
    fn split(&self, arch: Arch, [h, difference]: [&[f32]; 2], room: &mut Room) {
        room.share.resize(h.len(), 0.0);
        let [first, second] = &mut room.parts;
        first.resize(h.len(), 0.0);
        second.resize(h.len(), 0.0);
        let (width, options, share) = (self.width, self.options, &mut room.share);
        arch.dispatch(Loop(Split { h, difference, width, options, share, parts: [first, second] }));
    }

    /// `to [l, padded] = part [l, d] * rows^T`, where each of the candidates' `rows` starts at a multiple of `stride`.
    fn against(
        &self,
        arch: Arch,
        [to, transposed]: [&mut Vec<f32>; 2],
        part: &[f32],
        rows: &[f32],
        stride: usize,
    ) {
        let (d, count) = (self.width, rows.len().div_ceil(stride));
        let (length, padded) = (part.len() / d, count.next_multiple_of(PADDING));
        // rows^T, zeros behind the last candidate
        transposed.clear();
        transposed.resize(d * padded, 0.0); // [d, padded]
        for (candidate, from) in rows.chunks(stride).enumerate() {
            for (to, value) in transposed.chunks_exact_mut(padded).zip(from) {
                to[candidate] = *value;
            }
        }
        to.resize(length * padded, 0.0); // [l, padded]
        arch.dispatch(Product {
            to,
            to_stride: padded,
            left: Left::rows(part, d),
            right: transposed,
            right_stride: padded,
            shape: [length, padded, d],
            write: Write::Replace,
        });
    }

    /// Eq. 7: `room.weights = softmax(z target^T)` over the events, one column per candidate `[l, padded]`; z are the parts of a
    /// side `[l, d]`, 0 the consistent and 1 the specific one.
    fn attend(&self, arch: Arch, side: usize, target: &[f32], room: &mut Room) {
        // z target^T
        let buffers = [&mut room.weights, &mut room.transposed];
        self.against(arch, buffers, &room.parts[side], target, self.width);
        let padded = (target.len() / self.width).next_multiple_of(PADDING);
        let weights = &mut room.weights;
        arch.dispatch(Loop(ColumnSoftmax { weights, padded, scale: 1.0 }));
    }
}

impl Operation<3> for DisentangledRetrieval {
    type Saved = ();
    const PART: Part = Part::Attention;

    fn forward(&self, inputs: [&[f32]; 3], _keep: Keep) -> (Vec<f32>, [usize; 2], ()) {
        let [h, difference, target] = inputs;
        let (arch, d, n) = (Arch::new(), self.width, self.candidates.total());
        let groups = self.groups();
        let mut output = vec![0.0; n * 2 * d];
        let ranges = groups.iter().map(|group| Self::rows(&self.candidates, group));
        let work: Vec<_> = groups.iter().zip(cut(&mut output, ranges, 2 * d)).collect();
        work.into_par_iter().for_each_init(Room::default, |room, (group, output)| {
            let first = Self::rows(&self.candidates, group).start;
            for (i, Place { events, candidates }) in self.places(group.clone()) {
                let difference = of(difference, self.differences(i..i + 1, events.clone()), d);
                self.split(arch, [of(h, events.clone(), d), difference], room);
                let count = candidates.len();
                let target = &target[candidates.start * d..candidates.end * d]; // [c, d]
                let output = &mut output[(candidates.start - first) * 2 * d..]; // [c, 2 d]
                for side in 0..2 {
                    self.attend(arch, side, target, room);
                    // interest = weights^T z, beside that of the other side  [c, d]
                    arch.dispatch(Product {
                        to: &mut output[side * d..],
                        to_stride: 2 * d,
                        left: Left::transposed(&room.weights, count.next_multiple_of(PADDING)),
                        right: &room.parts[side],
                        right_stride: d,
                        shape: [count, d, events.len()],
                        write: Write::Replace,
                    });
                }
            }
        });
        (output, [n, 2 * d], ())
    }

    fn backward(&self, inputs: [&[f32]; 3], (): &(), gradient: &[f32]) -> [Vec<f32>; 3] {
        let (d, groups) = (self.width, self.groups());
        let mut results = inputs.map(|input| vec![0.0; input.len()]);
        let [h, difference, target] = &mut results;
        let histories = || groups.iter().map(|group| Self::rows(&self.histories, group));
        let differences = groups.iter().zip(histories());
        let differences =
            differences.map(|(group, events)| self.differences(group.clone(), events));
        let candidates = groups.iter().map(|group| Self::rows(&self.candidates, group));
        let work: Vec<_> = groups
            .iter()
            .zip(cut(h, histories(), d))
            .zip(cut(difference, differences, d))
            .zip(cut(target, candidates, d))
            .map(|(((group, h), difference), target)| (group, [h, difference, target]))
            .collect();
        work.into_par_iter().for_each_init(Room::default, |room, (group, results)| {
            self.backward_group(group, inputs, gradient, results, room);
        });
        results
    }
}

impl DisentangledRetrieval {
    /// The gradients of a group's events, prototypes' differences and candidates, from that of their interests.
    ///
    /// For each side, z its parts, e the candidates, W the weights, S the scores, g the interest's gradient:
    /// `dW = z g^T`, `dS` by the softmax, `dz = W g + dS e`, `de += dS^T z`; then h and o_c - o_s from both dz.
    fn backward_group(
        &self,
        group: &Range<usize>,
        [h, difference, target]: [&[f32]; 3],
        gradient: &[f32],
        [h_gradient, difference_gradient, target_gradient]: [&mut [f32]; 3],
        room: &mut Room,
    ) {
        let (arch, d) = (Arch::new(), self.width);
        let first_event = Self::rows(&self.histories, group).start;
        let first_candidate = Self::rows(&self.candidates, group).start;
        for (i, Place { events, candidates }) in self.places(group.clone()) {
            let h = of(h, events.clone(), d);
            let difference = of(difference, self.differences(i..i + 1, events.clone()), d);
            self.split(arch, [h, difference], room);
            let (length, count) = (events.len(), candidates.len());
            let padded = count.next_multiple_of(PADDING);
            let target = &target[candidates.start * d..candidates.end * d]; // [c, d]
            let gradient = &gradient[candidates.start * 2 * d..candidates.end * 2 * d]; // [c, 2 d]
            let target_gradient = &mut target_gradient[(candidates.start - first_candidate) * d..];
            for side in 0..2 {
                let gradient = &gradient[side * d..]; // [c, d], rows 2 d apart
                // W = softmax(z e^T)  [l, padded]
                self.attend(arch, side, target, room);
                // dW = z g^T  [l, padded]
                let buffers = [&mut room.weight_gradients, &mut room.transposed];
                self.against(arch, buffers, &room.parts[side], gradient, 2 * d);
                let part_gradient = &mut room.part_gradients[side];
                part_gradient.resize(length * d, 0.0);
                // dz = W g  [l, d]
                arch.dispatch(Product {
                    to: part_gradient,
                    to_stride: d,
                    left: Left::rows(&room.weights, padded),
                    right: gradient,
                    right_stride: 2 * d,
                    shape: [length, d, count],
                    write: Write::Replace,
                });
                // dS = W (dW - sum_i W_i dW_i), column by column  [l, padded]
                let (weights, gradients) = (&room.weights, &mut room.weight_gradients);
                arch.dispatch(Loop(ColumnSoftmaxBackward { weights, gradients, padded }));
                // dz += dS e  [l, d]
                arch.dispatch(Product {
                    to: part_gradient,
                    to_stride: d,
                    left: Left::rows(gradients, padded),
                    right: target,
                    right_stride: d,
                    shape: [length, d, count],
                    write: Write::Add,
                });
                // de += dS^T z  [c, d]
                arch.dispatch(Product {
                    to: target_gradient,
                    to_stride: d,
                    left: Left::transposed(gradients, padded),
                    right: &room.parts[side],
                    right_stride: d,
                    shape: [count, d, length],
                    write: Write::Add,
                });
            }
            let events = events.start - first_event..events.end - first_event;
            let feed = i - group.start;
            let differences = self.differences(feed..feed + 1, events.clone());
            // Eq. 5 and 6 backward: dh [l, d] and d(o_c - o_s)
            arch.dispatch(Loop(SplitBackward {
                h,
                difference,
                width: d,
                options: self.options,
                share: &room.share,
                part_gradients: [&room.part_gradients[0], &room.part_gradients[1]],
                h_gradient: of_mut(h_gradient, events, d),
                difference_gradient: of_mut(difference_gradient, differences, d),
            }));
        }
    }
}

/// Rows of a matrix whose rows have `width` elements.
fn of(values: &[f32], rows: Range<usize>, width: usize) -> &[f32] {
    &values[rows.start * width..rows.end * width]
}

/// [`of`], to be written.
fn of_mut(values: &mut [f32], rows: Range<usize>, width: usize) -> &mut [f32] {
    &mut values[rows.start * width..rows.end * width]
}
