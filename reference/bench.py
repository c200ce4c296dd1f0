"""The PyTorch control of `eliverec bench train`: one training step of eLiveRec, timed.

    python reference/bench.py --layout grouped --steps 5 --json
    python reference/bench.py --layout impression --steps 1 --json

d = 128, 2 blocks, 8 heads, feed-forward width 512, 50 events in both domains, 8 candidates per feed, 256 feeds.
`grouped` encodes a feed's histories once; `impression` repeats everything for every impression, the usual flat
layout. Both compute the same loss and the same gradients (`--compare` shows it).

It is meant to be hard to beat: every history is full, so nothing is padded or masked; attention is PyTorch's fused
kernel; Adagrad is the fused one; the unique ids of a batch are found outside the timed part, as a data loader would.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEEDS = 256
CANDIDATES = 8
LENGTH = 50
WIDTH = 128
HEADS = 8
BLOCKS = 2
FEED_FORWARD = 512
TABLE_ROWS = 20_000
TEMPERATURE = 0.5
LAMBDA_CORRELATION = 0.1
LAMBDA_CONTRAST = 0.3
DENSE_RATE = 0.01
TABLE_RATE = 0.05
INITIAL_ACCUMULATOR = 0.1


# Model


class Block(nn.Module):
    """Eq. 3-4, post-norm. `[b, l, d]` -> `[b, l, d]`."""

    def __init__(self) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.output = nn.Linear(WIDTH, WIDTH, bias=False)
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.expand = nn.Linear(WIDTH, FEED_FORWARD)
        self.contract = nn.Linear(FEED_FORWARD, WIDTH)
        self.feed_forward_norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        b, l, _ = x.shape
        split = self.query_key_value(x).view(b, l, 3, HEADS, WIDTH // HEADS)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # [b, h, l, d/h] each
        heads = F.scaled_dot_product_attention(q, k, v, scale=WIDTH**-0.5)
        x = self.attention_norm(x + self.output(heads.transpose(1, 2).reshape(b, l, WIDTH)))
        return self.feed_forward_norm(x + self.contract(F.relu(self.expand(x))))


class Domain(nn.Module):
    """Encoder and disentangled encoder of one domain, Eq. 3-7."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))

    def forward(self, items: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """`items` `[b, l, d]`, `target` `[b, c, d]` -> z_c, z_s `[b, c, d]`."""
        h = self.blocks(items)
        difference = items.mean(1, keepdim=True) - items.amax(1, keepdim=True)
        consistent = torch.sigmoid(h * difference) * h  # Eq. 5 with two prototypes
        return retrieve(target, consistent), retrieve(target, h - consistent)


def retrieve(target: Tensor, components: Tensor) -> Tensor:
    """Eq. 6-7."""
    return torch.softmax(target @ components.transpose(1, 2), -1) @ components


class Elive(nn.Module):
    """F = (e_c, e_vt, z_cV, z_sV, z_cS, z_sS) and its tower."""

    def __init__(self) -> None:
        super().__init__()
        self.live = Domain()
        self.product = Domain()
        self.tower = nn.Sequential(
            nn.Linear(6 * WIDTH, 200), nn.PReLU(200), nn.Linear(200, 80), nn.PReLU(80), nn.Linear(80, 1)
        )

    def forward(
        self, context: Tensor, target: Tensor, live: Tensor, product: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """`context` `[b, 1, d]`, the others `[b, .., d]`: logits `[b c]` and the four z `[b c, d]`."""
        z = (*self.live(live, target), *self.product(product, target))
        fields = torch.cat([context.expand_as(target), target, *z], -1).flatten(0, 1)
        return self.tower(fields).squeeze(-1), tuple(x.flatten(0, 1) for x in z)


# Loss, Eq. 8-11


def double_centred(x: Tensor) -> Tensor:
    """Centred distances, from differences rather than from |a|^2 + |b|^2 - 2ab."""
    a = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    return a - a.mean(1, keepdim=True) - a.mean(0, keepdim=True) + a.mean()


def distance_correlation(x: Tensor, y: Tensor) -> Tensor:
    """A domain's term of Eq. 8."""
    a, b = double_centred(x), double_centred(y)
    variances = (a.square().mean() * b.square().mean()).sqrt()
    return ((a * b).mean() / variances).clamp(min=1e-12).sqrt()


def info_nce(x: Tensor, y: Tensor, users: Tensor) -> Tensor:
    """Eq. 9 with the other users of the batch as negatives."""
    logits = F.normalize(x, dim=1) @ F.normalize(y, dim=1).T / TEMPERATURE
    same_user = (users[:, None] == users[None]).fill_diagonal_(False)
    return F.cross_entropy(logits.masked_fill(same_user, -torch.inf), torch.arange(len(x)))


# Batches


@dataclass
class Batch:
    """Ids of whole feeds, already made unique per table, and the places of the rows."""

    live_ids: Tensor  # [u], of the watched and of the shown channels
    live_places: Tensor  # [b, l]
    target_places: Tensor  # [b, c]
    product_ids: Tensor  # [u]
    product_places: Tensor  # [b, l]
    users: Tensor  # [b]
    watched: Tensor  # [b c]
    sampled: Tensor  # [b], into b c


def make_batch(generator: torch.Generator) -> Batch:
    def draw(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=generator)

    channels = draw(TABLE_ROWS, FEEDS, LENGTH + CANDIDATES)
    live_ids, places = channels.unique(return_inverse=True)
    product_ids, product_places = draw(TABLE_ROWS, FEEDS, LENGTH).unique(return_inverse=True)
    return Batch(
        live_ids=live_ids,
        live_places=places[:, :LENGTH].contiguous(),
        target_places=places[:, LENGTH:].contiguous(),
        product_ids=product_ids,
        product_places=product_places,
        users=torch.randperm(TABLE_ROWS, generator=generator)[:FEEDS],
        watched=(torch.rand(FEEDS * CANDIDATES, generator=generator) < 0.12).float(),
        sampled=torch.arange(FEEDS) * CANDIDATES + draw(CANDIDATES, FEEDS),
    )


def rows_at(rows: Tensor, places: Tensor) -> Tensor:
    return rows.index_select(0, places.flatten()).view(*places.shape, WIDTH)


# Training step


class Table:
    """A table of embeddings and its accumulators, updated row by row."""

    def __init__(self, generator: torch.Generator) -> None:
        self.values = 0.05 * torch.randn(TABLE_ROWS, WIDTH, generator=generator)
        self.accumulators = torch.full((TABLE_ROWS, WIDTH), INITIAL_ACCUMULATOR)

    def leaf(self, ids: Tensor) -> Tensor:
        return self.values.index_select(0, ids).requires_grad_()

    def update(self, ids: Tensor, leaf: Tensor) -> None:
        with torch.no_grad():
            gradient = leaf.grad
            accumulators = self.accumulators.index_select(0, ids)
            accumulators.addcmul_(gradient, gradient)
            self.accumulators.index_copy_(0, ids, accumulators)
            leaf.addcdiv_(gradient, accumulators.sqrt_().add_(1e-10), value=-TABLE_RATE)
            self.values.index_copy_(0, ids, leaf)


class Trainer:
    """Model, tables and optimiser, and the step that is timed."""

    def __init__(self, layout: str, compiled: bool) -> None:
        torch.manual_seed(1)
        generator = torch.Generator().manual_seed(2)
        self.grouped = layout == "grouped"
        self.model = Elive()
        self.forward = torch.compile(self.model) if compiled else self.model
        self.channels, self.products, self.users = (Table(generator) for _ in range(3))
        self.optimizer = torch.optim.Adagrad(
            self.model.parameters(),
            lr=DENSE_RATE,
            initial_accumulator_value=INITIAL_ACCUMULATOR,
            eps=1e-10,
            fused=True,
        )

    def gradients(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """The loss, and the leaves of the three tables with their gradients."""
        leaves = (
            self.channels.leaf(batch.live_ids),
            self.products.leaf(batch.product_ids),
            self.users.leaf(batch.users),
        )
        channel_rows, product_rows, context = leaves
        places = (batch.target_places, batch.live_places, batch.product_places)
        feed = torch.arange(FEEDS)
        if not self.grouped:
            places = (
                batch.target_places.view(-1, 1),
                *(p.repeat_interleave(CANDIDATES, 0) for p in places[1:]),
            )
            feed = feed.repeat_interleave(CANDIDATES)
        logits, z = self.forward(
            context.index_select(0, feed)[:, None],
            rows_at(channel_rows, places[0]),
            rows_at(channel_rows, places[1]),
            rows_at(product_rows, places[2]),
        )

        c_live, s_live, c_product, s_product = (x.index_select(0, batch.sampled) for x in z)
        loss = (
            F.binary_cross_entropy_with_logits(logits, batch.watched)
            + LAMBDA_CORRELATION * distance_correlation(c_live, s_live)
            + LAMBDA_CORRELATION * distance_correlation(c_product, s_product)
            + LAMBDA_CONTRAST * info_nce(c_live, c_product, batch.users)
        )
        # The optimiser sees the gradient of the sum over the impressions.
        self.optimizer.zero_grad()
        (loss * len(logits)).backward()
        return loss, leaves

    def step(self, batch: Batch) -> float:
        loss, (channels, products, users) = self.gradients(batch)
        self.optimizer.step()
        self.channels.update(batch.live_ids, channels)
        self.products.update(batch.product_ids, products)
        self.users.update(batch.users, users)
        return loss.item()


# Measurement


def gemm_gflops(m: int, k: int, n: int) -> float:
    """The best of several float32 products `[m, k] [k, n]`, each of at least 2e10 operations."""
    a, b = torch.randn(m, k), torch.randn(k, n)
    out = torch.empty(m, n)
    rounds = max(1, round(2e10 / (2 * m * k * n)))

    def product() -> None:
        for _ in range(rounds):
            torch.mm(a, b, out=out)

    product()
    return max(2e-9 * m * k * n * rounds / seconds(product) for _ in range(4))


def calibration() -> dict[str, float]:
    """The GEMM rate of this process: one large product, and one of the encoder's sizes."""
    return {
        "2048x2048x2048": round(gemm_gflops(2048, 2048, 2048), 1),
        "1024x128x512": round(gemm_gflops(1024, 128, 512), 1),
    }


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(trainer: Trainer, batches: list[Batch], repeats: int, steps: int) -> list[float]:
    """Impressions per second of each repeat, after a warm-up over all batches."""
    for batch in batches:
        trainer.step(batch)
    turn = endless(batches)

    def run() -> None:
        for _ in range(steps):
            trainer.step(next(turn))

    return [steps * FEEDS * CANDIDATES / seconds(run) for _ in range(repeats)]


def endless(batches: list[Batch]) -> Iterator[Batch]:
    while True:
        yield from batches


def compare() -> dict[str, float]:
    """Largest relative differences between the two layouts, for one batch."""
    batch = make_batch(torch.Generator().manual_seed(3))
    results = []
    for layout in ("grouped", "impression"):
        trainer = Trainer(layout, compiled=False)
        loss, leaves = trainer.gradients(batch)
        dense = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
        results.append((loss.detach(), dense, *(leaf.grad for leaf in leaves)))
    names = ("loss", "dense", "channels", "products", "users")
    return {
        name: float((a - b).abs().max() / a.abs().max()) for name, a, b in zip(names, *results)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layout", choices=("grouped", "impression"), default="grouped")
    parser.add_argument("--steps", type=int, default=5, help="steps in a repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="run the model through torch.compile")
    parser.add_argument("--compare", action="store_true", help="compare the layouts' gradients instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    if options.compare:
        print(json.dumps(compare(), indent=2))
        return

    generator = torch.Generator().manual_seed(3)
    batches = [make_batch(generator) for _ in range(2)]
    trainer = Trainer(options.layout, options.compile)
    before = calibration()
    wall, cpu = time.perf_counter(), time.process_time()
    rates = measure(trainer, batches, options.repeats, options.steps)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    after = calibration()

    result = {
        "layout": options.layout,
        "impressions_per_s": {
            "median": round(statistics.median(rates), 1),
            "min": round(min(rates), 1),
            "max": round(max(rates), 1),
        },
        "repeats": options.repeats,
        "steps": options.steps,
        "impressions_per_step": FEEDS * CANDIDATES,
        "threads": torch.get_num_threads(),
        # Well below 1: the machine was busy with something else, and the rates are too low.
        "cpu_share": round(cpu / wall / torch.get_num_threads(), 3),
        "compiled": options.compile,
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gemm_gflop_per_s": {"before": before, "after": after},
    }
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
