"""Thousands of damaged files: each opens and reads as what it is, or is refused in words, soon and in little memory."""

import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated, sound_file

from onnxflow.errors import OnnxflowError
from onnxflow.models.stored_floats import WIDENED
from onnxflow.models.tensor_blocks import tensor_blocks
from onnxflow.models.tensors import DTYPES, open_tensors
from onnxflow.models.zero_tail import check_not_blank

SECONDS = 2.0
MEMORY = 64 * 1024 * 1024


def read_all(path: Path, data: bytes) -> None:
    """Open the file and read it in every way; AssertionError when it is not read as what its bytes are."""
    path.write_bytes(data)
    file = open_tensors(path)
    check_not_blank(file)
    assert all(isinstance(text, str) for text in file.metadata.values())
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    assert list(header) == list(file.tensors)
    assert sum(info.length for info in file.tensors.values()) == len(data) - 8 - length
    for name, info in file.tensors.items():
        begin, end = header[name]["data_offsets"]
        assert (info.offset, info.length) == (8 + length + begin, end - begin)
        assert (info.dtype, list(info.shape)) == (header[name]["dtype"], header[name]["shape"])
        found = file.read(name)
        stored = np.frombuffer(data[info.offset : info.offset + info.length], DTYPES[info.dtype]).reshape(info.shape)
        if info.dtype in WIDENED:
            stored = WIDENED[info.dtype](stored)
        elif info.dtype == "BOOL":
            stored = stored != 0
        assert (found.shape, found.dtype) == (info.shape, stored.dtype) and not found.flags.writeable
        assert found.tobytes() == stored.tobytes()
        if info.shape:
            half = info.shape[0] // 2
            rows = [file.read_rows(name, 0, half), file.read_rows(name, half, info.shape[0])]
            assert b"".join(part.tobytes() for part in rows) == stored.tobytes()
            if info.length:
                assert b"".join(part.tobytes() for _, part in tensor_blocks(file, name, 1)) == stored.tobytes()


def open_damaged(folder: Path, seeds: range) -> int:
    """How many of the damaged files with these seeds still open."""
    sound, opened = sound_file(), 0
    read_all(folder / "sound.safetensors", sound)
    tracemalloc.start()
    try:
        for seed in seeds:
            data = mutated(sound, seed)
            tracemalloc.reset_peak()
            began = time.monotonic()
            try:
                read_all(folder / "damaged.safetensors", data)
                opened += 1
            except OnnxflowError as error:
                assert error.where and error.hint and len(error.message) < 800, seed
                error.render().encode()
            except Exception as error:
                raise AssertionError(f"seed {seed}") from error
            assert time.monotonic() - began < SECONDS, seed
            assert tracemalloc.get_traced_memory()[1] < MEMORY, seed
    finally:
        tracemalloc.stop()
    return opened


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    assert 20 < open_damaged(tmp_path, range(500)) < 250


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    assert open_damaged(tmp_path, range(500, 10_500)) > 400
