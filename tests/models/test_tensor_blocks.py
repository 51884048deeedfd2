"""A tensor in blocks is the tensor, and no block is larger than asked for."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from tensor_files import laid_out

from onnxflow.errors import ModelError
from onnxflow.models.tensor_blocks import tensor_blocks
from onnxflow.models.tensors import TensorFile, open_tensors


def opened(folder: Path, dtype: str, shape: list[int], data: bytes) -> TensorFile:
    path = folder / "a.safetensors"
    path.write_bytes(laid_out({"x": (dtype, shape, data)}))
    return open_tensors(path)


@pytest.mark.parametrize("dtype", ["F32", "I8", "BF16", "F8_E4M3", "BOOL"])
@pytest.mark.parametrize("most", [1, 39, 40, 41, 100, 10_000])
def test_blocks_follow_each_other(tmp_path: Path, dtype: str, most: int) -> None:
    width = {"F32": 4, "BF16": 2}.get(dtype, 1)
    file = opened(tmp_path, dtype, [7, 5, 2], np.random.default_rng(0).bytes(70 * width))
    whole = file.read("x")
    blocks = list(tensor_blocks(file, "x", most))
    assert [start for start, _ in blocks] == np.cumsum([0, *(len(block) for _, block in blocks[:-1])]).tolist()
    assert b"".join(block.tobytes() for _, block in blocks) == whole.tobytes()
    assert all(block.nbytes <= most or len(block) == 1 for _, block in blocks)
    assert len(blocks) == -(-7 // max(1, most // whole[0].nbytes))


def test_tensors_of_few_dimensions_and_of_none(tmp_path: Path) -> None:
    assert [(at, block.tolist()) for at, block in tensor_blocks(opened(tmp_path, "U8", [], b"\7"), "x")] == [(0, 7)]
    assert list(tensor_blocks(opened(tmp_path, "U8", [0, 3], b""), "x")) == []
    empty = list(tensor_blocks(opened(tmp_path, "U8", [3, 0], b""), "x"))
    assert [(at, block.shape) for at, block in empty] == [(0, (3, 0))]
    with pytest.raises(ModelError, match="no tensor 'y'"):
        list(tensor_blocks(opened(tmp_path, "U8", [0], b""), "y"))


def test_memory_is_bounded_by_the_block(tmp_path: Path) -> None:
    file = opened(tmp_path, "F8_E5M2", [4096, 2048], bytes(4096 * 2048))
    tracemalloc.start()
    try:
        assert sum(len(block) for _, block in tensor_blocks(file, "x", 1024 * 1024)) == 4096
        assert tracemalloc.get_traced_memory()[1] < 3 * 1024 * 1024  # the whole is 32 MB
    finally:
        tracemalloc.stop()


def test_a_file_that_changes_between_two_blocks(tmp_path: Path) -> None:
    file = opened(tmp_path, "U8", [4, 10_000], bytes(40_000))
    blocks = tensor_blocks(file, "x", 10_000)
    assert next(blocks)[0] == 0
    os.truncate(file.path, 20_000)
    with pytest.raises(ModelError, match="changed while it was in use"):
        next(blocks)
