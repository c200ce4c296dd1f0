"""The PyTorch controls of eLiveRec and of the models of one domain or two. Read beside `models.py` and `baselines.py`.

Each takes the options of its model there, a batch and the parameters, and gives what it gives there; fields are `[b, w]` where all
candidates of a feed have the same. What does not depend on the target is computed once per feed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

import ops
from baselines import Bst, Can, Dien, Din, Eta, Hgn, Wdl
from bench_blocks import (
    DOMAINS,
    Inputs,
    affine,
    attended,
    attention_unit,
    block,
    domain_scopes,
    encoded,
    encoded_means,
    feed_forward,
    gates,
    next_event_entropy,
    norm,
    rows_at,
    split_heads,
    weights_of,
)
from bench_recurrence import augru_last, gru_states, projected
from models import Elive, Encoded, Tensors
from ops import scope

# eLiveRec


def elive(model: Elive, inputs: Inputs, w: Tensors) -> Encoded:
    found = encoded(inputs)
    for domain, own in domain_scopes(w, "elive").items():
        items = h = inputs.items[domain]
        for i in range(model.blocks):
            (h,) = block(h, scope(own, f"blocks.{i}"), model.heads)
        difference = items.mean(1, keepdim=True) - items.amax(1, keepdim=True)
        consistent = torch.sigmoid(h * difference) * h  # Eq. 5 with two prototypes
        found.fields[f"z_c_{domain}"] = retrieved(inputs.target, consistent)
        found.fields[f"z_s_{domain}"] = retrieved(inputs.target, h - consistent)
    z = {name: sampled(x, inputs) for name, x in found.fields.items() if name.startswith("z_")}
    found.terms["cor"] = sum(distance_correlation(z[f"z_c_{k}"], z[f"z_s_{k}"]) for k in DOMAINS)
    found.terms["nce"] = info_nce(z["z_c_live"], z["z_c_product"], inputs.places["user"])
    return found


def retrieved(target: Tensor, components: Tensor) -> Tensor:
    """Eq. 6-7."""
    return torch.softmax(target @ components.transpose(1, 2), -1) @ components


def sampled(z: Tensor, inputs: Inputs) -> Tensor:
    """One impression of each feed."""
    return z.flatten(0, 1).index_select(0, inputs.sampled)


def double_centred(x: Tensor) -> Tensor:
    """Centred distances, from differences rather than from |a|^2 + |b|^2 - 2ab."""
    a = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    return a - a.mean(1, keepdim=True) - a.mean(0, keepdim=True) + a.mean()


def distance_correlation(x: Tensor, y: Tensor) -> Tensor:
    """A domain's term of Eq. 8."""
    a, b = double_centred(x), double_centred(y)
    variances = (a.square().mean() * b.square().mean()).sqrt()
    return ((a * b).mean() / variances).clamp(min=1e-12).sqrt()


def info_nce(x: Tensor, y: Tensor, users: Tensor) -> Tensor:
    """Eq. 9 with the other users of the batch as negatives."""
    logits = F.normalize(x, dim=1) @ F.normalize(y, dim=1).T / ops.TEMPERATURE
    same_user = (users[:, None] == users[None]).fill_diagonal_(False)
    return F.cross_entropy(logits.masked_fill(same_user, -torch.inf), torch.arange(len(x)))


# DIN, ETA, BST, HGN


def din(model: Din, inputs: Inputs, w: Tensors) -> Encoded:
    found = encoded(inputs)
    for domain, own in domain_scopes(w, "din").items():
        items = inputs.items[domain]
        u = attention_unit(inputs.target, items, own) @ items
        u = affine(u, own["output_weight"], own["output_bias"])
        found.fields |= {domain: u, f"{domain}_product": u * inputs.target}
    return found


def eta(model: Eta, inputs: Inputs, w: Tensors) -> Encoded:
    """q (e W_K) = (q W_K^T) e, and the sum of a e W_V is (the sum of a e) W_V.

    So no event gets key and value, but each of the fewer candidates and heads a vector as wide as events. This was faster than the
    fused kernel here, and slower in BST, whose candidates have keys as well.
    """
    found, heads = encoded(inputs), model.heads
    (b, c, d), width = inputs.target.shape, inputs.target.shape[2] // heads
    for domain, own in domain_scopes(w, "eta").items():
        items = inputs.items[domain]
        q = (inputs.target @ own["query"]).view(b * c, heads, width).transpose(0, 1)
        q = q @ own["key"].view(d, heads, width).permute(1, 2, 0)  # [h, b c, d]
        q = q.view(heads, b, c, d).transpose(0, 1).reshape(b, heads * c, d)
        weights = torch.softmax(q @ items.transpose(1, 2) * width**-0.5, -1)  # [b, h c, l]
        pooled = (weights @ items).view(b, heads, c, d).transpose(0, 1).reshape(heads, b * c, d)
        u = pooled @ own["value"].view(d, heads, width).transpose(0, 1)  # [h, b c, d/h]
        found.fields[domain] = u.transpose(0, 1).reshape(b, c, d) @ own["output"]
    return found


def bst(model: Bst, inputs: Inputs, w: Tensors) -> Encoded:
    """The block is read at the target: it attends over the events and itself, and of the other candidates it sees nothing."""
    found = encoded(inputs)
    scale = (inputs.target.shape[-1] / model.heads) ** -0.5
    for domain, own in domain_scopes(w, "bst").items():
        target, items = inputs.target, inputs.items[domain]
        if "project" in own:
            target = target @ own["project"]
        target = target + own["place"]
        items = items + F.embedding(inputs.recency[domain], own["recency"])
        c, l = target.shape[1], items.shape[1]
        mask = torch.cat([torch.ones(c, l), torch.eye(c)], 1).bool()
        (q,) = split_heads(target @ own["query"], 1, model.heads)
        both = torch.cat([items, target], 1) @ weights_of(own, "key", "value")
        heads = attended(q, *split_heads(both, 2, model.heads), scale, mask)
        s = norm(target + heads @ own["output"], own, "attention")
        found.fields[domain] = feed_forward(s, own, F.leaky_relu)
    return found


def hgn(model: Hgn, inputs: Inputs, w: Tensors) -> Encoded:
    """<x, e_vt W_o> is <W_o x, e_vt>, whose first half is once per feed."""
    found = encoded(inputs)
    user = found.fields["user_map"] = inputs.context @ w["hgn.user"]
    for domain, own in domain_scopes(w, "hgn").items():
        items = inputs.items[domain]
        gated, instance = gates(items, user, scope(own, "gating"))
        union = (instance[:, None] @ gated).squeeze(1) / instance.sum(1, keepdim=True)
        mean = items.mean(1)
        of_feeds = torch.stack([user, union, mean], 1) @ own["target"].T  # [b, 3, d]
        dots = inputs.target @ of_feeds.transpose(1, 2)  # [b, c, 3]
        found.fields |= {domain: union, f"{domain}_average": mean, f"{domain}_dots": dots}
    return found


# DIEN, CAN


def dien(model: Dien, inputs: Inputs, w: Tensors) -> Encoded:
    return evolved(inputs, scope(w, "dien"), model.auxiliary_weight)


def evolved(inputs: Inputs, w: Tensors, auxiliary_weight: float) -> Encoded:
    """DIEN of parameters by domain."""
    found = encoded(inputs)
    for domain in DOMAINS:
        own = scope(w, domain)
        extract, evolve = scope(own, "extract"), scope(own, "evolve")
        states = gru_states(projected(inputs.items[domain], extract), extract)  # [b, l, d]
        scores = inputs.target @ own["query"] @ states.transpose(1, 2)
        attention = torch.softmax(scores, -1)  # [b, c, l]
        found.fields[domain] = augru_last(projected(states, evolve), evolve, attention)
        term = next_event_entropy(inputs, domain, states)
        found.add(f"auxiliary_{domain}", auxiliary_weight, term)
    return found


def can(model: Can, inputs: Inputs, w: Tensors) -> Encoded:
    found = evolved(inputs, scope(w, "can.dien"), model.auxiliary_weight)
    for domain, entity in (("live", "channel_id"), ("product", "product_id")):
        net = inputs.tables["live.channel_id.net" if domain == "live" else "product.net"]
        feed = inputs.tables[f"{domain}.{entity}.feed"]
        nets = rows_at(net, inputs.places["target"])  # [b, c, 160]
        p = torch.tanh(rows_at(feed, inputs.places[domain]))  # [b, l, 16]
        found.fields[f"{domain}_coaction"] = coaction(nets, p)
    return found


def coaction(nets: Tensor, p: Tensor) -> Tensor:
    """All orders of a feed's events with the nets of all its candidates in one product, `[b, c, 36]`."""
    (b, c, _), l = nets.shape, p.shape[1]
    squares = p * p
    powers = torch.cat([p, squares, squares * p], 1)  # [b, 3 l, 16]
    first = nets[..., :128].view(b, c, 16, 8).transpose(1, 2).reshape(b, 16, c * 8)
    second = nets[..., 128:].reshape(b, c, 8, 4)
    h1 = (powers @ first).tanh_().view(b, 3, l, c, 8).mean(2).transpose(1, 2)  # [b, c, 3, 8]
    return torch.cat([h1, h1 @ second], -1).flatten(2)


# WDL


def wdl(model: Wdl, inputs: Inputs, w: Tensors) -> Encoded:
    found = encoded(inputs)
    for domain in DOMAINS:
        block_of = scope(w, f"wdl.{domain}.block")
        (found.fields[domain],) = encoded_means(inputs.items[domain], block_of, model.heads)
    numbers = {name: rows.flatten() for name, rows in inputs.tables.items()}
    live, product, target = (inputs.places[name] for name in ("live", "product", "target"))
    share = (target[:, :, None] == live[:, None]).float().mean(-1)
    of_feeds = (
        numbers["user.user"].index_select(0, inputs.places["user"])
        + rows_at(numbers["channel.channel_id"][:, None], live).squeeze(-1).mean(1)
        + rows_at(numbers["product.product_id"][:, None], product).squeeze(-1).mean(1)
    )
    of_target = rows_at(numbers["candidate.channel_id"][:, None], target).squeeze(-1)
    found.addend = w["wdl.bias"] + of_target + of_feeds[:, None] + w["wdl.cross"] * share
    return found
