"""The models of one domain or two that eLiveRec is compared with: WDL+, DIN, ETA, DIEN, HGN, BST and CAN.

Read with `models.py`."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

import ops
from fixed_inputs import FIELDS, GROUPS
from models import Encoded, Model, Shapes, Tensors, block_shapes, din_unit, encoded_mean, feed_means, shared_fields
from ops import per_feed, scope


# DIN


@dataclass(frozen=True)
class Din(Model):
    """DIN: Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018."""

    domains: tuple[str, ...] = ("live", "product")
    normalize: str = "softmax"  # or "none", "sigmoid"

    def shapes(self, width: int) -> Shapes:
        sizes = din_unit(width) | {"output": (width, width)}
        shapes: Shapes = {}
        for domain in self.domains:
            for name, (rows, columns) in sizes.items():
                shapes[f"din.{domain}.{name}_weight"] = (rows, columns)
                shapes[f"din.{domain}.{name}_bias"] = (columns,)
        return shapes

    def fields(self, width: int) -> dict[str, int]:
        return {n: width for k in self.domains for n in (k, f"{k}_product")}

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
class Eta(Model):
    """ETA: Chen et al., arXiv:2108.04468, without the unit for long histories (eLiveRec, Sec. V-B)."""

    domains: tuple[str, ...] = ("live", "product")
    heads: int = 2

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
class Dien(Model):
    """DIEN: Zhou et al., AAAI 2019."""

    domains: tuple[str, ...] = ("live", "product")
    attention: str = "bilinear"  # or "unit": DIN's
    auxiliary_weight: float = 0.0

    def drawn(self) -> list[str]:
        return [f"auxiliary_{k}" for k in self.domains] if self.auxiliary_weight else []

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
            if self.auxiliary_weight:
                term = self.auxiliary(inputs, domain, encoded.intermediates[f"{domain}.interests"])
                encoded.add(f"auxiliary_{domain}", self.auxiliary_weight, term)
        return encoded

    def auxiliary(self, inputs: Tensors, domain: str, states: Tensor) -> Tensor:
        """Mean of -log s(<h_t, x_t+1>), plus mean of -log(1 - s(<h_t, x>)) over drawn x of another entity than x_t+1.

        One x is drawn for every t that has an event after it, feed by feed. x is without what only an event has.
        """
        x, entities = inputs[f"{domain}.bare"], inputs[f"{domain}.ids"]
        drawn = iter(inputs[f"drawn.auxiliary_{domain}"].tolist())
        come, others = [], []
        for rows in per_feed(torch.arange(len(x)), inputs[f"{domain}.lengths"]):
            for t, following in zip(rows[:-1], rows[1:]):
                other = next(drawn)
                come.append(-torch.nn.functional.logsigmoid(states[t] @ x[following]))
                if entities[other] != entities[following]:
                    others.append(-torch.nn.functional.logsigmoid(-(states[t] @ x[other])))
        return torch.stack(come).mean() + torch.stack(others).mean()

    def weigh(self, target: Tensor, states: Tensor, w: Tensors) -> Tensor:
        """softmax_t(h_t W e_vt), `[c, d]` and `[l, d]` -> `[c, l]`, or DIN's weights."""
        if self.attention == "bilinear":
            return torch.softmax(target @ w["query"] @ states.T, -1)
        scores = ops.din_scores(target, states, scope(w, "unit"))
        return ops.din_weights(scores, "softmax", target.shape[1])


# HGN


@dataclass(frozen=True)
class Hgn(Model):
    """HGN: Ma et al., KDD 2019, with what its score is made of as fields."""

    domains: tuple[str, ...] = ("live", "product")

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

    def fields(self, width: int) -> dict[str, int]:
        found = {"user_map": width}
        for k in self.domains:
            found |= {k: width, f"{k}_average": width, f"{k}_dots": 3}
        return found

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
class Bst(Model):
    """BST: Chen et al., 2019, literally: the block over events and target, and of it the target's place."""

    domains: tuple[str, ...] = ("live", "product")
    heads: int = 2

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


# WDL


@dataclass(frozen=True)
class Wdl(Model):
    """WDL+: Cheng et al., DLRS 2016, with the mean of a transformer block's output, or of the events, per domain."""

    domains: tuple[str, ...] = ("live", "product")
    sequence: str = "encoder"  # or "mean"
    heads: int = 2

    def tables(self) -> dict[str, tuple[str, int]]:
        groups = [g for g in FIELDS if g not in GROUPS or GROUPS[g] in self.domains]
        fields = ((f"{group}.{name}", v) for group in groups for name, v in FIELDS[group].items())
        return {place: (vocabulary, 1) for place, vocabulary in fields}

    def crosses(self) -> list[tuple[str, str]]:
        """Fields of events, with one id, that the target has as well; those of products where a vocabulary is common."""
        found = [("channel", "channel_id"), ("channel", "category_id")]
        return found + [("product", "category_id")] * ("product" in self.domains)

    def shapes(self, width: int) -> Shapes:
        shapes: Shapes = {"wdl.bias": (1,), "wdl.cross": (len(self.crosses()),)}
        for domain in self.domains if self.sequence == "encoder" else ():
            shapes |= block_shapes(f"wdl.{domain}.block", width)
        return shapes

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        counts = inputs["candidate_lengths"]
        w = scope(parameters, "wdl")
        for domain in self.domains:
            if self.sequence == "encoder":
                mean = encoded_mean(inputs, domain, scope(w, f"{domain}.block"), self.heads)
            else:
                mean = feed_means(inputs[f"{domain}.items"], inputs[f"{domain}.lengths"])
            encoded.fields[domain] = mean.repeat_interleave(counts, 0)
        encoded.addend = encoded.intermediates["logit.1"] = self.wide(inputs, w)
        return encoded

    def wide(self, inputs: Tensors, w: Tensors) -> Tensor:
        """b + numbers of the ids of user, moment and target + per domain the mean of those of the events + crosses, `[n]`.

        A cross is v times the share of a feed's events whose id is the target's; what has no value is like nothing.
        """
        counts = inputs["candidate_lengths"]
        total = w["bias"]
        for name in self.tables():
            group = name.split(".")[0]
            numbers = inputs[f"table.{name}"][inputs[f"ids.{name}"]]  # [ids, 1]
            if f"ids.{name}.lengths" in inputs:
                numbers = feed_means(numbers, inputs[f"ids.{name}.lengths"])
            if group in GROUPS:
                numbers = feed_means(numbers, inputs[f"{GROUPS[group]}.lengths"])
            if group not in ("candidate", "target"):
                numbers = numbers.repeat_interleave(counts, 0)
            total = total + numbers.squeeze(1)
        for v, (group, field) in zip(w["cross"], self.crosses()):
            shown = per_feed(inputs[f"ids.candidate.{field}"], counts)
            past = per_feed(inputs[f"ids.{group}.{field}"], inputs[f"{GROUPS[group]}.lengths"])
            shares = [
                (events == target).double().mean() if target >= 0 and len(events) else torch.zeros((), dtype=torch.float64)
                for of_feed, events in zip(shown, past)
                for target in of_feed
            ]
            total = total + v * torch.stack(shares)
        return total


# CAN


@dataclass(frozen=True)
class Can(Model):
    """CAN: Bian et al., WSDM 2022, on DIEN."""

    domains: tuple[str, ...] = ("live", "product")
    coaction: str = "all"  # or "identity"
    attention: str = "bilinear"
    auxiliary_weight: float = 0.0

    def dien(self) -> Dien:
        return Dien(self.domains, self.attention, self.auxiliary_weight)

    def drawn(self) -> list[str]:
        return self.dien().drawn()

    def pairs(self, domain: str) -> list[tuple[str, str, str]]:
        """Of a domain's fields with one id: group and field, the table of nets, the target's field that names the net.

        A channel's field is read by the same field of the target, a product's by the target's identity.
        """
        group = {"live": "channel", "product": "product"}[domain]
        names = [name for name in FIELDS[group] if name != "tags"]
        if self.coaction == "identity":
            names = names[:1]
        if domain == "live":
            return [(f"{group}.{name}", f"live.{name}.net", name) for name in names]
        return [(f"{group}.{name}", "product.net", "channel_id") for name in names]

    def tables(self) -> dict[str, tuple[str, int]]:
        found = {}
        for domain in self.domains:
            for place, net, of_target in self.pairs(domain):
                group, name = place.split(".")
                found[net] = (FIELDS["candidate"][of_target], 16 * 8 + 8 * 4)
                found[f"{domain}.{name}.feed"] = (FIELDS[group][name], 16)
        return found

    def shapes(self, width: int) -> Shapes:
        return {f"can.{name}": shape for name, shape in self.dien().shapes(width).items()}

    def fields(self, width: int) -> dict[str, int]:
        coaction = {f"{k}_coaction": 36 * len(self.pairs(k)) for k in self.domains}
        return self.dien().fields(width) | coaction

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = self.dien().encode(inputs, scope(parameters, "can"))
        for domain in self.domains:
            name = f"{domain}_coaction"
            found = [self.coact(inputs, domain, *pair) for pair in self.pairs(domain)]
            encoded.intermediates[name] = encoded.fields[name] = torch.cat(found, -1)
        return encoded

    def coact(self, inputs: Tensors, domain: str, place: str, net: str, of_target: str) -> Tensor:
        """For c = 1, 2, 3: h1 = mean over events of tanh(tanh(p)^c W1), and h1 W2; zeros without events, `[n, 36]`."""
        nets = inputs[f"table.{net}"][inputs[f"ids.candidate.{of_target}"]]
        feed = inputs[f"table.{domain}.{place.split('.')[1]}.feed"][inputs[f"ids.{place}"]]
        shown = per_feed(nets, inputs["candidate_lengths"])
        found = []
        for of_feed, events in zip(shown, per_feed(feed, inputs[f"{domain}.lengths"])):
            for row in of_feed:
                first, second = row[:128].reshape(16, 8), row[128:].reshape(8, 4)
                parts = []
                for order in (1, 2, 3):
                    layers = [torch.tanh(torch.tanh(p) ** order @ first) for p in events]
                    h1 = torch.stack(layers).mean(0) if layers else row.new_zeros(8)
                    parts += [h1, h1 @ second]
                found.append(torch.cat(parts))
        return torch.stack(found)
