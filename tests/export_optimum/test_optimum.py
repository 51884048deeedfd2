"""What Hugging Face Optimum itself exports, with its own command's function and with our engine: the runtime draws with
both, and the same. (tests/export/test_foreign.py compares folders of this shape with our own export.)"""

# ruff: noqa: E402
import json
import re
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
exporter = pytest.importorskip("optimum.exporters.onnx")

from families import KINDS, write_folder
from pictures import drawn, img2img, txt2img
from safetensors.torch import load_file, save_file

from onnxflow.cancel import CancelToken
from onnxflow.cli.main import main
from onnxflow.engine.verify import check_files, verdicts
from onnxflow.errors import ModelError, ProviderError, UsageError
from onnxflow.export import optimum_bundle
from onnxflow.export.lock import alone
from onnxflow.export.optimum_bundle import check_options, export_with_optimum
from onnxflow.models.bundle import open_bundle

FAMILIES = ("sd1", "lcm", "sd2-v", "sdxl", "sdxl-refiner")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of models by kind: what Optimum's function writes, and a bundle of our engine."""

    @cache
    def written(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        write_folder(KINDS[kind], folder / "source")
        exporter.main_export(
            str(folder / "source"), str(folder / "checkpoints" / "plain"), task="text-to-image",
            library_name="diffusers", local_files_only=True, do_validation=False,
        )  # fmt: skip
        export_with_optimum(folder / "source", folder / "checkpoints" / "engine")
        return folder

    return written


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_runtime_draws_the_same_with_both(folders: Callable[[str], Path], kind: str, tmp_path: Path) -> None:
    folder = folders(kind)
    bundles = [open_bundle(folder / "checkpoints" / name) for name in ("plain", "engine")]
    assert [bundle.manifest.foreign for bundle in bundles] == [True, False]
    assert {bundle.manifest.family for bundle in bundles} == {KINDS[kind].family}
    assert all(bundle.interface("unet") == "optimum" for bundle in bundles)
    for document in (txt2img, img2img):
        pictures = [drawn(document(name), folder, tmp_path) for name in ("plain", "engine")]
        assert pictures[0].std() > 10
        assert np.array_equal(*pictures)


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_graph_of_a_bundle_computes_what_pytorch_computes(folders: Callable[[str], Path], kind: str) -> None:
    bundle = open_bundle(folders(kind) / "checkpoints" / "engine")
    check_files(bundle)
    found = list(verdicts(bundle, CancelToken()))
    assert {verdict.component for verdict in found} == {*KINDS[kind].encoders, "unet", "vae_encoder", "vae_decoder"}
    assert all(verdict.error < 1e-5 and verdict.at_export > 0 for verdict in found)


def test_the_manifest_says_whose_graphs_these_are(folders: Callable[[str], Path]) -> None:
    bundle = folders("sd1") / "checkpoints" / "engine"
    document = json.loads((bundle / "onnxflow.json").read_text())
    assert {"torch", "optimum", "optimum-onnx", "onnxruntime"} <= set(document["tools"])
    assert re.fullmatch("[0-9a-f]{64}", document["source"])
    assert "token_embedding" not in document["text"]["text_encoder"]
    assert sorted(path.name for path in bundle.iterdir()) == [
        "onnxflow.json", "reference", "text_encoder", "tokenizer", "unet", "vae_decoder", "vae_encoder",
    ]  # fmt: skip
    assert {path.name for path in bundle.glob("*/*.json")} == {"vocab.json"}


def test_a_size_that_its_graph_cannot_draw_is_answered_with_those_it_can(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(ProviderError) as caught:
        drawn(txt2img("engine", 72, 64), folders("sd1"), tmp_path)
    assert "sizes that 64 pixels divide" in caught.value.hint


def test_the_command_exports_with_it(
    folders: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = str(folders("sd1") / "source")
    command = ["onnxflow", "export", source, "-o", str(tmp_path / "bundle")]
    monkeypatch.setattr(sys, "argv", [*command, "--engine", "optimum"])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == str(tmp_path / "bundle")
    assert re.search(r"unet +fp32 .* 1e-04 .* ok", said.err)
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "--engine torch does not work with Transformers 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((["fp16"], "fp32", False), "exports fp32 only, not fp16"),
        ((["fp32", "int8"], "fp32", False), "exports fp32 only, not fp32, int8"),
        (([], "fp32", False), "exports fp32 only, not nothing"),
        ((["fp32"], "fp16", False), "stores weights in fp32 only, not 'fp16'"),
        ((["fp32"], "fp32", True), "cannot --resume"),
    ],
)
def test_what_it_does_not_do_is_refused(options: tuple[list[str], str, bool], words: str) -> None:
    precisions, storage, resume = options
    with pytest.raises(UsageError) as caught:
        check_options(precisions, storage, None, resume=resume)
    assert words in caught.value.message and caught.value.hint


def test_a_checkpoint_in_one_file_is_for_the_other_engine(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="exports Diffusers folders only") as caught:
        export_with_optimum(tmp_path / "model.safetensors", tmp_path / "bundle")
    assert "--engine torch" in caught.value.hint


def test_weights_that_optimum_would_make_up_are_refused(folders: Callable[[str], Path], tmp_path: Path) -> None:
    source = Path(shutil.copytree(folders("sd1") / "source", tmp_path / "source"))
    path = source / "text_encoder" / "model.safetensors"
    weights = load_file(path)
    save_file({name.removeprefix("text_model."): value for name, value in weights.items()}, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"text_encoder lacks \d+ of its weights") as caught:
        export_with_optimum(source, tmp_path / "bundle")
    assert "Transformers 5" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_failed_export_leaves_nothing_and_keeps_the_old_bundle(
    folders: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, bundle = folders("sd1") / "source", tmp_path / "bundle"
    shutil.copytree(folders("sd1") / "checkpoints" / "engine", bundle)
    before = open_bundle(bundle).identity

    def fail(*given: object, **options: object) -> None:
        raise RuntimeError("no such task\nand more")

    def take(*given: object, **options: object) -> None:
        shutil.copytree(folders("sd1") / "checkpoints" / "plain", str(given[1]))

    monkeypatch.setattr(exporter, "main_export", fail)
    with pytest.raises(ModelError, match="Optimum cannot export the model: no such task"):
        export_with_optimum(source, bundle)
    monkeypatch.setattr(exporter, "main_export", take)
    monkeypatch.setattr(optimum_bundle, "compare", lambda *given: (0.5, 0.1))
    with pytest.raises(ModelError, match=r"that Optimum made differs from torch by 5.0e-01, fp32 may by 1e-04"):
        export_with_optimum(source, bundle)
    assert open_bundle(bundle).identity == before
    assert not any(one.right for one in export_with_optimum(source, bundle, force=True))
    assert open_bundle(bundle).manifest.components["unet"].variants["fp32"].error == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_both_engines_hold_the_name_of_their_bundle(folders: Callable[[str], Path], tmp_path: Path) -> None:
    source = folders("sd1")
    with alone(tmp_path / "bundle"), pytest.raises(UsageError, match="another export writes this bundle"):
        export_with_optimum(source, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())
