"""Bundles and the store: what is refused, by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import ModelError, OnnxflowError
from onnxflow.models.bundle import is_bundle, open_bundle
from onnxflow.models.manifest import parse_manifest
from onnxflow.models.store import EMBEDDED_NAME, ModelStore

FILES = {"unet/model.onnx": b"graph", "text_encoder/token_embedding.npy": b"table"}


def manifest() -> dict[str, Any]:
    return {
        "format": 1, "name": "little", "family": "sd1", "license": "Apache-2.0",
        "image": {"width": 128, "height": 128},
        "latent": {"channels": 4, "factor": 8, "scale": 0.18215},
        "sampling": {
            "prediction": "eps", "schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
            "timesteps": 1000,
        },
        "text": {
            "length": 77, "hidden": 8, "layers": 1, "vocab": 600, "bos": 1, "eos": 2, "pad": 2,
            "token_embedding": "text_encoder/token_embedding.npy",
        },
        "tokenizer": {"vocab": "tokenizer/vocab.json", "merges": "tokenizer/merges.txt", "lowercase": True},
        "components": {
            "unet": {
                "variants": {"fp32": {"file": "unet/model.onnx", "storage": "fp16"}},
                "inputs": {"sample": ["batch", 4, "height", "width"]},
                "outputs": {"out_sample": ["batch", 4, "height", "width"]},
            }
        },
        "files": {n: {"size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in FILES.items()},
    }  # fmt: skip


def write(folder: Path, document: Any = None) -> Path:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "onnxflow.json").write_text(json.dumps(manifest() if document is None else document))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        open_bundle(folder)
    return caught.value.render()


def test_a_bundle_says_what_it_holds(tmp_path: Path) -> None:
    bundle = open_bundle(write(tmp_path))
    assert is_bundle(tmp_path) and bundle.name == "little" and bundle.latent.scale == 0.18215
    assert bundle.graph("unet", "fp32") == tmp_path / "unet/model.onnx"
    assert bundle.identity == hashlib.sha256((tmp_path / "onnxflow.json").read_bytes()).hexdigest()
    assert bundle == open_bundle(tmp_path) and hash(bundle) == hash(open_bundle(tmp_path))


def test_what_it_does_not_hold_is_named(tmp_path: Path) -> None:
    bundle = open_bundle(write(tmp_path))
    for ask, words in (
        (lambda: bundle.graph("une", "fp32"), "did you mean 'unet'"),
        (lambda: bundle.graph("unet", "int8"), "variants: fp32"),
        (lambda: bundle.path("x.onnx"), "no file 'x.onnx'"),
    ):
        with pytest.raises(ModelError) as caught:
            ask()
        assert words in caught.value.render()


def test_a_missing_or_truncated_file_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "unet/model.onnx").write_bytes(b"gra")
    assert "unet/model.onnx has 3 bytes, the manifest says 5" in refusal(tmp_path)
    (tmp_path / "unet/model.onnx").unlink()
    assert "unet/model.onnx is missing" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a\\..\\b", "C:x"])
def test_a_file_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    document = manifest()
    document["files"][name] = {"size": 1, "sha256": ""}
    assert "leaves the model's folder" in refusal(write(tmp_path, document))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "this version reads format 1"),
        ({"format": None}, "format is None, expected int"),
        ({"name": 5}, "name is 5, expected str"),
        ({"latent": []}, "latent. is not an object"),
        ({"latent": {"channels": True, "factor": 8, "scale": 1}}, "latent.channels is True"),
        ({"components": {"unet": {"variants": {"fp32": {"file": 3}}}}}, "components.unet.variants.fp32.file is 3"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    assert words in refusal(write(tmp_path, {**manifest(), **change}))


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b"\xff"])
def test_a_manifest_that_is_no_json(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "onnxflow.json").write_bytes(data)
    assert "not JSON" in refusal(tmp_path)


@given(st.data())
def test_any_manifest_is_read_or_refused(data: st.DataObject) -> None:
    document = manifest()
    section = data.draw(st.sampled_from(list(document)))
    document[section] = data.draw(
        st.none()
        | st.integers()
        | st.text()
        | st.lists(st.text())
        | st.dictionaries(st.text(), st.none() | st.lists(st.none()))
    )
    try:
        parse_manifest(json.dumps(document).encode(), "here")
    except OnnxflowError as error:
        assert "here" in error.render()


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
    with pytest.raises(ModelError) as caught:
        store.checkpoint("dremy.safetensors")
    assert "did you mean 'dreamy'?" in caught.value.render()
    with pytest.raises(ModelError) as caught:
        store.checkpoint("old.safetensors")
    assert "onnxflow export" in caught.value.render()
    with pytest.raises(ModelError) as caught:
        store.checkpoint("../../old.safetensors")
    assert "onnxflow export" not in caught.value.render()


def test_the_first_root_wins(tmp_path: Path) -> None:
    for root in ("one", "two"):
        write(tmp_path / root / "checkpoints" / "same")
    store = ModelStore((tmp_path / "one", tmp_path / "two"))
    assert store.checkpoint("same").root.is_relative_to(tmp_path / "one")
