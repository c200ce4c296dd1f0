"""Whether the PyTorch controls compute what `models.py`, `baselines.py` and `cross_domain.py` say: logits, every term of the loss,
and the gradient of the total at all parameters and rows, from the same parameters and rows, on small full histories."""

import torch
from torch import Tensor

import bench_recurrence
import models
from bench_training import CONTROLS, Batch, Sizes, Trainer, draw_negatives, make_batch, of_schema
from fixed_inputs import FIELDS, GROUPS, parameter
from models import Tensors

SIZES = Sizes(width=32, feeds=7, candidates=3, length=9, ids=40, users=6)
"""So few ids that targets are in their histories, and that some drawn events do not count."""

ROUNDING = 1e-10
"""Of gradients that are zero by the equations."""

IDENTITIES = {
    "user.user": "user",
    "candidate.channel_id": "target",
    "channel.channel_id": "live",
    "product.product_id": "product",
}
"""The fields that the benchmark's schema has, and the places of their ids."""


def differences(name: str) -> dict[str, float]:
    """The largest differences of a control to its reference by what they are of, relative to the largest element."""
    generator = torch.Generator().manual_seed(5)
    trainer = Trainer(name, SIZES)
    batch = make_batch(SIZES, generator)
    drawn = draw_negatives(trainer.model, batch, generator)
    leaves = trainer.leaves(batch)
    # Larger than rows are at first: of small ones softmax and products say little.
    leaves = {table: (10 * leaf).detach().requires_grad_() for table, leaf in leaves.items()}
    logits, losses = trainer.gradients(batch, leaves, drawn)

    shapes = models.shapes(trainer.model, SIZES.width)
    parameters = {name: parameter(name, shape) for name, shape in shapes.items()}
    rows = {table: leaf.detach().double().requires_grad_() for table, leaf in leaves.items()}
    expected = models.forward(trainer.model, inputs_of(batch, rows, drawn, trainer.model), parameters)
    (expected["loss.total"] * logits.numel()).backward()
    gradients = of_schema({name: x.grad for name, x in parameters.items()}, SIZES.width)

    found = {"logits": relative(logits.flatten(), expected["logits"])}
    found |= {term: relative(value, expected[f"loss.{term}"]) for term, value in losses.items()}
    largest = max(float(x.abs().max()) for x in gradients.values())
    of_parameters = [relative(x.grad, gradients[name], largest) for name, x in trainer.parameters.items()]
    of_rows = [relative(leaf.grad, rows[table].grad) for table, leaf in leaves.items()]
    return found | {"gradients": max(of_parameters), "gradients of rows": max(of_rows)}


def relative(found: Tensor, expected: Tensor, instead: float = 1.0) -> float:
    """To the largest element expected, or to `instead` where that is nothing but rounding (DIN's `score_bias` under a softmax)."""
    scale = float(expected.detach().abs().max())
    difference = float((found.detach().double() - expected.detach()).abs().max())
    return difference / (scale if scale > ROUNDING else instead)


def inputs_of(batch: Batch, rows: Tensors, drawn: Tensors, model: models.Model) -> Tensors:
    """The batch as the reference reads it, feed after feed. What the schema lacks is zero or has no id."""
    places, (b, c) = batch.places, batch.watched.shape
    l = batch.ages.shape[1]
    inputs = {
        "context": rows["user"][places["user"]],
        "target": rows["channel"][places["target"].flatten()],
        "target_state": torch.zeros(b * c, SIZES.width, dtype=torch.float64),
        "candidate_lengths": torch.full((b,), c),
        "user_ids": places["user"],
        "sampled": batch.sampled,
        "watched": batch.watched.flatten().double(),
    }
    for domain, vocabulary in (("live", "channel"), ("product", "product")):
        ids = places[domain].flatten()
        inputs[f"{domain}.items"] = inputs[f"{domain}.bare"] = rows[vocabulary][ids]
        inputs[f"{domain}.ids"] = ids
        inputs[f"{domain}.lengths"] = torch.full((b,), l)
        inputs[f"{domain}.age_s"] = batch.ages.flatten().double()
    inputs |= {f"drawn.{term}": events.flatten() for term, events in drawn.items()}
    if model.tables():
        inputs |= own_inputs(batch, rows, model)
    return inputs


def own_inputs(batch: Batch, rows: Tensors, model: models.Model) -> Tensors:
    """The ids of all fields, and the own tables of a model."""
    found: Tensors = {}
    sizes = {"user": "user", "context": "user", "candidate": "target", "target": "target", **GROUPS}
    for group, fields in FIELDS.items():
        count = batch.places[sizes[group]].numel()
        for field in fields:
            name = f"{group}.{field}"
            known = name in IDENTITIES
            ids = batch.places[IDENTITIES[name]].flatten() if known else torch.full((count,), -1)
            if field == "tags":
                ids, found[f"ids.{name}.lengths"] = ids[:0], torch.zeros(count, dtype=torch.int64)
            found[f"ids.{name}"] = ids
    for name, (_, width) in model.tables().items():
        nothing = torch.zeros(1, width, dtype=torch.float64)
        found[f"table.{name}"] = rows.get(name, nothing)
    return found


def report(tolerance: float) -> bool:
    """Prints what differs by how much, model by model; whether all is within `tolerance`."""
    bench_recurrence.CHUNK_ROWS = 2 * SIZES.candidates  # so that even so few feeds are several chunks
    within = True
    for name in CONTROLS:
        of_model = differences(name)
        wrong = [of for of, difference in of_model.items() if not difference <= tolerance]
        within &= not wrong
        verdict = f"WRONG: {', '.join(wrong)}" if wrong else "agrees"
        compared = ", ".join(f"{of} {difference:.1e}" for of, difference in of_model.items())
        print(f"{name} {verdict}; {compared}")
    return within
