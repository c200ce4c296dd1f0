"""eLiveRec and the baselines of Table II from the entity embeddings to the loss, on packed inputs.

A model is a frozen set of options with `shapes` (the parameters by name) and `encode` (inputs and parameters to the
fields of the tower). `forward` adds the tower and the loss, the same for all. Read with `ops.py` beside it.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

import ops
from ops import per_feed, scope

Shapes = dict[str, tuple[int, ...]]
Tensors = dict[str, Tensor]

LAMBDA_CORRELATION = 0.1
LAMBDA_CONTRAST = 0.3
TOWER_WIDTHS = (10, 6, 1)


@dataclass
class Encoded:
    """What a model gives to the tower and to the loss."""

    fields: Tensors
    """Fields in the tower's order, `[n, d]` each."""
    intermediates: Tensors = field(default_factory=dict)
    """Everything worth comparing on the way, by name."""
    penalties: Tensors = field(default_factory=dict)
    """`cor` and `nce`, scalars, where the model has them."""
    logit: Tensor | None = None
    """`[n]`, in place of the tower's."""
    other: Tensor | None = None
    """`[n]`, of another net: (1 - alpha) tower + alpha other."""
    alpha: Tensor | None = None
    """Its share, `[1]`."""


class Model(Protocol):
    """A set of options with parameters and a forward pass."""

    domains: tuple[str, ...]
    field_norm: str

    def shapes(self, width: int) -> Shapes: ...

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded: ...


def din_unit(width: int) -> dict[str, tuple[int, int]]:
    """The layers of DIN's attention unit."""
    return {"hidden1": (4 * width, 80), "hidden2": (80, 40), "score": (40, 1)}


# eLiveRec


@dataclass(frozen=True)
class Elive:
    """eLiveRec, Eq. 3-11, and the variants of Table III."""

    domains: tuple[str, ...] = ("live", "product")
    encoder: str = "transformer"  # or "din", "hgn" (Fig. 5)
    blocks: int = 1
    heads: int = 2
    feed_forward_ratio: int = 2
    attention_scale: str = "width"  # 1/sqrt(d), Eq. 4; or "head": 1/sqrt(d/h)
    position: str = "none"  # or "recency"
    prototypes: str = "pooled"  # or "learned" (wo.P), "crossed", "matched"
    disentangle: bool = True  # False: wo.D
    intention_weight: str = "elementwise"  # or "scalar"
    intention_scale: str = "none"  # or "width": 1/sqrt(d)
    retrieval_scale: str = "none"  # or "width": 1/sqrt(d), "double": 2
    correlation: str = "plain"  # or "bias_corrected", "none" (wo.C)
    contrast: str = "info_nce"  # or "none" (wo.N), "cosine", "euclidean", "specific_repulsion" (SR)
    field_norm: str = "none"  # or "layer"
    intra_dynamic: bool = False
    target_product: bool = False  # whether the tower also sees z * e_vt, element by element

    def shapes(self, width: int) -> Shapes:
        d, f = width, width * self.feed_forward_ratio
        shapes: Shapes = {}
        for domain in self.domains:
            root = f"elive.{domain}"
            if self.position == "recency":
                shapes[f"{root}.recency"] = (ops.RECENCY_BUCKETS, d)
            if self.encoder == "din":
                for name, (rows, columns) in din_unit(width).items():
                    shapes[f"{root}.unit.{name}_weight"] = (rows, columns)
                    shapes[f"{root}.unit.{name}_bias"] = (columns,)
            if self.encoder == "hgn":
                shapes |= {f"{root}.gating.feature_{n}": (d, d) for n in ("item", "user")}
                shapes[f"{root}.gating.feature_bias"] = (d,)
                shapes[f"{root}.gating.instance_item"] = (d, 1)
                shapes[f"{root}.gating.instance_user"] = (ops.HGN_PLACES, d)
            for i in range(self.blocks if self.encoder == "transformer" else 0):
                block = f"{root}.blocks.{i}"
                shapes |= {f"{block}.{n}": (d, d) for n in ("query", "key", "value", "output")}
                shapes |= {f"{block}.expand_weight": (d, f), f"{block}.expand_bias": (f,)}
                shapes |= {f"{block}.contract_weight": (f, d), f"{block}.contract_bias": (d,)}
                for norm in ("attention", "feed_forward"):
                    shapes |= {f"{block}.{norm}_gamma": (d,), f"{block}.{norm}_beta": (d,)}
            if self.disentangle and self.prototypes == "learned":
                shapes |= {f"{root}.consistent": (d,), f"{root}.specific": (d,)}
        return shapes

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        if self.intra_dynamic:
            encoded.fields["dynamic"] = inputs["dynamic"]
        for domain in self.domains:
            items, h = self.encode_history(inputs, parameters, domain)
            if self.encoder == "din":
                self.per_candidate(inputs, parameters, domain, items, encoded)
                continue
            encoded.intermediates[f"{domain}.encoded"] = h
            if self.disentangle:
                self.disentangle_history(inputs, parameters, domain, items, h, encoded)
            else:
                self.retrieve(inputs, domain, {domain: h}, f"{domain}.attention", encoded)
        if self.disentangle:
            self.regularise(inputs, encoded)
        if self.target_product:
            shared = len(encoded.fields) - len(self.domains) * (2 if self.disentangle else 1)
            for i, (name, z) in enumerate(list(encoded.fields.items())):
                del encoded.fields[name]
                encoded.fields[name] = z
                if i >= shared:
                    encoded.fields[f"{name}_target"] = z * inputs["target"]
        return encoded

    def encode_history(
        self, inputs: Tensors, parameters: Tensors, domain: str
    ) -> tuple[Tensor, Tensor]:
        """Eq. 3-4: E (with its recency) and H, `[m, d]` each."""
        w = scope(parameters, f"elive.{domain}")
        items, lengths = inputs[f"{domain}.items"], inputs[f"{domain}.lengths"]
        if self.position == "recency":
            items = items + w["recency"][ops.recency_buckets(inputs[f"{domain}.age_s"])]
        if self.encoder == "din":
            return items, items  # H depends on the target: see `per_candidate`
        if self.encoder == "hgn":
            feeds = zip(per_feed(items, lengths), inputs["context"])
            return items, torch.cat([ops.hgn_gates(e, u, scope(w, "gating")) for e, u in feeds])
        d = items.shape[1]
        scale = 1 / math.sqrt(d if self.attention_scale == "width" else d / self.heads)
        h = items
        for i in range(self.blocks):
            h = ops.transformer_block(h, lengths, scope(w, f"blocks.{i}"), self.heads, scale)
        return items, h

    def per_candidate(
        self, inputs: Tensors, parameters: Tensors, domain: str, items: Tensor, encoded: Encoded
    ) -> None:
        """eLive-DIN: h_i = a_i e_i with DIN's softmax weights for the target, then Eq. 5-7, candidate by candidate."""
        w = scope(parameters, f"elive.{domain}")
        lengths = inputs[f"{domain}.lengths"]
        if self.prototypes == "learned" and self.disentangle:
            o_c, o_s = (w[name].expand(len(lengths), -1) for name in ("consistent", "specific"))
        else:
            o_c, o_s = self.pooled_prototypes(inputs, parameters, domain, items)  # [b, d] each
        targets = per_feed(inputs["target"], inputs["candidate_lengths"])
        names = (f"z_c_{domain}", f"z_s_{domain}") if self.disentangle else (domain,)
        z: dict[str, list[Tensor]] = {name: [] for name in names}
        for feed, (shown, events) in enumerate(zip(targets, per_feed(items, lengths))):
            for target in shown:
                if len(events) == 0:
                    for vectors in z.values():
                        vectors.append(torch.zeros_like(target))
                    continue
                scores = ops.din_scores(target[None], events, scope(w, "unit"))
                a = ops.din_weights(scores, "softmax", len(target))[0]
                h = a[:, None] * events
                scale = factor(self.intention_scale, len(target))
                p_c = ops.intention(h, o_c[feed], o_s[feed], self.intention_weight, scale)
                parts = (p_c * h, (1 - p_c) * h) if self.disentangle else (h,)
                scale = factor(self.retrieval_scale, len(target))
                for vectors, part in zip(z.values(), parts):
                    vectors.append(ops.target_attention(target[None], part, scale)[0])
        for name, vectors in z.items():
            encoded.intermediates[name] = encoded.fields[name] = torch.stack(vectors)

    def pooled_prototypes(
        self, inputs: Tensors, parameters: Tensors, domain: str, items: Tensor
    ) -> tuple[Tensor, Tensor]:
        """o_c and o_s from histories, `[b, d]` each."""
        mean, largest = ops.prototypes(items, inputs[f"{domain}.lengths"])
        if self.prototypes == "pooled":
            return mean, largest
        (other,) = (name for name in self.domains if name != domain)
        lengths = inputs[f"{other}.lengths"]
        of_other, _ = ops.prototypes(self.encode_history(inputs, parameters, other)[0], lengths)
        return torch.where((lengths == 0)[:, None], mean, of_other), mean

    def matched_prototypes(
        self, inputs: Tensors, parameters: Tensors, domain: str, items: Tensor
    ) -> tuple[Tensor, Tensor]:
        """o_c of an event is what the other history has most like it, o_s the mean of its own, `[m, d]` each."""
        (other,) = (name for name in self.domains if name != domain)
        of_other = self.encode_history(inputs, parameters, other)[0]
        lengths = inputs[f"{domain}.lengths"]
        consistent, specific = [], []
        of_others = per_feed(of_other, inputs[f"{other}.lengths"])
        for own, others in zip(per_feed(items, lengths), of_others):
            if len(own) == 0:
                continue
            mean = own.mean(0).expand_as(own)
            specific.append(mean)
            consistent.append(ops.most_alike(own, others) if len(others) else mean)
        return torch.cat(consistent), torch.cat(specific)

    def disentangle_history(
        self,
        inputs: Tensors,
        parameters: Tensors,
        domain: str,
        items: Tensor,
        h: Tensor,
        encoded: Encoded,
    ) -> None:
        """Eq. 5-7: adds the fields z_c and z_s of a domain."""
        lengths = inputs[f"{domain}.lengths"]
        if self.prototypes == "matched":
            o_c, o_s = self.matched_prototypes(inputs, parameters, domain, items)
        elif self.prototypes != "learned":
            o_c, o_s = self.pooled_prototypes(inputs, parameters, domain, items)  # [b, d] each
            encoded.intermediates[f"{domain}.consistent_prototype"] = o_c
            encoded.intermediates[f"{domain}.specific_prototype"] = o_s
            o_c, o_s = (o.repeat_interleave(lengths, 0) for o in (o_c, o_s))
        else:
            w = scope(parameters, f"elive.{domain}")
            o_c, o_s = w["consistent"], w["specific"]

        p_c = ops.intention(
            h, o_c, o_s, self.intention_weight, factor(self.intention_scale, h.shape[1])
        )
        encoded.intermediates[f"{domain}.intention"] = p_c
        for letter, name, p in (("c", "consistent", p_c), ("s", "specific", 1 - p_c)):
            components = {f"z_{letter}_{domain}": p * h}
            self.retrieve(inputs, domain, components, f"{domain}.{name}_attention", encoded)

    def retrieve(
        self, inputs: Tensors, domain: str, components: Tensors, weights: str, encoded: Encoded
    ) -> None:
        """Eq. 6-7 for the one entry of `components`: its field `[n, d]`, and the weights, flat."""
        ((name, component),) = components.items()
        scale = factor(self.retrieval_scale, component.shape[1])
        targets = per_feed(inputs["target"], inputs["candidate_lengths"])
        feeds = list(zip(targets, per_feed(component, inputs[f"{domain}.lengths"])))
        z = torch.cat([ops.target_attention(t, c, scale) for t, c in feeds])
        encoded.intermediates[weights] = torch.cat(
            [ops.retrieval_weights(t, c, scale).flatten() for t, c in feeds]
        )
        encoded.intermediates[name] = encoded.fields[name] = z

    def regularise(self, inputs: Tensors, encoded: Encoded) -> None:
        """Eq. 8-9 on one impression per feed."""
        z = {n: x[inputs["sampled"]] for n, x in encoded.fields.items() if n.startswith("z_")}

        if self.correlation != "none":
            estimator = {
                "plain": ops.distance_correlation,
                "bias_corrected": ops.bias_corrected_distance_correlation,
            }[self.correlation]
            terms = []
            for domain in self.domains:
                # A single event has o_c = o_s and so z_c = z_s, whatever is learned.
                rows = inputs[f"{domain}.lengths"] >= 2
                terms.append(estimator(z[f"z_c_{domain}"][rows], z[f"z_s_{domain}"][rows]))
            encoded.penalties["cor"] = torch.stack(terms).sum()

        if self.contrast != "none" and len(self.domains) == 2:
            rows = (inputs["live.lengths"] > 0) & (inputs["product.lengths"] > 0)
            users = inputs["user_ids"][rows]
            c_live, c_product = z["z_c_live"][rows], z["z_c_product"][rows]
            match self.contrast:
                case "info_nce":
                    term = ops.info_nce(c_live, c_product, users)
                case "specific_repulsion":
                    attraction = ops.info_nce(c_live, c_product, users)
                    s_live, s_product = z["z_s_live"][rows], z["z_s_product"][rows]
                    term = attraction - ops.info_nce(s_live, s_product, users)
                case "cosine":
                    term = ops.mean_cosine_distance(c_live, c_product)
                case "euclidean":
                    term = ops.mean_euclidean_distance(c_live, c_product)
                case unknown:
                    raise ValueError(f"unknown contrast {unknown!r}")
            encoded.penalties["nce"] = term


def factor(scale: str, width: int) -> float:
    """The number that an exponent is multiplied by."""
    return {"none": 1.0, "width": 1 / math.sqrt(width), "double": 2.0}[scale]


# DIN


@dataclass(frozen=True)
class Din:
    """DIN: Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018."""

    domains: tuple[str, ...] = ("live", "product")
    normalize: str = "softmax"  # or "none", "sigmoid"
    field_norm: str = "none"

    def shapes(self, width: int) -> Shapes:
        sizes = din_unit(width) | {"output": (width, width)}
        shapes: Shapes = {}
        for domain in self.domains:
            for name, (rows, columns) in sizes.items():
                shapes[f"din.{domain}.{name}_weight"] = (rows, columns)
                shapes[f"din.{domain}.{name}_bias"] = (columns,)
        return shapes

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        for domain in self.domains:
            w = scope(parameters, f"din.{domain}")
            targets = per_feed(inputs["target"], inputs["candidate_lengths"])
            histories = per_feed(inputs[f"{domain}.items"], inputs[f"{domain}.lengths"])
            interests = [self.interest(t, e, w) for t, e in zip(targets, histories)]
            u = torch.cat(interests)
            encoded.fields[domain] = u
            encoded.fields[f"{domain}_product"] = u * inputs["target"]
            encoded.intermediates[domain] = u
            encoded.intermediates[f"{domain}_product"] = u * inputs["target"]
        return encoded

    def interest(self, target: Tensor, events: Tensor, w: Tensors) -> Tensor:
        """u' = (sum_i a_i e_i) W + b, `[c, d]`; zeros, not b, without events."""
        if len(events) == 0:
            return torch.zeros_like(target)
        scores = ops.din_scores(target, events, w)
        u = ops.din_weights(scores, self.normalize, target.shape[1]) @ events
        return u @ w["output_weight"] + w["output_bias"]


# ETA


@dataclass(frozen=True)
class Eta:
    """ETA: Chen et al., arXiv:2108.04468, without the unit for long histories (eLiveRec, Sec. V-B)."""

    domains: tuple[str, ...] = ("live", "product")
    heads: int = 2
    field_norm: str = "none"

    def shapes(self, width: int) -> Shapes:
        names = ("query", "key", "value", "output")
        return {f"eta.{k}.{name}": (width, width) for k in self.domains for name in names}

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        for domain in self.domains:
            w = scope(parameters, f"eta.{domain}")
            targets = per_feed(inputs["target"], inputs["candidate_lengths"])
            histories = per_feed(inputs[f"{domain}.items"], inputs[f"{domain}.lengths"])
            u = torch.cat([self.interest(t, e, w) for t, e in zip(targets, histories)])
            encoded.intermediates[domain] = encoded.fields[domain] = u
        return encoded

    def interest(self, target: Tensor, events: Tensor, w: Tensors) -> Tensor:
        """Multi-head target attention with 1/sqrt(d/h), `[c, d]`; zeros without events."""
        if len(events) == 0:
            return torch.zeros_like(target)
        scale = 1 / math.sqrt(target.shape[1] / self.heads)
        return ops.multi_head_attention(target, events, w, self.heads, scale)


# DIEN


@dataclass(frozen=True)
class Dien:
    """DIEN: Zhou et al., AAAI 2019, without its auxiliary loss, whose negatives are drawn."""

    domains: tuple[str, ...] = ("live", "product")
    attention: str = "bilinear"  # or "unit": DIN's
    field_norm: str = "none"

    def shapes(self, width: int) -> Shapes:
        d, shapes = width, {}
        for domain in self.domains:
            root = f"dien.{domain}"
            for layer in ("extract", "evolve"):
                shapes |= {
                    f"{root}.{layer}.input": (d, 3 * d),
                    f"{root}.{layer}.gates": (d, 2 * d),
                    f"{root}.{layer}.candidate": (d, d),
                }
                shapes |= {
                    f"{root}.{layer}.{n}_bias": (d,) for n in ("reset", "update", "candidate")
                }
            if self.attention == "bilinear":
                shapes[f"{root}.query"] = (d, d)
            else:
                for name, (rows, columns) in din_unit(width).items():
                    shapes[f"{root}.unit.{name}_weight"] = (rows, columns)
                    shapes[f"{root}.unit.{name}_bias"] = (columns,)
        return shapes

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        for domain in self.domains:
            w = scope(parameters, f"dien.{domain}")
            targets = per_feed(inputs["target"], inputs["candidate_lengths"])
            histories = per_feed(inputs[f"{domain}.items"], inputs[f"{domain}.lengths"])
            last, attention, interests = [], [], []
            for shown, events in zip(targets, histories):
                if len(events) == 0:
                    last.append(torch.zeros_like(shown))
                    continue
                states = ops.recurrence(events, scope(w, "extract"))
                weights = self.weigh(shown, states, w)
                evolve = scope(w, "evolve")
                last += [ops.recurrence(states, evolve, a)[-1:] for a in weights]
                attention.append(weights.flatten())
                interests.append(states)
            encoded.intermediates[f"{domain}.interests"] = torch.cat(interests)
            encoded.intermediates[f"{domain}.attention"] = torch.cat(attention)
            encoded.intermediates[domain] = encoded.fields[domain] = torch.cat(last)
        return encoded

    def weigh(self, target: Tensor, states: Tensor, w: Tensors) -> Tensor:
        """softmax_t(h_t W e_vt), `[c, d]` and `[l, d]` -> `[c, l]`, or DIN's weights."""
        if self.attention == "bilinear":
            return torch.softmax(target @ w["query"] @ states.T, -1)
        scores = ops.din_scores(target, states, scope(w, "unit"))
        return ops.din_weights(scores, "softmax", target.shape[1])


# HGN


@dataclass(frozen=True)
class Hgn:
    """HGN: Ma et al., KDD 2019, with what its score is made of as fields."""

    domains: tuple[str, ...] = ("live", "product")
    field_norm: str = "none"

    def shapes(self, width: int) -> Shapes:
        d = width
        shapes: Shapes = {"hgn.user": (d, d)}
        for domain in self.domains:
            root = f"hgn.{domain}"
            shapes |= {f"{root}.gating.feature_{n}": (d, d) for n in ("item", "user")}
            shapes |= {f"{root}.gating.feature_bias": (d,)}
            shapes |= {f"{root}.gating.instance_item": (d, 1)}
            shapes |= {f"{root}.gating.instance_user": (ops.HGN_PLACES, d)}
            shapes |= {f"{root}.target": (d, d)}
        return shapes

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        counts = inputs["candidate_lengths"]
        users = inputs["context"] @ parameters["hgn.user"]
        user = encoded.fields["user_map"] = users.repeat_interleave(counts, 0)
        for domain in self.domains:
            w = scope(parameters, f"hgn.{domain}")
            unions, means = [], []
            for events, u in zip(per_feed(inputs[f"{domain}.items"], inputs[f"{domain}.lengths"]), users):
                gated, instance = ops.hgn_gated(events, u, scope(w, "gating"))
                empty = torch.zeros_like(u)
                unions.append((instance * gated).sum(0) / instance.sum() if len(events) else empty)
                means.append(events.mean(0) if len(events) else empty)
            union, mean = (
                torch.stack(vectors).repeat_interleave(counts, 0) for vectors in (unions, means)
            )
            item = inputs["target"] @ w["target"]
            dots = torch.stack([(x * item).sum(-1) for x in (user, union, mean)], -1)
            own = {domain: union, f"{domain}_average": mean, f"{domain}_dots": dots}
            encoded.fields |= own
            encoded.intermediates |= own
        return encoded


# BST


@dataclass(frozen=True)
class Bst:
    """BST: Chen et al., 2019, literally: the block over events and target, and of it the target's place."""

    domains: tuple[str, ...] = ("live", "product")
    heads: int = 2
    field_norm: str = "none"

    def shapes(self, width: int) -> Shapes:
        d, f, shapes = width, 4 * width, {}
        for domain in self.domains:
            root = f"bst.{domain}"
            shapes |= {f"{root}.project": (d, d)} if domain == "product" else {}
            shapes |= {f"{root}.recency": (ops.RECENCY_BUCKETS, d), f"{root}.place": (d,)}
            shapes |= {f"{root}.{n}": (d, d) for n in ("query", "key", "value", "output")}
            shapes |= {f"{root}.expand_weight": (d, f), f"{root}.expand_bias": (f,)}
            shapes |= {f"{root}.contract_weight": (f, d), f"{root}.contract_bias": (d,)}
            for norm in ("attention", "feed_forward"):
                shapes |= {f"{root}.{norm}_gamma": (d,), f"{root}.{norm}_beta": (d,)}
        return shapes

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        for domain in self.domains:
            w = scope(parameters, f"bst.{domain}")
            target = inputs["target"]
            if "project" in w:
                target = target @ w["project"]
            target = target + w["place"]
            buckets = ops.recency_buckets(inputs[f"{domain}.age_s"])
            items = inputs[f"{domain}.items"] + w["recency"][buckets]
            targets = per_feed(target, inputs["candidate_lengths"])
            histories = per_feed(items, inputs[f"{domain}.lengths"])
            y = [
                self.block(torch.cat([events, shown[None]]), w)[-1]
                for of_feed, events in zip(targets, histories)
                for shown in of_feed
            ]
            encoded.intermediates[domain] = encoded.fields[domain] = torch.stack(y)
        return encoded

    def block(self, x: Tensor, w: Tensors) -> Tensor:
        """The transformer block over one sequence `[l + 1, d]`."""
        scale = 1 / math.sqrt(x.shape[1] / self.heads)
        mixed = x + ops.multi_head_attention(x, x, w, self.heads, scale)
        s = ops.layer_norm(mixed, w["attention_gamma"], w["attention_beta"])
        hidden = torch.nn.functional.leaky_relu(s @ w["expand_weight"] + w["expand_bias"], 0.01)
        contracted = hidden @ w["contract_weight"] + w["contract_bias"]
        return ops.layer_norm(s + contracted, w["feed_forward_gamma"], w["feed_forward_beta"])


# Of both domains, without the product side's task, whose negatives are drawn


def block_shapes(root: str, width: int) -> Shapes:
    """The parameters of a transformer block."""
    d, f = width, 4 * width
    shapes: Shapes = {f"{root}.{n}": (d, d) for n in ("query", "key", "value", "output")}
    shapes |= {f"{root}.expand_weight": (d, f), f"{root}.expand_bias": (f,)}
    shapes |= {f"{root}.contract_weight": (f, d), f"{root}.contract_bias": (d,)}
    for norm in ("attention", "feed_forward"):
        shapes |= {f"{root}.{norm}_gamma": (d,), f"{root}.{norm}_beta": (d,)}
    return shapes


def encoded_mean(inputs: Tensors, domain: str, w: Tensors, heads: int) -> Tensor:
    """The mean of Eq. 3 over each feed's events, `[b, d]`; zeros without events."""
    items, lengths = inputs[f"{domain}.items"], inputs[f"{domain}.lengths"]
    h = ops.transformer_block(items, lengths, w, heads, 1 / math.sqrt(items.shape[1]))
    return torch.stack([x.mean(0) if len(x) else items.new_zeros(items.shape[1]) for x in per_feed(h, lengths)])


@dataclass(frozen=True)
class Minet:
    """MiNet: Ouyang et al., CIKM 2020."""

    domains: tuple[str, ...] = ("live", "product")
    interest_weight: str = "exp"  # or "sigmoid"
    field_norm: str = "none"

    def shapes(self, width: int) -> Shapes:
        d = width
        shapes: Shapes = {"minet.user": (d, d)}
        for domain in self.domains:
            shapes |= {f"minet.{domain}.hidden": (4 * d, 64), f"minet.{domain}.score": (64, 1)}
        shapes |= {"minet.product.transfer.down": (d, 10), "minet.product.transfer.up": (10, d)}
        for i in range(3):
            root = f"minet.interests.{i}"
            shapes |= {f"{root}.hidden": (4 * d, 64), f"{root}.score": (64, 1), f"{root}.bias": (1,)}
        return shapes

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        counts = inputs["candidate_lengths"]
        users = inputs["context"] @ parameters["minet.user"]
        interests = {"user": users.repeat_interleave(counts, 0)}
        for domain in self.domains:
            w = scope(parameters, f"minet.{domain}")
            targets = per_feed(inputs["target"], counts)
            histories = per_feed(inputs[f"{domain}.items"], inputs[f"{domain}.lengths"])
            found, attention = [], []
            for shown, events, user in zip(targets, histories, users):
                for q in shown:
                    moved = events
                    if domain == "product":
                        moved = events @ w["transfer.down"] @ w["transfer.up"]
                    rows = [torch.cat([k, q, user, m * q]) for k, m in zip(events, moved)]
                    if not rows:
                        found.append(torch.zeros_like(q))
                        continue
                    scores = torch.relu(torch.stack(rows) @ w["hidden"]) @ w["score"]
                    weights = torch.softmax(scores, 0)
                    found.append((weights * events).sum(0))
                    attention.append(weights.flatten())
            interests[domain] = torch.stack(found)
            encoded.intermediates[f"{domain}.attention"] = torch.cat(attention)
        seen = torch.cat([inputs["target"], *interests.values()], -1)
        for i, (name, interest) in enumerate(interests.items()):
            w = scope(parameters, f"minet.interests.{i}")
            score = torch.relu(seen @ w["hidden"]) @ w["score"] + w["bias"]
            weight = score.exp() if self.interest_weight == "exp" else 2 * torch.sigmoid(score)
            encoded.intermediates[f"{name}.weight"] = weight
            encoded.intermediates[name] = encoded.fields[name] = weight * interest
        return encoded


@dataclass(frozen=True)
class Dasl:
    """DASL: Li et al., KDD 2021."""

    domains: tuple[str, ...] = ("live", "product")
    attention: str = "both"  # or "own"
    field_norm: str = "none"

    def shapes(self, width: int) -> Shapes:
        d = width
        shapes: Shapes = {"dasl.user": (d, d)}
        for domain in self.domains:
            root = f"dasl.{domain}"
            shapes |= {f"{root}.user": (d, 3 * d), f"{root}.gru.input": (d, 3 * d)}
            shapes |= {f"{root}.gru.gates": (d, 2 * d), f"{root}.gru.candidate": (d, d)}
            shapes |= {f"{root}.gru.{n}_bias": (d,) for n in ("reset", "update", "candidate")}
        root = "dasl.attention"
        return shapes | {f"{root}.hidden.weight": (d, d), f"{root}.hidden.bias": (d,), f"{root}.score": (d, 1)}

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        counts = inputs["candidate_lengths"]
        users = inputs["context"] @ parameters["dasl.user"]
        encoded.fields["user"] = users.repeat_interleave(counts, 0)
        w = scope(parameters, "dasl.attention")
        histories = [per_feed(inputs[f"{k}.items"], inputs[f"{k}.lengths"]) for k in self.domains]
        sums: dict[str, list[Tensor]] = {domain: [] for domain in self.domains}
        for user, *of_feed in zip(users, *histories):
            states = [
                self.states(events, user, scope(parameters, f"dasl.{domain}"))
                for domain, events in zip(self.domains, of_feed)
            ]
            h = torch.cat(states)
            weights = torch.softmax(torch.tanh(h @ w["hidden.weight"] + w["hidden.bias"]) @ w["score"], 0)
            parts = (weights * h).split([len(x) for x in states])
            for domain, part in zip(self.domains, parts):
                sums[domain].append(part.sum(0))
        for domain in self.domains if self.attention == "both" else ("live",):
            found = torch.stack(sums[domain]).repeat_interleave(counts, 0)
            encoded.intermediates[domain] = encoded.fields[domain] = found
        return encoded

    def states(self, events: Tensor, user: Tensor, w: Tensors) -> Tensor:
        """The recurrence over [e_i; u], of which u's share is the same at every step."""
        if len(events) == 0:
            return events
        gru = scope(w, "gru")
        shares = (user @ w["user"]).chunk(3)
        for name, share in zip(("reset_bias", "update_bias", "candidate_bias"), shares):
            gru[name] = gru[name] + share
        return ops.recurrence(events, gru)


@dataclass(frozen=True)
class Conet:
    """CoNet+: Hu et al., CIKM 2018, with the mean of a transformer block of either history in u."""

    domains: tuple[str, ...] = ("live", "product")
    heads: int = 2
    field_norm: str = "none"

    def shapes(self, width: int) -> Shapes:
        d, shapes = width, {}
        for domain in self.domains:
            shapes |= block_shapes(f"conet.{domain}.block", d)
        shapes |= {"conet.user.weight": (3 * d, d), "conet.user.bias": (d,)}
        rows = 2 * d
        shapes["conet.state"] = (d, TOWER_WIDTHS[0])
        for i, columns in enumerate(TOWER_WIDTHS[:-1]):
            root = f"conet.layers.{i}"
            shapes[f"{root}.cross"] = (rows, columns)
            for net in ("live", "product") if i + 2 < len(TOWER_WIDTHS) else ("live",):
                shapes |= {f"{root}.{net}.dense.weight": (rows, columns)}
                shapes |= {f"{root}.{net}.{n}": (columns,) for n in ("dense.bias", "slope")}
            rows = columns
        return shapes | {"conet.live_logit.weight": (rows, 1), "conet.live_logit.bias": (1,)}

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        counts = inputs["candidate_lengths"]
        w = scope(parameters, "conet")
        parts = [inputs["context"]]
        for domain in self.domains:
            parts.append(encoded_mean(inputs, domain, scope(w, f"{domain}.block"), self.heads))
        u = torch.cat(parts, -1) @ w["user.weight"] + w["user.bias"]
        clicks = per_feed(inputs["product.items"], inputs["product.lengths"])
        newest = torch.stack([x[-1] if len(x) else x.new_zeros(x.shape[1]) for x in clicks])
        own = {"user": u.repeat_interleave(counts, 0), "product": newest.repeat_interleave(counts, 0)}
        encoded.fields |= own
        encoded.intermediates |= own
        a = torch.cat([own["user"], inputs["target"]], -1)
        b = torch.cat([own["user"], own["product"]], -1)
        state = inputs["target_state"] @ w["state"]
        for i in range(len(TOWER_WIDTHS) - 1):
            layer = scope(w, f"layers.{i}")
            live = a @ layer["live.dense.weight"] + layer["live.dense.bias"] + b @ layer["cross"] + state
            if "product.slope" in layer:
                product = b @ layer["product.dense.weight"] + layer["product.dense.bias"] + a @ layer["cross"]
                b = ops.parametric_relu(product, layer["product.slope"])
            a, state = ops.parametric_relu(live, layer["live.slope"]), 0
        encoded.logit = (a @ w["live_logit.weight"] + w["live_logit.bias"]).squeeze(-1)
        return encoded


@dataclass(frozen=True)
class Dtcdr:
    """DTCDR+: Zhu et al., CIKM 2019, with the mean of a transformer block as the user's content."""

    domains: tuple[str, ...] = ("live", "product")
    combine: str = "max"  # or "mean" or "gate"
    target_product: bool = False
    heads: int = 2
    field_norm: str = "none"

    def shapes(self, width: int) -> Shapes:
        d, shapes = width, {}
        for domain in self.domains:
            shapes |= block_shapes(f"dtcdr.{domain}.encoder.block", d)
            shapes |= {f"dtcdr.{domain}.user.weight": (2 * d, d), f"dtcdr.{domain}.user.bias": (d,)}
        if self.combine == "gate":
            shapes |= {"dtcdr.gate.weight": (2 * d, d), "dtcdr.gate.bias": (d,)}
        return shapes

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        users = {}
        for domain in self.domains:
            w = scope(parameters, f"dtcdr.{domain}")
            content = encoded_mean(inputs, domain, scope(w, "encoder.block"), self.heads)
            users[domain] = torch.cat([inputs["context"], content], -1) @ w["user.weight"] + w["user.bias"]
        joined = []
        gate = scope(parameters, "dtcdr.gate")
        for i, (live, product) in enumerate(zip(users["live"], users["product"])):
            if inputs["product.lengths"][i] == 0:
                joined.append(live)
            elif inputs["live.lengths"][i] == 0:
                joined.append(product)
            elif self.combine == "max":
                joined.append(torch.maximum(live, product))
            elif self.combine == "mean":
                joined.append((live + product) / 2)
            else:
                g = torch.sigmoid(torch.cat([live, product]) @ gate["weight"] + gate["bias"])
                joined.append(g * live + (1 - g) * product)
        user = torch.stack(joined).repeat_interleave(inputs["candidate_lengths"], 0)
        encoded.intermediates["user"] = encoded.fields["user"] = user
        if self.target_product:
            encoded.fields["user_target"] = user * inputs["target"]
        return encoded


@dataclass(frozen=True)
class Ddtcdr:
    """DDTCDR+: Li and Tuzhilin, WSDM 2020, with the means of transformer blocks in the user's vector; alpha is learned."""

    domains: tuple[str, ...] = ("live", "product")
    heads: int = 2
    field_norm: str = "none"

    def shapes(self, width: int) -> Shapes:
        d, shapes = width, {}
        for domain in self.domains:
            shapes |= block_shapes(f"ddtcdr.{domain}.block", d)
        shapes |= {"ddtcdr.live_user.weight": (3 * d, d), "ddtcdr.live_user.bias": (d,)}
        shapes |= {"ddtcdr.rotation.weight": (d, d), "ddtcdr.to_product": (d, d), "ddtcdr.share": (1,)}
        rows = 2 * d
        for i, columns in enumerate(TOWER_WIDTHS):
            root = f"ddtcdr.net.layers.{i}"
            shapes |= {f"{root}.weight": (rows, columns), f"{root}.bias": (columns,)}
            if i + 1 < len(TOWER_WIDTHS):
                shapes[f"ddtcdr.net.slopes.{i}"] = (columns,)
            rows = columns
        return shapes

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        w = scope(parameters, "ddtcdr")
        parts = [inputs["context"]]
        for domain in self.domains:
            parts.append(encoded_mean(inputs, domain, scope(w, f"{domain}.block"), self.heads))
        u = torch.cat(parts, -1) @ w["live_user.weight"] + w["live_user.bias"]
        user = u.repeat_interleave(inputs["candidate_lengths"], 0)
        encoded.intermediates["user"] = encoded.fields["user"] = user
        x = torch.cat([user @ w["rotation.weight"], inputs["target"] @ w["to_product"]], -1)
        for i in range(len(TOWER_WIDTHS)):
            x = x @ w[f"net.layers.{i}.weight"] + w[f"net.layers.{i}.bias"]
            if i + 1 < len(TOWER_WIDTHS):
                x = ops.parametric_relu(x, w[f"net.slopes.{i}"])
        encoded.other = x.squeeze(-1)
        encoded.alpha = torch.sigmoid(w["share"]) / 2
        return encoded


# Common to all models


def shared_fields(inputs: Tensors) -> Tensors:
    """The fields that every tower starts with, `[n, d]` each; the context once per impression."""
    return {
        "context": inputs["context"].repeat_interleave(inputs["candidate_lengths"], 0),
        "target": inputs["target"],
        "target_state": inputs["target_state"],
    }


def field_names(model: Model) -> list[str]:
    """The fields of a model, in the order of the tower's input."""
    names = ["context", "target", "target_state"]
    match model:
        case Elive():
            names += ["dynamic"] * model.intra_dynamic
            own = list(model.domains)
            if model.disentangle:
                own = [f"z_{part}_{k}" for k in model.domains for part in "cs"]
            forms = ("", "_target") if model.target_product else ("",)
            return names + [f"{name}{form}" for name in own for form in forms]
        case Din():
            return names + [n for k in model.domains for n in (k, f"{k}_product")]
        case Hgn():
            own = [n for k in model.domains for n in (k, f"{k}_average", f"{k}_dots")]
            return [*names, "user_map", *own]
        case Minet():
            return [*names, "user", *model.domains]
        case Dasl():
            return [*names, "user", "live"] + ["product"] * (model.attention == "both")
        case Conet():
            return [*names, "user", "product"]
        case Dtcdr():
            return [*names, "user"] + ["user_target"] * model.target_product
        case Ddtcdr():
            return [*names, "user"]
    return names + list(model.domains)


def shapes(model: Model, width: int) -> Shapes:
    """Every parameter of a model with its tower."""
    fields = field_names(model)
    found = model.shapes(width)
    if model.field_norm == "layer":
        for name in fields:
            found |= {f"field_norm.{name}.gamma": (width,), f"field_norm.{name}.beta": (width,)}
    if isinstance(model, Conet):
        return found
    rows = sum(3 if name.endswith("_dots") else width for name in fields)
    for i, columns in enumerate(TOWER_WIDTHS):
        found |= {f"tower.{i}.weight": (rows, columns), f"tower.{i}.bias": (columns,)}
        if i + 1 < len(TOWER_WIDTHS):
            found[f"tower.{i}.slope"] = (columns,)
        rows = columns
    return found


def tower(fields: Tensors, parameters: Tensors, field_norm: str) -> Tensor:
    """Three dense layers on the concatenated fields, PReLU between them -> logits `[n]`."""
    if field_norm == "layer":
        norm = scope(parameters, "field_norm")
        fields = {
            name: ops.layer_norm(x, norm[f"{name}.gamma"], norm[f"{name}.beta"])
            for name, x in fields.items()
        }
    x = torch.cat(list(fields.values()), -1)
    w = scope(parameters, "tower")
    for i in range(len(TOWER_WIDTHS)):
        x = x @ w[f"{i}.weight"] + w[f"{i}.bias"]
        if f"{i}.slope" in w:
            x = ops.parametric_relu(x, w[f"{i}.slope"])
    return x.squeeze(-1)


def forward(model: Model, inputs: Tensors, parameters: Tensors) -> Tensors:
    """Logits, intermediates and losses: Eq. 10-11, total = rec + lambda_1 cor + lambda_2 nce."""
    encoded = model.encode(inputs, parameters)
    if list(encoded.fields) != field_names(model):
        raise AssertionError(f"fields {list(encoded.fields)} differ from {field_names(model)}")
    if encoded.logit is None:
        logits = tower(encoded.fields, parameters, model.field_norm)
    else:
        logits = encoded.logit
    if encoded.other is not None and encoded.alpha is not None:
        logits = (1 - encoded.alpha) * logits + encoded.alpha * encoded.other
    rec = ops.binary_cross_entropy(logits, inputs["watched"])
    weights = {"cor": LAMBDA_CORRELATION, "nce": LAMBDA_CONTRAST}
    total = rec + sum(weights[name] * term for name, term in encoded.penalties.items())
    losses = {"rec": rec, **encoded.penalties, "total": total}
    return {
        "logits": logits,
        **encoded.intermediates,
        **{f"loss.{name}": term for name, term in losses.items()},
    }
