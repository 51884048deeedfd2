# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.landscapes import (
    LANDS,
    SKIES,
    Landscape,
    held_out_landscape,
    is_held_out_landscape,
    random_landscape,
    training_landscape,
)


def combination(landscape: Landscape) -> tuple[str | None, ...]:
    return (landscape.sky, landscape.land, landscape.landmark, landscape.side)


def test_training_and_held_out_landscapes_share_no_combination_and_leave_none_out() -> None:
    rng = np.random.default_rng(1)
    trained = {combination(training_landscape(rng)) for _ in range(2000)}
    held_out = {combination(held_out_landscape(rng)) for _ in range(500)}
    assert not trained & held_out
    assert len(trained | held_out) == 3 * 3 * (2 * 3 + 1)
    assert 2 <= len(held_out) <= 10


def test_every_sky_and_land_is_trained_and_asked_for() -> None:
    rng = np.random.default_rng(2)
    trained = [training_landscape(rng) for _ in range(300)]
    assert {landscape.sky for landscape in trained} == set(SKIES)
    assert {landscape.land for landscape in trained} == set(LANDS)
    assert {landscape.landmark for landscape in trained} == {"house", "tree", None}
    assert any(held_out_landscape(rng).landmark for _ in range(50))


def test_a_held_out_caption_says_everything_that_is_held_out() -> None:
    rng = np.random.default_rng(8)
    asked = [held_out_landscape(rng) for _ in range(300)]
    assert all(landscape.side_said for landscape in asked if landscape.landmark)


def test_a_combination_is_held_out_whether_or_not_its_caption_says_the_side() -> None:
    rng = np.random.default_rng(3)
    for _ in range(100):
        landscape = random_landscape(rng)
        words = (landscape.sky, landscape.land, landscape.landmark, landscape.side)
        other = Landscape(*words, not landscape.side_said, 1.0, 2.0, 3.0, 4.0)
        assert is_held_out_landscape(other) == is_held_out_landscape(landscape)


def test_the_same_seed_gives_the_same_landscape() -> None:
    assert random_landscape(np.random.default_rng(4)) == random_landscape(np.random.default_rng(4))
    assert random_landscape(np.random.default_rng(4)) != random_landscape(np.random.default_rng(5))


def test_the_sun_does_not_hang_above_the_landmark() -> None:
    rng = np.random.default_rng(6)
    landscapes = [random_landscape(rng) for _ in range(500)]
    assert all(abs(landscape.sun - landscape.x) > 20 for landscape in landscapes if landscape.landmark)
    assert any(abs(landscape.sun - landscape.x) < 20 for landscape in landscapes if not landscape.landmark)


def test_a_landmark_stands_on_its_side_and_nothing_stands_on_none() -> None:
    rng = np.random.default_rng(7)
    for _ in range(300):
        landscape = random_landscape(rng)
        if landscape.landmark is None:
            assert landscape.side is None
            assert not landscape.side_said
        else:
            assert landscape.side == ("left" if landscape.x < 48 else "middle" if landscape.x < 80 else "right")
