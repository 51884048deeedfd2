"""CheckpointLoaderSimple: names as other machines saved them."""

from __future__ import annotations

import json
from pathlib import Path

from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore, embedded_folder
from onnxflow.nodes.loaders import checkpoint_loader_simple


def disk_with(folder: Path, name: str) -> Disk:
    bundle = folder / "checkpoints" / name
    bundle.mkdir(parents=True)
    document = json.loads((embedded_folder() / "onnxflow.json").read_text("utf-8"))
    (bundle / "onnxflow.json").write_text(json.dumps({**document, "files": {}}))
    return Disk(Folders(folder / "input", folder / "output", folder / "temp"), ModelStore((folder,)))


def test_names_of_checkpoint_files_and_windows_are_accepted(tmp_path: Path) -> None:
    disk = disk_with(tmp_path, "sub/mine")
    name = checkpoint_loader_simple.by_name["ckpt_name"]
    assert name.allowed(disk) == ("onnxflow-tiny", "sub/mine")
    assert name.accepts is not None
    for value in ("sub/mine", "sub\\mine", "sub/mine.safetensors", "sub\\mine.CKPT"):
        assert name.accepts(disk, value), value
    for other in ("mine", "sub/mine.png", "../sub/mine", "", 5, None, ["sub/mine"]):
        assert not name.accepts(disk, other), other  # type: ignore[arg-type]


def test_the_fingerprint_follows_the_model_and_not_how_it_is_called(tmp_path: Path) -> None:
    disk = disk_with(tmp_path, "mine")
    fingerprint = checkpoint_loader_simple.fingerprint
    assert fingerprint is not None
    first = fingerprint(disk, ckpt_name="mine.safetensors")
    assert first == fingerprint(disk, ckpt_name="mine")
    path = tmp_path / "checkpoints" / "mine" / "onnxflow.json"
    path.write_text(path.read_text() + " ")
    assert fingerprint(disk, ckpt_name="mine") != first
    assert fingerprint(disk, ckpt_name=None) != fingerprint(disk, ckpt_name=None)
