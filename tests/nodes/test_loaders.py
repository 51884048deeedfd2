"""CheckpointLoaderSimple: names as other machines saved them."""

from __future__ import annotations

import json
from pathlib import Path

from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore, embedded_folder
from onnxflow.nodes.loaders import checkpoint_loader_simple


def disk_with(folder: Path, name: str, *further: str) -> Disk:
    """A disk with one bundle without files, in fp32 and the unet in further variants."""
    bundle = folder / "checkpoints" / name
    bundle.mkdir(parents=True)
    document = json.loads((embedded_folder() / "onnxflow.json").read_text("utf-8"))
    for part, component in document["components"].items():
        variants = ("fp32", *further) if part == "unet" else ("fp32",)
        entry = {"file": "model.onnx", "storage": "fp16", "relative_error": 1e-4, "allowed_error": 1e-2}
        component["variants"] = dict.fromkeys(variants, entry)
    (bundle / "onnxflow.json").write_text(json.dumps({**document, "files": {}}))
    return Disk(Folders(folder / "input", folder / "output", folder / "temp"), ModelStore((folder,)))


def test_names_of_checkpoint_files_and_windows_are_accepted(tmp_path: Path) -> None:
    disk = disk_with(tmp_path, "sub/mine")
    name = checkpoint_loader_simple.by_name["ckpt_name"]
    assert name.allowed(disk) == (*ModelStore().checkpoints(), "sub/mine")
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


def test_a_variant_is_part_of_the_name_and_of_the_fingerprint(tmp_path: Path) -> None:
    disk = disk_with(tmp_path, "mine", "int8")
    name, fingerprint = checkpoint_loader_simple.by_name["ckpt_name"], checkpoint_loader_simple.fingerprint
    assert (name.allowed(disk) or ())[-2:] == ("mine", "mine@int8")
    assert name.accepts is not None
    assert name.explain is not None
    assert fingerprint is not None
    assert name.accepts(disk, "mine@fp32")
    assert not name.accepts(disk, "mine@int4")
    assert "variants: fp32, int8" in name.explain(disk, "mine@int4")
    assert fingerprint(disk, ckpt_name="mine@int8") == fingerprint(disk, ckpt_name="mine.safetensors@int8")
    assert fingerprint(disk, ckpt_name="mine@int8") != fingerprint(disk, ckpt_name="mine")
