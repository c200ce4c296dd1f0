//! DIN's attention unit: a score for every event of a feed from each of its candidates.
//!
//! Composed, the two hidden layers of all pairs of a batch are written to memory and read back several times: 120 sigmoids
//! for each of a hundred thousand pairs. Here one candidate and the events of its feed, 25 KiB, go through all
//! layers at once, and the backward computes them again.

use std::ops::Range;
use std::sync::Arc;

use eliverec_core::batch::Offsets;
use eliverec_core::profile::Part;
use pulp::Arch;
use rayon::prelude::*;

use super::chunks::{add_up, cut};
use super::product::{Left, Product, Write};
use super::record::{Keep, Operation};
use super::rows::Loop;
use super::unit_layers::{
    FirstLayer, FirstLayerBackward, PairProducts, PairProductsBackward, SecondLayer,
    SecondLayerBackward,
};

/// Pairs at which a partition of feeds is closed; each costs a copy of the weights' gradients.
const PARTITION_PAIRS: usize = 2_048;

/// No more partitions than this, unless single feeds are larger.
const PARTITIONS: usize = 16;

/// Widths are padded to a multiple of this, the widest register.
const PADDING: usize = 16;

/// The scores `[n, longest]`, zero beyond the end of a feed's history: for candidate i and event j of its feed
/// `score . sigmoid(sigmoid(of_target_i + of_item_j + (target_i * item_j) W) W2 + b2)`.
///
/// Inputs: targets `[n, d]`, events `[m, d]`, what they give to the first hidden layer `[n, h]` and `[m, h]`, W, the weight
/// of their product `[d, h]`, then weight W2 `[h, g]` and bias b2 `[g]` of the second hidden layer and weight `[g, 1]` of the
/// score.
#[derive(Debug)]
pub(super) struct AttentionUnit {
    /// From feed to its events.
    pub(super) histories: Arc<Offsets>,
    /// From feed to its candidates.
    pub(super) candidates: Arc<Offsets>,
    /// `d`
    pub(super) width: usize,
    /// `h`, `g`
    pub(super) hidden: [usize; 2],
    /// Columns of the output.
    pub(super) longest: usize,
}

/// The weights as the loops want them: the second layer's columns padded with zeros, and transposes for the backward.
struct Weights<'a> {
    /// W `[d, h]`
    product: &'a [f32],
    /// `[h, d]`
    product_transposed: Vec<f32>,
    /// W2 `[h, padded g]`
    second: Vec<f32>,
    /// `[padded g, h]`
    second_transposed: Vec<f32>,
    /// b2 `[padded g]`
    bias: Vec<f32>,
    /// `[padded g]`
    score: Vec<f32>,
}

/// Gradients of the weights, summed over the feeds of one partition; the second layer's are padded.
struct Gradients {
    /// `[d, h]`
    product: Vec<f32>,
    /// `[h, padded g]`
    second: Vec<f32>,
    /// `[padded g]`
    bias: Vec<f32>,
    /// `[padded g]`
    score: Vec<f32>,
}

/// A worker's room for one candidate.
#[derive(Default)]
struct Room {
    /// Target times every event `[l, d]`, then its gradient.
    products: Vec<f32>,
    /// First hidden layer `[l, h]`.
    first: Vec<f32>,
    /// Its gradient `[l, h]`.
    first_gradient: Vec<f32>,
    /// Second hidden layer `[l, padded g]`, then its gradient.
    second: Vec<f32>,
    /// `[l]`
    scores: Vec<f32>,
}

/// One candidate with the events of its feed.
struct Pair<'a> {
    /// `[d]`
    target: &'a [f32],
    /// `[l, d]`
    items: &'a [f32],
    /// `[h]`
    of_target: &'a [f32],
    /// `[l, h]`
    of_item: &'a [f32],
}

impl AttentionUnit {
    /// Columns of the padded second layer.
    fn padded(&self) -> usize {
        self.hidden[1].next_multiple_of(PADDING)
    }

    /// Consecutive feeds to be worked off by one thread, in order; they depend on the batch alone.
    fn partitions(&self) -> Vec<Range<usize>> {
        let pairs = |i: usize| self.histories.range(i).len() * self.candidates.range(i).len();
        let feeds = self.histories.feeds();
        let total: usize = (0..feeds).map(pairs).sum();
        let enough = PARTITION_PAIRS.max(total.div_ceil(PARTITIONS));
        let mut partitions = Vec::new();
        let (mut start, mut open) = (0, 0);
        for i in 0..feeds {
            open += pairs(i);
            if open >= enough || i + 1 == feeds {
                partitions.push(start..i + 1);
                (start, open) = (i + 1, 0);
            }
        }
        partitions
    }

    /// The feeds of a partition that have any events, with these.
    fn filled(&self, partition: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        partition.map(|i| (i, self.histories.range(i))).filter(|(_, events)| !events.is_empty())
    }

    /// The rows of a partition's feeds.
    fn rows(offsets: &Offsets, partition: &Range<usize>) -> Range<usize> {
        offsets.range(partition.start).start..offsets.range(partition.end - 1).end
    }

    fn weights<'a>(&self, inputs: [&'a [f32]; 8]) -> Weights<'a> {
        let [.., product, second, bias, score] = inputs;
        let ([h, g], padded) = (self.hidden, self.padded());
        let pad = |from: &[f32]| {
            let mut to = from.to_vec();
            to.resize(padded, 0.0);
            to
        };
        let second: Vec<f32> = second.chunks_exact(g).flat_map(pad).collect();
        Weights {
            product,
            product_transposed: transpose(product, h),
            second_transposed: transpose(&second, padded),
            second,
            bias: pad(bias),
            score: pad(score),
        }
    }

    /// A candidate with the events of its feed.
    fn pair<'a>(
        &self,
        inputs: [&'a [f32]; 8],
        candidate: usize,
        events: &Range<usize>,
    ) -> Pair<'a> {
        let [target, items, of_target, of_item, ..] = inputs;
        let (d, [h, _]) = (self.width, self.hidden);
        Pair {
            target: &target[candidate * d..(candidate + 1) * d],
            items: &items[events.start * d..events.end * d],
            of_target: &of_target[candidate * h..(candidate + 1) * h],
            of_item: &of_item[events.start * h..events.end * h],
        }
    }

    /// Fills both hidden layers and `room.scores`.
    fn score(&self, arch: Arch, pair: &Pair<'_>, weights: &Weights<'_>, room: &mut Room) {
        let (d, [h, _], padded) = (self.width, self.hidden, self.padded());
        let length = pair.items.len() / d;
        let Pair { target, items, of_target, of_item } = *pair;
        // products_j = target * item_j  [l, d]
        room.products.resize(length * d, 0.0);
        arch.dispatch(Loop(PairProducts { target, items, products: &mut room.products }));
        // first_j = sigmoid(of_target + of_item_j + products_j W)  [l, h]
        room.first.resize(length * h, 0.0);
        let products = Left::rows(&room.products, d);
        set_product(arch, &mut room.first, products, weights.product, [length, h, d]);
        arch.dispatch(Loop(FirstLayer { values: &mut room.first, of_target, of_item }));
        // second_j = sigmoid(first_j W2 + b2)  [l, padded g]; score_j = second_j . score  [l]
        room.second.resize(length * padded, 0.0);
        let shape = [length, padded, h];
        set_product(arch, &mut room.second, Left::rows(&room.first, h), &weights.second, shape);
        room.scores.resize(length, 0.0);
        let (values, scores) = (&mut room.second, &mut room.scores);
        arch.dispatch(Loop(SecondLayer {
            values,
            bias: &weights.bias,
            weight: &weights.score,
            scores,
        }));
    }

    /// From the gradient of a candidate's scores `[l]` to those of what it was computed from, each added to.
    fn backward_pair(
        &self,
        pair: &Pair<'_>,
        weights: &Weights<'_>,
        gradient: &[f32],
        [target_gradient, item_gradient, of_target, of_item]: [&mut [f32]; 4],
        sums: &mut Gradients,
        room: &mut Room,
    ) {
        let arch = Arch::new();
        self.score(arch, pair, weights, room);
        let (d, [h, _], padded) = (self.width, self.hidden, self.padded());
        let length = gradient.len();
        // to [rows, columns] += left^T right, of left [l, rows] and right [l, columns]
        let add_over_events =
            |to: &mut [f32], left: &[f32], right: &[f32], [rows, columns]: [usize; 2]| {
                arch.dispatch(Product {
                    to,
                    to_stride: columns,
                    left: Left::transposed(left, rows),
                    right,
                    right_stride: columns,
                    shape: [rows, columns, length],
                    write: Write::Add,
                });
            };
        // da2, the gradient of a2 = first W2 + b2; dscore and db2 are added to  [l, padded g]
        arch.dispatch(Loop(SecondLayerBackward {
            values: &mut room.second,
            weight: &weights.score,
            gradient,
            bias_gradient: &mut sums.bias,
            weight_gradient: &mut sums.score,
        }));
        // dW2 += first^T da2  [h, padded g]
        add_over_events(&mut sums.second, &room.first, &room.second, [h, padded]);
        // dfirst = da2 W2^T  [l, h]
        room.first_gradient.resize(length * h, 0.0);
        let second = Left::rows(&room.second, padded);
        let shape = [length, h, padded];
        set_product(arch, &mut room.first_gradient, second, &weights.second_transposed, shape);
        // da1, the gradient of a1 = of_target + of_item + products W; dof_target and dof_item are added to  [l, h]
        arch.dispatch(Loop(FirstLayerBackward {
            values: &room.first,
            gradient: &mut room.first_gradient,
            target_gradient: of_target,
            item_gradient: of_item,
        }));
        // dW += products^T da1  [d, h]
        add_over_events(&mut sums.product, &room.products, &room.first_gradient, [d, h]);
        // dproducts = da1 W^T  [l, d]
        let first = Left::rows(&room.first_gradient, h);
        set_product(arch, &mut room.products, first, &weights.product_transposed, [length, d, h]);
        // dtarget += sum_j dproducts_j * item_j, ditem_j += dproducts_j * target
        arch.dispatch(Loop(PairProductsBackward {
            target: pair.target,
            items: pair.items,
            gradient: &room.products,
            target_gradient,
            item_gradient,
        }));
    }
}

/// `to [m, n] = left [m, k] * right [k, n]`, `shape` `[m, n, k]`.
fn set_product(arch: Arch, to: &mut [f32], left: Left<'_>, right: &[f32], shape: [usize; 3]) {
    let ([_, n, _], write) = (shape, Write::Replace);
    arch.dispatch(Product { to, to_stride: n, left, right, right_stride: n, shape, write });
}

/// The transpose of rows of `columns`.
fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns)).copied().collect()
}

impl Operation<8> for AttentionUnit {
    type Saved = ();
    const PART: Part = Part::Attention;

    fn forward(&self, inputs: [&[f32]; 8], _keep: Keep) -> (Vec<f32>, [usize; 2], ()) {
        let (arch, longest, weights) = (Arch::new(), self.longest, self.weights(inputs));
        let mut output = vec![0.0; self.candidates.total() * longest];
        let partitions = self.partitions();
        let ranges = partitions.iter().map(|partition| Self::rows(&self.candidates, partition));
        let work: Vec<_> = partitions.iter().zip(cut(&mut output, ranges, longest)).collect();
        work.into_par_iter().for_each_init(Room::default, |room, (partition, output)| {
            let first = Self::rows(&self.candidates, partition).start;
            for (i, events) in self.filled(partition.clone()) {
                for candidate in self.candidates.range(i) {
                    self.score(arch, &self.pair(inputs, candidate, &events), &weights, room);
                    let from = (candidate - first) * longest;
                    output[from..from + events.len()].copy_from_slice(&room.scores);
                }
            }
        });
        (output, [self.candidates.total(), longest], ())
    }

    fn backward(&self, inputs: [&[f32]; 8], (): &(), gradient: &[f32]) -> [Vec<f32>; 8] {
        let (d, [h, g], padded) = (self.width, self.hidden, self.padded());
        let (longest, weights) = (self.longest, self.weights(inputs));
        let [target, items, of_target, of_item, ..] = inputs;
        let mut results = [target, items, of_target, of_item].map(|input| vec![0.0; input.len()]);
        let [targets, items, of_targets, of_items] = &mut results;
        let partitions = self.partitions();
        let candidates = || partitions.iter().map(|part| Self::rows(&self.candidates, part));
        let events = || partitions.iter().map(|part| Self::rows(&self.histories, part));
        let parts = cut(targets, candidates(), d)
            .into_iter()
            .zip(cut(items, events(), d))
            .zip(cut(of_targets, candidates(), h))
            .zip(cut(of_items, events(), h))
            .map(|(((target, item), of_target), of_item)| [target, item, of_target, of_item]);
        let work: Vec<_> = partitions.iter().zip(parts).collect();
        let sums: Vec<Gradients> = work
            .into_par_iter()
            .map_init(Room::default, |room, (partition, [target, item, of_target, of_item])| {
                let mut sums = Gradients {
                    product: vec![0.0; d * h],
                    second: vec![0.0; h * padded],
                    bias: vec![0.0; padded],
                    score: vec![0.0; padded],
                };
                let first_event = Self::rows(&self.histories, partition).start;
                let first_candidate = Self::rows(&self.candidates, partition).start;
                for (i, events) in self.filled(partition.clone()) {
                    let from = events.start - first_event..events.end - first_event;
                    for candidate in self.candidates.range(i) {
                        let at = candidate - first_candidate;
                        self.backward_pair(
                            &self.pair(inputs, candidate, &events),
                            &weights,
                            &gradient[candidate * longest..candidate * longest + events.len()],
                            [
                                &mut target[at * d..(at + 1) * d],
                                &mut item[from.start * d..from.end * d],
                                &mut of_target[at * h..(at + 1) * h],
                                &mut of_item[from.start * h..from.end * h],
                            ],
                            &mut sums,
                            room,
                        );
                    }
                }
                sums
            })
            .collect();
        let sum = |part: fn(&mut Gradients) -> &mut Vec<f32>, sums: &mut [Gradients], size| {
            add_up(sums.iter_mut().map(|all| std::mem::take(part(all))).collect(), size)
        };
        let mut sums = sums;
        let product = sum(|all| &mut all.product, &mut sums, d * h);
        let second = sum(|all| &mut all.second, &mut sums, h * padded);
        let bias = sum(|all| &mut all.bias, &mut sums, padded);
        let score = sum(|all| &mut all.score, &mut sums, padded);
        let unpadded =
            |values: &[f32]| values.chunks(padded).flat_map(|row| &row[..g]).copied().collect();
        let [target, items, of_target, of_item] = results;
        [
            target,
            items,
            of_target,
            of_item,
            product,
            unpadded(&second),
            unpadded(&bias),
            unpadded(&score),
        ]
    }
}
