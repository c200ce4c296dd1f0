"""The models that predict in both domains: MiNet, DASL, CoNet+, DTCDR+ and DDTCDR+. Read with `models.py`."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import ops
from models import TOWER_WIDTHS, Encoded, Model, Shapes, Tensors, block_shapes, encoded_mean, shared_fields
from ops import per_feed, scope


@dataclass(frozen=True)
class Minet(Model):
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

    def fields(self, width: int) -> dict[str, int]:
        return {name: width for name in ("user", *self.domains)}

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
class Dasl(Model):
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

    def fields(self, width: int) -> dict[str, int]:
        return {name: width for name in ["user", "live"] + ["product"] * (self.attention == "both")}

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
class Conet(Model):
    """CoNet+: Hu et al., CIKM 2018, with the mean of a transformer block of either history in u."""

    domains: tuple[str, ...] = ("live", "product")
    heads: int = 2
    field_norm: str = "none"
    uses_tower: ClassVar[bool] = False

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

    def fields(self, width: int) -> dict[str, int]:
        return {name: width for name in ("user", "product")}

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
class Dtcdr(Model):
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

    def fields(self, width: int) -> dict[str, int]:
        return {name: width for name in ["user"] + ["user_target"] * self.target_product}

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
class Ddtcdr(Model):
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

    def fields(self, width: int) -> dict[str, int]:
        return {"user": width}

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
