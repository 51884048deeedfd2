import numpy as np
import PIL.Image
import pytest

from onnxflow.resize import resize


def test_values_are_cut_to_8_bits_not_rounded() -> None:
    values = np.array([-1, 0, 0.9999 / 255, 1 / 255, 0.5, 0.9999, 1, 2], np.float32).reshape(1, 1, 1, 8)
    found = resize(values, 8, 1, "lanczos") * np.float32(255)
    assert found[0, 0, 0] == pytest.approx([0, 0, 0, 1, 127, 254, 255, 255])


@pytest.mark.filterwarnings("error")
def test_what_is_no_number_becomes_one() -> None:
    values = np.array([np.nan, np.inf, -np.inf], np.float32).reshape(1, 1, 1, 3)
    assert resize(values, 3, 1, "lanczos")[0, 0, 0].tolist() == [0, 1, 0]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_as_pillow_resizes_pictures(channels: int, mode: str) -> None:
    pixels = np.random.default_rng(channels).integers(0, 256, (20, 30, channels), np.uint8)
    picture = PIL.Image.fromarray(pixels.squeeze(), mode=None)
    assert picture.mode == mode
    expected = np.asarray(picture.resize((17, 41), PIL.Image.Resampling.LANCZOS)).reshape(41, 17, channels)
    values = (pixels.transpose(2, 0, 1)[np.newaxis] + np.float32(0.5)) / np.float32(255)
    found = resize(values, 17, 41, "lanczos")
    assert np.array_equal(found[0], expected.transpose(2, 0, 1) / np.float32(255))


def test_the_colours_of_transparent_pixels_do_not_show() -> None:
    values = np.zeros((1, 4, 8, 8), np.float32)
    values[0, 0, :, :4] = 1  # red, but transparent
    values[0, 1:, :, 4:] = 1
    found = resize(values, 4, 4, "lanczos")
    assert not found[0, 0].any()


def test_other_numbers_of_channels_are_resized_one_by_one() -> None:
    values = np.random.default_rng(0).random((2, 5, 9, 7), np.float32)
    alone = [resize(values[:, index : index + 1], 12, 4, "lanczos") for index in range(5)]
    assert np.array_equal(resize(values, 12, 4, "lanczos"), np.concatenate(alone, axis=1))
