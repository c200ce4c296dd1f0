"""What happens inside a channel, and how its tasks are weighed: Eq. 12-15, on any model's fields.

`forward` adds heads to a model and `cosines` compares the gradients of its tasks; `weigh` is the weighting network with
its optimiser. Letters as in `ops.py`; e experts, g units of a gate, t units of a task's tower.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

import models
import ops
from models import Model, Shapes, Tensors
from ops import scope

NAMES = ("stay", "bag_click", "product_click")
EXPERTS, EXPERT_WIDTH, GATE_HIDDEN, TOWER_HIDDEN = 3, 6, 5, 4
STAY_MEAN, STAY_SD = 3.5, 1.25
"""Of ln(1 + seconds)."""

WEIGHTS = {"stay": 0.3, "bag_click": 0.3, "product_click": 0.1}
"""Sec. VI-B.3, the fixed weights of vanilla multi-task learning."""


# Inter-channel modelling, Eq. 12-13


def shapes(model: Model, width: int) -> Shapes:
    """The parameters of the heads. Layers that have the same input stand side by side: all gates, all experts."""
    fields = len(models.field_names(model))
    inputs = (fields + 1) * width
    found: Shapes = {
        "heads.gate.hidden_weight": (width, fields * GATE_HIDDEN),
        "heads.gate.hidden_bias": (fields * GATE_HIDDEN,),
        "heads.expert_weight": (inputs, EXPERTS * EXPERT_WIDTH),
        "heads.expert_bias": (EXPERTS * EXPERT_WIDTH,),
    }
    for i in range(fields):
        found |= {f"heads.gate.{i}.weight": (GATE_HIDDEN, 1), f"heads.gate.{i}.bias": (1,)}
    for task in NAMES:
        found |= {
            f"heads.{task}.gate": (inputs, EXPERTS),
            f"heads.{task}.hidden_weight": (EXPERT_WIDTH, TOWER_HIDDEN),
            f"heads.{task}.hidden_bias": (TOWER_HIDDEN,),
            f"heads.{task}.output_weight": (TOWER_HIDDEN, 1),
            f"heads.{task}.output_bias": (1,),
        }
    return found


def gates(fields: int, dynamic: Tensor, w: Tensors) -> list[Tensor]:
    """Eq. 12: w_i = sigmoid(MLP_i(e_d)), a number per field and impression, `[n, 1]` each."""
    weights = w["hidden_weight"].split(GATE_HIDDEN, 1)
    biases = w["hidden_bias"].split(GATE_HIDDEN)
    found = []
    for i in range(fields):
        hidden = torch.relu(dynamic @ weights[i] + biases[i])  # [n, g]
        found.append(torch.sigmoid(hidden @ w[f"{i}.weight"] + w[f"{i}.bias"]))
    return found


def mixture(x: Tensor, w: Tensors) -> Tensors:
    """Eq. 13: f_k(x) = tower_k(sum_e softmax(x G_k)_e ReLU(x W_e + b_e)), `[n]` per task."""
    weights, biases = w["expert_weight"].split(EXPERT_WIDTH, 1), w["expert_bias"].split(EXPERT_WIDTH)
    experts = [torch.relu(x @ weight + bias) for weight, bias in zip(weights, biases)]
    outputs = {}
    for task in NAMES:
        own = scope(w, task)
        shares = torch.softmax(x @ own["gate"], -1)  # [n, e]
        mixed = sum(shares[:, e : e + 1] * expert for e, expert in enumerate(experts))
        hidden = torch.relu(mixed @ own["hidden_weight"] + own["hidden_bias"])
        outputs[task] = (hidden @ own["output_weight"] + own["output_bias"]).squeeze(-1)
    return outputs


def forward(model: Model, inputs: Tensors, parameters: Tensors) -> Tensors:
    """`models.forward` with the tasks: `gate.<field>` and `task.<name>` `[n]`, `loss.<name>`, and the total with them."""
    outputs = models.forward(model, inputs, parameters)
    fields = model.encode(inputs, parameters).fields
    found, losses = apply(fields, inputs, parameters)
    total = outputs["loss.total"] + sum(WEIGHTS[task] * losses[task] for task in NAMES)
    losses = {f"loss.{task}": loss for task, loss in losses.items()}
    return outputs | found | losses | {"loss.total": total}


def apply(fields: Tensors, inputs: Tensors, parameters: Tensors) -> tuple[Tensors, Tensors]:
    """Gates and outputs at every impression, and the losses over the watched ones with a known label."""
    w = scope(parameters, "heads")
    weights = gates(len(fields), inputs["dynamic"], scope(w, "gate"))
    gated = [weight * field for weight, field in zip(weights, fields.values())]
    outputs = mixture(torch.cat([*gated, inputs["dynamic"]], -1), w)
    found = {f"gate.{name}": weight.squeeze(-1) for name, weight in zip(fields, weights)}
    found |= {f"task.{task}": output for task, output in outputs.items()}
    return found, {task: loss(task, outputs[task], inputs) for task in NAMES}


def loss(task: str, output: Tensor, inputs: Tensors) -> Tensor:
    """Sec. IV-C: a mean over the watched impressions whose label is known (not negative).

    The squared error of the standardised ln(1 + seconds) of the stay, the cross entropy of a click.
    """
    rows = (inputs["watched"] > 0) & (inputs[task] >= 0)
    output, label = output[rows], inputs[task][rows]
    if task == "stay":
        return (output - (torch.log1p(label) - STAY_MEAN) / STAY_SD).square().mean()
    return ops.binary_cross_entropy(output, label)


# Gradients of the tasks, Sec. IV-D


def cosines(model: Model, inputs: Tensors, parameters: Tensors) -> Tensors:
    """cos(g_rec, g_i) and the norms of both, where the gradients are taken at two places.

    `representation`: at F `[n, fields d]`; the cosine over its watched rows, the norms over all.
    `parameters`: at the parameters below neither `tower` nor `heads`, one long vector.
    """
    fields = model.encode(inputs, parameters).fields
    f = torch.cat(list(fields.values()), -1)
    apart = dict(zip(fields, f.split(inputs["target"].shape[1], -1)))
    rec = ops.binary_cross_entropy(models.tower(apart, parameters), inputs["watched"])
    _, losses = apply(apart, inputs, parameters)
    own = ("tower.", "heads.")
    shared = [x for name, x in sorted(parameters.items()) if not name.startswith(own)]

    def at_shared(term: Tensor) -> Tensor:
        gradients = torch.autograd.grad(term, shared, retain_graph=True)
        return torch.cat([gradient.flatten() for gradient in gradients])

    def at_f(term: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(term, f, retain_graph=True)
        return gradient

    watched = inputs["watched"] > 0
    places = {
        "representation": (at_f, lambda gradient: gradient[watched]),
        "parameters": (at_shared, lambda gradient: gradient),
    }
    found = {"loss.rec": rec} | {f"loss.{task}": losses[task] for task in NAMES}
    for name, (place, compared) in places.items():
        main, others = place(rec), [place(losses[task]) for task in NAMES]
        cosines = [torch.cosine_similarity(compared(main).flatten(), compared(g).flatten(), 0) for g in others]
        found[f"cosine.{name}"] = torch.stack(cosines)
        found[f"norm.{name}"] = torch.stack([main.norm(), *(g.norm() for g in others)])
    return found


# The weighting network, Eq. 14-15

KINDS, UNITS = 4, 16
RATE = 0.001
PACE = 0.01
"""Share by which the running mean of a loss moves per update; it begins at the first loss."""


@dataclass
class Network:
    """w = sigmoid(ReLU([cos, L / mean L, kind] W + b) v + c), of one task."""

    kind: Tensor
    hidden_weight: Tensor
    hidden_bias: Tensor
    output_weight: Tensor
    output_bias: Tensor

    def __call__(self, cosine: Tensor, relative: Tensor) -> Tensor:
        x = torch.cat([cosine[None], relative[None], self.kind])  # [6]
        hidden = torch.relu(x @ self.hidden_weight + self.hidden_bias)
        return torch.sigmoid(hidden @ self.output_weight + self.output_bias)[0]


def network_shapes() -> Shapes:
    """Of one task's network, in the order of `Network`."""
    inputs = 2 + KINDS
    return {
        "kind": (KINDS,),
        "hidden_weight": (inputs, UNITS),
        "hidden_bias": (UNITS,),
        "output_weight": (UNITS, 1),
        "output_bias": (1,),
    }


def weigh(update: str, network: Network, cosines: Tensor, losses: Tensor) -> Tensor:
    """The weights of one task over the updates, `[steps]`; `network` learns on the way, by Adam.

    `update` "joint": Eq. 15 read literally, w descends w L. "meta": w descends the main loss after one step of the
    shared parameters along w g_i, whose slope at w is -cos(g_rec, g_i) but for its scale. A step at which the loss is
    negative is one of a batch without labels of the task: weight 0, and nothing changes.
    """
    adam = torch.optim.Adam(list(vars(network).values()), lr=RATE)
    weights, mean = [], math.nan
    for cosine, value in zip(cosines, losses):
        if value < 0:
            weights.append(torch.zeros((), dtype=torch.float64))
            continue
        mean = float(value) if math.isnan(mean) else mean + PACE * (float(value) - mean)
        weight = network(cosine, value / mean)
        weights.append(weight)
        adam.zero_grad()
        (weight * value if update == "joint" else -weight * cosine).backward()
        adam.step()
    return torch.stack(weights).detach()
