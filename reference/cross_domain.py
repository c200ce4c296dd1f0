"""The models that predict in both domains: MiNet, DASL, CoNet+, DTCDR+ and DDTCDR+. Read with `models.py`."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import models
import ops
from models import (
    Encoded,
    Model,
    Shapes,
    Tensors,
    block_shapes,
    encoded_mean,
    feed_means,
    net,
    net_shapes,
    orthogonality,
    shared_fields,
    tower,
)
from ops import per_feed, scope

# The product side's task

NEGATIVES = 4


@dataclass
class NextClicks:
    """Which product is clicked next: of each feed with two clicks or more the newest one, and clicks drawn for it.

    A drawn click of a product that the user has in the own history, the newest click with it, does not count.
    """

    before: Tensors
    """The inputs as they were before every feed's newest click; the live side is whole."""
    feeds: Tensor
    """Whose feed each row is of, `[r]`."""
    shown: Tensor
    """The product of each row without what only an event has, `[r, d]`."""
    labels: Tensor
    """1 for the newest clicks, 0 for drawn ones, `[r]`."""

    @classmethod
    def of(cls, inputs: Tensors) -> "NextClicks":
        lengths, entities = inputs["product.lengths"], inputs["product.ids"]
        histories = per_feed(torch.arange(len(entities)), lengths)
        drawn = iter(inputs["drawn.next_click"].tolist())
        rows = []
        for feed, events in enumerate(histories):
            if len(events) < 2:
                continue
            rows.append((feed, events[-1], 1.0))
            for other in [next(drawn) for _ in range(NEGATIVES)]:
                if entities[other] not in entities[events]:
                    rows.append((feed, other, 0.0))
        feeds, shown, labels = (torch.tensor(column) for column in zip(*rows))
        kept = torch.cat([events[:-1] for events in histories])
        names = ("product.items", "product.bare", "product.ids", "product.age_s")
        before = inputs | {name: inputs[name][kept] for name in names}
        before["product.lengths"] = (lengths - 1).clamp(min=0)
        return cls(before, feeds, inputs["product.bare"][shown], labels.double())

    def term(self, logits: Tensor) -> Tensor:
        return ops.binary_cross_entropy(logits, self.labels)


class Joint(Model):
    """A model with such a task."""

    product_weight: float

    def drawn(self) -> list[str]:
        return ["next_click"] if self.product_weight else []


# The models


@dataclass(frozen=True)
class Minet(Joint):
    """MiNet: Ouyang et al., CIKM 2020."""

    domains: tuple[str, ...] = ("live", "product")
    interest_weight: str = "exp"  # or "sigmoid"
    product_weight: float = 0.0

    def shapes(self, width: int) -> Shapes:
        d = width
        shapes: Shapes = {"minet.user": (d, d)}
        for domain in self.domains:
            shapes |= {f"minet.{domain}.hidden": (4 * d, 64), f"minet.{domain}.score": (64, 1)}
        shapes |= {"minet.product.transfer.down": (d, 10), "minet.product.transfer.up": (10, d)}
        for i in range(3):
            root = f"minet.interests.{i}"
            shapes |= {f"{root}.hidden": (4 * d, 64), f"{root}.score": (64, 1), f"{root}.bias": (1,)}
        return shapes | (net_shapes("minet.clicks", 3 * d) if self.product_weight else {})

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
        if self.product_weight:
            clicks = NextClicks.of(inputs)
            means = feed_means(clicks.before["product.bare"], clicks.before["product.lengths"])
            x = torch.cat([clicks.shown, users[clicks.feeds], means[clicks.feeds]], -1)
            logits = net(x, scope(parameters, "minet.clicks"))
            encoded.add("next_click", self.product_weight, clicks.term(logits))
        return encoded


@dataclass(frozen=True)
class Dasl(Joint):
    """DASL: Li et al., KDD 2021."""

    domains: tuple[str, ...] = ("live", "product")
    attention: str = "both"  # or "own"
    dual_weight: float = 0.0
    product_weight: float = 0.0

    def shapes(self, width: int) -> Shapes:
        d = width
        shapes: Shapes = {"dasl.user": (d, d)}
        for domain in self.domains:
            root = f"dasl.{domain}"
            shapes |= {f"{root}.user": (d, 3 * d), f"{root}.gru.input": (d, 3 * d)}
            shapes |= {f"{root}.gru.gates": (d, 2 * d), f"{root}.gru.candidate": (d, d)}
            shapes |= {f"{root}.gru.{n}_bias": (d,) for n in ("reset", "update", "candidate")}
        shapes |= self.attention_shapes("dasl.attention", d)
        if self.product_weight:
            sums = 2 if self.attention == "both" else 1
            shapes |= {"dasl.clicks.user": (d, d)} | self.attention_shapes("dasl.clicks.attention", d)
            shapes |= net_shapes("dasl.clicks.net", (2 + sums) * d)
            shapes |= {"dasl.clicks.rotation.weight": (d, d)} if self.dual_weight else {}
        return shapes

    def attention_shapes(self, root: str, d: int) -> Shapes:
        return {f"{root}.hidden.weight": (d, d), f"{root}.hidden.bias": (d,), f"{root}.score": (d, 1)}

    def fields(self, width: int) -> dict[str, int]:
        return {name: width for name in ["user", "live"] + ["product"] * (self.attention == "both")}

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        counts = inputs["candidate_lengths"]
        users = inputs["context"] @ parameters["dasl.user"]
        encoded.fields["user"] = users.repeat_interleave(counts, 0)
        sums = self.sums(inputs, users, parameters, "dasl.attention")
        for domain in self.domains if self.attention == "both" else ("live",):
            found = sums[domain].repeat_interleave(counts, 0)
            encoded.intermediates[domain] = encoded.fields[domain] = found
        if self.product_weight:
            self.ask_products(inputs, users, parameters, encoded)
        return encoded

    def ask_products(
        self, inputs: Tensors, live_users: Tensor, parameters: Tensors, encoded: Encoded
    ) -> None:
        """The same, the domains the other way round, with an attention of its own; and what keeps users' vectors together."""
        w = scope(parameters, "dasl.clicks")
        users = inputs["context"] @ w["user"]
        clicks = NextClicks.of(inputs)
        sums = self.sums(clicks.before, users, parameters, "dasl.clicks.attention")
        own = [sums[k] for k in (("product", "live") if self.attention == "both" else ("product",))]
        x = torch.cat([clicks.shown, *(of_feed[clicks.feeds] for of_feed in (users, *own))], -1)
        encoded.add("next_click", self.product_weight, clicks.term(net(x, scope(w, "net"))))
        if self.dual_weight:
            x = w["rotation.weight"]
            cosines = torch.cosine_similarity(users @ x, live_users, -1)
            encoded.add("orthogonality", self.dual_weight, orthogonality(x))
            encoded.add("closeness", self.dual_weight, (1 - cosines).mean())

    def sums(self, inputs: Tensors, users: Tensor, parameters: Tensors, attention: str) -> Tensors:
        """Each domain's states weighed by one softmax over the states of both, `[b, d]`; zeros without events."""
        w = scope(parameters, attention)
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
        return {domain: torch.stack(of_feeds) for domain, of_feeds in sums.items()}

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
class Conet(Joint):
    """CoNet+: Hu et al., CIKM 2018, with the mean of a transformer block of either history in u."""

    domains: tuple[str, ...] = ("live", "product")
    heads: int = 2
    sparsity: float = 0.0
    product_weight: float = 0.0
    uses_tower: ClassVar[bool] = False

    def shapes(self, width: int) -> Shapes:
        d, shapes = width, {}
        for domain in self.domains:
            shapes |= block_shapes(f"conet.{domain}.block", d)
        shapes |= {"conet.user.weight": (3 * d, d), "conet.user.bias": (d,)}
        rows = 2 * d
        shapes["conet.state"] = (d, models.TOWER_WIDTHS[0])
        for i, columns in enumerate(models.TOWER_WIDTHS[:-1]):
            root = f"conet.layers.{i}"
            shapes[f"{root}.cross"] = (rows, columns)
            for net in ("live", "product") if self.product_weight or i + 2 < len(models.TOWER_WIDTHS) else ("live",):
                shapes |= {f"{root}.{net}.dense.weight": (rows, columns)}
                shapes |= {f"{root}.{net}.{n}": (columns,) for n in ("dense.bias", "slope")}
            rows = columns
        for domain in ("live", "product") if self.product_weight else ("live",):
            shapes |= {f"conet.{domain}_logit.weight": (rows, 1), f"conet.{domain}_logit.bias": (1,)}
        return shapes

    def fields(self, width: int) -> dict[str, int]:
        return {name: width for name in ("user", "product")}

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        counts = inputs["candidate_lengths"]
        w = scope(parameters, "conet")
        users = self.users(inputs, w)
        clicked = newest(inputs, "product")
        own = {"user": users.repeat_interleave(counts, 0), "product": clicked.repeat_interleave(counts, 0)}
        encoded.fields |= own
        encoded.intermediates |= own
        state = inputs["target_state"] @ w["state"]
        of_live, _ = self.nets(own["user"], inputs["target"], own["product"], state, w)
        encoded.logit = (of_live @ w["live_logit.weight"] + w["live_logit.bias"]).squeeze(-1)
        if self.product_weight:
            clicks = NextClicks.of(inputs)
            user, watched = (x[clicks.feeds] for x in (self.users(clicks.before, w), newest(inputs, "live")))
            _, of_product = self.nets(user, watched, clicks.shown, 0, w)
            logits = (of_product @ w["product_logit.weight"] + w["product_logit.bias"]).squeeze(-1)
            encoded.add("next_click", self.product_weight, clicks.term(logits))
        if self.sparsity:
            crosses = [w[f"layers.{i}.cross"].flatten() for i in range(len(models.TOWER_WIDTHS) - 1)]
            encoded.add("sparsity", self.sparsity, torch.cat(crosses).abs().mean())
        return encoded

    def users(self, inputs: Tensors, w: Tensors) -> Tensor:
        """u, `[b, d]`."""
        parts = [inputs["context"]]
        for domain in self.domains:
            parts.append(encoded_mean(inputs, domain, scope(w, f"{domain}.block"), self.heads))
        return torch.cat(parts, -1) @ w["user.weight"] + w["user.bias"]

    def nets(
        self, user: Tensor, channel: Tensor, product: Tensor, state: Tensor | int, w: Tensors
    ) -> tuple[Tensor, Tensor]:
        """Both nets' last hidden layers, `[r, w]` each; `state` is what only an impression gives to the first layer."""
        a, b = torch.cat([user, channel], -1), torch.cat([user, product], -1)
        for i in range(len(models.TOWER_WIDTHS) - 1):
            layer = scope(w, f"layers.{i}")
            live = a @ layer["live.dense.weight"] + layer["live.dense.bias"] + b @ layer["cross"] + state
            if "product.slope" in layer:
                product = b @ layer["product.dense.weight"] + layer["product.dense.bias"] + a @ layer["cross"]
                b = ops.parametric_relu(product, layer["product.slope"])
            a, state = ops.parametric_relu(live, layer["live.slope"]), 0
        return a, b


def newest(inputs: Tensors, domain: str) -> Tensor:
    """The newest event of each feed without what only an event has, zeros without any, `[b, d]`."""
    vectors = inputs.get(f"{domain}.bare", inputs[f"{domain}.items"])
    histories = per_feed(vectors, inputs[f"{domain}.lengths"])
    return torch.stack([x[-1] if len(x) else x.new_zeros(x.shape[1]) for x in histories])


@dataclass(frozen=True)
class Dtcdr(Joint):
    """DTCDR+: Zhu et al., CIKM 2019, with the mean of a transformer block as the user's content."""

    domains: tuple[str, ...] = ("live", "product")
    combine: str = "max"  # or "mean" or "gate"
    target_product: bool = False
    heads: int = 2
    product_weight: float = 0.0

    def shapes(self, width: int) -> Shapes:
        d, shapes = width, {}
        for domain in self.domains:
            shapes |= block_shapes(f"dtcdr.{domain}.encoder.block", d)
            shapes |= {f"dtcdr.{domain}.user.weight": (2 * d, d), f"dtcdr.{domain}.user.bias": (d,)}
        if self.combine == "gate":
            shapes |= {"dtcdr.gate.weight": (2 * d, d), "dtcdr.gate.bias": (d,)}
        if self.product_weight:
            shapes |= net_shapes("dtcdr.clicks", (3 if self.target_product else 2) * d)
        return shapes

    def fields(self, width: int) -> dict[str, int]:
        return {name: width for name in ["user"] + ["user_target"] * self.target_product}

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        user = self.users(inputs, parameters).repeat_interleave(inputs["candidate_lengths"], 0)
        encoded.intermediates["user"] = encoded.fields["user"] = user
        if self.target_product:
            encoded.fields["user_target"] = user * inputs["target"]
        if self.product_weight:
            clicks = NextClicks.of(inputs)
            user = self.users(clicks.before, parameters)[clicks.feeds]
            fields = [clicks.shown, user] + [user * clicks.shown] * self.target_product
            logits = net(torch.cat(fields, -1), scope(parameters, "dtcdr.clicks"))
            encoded.add("next_click", self.product_weight, clicks.term(logits))
        return encoded

    def users(self, inputs: Tensors, parameters: Tensors) -> Tensor:
        """u, `[b, d]`."""
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
        return torch.stack(joined)


@dataclass(frozen=True)
class Ddtcdr(Joint):
    """DDTCDR+: Li and Tuzhilin, WSDM 2020, with the means of transformer blocks in the user's vector."""

    domains: tuple[str, ...] = ("live", "product")
    features: str | None = None  # "own": of its own domain alone; of both otherwise
    heads: int = 2
    alpha: float = 0.0  # 0: learned
    orthogonality: float = 0.0
    product_weight: float = 0.0

    def sequences(self, domain: str) -> tuple[str, ...]:
        """The histories in the user's vector of a domain."""
        return (domain,) if self.features == "own" else self.domains

    def shapes(self, width: int) -> Shapes:
        d, shapes = width, {}
        for domain in self.domains:
            shapes |= block_shapes(f"ddtcdr.{domain}.block", d)
        for domain in ("live", "product") if self.product_weight else ("live",):
            rows = (1 + len(self.sequences(domain))) * d
            shapes |= {f"ddtcdr.{domain}_user.weight": (rows, d), f"ddtcdr.{domain}_user.bias": (d,)}
        shapes |= {"ddtcdr.rotation.weight": (d, d), "ddtcdr.to_product": (d, d)}
        shapes |= {"ddtcdr.to_live": (d, d)} if self.product_weight else {}
        shapes |= {"ddtcdr.share": (1,)} if not self.alpha else {}
        return shapes | net_shapes("ddtcdr.net", 2 * d)

    def fields(self, width: int) -> dict[str, int]:
        return {"user": width}

    def encode(self, inputs: Tensors, parameters: Tensors) -> Encoded:
        encoded = Encoded(shared_fields(inputs))
        w = scope(parameters, "ddtcdr")
        x, of_net = w["rotation.weight"], scope(w, "net")
        fixed = torch.full((1,), self.alpha, dtype=torch.float64)
        alpha = encoded.alpha = fixed if self.alpha else torch.sigmoid(w["share"]) / 2
        user = self.users(inputs, "live", w).repeat_interleave(inputs["candidate_lengths"], 0)
        encoded.intermediates["user"] = encoded.fields["user"] = user
        encoded.other = net(torch.cat([user @ x, inputs["target"] @ w["to_product"]], -1), of_net)
        if self.product_weight:
            clicks = NextClicks.of(inputs)
            user = self.users(clicks.before, "product", w)[clicks.feeds]
            own = net(torch.cat([user, clicks.shown], -1), of_net)
            fields = {
                "context": inputs["context"][clicks.feeds],
                "target": clicks.shown @ w["to_live"],
                "target_state": torch.zeros_like(user),
                "user": user @ x.T,
            }
            other = tower(fields, parameters)
            term = clicks.term((1 - alpha) * own + alpha * other)
            encoded.add("next_click", self.product_weight, term)
        if self.orthogonality:
            encoded.add("orthogonality", self.orthogonality, orthogonality(x))
        return encoded

    def users(self, inputs: Tensors, domain: str, w: Tensors) -> Tensor:
        """The user's vector of a domain, `[b, d]`."""
        parts = [inputs["context"]]
        for sequence in self.sequences(domain):
            parts.append(encoded_mean(inputs, sequence, scope(w, f"{sequence}.block"), self.heads))
        return torch.cat(parts, -1) @ w[f"{domain}_user.weight"] + w[f"{domain}_user.bias"]
