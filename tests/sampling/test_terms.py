"""Which options of a condition become which parts of a term, and which values are refused."""

import math
from typing import Any

import numpy as np
import pytest

from onnxflow.errors import InputError
from onnxflow.sampling import discrete_sampling, terms
from onnxflow.sampling.area import Area, AreaShare
from onnxflow.values import Cond, Conditioning

SD = discrete_sampling()
STATES = np.zeros((1, 77, 8), np.float32)


def conditioning(**options: Any) -> Conditioning:
    return Conditioning((Cond(STATES, extras=options),))


def test_a_condition_without_options_holds_everywhere_and_always() -> None:
    (term,) = terms(conditioning(), SD)
    assert (term.strength, term.area, term.mask, term.mask_strength, term.mask_bounds) == (1.0, None, None, 1.0, False)
    assert all(term.holds_at(np.float32(sigma)) for sigma in (1e-9, 1, 1e9))
    assert np.array_equal(term.context, STATES)


def test_options_are_read_by_their_names_in_comfyui() -> None:
    mask = np.ones((2, 3, 4), np.float32)
    options = {"area": (8, 12, 1, 2), "strength": -2, "mask": mask, "mask_strength": 0.5, "set_area_to_bounds": True}
    (term,) = terms(conditioning(**options), SD)
    assert (term.strength, term.area, term.mask_strength, term.mask_bounds) == (-2.0, Area(8, 12, 1, 2), 0.5, True)
    assert term.mask is mask
    (term,) = terms(conditioning(area=("percentage", 0.5, 1, 0, 0.25)), SD)
    assert term.area == AreaShare(0.5, 1, 0, 0.25)


def test_a_range_holds_from_its_start_to_its_end() -> None:
    (term,) = terms(conditioning(start_percent=0.25, end_percent=0.5), SD)
    start, end = (np.float32(SD.levels.percent_to_sigma(percent)) for percent in (0.25, 0.5))
    assert term.holds_at(start) and term.holds_at(end)
    assert not term.holds_at(np.nextafter(start, np.float32(99))) and not term.holds_at(
        np.nextafter(end, np.float32(0))
    )


def test_an_empty_conditioning_is_refused() -> None:
    with pytest.raises(InputError, match="no entry"):
        terms(Conditioning(()), SD)


@pytest.mark.parametrize("option", ["control", "gligen", "hooks"])
def test_an_option_that_would_be_ignored_is_refused(option: str) -> None:
    with pytest.raises(InputError, match=option):
        terms(conditioning(**{option: object()}), SD)
    terms(conditioning(**{option: None}), SD)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e39, 10**400, "1", [1]])
@pytest.mark.parametrize("name", ["strength", "mask_strength", "start_percent", "end_percent"])
def test_numbers_that_are_none_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{name} of a condition is .*, expected a finite number"):
        terms(conditioning(**{name: value}), SD)


def test_a_strength_of_none_is_refused() -> None:
    with pytest.raises(InputError, match="strength of a condition is None"):
        terms(conditioning(strength=None), SD)


@pytest.mark.parametrize("area", [(8, 8, 0), (8, 8, math.nan, 0), "8 8 0 0", ("percentage", 2, 1, 0, 0)])
def test_an_area_of_a_wrong_form_is_refused(area: Any) -> None:
    with pytest.raises(InputError, match="area of a condition"):
        terms(conditioning(area=area), SD)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.full((1, 3, 4), math.nan), "NaN or infinity"),
        (np.full((1, 3, 4), math.inf), "NaN or infinity"),
        (np.ones((3, 4)), r"shape \[3, 4\], expected \[batch, height, width\]"),
        (np.ones((1, 1, 3, 4)), r"shape \[1, 1, 3, 4\]"),
        (np.ones((0, 3, 4)), r"shape \[0, 3, 4\]"),
    ],
)
def test_a_mask_that_is_none_is_refused(mask: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        terms(conditioning(mask=mask), SD)
