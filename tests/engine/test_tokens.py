"""What stands in content keys for values that are no JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.engine.tokens import token
from onnxflow.values import Cond, Conditioning, Image, Latent, Mask


def image(value: float, size: int = 2) -> Image:
    return Image(np.full((1, size, size, 3), value, np.float32))


def latent(value: float, **extras: Any) -> Latent:
    return Latent(np.full((1, 4, 2, 2), value, np.float32), Mask(np.ones((1, 16, 16))), (1,), extras)


def conditioning(value: float, **extras: Any) -> Conditioning:
    return Conditioning((Cond(np.full((1, 2, 3), value, np.float32), None, extras),))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (image(0.5), image(0.25)),
        (image(0.5), image(0.5, 4)),
        (image(0.5), image(0.5).pixels),
        (latent(1.0), latent(2.0)),
        (latent(1.0), latent(1.0, kind="x")),
        (conditioning(1.0), conditioning(1.0, strength=0.5)),
        (np.zeros(4, np.float32), np.zeros(4, np.int32)),
        ([1, 2], (1, 2)),
        ({"a": image(0.5)}, {"a": image(0.25)}),
        (True, 1),
        ("1", 1),
        (None, "None"),
    ],
)
def test_what_differs_differs_and_what_is_equal_is_equal(one: Any, other: Any) -> None:
    assert repr(token(one)) != repr(token(other))
    for value in (one, other):
        assert repr(token(value)) == repr(token(value))


def test_equal_contents_in_other_objects_are_equal() -> None:
    for make in (image, latent, conditioning):
        assert repr(token(make(0.5))) == repr(token(make(0.5)))
    assert repr(token(np.ones((2, 3))[:, ::2])) == repr(token(np.ones((2, 2))))


def test_what_nobody_knows_is_never_equal() -> None:
    class Unknown:
        pass

    value = Unknown()
    for unknown in (value, [value], {"a": value}, np.array([value], dtype=object)):
        assert repr(token(unknown)) != repr(token(unknown))


def test_what_is_nested_without_end_has_an_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert token(endless)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)))
def test_json_is_equal_exactly_when_it_is(value: Any) -> None:
    assert repr(token(value)) == repr(token(value))
    assert repr(token([value])) != repr(token(value))
