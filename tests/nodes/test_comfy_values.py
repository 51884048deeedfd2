"""Values in ComfyUI's shapes and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxflow.errors import InputError
from onnxflow.nodes.comfy_values import Seen, frozen_as, guessed, thawed
from onnxflow.values import Cond, Conditioning, Image, Latent, Mask, Sigmas

PICTURE = np.linspace(0, 1, 2 * 4 * 5 * 3, dtype=np.float32).reshape(2, 4, 5, 3)
COND = Conditioning((Cond(np.ones((1, 7, 4), np.float32), np.ones((1, 4), np.float32), {"strength": 0.5}),))
LATENT = Latent(np.ones((2, 4, 3, 3), np.float32), Mask(np.ones((2, 24, 24), np.float32)), (3, 4), {"kind": "x"})
VALUES = (Image(PICTURE), Mask(PICTURE[..., 0]), Sigmas(np.arange(3, dtype=np.float32)), LATENT, COND)


def arrays(value: Any) -> list[Any]:
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        return [array for item in value.values() for array in arrays(item)]
    return [array for item in value for array in arrays(item)] if isinstance(value, list) else []


@pytest.mark.parametrize("value", VALUES)
def test_what_is_handed_out_may_be_written_to_and_comes_back_equal(value: Any) -> None:
    seen: Seen = {}
    given = thawed(value, seen)
    assert arrays(given) and all(array.flags.writeable for array in arrays(given))
    for back in (frozen_as(given, value.SOCKET, {}), frozen_as(given, "*", seen), guessed(given, {})):
        if back is given:  # a schedule of sigmas is like any array
            assert isinstance(value, Sigmas)
            continue
        assert type(back) is type(value)
        for one, other in zip(arrays(thawed(back, {})), arrays(thawed(value, {})), strict=True):
            assert np.array_equal(one, other)
    for array in arrays(given):
        array[:] = 7
    assert not any((array == 7).any() for array in arrays(thawed(value, {})))


def test_the_shapes() -> None:
    given = thawed(LATENT, {})
    assert sorted(given) == ["batch_index", "kind", "noise_mask", "samples"] and given["batch_index"] == [3, 4]
    ((states, options),) = thawed(COND, {})
    assert states.shape == (1, 7, 4) and sorted(options) == ["pooled_output", "strength"]
    back = frozen_as(given, "LATENT", {})
    assert back.batch_index == (3, 4) and dict(back.extras) == {"kind": "x"}


def test_what_a_node_keeps_and_changes_later_does_not_change_its_result() -> None:
    own = PICTURE.copy()
    image = frozen_as(own, "IMAGE", {})
    own[:] = 0
    assert np.array_equal(image.pixels, PICTURE) and not image.pixels.flags.writeable


def test_masks_in_the_forms_that_nodes_give() -> None:
    for shape in ((4, 5), (1, 4, 5), (1, 1, 4, 5)):
        assert frozen_as(np.zeros(shape), "MASK", {}).values.shape == (1, 4, 5)


def test_handles_and_types_of_a_pack_stay_what_they_are() -> None:
    thing = object()
    assert thawed(thing, {}) is thing and frozen_as(thing, "MODEL", {}) is thing
    array = PICTURE.copy()
    assert frozen_as(array, "PACK_TYPE", {}) is array
    assert frozen_as(None, "IMAGE", {}) is None


def test_guesses() -> None:
    assert isinstance(guessed(PICTURE, {}), Image) and isinstance(guessed(PICTURE[..., 0], {}), Mask)
    for other in (5, "a", [1, 2], {"a": 1}, np.zeros((2, 3, 4), np.int64), np.zeros((1, 4, 8, 8), np.float32)):
        assert guessed(other, {}) is other


@pytest.mark.parametrize(
    ("value", "type_"),
    [("text", "IMAGE"), (np.zeros((4, 4, 3)), "IMAGE"), ({"no": 1}, "LATENT"), (5, "LATENT"), (5, "CONDITIONING"),
     ([[1]], "CONDITIONING"), ([1, 2], "CONDITIONING"), (object(), "MASK")],
)  # fmt: skip
def test_what_has_not_the_shape_is_an_error(value: Any, type_: str) -> None:
    with pytest.raises(InputError):
        frozen_as(value, type_, {})
