"""Folders as Optimum and Diffusers' old converter write them: the runtime draws with them what it draws with our own
export of the same model."""

# ruff: noqa: E402
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from families import KINDS, write_folder
from optimum_shape import write_onnx_folder
from pictures import drawn, far, img2img, txt2img

from onnxflow.engine.verify import check_files
from onnxflow.errors import ModelError, ProviderError
from onnxflow.export.bundle import export_bundle
from onnxflow.models.bundle import open_bundle
from onnxflow.models.store import ModelStore


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of models by kind: the pipeline as it is, our export of it, and it in Optimum's shape."""

    @cache
    def written(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        write_folder(KINDS[kind], folder / "source")
        export_bundle(folder / "source", folder / "checkpoints" / "own")
        write_onnx_folder(folder / "source", folder / "checkpoints" / "optimum")
        return folder

    return written


@pytest.fixture(scope="module")
def sd1(folders: Callable[[str], Path]) -> Path:
    """Stable Diffusion 1.x, also in half precision and from Diffusers' old converter."""
    folder = folders("sd1")
    write_onnx_folder(folder / "source", folder / "checkpoints" / "half", half=True)
    write_onnx_folder(folder / "source", folder / "checkpoints" / "old", old=True)
    return folder


@pytest.mark.parametrize("name", ["sd1", "sd2-v", "sdxl"])
def test_it_draws_what_our_own_export_draws(folders: Callable[[str], Path], name: str, tmp_path: Path) -> None:
    folder = folders(name)
    own, foreign = (open_bundle(folder / "checkpoints" / which).manifest for which in ("own", "optimum"))
    assert foreign.foreign and not own.foreign
    assert foreign.family == KINDS[name].family
    assert (foreign.sampling, foreign.latent, foreign.width) == (own.sampling, own.latent, own.width)
    for component, text in foreign.texts.items():
        ours = own.texts[component]
        assert replace(ours, token_embedding=None) == text
    for document in (txt2img, img2img):
        pictures = [drawn(document(which), folder, tmp_path) for which in ("own", "optimum")]
        assert pictures[0].std() > 10
        assert far(*pictures) < 1e-3


@pytest.mark.parametrize("which", ["half", "old"])
def test_half_precision_and_the_old_converter(sd1: Path, tmp_path: Path, which: str) -> None:
    assert open_bundle(sd1 / "checkpoints" / which).manifest.variants == ("fp16" if which == "half" else "fp32",)
    pictures = [drawn(txt2img(name), sd1, tmp_path) for name in ("own", which)]
    assert far(*pictures) < 1e-3


def test_a_vae_encoder_that_draws_its_latent_is_refused_with_a_reason(sd1: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a seed would not give the same picture again") as caught:
        drawn(img2img("old"), sd1, tmp_path)
    assert "onnxflow export" in caught.value.hint


def test_a_size_that_its_graph_cannot_draw_is_answered_with_those_it_can(sd1: Path, tmp_path: Path) -> None:
    with pytest.raises(ProviderError) as caught:
        drawn(txt2img("optimum", 72, 64), sd1, tmp_path)
    assert "sizes that 64 pixels divide, this is 72 x 64" in caught.value.hint


def test_the_store_lists_it_and_verify_says_that_it_cannot(sd1: Path) -> None:
    assert set(ModelStore((sd1,)).checkpoints()) >= {"optimum", "half", "old"}
    with pytest.raises(ModelError, match="an Optimum or Diffusers folder"):
        check_files(open_bundle(sd1 / "checkpoints" / "optimum"))


def test_the_shapes_are_those_that_the_onnx_library_reads(sd1: Path) -> None:
    import onnx

    for part, component in open_bundle(sd1 / "checkpoints" / "half").manifest.components.items():
        graph = onnx.load(str(sd1 / "checkpoints" / "half" / part / "model.onnx")).graph
        for shapes, values in ((component.inputs, graph.input), (component.outputs, graph.output)):
            assert list(shapes) == [value.name for value in values]
            for value in values:
                dims = value.type.tensor_type.shape.dim
                assert shapes[value.name] == tuple(dim.dim_value or dim.dim_param for dim in dims)
    assert np.isnan(component.variants["fp16"].error)
