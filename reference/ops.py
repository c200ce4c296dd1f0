"""The equations of eLiveRec, DIN, ETA, DIEN, HGN and BST, one function each, written from the papers.

Histories are packed: the events of all feeds one after another, `[m, d]`, with the number of events of
every feed, `lengths` `[b]`. A loop over the feeds keeps each line next to its equation; nothing here is fast.
Letters: b feeds, n impressions, m history events, l events of one feed, c impressions of one feed,
r rows of a regulariser, d width, f feed-forward width. Linear maps are `x W + b` with W `[in, out]`.
"""

import math
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

EPSILON = 1e-5
"""Added to the variance of a layer norm."""

TEMPERATURE = 0.5
"""tau of Eq. 9."""

RECENCY_BUCKETS = 32
"""Rows of the recency embedding."""

HGN_PLACES = 50
"""Places with their own weights in HGN's instance gate, counted from the newest event."""


# Softmax and normalisation


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis where `mask` holds; 0 elsewhere, and everywhere in a row without any."""
    scores = scores.masked_fill(~mask, -torch.inf)
    largest = scores.amax(-1, keepdim=True).nan_to_num(neginf=0.0)
    weights = torch.exp(scores - largest)
    total = weights.sum(-1, keepdim=True)
    return weights / torch.where(total > 0, total, 1.0)


def packed_softmax(scores: Tensor, lengths: Tensor) -> Tensor:
    """Softmax within each feed. `scores` `[m]` -> `[m]`."""
    return torch.cat([torch.softmax(feed, 0) for feed in per_feed(scores, lengths)])


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """gamma (x - mean) / sqrt(var + 1e-5) + beta over the last axis, with the biased variance."""
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    return gamma * (x - mean) / torch.sqrt(variance + EPSILON) + beta


# Basic sequence encoder, Eq. 3-4


def recency_buckets(age_s: Tensor) -> Tensor:
    """min(31, floor(log2(max(age, 1)))) of ages in seconds `[m]`."""
    return age_s.clamp(min=1.0).log2().floor().long().clamp(max=RECENCY_BUCKETS - 1)


def attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Eq. 4: softmax(Q K^T scale) V, with scale = 1/sqrt(d) in the paper."""
    return torch.softmax(query @ key.T * scale, -1) @ value


def multi_head_attention(
    query: Tensor, events: Tensor, w: dict[str, Tensor], heads: int, scale: float
) -> Tensor:
    """Eq. 3: Concat(head_1 .. head_h) W^h, head_i with columns i d/h .. (i + 1) d/h of W^Q, W^K, W^V.

    `query` `[c, d]` attends over `events` `[l, d]`, l >= 1, and gives `[c, d]`.
    """
    q, k, v = query @ w["query"], events @ w["key"], events @ w["value"]
    parts = zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1))
    return torch.cat([attention(*part, scale) for part in parts], -1) @ w["output"]


def transformer_block(
    x: Tensor, lengths: Tensor, w: dict[str, Tensor], heads: int, scale: float
) -> Tensor:
    """Eq. 3 with the residuals and layer norms that the paper leaves out for brevity (post-norm)."""
    blocks = []
    for h in per_feed(x, lengths):
        if len(h) == 0:
            blocks.append(h)
            continue
        mixed = h + multi_head_attention(h, h, w, heads, scale)
        h = layer_norm(mixed, w["attention_gamma"], w["attention_beta"])
        expanded = torch.relu(h @ w["expand_weight"] + w["expand_bias"])  # [l, f]
        contracted = expanded @ w["contract_weight"] + w["contract_bias"]
        blocks.append(
            layer_norm(h + contracted, w["feed_forward_gamma"], w["feed_forward_beta"])
        )
    return torch.cat(blocks)


# Disentangled encoder, Eq. 5-7


def prototypes(items: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """o_c = mean and o_s = max over the events of each feed, `[b, d]` each; zeros without events.

    The gradient of the max is split evenly among equal events.
    """
    empty = items.new_zeros(items.shape[1])
    feeds = per_feed(items, lengths)
    mean = torch.stack([e.mean(0) if len(e) else empty for e in feeds])
    largest = torch.stack([e.amax(0) if len(e) else empty for e in feeds])
    return mean, largest


def most_alike(items: Tensor, others: Tensor) -> Tensor:
    """What `others` `[n, d]` have most like each of `items` `[l, d]`: their mean under softmax(cosine / 0.2), `[l, d]`."""
    norms = items.norm(dim=1)[:, None] * others.norm(dim=1)
    return torch.softmax(items @ others.T / norms / 0.2, dim=1) @ others


def intention(h: Tensor, consistent: Tensor, specific: Tensor, weight: str) -> Tensor:
    """Eq. 5: p(z_c|v_i) = exp(h_i o_c) / (exp(h_i o_c) + exp(h_i o_s)); p(z_s|v_i) is the rest to 1.

    `weight` "elementwise" (the paper) takes h_i o as the element-wise product, `[l, d]`; "scalar" as the dot
    product, `[l, 1]`.
    """
    products = torch.stack([h * consistent, h * specific])  # [2, l, d]
    if weight == "scalar":
        products = products.sum(-1, keepdim=True)
    return torch.softmax(products, 0)[0]


def retrieval_weights(target: Tensor, components: Tensor) -> Tensor:
    """Eq. 6: softmax_i(e_vt . z_i). `target` `[c, d]`, `components` `[l, d]` -> `[c, l]`."""
    return torch.softmax(target @ components.T, -1)


def target_attention(target: Tensor, components: Tensor) -> Tensor:
    """Eq. 6-7: sum_i softmax_i(e_vt . z_i) z_i. `[c, d]`; zeros without events."""
    if len(components) == 0:
        return torch.zeros_like(target)
    return retrieval_weights(target, components) @ components


# Self-supervised regularisation, Eq. 8-10


def guarded_sqrt(x: Tensor) -> Tensor:
    """The square root, with value 0 and gradient 0 where x <= 0."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1.0).sqrt(), 0.0)


def guarded_ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The ratio, with value 0 and gradient 0 where the denominator is not positive."""
    positive = denominator > 0
    return torch.where(positive, numerator / torch.where(positive, denominator, 1.0), 0.0)


def pairwise_distance(x: Tensor) -> Tensor:
    """Euclidean distances between rows, `[r, d]` -> `[r, r]`; gradient 0 between coinciding rows."""
    return guarded_sqrt((x[:, None] - x[None]).square().sum(-1))


def double_centred(distance: Tensor) -> Tensor:
    """A_kl = a_kl - a_k. - a_.l + a_.. (means over rows, columns, all), Székely et al. 2007."""
    rows, columns = distance.mean(1, keepdim=True), distance.mean(0, keepdim=True)
    return distance - rows - columns + distance.mean()


def distance_covariance(x: Tensor, y: Tensor) -> Tensor:
    """dCov(x, y) = sqrt(mean(A B)); dVar(x) = dCov(x, x)."""
    a, b = double_centred(pairwise_distance(x)), double_centred(pairwise_distance(y))
    return guarded_sqrt((a * b).mean())


def distance_correlation(x: Tensor, y: Tensor) -> Tensor:
    """A domain's term of Eq. 8: dCov(x, y) / sqrt(dVar(x) dVar(y)); 0 if a dVar is 0 or r < 2."""
    if len(x) < 2:
        return x.new_zeros(())
    variances = distance_covariance(x, x) * distance_covariance(y, y)
    return guarded_ratio(distance_covariance(x, y), guarded_sqrt(variances))


def u_centred(distance: Tensor) -> Tensor:
    """A_kl = a_kl - sum_j a_kj / (r-2) - sum_i a_il / (r-2) + sum_ij a_ij / ((r-1)(r-2)), A_kk = 0.

    Székely & Rizzo 2014, "Partial distance correlation with methods for dissimilarities", Definition 2.
    """
    r = len(distance)
    rows, columns = distance.sum(1, keepdim=True), distance.sum(0, keepdim=True)
    centred = distance - (rows + columns) / (r - 2) + distance.sum() / ((r - 1) * (r - 2))
    return centred * (1 - torch.eye(r, dtype=distance.dtype))


def bias_corrected_distance_correlation(x: Tensor, y: Tensor) -> Tensor:
    """R*(x, y) = <A, B> / sqrt(<A, A> <B, B>) with U-centred A, B and <A, B> = sum A B / (r (r-3)).

    Székely & Rizzo 2014, Eq. 2.6. It estimates the *squared* distance correlation, has mean 0 for independent
    rows and may be negative; no root is taken. 0 if a norm is 0 or r < 4.
    """
    if len(x) < 4:
        return x.new_zeros(())
    a, b = u_centred(pairwise_distance(x)), u_centred(pairwise_distance(y))

    def inner(p: Tensor, q: Tensor) -> Tensor:
        return (p * q).sum() / (len(x) * (len(x) - 3))

    return guarded_ratio(inner(a, b), guarded_sqrt(inner(a, a) * inner(b, b)))


def cosine_matrix(x: Tensor, y: Tensor) -> Tensor:
    """cos(x_i, y_j), `[r, d]` and `[r, d]` -> `[r, r]`; 0 for a zero row."""

    def unit(z: Tensor) -> Tensor:
        return guarded_ratio(z, guarded_sqrt(z.square().sum(-1, keepdim=True)))

    return unit(x) @ unit(y).T


def info_nce(anchor: Tensor, positive: Tensor, users: Tensor) -> Tensor:
    """Eq. 9, mean over rows; 0 if r < 2.

    -log exp(cos(x_i, y_i) / tau) / sum_j exp(cos(x_i, y_j) / tau), with j = i (the positive) and all j of
    other users: other feeds of one user are neither positive nor negative.
    """
    if len(anchor) < 2:
        return anchor.new_zeros(())
    logits = cosine_matrix(anchor, positive) / TEMPERATURE  # [r, r]
    same_row = torch.eye(len(users), dtype=torch.bool)
    taking_part = same_row | (users[:, None] != users[None])
    logits = logits.masked_fill(~taking_part, -torch.inf)
    return (torch.logsumexp(logits, 1) - logits.diagonal()).mean()


def mean_cosine_distance(x: Tensor, y: Tensor) -> Tensor:
    """Variant Cos of Table III: mean of 1 - cos(x_i, y_i); 0 if r < 2."""
    return (1 - cosine_matrix(x, y).diagonal()).mean() if len(x) >= 2 else x.new_zeros(())


def mean_euclidean_distance(x: Tensor, y: Tensor) -> Tensor:
    """Variant Enc of Table III: mean of |x_i - y_i|; 0 if r < 2."""
    distance = guarded_sqrt((x - y).square().sum(-1))
    return distance.mean() if len(x) >= 2 else x.new_zeros(())


# DIN's attention unit


def din_scores(target: Tensor, events: Tensor, w: dict[str, Tensor]) -> Tensor:
    """MLP([q, k, q - k, q * k]), 4d -> 80 -> 40 -> 1 with sigmoids. `[c, d]`, `[l, d]` -> `[c, l]`."""
    q, k = torch.broadcast_tensors(target[:, None], events[None])  # [c, l, d]
    pair = torch.cat([q, k, q - k, q * k], -1)
    hidden = torch.sigmoid(pair @ w["hidden1_weight"] + w["hidden1_bias"])
    hidden = torch.sigmoid(hidden @ w["hidden2_weight"] + w["hidden2_bias"])
    return (hidden @ w["score_weight"] + w["score_bias"]).squeeze(-1)


def din_weights(scores: Tensor, normalize: str, width: int) -> Tensor:
    """Activation of DIN's scores over the events, `[c, l]`.

    "softmax": softmax(score / sqrt(d)), as in the authors' code. "sigmoid": sigmoid(score / sqrt(d)).
    "none": the score itself, neither scaled nor normalised, as in the paper (its Eq. 3).
    """
    match normalize:
        case "softmax":
            return torch.softmax(scores / math.sqrt(width), -1)
        case "sigmoid":
            return torch.sigmoid(scores / math.sqrt(width))
        case "none":
            return scores
    raise ValueError(f"unknown normalisation {normalize!r}")


# HGN, Ma et al., KDD 2019, its gates


def hgn_gated(events: Tensor, user: Tensor, w: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """x_i = e_i g_i `[l, d]` and s_i `[l, 1]`: feature gate sigmoid(e W1 + u W2 + b), instance gate sigmoid(x_i w3 + u p_i)."""
    feature = events @ w["feature_item"] + user @ w["feature_user"] + w["feature_bias"]
    gated = events * torch.sigmoid(feature)
    ages = torch.arange(len(events) - 1, -1, -1).clamp(max=HGN_PLACES - 1)  # oldest first
    scores = (gated @ w["instance_item"]).squeeze(-1) + w["instance_user"][ages] @ user
    return gated, torch.sigmoid(scores)[:, None]


def hgn_gates(events: Tensor, user: Tensor, w: dict[str, Tensor]) -> Tensor:
    """s_i x_i of `hgn_gated`, `[l, d]`."""
    gated, instance = hgn_gated(events, user, w)
    return instance * gated


# DIEN, Zhou et al., AAAI 2019, its recurrences


def recurrence(events: Tensor, w: dict[str, Tensor], attention: Tensor | None = None) -> Tensor:
    """GRU, or with `attention` `[l]` AUGRU: the states `[l, d]` after each event, from h = 0.

    r, u = sigmoid([x, h] W + b), c = tanh(x W + (r h) W_c + b), h <- (1 - a u) h + a u c.
    """
    d = events.shape[1]
    state, states = events.new_zeros(d), []
    biases = torch.cat([w["reset_bias"], w["update_bias"], w["candidate_bias"]])
    for i, event in enumerate(events):
        x = event @ w["input"] + biases
        gates = torch.sigmoid(x[: 2 * d] + state @ w["gates"])
        reset, update = gates[:d], gates[d:]
        if attention is not None:
            update = attention[i] * update
        candidate = torch.tanh(x[2 * d :] + (reset * state) @ w["candidate"])
        state = (1 - update) * state + update * candidate
        states.append(state)
    return torch.stack(states)


# Prediction, Eq. 11


def parametric_relu(x: Tensor, slope: Tensor) -> Tensor:
    """max(x, 0) + slope min(x, 0), one slope per unit. `[n, w]`, `[w]`."""
    return x.clamp(min=0) + slope * x.clamp(max=0)


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Eq. 11 from logits, mean over impressions: max(x, 0) - x y + log(1 + exp(-|x|))."""
    return (logits.clamp(min=0) - logits * labels + torch.log1p(torch.exp(-logits.abs()))).mean()


# Optimiser, Sec. V-D


def adagrad_decay(
    values: Tensor,
    gradients: Tensor,
    rate: float,
    initial: float,
    decay_steps: int,
    decay_rate: float,
) -> tuple[Tensor, Tensor]:
    """Values and accumulators after each of the updates, `[steps, w]`, from `gradients` `[steps, w]`.

    Right before update t = decay_steps, 2 decay_steps, ...: acc <- max(acc decay_rate, initial). Then
    acc <- acc + g^2 and x <- x - rate g / (sqrt(acc) + 1e-10).
    """
    accumulator = torch.full_like(values, initial)
    all_values, all_accumulators = [], []
    for step, gradient in enumerate(gradients):
        if step > 0 and step % decay_steps == 0:
            accumulator = (accumulator * decay_rate).clamp(min=initial)
        accumulator = accumulator + gradient.square()
        values = values - rate * gradient / (accumulator.sqrt() + 1e-10)
        all_values.append(values)
        all_accumulators.append(accumulator)
    return torch.stack(all_values), torch.stack(all_accumulators)


# Packing


def per_feed(rows: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
    """The rows of each feed, as views: `[m, ..]` -> b times `[l, ..]`."""
    return torch.split(rows, lengths.tolist())


def scope(parameters: dict[str, T], prefix: str) -> dict[str, T]:
    """The parameters (or their shapes) below `prefix.`, by the rest of their names."""
    start = prefix + "."
    return {n.removeprefix(start): p for n, p in parameters.items() if n.startswith(start)}
