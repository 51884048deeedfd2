"""What an export takes, known from the shapes of the weights before one of them is read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnxflow.export.source import TEXT_PARTS
from onnxflow.export.steps import STATIC, Step

Shapes = Mapping[str, tuple[int, ...]]
TOKENS = "embeddings.token_embedding.weight"  # lies in a table of its own
_BYTES = {"fp32": 4, "fp16": 2, "int8": 1}  # of a weight
_OF = {"vae_encoder": ("encoder.", "quant_conv."), "vae_decoder": ("decoder.", "post_quant_conv.")}
_GRAPH = 1_000_000  # bytes of a graph without weights, and of its reference
_TOKENIZER = 2_000_000

# Bytes of memory, measured on a denoiser of 211 million weights (844 MB in fp32): PyTorch, Diffusers and ONNX Runtime
# take 0.4 GB before they do anything, the rest of the constant is a call of the VAE. Of the network in fp32, writing
# graphs takes 1.4 times the bytes; it is gone when they are checked, where ONNX Runtime holds a weight as it was read
# and as its products want it. At the peak: fp32 1.65 times, stored in fp16 2.4 times, all three precisions 2.0 times. A
# folder of SDXL's size in int8: 1.70 times, with the pages of the source that the system can take back.
_ALWAYS = 700_000_000
_PEAK = {"fp32": 1.7, "fp16": 2.4, "int8": 1.7}  # by storage

# Seconds of two cores for a million weights, measured on the same: only how they compare counts. The VAE is small, but
# its calls at 256 x 256 are long.
READ, WRITE, _CHECK, _CHECK_VAE = 0.03, 0.06, 0.05, 1.0
_CALIBRATE = 0.1  # of a denoiser that draws a picture of 512 x 512, which takes seconds with any
_PICTURE = 5.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes that the bundle takes on the disk at least and about, bytes of memory at the peak, and seconds of work:
    of reading each part, of writing and of checking each graph, of calibrating."""

    least: int
    disk: int
    memory: int
    reading: Mapping[str, float]
    writing: Mapping[str, float]
    checking: Mapping[str, float]
    calibrating: float = 0.0

    @property
    def work(self) -> float:
        """Seconds of the whole export."""
        return sum(sum(work.values()) for work in (self.reading, self.writing, self.checking)) + self.calibrating


def estimate(shapes: Mapping[str, Shapes], steps: Sequence[Step], storage: str, prompts: int = 0) -> Estimate:
    """What these steps take; `shapes` has the weights of every part, `prompts` pictures are drawn to calibrate."""
    counts = {step.component: count_weights(shapes[step.part], _OF.get(step.component, ())) for step in steps}
    graphs = sum(counts[step.component] * _BYTES[step.storage] for step in steps)
    tables = sum(
        math.prod(shape) * (2 if storage == "fp16" else 4)
        for part in shapes
        for name, shape in shapes[part].items()
        if part in TEXT_PARTS and name.endswith(TOKENS)
    )
    texts = sum(part in TEXT_PARTS for part in shapes)
    whole = {part: sum(map(math.prod, shapes[part].values())) for part in shapes}
    peak = max(4 * whole[step.part] * _PEAK[step.storage] for step in steps)
    return Estimate(
        least=graphs + tables,
        disk=graphs + tables + _GRAPH * len(steps) + _TOKENIZER * texts,
        memory=int(peak) + _ALWAYS,
        reading={part: count * READ / 1e6 for part, count in whole.items()},
        writing={step.name: counts[step.component] * WRITE / 1e6 for step in steps},
        checking={
            step.name: counts[step.component] * (_CHECK_VAE if step.component in _OF else _CHECK) / 1e6
            for step in steps
        },
        calibrating=sum(
            prompts * (counts[step.component] * _CALIBRATE / 1e6 + _PICTURE)
            for step in steps
            if step.precision == STATIC
        ),
    )


def count_weights(shapes: Shapes, prefixes: tuple[str, ...] = ()) -> int:
    """How many numbers a graph has of these weights: those whose names begin so, without the token table."""
    return sum(
        math.prod(shape)
        for name, shape in shapes.items()
        if not name.endswith(TOKENS) and (not prefixes or name.startswith(prefixes))
    )
