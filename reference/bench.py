"""The PyTorch controls of `eliverec bench train`: one training step of a model, timed.

    python reference/bench.py --model dien --steps 3 --json
    python reference/bench.py --layout impression --steps 1 --json
    python reference/bench.py --check
    reference/bench_all.sh target/release/eliverec python

d = 128, 8 heads, feed-forward width 512, tower 200-80-1, 50 events in both domains, 8 candidates per feed, 256 feeds; the models
have the options, terms of the loss and own tables that `eliverec bench train model.name=NAME` gives them. `grouped` encodes a
feed's histories once, as eliverec does; `impression`, for elive, repeats everything for every impression, the usual flat layout.
Both compute the same loss and the same gradients (`--compare` shows it); `--check` compares every control with the equations.

They are meant to be hard to beat: every history is full, so nothing is padded or masked; what a feed's candidates have in common is
computed once, layers that see pairs are taken apart, attention and Adagrad are PyTorch's fused ones, recurrences have their own
backward pass; memory that is freed stays with the process; distinct ids are found outside the timed part, as a data loader would.

On both sides a step looks up the distinct ids of every vocabulary, in the model's own tables too, draws the negatives of its terms,
and updates dense parameters and rows. Where they differ: eliverec keeps counts of ids, finds rows by hash, and measures the norm of
the whole gradient in every step; here a row's number is its id and there is no norm. A drawn negative that does not count is left
out there and has the weight 0 here.
"""

import argparse
import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import torch

from bench_check import report
from bench_training import CONTROLS, Batch, Sizes, Trainer, draw_negatives, make_batch

TOLERANCE = 1e-4
"""Of `--check`, relative to the largest element."""

BATCHES = 3


def keep_memory() -> None:
    """Has the C library keep what is freed, so that the large tensors of a step need no fresh pages."""
    most_mapped, trim_threshold = -4, -1
    library = ctypes.CDLL(None)
    library.mallopt(most_mapped, 0)
    library.mallopt(trim_threshold, 2**31 - 1)


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


def measure(
    trainer: Trainer, batches: list[Batch], repeats: int, steps: int
) -> tuple[list[float], list[float]]:
    """Impressions per second of each repeat, after a warm-up over all batches, and the losses of all steps."""
    found = [trainer.step(batch) for batch in batches]
    turn = endless(batches)
    impressions = steps * batches[0].watched.numel()

    def run() -> None:
        found.extend(trainer.step(next(turn)) for _ in range(steps))

    return [impressions / seconds(run) for _ in range(repeats)], found


def endless(batches: list[Batch]) -> Iterator[Batch]:
    while True:
        yield from batches


def compare() -> dict[str, float]:
    """Largest relative differences between elive's two layouts, for one batch."""
    batch = make_batch(Sizes(), torch.Generator().manual_seed(3))
    results = []
    for layout in ("grouped", "impression"):
        trainer = Trainer("elive", Sizes(), layout)
        leaves = trainer.leaves(batch)
        drawn = draw_negatives(trainer.model, batch, trainer.generator)
        _, losses = trainer.gradients(batch, leaves, drawn)
        dense = torch.cat([p.grad.flatten() for p in trainer.parameters.values()])
        of_rows = {name: leaf.grad for name, leaf in leaves.items()}
        results.append({"loss": losses["total"].detach(), "dense": dense, **of_rows})
    grouped, impression = results
    return {
        name: float((a - impression[name]).abs().max() / a.abs().max())
        for name, a in grouped.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=tuple(CONTROLS), default="elive")
    parser.add_argument("--layout", choices=("grouped", "impression"), default="grouped")
    parser.add_argument("--steps", type=int, default=5, help="steps in a repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="run the model through torch.compile")
    parser.add_argument("--compare", action="store_true", help="compare the layouts' gradients instead")
    parser.add_argument("--check", action="store_true", help="compare all controls with the equations instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.layout == "impression" and options.model != "elive":
        parser.error("--layout impression: only elive has it; leave it out, or choose --model elive")
    torch.set_num_threads(options.threads)
    keep_memory()

    if options.check:
        return 0 if report(TOLERANCE) else 1
    if options.compare:
        print(json.dumps(compare(), indent=2))
        return 0

    generator = torch.Generator().manual_seed(3)
    batches = [make_batch(Sizes(), generator) for _ in range(BATCHES)]
    trainer = Trainer(options.model, Sizes(), options.layout, options.compile)
    before = calibration()
    wall, cpu = time.perf_counter(), time.process_time()
    rates, losses = measure(trainer, batches, options.repeats, options.steps)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    after = calibration()

    result = {
        "model": options.model,
        "layout": options.layout,
        "impressions_per_s": {
            "median": round(statistics.median(rates), 1),
            "min": round(min(rates), 1),
            "max": round(max(rates), 1),
        },
        "repeats": options.repeats,
        "steps": options.steps,
        "impressions_per_step": batches[0].watched.numel(),
        "threads": torch.get_num_threads(),
        # Well below 1: the machine was busy with something else, and the rates are too low.
        "cpu_share": round(cpu / wall / torch.get_num_threads(), 3),
        "compiled": options.compile,
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gemm_gflop_per_s": {"before": before, "after": after},
        "loss": {"first": losses[0], "last": losses[-1]},
    }
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
