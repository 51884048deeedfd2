"""Every kind of value as files: read back, what they show is compared with the value."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from onnxflow.dump.value import parts_of, remarks_of
from onnxflow.models.bundle import open_bundle
from onnxflow.models.store import embedded_folder
from onnxflow.nodes.preview import latent_rgb, to_rgb
from onnxflow.values import Cond, Conditioning, Image, Latent, Mask, Sigmas, Vae

RNG = np.random.default_rng(3)


def files(value: Any, type_: str = "X", model: Any = None) -> dict[str, bytes]:
    found = {part.ending: part.make() for part in parts_of(value, type_, "A title (1): X", model)}
    assert found == {part.ending: part.make() for part in parts_of(value, type_, "A title (1): X", model)}
    for ending, data in found.items():
        if ending.endswith(".json"):
            json.loads(data, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return found


def picture(data: bytes) -> NDArray[np.uint8]:
    with PIL.Image.open(io.BytesIO(data)) as file:
        return np.asarray(file)


def arrays(data: bytes) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return dict(file)


def uniform(*shape: int) -> NDArray[np.float32]:
    return RNG.uniform(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_are_as_they_are_saved(channels: int) -> None:
    pixels = uniform(2, 5, 7, channels)
    found = files(Image(pixels))
    assert list(found) == ["_1.png", "_2.png", ".json"]
    for k in range(2):
        assert np.array_equal(
            picture(found[f"_{k + 1}.png"]).reshape(5, 7, channels), (255 * pixels[k]).astype(np.uint8)
        )
    said = json.loads(found[".json"])
    assert said["shape"] == {"batch": 2, "height": 5, "width": 7, "channels": channels}
    first = next(iter(said["pictures"][1].values()))
    assert first["mean"] == pytest.approx(pixels[1, ..., 0].mean(), rel=1e-5)


def test_what_no_picture_can_hold_is_shown_and_said() -> None:
    pixels = np.full((1, 2, 2, 3), 0.5, np.float32)
    pixels[0, 0, 0] = np.nan
    pixels[0, 0, 1] = (2.0, -1.0, np.inf)
    found = files(Image(pixels))
    assert picture(found[".png"])[0].tolist() == [[255, 0, 255], [255, 0, 255]]
    red = json.loads(found[".json"])["pictures"][0]["red"]
    assert (red["nan"], red["above 1"]) == (1, 1) and "below 0" not in red
    assert remarks_of(Image(pixels)) == [
        "3 of 12 numbers are NaN",
        "1 of 12 numbers are infinite",
        "1 of 12 numbers are below 0",
        "2 of 12 numbers are above 1",
    ]
    grey = picture(files(Image(pixels[..., :1]))[".png"])
    assert grey[0, 0].tolist() == [255, 0, 255] and grey[1, 1].tolist() == [127, 127, 127]
    assert remarks_of(Image(uniform(1, 2, 2, 3))) == []


def test_other_numbers_of_channels_and_empty_batches() -> None:
    assert list(files(Image(uniform(1, 3, 3, 2)))) == ["_channel0.png", "_channel1.png", ".json"]
    assert list(files(Image(uniform(0, 3, 3, 3)))) == [".json"]
    assert list(files(Mask(uniform(1, 0, 3)))) == [".json"]


def test_masks_are_grey() -> None:
    values = uniform(3, 4, 6)
    found = files(Mask(values))
    assert np.array_equal(picture(found["_2.png"]), (255 * values[1]).astype(np.uint8))
    assert len(json.loads(found[".json"])["masks"]) == 3


def test_a_latent_is_tiles_colours_and_numbers() -> None:
    vae = Vae(open_bundle(embedded_folder()))
    samples = RNG.normal(size=(2, 4, 8, 12)).astype(np.float32)
    latent = Latent(samples, Mask(uniform(1, 64, 96)), (3, 5))
    found = files(latent, "LATENT", vae)
    assert list(found) == [".png", "_rgb_1.png", "_rgb_2.png", "_noise_mask.png", ".json", ".npz"]
    kept = arrays(found[".npz"])
    assert np.array_equal(kept["samples"], samples) and kept["batch_index"].tolist() == [3, 5]
    assert latent.noise_mask is not None and np.array_equal(kept["noise_mask"], latent.noise_mask.values)
    rgb = latent_rgb("sd1", vae.source.latent)
    assert rgb is not None
    small = to_rgb(samples[1] * np.float32(vae.source.latent.scale), rgb)
    shown = picture(found["_rgb_2.png"])
    assert shown.shape == (64, 96, 3)
    assert np.abs(shown.mean(axis=(0, 1)) - small.mean(axis=(0, 1))).max() < 2
    said = json.loads(found[".json"])
    assert said["model"] == {"name": "onnxflow-tiny", "family": "sd1"} and said["batch_index"] == [3, 5]
    assert said["samples"][1]["channels"][2]["std"] == pytest.approx(samples[1, 2].std(), rel=1e-5)


def test_tiles_show_the_channels_on_one_scale() -> None:
    samples = np.zeros((1, 4, 10, 10), np.float32)
    samples[0, 1], samples[0, 2], samples[0, 3] = 1.0, -1.0, 0.5
    tiles = picture(files(Latent(samples))[".png"]).astype(int)
    row = tiles[tiles.shape[0] - 60]  # through the tiles
    blocks = [int(row[x][0]) for x in (100, 280, 460, 620)]
    assert blocks == [128, 255, 0, 191]


@pytest.mark.parametrize("shape", [(0, 4, 8, 8), (1, 1, 1, 1), (20, 40, 3, 400), (1, 4, 400, 3)])
def test_any_shape_of_latent(shape: tuple[int, ...]) -> None:
    samples = np.zeros(shape, np.float32)
    if samples.size:
        samples[0, 0, 0, 0] = np.nan
    found = files(Latent(samples))
    assert (".png" in found) == bool(samples.size) and "_rgb.png" not in found
    if samples.size:
        shown = picture(found[".png"])
        assert max(shown.shape[:2]) < 20_000 and (shown == (255, 0, 255)).all(axis=-1).any()


def test_a_conditioning_keeps_every_number_and_option() -> None:
    one = Cond(RNG.normal(size=(1, 77, 32)), RNG.normal(size=(1, 32)), {"area": (8, 8, 0, 0), "strength": 0.5})
    two = Cond(RNG.normal(size=(2, 5, 900)), None, {"mask": uniform(1, 8, 8), "end_percent": 0.4})
    found = files(Conditioning((one, two)))
    assert list(found) == ["_1.png", "_2.png", ".json", ".npz"]
    kept = arrays(found[".npz"])
    assert set(kept) == {"cross_attn_1", "pooled_1", "cross_attn_2", "mask_2"}
    assert np.array_equal(kept["cross_attn_2"], two.cross_attn)
    entries = json.loads(found[".json"])["entries"]
    assert entries[0]["options"] == {"area": [8, 8, 0, 0], "strength": 0.5} and entries[1]["pooled"] is None
    assert entries[0]["norms of tokens"][0][3] == pytest.approx(np.linalg.norm(one.cross_attn[0, 3]), rel=1e-5)
    assert entries[1]["options"]["mask"]["shape"] == [1, 8, 8]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3000, 2), (1, 2, 5000), (1, 0, 8), (0, 77, 8)])
@pytest.mark.parametrize("fill", [0.0, np.nan, np.inf])
def test_any_shape_of_conditioning(shape: tuple[int, ...], fill: float) -> None:
    value = Conditioning((Cond(np.full(shape, fill), np.full((1, shape[2]), fill)),))
    found = files(value)
    assert (".png" in found) == (0 not in shape)
    assert bool(remarks_of(value)) == (0 not in shape and fill != 0)


@pytest.mark.parametrize("shape", [(1, 0), (0, 8)])
def test_a_conditioning_with_an_empty_pooled_output(shape: tuple[int, int]) -> None:
    found = files(Conditioning((Cond(np.full((1, 77, 8), 3e38, np.float32), np.zeros(shape, np.float32)),)))
    assert ".png" in found


def test_a_conditioning_without_entries() -> None:
    assert json.loads(files(Conditioning(()))[".json"])["entries"] == []


def test_the_heat_map_has_the_sign_as_its_colour() -> None:
    states = np.ones((1, 4, 6), np.float32)
    states[0, :2] = -1  # the first two tokens, on the left
    shown = picture(files(Conditioning((Cond(states),)))[".png"]).astype(int)
    left, right = shown[130, 120], shown[130, 430]
    assert left[2] > left[0] + 50 and right[0] > right[2] + 50  # blue below 0, red above


def test_sigmas_are_a_number_a_line() -> None:
    values = np.array([14.614643, 1.5, 0.02916775, 0.0], np.float32)
    found = files(Sigmas(values))
    assert list(found) == [".txt", ".png"]
    assert np.array_equal(np.array([float(line) for line in found[".txt"].split()], np.float32), values)
    assert picture(found[".png"]).shape == (560, 900, 3)


@pytest.mark.parametrize(
    "values", [[1.0], [0.0, 0.0], [3.0, -1.0], [np.nan, np.inf], [1.0, np.nan, 0.5], [1e-30, 1e30, 0.0], [0.0, 1e38]]
)
def test_any_sigmas(values: list[float]) -> None:
    assert picture(files(Sigmas(np.array(values, np.float32)))[".png"]).shape == (560, 900, 3)


def test_no_sigmas() -> None:
    assert files(Sigmas(np.zeros(0))) == {".txt": b""}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7\n"),
        (0.1, "0.1\n"),
        (True, "true\n"),
        ("a\nü", "a\nü"),
        ("\ud800", "\\ud800"),
        (float("nan"), "nan\n"),
    ],
)
def test_plain_values_are_texts(value: object, text: str) -> None:
    assert {name: data.decode() for name, data in files(value).items()} == {".txt": text}


def test_a_number_too_long_for_decimal_digits() -> None:
    assert files(16**9000) == {".txt": b"0x1" + b"0" * 9000 + b"\n"}
