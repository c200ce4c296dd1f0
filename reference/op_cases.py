"""The special cases of every operation, with the values and gradients that `ops.py` gives them."""

from collections.abc import Callable

import torch
from torch import Tensor

import ops
from fixed_inputs import WIDTH, normal, packed, parameter, representable
from models import Elive, Tensors

METADATA = {
    "masked_softmax.mask": "1 where valid",
    "heads": "2",
    "temperature": str(ops.TEMPERATURE),
    "adagrad_decay.rate": "0.05",
    "adagrad_decay.initial": "0.1",
    "adagrad_decay.decay_steps": "3",
    "adagrad_decay.decay_rate": "0.9",
}


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
    shapes = ops.scope(Elive(domains=("live",)).shapes(WIDTH), "elive.live.blocks.0")
    return {name: parameter(f"block.{name}", shape) for name, shape in shapes.items()}


def disentangled_retrieval(
    h: Tensor,
    consistent: Tensor,
    specific: Tensor,
    target: Tensor,
    lengths: Tensor,
    candidate_lengths: Tensor,
    weight: str,
) -> tuple[Tensor, Tensor]:
    """Eq. 5-7 on packed feeds, given h and the prototypes `[b, d]`: z_c and z_s, `[n, d]` each."""
    o_c, o_s = (o.repeat_interleave(lengths, 0) for o in (consistent, specific))
    p_c = ops.intention(h, o_c, o_s, weight)
    return tuple(
        packed_target_attention(target, p * h, lengths, candidate_lengths)
        for p in (p_c, 1 - p_c)
    )


def packed_target_attention(
    target: Tensor, events: Tensor, lengths: Tensor, candidate_lengths: Tensor
) -> Tensor:
    """Eq. 6-7 on packed feeds, `[n, d]`."""
    feeds = zip(ops.per_feed(target, candidate_lengths), ops.per_feed(events, lengths))
    return torch.cat([ops.target_attention(t, e) for t, e in feeds])


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
        add(
            f"disentangle_{weight}",
            lambda weight=weight, **x: disentangled_retrieval(**x, weight=weight),
            ("z_c", "z_s"),
            **retrieval,
        )
    add(
        "target_attention",
        packed_target_attention,
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
