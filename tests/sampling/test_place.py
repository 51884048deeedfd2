"""Conditions in a latent of one size: areas as the goldens have them, weights, and counterparts on the other sides."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from onnxflow.errors import InputError
from onnxflow.sampling import Term
from onnxflow.sampling.area import Area, AreaShare
from onnxflow.sampling.mask import latent_mask
from onnxflow.sampling.place import Placed, place_sides

SHAPE = (1, 4, 16, 24)


def term(number: float = 0.0, **options: Any) -> Term:
    return Term(np.full((1, 77, 8), number, np.float32), **options)


def numbers(side: tuple[Placed, ...]) -> list[tuple[float, Area | None]]:
    """The text of each condition of a side, and its area."""
    return [(float(placed.term.context[0, 0, 0]), placed.area) for placed in side]


@pytest.mark.parametrize(
    ("case", "positive", "negative"),
    [
        ("area_clipped_at_border", [term(), term(area=Area(16, 16, 8, 16))], [term()]),
        ("area_percentage", [term(), term(area=AreaShare(0.4, 0.5, 0.3, 0.25))], [term()]),
        ("two_areas_left_right", [term(area=Area(16, 12, 0, 0)), term(area=Area(16, 12, 0, 12))], [term()]),
        ("mask_rect_bounds", [term(), term(mask="mask_rect_64x96", mask_bounds=True)], [term()]),
        ("neg_area", [term()], [term(), term(area=Area(8, 12, 0, 0))]),
    ],
)
def test_areas_are_those_of_the_goldens(
    case: str, positive: list[Term], negative: list[Term], golden: Callable[[str], Any]
) -> None:
    cfg = golden("cfg")
    (facts,) = (facts for facts in cfg.facts["predict"] if facts["case"] == case)
    if case == "mask_rect_bounds":
        positive[1] = term(mask=cfg.arrays["mask_rect_64x96"], mask_bounds=True)
    found = [
        [str(area and (area.height, area.width, area.y, area.x)) for _, area in numbers(side)]
        for side in place_sides([positive, negative], SHAPE)
    ]
    assert found == [facts["areas"], facts["neg_areas"]]


def test_an_area_has_the_text_of_the_smallest_one_around_it_on_the_other_side() -> None:
    area = Area(4, 4, 4, 4)
    negative = [
        term(-1),
        term(-2, area=Area(8, 8, 2, 2)),
        term(-3, area=Area(6, 6, 3, 3)),
        term(-4, area=Area(2, 2, 5, 5)),
        term(-5, area=Area(3, 9, 4, 4)),
    ]
    told = {"text_embeds": np.ones((1, 5), np.float32)}
    mask = np.full((1, 16, 24), 0.5, np.float32)
    one = term(1, area=area, strength=3.0, mask=mask, start_sigma=2.0, end_sigma=1.0, told=told)
    positive, found = place_sides([[one], negative], SHAPE)
    assert numbers(found)[5:] == [(-3, area)]
    assert found[5].term.told == negative[2].told and not found[5].term.told
    assert (found[5].term.start_sigma, found[5].term.end_sigma) == (2.0, 1.0)
    assert found[5].weight is positive[0].weight
    assert numbers(positive) == [(1, area), (1, negative[3].area)]  # the others have no text around them


def test_a_condition_without_area_is_around_every_area() -> None:
    area = Area(4, 4, 4, 4)
    _, found = place_sides([[term(1, area=area)], [term(-4, area=Area(2, 2, 5, 5)), term(-1), term(-2)]], SHAPE)
    assert numbers(found)[3:] == [(-1, area)]


@pytest.mark.parametrize("others", [[], [term(-1, area=Area(4, 4, 4, 4))], [term(-1), term(-2, area=Area(4, 4, 4, 4))]])
def test_nothing_is_added_to_an_empty_side_or_one_that_has_the_area(others: list[Term]) -> None:
    _, found = place_sides([[term(1, area=Area(4, 4, 4, 4))], others], SHAPE)
    assert len(found) == len(others)


def test_three_sides_are_gone_through_in_their_order() -> None:
    a, b, c = Area(4, 4, 0, 0), Area(5, 5, 0, 0), Area(6, 6, 0, 0)
    sides = place_sides([[term(1), term(2, area=a)], [term(3), term(4, area=b)], [term(5), term(6, area=c)]], SHAPE)
    assert [numbers(side) for side in sides] == [
        [(1, None), (2, a), (1, b), (1, c)],
        [(3, None), (4, b), (4, a), (3, c)],
        [(5, None), (6, c), (6, a), (6, b)],
    ]


def placed(one: Term, shape: tuple[int, ...] = SHAPE) -> Placed:
    ((found,),) = place_sides([[one]], shape)
    return found


def test_only_an_area_without_mask_is_feathered() -> None:
    area = Area(8, 8, 0, 8)
    faded = placed(term(area=area, strength=2.0))
    assert faded.weight.shape == (1, 1, 8, 8)
    assert faded.weight[0, 0, 0].tolist() == [1, 2, 2, 2, 2, 2, 2, 1]
    assert faded.weight[0, 0, 7].tolist() == [0.5, 1, 1, 1, 1, 1, 1, 0.5]
    masked = placed(term(area=area, strength=2.0, mask=np.ones((1, 16, 24), np.float32)))
    assert (masked.window, masked.weight.shape) == (area, (1, 1, 8, 8))
    assert (masked.weight == 2).all()
    plain = placed(term(strength=2.0))
    assert (plain.area, plain.window, plain.weight.tolist()) == (None, Area(16, 24, 0, 0), [[[[2]]]])
    assert not any(one.weight.flags.writeable for one in (faded, masked, plain))


def test_a_mask_is_resampled_cropped_and_weighted() -> None:
    mask = np.random.default_rng(1).random((1, 37, 50), np.float32)
    found = placed(term(mask=mask, mask_strength=0.5, strength=3.0, area=Area(99, 5, 2, 3)))
    expected = latent_mask(mask, SHAPE)[:, :, 2:, 3:8] * np.float32(0.5) * np.float32(3)
    assert np.array_equal(found.weight, expected)


@pytest.mark.parametrize(("rows", "batch", "order"), [(3, 2, [0, 1]), (2, 5, [0, 1, 0, 1, 0]), (1, 3, [0, 0, 0])])
def test_a_mask_has_a_row_for_each_sample(rows: int, batch: int, order: list[int]) -> None:
    mask = np.arange(rows, dtype=np.float32).reshape(rows, 1, 1) * np.ones((1, 16, 24), np.float32)
    assert placed(term(mask=mask), (batch, *SHAPE[1:])).weight[:, 0, 0, 0].tolist() == order


def test_the_bounds_are_those_of_the_whole_mask() -> None:
    mask = np.zeros((3, 16, 24), np.float32)
    mask[2, 3, 4] = mask[0, 12, 20] = 1
    found = placed(term(mask=mask, mask_bounds=True, area=Area(1, 1)), (2, *SHAPE[1:]))
    assert found.area == found.window == Area(10, 17, 3, 4)
    assert found.weight.shape == (2, 1, 10, 17)


def test_bounds_reach_over_the_border_of_a_small_latent() -> None:
    found = placed(term(mask=np.zeros((1, 3, 5), np.float32), mask_bounds=True), (1, 4, 3, 5))
    assert (found.area, found.window) == (Area(8, 8, 0, 0), Area(3, 5, 0, 0))


def test_an_area_outside_the_latent_is_refused() -> None:
    with pytest.raises(InputError, match=r"at y 0, x 24 lies outside the latent"):
        place_sides([[term(area=Area(8, 8, 0, 24))], [term()]], SHAPE)
    with pytest.raises(InputError, match=r"outside the latent"):
        place_sides([[term(area=AreaShare(1, 1, 1, 0))], [term()]], SHAPE)
