"""Fixed inputs of the reference values: a function of a name and a seed, representable in float32."""

import zlib

import torch
from torch import Tensor

SEED = 2024
WIDTH = 8


def normal(name: str, *shape: int) -> Tensor:
    """Standard normal numbers that depend on the name only, so that variants share what they can."""
    generator = torch.Generator().manual_seed(SEED + zlib.crc32(name.encode()))
    return torch.randn(*shape, generator=generator, dtype=torch.float32).double()


def representable(x: Tensor) -> Tensor:
    """The nearest float32 numbers, as a leaf in float64."""
    return x.detach().float().double().requires_grad_()


def packed(x: list[int]) -> Tensor:
    return torch.tensor(x, dtype=torch.int64)


def model_inputs(domains: tuple[str, ...]) -> dict[str, Tensor]:
    """Nine feeds with 1 to 3 impressions.

    Feed 2 has a single watch and feed 6 a single product click; feed 3 has no watch, feed 4 no product click,
    feed 8 neither. Feeds 1 and 5 are of one user. In feed 0 the first and the last watch are equal, so that
    the max over its watches is a tie.
    """
    lengths = {"live": packed([3, 2, 1, 0, 4, 5, 2, 3, 0])}
    lengths["product"] = packed([2, 3, 4, 5, 0, 2, 1, 3, 0])
    candidates = packed([2, 1, 3, 2, 1, 2, 3, 1, 2])
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
    inputs["user_ids"] = packed([11, 12, 13, 14, 15, 12, 16, 17, 18])
    inputs["sampled"] = first + packed([1, 0, 2, 0, 0, 1, 1, 0, 1])
    inputs["watched"] = (normal("watched", n) > 0.3).double()
    return inputs


def task_labels(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
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
