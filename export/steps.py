"""What an export has to make: one graph for every component and precision, in an order that needs one network at a
time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from onnxflow.errors import UsageError
from onnxflow.export.source import TEXT_PARTS, UNET, VAE

Storage = Literal["fp32", "fp16"]
STATIC = "int8-static"
PRECISIONS = ("fp32", "fp16", "int8", STATIC)
QUANTIZED = (*TEXT_PARTS, UNET)  # decoding in int8 would save little, and shows
COMPONENTS = {VAE: ("vae_encoder", "vae_decoder")}  # of a part that is more than one
# Norm of the error by the norm of what torch gives, on the reference inputs.
ALLOWED = {"fp32": 1e-4, "fp16": 1e-2, "int8": 1e-1, STATIC: 1e-1}


@dataclass(frozen=True, slots=True)
class Step:
    """One graph: the network that it is made of, the component that it becomes, what it computes in, how its weights
    are stored, its file in the bundle, and the error that it may have."""

    part: str
    component: str
    precision: str
    storage: str
    file: str
    allowed: float

    @property
    def name(self) -> str:
        """For messages and the journal."""
        return f"{self.component}, {self.precision}"


def check_options(precisions: Sequence[str], storage: str, prompts: Sequence[str] = ()) -> None:
    """UsageError for an unknown precision or storage, and for prompts that nothing would read."""
    unknown = [precision for precision in precisions if precision not in PRECISIONS]
    if unknown or not precisions:
        given = repr(unknown[0]) if unknown else "none"
        raise UsageError(f"unknown precision {given}", hint=f"this version exports {', '.join(PRECISIONS)}")
    if prompts and STATIC not in precisions:
        raise UsageError(f"only {STATIC} is calibrated on prompts", hint=f"ask for --precision {STATIC}, too")
    if storage not in ("fp32", "fp16"):
        raise UsageError(f"unknown storage {storage!r}", hint="choose fp32 or fp16")


def plan(parts: Sequence[str], family: str, precisions: Sequence[str], storage: str) -> list[Step]:
    """The steps for these parts.

    Of each part the graphs with weights as they are come first: fp16 rounds the network in place. SDXL's VAE overflows
    in fp16 and stays fp32.
    """
    steps = []
    for part in parts:
        made = [
            _step(part, component, precision, storage)
            for component in COMPONENTS.get(part, (part,))
            for precision in _possible(part, family, precisions)
        ]
        steps += sorted(made, key=lambda step: step.precision == "fp16")
    return steps


def _possible(part: str, family: str, precisions: Sequence[str]) -> list[str]:
    """The precisions a part is made in when these are asked for: fp32 where it cannot be in one of them."""
    without = set() if part in QUANTIZED else {"int8"}
    if part != UNET:  # text encoders have outliers, and take a hundredth of the time
        without.add(STATIC)
    if part == VAE and family.startswith("sdxl"):
        without.add("fp16")
    chosen = {"fp32" if precision in without else precision for precision in precisions}
    return [precision for precision in ("int8", STATIC, "fp32", "fp16") if precision in chosen]


def _step(part: str, component: str, precision: str, storage: str) -> Step:
    if precision == "fp32":
        # Weights rounded to half precision are as far from torch's as a graph that computes in it.
        return Step(part, component, precision, storage, f"{component}/model.onnx", ALLOWED[storage])
    stored = "int8" if precision == STATIC else precision
    return Step(part, component, precision, stored, f"{component}/model.{precision}.onnx", ALLOWED[precision])
