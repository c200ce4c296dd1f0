//! Fused operations of the CPU: whole parts of a model as one step of the graph, with their own backward.
//!
//! Composed from Burn's operations, a transformer block writes every intermediate of the whole batch to memory and reads
//! it back, thirty times. Here a chunk of feeds runs through a part while it is in the cache, forward and backward, on
//! all cores. Everything is packed: rows of all feeds one after the other, and [`Offsets`] from feed to rows; feeds
//! may be empty. Loops are compiled for the machine at run time. Results depend on neither the number of threads nor
//! the run. NaN goes in and comes out.
//!
//! Other devices use composed versions; [`available`] tells.

mod activations;
pub(crate) mod attention;
mod attention_unit;
mod chunks;
pub(crate) mod column_softmax;
mod distance;
pub(crate) mod exponential;
mod gather;
pub(crate) mod gemm;
pub(crate) mod intention;
mod pooling;
pub(crate) mod product;
mod record;
mod recurrence;
mod recurrence_loops;
mod retrieval;
mod retrieval_options;
pub(crate) mod rows;
mod sequences;
mod transformer;
mod transformer_weights;
mod unit_layers;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn::tensor::Tensor;
use eliverec_core::batch::Offsets;

use attention::Attention;
use attention_unit::AttentionUnit;
use distance::PairwiseDistance;
use gather::GatherConcat;
use pooling::Prototypes;
use record::{on_cpu, record};
use recurrence::{Impressions, Recurrence};
use retrieval::DisentangledRetrieval;
pub use retrieval_options::RetrievalOptions;
use transformer::TransformerBlock;

/// Weights of a transformer block; matrices are `[in, out]`.
#[derive(Clone, Debug)]
pub struct BlockWeights {
    /// `[d, d]`
    pub query: Tensor<2>,
    /// `[d, d]`
    pub key: Tensor<2>,
    /// `[d, d]`
    pub value: Tensor<2>,
    /// `[d, d]`
    pub output: Tensor<2>,
    /// `[d, f]`
    pub expand_weight: Tensor<2>,
    /// `[f]`
    pub expand_bias: Tensor<1>,
    /// `[f, d]`
    pub contract_weight: Tensor<2>,
    /// `[d]`
    pub contract_bias: Tensor<1>,
    /// Layer norm after the attention `[d]`.
    pub attention_gamma: Tensor<1>,
    /// `[d]`
    pub attention_beta: Tensor<1>,
    /// Layer norm after the feed-forward part `[d]`.
    pub feed_forward_gamma: Tensor<1>,
    /// `[d]`
    pub feed_forward_beta: Tensor<1>,
}

/// Whether the fused operations can take this tensor: 32-bit floats on the CPU backend, tracked or not.
pub fn available<const D: usize>(x: &Tensor<D>) -> bool {
    on_cpu(&x.clone().into_dispatch())
}

/// A post-norm transformer block over packed histories.
///
/// x1 = LN(x + MHA(x)); y = LN(x1 + relu(x1 W1 + b1) W2 + b2), softmax(Q K^T * `scale`) per head over the feed's own
/// events, layer norm with 1e-5 and the biased variance. `x` and y are `[m, d]`.
///
/// # Panics
/// If shapes do not fit, `heads` does not divide `d`, or a tensor is not [`available`].
pub fn transformer_block(
    x: Tensor<2>,
    offsets: &Arc<Offsets>,
    weights: BlockWeights,
    heads: usize,
    scale: f32,
) -> Tensor<2> {
    let [m, d] = x.dims();
    let [_, f] = weights.expand_weight.dims();
    assert_eq!(m, offsets.total(), "rows of x and events of the offsets");
    assert!(heads > 0 && d % heads == 0, "{heads} heads do not divide the width {d}");
    for square in [&weights.query, &weights.key, &weights.value, &weights.output] {
        assert_eq!(square.dims(), [d, d], "a projection of the attention");
    }
    assert_eq!(weights.expand_weight.dims(), [d, f], "the expanding weight");
    assert_eq!(weights.contract_weight.dims(), [f, d], "the contracting weight");
    assert_eq!(weights.expand_bias.dims(), [f], "the expanding bias");
    for vector in [
        &weights.contract_bias,
        &weights.attention_gamma,
        &weights.attention_beta,
        &weights.feed_forward_gamma,
        &weights.feed_forward_beta,
    ] {
        assert_eq!(vector.dims(), [d], "a bias or a layer norm's weight");
    }
    let attention = Attention { width: d, heads, scale };
    let block = TransformerBlock { offsets: Arc::clone(offsets), attention, hidden: f };
    let inputs = [
        x.into_dispatch(),
        weights.query.into_dispatch(),
        weights.key.into_dispatch(),
        weights.value.into_dispatch(),
        weights.output.into_dispatch(),
        weights.expand_weight.into_dispatch(),
        weights.expand_bias.into_dispatch(),
        weights.contract_weight.into_dispatch(),
        weights.contract_bias.into_dispatch(),
        weights.attention_gamma.into_dispatch(),
        weights.attention_beta.into_dispatch(),
        weights.feed_forward_gamma.into_dispatch(),
        weights.feed_forward_beta.into_dispatch(),
    ];
    record(block, inputs)
}

/// Mean and maximum `[b, d]` of every feed's rows of `x` `[m, d]`; zeros for an empty feed.
///
/// Rows that share a maximum share its gradient evenly.
///
/// # Panics
/// If shapes do not fit or `x` is not [`available`].
pub fn prototypes(x: Tensor<2>, offsets: &Arc<Offsets>) -> (Tensor<2>, Tensor<2>) {
    let [m, d] = x.dims();
    assert_eq!(m, offsets.total(), "rows of x and events of the offsets");
    let operation = Prototypes { offsets: Arc::clone(offsets), width: d };
    let both = record(operation, [x.into_dispatch()]);
    (both.clone().narrow(1, 0, d), both.narrow(1, d, d))
}

/// Consistent and specific interest of every candidate, side by side `[n, 2 d]`: Eq. 5 to 7.
///
/// p_i = sigmoid(h_i * (o_c - o_s)), z_c,i = p_i h_i, z_s,i = (1 - p_i) h_i; z = sum_i softmax_i(e . z_i) z_i for both parts. `h` `[m, d]` are the events, `difference` o_c - o_s,
/// `[b, d]` or, per event, `[m, d]`, `target` `[n, d]` the candidates. Zeros where the history is empty.
///
/// # Panics
/// If shapes do not fit or a tensor is not [`available`].
pub fn disentangled_retrieval(
    h: Tensor<2>,
    difference: Tensor<2>,
    target: Tensor<2>,
    histories: &Arc<Offsets>,
    candidates: &Arc<Offsets>,
    options: RetrievalOptions,
) -> Tensor<2> {
    let [m, d] = h.dims();
    let b = histories.feeds();
    assert_eq!(m, histories.total(), "rows of h and events of the histories");
    assert_eq!(b, candidates.feeds(), "feeds of the histories and of the candidates");
    let prototypes = if options.per_event { m } else { b };
    assert_eq!(difference.dims(), [prototypes, d], "the difference of the prototypes");
    assert_eq!(target.dims(), [candidates.total(), d], "the candidates");
    let operation = DisentangledRetrieval {
        histories: Arc::clone(histories),
        candidates: Arc::clone(candidates),
        width: d,
        options,
    };
    record(operation, [h, difference, target].map(Tensor::into_dispatch))
}

/// What [`attention_unit`] is applied to and its weights; matrices are `[in, out]`.
#[derive(Clone, Debug)]
pub struct UnitInputs {
    /// Candidates `[n, d]`.
    pub target: Tensor<2>,
    /// Events `[m, d]`.
    pub items: Tensor<2>,
    /// What each candidate adds to the first hidden layer of its pairs, bias included `[n, h]`.
    pub of_target: Tensor<2>,
    /// What each event adds `[m, h]`.
    pub of_item: Tensor<2>,
    /// Weight of the element-wise product in the first hidden layer `[d, h]`.
    pub product: Tensor<2>,
    /// Second hidden layer `[h, g]`.
    pub second_weight: Tensor<2>,
    /// `[g]`
    pub second_bias: Tensor<1>,
    /// The score `[g, 1]`.
    pub score: Tensor<2>,
}

/// DIN's attention unit without the score's bias: `[n, longest]`, zero beyond the end of a feed's history.
///
/// `score . sigmoid(W2 sigmoid(of_target_i + of_item_j + (target_i * item_j) W) + b2)` for every candidate i and every
/// event j of its feed.
///
/// # Panics
/// If shapes do not fit, `longest` is below the longest history, or a tensor is not [`available`].
pub fn attention_unit(
    inputs: UnitInputs,
    histories: &Arc<Offsets>,
    candidates: &Arc<Offsets>,
    longest: usize,
) -> Tensor<2> {
    let [h, g] = inputs.second_weight.dims();
    let [n, d] = inputs.target.dims();
    let m = histories.total();
    assert_eq!(n, candidates.total(), "rows of the targets and of the candidates");
    assert_eq!(
        histories.feeds(),
        candidates.feeds(),
        "feeds of the histories and of the candidates"
    );
    assert!(histories.longest() <= longest, "a history of more than {longest} events");
    assert_eq!(inputs.items.dims(), [m, d], "the events");
    assert_eq!(inputs.of_target.dims(), [n, h], "the candidates' part of the first layer");
    assert_eq!(inputs.of_item.dims(), [m, h], "the events' part of the first layer");
    assert_eq!(inputs.product.dims(), [d, h], "the weight of the product");
    assert_eq!(inputs.second_bias.dims(), [g], "the bias of the second layer");
    assert_eq!(inputs.score.dims(), [g, 1], "the weight of the score");
    let operation = AttentionUnit {
        histories: Arc::clone(histories),
        candidates: Arc::clone(candidates),
        width: d,
        hidden: [h, g],
        longest,
    };
    let inputs = [
        inputs.target.into_dispatch(),
        inputs.items.into_dispatch(),
        inputs.of_target.into_dispatch(),
        inputs.of_item.into_dispatch(),
        inputs.product.into_dispatch(),
        inputs.second_weight.into_dispatch(),
        inputs.second_bias.into_dispatch(),
        inputs.score.into_dispatch(),
    ];
    record(operation, inputs)
}

/// The states `[m, d]` of a GRU over each feed's events, from what these give to r, u and c `[m, 3 d]`:
/// `r, u = sigmoid(x + h U)`, `c = tanh(x + (r * h) U_c)`, `h <- h + u (c - h)` from h = 0, with `gates` U `[d, 2 d]` and `candidate`
/// U_c `[d, d]`.
///
/// # Panics
/// If shapes do not fit or a tensor is not [`available`].
pub fn gru_states(
    projected: Tensor<2>,
    [gates, candidate]: [Tensor<2>; 2],
    histories: &Arc<Offsets>,
) -> Tensor<2> {
    let [width, _] = candidate.dims();
    check_recurrence(&projected, [&gates, &candidate], histories);
    let histories = Arc::clone(histories);
    let inputs = [projected.into_dispatch(), gates.into_dispatch(), candidate.into_dispatch()];
    record(Recurrence { histories, impressions: None, width }, inputs)
}

/// The last state `[n, d]` of an AUGRU for every impression over its feed's events, zero without any: as [`gru_states`], with `a u` in
/// u's place and `attention` a `[n, l]`, whose columns beyond a history's end count for nothing.
///
/// # Panics
/// If shapes do not fit or a tensor is not [`available`].
pub fn augru_last(
    projected: Tensor<2>,
    [gates, candidate]: [Tensor<2>; 2],
    attention: Tensor<2>,
    [histories, candidates]: [&Arc<Offsets>; 2],
) -> Tensor<2> {
    let ([width, _], [n, longest]) = (candidate.dims(), attention.dims());
    check_recurrence(&projected, [&gates, &candidate], histories);
    assert_eq!(n, candidates.total(), "rows of the attention and impressions");
    assert_eq!(histories.feeds(), candidates.feeds(), "feeds of histories and of candidates");
    assert!(histories.longest() <= longest, "a history of more than {longest} events");
    let histories = Arc::clone(histories);
    let impressions = Some(Impressions { candidates: Arc::clone(candidates), longest });
    let inputs = [
        projected.into_dispatch(),
        gates.into_dispatch(),
        candidate.into_dispatch(),
        attention.into_dispatch(),
    ];
    record(Recurrence { histories, impressions, width }, inputs)
}

fn check_recurrence(
    projected: &Tensor<2>,
    [gates, candidate]: [&Tensor<2>; 2],
    histories: &Offsets,
) {
    let [d, _] = candidate.dims();
    assert_eq!(candidate.dims(), [d, d], "the candidate's weight");
    assert_eq!(gates.dims(), [d, 2 * d], "the gates' weight");
    assert_eq!(projected.dims(), [histories.total(), 3 * d], "what the events give");
}

/// Euclidean distances `[r, r]` of all rows of `x` `[r, d]`, from their differences; no gradient where rows coincide.
///
/// # Panics
/// If `x` is not [`available`].
pub fn pairwise_distance(x: Tensor<2>) -> Tensor<2> {
    let [rows, width] = x.dims();
    record(PairwiseDistance { rows, width }, [x.into_dispatch()])
}

/// Tables of one [`gather_concat`] step; more are joined afterwards.
const TABLES: usize = 8;

/// Rows of several tables side by side: `[rows, sum of widths]` from tables `[u, w]`, each with one place per row.
///
/// # Panics
/// If there is no table, the numbers of places differ, a place is beyond its table, or a table is not [`available`].
pub fn gather_concat(tables: &[Tensor<2>], places: &[Arc<Vec<u32>>]) -> Tensor<2> {
    assert_eq!(tables.len(), places.len(), "one list of places for every table");
    match tables.len() {
        1 => gather::<1>(tables, places),
        2 => gather::<2>(tables, places),
        3 => gather::<3>(tables, places),
        4 => gather::<4>(tables, places),
        5 => gather::<5>(tables, places),
        6 => gather::<6>(tables, places),
        7 => gather::<7>(tables, places),
        TABLES => gather::<TABLES>(tables, places),
        count => {
            assert!(count > 0, "a look-up needs at least one table");
            let (tables, more) = tables.split_at(TABLES);
            let (places, others) = places.split_at(TABLES);
            Tensor::cat(vec![gather::<TABLES>(tables, places), gather_concat(more, others)], 1)
        }
    }
}

fn gather<const N: usize>(tables: &[Tensor<2>], places: &[Arc<Vec<u32>>]) -> Tensor<2> {
    let rows = places[0].len();
    assert!(places.iter().all(|places| places.len() == rows), "as many places for every table");
    let places = std::array::from_fn(|i| Arc::clone(&places[i]));
    let widths = std::array::from_fn(|i| tables[i].dims()[1]);
    let inputs = std::array::from_fn(|i| tables[i].clone().into_dispatch());
    record(GatherConcat::<N> { widths, places }, inputs)
}
