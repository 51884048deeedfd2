"""Previews: the published colours of latents, the size of the pictures, and that none is drawn unasked."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from fakes import FakeLoader, disk_at, workflow
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from onnxflow.engine.events import Event
from onnxflow.engine.run import run_workflow
from onnxflow.models.bundle import Bundle, open_bundle
from onnxflow.models.manifest import FAMILIES, LatentFormat, LatentRgb
from onnxflow.models.store import embedded_folder
from onnxflow.nodes import preview
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.nodes.preview import FAMILY_RGB, draw, latent_rgb, preview_of, to_rgb
from onnxflow.providers.session import SessionCache
from onnxflow.sampling import SAMPLERS
from onnxflow.values import Model, Preview

GREY = LatentRgb(((0.0, 0.0, 0.0),) * 4)
FIRST_IS_RED = LatentRgb(((1.0, 0.0, 0.0), *((0.0, 0.0, 0.0),) * 3), (0.0, -1.0, -1.0))


def one_cell(*channels: float) -> np.ndarray:
    return np.array(channels, np.float32)[:, None, None]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_colours(family: str) -> None:
    assert latent_rgb(family, LatentFormat(4, 8, 1.0)) is FAMILY_RGB[family]


def test_the_colours_are_the_published_ones() -> None:
    # Stable Diffusion 1.4: row by row, in -1..1. SDXL: in 0..255, as its author gives them.
    rows = ((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473))
    for channel, row in enumerate(rows):
        latent = one_cell(*np.eye(4)[channel])
        assert to_rgb(latent, FAMILY_RGB["sd1"])[0, 0].tolist() == [round(127.5 * (value + 1)) for value in row]
    columns = np.array([[60, -60, 25, -70], [60, -5, 15, -50], [60, 10, -5, -35]])
    for latent_channels in (np.zeros(4), *np.eye(4)):
        found = to_rgb(one_cell(*latent_channels), FAMILY_RGB["sdxl"])[0, 0]
        assert found.tolist() == (columns @ latent_channels + [150, 140, 130]).tolist()


def test_a_bundles_own_colours_win_over_its_familys() -> None:
    assert latent_rgb("sd1", LatentFormat(4, 8, 1.0, GREY)) is GREY


def test_a_family_or_a_number_of_channels_without_colours_has_no_preview() -> None:
    assert latent_rgb("sd9", LatentFormat(4, 8, 1.0)) is None
    assert latent_rgb("sd1", LatentFormat(16, 8, 1.0)) is None
    assert draw(np.zeros((1, 16, 8, 8), np.float32), None, 8) is None


@given(arrays.arrays(np.float32, (4, 2, 3), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_any_latent_is_a_picture(latent: np.ndarray) -> None:
    found = to_rgb(latent, FIRST_IS_RED)
    assert found.shape == (2, 3, 3) and found.dtype == np.uint8
    assert (found[..., 1:] == 0).all()
    assert (found[latent[0] >= 1, 0] == 255).all() and (found[latent[0] <= -1, 0] == 0).all()


@pytest.mark.parametrize(
    ("cells", "pixels"),
    [((16, 16), (128, 128)), ((64, 64), (512, 512)), ((128, 96), (512, 384)), ((1, 3), (8, 24)), ((1, 2000), (1, 512))],
)
def test_a_preview_is_as_large_as_the_picture_up_to_512(cells: tuple[int, int], pixels: tuple[int, int]) -> None:
    found = draw(np.zeros((1, 4, *cells), np.float32), GREY, 8)
    assert found is not None and (found.height, found.width, found.format) == (*pixels, "JPEG")
    with PIL.Image.open(io.BytesIO(found.data)) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", pixels[::-1])


def test_it_shows_the_first_of_the_batch() -> None:
    latents = np.zeros((2, 4, 8, 8), np.float32)
    latents[0, 0, :, :4] = 1  # red on the left, black-red on the right
    latents[1, 0] = -1
    found = draw(latents, FIRST_IS_RED, 8)
    assert found is not None
    with PIL.Image.open(io.BytesIO(found.data)) as picture:
        red = np.asarray(picture)[..., 0]
    assert red[:, :16].min() > 240 and 110 < red[:, 48:].min() <= red[:, 48:].max() < 145


def tiny() -> Bundle:
    return open_bundle(embedded_folder())


def never(*arguments: Any) -> Any:
    raise AssertionError("a preview was drawn that nobody asked for")


def test_nothing_is_computed_before_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "to_rgb", never)
    drawn = preview_of(Model(tiny()), np.zeros((1, 4, 8, 8), np.float32))
    with pytest.raises(AssertionError, match="nobody asked for"):
        drawn()


def test_a_model_of_unknown_colours_gives_none() -> None:
    source = tiny()
    manifest = replace(source.manifest, family="sd9", latent=replace(source.latent, rgb=None))
    assert preview_of(Model(replace(source, manifest=manifest)), np.zeros((1, 4, 8, 8), np.float32))() is None


def sampled(folder: Path, listener: Callable[[Event], None] | None, sampler: str = "euler") -> None:
    """Two pictures of the embedded model's nodes, over networks that are Python functions."""
    conditions = {name: ("CLIPTextEncode", {"text": name, "clip": ("m", 1)}) for name in ("positive", "negative")}
    graph = workflow(
        m=("CheckpointLoaderSimple", {"ckpt_name": "onnxflow-tiny"}),
        **conditions,
        l=("EmptyLatentImage", {"width": 64, "height": 32, "batch_size": 2}),
        k=(
            "KSampler",
            {
                "model": ("m", 0), "seed": 1, "steps": 3, "cfg": 2.0, "sampler_name": sampler, "scheduler": "normal",
                "positive": ("positive", 0), "negative": ("negative", 0), "latent_image": ("l", 0), "denoise": 1.0,
            },
        ),
        d=("VAEDecode", {"samples": ("k", 0), "vae": ("m", 2)}),
        s=("SaveImage", {"images": ("d", 0), "filename_prefix": "x"}),
    )  # fmt: skip
    listeners = () if listener is None else (listener,)
    run_workflow(graph, builtin_catalog(), disk_at(folder), SessionCache(FakeLoader()), listeners=listeners)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_step_has_a_preview_which_stays_what_it_was(tmp_path: Path, sampler: str) -> None:
    at_once: list[tuple[int, Preview]] = []
    kept: list[Callable[[], Preview]] = []

    def listen(event: Event) -> None:
        if event.preview is not None:
            assert event.type == "progress" and event.data["node"] == "k"
            at_once.append((event.data["value"], event.preview()))
            kept.append(event.preview)

    sampled(tmp_path, listen, sampler)
    if sampler not in ("dpm_fast", "dpm_adaptive"):  # which take steps of their own
        assert [step for step, _ in at_once] == [1, 2, 3]
    assert at_once and {(found.width, found.height) for _, found in at_once} == {(64, 32)}
    assert [drawn() for drawn in kept] == [found for _, found in at_once], "the sampler wrote to what it handed out"


@pytest.mark.parametrize("listener", [None, lambda event: None])
def test_a_run_without_a_listener_that_asks_draws_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: Callable[[Event], None] | None
) -> None:
    monkeypatch.setattr(preview, "to_rgb", never)
    sampled(tmp_path, listener)
