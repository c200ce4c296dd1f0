"""What the PyTorch controls of `eliverec bench train` share: batched, on full histories, in float32.

Parameters have the names and shapes of `models.py`, `baselines.py` and `cross_domain.py`, which are the equations.
Letters: b feeds, c candidates of each, l events of each, d width, h heads.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models import Encoded, Tensors
from ops import HGN_PLACES, scope

DOMAINS = ("live", "product")


@dataclass
class Inputs:
    """A batch as vectors."""

    context: Tensor
    """e_c `[b, d]`"""
    target: Tensor
    """e_vt `[b, c, d]`"""
    items: Tensors
    """E per domain `[b, l, d]`; no event has fields of its own, so they are bare as well."""
    places: Tensors
    """Of the users `[b]`, the candidates `[b, c]` and each domain's events `[b, l]` among the distinct ids."""
    recency: Tensors
    """Buckets of the events' ages per domain `[b, l]`."""
    sampled: Tensor
    """The impression of each feed that regularisers see `[b]`, into b c."""
    drawn: Tensors
    """Events drawn as negatives by term, as numbers from 0 to b l."""
    tables: Tensors
    """The rows of a model's own tables by name `[u, w]`."""


def linear(x: Tensor, w: Tensors) -> Tensor:
    """`x W + b` in one step."""
    return affine(x, w["weight"], w["bias"])


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same of any number of rows' axes."""
    return F.linear(x, weight.T, bias)


# Towers


def tower(fields: list[Tensor], layers: list[tuple[Tensor, Tensor]], slopes: list[Tensor]) -> Tensor:
    """Dense layers with PReLU between them. The first is taken apart: `[b, w]` goes through it once per feed.

    Fields are `[b, w]` or `[b, c, w]`, in the order of the first layer's rows; logits `[b, c]`.
    """
    (first, bias), *rest = layers
    parts = first.split([x.shape[-1] for x in fields])
    of_feeds = [(x, part) for x, part in zip(fields, parts) if x.dim() == 2]
    of_rows = [(x, part) for x, part in zip(fields, parts) if x.dim() == 3]
    x = joined(of_rows)
    x = x + (joined(of_feeds) + bias)[:, None] if of_feeds else x + bias
    for slope, (weight, bias) in zip(slopes, rest):
        x = affine(prelu(x, slope), weight, bias)
    return x.squeeze(-1)


def joined(pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The sum of x W over fields and their rows of the layer, as one product."""
    fields, parts = zip(*pairs)
    return torch.cat(fields, -1) @ torch.cat(parts)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """One slope per unit."""
    return F.prelu(x.flatten(0, -2), slope).view(x.shape)


def main_tower(fields: list[Tensor], w: Tensors) -> Tensor:
    """The tower of all models."""
    numbers = range(sum(name.endswith(".weight") and name.startswith("tower.") for name in w))
    layers = [(w[f"tower.{i}.weight"], w[f"tower.{i}.bias"]) for i in numbers]
    return tower(fields, layers, [w[f"tower.{i}.slope"] for i in numbers[:-1]])


def net(fields: list[Tensor], w: Tensors) -> Tensor:
    """A model's own net of the tower's shape."""
    numbers = range(sum(name.startswith("layers.") and name.endswith("weight") for name in w))
    layers = [(w[f"layers.{i}.weight"], w[f"layers.{i}.bias"]) for i in numbers]
    return tower(fields, layers, [w[f"slopes.{i}"] for i in numbers[:-1]])


# Attention


def split_heads(x: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """`[b, l, parts d]` -> `parts` times `[b, h, l, d/h]`."""
    b, l, w = x.shape
    return x.view(b, l, parts, heads, w // parts // heads).permute(2, 0, 3, 1, 4).unbind(0)


def attended(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None = None) -> Tensor:
    """Eq. 4 by PyTorch's fused kernel, heads side by side again: `[b, l, d]`."""
    heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    return heads.transpose(1, 2).flatten(2)


def weights_of(w: Tensors, *names: str) -> Tensor:
    """Matrices side by side, so that they take one product."""
    return torch.cat([w[name] for name in names], 1)


def norm(x: Tensor, w: Tensors, name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}_gamma"], w[f"{name}_beta"])


def feed_forward(x: Tensor, w: Tensors, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """The second half of a block: residual and norm around two layers."""
    hidden = activation(affine(x, w["expand_weight"], w["expand_bias"]))
    return norm(x + affine(hidden, w["contract_weight"], w["contract_bias"]), w, "feed_forward")


def block(x: Tensor, w: Tensors, heads: int, lengths: tuple[int, ...] | None = None) -> list[Tensor]:
    """Eq. 3-4, post-norm, with 1/sqrt(d): of the first events, as many as each of `lengths` says, `[b, length, d]` each.

    What an event gives is projected once, whatever the lengths.
    """
    q, k, v = split_heads(x @ weights_of(w, "query", "key", "value"), 3, heads)
    scale = x.shape[-1] ** -0.5
    lengths = lengths or (x.shape[1],)
    first = [[part[:, :, :length] for part in (q, k, v)] for length in lengths]
    heads_of = torch.cat([attended(*parts, scale) for parts in first], 1)
    x = torch.cat([x[:, :length] for length in lengths], 1)
    x = norm(x + heads_of @ w["output"], w, "attention")
    return list(feed_forward(x, w, torch.relu).split(lengths, 1))


def encoded_means(
    x: Tensor, w: Tensors, heads: int, lengths: tuple[int, ...] | None = None
) -> list[Tensor]:
    """The means of `block`, `[b, d]` each."""
    return [h.mean(1) for h in block(x, w, heads, lengths)]


def attention_unit(target: Tensor, items: Tensor, w: Tensors) -> Tensor:
    """DIN's softmax weights `[b, c, l]`.

    [q, k, q - k, q * k] W = q (W_q + W_d) + k (W_k - W_d) + (q * k) W_p: only the last is of pairs.
    """
    of_q, of_k, of_difference, of_product = w["hidden1_weight"].chunk(4)
    hidden = (target[:, :, None] * items[:, None]) @ of_product  # [b, c, l, 80]
    hidden += affine(target, of_q + of_difference, w["hidden1_bias"])[:, :, None]
    hidden += (items @ (of_k - of_difference))[:, None]
    hidden = affine(hidden.sigmoid_(), w["hidden2_weight"], w["hidden2_bias"]).sigmoid_()
    scores = affine(hidden, w["score_weight"], w["score_bias"]).squeeze(-1)
    return torch.softmax(scores * target.shape[-1] ** -0.5, -1)


# HGN


def gates(items: Tensor, user: Tensor, w: Tensors) -> tuple[Tensor, Tensor]:
    """x_i `[b, l, d]` and s_i `[b, l]` of users `[b, d]`."""
    of_user = affine(user, w["feature_user"], w["feature_bias"])
    gated = items * (items @ w["feature_item"]).add_(of_user[:, None]).sigmoid_()
    ages = torch.arange(items.shape[1] - 1, -1, -1).clamp(max=HGN_PLACES - 1)
    of_places = user @ w["instance_user"].index_select(0, ages).T
    return gated, torch.sigmoid((gated @ w["instance_item"]).squeeze(-1) + of_places)


# Terms of the loss


def mean_entropy(logits: Tensor, label: float) -> Tensor:
    """Of rows that all have the same label."""
    return F.softplus(-logits if label else logits).mean()


def rows_at(rows: Tensor, places: Tensor) -> Tensor:
    """`[u, w]` at places of any shape: `[.., w]`."""
    return rows.index_select(0, places.flatten()).view(*places.shape, rows.shape[1])


def next_event_entropy(inputs: Inputs, domain: str, states: Tensor) -> Tensor:
    """DIEN's auxiliary loss of the states `[b, l, d]`; a drawn event of the same entity as the next one does not count."""
    items, places = inputs.items[domain], inputs.places[domain]
    drawn = inputs.drawn[f"auxiliary_{domain}"]  # [b, l - 1]
    before = states[:, :-1]
    come = (before * items[:, 1:]).sum(-1)
    others = (before * rows_at(items.flatten(0, 1), drawn)).sum(-1)
    counts = places.flatten()[drawn] != places[:, 1:]
    return mean_entropy(come, 1) + (F.softplus(others) * counts).sum() / counts.sum()


@dataclass
class NextClicks:
    """Of each feed its newest click and the drawn ones, `[b, 5]`."""

    shown: Tensor
    """`[b, 5, d]`"""
    counts: Tensor
    """Whether a row counts: a drawn click of a product that the user has in the own history does not."""

    @classmethod
    def of(cls, inputs: Inputs) -> "NextClicks":
        items, places = inputs.items["product"], inputs.places["product"]
        drawn = inputs.drawn["next_click"]  # [b, 4]
        others = rows_at(items.flatten(0, 1), drawn)
        known = (places.flatten()[drawn][:, :, None] == places[:, None]).any(-1)
        counts = torch.cat([torch.ones_like(known[:, :1]), ~known], 1)
        return cls(torch.cat([items[:, -1:], others], 1), counts)

    def term(self, logits: Tensor) -> Tensor:
        """The mean cross entropy of logits `[b, 5]`, of which the first of a feed is the positive."""
        signs = logits.new_tensor([-1.0] + [1.0] * (logits.shape[1] - 1))
        return (F.softplus(logits * signs) * self.counts).sum() / self.counts.sum()


# What a model gives


def encoded(inputs: Inputs) -> Encoded:
    """The fields that all models share, of a schema without a state of the target; those of feeds are `[b, d]`."""
    return Encoded({"context": inputs.context, "target": inputs.target})


def domain_scopes(w: Tensors, root: str) -> dict[str, Tensors]:
    """The parameters below `root.` of each domain."""
    return {domain: scope(w, f"{root}.{domain}") for domain in DOMAINS}
