"""Computes the logits of one request again, from the file of `eliverec explain --tensors` alone.

    python reference/recompute.py request.safetensors

From ids' rows, places, dense values, ages and parameters to the logit of every candidate, in float64 and in the order of the
paper: entities, encoder, prototypes, Eq. 5-7, tower, heads. What the program recorded on its way (`trace/NAME`) is compared
with what comes out here, and so are the terms of `--regularisers`. Prints the largest difference of each name; exit code 1 if
one is above 1e-4, 2 for a file that it cannot follow. Needs numpy and safetensors, no PyTorch and nothing of `ops.py`: one
request has no padding, so every line is its equation.

Letters: c candidates, l events, d width, h heads.
"""

import argparse
import math
import sys
import tomllib
from collections.abc import Iterator

import numpy as np
from safetensors import safe_open

TOLERANCE = 1e-4

PAPER_TASKS = ("stay", "bag_click", "product_click")
"""Of a schema that declares none."""

Array = np.ndarray
Copy = tuple[Array, Array, Array]
"""Events `[l, d]` before and after the encoder, and the targets `[c, d]` that read them."""


def softmax(x: Array) -> Array:
    """Over the last axis, which may be empty."""
    if x.shape[-1] == 0:
        return x
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -x))


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def layer_norm(x: Array, gamma: Array, beta: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gamma + beta


def mean_or_zero(x: Array) -> Array:
    """Mean over the rows `[1, w]`; zero without any."""
    return x.mean(0, keepdims=True) if len(x) else np.zeros((1, x.shape[1]))


def max_or_zero(x: Array) -> Array:
    return x.max(0, keepdims=True) if len(x) else np.zeros((1, x.shape[1]))


def unit(x: Array) -> Array:
    return x / np.sqrt(np.maximum((x**2).sum(1, keepdims=True), 1e-12))


class File:
    """What the file has, and what was compared with it."""

    def __init__(self, path: str) -> None:
        with safe_open(path, framework="numpy") as file:
            texts = file.metadata() or {}
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}
        if "config.toml" not in texts or "schema.toml" not in texts:
            raise LookupError(f"{path} has no config.toml and schema.toml in its header")
        self.config = tomllib.loads(texts["config.toml"])
        self.schema = tomllib.loads(texts["schema.toml"])
        self.differences: dict[str, float] = {}

    def tensor(self, name: str) -> Array:
        if name not in self.tensors:
            raise LookupError(f"the file has no tensor {name}")
        return self.tensors[name]

    def floats(self, name: str) -> Array:
        return self.tensor(name).astype(np.float64)

    def integers(self, name: str) -> Array:
        return self.tensor(name).astype(np.int64)

    def parameter(self, name: str) -> Array:
        return self.floats(f"parameter/{name}")

    def has_parameters(self, prefix: str) -> bool:
        return any(name.startswith(f"parameter/{prefix}") for name in self.tensors)

    def dense(self, name: str, x: Array) -> Array:
        """x W + b"""
        return x @ self.parameter(f"{name}.weight") + self.parameter(f"{name}.bias")

    def check(self, name: str, value: Array) -> None:
        """Compares with the tensor `name`, if the file has it."""
        if name not in self.tensors:
            return
        theirs = self.floats(name)
        alike = theirs.shape == value.shape and np.isfinite(theirs).all()
        self.differences[name] = float(np.abs(theirs - value).max(initial=0.0)) if alike else np.inf

    def record(self, name: str, value: Array) -> None:
        self.check(f"trace/{name}", value)


class Entities:
    """Sec. IV-A: fields as vectors, entities as fields side by side, mapped to d."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.d = file.config["input"]["width"]
        self.shared_maps = file.config["input"].get("maps", "entity") == "vocabulary"
        self.vocabularies = [v["name"] for v in file.schema["vocabulary"]]
        self.widths = {v["name"]: v.get("width", self.d) for v in file.schema["vocabulary"]}

    def fields(self, group: str) -> list[dict]:
        return self.file.schema.get("channel" if group == "candidate" else group, [])

    def columns(self, group: str) -> list[Array]:
        """Each field of a group, `[entities, w]`."""
        columns = []
        for field in self.fields(group):
            name = f"{group}.{field['name']}"
            if field["kind"] == "dense":
                columns.append(self.file.floats(f"numbers/{name}")[:, None])
                continue
            table = f"rows/{field['vocabulary']}"
            places = self.file.integers(f"places/{name}")
            nothing = np.zeros((0, self.widths[field["vocabulary"]]))
            rows = self.file.floats(table)[places] if len(places) else nothing
            if field["kind"] == "multi":
                ends = np.cumsum(self.file.integers(f"lengths/{name}"))
                rows = np.concatenate([mean_or_zero(part) for part in np.split(rows, ends)[:-1]])
            columns.append(rows)
        if group == "target":
            columns += [self.file.floats(f"numbers/match.{name}")[:, None] for name in self.matches()]
        return columns

    def matches(self) -> list[str]:
        return [match["name"] for match in self.file.schema.get("match", [])]

    def map_of(self, vocabulary: str) -> Array:
        place = self.vocabularies.index(vocabulary)
        return self.file.parameter(f"entities.vocabularies.{place}")

    def map(self, name: str, groups: list[str]) -> Array | None:
        """The map `[w, d]` of an entity's fields side by side; None where their widths add up to d."""
        weight = f"entities.{name}.weight"
        if not self.shared_maps:
            return self.file.parameter(weight) if f"parameter/{weight}" in self.file.tensors else None
        rows, numbers = [], 0
        for field in (field for group in groups for field in self.fields(group)):
            if field["kind"] == "dense":
                rows.append(self.file.parameter(weight)[numbers : numbers + 1])
                numbers += 1
            else:
                rows.append(self.map_of(field["vocabulary"]))
        if "target" in groups and self.matches():
            rows.append(self.file.parameter(weight)[numbers:])
        return np.concatenate(rows)

    def entity(self, name: str, groups: list[str], of: list[str] | None = None) -> Array | None:
        """The vectors `[entities, d]` of what has the fields of `groups`; with `of`, the share of these groups, the first of them."""
        columns = [column for group in of or groups for column in self.columns(group)]
        if not columns:
            return None
        x, weight = np.concatenate(columns, 1), self.map(name, groups)
        if weight is None:
            return np.pad(x, ((0, 0), (0, self.d - x.shape[1])))
        return x @ weight[: x.shape[1]]

    def history(self, domain: str) -> tuple[Array, Array]:
        """E `[l, d]`: the entities, and what only events have added after the map; and the entities alone."""
        group = {"live": "channel", "product": "product"}[domain]
        bare = self.entity(group, [group])
        assert bare is not None
        items = bare + sum(self.columns(f"{group}_event"), np.zeros_like(bare))
        self.file.record(f"{domain}.bare", bare)
        self.file.record(f"{domain}.items", items)
        return items, bare

    def target(self, domains: list[str]) -> Array:
        """e_vt `[c, d]`; with `query = "moment"` what is on sale is added in the histories' own words."""
        target = self.entity("channel", ["candidate"])
        assert target is not None
        if self.file.config["input"].get("query", "channel") == "moment":
            groups = ["channel"] + ["product"] * ("product" in domains)
            words = {f.get("vocabulary") for group in groups for f in self.fields(group)} - {None}
            for field, column in zip(self.fields("target"), self.columns("target")):
                if field.get("vocabulary") in words:
                    target = target + column @ self.map_of(field["vocabulary"])
        return target


def has_products(file: File) -> bool:
    given = file.config["input"]
    asked = given["domain"] == "both" and given["product_length"] > 0
    return asked and bool(file.schema.get("product"))


def encode(file: File) -> dict[str, Array]:
    """F: the fields of every candidate `[c, d]`, in the tower's order."""
    domains = ["live"] + ["product"] * has_products(file)
    entities = Entities(file)
    e_vt = entities.target(domains)
    context = entities.entity("context", ["user", "context"])
    optional = {
        "e_c": context,
        "user": entities.entity("context", ["user", "context"], ["user"]),
        "target_state": entities.entity("target", ["target"]),
        "e_d": entities.entity("dynamic", ["dynamic"]),
        "e_vt": e_vt,
    }
    for name, value in optional.items():
        if value is not None:
            file.record(name, value)

    shared = {
        "context": None if context is None else context.repeat(len(e_vt), 0),
        "target": e_vt,
        "target_state": optional["target_state"],
        "dynamic": optional["e_d"] if file.config["tower"]["intra_dynamic"] else None,
    }
    fields = {name: value for name, value in shared.items() if value is not None}
    histories, bare = {}, {}
    for domain in domains:
        histories[domain], bare[domain] = entities.history(domain)
    if file.config["tower"].get("history_means", False):
        for domain in domains:
            mean = mean_or_zero(bare[domain]).repeat(len(e_vt), 0)
            fields |= {f"{domain}_mean": mean, f"{domain}_mean_target": mean * e_vt}
    name = file.config["model"]["name"]
    if name not in MODELS:
        raise LookupError(f"the model {name} is not computed here, only {', '.join(MODELS)}")
    context = np.zeros((1, entities.d)) if context is None else context
    fields |= dict(MODELS[name](file, e_vt, histories, context))
    for name, value in fields.items():
        file.record(f"field.{name}", value)
    return fields


Fields = Iterator[tuple[str, Array]]


def unit_weights(file: File, target: Array, items: Array, domain: str, normalize: str) -> Array:
    """DIN's unit: a `[c, l]` = softmax(MLP([q, k, q - k, q * k]) / sqrt(d))."""
    root = f"trunk.{domain}.unit" if file.has_parameters(f"trunk.{domain}.unit") else f"trunk.{domain}"
    c, l, d = len(target), len(items), target.shape[1]
    q = np.broadcast_to(target[:, None], (c, l, d))
    k = np.broadcast_to(items[None], (c, l, d))
    x = np.concatenate([q, k, q - k, q * k], -1)
    x = sigmoid(file.dense(f"{root}.hidden1", x))
    x = sigmoid(file.dense(f"{root}.hidden2", x))
    scores = file.dense(f"{root}.score", x)[..., 0]
    file.record(f"{domain}.scores", scores[None])
    match normalize:
        case "softmax":
            return softmax(scores / math.sqrt(d))
        case "sigmoid":
            return sigmoid(scores / math.sqrt(d))
        case _:
            return scores


def din(file: File, target: Array, histories: dict[str, Array], _: Array) -> Fields:
    """u = (sum_i a_i k_i) W + b per domain, and u * e_vt."""
    config = file.config["model"]
    for domain, items in histories.items():
        a = unit_weights(file, target, items, domain, config["normalize"])
        pooled = a @ items
        interest = file.dense(f"trunk.{domain}.output", pooled) if len(items) else pooled
        file.record(f"{domain}.attention", a[None])
        file.record(f"{domain}.pooled", pooled)
        yield domain, interest
        if config["target_product"]:
            yield f"{domain}_target", interest * target


def split_heads(x: Array, h: int) -> Array:
    """`[rows, d]` to `[h, rows, d/h]`"""
    return x.reshape(len(x), h, x.shape[1] // h).swapaxes(0, 1)


def multi_head(file: File, root: str, x: Array, y: Array, h: int, scale: float) -> tuple[Array, Array]:
    """softmax(Q K^T * scale) `[h, c, l]`, and with V and W_o `[c, d]`."""
    q, k, v = (
        split_heads(of @ file.parameter(f"{root}.{name}"), h)
        for name, of in (("query", x), ("key", y), ("value", y))
    )
    weights = softmax(q @ k.swapaxes(1, 2) * scale)
    heads = (weights @ v).swapaxes(0, 1).reshape(len(x), x.shape[1])
    return weights, heads @ file.parameter(f"{root}.output")


def eta(file: File, target: Array, histories: dict[str, Array], _: Array) -> Fields:
    """softmax(Q K^T / sqrt(d/h)) V W_o per domain."""
    h = file.config["model"]["heads"]
    for domain, items in histories.items():
        scale = 1 / math.sqrt(target.shape[1] / h)
        weights, vectors = multi_head(file, f"trunk.{domain}", target, items, h, scale)
        file.record(f"{domain}.heads", weights[None])
        file.record(f"{domain}.attention", weights.mean(0)[None])
        yield domain, vectors


def transformer(file: File, domain: str, x: Array) -> Array:
    """Eq. 3-4."""
    config, d = file.config["model"], x.shape[1]
    scale = 1 / math.sqrt(d / (config["heads"] if config["attention_scale"] == "head" else 1))
    for i in range(config["blocks"]):
        root, name = f"trunk.{domain}.blocks.{i}", f"{domain}.block{i}"
        p = {
            part: file.parameter(f"{root}.{part}")
            for part in (
                *("expand_weight", "expand_bias", "contract_weight", "contract_bias"),
                *("attention_gamma", "attention_beta", "feed_forward_gamma", "feed_forward_beta"),
            )
        }
        weights, attended = multi_head(file, root, x, x, config["heads"], scale)
        x = layer_norm(x + attended, p["attention_gamma"], p["attention_beta"])
        y = relu(x @ p["expand_weight"] + p["expand_bias"]) @ p["contract_weight"]
        x = layer_norm(x + y + p["contract_bias"], p["feed_forward_gamma"], p["feed_forward_beta"])
        file.record(f"{name}.attention", weights[None])
        file.record(f"{name}.encoded", x)
    return x


def hgn(file: File, domain: str, items: Array, user: Array) -> Array:
    """h_i = s_i x_i, x_i = e_i * g_i: g_i = sigmoid(e_i W_1 + u W_2 + b), s_i = sigmoid(x_i w_3 + u . p_i)."""
    p = {
        name: file.parameter(f"trunk.{domain}.gating.{name}")
        for name in ("feature_item", "feature_user", "feature_bias", "instance_item", "instance_user")
    }
    g = sigmoid(items @ p["feature_item"] + user @ p["feature_user"] + p["feature_bias"])
    x = items * g
    # A place is counted from the newest event; older ones share the last.
    places = np.minimum(np.arange(len(items))[::-1], len(p["instance_user"]) - 1)
    of_place = (p["instance_user"][places] * user).sum(1, keepdims=True)
    s = sigmoid(x @ p["instance_item"] + of_place)
    file.record(f"{domain}.feature_gate", g)
    file.record(f"{domain}.instance_gate", s)
    return x * s


def gru(file: File, domain: str, items: Array) -> Array:
    """The state h after every event, from 0: r, u = sigmoid([x, h] W + b), c = tanh(x W + (r h) W_c + b), h <- h + u (c - h)."""
    names = ("input", "gates", "candidate", "reset_bias", "update_bias", "candidate_bias")
    p = {name: file.parameter(f"trunk.{domain}.gru.{name}") for name in names}
    biases = np.concatenate([p["reset_bias"], p["update_bias"], p["candidate_bias"]])
    h, states = np.zeros(items.shape[1]), []
    for x in items @ p["input"] + biases:
        of_r, of_u, of_c = np.split(x, 3)
        r, u = np.split(sigmoid(np.concatenate([of_r, of_u]) + h @ p["gates"]), 2)
        h = h + u * (np.tanh(of_c + (r * h) @ p["candidate"]) - h)
        states.append(h)
    return np.stack(states)


def encoded(file: File, domain: str, items: Array, target: Array, context: Array) -> list[Copy]:
    """H; with DIN's unit as the encoder it is another one for each target."""
    if file.config["model"]["position"] == "recency":
        ages = np.maximum(file.tensors[f"age_s/{domain}"], np.float32(1.0))
        buckets = np.minimum(np.log2(ages).astype(np.int64), 31)
        items = items + file.parameter(f"trunk.{domain}.recency")[buckets]
    encoder = file.config["model"]["encoder"]
    if encoder == "din":
        a = unit_weights(file, target, items, domain, "softmax")
        file.record(f"{domain}.encoder_attention", a[None])
        copies = [(items, a[i][:, None] * items, target[i : i + 1]) for i in range(len(target))]
    elif len(items) == 0:
        copies = [(items, items, target)]
    elif encoder == "hgn":
        copies = [(items, hgn(file, domain, items, context), target)]
    elif encoder == "gru":
        copies = [(items, gru(file, domain, items), target)]
    else:
        copies = [(items, transformer(file, domain, items), target)]
    file.record(f"{domain}.embedded", np.concatenate([before for before, _, _ in copies]))
    file.record(f"{domain}.encoded", np.concatenate([after for _, after, _ in copies]))
    return copies


def prototypes(file: File, domain: str, own: Array, other: Array | None) -> tuple[Array, Array]:
    """o_c and o_s `[1, d]`, or `[l, d]` for `matched`."""
    mean = mean_or_zero(own)
    has_other = other is not None and len(other) > 0
    match file.config["model"]["prototypes"]:
        case "learned":
            of = lambda part: file.parameter(f"trunk.{domain}.{part}")[None]
            return of("consistent"), of("specific")
        case "matched":
            mean = mean.repeat(len(own), 0)
            found = softmax(unit(own) @ unit(other).T / 0.2) @ other if has_other else mean
            return found, mean
        case _:
            return mean, max_or_zero(own)


def attend(target: Array, events: Array) -> tuple[Array, Array]:
    """Eq. 6-7: a `[c, l]` = softmax(e . x_i), and sum_i a_i x_i `[c, d]`."""
    a = softmax(target @ events.T)
    return a, a @ events


def elive(file: File, target: Array, histories: dict[str, Array], context: Array) -> Fields:
    """Eq. 3-7: z_c and z_s per domain."""
    config = file.config["model"]
    copies = {
        domain: encoded(file, domain, items, target, context) for domain, items in histories.items()
    }
    for domain in histories:
        if not config["disentangle"]:
            seen = [attend(target, h) for _, h, target in copies[domain]]
            file.record(f"{domain}.attention", np.concatenate([a for a, _ in seen])[None])
            parts = {domain: np.concatenate([z for _, z in seen])}
        else:
            parts = intents(file, domain, copies)
        for name, z in parts.items():
            yield name, z
            if config["target_product"]:
                yield f"{name}_target", z * target


def intents(file: File, domain: str, copies: dict[str, list[Copy]]) -> dict[str, Array]:
    """Eq. 5-7 of a domain."""
    config = file.config["model"]
    others = [copies[name] for name in copies if name != domain]
    found: dict[str, list[Array]] = {}
    keep = lambda name, value: found.setdefault(name, []).append(value)
    for i, (embedded, h, target) in enumerate(copies[domain]):
        other = others[0][i][0] if others else None
        o_c, o_s = prototypes(file, domain, embedded, other)
        keep("consistent_prototype", o_c)
        keep("specific_prototype", o_s)
        exponent = h * (o_c - o_s)
        if config["intention_weight"] == "scalar":
            exponent = exponent.sum(1, keepdims=True)
        p_c = sigmoid(exponent)
        keep("intention", p_c)
        for part, p in (("consistent", p_c), ("specific", 1 - p_c)):
            a, z = attend(target, p * h)
            keep(f"{part}_attention", a)
            keep(part, z)
    for name in ("consistent_prototype", "specific_prototype"):
        file.record(f"{domain}.{name}", np.concatenate(found[name]))
    file.record(f"{domain}.intention", np.mean(found["intention"], axis=0))
    for part in ("consistent_attention", "specific_attention"):
        file.record(f"{domain}.{part}", np.concatenate(found[part])[None])
    z_c, z_s = (np.concatenate(found[part]) for part in ("consistent", "specific"))
    return {f"z_c_{domain}": z_c, f"z_s_{domain}": z_s}


def linear(file: File) -> Array:
    """A number for every id, a weight for every number, and a bias: the logits `[c]`."""
    entities = Entities(file)
    logits = file.parameter("trunk.bias")
    groups = ["user", "context", "candidate", "target"]
    weights = 0
    for group in groups + ["dynamic"] * file.config["tower"]["intra_dynamic"]:
        dense = [f"numbers/{group}.{f['name']}" for f in entities.fields(group) if f["kind"] == "dense"]
        dense += [f"numbers/match.{name}" for name in entities.matches() if group == "target"]
        if dense:
            numbers = np.stack([file.floats(name) for name in dense], 1)
            logits = logits + numbers @ file.parameter(f"trunk.weights.{weights}")
            weights += 1
        for field in entities.fields(group):
            if field["kind"] == "dense":
                continue
            name = f"{group}.{field['name']}"
            rows = file.floats(f"rows/linear.{name}")[file.integers(f"places/{name}")]
            if field["kind"] == "multi":
                ends = np.cumsum(file.integers(f"lengths/{name}"))
                rows = np.concatenate([mean_or_zero(part) for part in np.split(rows, ends)[:-1]])
            logits = logits + rows[:, 0]
    file.record("logit.0", logits)
    return logits


MODELS = {"linear": lambda *_: [], "din": din, "eta": eta, "elive": elive}


def tower(file: File, fields: list[Array]) -> Array:
    """Eq. 11, up to the logit `[c]`."""
    x = np.concatenate(fields, 1)
    hidden = len(file.config["tower"]["widths"])
    for i in range(hidden):
        x = file.dense(f"tower.layers.{i}", x)
        x = np.where(x > 0, x, x * file.parameter(f"tower.slopes.{i}"))
    return file.dense(f"tower.layers.{hidden}", x)[:, 0]


def heads(file: File, fields: dict[str, Array]) -> None:
    """Eq. 12-13."""
    e_d = Entities(file).entity("dynamic", ["dynamic"])
    inputs = list(fields.values())
    if e_d is not None:
        hidden = np.split(relu(file.dense("heads.gate.hidden", e_d)), len(inputs), 1)
        for i, name in enumerate(fields):
            weight = sigmoid(file.dense(f"heads.gate.weights.{i}", hidden[i]))
            file.record(f"gate.{name}", weight)
            inputs[i] = inputs[i] * weight
        inputs.append(e_d)
    x = np.concatenate(inputs, 1)
    experts = relu(file.dense("heads.mixture.experts", x))
    count = file.parameter("heads.mixture.tasks.0.gate").shape[1]
    experts = experts.reshape(len(x), count, -1)
    file.record("experts", experts)
    tasks = [task["name"] for task in file.schema.get("task", [])] or PAPER_TASKS
    for k, task in enumerate(tasks):
        root = f"heads.mixture.tasks.{k}"
        gate = softmax(x @ file.parameter(f"{root}.gate"))
        file.record(f"mixture.{task}", gate)
        mixed = (experts * gate[:, :, None]).sum(1)
        output = file.dense(f"{root}.output", relu(file.dense(f"{root}.hidden", mixed)))
        file.record(f"task.{task}", output[:, 0])


# The terms of --regularisers: Eq. 8-9, from F of their batch, and those about next events, from its events.


def distance_correlation(x: Array, y: Array, plain: bool) -> float:
    """Eq. 8; bias-corrected it is of the squares and may be negative."""
    r = len(x)

    def centred(z: Array) -> Array:
        a = np.sqrt(((z[:, None] - z[None]) ** 2).sum(-1))
        if plain:
            return a - a.mean(0, keepdims=True) - a.mean(1, keepdims=True) + a.mean()
        u = a - a.sum(0, keepdims=True) / (r - 2) - a.sum(1, keepdims=True) / (r - 2)
        u = u + a.sum() / ((r - 1) * (r - 2))
        np.fill_diagonal(u, 0.0)
        return u

    a, b = centred(x), centred(y)
    squared = (a * b).mean() / math.sqrt(max((a**2).mean() * (b**2).mean(), 1e-24))
    return math.sqrt(max(squared, 0.0)) if plain else squared


def info_nce(x: Array, y: Array, users: Array, temperature: float) -> float:
    """Eq. 9: the negatives of a row are those of other users."""
    s = unit(x) @ unit(y).T / temperature
    same = (users[:, None] == users[None]) & ~np.eye(len(users), dtype=bool)
    s = np.where(same, -np.inf, s)
    largest = s.max(1)
    return float((largest + np.log(np.exp(s - largest[:, None]).sum(1)) - np.diag(s)).mean())


def terms(file: File) -> None:
    """L_reg of elive over the batch."""
    config, lengths = file.config["model"], {}
    for domain in ("live", "product"):
        if f"batch/field.z_c_{domain}" in file.tensors:
            lengths[domain] = file.integers(f"batch/{domain}")
    rows = file.integers("batch/sampled")
    z = lambda part, domain: file.floats(f"batch/field.z_{part}_{domain}")[rows]
    plain = config["correlation"] == "plain"
    correlation = 0.0
    for domain, events in lengths.items():
        of = events >= 2
        if of.sum() >= (2 if plain else 4):
            correlation += distance_correlation(z("c", domain)[of], z("s", domain)[of], plain)
    file.check("term/correlation", np.array([correlation]))
    if len(lengths) < 2:
        return
    of = (lengths["live"] > 0) & (lengths["product"] > 0)
    users, enough = file.tensors["batch/user_id"][of], of.sum() >= 2
    x, y = z("c", "live")[of], z("c", "product")[of]
    match config["alignment"]:
        case "cosine":
            alignment = 1 - (unit(x) * unit(y)).sum(1).mean() if enough else 0.0
        case "euclidean":
            alignment = np.sqrt(((x - y) ** 2).sum(1)).mean() if enough else 0.0
        case _:
            alignment = info_nce(x, y, users, config["temperature"]) if enough else 0.0
    file.check("term/alignment", np.array([alignment]))
    x, y = z("s", "live")[of], z("s", "product")[of]
    separation = -info_nce(x, y, users, config["temperature"]) if enough else 0.0
    file.check("term/separation", np.array([separation]))


def next_event_terms(file: File) -> None:
    """Which event comes next, and which channel is watched: the terms of `[training.next_event]` over the batch."""
    channels, chosen = file.floats("batch/next_event.channel"), file.integers("batch/next_event.chosen")
    feeds = np.repeat(np.arange(len(file.tensor("batch/candidates"))), file.integers("batch/candidates"))
    shown = file.tensor("batch/ids.candidate")
    bare = lambda domain: file.floats(f"batch/{domain}.bare")
    for domain in ("live", "product"):
        if f"batch/{domain}.bare" not in file.tensors:
            continue
        ids, ends = file.tensor(f"batch/ids.{domain}"), np.cumsum(file.integers(f"batch/{domain}"))
        histories = np.split(bare(domain), ends)[:-1]

        name, pairs = f"next_{domain}", []
        if f"batch/next_event.{name}" in file.tensors:
            a, drawn = (file.parameter(f"next_events.{domain}.next"), file.integers(f"batch/next_event.{name}"))
            for x, own in zip(histories, np.split(ids, ends)[:-1]):
                for t in range(1, len(x)):
                    negatives = bare(domain)[drawn[ids[drawn] != own[t]]]
                    pairs.append(sampled_softmax(x[:t].mean(0) @ a, x[t], negatives))
            file.check(f"term/{name}", np.array([np.mean(pairs) if pairs else 0.0]))

        name, pairs = f"watched_{domain}", []
        if f"batch/next_event.{name}" in file.tensors:
            b, drawn = (file.parameter(f"next_events.{domain}.watched"), file.integers(f"batch/next_event.{name}"))
            watches = file.tensor("batch/ids.live")
            for i in chosen if len(watches) else ():
                if len(x := histories[feeds[i]]):
                    negatives = bare("live")[drawn[watches[drawn] != shown[i]]]
                    pairs.append(sampled_softmax(x.mean(0) @ b, channels[i], negatives))
            file.check(f"term/{name}", np.array([np.mean(pairs) if pairs else 0.0]))


def sampled_softmax(anchor: Array, positive: Array, negatives: Array) -> float:
    """-log exp(<a, p>) / (exp(<a, p>) + sum exp(<a, x>))"""
    scores = np.concatenate([[anchor @ positive], negatives @ anchor])
    return float(np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[0])


def main() -> int:
    parser = argparse.ArgumentParser(description="Computes the logits of explain --tensors again.")
    parser.add_argument("file", help="what explain --tensors wrote")
    try:
        file = File(parser.parse_args().file)
        fields = encode(file)
        if file.has_parameters("heads."):
            heads(file, fields)
        own = file.config["model"]["name"] == "linear"
        file.record("logits", linear(file) if own else tower(file, list(fields.values())))
        if "batch/sampled" in file.tensors:
            terms(file)
        if "batch/next_event.channel" in file.tensors:
            next_event_terms(file)
    except (LookupError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, difference in file.differences.items():
        shape = list(file.tensors[name].shape)
        print(f"{difference:9.1e}  {name} {shape}{'' if difference <= TOLERANCE else '  DIFFERS'}")
    compared = ("trace/", "term/")
    left = [n for n in file.tensors if n.startswith(compared) and n not in file.differences]
    if left:
        print(f"not computed here: {', '.join(sorted(left))}")
    largest = max(file.differences.values())
    print(f"largest difference {largest:.1e} of {len(file.differences)} tensors")
    return int(largest > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
