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
from pathlib import Path

import torch
from safetensors.torch import load_file, save

import models
import op_cases
from fixed_inputs import WIDTH, model_inputs, parameter
from models import Din, Elive, Eta, Tensors

FOLDER = Path(__file__).resolve().parents[1] / "crates/eliverec-models/tests/reference"

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
    files["ops"] = (op_cases.all_ops(), op_cases.METADATA)

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
