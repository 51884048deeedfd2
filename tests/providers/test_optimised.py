"""Optimised graphs are kept without their weights, checked, made anew when they are damaged, and compute the same."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxflow.cancel import CancelToken
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.onnx_file import FLOAT
from onnxflow.models.protobuf import encoded
from onnxflow.models.weightless import weightless, with_weights
from onnxflow.providers import optimised
from onnxflow.providers.graph import OrtGraph
from onnxflow.providers.loading import DEFAULT, FAST, LOW, Loading
from onnxflow.providers.target import Target

WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4)


def node(op: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    names = b"".join(encoded(1, name.encode()) for name in inputs)
    rest = b"".join(encoded(5, attribute) for attribute in attributes)
    return names + encoded(2, output.encode()) + encoded(4, op.encode()) + rest


def value(name: str, *sizes: int) -> bytes:
    dims = b"".join(encoded(1, encoded(1, size)) for size in sizes)
    return encoded(1, name.encode()) + encoded(2, encoded(1, encoded(1, FLOAT) + encoded(2, dims)))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GraphFile:
    """x [2, 3] times weights that lie in a file of another kind, twice: with a sum that optimising makes one."""
    monkeypatch.setenv("ONNXFLOW_CACHE", str(tmp_path / "cache"))
    (tmp_path / "weights.any").write_bytes(b"1234" + WEIGHTS.tobytes())
    places = {"location": "weights.any", "offset": "4", "length": str(WEIGHTS.nbytes)}
    entries = b"".join(encoded(13, encoded(1, k.encode()) + encoded(2, v.encode())) for k, v in places.items())
    tensor = encoded(1, 3) + encoded(1, 4) + encoded(2, FLOAT) + encoded(8, b"w") + entries + encoded(14, 1)
    cast = encoded(1, b"to") + encoded(3, FLOAT) + encoded(20, 2)
    nodes = (node("Cast", ["w"], "v", cast), node("MatMul", ["x", "v"], "m"), node("Identity", ["m"], "y"))
    graph = b"".join(encoded(1, one) for one in nodes) + encoded(2, b"g") + encoded(5, tensor)
    graph += encoded(11, value("x", 2, 3)) + encoded(12, value("y", 2, 4))
    data = encoded(1, 9) + encoded(7, graph) + encoded(8, encoded(1, b"") + encoded(2, 19))
    return GraphFile(tmp_path / "weights.any", data, direct=True)


def run(file: GraphFile, loading: Loading) -> Any:
    graph = OrtGraph(file, "m", CancelToken(), Target(loading=loading))
    found = graph.run({"x": np.ones((2, 3), np.float32)}, CancelToken())["y"]
    graph.close()
    return found


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "graphs").glob("*")) if (tmp_path / "cache" / "graphs").is_dir() else []


def test_the_second_start_finds_what_the_first_has_made(file: GraphFile, tmp_path: Path) -> None:
    wanted = np.ones((2, 3), np.float32) @ WEIGHTS
    assert np.array_equal(run(file, FAST), wanted)
    assert kept(tmp_path) == []
    for loading in (LOW, DEFAULT, LOW):
        assert np.array_equal(run(file, loading), wanted)
        (one,) = kept(tmp_path)
        assert b"weights.any" not in one.read_bytes()


def test_the_weights_are_the_file_s_at_hand(file: GraphFile, tmp_path: Path) -> None:
    run(file, DEFAULT)
    file.path.write_bytes(b"1234" + (WEIGHTS + 1).tobytes())
    assert np.array_equal(run(file, DEFAULT), np.ones((2, 3), np.float32) @ (WEIGHTS + 1))
    assert len(kept(tmp_path)) == 1


@pytest.mark.parametrize("damage", [b"", b"x", b"0" * 64, b"0" * 64 + b"rubbish"])
def test_what_is_damaged_is_made_anew(file: GraphFile, tmp_path: Path, damage: bytes) -> None:
    wanted = run(file, DEFAULT)
    (one,) = kept(tmp_path)
    whole = one.read_bytes()
    one.write_bytes(damage)
    assert np.array_equal(run(file, DEFAULT), wanted)
    assert one.read_bytes() == whole


def test_what_does_not_load_is_forgotten(file: GraphFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sound file of another graph, as a newer ONNX Runtime may leave: the graph itself is loaded."""
    wanted = run(file, DEFAULT)
    (one,) = kept(tmp_path)
    parts = weightless(file)
    assert parts is not None
    broken = parts.model.replace(b"MatMul", b"MatMux")
    one.write_bytes(hashlib.sha256(broken).hexdigest().encode() + broken)
    assert np.array_equal(run(file, DEFAULT), wanted)
    assert kept(tmp_path) == []


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(
    file: GraphFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file")
    assert np.array_equal(run(file, DEFAULT), np.ones((2, 3), np.float32) @ WEIGHTS)


def test_other_processors_and_versions_have_their_own(
    file: GraphFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(file, DEFAULT)
    monkeypatch.setattr(optimised, "_processor", lambda: "another")
    run(file, DEFAULT)
    assert len(kept(tmp_path)) == 2


def test_a_graph_and_its_weights_come_apart_and_together(file: GraphFile) -> None:
    parts = weightless(file)
    assert parts is not None and list(parts.weights) == ["w"]
    whole = with_weights(parts.model, parts.weights)
    again = weightless(GraphFile(file.path, whole))
    assert again is not None and again.weights == parts.weights
    with pytest.raises(ValueError, match="another graph"):
        with_weights(parts.model, {"other": b""})
    with pytest.raises(ValueError, match="it holds 0 graphs"):
        with_weights(b"", parts.weights)
    assert weightless(GraphFile(file.path, with_weights(parts.model, {}))) is None


def test_what_was_not_used_for_longest_goes(file: GraphFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimised, "_MOST", 2)
    folder = tmp_path / "cache" / "graphs"
    folder.mkdir(parents=True)
    for age, name in ((1, "a.onnx"), (2, "b.onnx"), (7200, ".c.1.part"), (10, ".d.1.part"), (9, "note.txt")):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (time.time() - age,) * 2)
    run(file, DEFAULT)
    (own,) = (path.name for path in kept(tmp_path) if len(path.stem) == 24)
    assert {path.name for path in kept(tmp_path)} == {own, "a.onnx", ".d.1.part", "note.txt"}
    os.utime(folder / own, (1, 1))
    run(file, DEFAULT)
    assert (folder / own).stat().st_mtime > time.time() - 60
