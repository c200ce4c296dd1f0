"""Writes the reference values that the Rust tests compare with: forward values and gradients, as safetensors.

    python reference/make_values.py            write crates/eliverec-{models,train}/tests/reference/*.safetensors
    python reference/make_values.py --check    compare them with the stored ones instead, to 1e-6

Everything is computed in float64 from inputs that float32 represents exactly, and stored as float32.
"""

import argparse
import dataclasses
import json
import struct
import sys
import tomllib
from pathlib import Path

import torch
from safetensors.torch import load_file, save

import entities
import models
import next_events
import op_cases
import tasks
from baselines import Bst, Can, Dien, Din, Eta, Hgn, Wdl
from cross_domain import Conet, Dasl, Ddtcdr, Dtcdr, Minet
from entities import Feeds, Input
from fixed_inputs import (
    UPDATE,
    WIDTH,
    feed_inputs,
    model_inputs,
    next_event_inputs,
    normal,
    own_inputs,
    parameter,
    representable,
    task_labels,
    training_inputs,
)
from models import Elive, Tensors
from next_events import NextEvent

CRATES = Path(__file__).resolve().parents[1] / "crates"

MODELS: dict[str, models.Model] = {
    "elive_default": Elive(blocks=2),
    "elive_head_scale": Elive(blocks=2, attention_scale="head"),
    "elive_live_only": Elive(blocks=2, domains=("live",), contrast="none"),
    "elive_recency": Elive(position="recency"),
    "elive_scalar": Elive(intention_weight="scalar"),
    "elive_encoder_din": Elive(encoder="din"),
    "elive_encoder_din_wo_p": Elive(encoder="din", prototypes="learned"),
    "elive_encoder_din_wo_d": Elive(
        encoder="din", disentangle=False, correlation="none", contrast="none"
    ),
    "elive_encoder_hgn": Elive(encoder="hgn"),
    "elive_encoder_gru": Elive(encoder="gru"),
    "elive_wo_p": Elive(prototypes="learned"),
    "elive_matched": Elive(prototypes="matched", intention_weight="scalar"),
    "elive_wo_c": Elive(correlation="none"),
    "elive_wo_n": Elive(contrast="none"),
    "elive_wo_d": Elive(disentangle=False, correlation="none", contrast="none"),
    "elive_cos": Elive(contrast="cosine"),
    "elive_enc": Elive(contrast="euclidean"),
    "elive_sr": Elive(contrast="specific_repulsion"),
    "elive_bias_corrected": Elive(correlation="bias_corrected"),
    "elive_dynamic": Elive(intra_dynamic=True),
    "elive_target_product": Elive(target_product=True),
    "elive_target_product_wo_d": Elive(
        target_product=True, disentangle=False, correlation="none", contrast="none"
    ),
    "din_dual": Din(),
    "din_live": Din(domains=("live",)),
    "din_none": Din(domains=("live",), normalize="none"),
    "din_sigmoid": Din(domains=("live",), normalize="sigmoid"),
    "eta_dual": Eta(),
    "eta_live": Eta(domains=("live",)),
    "dien_dual": Dien(),
    "dien_live": Dien(domains=("live",)),
    "dien_unit": Dien(domains=("live",), attention="unit"),
    "hgn_dual": Hgn(),
    "hgn_live": Hgn(domains=("live",)),
    "bst_dual": Bst(),
    "bst_live": Bst(domains=("live",)),
    "minet_exp": Minet(),
    "minet_sigmoid": Minet(interest_weight="sigmoid"),
    "dasl_both": Dasl(),
    "dasl_own": Dasl(attention="own"),
    "conet": Conet(),
    "dtcdr_max": Dtcdr(),
    "dtcdr_mean": Dtcdr(combine="mean"),
    "dtcdr_gate": Dtcdr(combine="gate", target_product=True),
    "ddtcdr_both": Ddtcdr(),
    "wdl_encoder": Wdl(),
    "wdl_mean": Wdl(sequence="mean"),
    "wdl_live_encoder": Wdl(domains=("live",)),
    "wdl_live_mean": Wdl(domains=("live",), sequence="mean"),
    "dien_terms": Dien(auxiliary_weight=0.7),
    "dien_live_terms": Dien(domains=("live",), attention="unit", auxiliary_weight=1.0),
    "can_dual": Can(auxiliary_weight=0.7),
    "can_live": Can(domains=("live",)),
    "can_identity": Can(coaction="identity"),
    "minet_terms": Minet(product_weight=0.5),
    "dasl_terms": Dasl(product_weight=0.8, dual_weight=0.3),
    "dasl_own_terms": Dasl(attention="own", product_weight=0.8),
    "conet_terms": Conet(product_weight=0.8, sparsity=0.4),
    "dtcdr_terms": Dtcdr(product_weight=0.6),
    "dtcdr_gate_terms": Dtcdr(combine="gate", target_product=True, product_weight=0.6),
    "ddtcdr_terms": Ddtcdr(product_weight=0.8, orthogonality=0.2),
    "ddtcdr_own_terms": Ddtcdr(features="own", alpha=0.2, product_weight=0.8, orthogonality=0.2),
}

WITH_TASKS: dict[str, models.Model] = {
    "elive_tasks": Elive(),
    "elive_tasks_dynamic": Elive(intra_dynamic=True),
    "eta_tasks": Eta(),
}

BOTH, LIVE = NextEvent(), NextEvent(next_weight=0.0, watched_weight=0.2)
MOMENT = Input(maps="vocabulary", query="moment")
FROM_FEEDS: dict[str, tuple[models.Model, Input, NextEvent | None]] = {
    "elive_entity": (Elive(), Input(), None),
    "elive_vocabulary": (Elive(), Input(maps="vocabulary"), None),
    "elive_moment": (Elive(), MOMENT, None),
    "elive_next_event": (Elive(), Input("vocabulary", "moment", history_means=True), BOTH),
    "din_next_event": (Din(), Input(history_means=True), BOTH),
    "eta_live_moment": (Eta(domains=("live",)), MOMENT, LIVE),
}
"""Models that begin with ids, numbers and ages, with what they see and what else their training asks for."""


# Models


def prepared(model: models.Model, with_tasks: bool) -> tuple[Tensors, Tensors]:
    """Inputs and parameters."""
    inputs = model_inputs(model.domains)
    shapes = models.shapes(model, WIDTH)
    if model.drawn() or model.tables():
        inputs |= training_inputs(inputs, model.domains, model.drawn())
        inputs |= own_inputs(inputs, model.domains, model.tables()) if model.tables() else {}
    if with_tasks:
        inputs |= task_labels(inputs)
        shapes |= tasks.shapes(model, WIDTH)
    return inputs, {name: parameter(name, shape) for name, shape in shapes.items()}


def model_values(model: models.Model, with_tasks: bool = False) -> Tensors:
    """Inputs, parameters, outputs, and the gradients of the total loss."""
    inputs, parameters = prepared(model, with_tasks)
    forward = tasks.forward if with_tasks else models.forward
    outputs = forward(model, inputs, parameters)
    return values(inputs, parameters, outputs)


def values_from_feeds(model: models.Model, given: Input, next_event: NextEvent | None) -> Tensors:
    """The same from the ids, numbers, ages and rows of feeds."""
    inputs = feed_inputs(tomllib.loads(entities.SCHEMA), model.domains)
    feeds = Feeds(given, inputs, model.domains, WIDTH)
    shapes = feeds.shapes() | models.shapes(model, WIDTH, given.history_means)
    if next_event:
        inputs |= next_event_inputs(list(next_events.terms(next_event, model.domains)))
        shapes |= next_events.shapes(next_event, model.domains, WIDTH)
    parameters = {name: parameter(name, shape) for name, shape in shapes.items()}

    vectors = inputs | feeds.vectors(parameters)
    outputs = models.forward(model, vectors, parameters)
    outputs |= {f"match.{name}": x for name, x in feeds.matches().items()}
    if next_event:
        losses = next_events.losses(next_event, model.domains, vectors, parameters)
        weights = next_events.terms(next_event, model.domains)
        outputs["loss.total"] = outputs["loss.total"] + sum(weights[name] * x for name, x in losses.items())
        outputs |= {f"loss.{name}": x for name, x in losses.items()}
    return values(inputs, parameters, outputs)


def values(inputs: Tensors, parameters: Tensors, outputs: Tensors) -> Tensors:
    """Inputs, parameters, outputs, and the gradients of the total loss."""
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


def options(model: models.Model, *more: object) -> dict[str, str]:
    """The options of a model, and of `more`, as the file's metadata; booleans as true and false, lists with commas.

    Numbers that are 0 and what is None are left out: they stand for what the model goes without.
    """

    def text(value: object) -> str:
        match value:
            case bool():
                return str(value).lower()
            case tuple():
                return ",".join(value)
        return str(value)

    def said(value: object) -> bool:
        return value is not None and not (isinstance(value, float) and value == 0)

    fields = [field for of in (model, *more) for field in dataclasses.asdict(of).items()]
    found = {name: text(value) for name, value in fields if said(value)}
    if model.drawn():
        found["update"] = str(UPDATE)
    found["model"] = type(model).__name__.lower()
    found["lambda_correlation"] = str(models.LAMBDA_CORRELATION)
    found["lambda_contrast"] = str(models.LAMBDA_CONTRAST)
    return found


TASK_OPTIONS = {
    "experts": str(tasks.EXPERTS),
    "expert_width": str(tasks.EXPERT_WIDTH),
    "gate_hidden": str(tasks.GATE_HIDDEN),
    "tower_hidden": str(tasks.TOWER_HIDDEN),
    "stay_mean": str(tasks.STAY_MEAN),
    "stay_sd": str(tasks.STAY_SD),
    **{f"{task}_weight": str(weight) for task, weight in tasks.WEIGHTS.items()},
}


# The weighting of tasks


def gradient_values() -> Tensors:
    """Losses, cosines and norms of the tasks of a model, and the gradient of rec + sum w_i L_i, without L_reg."""
    model = Elive()
    inputs, parameters = prepared(model, with_tasks=True)
    outputs = tasks.cosines(model, inputs, parameters)
    weighed = (weight * outputs[f"loss.{task}"] for task, weight in tasks.WEIGHTS.items())
    (outputs["loss.rec"] + sum(weighed)).backward()
    leaves = {f"input.{name}": x for name, x in inputs.items()} | parameters
    return (
        {f"input.{name}": x.double() for name, x in inputs.items()}
        | {f"param.{name}": x for name, x in parameters.items()}
        | {f"output.{name}": x for name, x in outputs.items()}
        | {f"grad.{name}": x.grad for name, x in leaves.items() if x.grad is not None}
    )


def weighting_values() -> Tensors:
    """Ten updates of every task's weighting network in both ways, from the same parameters."""
    steps, count = 10, len(tasks.NAMES)
    cosines = torch.tanh(normal("weighting.cosine", steps, count))
    losses = torch.exp(0.4 * normal("weighting.loss", steps, count))
    losses[3, 1] = -1
    cosines, losses = representable(cosines).detach(), representable(losses).detach()
    found = {"input.cosine": cosines, "input.loss": losses}
    for update in ("joint", "meta"):
        weights = []
        for i, task in enumerate(tasks.NAMES):
            names = {name: f"{task}.{name}" for name in tasks.network_shapes()}
            shapes = tasks.network_shapes()
            own = {name: parameter(f"weighting.{names[name]}", shapes[name]) for name in names}
            found |= {f"param.{names[name]}": x.detach().clone() for name, x in own.items()}
            weights.append(tasks.weigh(update, tasks.Network(**own), cosines[:, i], losses[:, i]))
            found |= {f"output.{update}.{names[name]}": x for name, x in own.items()}
        found[f"output.{update}.weight"] = torch.stack(weights, 1)
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

    of_models = {name: (model_values(model), options(model)) for name, model in MODELS.items()}
    for name, model in WITH_TASKS.items():
        of_models[name] = (model_values(model, True), options(model) | TASK_OPTIONS)
    for name, (model, given, next_event) in FROM_FEEDS.items():
        metadata = options(model, given, *([next_event] if next_event else []))
        metadata |= {"schema.toml": entities.SCHEMA, "update": str(UPDATE)}
        of_models[f"feeds/{name}"] = (values_from_feeds(model, given, next_event), metadata)
    of_models["ops"] = (op_cases.all_ops(), op_cases.METADATA)
    of_training = {
        "task_gradients": (gradient_values(), options(Elive()) | TASK_OPTIONS),
        "weighting": (weighting_values(), {}),
    }
    folders = {"eliverec-models": of_models, "eliverec-train": of_training}
    files = {
        CRATES / crate / "tests/reference" / f"{name}.safetensors": file
        for crate, named in folders.items()
        for name, file in named.items()
    }

    failed = False
    for path, (tensors, metadata) in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
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
