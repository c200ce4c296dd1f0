//! Retrieval from a history by dot products (Eq. 6-7), of the events as they are or taken apart into two parts (Eq. 5).

use burn::tensor::{Tensor, activation};

use super::masked_softmax::masked_softmax;
use crate::fused;
use crate::rows::Rows;

pub use crate::fused::RetrievalOptions;

/// z_c and z_s of every impression.
#[derive(Debug)]
pub struct Retrieved {
    /// z_c `[n, d]`, zero without history.
    pub consistent: Tensor<2>,
    /// z_s `[n, d]`, zero without history.
    pub specific: Tensor<2>,
    /// What led to them, if asked for.
    pub seen: Option<Seen>,
}

/// What [`disentangled_retrieval`] weighs by.
#[derive(Debug)]
pub struct Seen {
    /// p(z_c|v_i) `[m, d]` or `[m, 1]`.
    pub intention: Tensor<2>,
    /// a_c and a_s `[b, c, l]`.
    pub attention: [Tensor<3>; 2],
}

/// Eq. 5 to 7, of H `[m, d]`, `difference` o_c - o_s (`[b, d]` or, per event, `[m, d]`) and `target` `[n, d]`. `keep` asks for what
/// led to the vectors, which only the composed operations know.
pub fn disentangled_retrieval(
    encoded: Tensor<2>,
    difference: Tensor<2>,
    target: &Tensor<2>,
    [events, candidates]: [&Rows; 2],
    options: RetrievalOptions,
    keep: bool,
) -> Retrieved {
    if events.fused && !keep {
        let [_, d] = target.dims();
        let (histories, candidates) = (&events.offsets, &candidates.offsets);
        let both = fused::disentangled_retrieval(
            encoded,
            difference,
            target.clone(),
            histories,
            candidates,
            options,
        );
        let (consistent, specific) = (both.clone().narrow(1, 0, d), both.narrow(1, d, d));
        return Retrieved { consistent, specific, seen: None };
    }

    // eq. 5: p(z_c|v_i) = sigmoid(h_i * (o_c - o_s)), p(z_s|v_i) = 1 - p(z_c|v_i)        [m, d] or [m, 1]
    let difference = if options.per_event { difference } else { events.repeat(difference) };
    let exponent = encoded.clone() * difference;
    let exponent = if options.elementwise { exponent } else { exponent.sum_dim(1) };
    let intention = activation::sigmoid(exponent);
    let consistent = encoded.clone() * intention.clone(); //                           z_c,i [m, d]
    let specific = encoded - consistent.clone();

    // eq. 6-7: a_c,i = softmax_i(e_vt . z_c,i), z_c = sum_i a_c,i z_c,i
    let retrieve = |parts| attend(parts, target, [events, candidates]);
    let (consistent, of_consistent) = retrieve(consistent);
    let (specific, of_specific) = retrieve(specific);
    let seen = keep.then(|| Seen { intention, attention: [of_consistent, of_specific] });
    Retrieved { consistent, specific, seen }
}

/// `sum_i a_i x_i` `[n, d]` and `a_i = softmax_i(q . x_i)` `[b, c, l]` over the real events, of `target` `[n, d]` and events
/// `[m, d]`.
pub fn attend(
    vectors: Tensor<2>,
    target: &Tensor<2>,
    [events, candidates]: [&Rows; 2],
) -> (Tensor<2>, Tensor<3>) {
    let vectors = events.pad(vectors); //                                              [b, l, d]
    let target = candidates.pad(target.clone()); //                                    [b, c, d]
    let scores = target.matmul(vectors.clone().transpose());
    let [b, c, l] = scores.dims();
    let mask = events.mask().reshape([b, 1, l]).expand([b, c, l]);
    let attention = masked_softmax(scores, mask);
    (candidates.pack(attention.clone().matmul(vectors)), attention)
}
