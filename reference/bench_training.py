"""A training step of a PyTorch control: batches, embedding rows, loss, gradient, update.

Batches are those of `eliverec bench train`: ids drawn uniformly, every feed of another user, full histories. Channels of histories
and candidates share a vocabulary. The distinct ids of a batch are found before the clock starts, as a data loader would.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

import models
import ops
from baselines import Bst, Can, Dien, Din, Eta, Hgn, Wdl
from bench_blocks import DOMAINS, Inputs, main_tower, rows_at
from bench_cross_domain import conet, dasl, ddtcdr, dtcdr, minet
from bench_models import bst, can, dien, din, elive, eta, hgn, wdl
from cross_domain import NEGATIVES, Conet, Dasl, Ddtcdr, Dtcdr, Minet
from fixed_inputs import parameter
from models import Elive, Encoded, Tensors

models.TOWER_WIDTHS = (200, 80, 1)

HEADS = 8
TABLE_STD = 0.05
DENSE_RATE = 0.01
TABLE_RATE = 0.05
INITIAL_ACCUMULATOR = 0.1
EPSILON = 1e-10

Control = Callable[[models.Model, Inputs, Tensors], Encoded]

CONTROLS: dict[str, tuple[models.Model, Control]] = {
    "elive": (Elive(blocks=2, heads=HEADS, feed_forward_ratio=4), elive),
    "wdl": (Wdl(heads=HEADS), wdl),
    "din": (Din(), din),
    "eta": (Eta(heads=HEADS), eta),
    "dien": (Dien(auxiliary_weight=1.0), dien),
    "hgn": (Hgn(), hgn),
    "bst": (Bst(heads=HEADS), bst),
    "can": (Can(coaction="identity", auxiliary_weight=1.0), can),
    "minet": (Minet(product_weight=0.5), minet),
    "dasl": (Dasl(dual_weight=0.01, product_weight=1.0), dasl),
    "conet": (Conet(heads=HEADS, sparsity=0.1, product_weight=1.0), conet),
    "dtcdr": (Dtcdr(heads=HEADS, product_weight=0.25), dtcdr),
    "ddtcdr": (
        Ddtcdr(heads=HEADS, features="own", alpha=0.03, orthogonality=0.01, product_weight=1.0),
        ddtcdr,
    ),
}
"""Every model with the options that `eliverec bench train model.name=NAME` builds it with. Where a channel has no field but its
identity, all fields of CAN are that one."""

VOCABULARIES = ("user", "channel", "product")
"""Those of the benchmark's schema, which has one field for each of them and nothing else."""


# Batches


@dataclass(frozen=True)
class Sizes:
    """Of a batch; the default is the benchmark's."""

    width: int = 128
    feeds: int = 256
    candidates: int = 8
    length: int = 50
    ids: int = 20_000
    users: int = 256


@dataclass
class Batch:
    """Ids of whole feeds, already made distinct per vocabulary, and the places of the rows."""

    ids: Tensors
    """`[u]` by vocabulary."""
    places: Tensors
    """As in `Inputs`."""
    ages: Tensor
    """Seconds `[b, l]`, the same for both domains."""
    watched: Tensor
    """`[b, c]`"""
    sampled: Tensor


def make_batch(sizes: Sizes, generator: torch.Generator) -> Batch:
    def draw(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=generator)

    b, c, l = sizes.feeds, sizes.candidates, sizes.length
    channels, places = draw(sizes.ids, b, l + c).unique(return_inverse=True)
    products, product_places = draw(sizes.ids, b, l).unique(return_inverse=True)
    users, user_places = (torch.arange(b) % sizes.users).unique(return_inverse=True)
    return Batch(
        ids={"user": users, "channel": channels, "product": products},
        places={
            "user": user_places,
            "target": places[:, l:].contiguous(),
            "live": places[:, :l].contiguous(),
            "product": product_places,
        },
        ages=60.0 * torch.arange(l - 1, -1, -1).float().repeat(b, 1),
        watched=(draw(8, b, c) == 0).float(),
        sampled=torch.arange(b) * c + draw(c, b),
    )


def draw_negatives(model: models.Model, batch: Batch, generator: torch.Generator) -> Tensors:
    """For every positive of a model's own terms, uniformly over the events of the batch."""
    b, l = batch.places["product"].shape

    def draw(term: str) -> Tensor:
        shape = (b, NEGATIVES) if term == "next_click" else (b, l - 1)
        return torch.randint(b * l, shape, generator=generator)

    return {term: draw(term) for term in model.drawn()}


def own_tables(model: models.Model) -> dict[str, tuple[str, int]]:
    """Vocabulary and width of a model's own tables, those of fields that the schema has."""
    return {name: of for name, of in model.tables().items() if of[0] in VOCABULARIES}


# Model


def parameters_of(model: models.Model, width: int) -> Tensors:
    """Initial values by name, of a size that keeps layers from saturation."""
    found = {name: parameter(name, shape) for name, shape in models.shapes(model, width).items()}
    return {name: x.detach().float().requires_grad_() for name, x in of_schema(found, width).items()}


def of_schema(parameters: Tensors, width: int) -> Tensors:
    """Without the rows and crosses of what the schema lacks: the target's state, and categories."""
    found = dict(parameters)
    found.pop("conet.state", None)
    if "tower.0.weight" in found:
        first = found["tower.0.weight"]
        state = models.SHARED.index("target_state") * width
        found["tower.0.weight"] = torch.cat([first[:state], first[state + width :]])
    if "wdl.cross" in found:
        found["wdl.cross"] = found["wdl.cross"][:1]
    return found


def forward(name: str, inputs: Inputs, w: Tensors) -> tuple[Tensor, Encoded]:
    """Logits `[b, c]`, and what the control gives."""
    model, control = CONTROLS[name]
    found = control(model, inputs, w)
    if found.logit is not None:
        return found.logit, found
    logits = main_tower(list(found.fields.values()), w)
    if found.other is not None:
        logits = (1 - found.alpha) * logits + found.alpha * found.other
    return logits if found.addend is None else logits + found.addend, found


def losses(logits: Tensor, watched: Tensor, found: Encoded) -> Tensors:
    """The terms by name, and their weighted sum `total`."""
    weights = {"cor": models.LAMBDA_CORRELATION, "nce": models.LAMBDA_CONTRAST, **found.weights}
    rec = F.binary_cross_entropy_with_logits(logits, watched)
    total = rec + sum(weights[name] * term for name, term in found.terms.items())
    return {"rec": rec, **found.terms, "total": total}


# Training step


class Table:
    """A table of embeddings and its accumulators, updated row by row."""

    def __init__(self, rows: int, width: int, generator: torch.Generator) -> None:
        self.values = TABLE_STD * torch.randn(rows, width, generator=generator)
        self.accumulators = torch.full((rows, width), INITIAL_ACCUMULATOR)

    def leaf(self, ids: Tensor) -> Tensor:
        return self.values.index_select(0, ids).requires_grad_()

    def update(self, ids: Tensor, leaf: Tensor) -> None:
        with torch.no_grad():
            gradient = leaf.grad
            accumulators = self.accumulators.index_select(0, ids)
            accumulators.addcmul_(gradient, gradient)
            self.accumulators.index_copy_(0, ids, accumulators)
            leaf.addcdiv_(gradient, accumulators.sqrt_().add_(EPSILON), value=-TABLE_RATE)
            self.values.index_copy_(0, ids, leaf)


class Trainer:
    """Model, tables and optimiser, and the step that is timed."""

    def __init__(self, name: str, sizes: Sizes, layout: str = "grouped", compiled: bool = False) -> None:
        self.name, self.layout = name, layout
        self.model, _ = CONTROLS[name]
        self.generator = torch.Generator().manual_seed(2)
        self.parameters = parameters_of(self.model, sizes.width)
        self.forward = torch.compile(forward) if compiled else forward
        rows = {vocabulary: sizes.ids for vocabulary in VOCABULARIES} | {"user": sizes.users}
        self.keys = {v: (v, sizes.width) for v in VOCABULARIES} | own_tables(self.model)
        self.tables = {
            table: Table(rows[v], width, self.generator) for table, (v, width) in self.keys.items()
        }
        self.optimizer = torch.optim.Adagrad(
            self.parameters.values(),
            lr=DENSE_RATE,
            initial_accumulator_value=INITIAL_ACCUMULATOR,
            eps=EPSILON,
            fused=True,
        )

    def leaves(self, batch: Batch) -> Tensors:
        """The rows of the batch's distinct ids by table."""
        return {name: self.tables[name].leaf(batch.ids[v]) for name, (v, _) in self.keys.items()}

    def inputs(self, batch: Batch, leaves: Tensors, drawn: Tensors) -> Inputs:
        """The batch as vectors."""
        places = batch.places
        watched, clicked = places["live"], places["product"]
        feeds, target = places["user"], places["target"]
        if self.layout == "impression":
            c = target.shape[1]
            watched, clicked, feeds = (x.repeat_interleave(c, 0) for x in (watched, clicked, feeds))
            target = target.view(-1, 1)
        return Inputs(
            context=rows_at(leaves["user"], feeds),
            target=rows_at(leaves["channel"], target),
            items={
                "live": rows_at(leaves["channel"], watched),
                "product": rows_at(leaves["product"], clicked),
            },
            places=places,
            recency=dict.fromkeys(DOMAINS, ops.recency_buckets(batch.ages)),
            sampled=batch.sampled,
            drawn=drawn,
            tables={name: leaves[name] for name in own_tables(self.model)},
        )

    def gradients(self, batch: Batch, leaves: Tensors, drawn: Tensors) -> tuple[Tensor, Tensors]:
        """Logits and losses; the gradient of the total goes to parameters and leaves."""
        logits, found = self.forward(self.name, self.inputs(batch, leaves, drawn), self.parameters)
        logits = logits.view_as(batch.watched)
        of_batch = losses(logits, batch.watched, found)
        # The optimiser sees the gradient of the sum over the impressions.
        self.optimizer.zero_grad()
        (of_batch["total"] * logits.numel()).backward()
        return logits, of_batch

    def step(self, batch: Batch) -> float:
        leaves = self.leaves(batch)
        drawn = draw_negatives(self.model, batch, self.generator)
        _, of_batch = self.gradients(batch, leaves, drawn)
        self.optimizer.step()
        for name, (vocabulary, _) in self.keys.items():
            self.tables[name].update(batch.ids[vocabulary], leaves[name])
        return of_batch["total"].item()
