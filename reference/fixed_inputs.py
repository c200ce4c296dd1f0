"""Fixed inputs of the reference values: a function of a name and a seed, representable in float32."""

import zlib

import torch
from torch import Tensor

Tensors = dict[str, Tensor]

SEED = 2024
WIDTH = 8

UPDATE = 5
"""The update of seed 1 whose draws `DRAWN` are."""

DRAWN = {
    "next_click": [16, 7, 16, 4, 10, 3, 13, 4, 16, 0, 7, 16, 0, 7, 5, 16, 14, 5, 4, 16, 3, 1, 3, 8],
    "auxiliary_live": [15, 1, 12, 3, 15, 15, 12, 6, 14, 0, 13, 5, 12],
    "auxiliary_product": [6, 8, 16, 19, 9, 11, 2, 14, 9, 12, 7, 10, 9],
    "next_live": [4, 17, 11, 19, 17, 10, 17, 10, 16, 1, 18, 8],
    "next_product": [14, 17, 18, 10, 18, 18, 6, 13, 14, 14, 5, 13],
    "watched_live": [10, 15, 6, 2, 6, 12, 4, 4, 9, 1, 15, 17],
    "watched_product": [15, 5, 5, 9, 13, 3, 3, 3, 16, 13, 13, 16],
}
"""The events that are drawn as negatives: the Rust test draws them anew and tells where these differ."""

SAMPLED = [1, 2, 4, 7, 8, 10, 11, 14, 16]
"""The impressions of `feed_inputs` that the regularisers take in that update."""

CHOSEN = [0, 2, 5, 7, 10, 11, 14, 15]
"""The watched impressions that terms about next events take in that update, one of each feed that has any."""

VOCABULARIES = {"user": 6, "hour": 5, "channel": 8, "category": 5, "product": 10, "tag": 5, "slot": 4}
VOCABULARIES |= {"level": 4, "action": 4, "stay": 3}
"""Rows of every vocabulary. The last is that of what has no value, whose id is -1."""

ENTITIES = {"live": "channel", "product": "product"}
"""The vocabulary of a domain's entities."""

FIELDS = {
    "user": {"user": "user"},
    "context": {"hour": "hour"},
    "candidate": {"channel_id": "channel", "category_id": "category", "tags": "tag"},
    "target": {"slot": "slot"},
    "channel": {"channel_id": "channel", "category_id": "category", "tags": "tag"},
    "product": {"product_id": "product", "category_id": "category"},
}
"""Of every group the fields with ids, and their vocabularies; of `tags` an entity has any number."""

GROUPS = {"channel": "live", "product": "product"}
"""The groups whose entities are a domain's events."""

LENGTHS = {"live": [3, 2, 1, 0, 4, 5, 2, 3, 0], "product": [2, 3, 4, 5, 0, 2, 1, 3, 0]}
"""Events of every feed."""

CANDIDATES = [2, 1, 3, 2, 1, 2, 3, 1, 2]
"""Impressions of every feed."""

USERS = [11, 12, 13, 14, 15, 12, 16, 17, 18]
"""User of every feed."""

MOMENTS = {
    "user.active_days": [1.5, 0.75],
    "target.clicks": [2.0, 1.25],
    "target.minutes": [0.5, 8.0],
    "match.clicked_current": [0.25, 0.5],
    "match.watched_channel": [0.5, 0.75],
    "match.recent_tags": [0.375, 0.5],
    "match.clicked_shelf": [0.25, 0.25],
    "match.clicked_price": [0.5, 0.625],
}
"""Means and standard deviations of the numbers of `entities.SCHEMA`."""


def normal(name: str, *shape: int) -> Tensor:
    """Standard normal numbers that depend on the name only, so that variants share what they can."""
    generator = torch.Generator().manual_seed(SEED + zlib.crc32(name.encode()))
    return torch.randn(*shape, generator=generator, dtype=torch.float32).double()


def representable(x: Tensor) -> Tensor:
    """The nearest float32 numbers, as a leaf in float64."""
    return x.detach().float().double().requires_grad_()


def packed(x: list[int]) -> Tensor:
    return torch.tensor(x, dtype=torch.int64)


def model_inputs(domains: tuple[str, ...]) -> Tensors:
    """Nine feeds with 1 to 3 impressions.

    Feed 2 has a single watch and feed 6 a single product click; feed 3 has no watch, feed 4 no product click,
    feed 8 neither. Feeds 1 and 5 are of one user. In feed 0 the first and the last watch are equal, so that
    the max over its watches is a tie.
    """
    lengths = {domain: packed(lengths) for domain, lengths in LENGTHS.items()}
    candidates = packed(CANDIDATES)
    b, n = len(candidates), int(candidates.sum())

    inputs = {"context": representable(0.6 * normal("context", b, WIDTH))}
    for name in ("target", "target_state", "dynamic"):
        inputs[name] = representable(0.6 * normal(name, n, WIDTH))
    for domain in domains:
        m = int(lengths[domain].sum())
        items = 0.8 * normal(f"{domain}.items", m, WIDTH)
        if domain == "live":
            items[2] = items[0]
        ages = torch.exp(3 + 4 * normal(f"{domain}.age_s", m)).round()
        ages[:6] = torch.tensor([0.0, 1.0, 2.0, 3.0, 8191.0, 8192.0])
        ages[-1] = 1e10
        inputs[f"{domain}.items"] = representable(items)
        inputs[f"{domain}.lengths"] = lengths[domain]
        inputs[f"{domain}.age_s"] = ages.float().double()

    first = candidates.cumsum(0) - candidates
    inputs["candidate_lengths"] = candidates
    inputs["user_ids"] = packed(USERS)
    inputs["sampled"] = first + packed([1, 0, 2, 0, 0, 1, 1, 0, 1])
    inputs["watched"] = (normal("watched", n) > 0.3).double()
    return inputs


def training_inputs(inputs: Tensors, domains: tuple[str, ...], drawn: list[str]) -> Tensors:
    """What terms about next events read beside `model_inputs`.

    Vectors of events without what only an event has; the entities, few enough that one of the same is drawn now and then; the
    drawn events.
    """
    found: Tensors = {}
    for domain in domains:
        m = len(inputs[f"{domain}.items"])
        found[f"{domain}.bare"] = representable(0.8 * normal(f"{domain}.bare", m, WIDTH))
        found[f"{domain}.ids"] = ids(f"{domain}.ids", m, VOCABULARIES[ENTITIES[domain]])
    return found | {f"drawn.{name}": packed(DRAWN[name]) for name in drawn}


def ids(name: str, count: int, rows: int) -> Tensor:
    """Ids of a vocabulary, of every sixth -1."""
    generator = torch.Generator().manual_seed(SEED + zlib.crc32(name.encode()))
    found = torch.randint(rows - 1, (count,), generator=generator)
    found[torch.randint(6, (count,), generator=generator) == 0] = -1
    return found


def own_inputs(
    inputs: Tensors, domains: tuple[str, ...], tables: dict[str, tuple[str, int]]
) -> Tensors:
    """The ids of all fields, and a model's own tables: `tables` has their vocabularies and widths."""
    counts = {"user": len(inputs["context"]), "context": len(inputs["context"])}
    counts |= {"candidate": len(inputs["target"]), "target": len(inputs["target"])}
    groups = {group: domain for group, domain in GROUPS.items() if domain in domains}
    counts |= {group: len(inputs[f"{domain}.items"]) for group, domain in groups.items()}
    found: Tensors = {}
    for group, count in counts.items():
        for field, vocabulary in FIELDS[group].items():
            name, total = f"ids.{group}.{field}", count
            if field == "tags":
                found[f"{name}.lengths"] = ids(f"{name}.lengths", count, 4).clamp(min=0)
                total = int(found[f"{name}.lengths"].sum())
            found[name] = ids(name, total, VOCABULARIES[vocabulary])
    for group, domain in groups.items():
        found[f"ids.{group}.{ENTITIES[domain]}_id"] = inputs[f"{domain}.ids"].clone()
    for name, (vocabulary, width) in tables.items():
        rows = VOCABULARIES[vocabulary]
        found[f"table.{name}"] = representable(0.5 * normal(f"table.{name}", rows, width))
    return found


def feed_inputs(schema: dict, domains: tuple[str, ...]) -> Tensors:
    """The feeds of `model_inputs` as ids, numbers and ages of a schema, oldest event first, with the rows of its vocabularies.

    More impressions are watched, so that some feeds have several.
    """
    n = sum(CANDIDATES)
    found = {
        "candidate_lengths": packed(CANDIDATES),
        "user_ids": packed(USERS),
        "sampled": packed(SAMPLED),
        "watched": (normal("watched", n) > -0.4).double(),
    }
    counts = {"user": len(USERS), "context": len(USERS), "candidate": n, "target": n}
    for group, domain in GROUPS.items():
        if domain in domains:
            found[f"{domain}.lengths"] = packed(LENGTHS[domain])
            counts[group] = counts[f"{group}_event"] = m = sum(LENGTHS[domain])
            ages = torch.exp(6 + 2 * normal(f"feeds.{domain}.age_s", m)).round().split(LENGTHS[domain])
            found[f"{domain}.age_s"] = torch.cat([of.sort(descending=True).values for of in ages])
    for group, count in counts.items():
        for field in schema["channel" if group == "candidate" else group]:
            name = f"{group}.{field['name']}"
            if "vocabulary" not in field or field["kind"] == "bucket":
                found[f"numbers.{name}"] = torch.exp(2.5 + 1.5 * normal(f"feeds.{name}", count)).round()
                continue
            total = count
            if field["kind"] == "multi":
                found[f"ids.{name}.lengths"] = ids(f"feeds.{name}.lengths", count, 4).clamp(min=0)
                total = int(found[f"ids.{name}.lengths"].sum())
            found[f"ids.{name}"] = ids(f"feeds.{name}", total, VOCABULARIES[field["vocabulary"]])
    for vocabulary in schema["vocabulary"]:
        name = vocabulary["name"]
        rows = normal(f"feeds.rows.{name}", VOCABULARIES[name], vocabulary.get("width", WIDTH))
        found[f"rows.{name}"] = representable(0.6 * rows)
    moments = {f"moments.{name}": torch.tensor(of, dtype=torch.float64) for name, of in MOMENTS.items()}
    return found | moments


def next_event_inputs(terms: list[str]) -> Tensors:
    """What terms about next events draw."""
    return {"chosen": packed(CHOSEN)} | {f"drawn.{name}": packed(DRAWN[name]) for name in terms}


def task_labels(inputs: Tensors) -> Tensors:
    """Labels of what happened inside the channel, `[n]`: whole seconds, and clicks of both kinds; -1 where unknown.

    More impressions are watched than in `model_inputs`, so that every task has known and unknown labels.
    """
    n = len(inputs["watched"])
    known = {task: normal(f"{task}.known", n) > -0.8 for task in ("stay", "bag_click", "product_click")}
    labels = {
        "stay": torch.exp(3.5 + 1.2 * normal("stay", n)).round(),
        "bag_click": (normal("bag_click", n) > 0.2).double(),
        "product_click": (normal("product_click", n) > 0.5).double(),
    }
    found = {task: torch.where(known[task], label, -1.0) for task, label in labels.items()}
    return {"watched": (normal("watched", n) > -0.4).double()} | found


def parameter(name: str, shape: tuple[int, ...]) -> Tensor:
    """Values of a size that keeps every layer away from saturation."""
    values = normal(name, *shape)
    kind = name.rsplit(".", 1)[-1].rsplit("_", 1)[-1]
    if kind == "gamma":
        return representable(1 + 0.2 * values)
    if kind == "slope":
        return representable(0.25 + 0.1 * values)
    if kind in ("beta", "bias"):
        return representable(0.2 * values)
    if kind in ("recency", "consistent", "specific"):
        return representable(0.8 * values)
    return representable(values / shape[0] ** 0.5)
