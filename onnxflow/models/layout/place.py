"""Where one weight of a network lies in a file of the original layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from onnxflow.errors import ModelError, did_you_mean

RELATIVES: Final = (
    "if it is a pruned or changed relative (TinySD, SSD-1B, Segmind), get its Diffusers folder and export that with"
    " `onnxflow export FOLDER`, which traces any shape; else the file is damaged"
)
"""What to do about a network that is not of a family's shape."""

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor of the file, or some rows of it, in the shape that the network's weight has.

    ``rows`` is the range of the tensor's first axis, None for all; ``transposed`` means that the file holds the
    transpose of a matrix. A 1x1 convolution of the file may be a matrix of the network: the same bytes in another
    shape.
    """

    key: str
    shape: Shape
    rows: tuple[int, int] | None = None
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """The tensors of one network: everything in a file below a prefix, by the rest of the name."""

    where: str
    prefix: str
    shapes: Shapes

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def shape(self, name: str, rank: int) -> Shape:
        """The shape of a tensor that must be there with so many axes, none of them empty; ModelError."""
        found = self.shapes.get(name)
        if found is None:
            nearest = did_you_mean(name, self.shapes, what="tensors") if self.shapes else "nothing is below this prefix"
            raise ModelError(
                f"the checkpoint has no tensor {self.prefix}{name}", where=self.where, hint=f"{nearest}; {RELATIVES}"
            )
        if len(found) != rank or 0 in found:
            raise ModelError(
                f"the tensor {self.prefix}{name} has the shape {list(found)}, expected {rank} axes",
                where=self.where,
                hint="the file is damaged, or of another kind of model",
            )
        return found

    def count(self, pattern: str) -> int:
        """For how many numbers from 0 on a tensor is there; ``pattern`` has ``{}`` in the number's place."""
        number = 0
        while pattern.format(number) in self.shapes:
            number += 1
        return number


def part_of(where: str, shapes: Shapes, prefix: str) -> Part:
    """What lies below ``prefix``."""
    start = len(prefix)
    return Part(where, prefix, {name[start:]: shape for name, shape in shapes.items() if name.startswith(prefix)})


def whole(part: Part, pairs: Mapping[str, str], matrices: frozenset[str] = frozenset()) -> dict[str, Place]:
    """Places of weights that are whole tensors, from pairs (name of the module, its name in the file): its ``weight``
    and, if there is one, its ``bias``. ModelError for a weight that is missing.

    ``matrices`` names modules that the network holds as matrices even where the file has 1x1 convolutions.
    """
    places = {}
    for module, original in pairs.items():
        shape = part.shapes.get(f"{original}.weight")
        if shape is None:
            part.shape(f"{original}.weight", 1)  # says what is missing
            continue
        if module in matrices and len(shape) == 4 and shape[2:] == (1, 1):
            shape = shape[:2]
        places[f"{module}.weight"] = Place(f"{part.prefix}{original}.weight", shape)
        if f"{original}.bias" in part:
            places[f"{module}.bias"] = Place(f"{part.prefix}{original}.bias", part.shape(f"{original}.bias", 1))
    return places
