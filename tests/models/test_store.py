"""The store: names of models on the disk, and what is never looked up there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from onnxflow.errors import ModelError
from onnxflow.models.store import CHECKPOINT_SUFFIXES, EMBEDDED_NAME, ModelStore, embedded_folder


def write(folder: Path) -> Path:
    """A bundle without files: the embedded model's manifest with an empty list of them."""
    folder.mkdir(parents=True, exist_ok=True)
    document = json.loads((embedded_folder() / "onnxflow.json").read_text("utf-8"))
    (folder / "onnxflow.json").write_text(json.dumps({**document, "files": {}}))
    return folder


def refusal(store: ModelStore, name: str) -> str:
    with pytest.raises(ModelError) as caught:
        store.checkpoint(name)
    return caught.value.render()


def test_the_store_names_bundles_by_their_path_below_checkpoints(tmp_path: Path) -> None:
    write(tmp_path / "checkpoints" / "b")
    write(tmp_path / "checkpoints" / "sd" / "a")
    (tmp_path / "checkpoints" / "empty").mkdir()
    store = ModelStore((tmp_path, tmp_path / "nowhere"))
    assert store.checkpoints() == [EMBEDDED_NAME, "b", "sd/a"]
    assert store.checkpoint("sd/a").root == tmp_path / "checkpoints" / "sd" / "a"


def test_a_missing_model_is_answered_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path / "checkpoints" / "dreamy")
    (tmp_path / "checkpoints" / "old.safetensors").write_bytes(b"")
    store = ModelStore((tmp_path,))
    assert "did you mean 'dreamy'?" in refusal(store, "dremy.safetensors")
    assert "onnxflow export" in refusal(store, "old.safetensors")
    assert str(tmp_path / "checkpoints") in refusal(store, "nothing like it")


@pytest.mark.parametrize("name", ["mine", "./mine", "sub/../mine", "mine.safetensors", "mine.CKPT", "mine.Sft"])
def test_saved_names_find_the_bundle(tmp_path: Path, name: str) -> None:
    write(tmp_path / "checkpoints" / "mine")
    store = ModelStore((tmp_path,))
    assert store.resolve(name) == "mine"
    assert store.checkpoint(name).root == tmp_path / "checkpoints" / "mine"


@pytest.mark.parametrize("name", ["sub/mine", "sub\\mine", "sub\\mine.safetensors", "sub/mine.ckpt"])
def test_saved_names_with_a_folder_find_the_bundle(tmp_path: Path, name: str) -> None:
    write(tmp_path / "checkpoints" / "sub" / "mine")
    assert ModelStore((tmp_path,)).resolve(name) == "sub/mine"


def test_an_exact_name_comes_before_one_without_its_suffix(tmp_path: Path) -> None:
    write(tmp_path / "two" / "checkpoints" / "a.ckpt")
    write(tmp_path / "one" / "checkpoints" / "a")
    store = ModelStore((tmp_path / "one", tmp_path / "two"))
    assert [store.resolve(name) for name in ("a", "a.ckpt", "a.ckpt.ckpt", "a.pt", "b", "")] == [
        *("a", "a.ckpt", "a.ckpt", "a"),
        *(None, None),
    ]


def test_the_embedded_model_is_found_by_its_name_and_with_a_suffix(tmp_path: Path) -> None:
    store = ModelStore()
    assert store.checkpoint(EMBEDDED_NAME).root == embedded_folder()
    assert store.checkpoint(f"{EMBEDDED_NAME}.safetensors").root == embedded_folder()
    mine = write(tmp_path / "checkpoints" / EMBEDDED_NAME)
    assert ModelStore((tmp_path,)).checkpoint(EMBEDDED_NAME).root == mine


@pytest.mark.parametrize("suffix", ["", *CHECKPOINT_SUFFIXES])
def test_nothing_outside_checkpoints_is_looked_up(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "models"
    (root / "checkpoints").mkdir(parents=True)
    write(tmp_path / f"secret{suffix}")
    asked: list[str] = []
    isfile = os.path.isfile
    monkeypatch.setattr(os.path, "isfile", lambda path: asked.append(os.fspath(path)) or isfile(path))
    store = ModelStore((root,))
    names = (f"../../secret{suffix}", f"{tmp_path}/secret{suffix}", f"a/../../../secret{suffix}", f"C:secret{suffix}")
    for name in (*names, f"..\\..\\secret{suffix}", f"secret\0{suffix}", f"\\\\host\\secret{suffix}"):
        assert store.resolve(name) is None
        found = refusal(store, name)
        assert "use one relative to checkpoints/" in found and "onnxflow export" not in found
    assert asked == []
    assert refusal(store, "a" * 5000 + suffix)


def test_linked_models_and_folders_are_found(tmp_path: Path) -> None:
    write(tmp_path / "disk2" / "sd" / "far")
    below = tmp_path / "models" / "checkpoints"
    write(below / "near")
    (below / "alias").symlink_to(tmp_path / "disk2" / "sd" / "far")
    (below / "linked").symlink_to(tmp_path / "disk2")
    store = ModelStore((tmp_path / "models",))
    assert store.checkpoints() == [EMBEDDED_NAME, "alias", "linked/sd/far", "near"]
    assert all(store.checkpoint(name).root == below / name for name in store.checkpoints()[1:])


def test_a_loop_of_links_ends_and_hides_nothing(tmp_path: Path) -> None:
    below = tmp_path / "checkpoints"
    write(below / "z" / "deep" / "model")
    (below / "a").symlink_to(below)
    (below / "b").symlink_to(below / "z" / "deep")
    (below / "z" / "up").symlink_to(below)
    (below / "self").symlink_to(below / "self")
    (below / "gone").symlink_to(tmp_path / "nowhere")
    store = ModelStore((tmp_path,))
    assert store.checkpoints() == [EMBEDDED_NAME, "z/deep/model"]
    assert store.resolve("b/model") == "b/model"


def test_a_folder_that_no_workflow_could_name_is_left_out(tmp_path: Path) -> None:
    for name in ("good", "a\\b", "con", "bytes\udcff"):
        write(tmp_path / "checkpoints" / name)
    assert ModelStore((tmp_path,)).checkpoints() == [EMBEDDED_NAME, "good"]
    shutil.rmtree(tmp_path / "checkpoints")
    assert ModelStore((tmp_path,)).checkpoints() == [EMBEDDED_NAME]


def test_the_first_root_wins(tmp_path: Path) -> None:
    for root in ("one", "two"):
        write(tmp_path / root / "checkpoints" / "same")
    store = ModelStore((tmp_path / "one", tmp_path / "two"))
    assert store.checkpoint("same").root.is_relative_to(tmp_path / "one")
