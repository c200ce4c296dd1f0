"""eLiveRec from the entity embeddings to the loss, on packed inputs, and what is common to all models.

A model is a frozen set of options with `shapes` (the parameters by name), `fields` (what it gives to the tower beside what
all give) and `encode` (inputs and parameters to the fields). `forward` adds the tower and the loss, the same for all. Read
with `ops.py` beside it. The other models are in `baselines.py` and `cross_domain.py`.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

import ops
from ops import per_feed, scope

Shapes = dict[str, tuple[int, ...]]
Tensors = dict[str, Tensor]

LAMBDA_CORRELATION = 0.1
LAMBDA_CONTRAST = 0.3
TOWER_WIDTHS = (10, 6, 1)
"""Units of the tower's layers, the logit last. The benchmark's controls set their own."""


@dataclass
class Encoded:
    """What a model gives to the tower and to the loss."""

    fields: Tensors
    """Fields in the tower's order, `[n, d]` each."""
    intermediates: Tensors = field(default_factory=dict)
    """Everything worth comparing on the way, by name."""
    terms: Tensors = field(default_factory=dict)
    """What the loss has beside the cross entropy: `cor`, `nce` or terms of the model's own, scalars."""
    weights: dict[str, float] = field(default_factory=dict)
    """Of the model's own terms."""
    logit: Tensor | None = None
    """`[n]`, in place of the tower's."""
    addend: Tensor | None = None
    """`[n]`, added to the tower's."""
    other: Tensor | None = None
    """`[n]`, of another net: (1 - alpha) tower + alpha other."""
    alpha: Tensor | None = None
    """Its share, `[1]`."""

    def add(self, name: str, weight: float, term: Tensor) -> None:
        """A term of the model's own."""
        self.terms[name], self.weights[name] = term, weight


class Model:
    """A set of options with parameters and a forward pass."""

    domains: tuple[str, ...]
    uses_tower: ClassVar[bool] = True

    def shapes(self, width: int) -> Shapes:
        raise NotImplementedError

    def fields(self, width: int) -> dict[str, int]:
        """The model's own fields in the order of the tower's input, with their widths."""
        return {domain: width for domain in self.domains}

    def tables(self) -> dict[str, tuple[str, int]]:
        """The model's own tables: vocabulary and width of each."""
        return {}

    def drawn(self) -> list[str]:
        """The terms of the loss whose negatives are drawn."""
        return []

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        raise NotImplementedError


def din_unit(width: int) -> dict[str, tuple[int, int]]:
    """The layers of DIN's attention unit."""
    return {"hidden1": (4 * width, 80), "hidden2": (80, 40), "score": (40, 1)}


# eLiveRec


@dataclass(frozen=True)
class Elive(Model):
    """eLiveRec, Eq. 3-11, and the variants of Table III."""

    domains: tuple[str, ...] = ("live", "product")
    encoder: str = "transformer"  # or "din", "hgn" (Fig. 5), "gru"
    blocks: int = 1
    heads: int = 2
    feed_forward_ratio: int = 2
    attention_scale: str = "width"  # 1/sqrt(d), Eq. 4; or "head": 1/sqrt(d/h)
    position: str = "none"  # or "recency"
    prototypes: str = "pooled"  # or "learned" (wo.P), "matched"
    disentangle: bool = True  # False: wo.D
    intention_weight: str = "elementwise"  # or "scalar"
    correlation: str = "plain"  # or "bias_corrected", "none" (wo.C)
    contrast: str = "info_nce"  # or "none" (wo.N), "cosine", "euclidean", "specific_repulsion" (SR)
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
            if self.encoder == "gru":
                shapes |= {f"{root}.gru.input": (d, 3 * d), f"{root}.gru.gates": (d, 2 * d)}
                shapes[f"{root}.gru.candidate"] = (d, d)
                shapes |= {f"{root}.gru.{n}_bias": (d,) for n in ("reset", "update", "candidate")}
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

    def fields(self, width: int) -> dict[str, int]:
        own = list(self.domains)
        if self.disentangle:
            own = [f"z_{part}_{k}" for k in self.domains for part in "cs"]
        forms = ("", "_target") if self.target_product else ("",)
        names = ["dynamic"] * self.intra_dynamic + [f"{name}{form}" for name in own for form in forms]
        return {name: width for name in names}

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
        if self.encoder == "gru":
            feeds = per_feed(items, lengths)
            gru = scope(w, "gru")
            return items, torch.cat([ops.recurrence(e, gru) if len(e) else e for e in feeds])
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
            o_c, o_s = ops.prototypes(items, lengths)  # [b, d] each
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
                p_c = ops.intention(h, o_c[feed], o_s[feed], self.intention_weight)
                parts = (p_c * h, (1 - p_c) * h) if self.disentangle else (h,)
                for vectors, part in zip(z.values(), parts):
                    vectors.append(ops.target_attention(target[None], part)[0])
        for name, vectors in z.items():
            encoded.intermediates[name] = encoded.fields[name] = torch.stack(vectors)

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
            o_c, o_s = ops.prototypes(items, lengths)  # [b, d] each
            encoded.intermediates[f"{domain}.consistent_prototype"] = o_c
            encoded.intermediates[f"{domain}.specific_prototype"] = o_s
            o_c, o_s = (o.repeat_interleave(lengths, 0) for o in (o_c, o_s))
        else:
            w = scope(parameters, f"elive.{domain}")
            o_c, o_s = w["consistent"], w["specific"]

        p_c = ops.intention(h, o_c, o_s, self.intention_weight)
        encoded.intermediates[f"{domain}.intention"] = p_c
        for letter, name, p in (("c", "consistent", p_c), ("s", "specific", 1 - p_c)):
            components = {f"z_{letter}_{domain}": p * h}
            self.retrieve(inputs, domain, components, f"{domain}.{name}_attention", encoded)

    def retrieve(
        self, inputs: Tensors, domain: str, components: Tensors, weights: str, encoded: Encoded
    ) -> None:
        """Eq. 6-7 for the one entry of `components`: its field `[n, d]`, and the weights, flat."""
        ((name, component),) = components.items()
        targets = per_feed(inputs["target"], inputs["candidate_lengths"])
        feeds = list(zip(targets, per_feed(component, inputs[f"{domain}.lengths"])))
        z = torch.cat([ops.target_attention(t, c) for t, c in feeds])
        encoded.intermediates[weights] = torch.cat(
            [ops.retrieval_weights(t, c).flatten() for t, c in feeds]
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
            encoded.terms["cor"] = torch.stack(terms).sum()

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
            encoded.terms["nce"] = term


# Common to all models


def shared_fields(inputs: Tensors) -> Tensors:
    """The fields that every tower starts with, `[n, d]` each; the context once per impression.

    Where there are means of histories, each is followed by its product with the target.
    """
    lengths = inputs["candidate_lengths"]
    fields = {
        "context": inputs["context"].repeat_interleave(lengths, 0),
        "target": inputs["target"],
        "target_state": inputs["target_state"],
    }
    for domain in ("live", "product"):
        if f"{domain}.mean" in inputs:
            mean = inputs[f"{domain}.mean"].repeat_interleave(lengths, 0)
            fields |= {f"{domain}_mean": mean, f"{domain}_mean_target": mean * inputs["target"]}
    return fields


SHARED = ("context", "target", "target_state")
"""The fields that every tower starts with."""


def field_widths(model: Model, width: int, history_means: bool = False) -> dict[str, int]:
    """The fields of a model, in the order of the tower's input."""
    means = [f"{k}_mean{form}" for k in model.domains for form in ("", "_target")]
    return {name: width for name in (*SHARED, *(means if history_means else ()))} | model.fields(width)


def field_names(model: Model, history_means: bool = False) -> list[str]:
    """Their names."""
    return list(field_widths(model, 1, history_means))


def shapes(model: Model, width: int, history_means: bool = False) -> Shapes:
    """Every parameter of a model with its tower."""
    fields = field_widths(model, width, history_means)
    found = model.shapes(width)
    if not model.uses_tower:
        return found
    rows = sum(fields.values())
    for i, columns in enumerate(TOWER_WIDTHS):
        found |= {f"tower.{i}.weight": (rows, columns), f"tower.{i}.bias": (columns,)}
        if i + 1 < len(TOWER_WIDTHS):
            found[f"tower.{i}.slope"] = (columns,)
        rows = columns
    return found


def tower(fields: Tensors, parameters: Tensors) -> Tensor:
    """Three dense layers on the concatenated fields, PReLU between them -> logits `[n]`."""
    x = torch.cat(list(fields.values()), -1)
    w = scope(parameters, "tower")
    for i in range(len(TOWER_WIDTHS)):
        x = x @ w[f"{i}.weight"] + w[f"{i}.bias"]
        if f"{i}.slope" in w:
            x = ops.parametric_relu(x, w[f"{i}.slope"])
    return x.squeeze(-1)


def forward(model: Model, inputs: Tensors, parameters: Tensors) -> Tensors:
    """Logits, intermediates and losses: Eq. 10-11, total = rec + sum of lambda times term."""
    encoded = model.encode(inputs, parameters)
    expected = field_names(model, "live.mean" in inputs)
    if list(encoded.fields) != expected:
        raise AssertionError(f"fields {list(encoded.fields)} differ from {expected}")
    if encoded.logit is None:
        logits = tower(encoded.fields, parameters)
    else:
        logits = encoded.logit
    if encoded.other is not None and encoded.alpha is not None:
        logits = (1 - encoded.alpha) * logits + encoded.alpha * encoded.other
    if encoded.addend is not None:
        logits = logits + encoded.addend
    rec = ops.binary_cross_entropy(logits, inputs["watched"])
    weights = {"cor": LAMBDA_CORRELATION, "nce": LAMBDA_CONTRAST, **encoded.weights}
    total = rec + sum(weights[name] * term for name, term in encoded.terms.items())
    losses = {"rec": rec, **encoded.terms, "total": total}
    return {
        "logits": logits,
        **encoded.intermediates,
        **{f"loss.{name}": term for name, term in losses.items()},
    }


# Blocks of several models


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
    return feed_means(h, lengths)


def feed_means(x: Tensor, lengths: Tensor) -> Tensor:
    """The mean of each feed's rows, zeros without any, `[b, w]`."""
    return torch.stack([rows.mean(0) if len(rows) else rows.new_zeros(x.shape[1]) for rows in per_feed(x, lengths)])


def net_shapes(root: str, rows: int) -> Shapes:
    """The parameters of a net of the tower's shape."""
    shapes: Shapes = {}
    for i, columns in enumerate(TOWER_WIDTHS):
        shapes |= {f"{root}.layers.{i}.weight": (rows, columns), f"{root}.layers.{i}.bias": (columns,)}
        if i + 1 < len(TOWER_WIDTHS):
            shapes[f"{root}.slopes.{i}"] = (columns,)
        rows = columns
    return shapes


def net(x: Tensor, w: Tensors) -> Tensor:
    """Of joined fields a logit, `[r]`."""
    for i in range(len(TOWER_WIDTHS)):
        x = x @ w[f"layers.{i}.weight"] + w[f"layers.{i}.bias"]
        if i + 1 < len(TOWER_WIDTHS):
            x = ops.parametric_relu(x, w[f"slopes.{i}"])
    return x.squeeze(-1)


def orthogonality(x: Tensor) -> Tensor:
    """|X X^T - I|^2 / d, a scalar."""
    return (x @ x.T - torch.eye(len(x), dtype=x.dtype)).square().sum() / len(x)
