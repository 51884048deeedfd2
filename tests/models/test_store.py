"""The store: names of models on the disk, and what is never looked up there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from onnxflow.errors import ModelError
from onnxflow.models.folders import ExtraPaths
from onnxflow.models.listing import CHECKPOINT_SUFFIXES, SAFE_SUFFIXES
from onnxflow.models.store import EMBEDDED_NAME, ModelStore, embedded_folder, renamed

EMBEDDED = ModelStore().checkpoints()


def write(folder: Path, *further: str) -> Path:
    """A bundle without files: the embedded model's manifest with no files, in fp32 and the unet in further variants."""
    folder.mkdir(parents=True, exist_ok=True)
    document = json.loads((embedded_folder() / "onnxflow.json").read_text("utf-8"))
    for name, component in document["components"].items():
        variants = ("fp32", *further) if name == "unet" else ("fp32",)
        measured = {"storage": "fp16", "relative_error": 1e-4, "allowed_error": 1e-2}
        component["variants"] = {v: {"file": f"{name}/{v}.onnx", **measured} for v in variants}
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
    assert store.checkpoints() == [*EMBEDDED, "b", "sd/a"]
    assert store.checkpoint("sd/a").root == tmp_path / "checkpoints" / "sd" / "a"


def test_a_missing_model_is_answered_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path / "checkpoints" / "dreamy")
    (tmp_path / "checkpoints" / "old.safetensors").write_bytes(b"")
    store = ModelStore((tmp_path,))
    assert "did you mean 'dreamy'?" in refusal(store, "dremy.safetensors")
    assert "it has 0 bytes" in refusal(store, "old.safetensors")
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


def test_variants_are_listed_after_their_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = write(tmp_path / "tiny", "int8", "q4")
    monkeypatch.setattr("onnxflow.models.store.embedded_folder", lambda: embedded)
    write(tmp_path / "checkpoints" / "a", "int8", "no\\name")
    write(tmp_path / "checkpoints" / "a@int8")
    write(tmp_path / "checkpoints" / "b")
    (write(tmp_path / "checkpoints" / "damaged", "int8") / "onnxflow.json").write_text("{")
    names = [EMBEDDED_NAME, f"{EMBEDDED_NAME}@int8", f"{EMBEDDED_NAME}@q4"]
    assert ModelStore().checkpoints() == names
    assert ModelStore((tmp_path,)).checkpoints() == [*names, "a", "a@int8", "b", "damaged"]


@pytest.mark.parametrize("name", ["mine@int8", "./mine@int8", "mine.safetensors@int8", "mine.CKPT@int8"])
def test_a_name_with_a_variant_finds_the_bundle_in_it(tmp_path: Path, name: str) -> None:
    write(tmp_path / "checkpoints" / "mine", "int8")
    store = ModelStore((tmp_path,))
    assert store.resolve(name) == "mine@int8"
    found = store.checkpoint(name)
    assert (found.root, found.preferred) == (tmp_path / "checkpoints" / "mine", "int8")
    assert (found.variant_of("unet"), found.variant_of("vae_encoder")) == ("int8", "fp32")
    assert store.checkpoint("mine@fp32").variant_of("unet") == "fp32"


def test_a_bundle_of_just_that_name_comes_before_a_variant(tmp_path: Path) -> None:
    write(tmp_path / "checkpoints" / "mine", "int8")
    literal = write(tmp_path / "checkpoints" / "mine@int8")
    found = ModelStore((tmp_path,)).checkpoint("mine@int8")
    assert (found.root, found.preferred) == (literal, None)


def test_an_unknown_variant_is_answered_with_those_there_are(tmp_path: Path) -> None:
    write(tmp_path / "checkpoints" / "mine", "int8")
    store = ModelStore((tmp_path,))
    for name in ("mine@int4", "mine.safetensors@int4", "mine@"):
        assert store.resolve(name) is None
        assert "the model 'mine' has no variant" in refusal(store, name)
        assert "variants: fp32, int8" in refusal(store, name)
    assert "did you mean 'mine@int8'" in refusal(store, "mien@int8")
    assert len(refusal(store, "mine@" + "q" * 5000)) < 500
    (tmp_path / "checkpoints" / "raw.safetensors").write_bytes(b"")
    assert "'raw.safetensors' is a checkpoint file, which runs in fp32" in refusal(store, "raw.safetensors@int8")
    (tmp_path / "checkpoints" / "mine" / "onnxflow.json").write_text("{")
    assert "the variants of 'mine' are not known: the manifest is not JSON" in refusal(store, "mine@int8")


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
    assert store.checkpoints() == [*EMBEDDED, "alias", "linked/sd/far", "near"]
    assert all(store.checkpoint(name).root == below / name for name in store.checkpoints()[len(EMBEDDED) :])


def test_a_loop_of_links_ends_and_hides_nothing(tmp_path: Path) -> None:
    below = tmp_path / "checkpoints"
    write(below / "z" / "deep" / "model")
    (below / "a").symlink_to(below)
    (below / "b").symlink_to(below / "z" / "deep")
    (below / "z" / "up").symlink_to(below)
    (below / "self").symlink_to(below / "self")
    (below / "gone").symlink_to(tmp_path / "nowhere")
    store = ModelStore((tmp_path,))
    assert store.checkpoints() == [*EMBEDDED, "z/deep/model"]
    assert store.resolve("b/model") == "b/model"


def test_a_folder_that_no_workflow_could_name_is_left_out(tmp_path: Path) -> None:
    for name in ("good", "a\\b", "con", "bytes\udcff"):
        write(tmp_path / "checkpoints" / name)
    assert ModelStore((tmp_path,)).checkpoints() == [*EMBEDDED, "good"]
    shutil.rmtree(tmp_path / "checkpoints")
    assert ModelStore((tmp_path,)).checkpoints() == EMBEDDED


def test_the_first_root_wins(tmp_path: Path) -> None:
    for root in ("one", "two"):
        write(tmp_path / root / "checkpoints" / "same")
    store = ModelStore((tmp_path / "one", tmp_path / "two"))
    assert store.checkpoint("same").root.is_relative_to(tmp_path / "one")


@pytest.mark.parametrize("suffix", sorted({*CHECKPOINT_SUFFIXES} - {*SAFE_SUFFIXES}))
def test_a_pickle_is_refused_with_the_reason_and_the_way_out(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / f"old{suffix}").write_bytes(b"")
    store = ModelStore((tmp_path,))
    told = refusal(store, f"old{suffix}")
    assert f"old{suffix} is a pickle" in told and "can run code" in told and ".safetensors" in told
    write(folder / "old")  # exported since
    assert store.resolve(f"old{suffix}") == "old"


NAMES = [
    "SD1.5\\Foo.safetensors",
    "sd1.5/foo.ckpt",
    "SD1.5/foo",
    "foo.safetensors",
    "FOO.ckpt",
    "elsewhere/foo.safetensors",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_old_workflow_s_name_finds_the_only_file_that_it_may_mean(tmp_path: Path, name: str) -> None:
    file = tmp_path / "checkpoints" / "sd1.5" / "Foo.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    store = ModelStore((tmp_path,))
    assert store.resolve(name) == "sd1.5/Foo.safetensors"
    assert store.names("checkpoints") == ["sd1.5/Foo.safetensors"]
    (file.parent.parent / "other").mkdir()
    (file.parent.parent / "other" / "foo.safetensors").write_bytes(b"")
    if name.lower().startswith("sd1.5"):
        assert store.resolve(name) == "sd1.5/Foo.safetensors"
    else:
        assert store.resolve(name) is None
        assert "it may be any of other/foo.safetensors, sd1.5/Foo.safetensors" in refusal(store, name)


def test_a_stem_without_a_folder_is_no_file_s_name(tmp_path: Path) -> None:
    write(tmp_path / "checkpoints" / "sub" / "mine")
    assert ModelStore((tmp_path,)).resolve("mine") is None


def test_a_renamed_model_is_another(tmp_path: Path) -> None:
    write(tmp_path / "checkpoints" / "mine", "int8")
    store = ModelStore((tmp_path,), renamed=renamed({"SD\\v1-5.ckpt": "mine@int8", "onnxflow-tiny": "mine"}))
    assert store.resolve("sd/V1-5.ckpt") == "mine@int8"
    assert store.resolve("onnxflow-tiny") == "mine"
    assert store.resolve("v1-5.ckpt") is None


def test_extra_folders_are_searched_before_the_roots_and_after(tmp_path: Path) -> None:
    for place in ("first", "last"):
        write(tmp_path / place / "mine")
        write(tmp_path / place / place)
    write(tmp_path / "root" / "checkpoints" / "mine")
    before, after = (ExtraPaths(**{at: {"checkpoints": (tmp_path / at,)}}) for at in ("first", "last"))
    roots = (tmp_path / "root",)
    assert ModelStore(roots, before).checkpoint("mine").root == tmp_path / "first" / "mine"
    assert ModelStore(roots, after).checkpoint("mine").root == tmp_path / "root" / "checkpoints" / "mine"
    assert ModelStore(roots, after).resolve("last") == "last"


def test_hidden_folders_hold_no_models(tmp_path: Path) -> None:
    write(tmp_path / "checkpoints" / "mine")
    for hidden in (".mine.part/files", ".mine.old", "sd/.mine.77.removed"):
        write(tmp_path / "checkpoints" / hidden)
    store = ModelStore((tmp_path,))
    assert [entry.name for entry in store.entries()] == [EMBEDDED_NAME, "mine"]
    assert store.resolve(".mine.old") is store.resolve(".mine.part/files") is None


def test_a_whole_model_s_folder_serves_where_a_part_of_one_is_asked_for(tmp_path: Path) -> None:
    for kind in ("vae", "unet", "clip"):
        write(tmp_path / kind / "mine")
    store = ModelStore((tmp_path,))
    for load, kind in ((store.vae, "vae"), (store.unet, "unet"), (store.clip, "clip")):
        assert load("mine").root == tmp_path / kind / "mine"
    with pytest.raises(ModelError, match="'mine' is a whole model") as caught:
        store.clip("mine", "mine")
    assert caught.value.hint


def test_a_variant_that_a_small_network_alone_has_is_none_of_the_model(tmp_path: Path) -> None:
    folder = write(tmp_path / "checkpoints" / "mine", "int8")
    document = json.loads((folder / "onnxflow.json").read_text("utf-8"))
    del document["components"]["unet"]["variants"]["fp32"]
    (folder / "onnxflow.json").write_text(json.dumps(document))
    store = ModelStore((tmp_path,))
    assert store.resolve("mine@int8") == "mine@int8"
    assert store.resolve("mine@fp32") is None and "has no variant 'fp32'; variants: int8" in refusal(store, "mine@fp32")


def test_a_mapping_to_what_is_not_there_is_said(tmp_path: Path) -> None:
    said = refusal(ModelStore((tmp_path,), renamed=renamed({"old": "new"})), "old")
    assert "--map-model takes 'new' for it, which is not there" in said
    assert "checkpoints, which is not there" in said


def test_letters_of_one_piece_or_several_are_the_same(tmp_path: Path) -> None:
    write(tmp_path / "checkpoints" / "u\u0308ber")
    assert ModelStore((tmp_path,)).resolve("\u00fcber.safetensors") == "u\u0308ber"


def test_a_whole_model_stands_in_for_a_file_where_that_is_said(tmp_path: Path) -> None:
    write(tmp_path / "checkpoints" / "mine")
    names = {"some-vae.safetensors": EMBEDDED_NAME, "some-unet.safetensors": "mine"}
    store = ModelStore((tmp_path,), renamed=renamed(names))
    assert store.vae("some-vae.safetensors").root == embedded_folder()
    assert store.unet("some-unet.safetensors").root == tmp_path / "checkpoints" / "mine"
    with pytest.raises(ModelError):
        store.vae("mine")
