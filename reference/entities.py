"""Feeds as vectors: entities from ids, numbers and ages (Sec. IV-A), with common maps, the query of the moment and match features.

`vectors` gives what `models.py` reads. Parameters have the names that the Rust side gives them. Letters as in `ops.py`; w a
field's width.
"""

import tomllib
from dataclasses import dataclass

import torch
from torch import Tensor

from models import Shapes, Tensors, feed_means
from ops import per_feed

SCHEMA = """
name = "reference"
vocabulary = [
    { name = "user", width = 3 },
    { name = "hour", width = 2 },
    { name = "channel" },
    { name = "product", width = 5 },
    { name = "category", width = 4 },
    { name = "tag", width = 3 },
    { name = "level", width = 4 },
    { name = "action" },
    { name = "stay" },
]
user = [
    { name = "user", kind = "categorical", vocabulary = "user" },
    { name = "active_days", kind = "dense", transform = "log1p" },
]
context = [{ name = "hour", kind = "categorical", vocabulary = "hour" }]
product = [
    { name = "product_id", kind = "categorical", vocabulary = "product" },
    { name = "category_id", kind = "categorical", vocabulary = "category" },
    { name = "price", kind = "bucket", vocabulary = "level", boundaries = [10.0, 60.0] },
]
product_event = [{ name = "action", kind = "categorical", vocabulary = "action" }]
channel = [
    { name = "channel_id", kind = "categorical", vocabulary = "channel" },
    { name = "category_id", kind = "categorical", vocabulary = "category" },
    { name = "tags", kind = "multi", vocabulary = "tag" },
]
channel_event = [{ name = "stay", kind = "bucket", vocabulary = "stay", boundaries = [30.0] }]
target = [
    { name = "clicks", kind = "dense", transform = "log1p" },
    { name = "current", kind = "categorical", vocabulary = "category" },
    { name = "minutes", kind = "dense" },
    { name = "shelf", kind = "multi", vocabulary = "product" },
    { name = "current_price", kind = "bucket", vocabulary = "level", boundaries = [10.0, 60.0] },
]
match = [
    { name = "clicked_current", of = "current", history = "products", field = "category_id", half_life_s = 3600.0 },
    { name = "watched_channel", of = "channel_id", history = "channels", field = "channel_id" },
    { name = "recent_tags", of = "tags", history = "channels", field = "tags", last = 2 },
    { name = "clicked_shelf", of = "shelf", history = "products", field = "product_id" },
    { name = "clicked_price", of = "current_price", history = "products", field = "price", last = 3, half_life_s = 500.0 },
]
"""
"""Fields of every kind on every side, numbers among fields with ids, and match features of all that they can be of."""

HISTORIES = {"products": "product", "channels": "live"}
"""The domain of a history, by its name in a schema."""

ENTITIES = {"live": "channel", "product": "product"}
"""The group of a domain's entities."""


@dataclass(frozen=True)
class Input:
    """What every model sees."""

    maps: str = "entity"  # or "vocabulary"
    query: str = "channel"  # or "moment"
    history_means: bool = False  # whether the tower sees, per domain, the mean of the events and its product with e_vt


class Feeds:
    """The ids, numbers, ages and rows of some feeds, and what a model of these domains makes of them."""

    def __init__(self, given: Input, inputs: Tensors, domains: tuple[str, ...], width: int) -> None:
        self.given, self.inputs, self.domains, self.width = given, inputs, domains, width
        self.schema = tomllib.loads(SCHEMA)
        self.widths = {v["name"]: v.get("width", width) for v in self.schema["vocabulary"]}

    def fields(self, group: str) -> list[dict]:
        return self.schema.get("channel" if group == "candidate" else group, [])

    def lengths(self, domain: str) -> Tensor:
        return self.inputs[f"{domain}.lengths"]

    # Values of fields

    def buckets(self, group: str, field: dict) -> Tensor:
        """Which interval each number is in: boundaries[i-1] <= x < boundaries[i]."""
        numbers = self.inputs[f"numbers.{group}.{field['name']}"]
        return (numbers[:, None] >= torch.tensor(field["boundaries"])).sum(1)

    def lists(self, group: str, field: dict) -> list[set[int]]:
        """The values of every entity, without -1, which stands for none."""
        name = f"ids.{group}.{field['name']}"
        if field["kind"] == "bucket":
            return [{int(bucket)} for bucket in self.buckets(group, field)]
        if field["kind"] == "categorical":
            return [{int(x)} - {-1} for x in self.inputs[name]]
        lists = per_feed(self.inputs[name], self.inputs[f"{name}.lengths"])
        return [set(ids.tolist()) - {-1} for ids in lists]

    def standardised(self, name: str, x: Tensor) -> Tensor:
        mean, sd = self.inputs[f"moments.{name}"]
        return (x - mean) / sd

    def columns(self, group: str) -> list[Tensor]:
        """Each field of a group as vectors, `[entities, w]`; then, of the target, the match features."""
        columns = []
        for field in self.fields(group):
            name = f"{group}.{field['name']}"
            if field["kind"] == "dense":
                numbers = self.inputs[f"numbers.{name}"]
                if field.get("transform") == "log1p":
                    numbers = torch.log1p(numbers.clamp(min=0))
                columns.append(self.standardised(name, numbers)[:, None])
                continue
            rows = self.inputs[f"rows.{field['vocabulary']}"]
            if field["kind"] == "bucket":
                columns.append(rows[self.buckets(group, field)])
                continue
            found = rows[self.inputs[f"ids.{name}"]]
            if field["kind"] == "multi":
                found = feed_means(found, self.inputs[f"ids.{name}.lengths"])
            columns.append(found)
        if group == "target":
            columns += [x[:, None] for x in self.matches().values()]
        return columns

    def matches(self) -> Tensors:
        """ln(1 + count), standardised, `[n]`: how many events of a history carry a value of the candidate, each once.

        With a half-life an event counts 2^(-age / half-life). A model that reads no products has 0 for what counts them.
        """
        return {match["name"]: self.match(match) for match in self.schema["match"]}

    def match(self, match: dict) -> Tensor:
        domain = HISTORIES[match["history"]]
        if domain not in self.domains:
            return torch.zeros(len(self.inputs["watched"]), dtype=torch.float64)
        of, field = (
            next(self.lists(group, f) for group in groups for f in self.fields(group) if f["name"] == name)
            for name, groups in (
                (match["of"], ("candidate", "target")),
                (match["field"], (ENTITIES[domain], f"{ENTITIES[domain]}_event")),
            )
        )
        ages, counts, start, first = self.inputs[f"{domain}.age_s"], [], 0, 0
        for length, shown in zip(self.lengths(domain).tolist(), self.inputs["candidate_lengths"].tolist()):
            events = range(start + max(0, length - match.get("last", length)), start + length)
            for candidate in of[first : first + shown]:
                count = torch.zeros((), dtype=torch.float64)
                for i in events:
                    if field[i] & candidate:
                        half_life = match.get("half_life_s")
                        count = count + (2 ** (-ages[i] / half_life) if half_life else 1)
                counts.append(torch.log1p(count))
            start, first = start + length, first + shown
        return self.standardised(f"match.{match['name']}", torch.stack(counts))

    # Entities

    def entities(self) -> dict[str, list[str]]:
        """The kinds of entity with the groups whose fields they have."""
        found = {"context": ["user", "context"], "channel": ["channel"], "target": ["target"]}
        return found | ({"product": ["product"]} if "product" in self.domains else {})

    def numbers(self, groups: list[str]) -> int:
        dense = [f for group in groups for f in self.fields(group) if f["kind"] == "dense"]
        return len(dense) + len(self.schema["match"]) * ("target" in groups)

    def shapes(self) -> Shapes:
        """The maps to d: one per entity where its widths do not add up to d, or one per vocabulary and one of the numbers."""
        shapes, d = {}, self.width
        for name, groups in self.entities().items():
            fields = [f for group in groups for f in self.fields(group) if f["kind"] != "dense"]
            rows = numbers = self.numbers(groups)
            if self.given.maps == "entity":
                rows = numbers + sum(self.widths[f["vocabulary"]] for f in fields)
                shapes |= {f"entities.{name}.weight": (rows, d)} if rows != d else {}
                continue
            shapes |= {f"entities.{name}.weight": (numbers, d)} if numbers else {}
            shapes |= {self.map_name(f["vocabulary"]): (self.widths[f["vocabulary"]], d) for f in fields}
        return shapes

    def map_name(self, vocabulary: str) -> str:
        return f"entities.vocabularies.{list(self.widths).index(vocabulary)}"

    def entity(self, name: str, group: str, parameters: Tensors) -> Tensor:
        """The vectors `[entities, d]`: fields side by side times a map, or each field times the map of its vocabulary."""
        groups = ["user", "context"] if group == "context" else [group]
        columns = [column for of in groups for column in self.columns(of)]
        weight = parameters.get(f"entities.{name}.weight")
        if self.given.maps == "entity":
            x = torch.cat(columns, -1)
            return x if weight is None else x @ weight
        fields = [f.get("vocabulary") for of in groups for f in self.fields(of)]
        fields += [None] * (len(columns) - len(fields))
        total, number = torch.zeros((), dtype=torch.float64), 0
        for vocabulary, column in zip(fields, columns):
            if vocabulary is None:
                total, number = total + column * weight[number], number + 1
            else:
                total = total + column @ parameters[self.map_name(vocabulary)]
        return total

    def target(self, channel: Tensor, parameters: Tensors) -> Tensor:
        """e_vt `[n, d]`: the channel, and with `moment` what the target's fields say in words that the histories have."""
        if self.given.query == "channel":
            return channel
        groups = [ENTITIES[domain] for domain in self.domains]
        words = {f.get("vocabulary") for group in groups for f in self.fields(group)} - {None}
        for field, column in zip(self.fields("target"), self.columns("target")):
            if field.get("vocabulary") in words:
                channel = channel + column @ parameters[self.map_name(field["vocabulary"])]
        return channel

    def vectors(self, parameters: Tensors) -> Tensors:
        """What the models read: e_c, e_vt and the bare channel, the target's state, and of each history E, bare and with its events'
        own fields, and, where the tower sees it, the mean of the bare ones."""
        channel = self.entity("channel", "candidate", parameters)
        found = {
            "context": self.entity("context", "context", parameters),
            "channel": channel,
            "target": self.target(channel, parameters),
            "target_state": self.entity("target", "target", parameters),
        }
        for domain in self.domains:
            group = ENTITIES[domain]
            bare = self.entity(group, group, parameters)
            found[f"{domain}.bare"] = bare
            found[f"{domain}.items"] = bare + sum(self.columns(f"{group}_event"))
            if self.given.history_means:
                found[f"{domain}.mean"] = feed_means(bare, self.lengths(domain))
        return found
