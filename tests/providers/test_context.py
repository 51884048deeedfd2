"""What a provider compiled into an EPContext model is kept, and loaded the next time."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_onnxruntime import InvalidProtobuf, Runtime, SessionOptions
from fake_providers import GRAPH, installed, opened

from onnxflow.cancel import CancelToken
from onnxflow.errors import ProviderError
from onnxflow.models.graph_file import GraphFile
from onnxflow.providers import context
from onnxflow.providers.device import Device
from onnxflow.providers.opening import open_session
from onnxflow.providers.target import Target

NPU = Device("qnn", "npu")
SIZES = {"batch": 2, "tokens": 77}


def compiling(options: SessionOptions) -> None:
    """Write the compiled model, as a provider does that is asked to."""
    if options.entries.get("ep.context_enable") == "1":
        assert options.entries["ep.context_embed_mode"] == "1"
        Path(options.entries["ep.context_file_path"]).write_bytes(b"compiled")


def kept_in(folder: Path) -> list[Path]:
    """The files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def made(runtime: Runtime, folder: Path, sizes: dict[str, int] | None = None) -> tuple[object, dict[str, int]]:
    """The model that a session was made of, and the sizes it was told to fix."""
    open_session(
        GraphFile(GRAPH),
        "the graph",
        Target(NPU, "fp16", cache=folder),
        CancelToken(),
        SIZES if sizes is None else sizes,
    )
    return runtime.sessions[-1].model, runtime.sessions[-1].options.sizes


def test_it_is_compiled_once_a_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runtime = installed(monkeypatch, (NPU, True))
    runtime.loading = compiling
    folder = tmp_path / "kept"
    first, sizes = made(runtime, folder)
    assert isinstance(first, bytes) and sizes == SIZES, "the graph, with its attention in standard nodes"
    (file,) = kept_in(folder)
    assert file.read_bytes() == b"compiled"
    again, sizes = made(runtime, folder)
    assert (again, sizes) == (str(file), {}), "the compiled model has its sizes"
    assert "ep.context_enable" not in runtime.sessions[-1].options.entries
    other, _ = made(runtime, folder, {"batch": 1, "tokens": 77})
    assert isinstance(other, bytes) and len(kept_in(folder)) == 2


def test_one_that_cannot_be_loaded_is_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runtime = installed(monkeypatch, (NPU, True))
    runtime.loading = compiling
    made(runtime, tmp_path)
    (file,) = kept_in(tmp_path)
    file.write_bytes(b"damaged")

    def choosy(options: SessionOptions) -> None:
        if "ep.context_enable" not in options.entries:
            raise InvalidProtobuf("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Protobuf parsing failed.")
        compiling(options)

    runtime.loading = choosy
    model, _ = made(runtime, tmp_path)
    assert isinstance(model, bytes)
    assert [path.read_bytes() for path in kept_in(tmp_path)] == [b"compiled"]


def test_nothing_is_left_of_one_that_was_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runtime = installed(monkeypatch, (NPU, True))
    made(runtime, tmp_path)
    assert kept_in(tmp_path) == []
    (tmp_path / "file").write_text("")
    made(runtime, tmp_path / "file" / "no folder")
    (tmp_path / "file").unlink()
    assert "ep.context_enable" not in runtime.sessions[-1].options.entries

    def fails(options: SessionOptions) -> None:
        compiling(options)
        raise RuntimeError("the driver gave up")

    runtime.loading = fails
    with pytest.raises(ProviderError):
        made(runtime, tmp_path / "other")
    assert kept_in(tmp_path / "other") == []


def test_who_keeps_what_it_compiles_itself_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = Device("tensorrt", "0")
    runtime = installed(monkeypatch, (device, False))
    opened(device, cache=tmp_path)
    assert "ep.context_enable" not in runtime.sessions[0].options.entries


def test_a_model_that_one_message_cannot_hold_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(context, "LARGEST", 1000)
    assert context.context_file(Target(NPU, "fp16", cache=tmp_path), GRAPH) is None
