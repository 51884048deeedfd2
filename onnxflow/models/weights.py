"""The tensors of a model, in one .safetensors file or in several that lie in one folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import ModelError, shown
from onnxflow.models.stored_floats import WIDENED
from onnxflow.models.tensor_blocks import tensor_blocks
from onnxflow.models.tensor_header import TensorInfo
from onnxflow.models.tensors import DTYPES, TensorFile, open_tensors
from onnxflow.models.zero_tail import check_not_blank

_BLOCK: Final = 4_000_000
_SCALES: Final = (".scale_weight", ".weight_scale", ".comfy_quant", ".weight_scale_2", "scaled_fp8")


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A matrix in a file, of which only the rows that are asked for are read and widened; it has what is asked of a
    numpy array of two dimensions."""

    codes: NDArray[Any]
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return self.codes.shape

    @property
    def ndim(self) -> int:
        """How many dimensions it has."""
        return self.codes.ndim

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        found: NDArray[Any] = self.codes[rows]
        return WIDENED[self.dtype](found) if self.dtype in WIDENED else found


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
    def graph_place(self) -> Path:
        """A path beside the files, behind all links."""
        return self.files[0].path.resolve()

    def check(self) -> None:
        """ModelError when a file is not what it was when it was opened."""
        for file in self.files:
            file.source.check()

    def rows(self, name: str) -> Rows:
        """A matrix, mapped from its file."""
        return Rows(self._codes(name), self.info(name).dtype)

    def blocks(self, name: str) -> Iterator[tuple[int, NDArray[Any]]]:
        """A tensor's rows in blocks of a few megabytes, each with its first row's number."""
        return tensor_blocks(self.owners[name], name, _BLOCK)

    def transposed(self, name: str) -> bytes:
        """The bytes of a matrix's transpose, in its own type."""
        return np.ascontiguousarray(self._codes(name).T).tobytes()

    def _codes(self, name: str) -> NDArray[Any]:
        """A tensor as it is stored, mapped and not widened."""
        info = self.info(name)
        view = self.owners[name].source.map(info.offset, info.length)
        return np.ndarray(info.shape, DTYPES[info.dtype], view)


def weights_of(path: Path) -> Weights:
    """The tensors of one file; ModelError when it is damaged or not whole."""
    file = _opened(path)
    return Weights(path, (file,), dict.fromkeys(file.tensors, file))


def shards_of(where: Path, paths: list[Path]) -> Weights:
    """The tensors of several files of one folder; ModelError when two hold the same one."""
    files = tuple(_opened(path) for path in paths)
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


def _opened(path: Path) -> TensorFile:
    file = open_tensors(path)
    real = str(path.resolve())
    try:
        real.encode()
    except UnicodeEncodeError:
        raise ModelError(
            f"the path of the file is not UTF-8, and ONNX Runtime finds no other: {shown(real)}",
            where=str(path).encode(errors="backslashreplace").decode(),
            hint="rename the file or its folder",
        ) from None
    check_not_blank(file)
    scale = next((name for name in file.tensors if name.endswith(_SCALES)), None)
    if scale is not None:
        raise ModelError(
            f"the file has scales beside its weights ({shown(scale)}), which this version does not read",
            where=str(path),
            hint="get the model in FP16, BF16 or plain FP8; onnxflow export makes int8 of it",
        )
    return file
