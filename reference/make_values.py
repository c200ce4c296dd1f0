"""Writes the reference values that the Rust tests compare with: forward values and gradients, as safetensors.

    python reference/make_values.py            write crates/eliverec-models/tests/reference/*.safetensors
    python reference/make_values.py --check    compare them with the stored ones instead, to 1e-6

Everything is computed in float64 from inputs that float32 represents exactly, and stored as float32.
"""

import argparse
import dataclasses
import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

import models
import ops
from models import Din, Elive, Eta, Tensors

FOLDER = Path(__file__).resolve().parents[1] / "crates/eliverec-models/tests/reference"
SEED = 2024
WIDTH = 8

MODELS: dict[str, models.Model] = {
    "elive_default": Elive(blocks=2),
    "elive_head_scale": Elive(blocks=2, attention_scale="head"),
    "elive_live_only": Elive(blocks=2, domains=("live",), contrast="none"),
    "elive_recency": Elive(position="recency"),
    "elive_scalar_scaled": Elive(
        intention_weight="scalar", intention_scale="width", retrieval_scale="width"
    ),
    "elive_wo_p": Elive(prototypes="learned"),
    "elive_wo_c": Elive(correlation="none"),
    "elive_wo_n": Elive(contrast="none"),
    "elive_wo_d": Elive(disentangle=False, correlation="none", contrast="none"),
    "elive_cos": Elive(contrast="cosine"),
    "elive_enc": Elive(contrast="euclidean"),
    "elive_sr": Elive(contrast="specific_repulsion"),
    "elive_bias_corrected": Elive(correlation="bias_corrected"),
    "elive_field_norm": Elive(field_norm="layer"),
    "elive_dynamic": Elive(intra_dynamic=True),
    "din_dual": Din(),
    "din_live": Din(domains=("live",)),
    "din_none": Din(domains=("live",), normalize="none"),
    "din_sigmoid": Din(domains=("live",), normalize="sigmoid"),
    "eta_dual": Eta(),
    "eta_live": Eta(domains=("live",)),
}


# Inputs and parameters


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


# Models


def model_values(model: models.Model) -> Tensors:
    """Inputs, parameters, outputs, and the gradients of the total loss."""
    inputs = model_inputs(model.domains)
    shapes = models.shapes(model, WIDTH)
    parameters = {name: parameter(name, shape) for name, shape in shapes.items()}
    outputs = models.forward(model, inputs, parameters)
    outputs["loss.total"].backward()

    leaves = {f"input.{name}": x for name, x in inputs.items()} | parameters
    gradients = {name: x.grad for name, x in leaves.items() if x.grad is not None}
    missing = set(parameters) - set(gradients)
    if missing:
        raise AssertionError(f"parameters without a gradient: {sorted(missing)}")
    return (
        {f"input.{name}": x for name, x in inputs.items()}
        | {f"param.{name}": x for name, x in parameters.items()}
        | {f"output.{name}": x for name, x in outputs.items()}
        | {f"grad.{name}": x for name, x in gradients.items()}
    )


def options(model: models.Model) -> dict[str, str]:
    """The options of a model as the file's metadata; booleans as true and false, lists with commas."""

    def text(value: object) -> str:
        match value:
            case bool():
                return str(value).lower()
            case tuple():
                return ",".join(value)
        return str(value)

    found = {name: text(value) for name, value in dataclasses.asdict(model).items()}
    found["model"] = type(model).__name__.lower()
    found["lambda_correlation"] = str(models.LAMBDA_CORRELATION)
    found["lambda_contrast"] = str(models.LAMBDA_CONTRAST)
    return found


# Operations


def op_values(
    name: str,
    call: Callable[..., Tensor | tuple[Tensor, ...]],
    outputs: tuple[str, ...] = ("output",),
    **inputs: Tensor,
) -> Tensors:
    """Values of an operation and gradients of sum(output * upstream) for its float inputs.

    A scalar output has the upstream gradient 1 and stores none.
    """
    inputs = {k: representable(x) if x.is_floating_point() else x for k, x in inputs.items()}
    results = call(**inputs)
    results = results if isinstance(results, tuple) else (results,)
    found = {f"{name}.input.{key}": x for key, x in inputs.items()}
    objective = torch.zeros((), dtype=torch.float64)
    for key, result in zip(outputs, results, strict=True):
        found[f"{name}.output.{key}"] = result
        if result.dim() == 0:
            objective = objective + result
        else:
            upstream = normal(f"{name}.{key}.upstream", *result.shape)
            found[f"{name}.upstream.{key}"] = upstream
            objective = objective + (result * upstream).sum()
    objective.backward()
    gradients = {f"{name}.grad.{k}": x.grad for k, x in inputs.items() if x.requires_grad}
    return found | gradients


def block_parameters() -> Tensors:
    """One Transformer block's weights, by their short names."""
    shapes = scope_shapes(Elive(domains=("live",), blocks=1).shapes(WIDTH), "elive.live.blocks.0")
    return {name: parameter(f"block.{name}", shape) for name, shape in shapes.items()}


def scope_shapes(shapes: models.Shapes, prefix: str) -> models.Shapes:
    start = prefix + "."
    return {n.removeprefix(start): s for n, s in shapes.items() if n.startswith(start)}


def disentangled_retrieval(
    h: Tensor,
    consistent: Tensor,
    specific: Tensor,
    target: Tensor,
    lengths: Tensor,
    candidate_lengths: Tensor,
    weight: str,
    intention_scale: float,
    retrieval_scale: float,
) -> tuple[Tensor, Tensor]:
    """Eq. 5-7 on packed feeds, given h and the prototypes `[b, d]`: z_c and z_s, `[n, d]` each."""
    o_c, o_s = (o.repeat_interleave(lengths, 0) for o in (consistent, specific))
    p_c = ops.intention(h, o_c, o_s, weight, intention_scale)
    return tuple(
        packed_target_attention(target, p * h, lengths, candidate_lengths, retrieval_scale)
        for p in (p_c, 1 - p_c)
    )


def packed_target_attention(
    target: Tensor, events: Tensor, lengths: Tensor, candidate_lengths: Tensor, scale: float
) -> Tensor:
    """Eq. 6-7 on packed feeds, `[n, d]`."""
    feeds = zip(ops.per_feed(target, candidate_lengths), ops.per_feed(events, lengths))
    return torch.cat([ops.target_attention(t, e, scale) for t, e in feeds])


def all_ops() -> Tensors:
    """Every operation, on inputs that contain its special cases."""
    found: Tensors = {}

    def add(name: str, call: Callable, outputs: tuple[str, ...] = ("output",), **inputs: Tensor):
        found.update(op_values(name, call, outputs, **inputs))

    # The last row has no valid entry, and a masked entry is the largest of its row.
    scores = 3 * normal("masked_softmax", 4, 5)
    scores[1, 4] = 1e4
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]).bool()
    add(
        "masked_softmax",
        lambda scores, mask: ops.masked_softmax(scores, mask.bool()),
        scores=scores,
        mask=mask.long(),
    )

    lengths = packed([3, 0, 1, 5, 2])
    candidates = packed([2, 1, 3, 1, 2])
    m, n, b = int(lengths.sum()), int(candidates.sum()), len(lengths)
    add("packed_softmax", ops.packed_softmax, scores=3 * normal("packed", m), lengths=lengths)

    # A constant row has variance 0.
    x = normal("layer_norm", 5, WIDTH)
    x[3] = 0.7
    add(
        "layer_norm",
        ops.layer_norm,
        x=x,
        gamma=1 + 0.2 * normal("layer_norm.gamma", WIDTH),
        beta=0.2 * normal("layer_norm.beta", WIDTH),
    )

    x = normal("transformer_block", m, WIDTH)
    for name, scale in (("transformer_block", WIDTH**-0.5), ("transformer_block_head_scale", 0.5)):
        add(
            name,
            lambda x, lengths, scale=scale, **w: ops.transformer_block(x, lengths, w, 2, scale),
            x=x,
            lengths=lengths,
            **block_parameters(),
        )

    # Feed 0 has two equal largest events, feed 3 one element shared by three of its events.
    items = normal("prototypes", m, WIDTH)
    items[2] = items[0]
    items[4:7, 1] = 4.0
    add("prototypes", ops.prototypes, ("mean", "max"), items=items, lengths=lengths)

    retrieval = {
        "h": normal("disentangle.h", m, WIDTH),
        "consistent": 0.7 * normal("disentangle.consistent", b, WIDTH),
        "specific": 0.7 * normal("disentangle.specific", b, WIDTH),
        "target": 0.7 * normal("disentangle.target", n, WIDTH),
        "lengths": lengths,
        "candidate_lengths": candidates,
    }
    for weight in ("elementwise", "scalar"):
        for scaling, scale in (("plain", 1.0), ("scaled", WIDTH**-0.5)):
            add(
                f"disentangle_{weight}_{scaling}",
                lambda weight=weight, scale=scale, **x: disentangled_retrieval(
                    **x, weight=weight, intention_scale=scale, retrieval_scale=scale
                ),
                ("z_c", "z_s"),
                **retrieval,
            )
    add(
        "target_attention",
        lambda **x: packed_target_attention(**x, scale=1.0),
        target=retrieval["target"],
        events=retrieval["h"],
        lengths=lengths,
        candidate_lengths=candidates,
    )

    x, y = normal("dcor.x", 7, WIDTH), normal("dcor.y", 7, WIDTH)
    y = 0.6 * x + y
    coinciding = x.clone()
    coinciding[3], coinciding[5] = x[0], x[0]
    add("pairwise_distance", ops.pairwise_distance, x=coinciding)
    for name, call in (
        ("distance_correlation", ops.distance_correlation),
        ("distance_correlation_bias_corrected", ops.bias_corrected_distance_correlation),
    ):
        add(name, call, x=x, y=y)
        add(f"{name}_coinciding", call, x=coinciding, y=y)
        add(f"{name}_constant", call, x=x[:1].expand(7, -1), y=y)

    # User 4 owns rows 1, 2 and 6.
    users = packed([3, 4, 4, 5, 6, 7, 4])
    pairs = {"anchor": normal("nce.x", 7, WIDTH), "positive": normal("nce.y", 7, WIDTH)}
    add("info_nce", ops.info_nce, **pairs, users=users)
    add("mean_cosine_distance", ops.mean_cosine_distance, x=x, y=y)
    add("mean_euclidean_distance", ops.mean_euclidean_distance, x=coinciding, y=x)

    add(
        "parametric_relu",
        ops.parametric_relu,
        x=normal("prelu", 6, 4),
        slope=0.25 + 0.1 * normal("prelu.slope", 4),
    )
    logits = 2 * normal("bce", 8)
    logits[:4] = torch.tensor([90.0, -90.0, 90.0, -90.0])
    add(
        "binary_cross_entropy",
        lambda logits, labels: ops.binary_cross_entropy(logits, labels.double()),
        logits=logits,
        labels=packed([1, 0, 0, 1, 1, 0, 1, 0]),
    )
    return found | adagrad_values()


def adagrad_values() -> Tensors:
    """Ten updates of five elements; the last one sees a gradient only once, and falls back to the floor."""
    values, gradients = normal("adagrad.values", 5), normal("adagrad.gradients", 10, 5)
    gradients = gradients * torch.tensor([1.0, 0.01, 10.0, 0.3, 0.2], dtype=torch.float64)
    gradients[1:, 4] = 0
    values, gradients = values.float().double(), gradients.float().double()
    found = {"adagrad_decay.input.values": values, "adagrad_decay.input.gradients": gradients}
    results = ops.adagrad_decay(values, gradients, rate=0.05, initial=0.1, decay_steps=3, decay_rate=0.9)
    for name, result in zip(("values", "accumulators"), results):
        found[f"adagrad_decay.output.{name}"] = result
    return found


# Files


def serialize(tensors: Tensors, metadata: dict[str, str]) -> bytes:
    """A safetensors file whose metadata is sorted, so that equal values give equal bytes."""
    stored = {
        name: (x.detach().float() if x.is_floating_point() else x.clone()).contiguous()
        for name, x in tensors.items()
    }
    for name, x in stored.items():
        if not torch.isfinite(x).all():
            raise AssertionError(f"{name} is not finite")
    plain = save(stored)
    (size,) = struct.unpack_from("<Q", plain)
    header = {"__metadata__": dict(sorted(metadata.items())), **json.loads(plain[8 : 8 + size])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + plain[8 + size :]


def largest_difference(path: Path, tensors: Tensors) -> float:
    """Over all tensors, the largest difference to the file's, relative to the tensor's largest element."""
    stored = load_file(path)
    if stored.keys() != tensors.keys():
        return float("inf")
    return max(
        float((x.detach().double() - stored[name].double()).abs().max())
        / max(float(x.detach().abs().max()), 1e-12)
        for name, x in tensors.items()
        if x.numel()
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes or checks the reference values.")
    parser.add_argument("--check", action="store_true", help="compare with the stored values")
    check = parser.parse_args().check

    files = {name: (model_values(model), options(model)) for name, model in MODELS.items()}
    sizes = {"masked_softmax.mask": "1 where valid", "heads": "2", "adagrad_decay.rate": "0.05"}
    sizes |= {"adagrad_decay.initial": "0.1", "adagrad_decay.decay_steps": "3"}
    sizes |= {"adagrad_decay.decay_rate": "0.9", "temperature": str(ops.TEMPERATURE)}
    files["ops"] = (all_ops(), sizes)

    FOLDER.mkdir(parents=True, exist_ok=True)
    failed = False
    for name, (tensors, metadata) in files.items():
        path = FOLDER / f"{name}.safetensors"
        if check:
            difference = largest_difference(path, tensors) if path.exists() else float("inf")
            failed |= not difference <= 1e-6
            print(f"{path.name}: largest relative difference {difference:.1e}")
        else:
            path.write_bytes(serialize(tensors, metadata))
            print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
