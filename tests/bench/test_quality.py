"""The parts of the benchmark that draw nothing: the reference that lies in the repository, and the table."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from onnxflow.export.tiny_model.config import read_recipe
from onnxflow.export.tiny_model.score import Share


@pytest.fixture
def quality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tests/bench/quality.py, whose goldens lie in a temporary folder."""
    spec = importlib.util.spec_from_file_location("bench_quality", Path(__file__).with_name("quality.py"))
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_quality", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "GOLDENS", tmp_path)
    return module


def drawn(quality: ModuleType) -> object:
    rng = np.random.default_rng(1)
    counts = {"one object": 30, "two objects": 30, "landscapes": 20}
    pictures = {kind: rng.integers(0, 256, (count, 128, 128, 3), dtype=np.uint8) for kind, count in counts.items()}
    shares = {kind: {"all_right": Share(count - 3, count), "side": Share(0, 0)} for kind, count in counts.items()}
    return quality.Drawn(pictures, shares)


def test_the_reference_is_read_as_it_was_written(
    quality: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = drawn(quality)
    monkeypatch.setattr(quality, "draw_all", lambda recipe, model, roots, label, placing=None: made)
    quality.write_reference(read_recipe(), "reference", ())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny_fp32.json", "tiny_fp32.png"]
    pictures, shares = quality.read_reference()
    np.testing.assert_array_equal(pictures, made.compared())
    assert shares == made.shares
    with Image.open(tmp_path / "tiny_fp32.png") as image:
        assert image.size == (1024, 1024)
        second_row = np.asarray(image)[128:256, :128]
    np.testing.assert_array_equal(second_row, made.pictures["one object"][8])


def test_the_first_of_every_kind_are_compared(quality: ModuleType) -> None:
    made = drawn(quality)
    compared = made.compared()
    assert compared.shape == (64, 128, 128, 3)
    np.testing.assert_array_equal(compared[:24], made.pictures["one object"][:24])
    np.testing.assert_array_equal(compared[24:48], made.pictures["two objects"][:24])
    np.testing.assert_array_equal(compared[48:], made.pictures["landscapes"][:16])


def test_the_table_has_a_line_for_everything_that_was_asked(
    quality: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def column(right: int) -> dict[str, dict[str, Share]]:
        return {
            "one object": {"all_right": Share(right, 200), "all_right, plain": Share(right // 4, 80)},
            "landscapes": {"side": Share(0, 0), "sky": Share(7, 8)},
        }

    quality.print_table({"fp32": column(180), "fp16": column(179), "int8": column(0)})
    assert capsys.readouterr().out.splitlines() == [
        "| right | of | fp32 | fp16 | int8 |",
        "|---|---:|---:|---:|---:|",
        "| one object: all right | 200 | 90.0 % | 89.5 % | 0.0 % |",
        "| one object: all right, plain | 80 | 56.2 % | 55.0 % | 0.0 % |",
        "| landscapes: sky | 8 | 87.5 % | 87.5 % | 87.5 % |",
    ]


def picture(level: int, count: int) -> np.ndarray:
    return np.full((count, 128, 128, 3), level, np.uint8)


def made_up(quality: ModuleType, level: int, right: tuple[int, ...]) -> object:
    kinds = ("one object", "two objects", "landscapes")
    counts = (*right, 100)[:3]  # so many landscapes unless it is said otherwise
    shares = {kind: {"all_right": Share(count, 200)} for kind, count in zip(kinds, counts, strict=True)}
    return quality.Drawn({kind: picture(level, 24) for kind in kinds}, shares)


@pytest.mark.parametrize(
    ("level", "right", "missed"),
    [
        (100, (170, 110), []),
        (102, (166, 106), []),  # at most two points fewer and 2/255 away: int8 may
        (103, (170, 110), ["int8 is 3.00/255 from fp32, required <= 2.0"]),
        (97, (170, 110), ["int8 is 3.00/255 from fp32, required <= 2.0"]),
        (100, (165, 110), ["int8, one object: 2.5 points fewer right than fp32, allowed 2.0"]),
        (100, (170, 110, 90), ["int8, landscapes: 5.0 points fewer right than fp32, allowed 2.0"]),
        (
            100,
            (170, 90),
            [
                "int8, two objects: 45.0 % all right, required >= 50.0",
                "int8, two objects: 10.0 points fewer right than fp32, allowed 2.0",
            ],
        ),
    ],
)
def test_a_missed_bound_is_said_and_makes_the_exit_code_one(
    quality: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    level: int,
    right: tuple[int, ...],
    missed: list[str],
) -> None:
    same, other = made_up(quality, 100, (170, 110)), made_up(quality, level, right)
    monkeypatch.setattr(
        quality, "draw_all", lambda recipe, model, roots, label, placing=None: other if label == "int8" else same
    )
    assert quality.main(["--write-reference", "reference"]) == 0
    assert quality.main([]) == bool(missed)
    lines = capsys.readouterr().out.splitlines()
    assert [line.removeprefix("MISSED: ") for line in lines if line.startswith("MISSED")] == missed
    assert "fp16: mean distance to fp32 0.000/255, 99th percentile 0.0/255" in lines


def test_without_a_reference_it_says_how_to_make_one(quality: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert quality.main([]) == 2
    said = capsys.readouterr().err
    assert "tiny_fp32" in said
    assert "make ship-tiny-model" in said


def test_it_says_how_the_workflow_samples(quality: ModuleType) -> None:
    with quality.draughtsman("onnxflow-tiny", ()) as drawer:
        assert drawer.settings() == "sampler_name dpmpp_2m, scheduler karras, steps 20, cfg 2.0"


def test_no_prompt_is_one_of_those_the_recipe_was_chosen_by(quality: ModuleType) -> None:
    recipe = read_recipe()
    for two_objects in (0.0, 1.0):
        exam = quality.held_out_prompts(recipe, 200, two_objects, quality.EXAM)
        chosen_by = {text for _, text in quality.held_out_prompts(recipe, 200, two_objects)}
        assert len(chosen_by & {text for _, text in exam}) <= 2  # chance
