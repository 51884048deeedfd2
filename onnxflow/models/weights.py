"""The tensors of a model, in one .safetensors file or in several that lie in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxflow.errors import ModelError, shown
from onnxflow.models.tensors import TensorFile, TensorInfo, open_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Files by tensor; ``where`` is what messages call it: the file, or the folder of several."""

    where: Path
    files: tuple[TensorFile, ...]
    owners: Mapping[str, TensorFile]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor."""
        return {name: file.tensors[name].shape for name, file in self.owners.items()}

    def info(self, name: str) -> TensorInfo:
        """A tensor's type, shape and place."""
        return self.owners[name].tensors[name]

    def location(self, name: str) -> str:
        """The name of the file that holds a tensor, behind all links: ONNX Runtime refuses to follow one."""
        return self.owners[name].path.resolve().name

    @property
    def folder(self) -> Path:
        """Where the files truly lie."""
        return self.files[0].path.resolve().parent

    def rows(self, name: str) -> NDArray[Any]:
        """A tensor, mapped from its file."""
        return self.owners[name].read(name)

    def transposed(self, name: str) -> bytes:
        """The bytes of a matrix's transpose, in its own type."""
        import numpy as np  # checking a workflow names its models, and needs no numbers

        info = self.info(name)
        width = info.size // max(1, info.shape[0] * info.shape[1])
        codes = np.memmap(self.owners[name].path, f"<u{width}", "r", info.offset, info.shape)
        return np.ascontiguousarray(codes.T).tobytes()


def weights_of(path: Path) -> Weights:
    """The tensors of one file; ModelError."""
    file = open_tensors(path)
    return Weights(path, (file,), dict.fromkeys(file.tensors, file))


def shards_of(where: Path, paths: list[Path]) -> Weights:
    """The tensors of several files of one folder; ModelError when two hold the same one."""
    files = tuple(open_tensors(path) for path in paths)
    owners: dict[str, TensorFile] = {}
    for file in files:
        for name in file.tensors:
            if name in owners:
                raise ModelError(
                    f"{owners[name].path.name} and {file.path.name} both hold {shown(name)}",
                    where=str(where),
                    hint="copy the model again: these are files of two models",
                )
            owners[name] = file
    if len({path.resolve().parent for path in paths}) > 1:
        raise ModelError(
            "the model's files lie in several folders behind their links",
            where=str(where),
            hint="put the files themselves into one folder",
        )
    return Weights(where, files, owners)
