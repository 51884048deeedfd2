"""Bundles and the store: what is refused, by name."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxflow.errors import ModelError, OnnxflowError
from onnxflow.models.bundle import is_bundle, open_bundle, read_manifest
from onnxflow.models.manifest import LatentRgb

FILES = {"unet/model.onnx": b"graph", "text_encoder/token_embedding.npy": b"table"}


def manifest() -> dict[str, Any]:
    return {
        "format": 2, "name": "little", "family": "sd1", "license": "Apache-2.0",
        "image": {"width": 128, "height": 128},
        "latent": {"channels": 4, "factor": 8, "scale": 0.18215},
        "sampling": {
            "prediction": "eps", "schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
            "timesteps": 1000, "zero_snr": False,
        },
        "text": {
            "text_encoder": {
                "length": 77, "hidden": 8, "layers": 1, "skipped": 0, "vocab": 600, "bos": 1, "eos": 2, "pad": 2,
                "token_embedding": "text_encoder/token_embedding.npy",
                "tokenizer": {"vocab": "tokenizer/vocab.json", "merges": "tokenizer/merges.txt", "lowercase": True},
            },
        },
        "components": {
            "unet": {
                "variants": {"fp32": {
                        "file": "unet/model.onnx", "storage": "fp16", "relative_error": 1e-4, "allowed_error": 1e-2,
                    }},
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
    assert bundle.graph("unet", "fp32").path == tmp_path / "unet/model.onnx"
    assert bundle == open_bundle(tmp_path) and hash(bundle) == hash(open_bundle(tmp_path))


def test_the_identity_follows_the_manifest_and_what_the_disk_says_of_each_file(tmp_path: Path) -> None:
    first = open_bundle(write(tmp_path / "a"))
    shutil.copytree(tmp_path / "a", tmp_path / "kept")  # keeps the times, as cp -a
    kept = open_bundle(tmp_path / "kept")
    assert kept.identity == first.identity and kept != first
    assert kept.path("unet/model.onnx").is_relative_to(tmp_path / "kept")
    found = {first.identity}
    os.utime(tmp_path / "a" / "unet/model.onnx", ns=(0, 1))
    found.add(open_bundle(tmp_path / "a").identity)
    found.add(open_bundle(write(tmp_path / "kept", {**manifest(), "license": "MIT"})).identity)
    assert len(found) == 3


def with_variants(*names: str) -> dict[str, Any]:
    """The manifest with a unet in these variants, and a vae_encoder in fp32 only."""
    document = manifest()
    unet, files = document["components"]["unet"], document["files"]
    files |= {f"unet/{name}.onnx": files["unet/model.onnx"] for name in names}
    measured = {"relative_error": 1e-4, "allowed_error": 1e-2}
    variants = {name: {"file": f"unet/{name}.onnx", "storage": name, **measured} for name in names}
    document["components"] = {
        "unet": {**unet, "variants": variants},
        "vae_encoder": unet,
    }
    return document


def write_variants(folder: Path, *names: str) -> Path:
    write(folder, with_variants(*names))
    for name in names:
        (folder / f"unet/{name}.onnx").write_bytes(FILES["unet/model.onnx"])
    return folder


def test_a_component_is_run_in_the_preferred_variant_where_it_has_it(tmp_path: Path) -> None:
    write_variants(tmp_path, "int8", "fp32")
    plain, bundle = open_bundle(tmp_path), open_bundle(tmp_path, "int8")
    assert [plain.variant_of(name) for name in ("unet", "vae_encoder")] == ["fp32", "fp32"]
    assert [bundle.variant_of(name) for name in ("unet", "vae_encoder")] == ["int8", "fp32"]
    assert bundle.graph("unet", bundle.variant_of("unet")).path == tmp_path / "unet/int8.onnx"
    with pytest.raises(ModelError, match="did you mean 'unet'"):
        bundle.variant_of("une")


def test_variants_are_different_bundles_of_the_same_weights(tmp_path: Path) -> None:
    write_variants(tmp_path, "fp32", "int8")
    found = [open_bundle(tmp_path, variant) for variant in (None, "fp32", "int8")]
    assert len({bundle.identity for bundle in found}) == 1
    assert len(set(found)) == 3
    assert found[2] == open_bundle(tmp_path, "int8")


def test_a_variant_that_no_component_has_is_refused_by_naming_those_there_are(tmp_path: Path) -> None:
    write_variants(tmp_path, "fp32", "int8")
    with pytest.raises(ModelError, match="no variant 'q4'") as caught:
        open_bundle(tmp_path, "q4")
    assert "variants: fp32, int8" in caught.value.render()


@pytest.mark.parametrize(
    ("names", "default", "alternatives"),
    [
        (("fp32",), "fp32", ()),
        (("int8", "fp32"), "fp32", ("int8",)),
        (("int8", "fp16"), "int8", ("fp16",)),  # the vae_encoder has fp32, and that is its default
    ],
)
def test_without_fp32_the_first_variant_is_the_default(
    tmp_path: Path, names: tuple[str, ...], default: str, alternatives: tuple[str, ...]
) -> None:
    write_variants(tmp_path, *names)
    assert open_bundle(tmp_path).variant_of("unet") == default
    assert read_manifest(tmp_path).alternatives == alternatives


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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret", "leads out of the folder"),
        ("/etc/passwd", "is an absolute path"),
        ("C:x", "names a Windows drive"),
        ("a\0", "contains a NUL character"),
        ("\ud800", "half a surrogate pair"),
        ("a\\..\\b", "plain relative path"),
        ("./unet/model.onnx", "plain relative path"),
        ("", "plain relative path"),
    ],
)
def test_a_file_outside_the_folder_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    document = manifest()
    document["files"][name] = {"size": 1, "sha256": ""}
    found = refusal(write(tmp_path, document))
    assert "the manifest names the file" in found and reason in found


def test_files_may_be_links_as_download_tools_make_them(tmp_path: Path) -> None:
    write(tmp_path / "a")
    (tmp_path / "blob").write_bytes(FILES["unet/model.onnx"])
    (tmp_path / "a/unet/model.onnx").unlink()
    (tmp_path / "a/unet/model.onnx").symlink_to(tmp_path / "blob")
    assert open_bundle(tmp_path / "a").path("unet/model.onnx").read_bytes() == b"graph"


def changed(path: str, value: Any) -> dict[str, Any]:
    """The manifest with another value at ``path``, keys with dots between; ... removes it."""
    document = manifest()
    *above, last = path.split(".")
    place: Any = document
    for key in above:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def rgb(**entries: Any) -> dict[str, Any]:
    """The colours of four channels, with other ``entries``."""
    return {"factors": [[0.5, 0, -0.5]] * 4, "bias": [0, 0, 1], **entries}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("format", 1, "this version reads format 2"),
        ("format", None, "format is None, expected a whole number"),
        ("format", 1.0, "format is 1.0, expected a whole number"),
        ("name", 5, "name is 5, expected a text"),
        ("name", "a\x1b[2J", "expected a text without control characters"),
        ("latent", [], "the manifest's latent is [], expected an object"),
        ("latent", ..., "the manifest's latent is None, expected an object"),
        ("latent.channels", True, "latent.channels is True"),
        ("latent.channels", 0, "latent.channels is 0, expected a whole number from 1 to"),
        ("latent.factor", -8, "latent.factor is -8"),
        ("latent.factor", 10**400, "latent.factor is "),
        ("latent.scale", 0, "latent.scale is 0, expected a number from"),
        ("latent.scale", True, "latent.scale is True"),
        ("latent.scale", float("nan"), "latent.scale is nan"),
        ("latent.scale", float("inf"), "latent.scale is inf"),
        ("latent.scale", 10**400, "latent.scale is "),
        ("latent.rgb", None, "the manifest's latent.rgb is None, expected an object"),
        ("latent.rgb", {"factors": [[0, 0, 0]] * 4}, "latent.rgb.bias is None, expected a list of 3 numbers from"),
        ("latent.rgb", rgb(factors=[[0, 0, 0]] * 3), "expected 4 lists of 3 numbers from -1000 to 1000"),
        ("latent.rgb", rgb(factors=[[0, 0]] * 4), "latent.rgb.factors is [[0, 0], [0, 0], [0, 0], [0, 0]], expected"),
        ("latent.rgb", rgb(factors=5), "latent.rgb.factors is 5, expected"),
        ("latent.rgb", rgb(bias=[0, 0, True]), "latent.rgb.bias is [0, 0, True], expected"),
        ("latent.rgb", rgb(bias=[0, 0, float("nan")]), "latent.rgb.bias is [0, 0, nan], expected"),
        ("latent.rgb", rgb(bias=[0, 0, 1001]), "latent.rgb.bias is [0, 0, 1001], expected"),
        ("image.width", 0, "image.width is 0"),
        ("image.height", "128", "image.height is '128'"),
        ("sampling.beta_start", 0, "sampling.beta_start is 0, expected a number from"),
        ("sampling.beta_start", 0.5, "sampling.beta_start is 0.5, expected at most beta_end, which is 0.012"),
        ("sampling.beta_end", 1, "sampling.beta_end is 1"),
        ("sampling.timesteps", 1, "sampling.timesteps is 1, expected a whole number from 2"),
        ("sampling.timesteps", 10**9, "sampling.timesteps is 1000000000"),
        ("sampling.prediction", "epsilon", "this version knows eps, v"),
        ("sampling.schedule", "scaled-linear", "did you mean 'scaled_linear'"),
        ("family", "sd12", "did you mean 'sd2' or 'sd1'"),
        ("family", ["sd1"], "family is ['sd1'], expected a text"),
        ("sampling.zero_snr", 1, "sampling.zero_snr is 1, expected true or false"),
        ("text", {}, "text is {}, expected an object with at least 1"),
        ("text.text_encoder.skipped", 2, "text.text_encoder.skipped is 2"),
        ("text.text_encoder.length", 0, "text.text_encoder.length is 0"),
        ("text.text_encoder.hidden", -1, "text.text_encoder.hidden is -1"),
        ("text.text_encoder.vocab", 0, "text.text_encoder.vocab is 0"),
        ("text.text_encoder.eos", 600, "text.text_encoder.eos is 600, expected a whole number from 0 to 599"),
        (
            "text.text_encoder.tokenizer.lowercase",
            1,
            "text.text_encoder.tokenizer.lowercase is 1, expected true or false",
        ),
        ("components.unet.variants", {}, "components.unet.variants is {}, expected an object with at least 1"),
        ("components.unet.variants.fp32.relative_error", -1, "components.unet.variants.fp32.relative_error is -1"),
        ("components.unet.variants.fp32.allowed_error", None, "components.unet.variants.fp32.allowed_error is None"),
        ("components.unet.variants.fp32.file", 3, "components.unet.variants.fp32.file is 3"),
        ("components.unet.inputs", [], "components.unet.inputs is [], expected an object"),
        ("components.unet.inputs.sample", 5, "components.unet.inputs.sample is 5, expected a list"),
        ("components.unet.inputs.sample", "batch", "components.unet.inputs.sample is 'batch'"),
        ("components.unet.outputs.out_sample", ["batch", 0], "components.unet.outputs.out_sample is ['batch', 0]"),
        ("components.unet.outputs.out_sample", [None], "components.unet.outputs.out_sample is [None]"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, path: str, value: Any, words: str) -> None:
    found = refusal(write(tmp_path, changed(path, value)))
    assert words in found and str(tmp_path / "onnxflow.json") in found and len(found) < 1000


def test_a_bundle_may_say_the_colours_of_its_latents(tmp_path: Path) -> None:
    assert open_bundle(write(tmp_path)).latent.rgb is None
    found = open_bundle(write(tmp_path, changed("latent.rgb", rgb()))).latent.rgb
    assert found == LatentRgb(((0.5, 0.0, -0.5),) * 4, (0.0, 0.0, 1.0))


def test_a_component_has_the_contracts_names_unless_it_says_others(tmp_path: Path) -> None:
    assert open_bundle(write(tmp_path)).interface("unet") == "onnxflow"
    assert open_bundle(write(tmp_path, changed("components.unet.interface", "optimum"))).interface("unet") == "optimum"
    found = refusal(write(tmp_path, changed("components.unet.interface", "optimal")))
    assert "components.unet.interface is 'optimal', this version knows onnxflow, optimum" in found


def test_only_a_text_encoder_that_takes_ids_has_no_token_table(tmp_path: Path) -> None:
    document = changed("text.text_encoder.token_embedding", ...)
    assert "text.text_encoder.token_embedding is None, expected a text" in refusal(write(tmp_path, document))
    document["components"]["text_encoder"] = {**document["components"]["unet"], "interface": "optimum"}
    assert open_bundle(write(tmp_path, document)).text().token_embedding is None


def test_facts_of_newer_writers_are_ignored(tmp_path: Path) -> None:
    for path in ("notes", "latent.offset", "components.unet.variants.fp32.seconds", "sampling.shift"):
        assert open_bundle(write(tmp_path, changed(path, {"new": [1]}))).name == "little"


def test_a_huge_manifest_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "onnxflow.json", "wb") as file:
        file.truncate(10**12)
    assert "more than 4,194,304 bytes" in refusal(tmp_path)


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b"\xff"])
def test_a_manifest_that_is_no_json(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "onnxflow.json").write_bytes(data)
    assert "not JSON" in refusal(tmp_path)


def places(document: Any) -> list[tuple[dict[str, Any] | list[Any], Any]]:
    """Every entry of every object and list of the document, as the container and the key."""
    if not isinstance(document, (dict, list)):
        return []
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    return [place for key in keys for place in [(document, key), *places(document[key])]]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([10**400, -(10**400), 2**63, 0, "..", "a\0", "sd1"])
)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=2) | st.dictionaries(st.text(), v, max_size=2))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_manifest_is_read_or_refused(data: st.DataObject) -> None:
    document = manifest()
    for _ in range(data.draw(st.integers(1, 2))):
        found = places(document)
        container, key = found[data.draw(st.integers(0, len(found) - 1))]
        if isinstance(container, dict) and data.draw(st.booleans()):
            value = container.pop(key)
            if data.draw(st.booleans()):
                container[data.draw(st.text() | st.just("a\0"))] = value
        else:
            container[key] = data.draw(VALUES)
    with tempfile.TemporaryDirectory() as folder:
        try:
            open_bundle(write(Path(folder), document))
        except OnnxflowError as error:
            assert folder in error.render() and len(error.render()) < 2000
