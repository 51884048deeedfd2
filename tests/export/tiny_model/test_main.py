# ruff: noqa: E402
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.__main__ import main
from onnxflow.models.bundle import open_bundle


def test_the_whole_recipe_in_miniature(miniature: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(miniature)
    out = tmp_path / "run"
    arguments = ["--recipe", str(recipe), "--out", str(out)]
    assert main([*arguments, "--stage", "text"]) == 0
    assert not (out / "unet.pt").exists()
    assert main(arguments) == 0
    log = (out / "log.txt").read_text()
    assert log.count("text: step 2/2") == 1
    assert "text: already done" in log
    assert open_bundle(out / "bundle").text.hidden == 16
    report = (out / "report.txt").read_text()
    assert all(f"{title}, all_right: 0.0 % of 3" in report for title in ("one object", "two objects", "landscapes"))
    assert all((out / f"{name}.png").exists() for name in ("one-object", "two-objects", "landscapes"))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    capsys.readouterr()
    assert main(arguments) == 0
    assert "already done" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_recipe_that_lacks_a_key_is_one_line(
    miniature: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(miniature.replace("heads = 2\nsteps = 2\nbatch = 4", "steps = 2\nbatch = 4"))
    assert main(["--recipe", str(recipe), "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == "tiny_model: recipe section [text]: missing ['heads'], unknown []\n"


def test_a_recipe_changed_half_way_is_refused(
    miniature: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(miniature)
    arguments = ["--recipe", str(recipe), "--out", str(tmp_path / "run"), "--stage", "autoencoder"]
    assert main(arguments) == 0
    recipe.write_text(miniature.replace("wild = 0.5\nphases = [[32, 2, 2]", "wild = 0.1\nphases = [[32, 2, 2]"))
    assert main(arguments) == 2
    assert "made with another recipe" in capsys.readouterr().err


def test_stages_one_by_one_give_the_very_same_weights_as_all_at_once(miniature: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(miniature)
    for stage in ("autoencoder", "decoder", "text", "unet"):
        assert main(["--recipe", str(recipe), "--out", str(tmp_path / "stages"), "--stage", stage]) == 0
    assert main(["--recipe", str(recipe), "--out", str(tmp_path / "whole"), "--stage", "unet"]) == 0
    for stage in ("autoencoder", "decoder", "text", "unet"):
        stages, whole = (torch.load(tmp_path / run / f"{stage}.pt", weights_only=True) for run in ("stages", "whole"))
        assert stages["network"].keys() == whole["network"].keys()
        assert all(torch.equal(value, whole["network"][name]) for name, value in stages["network"].items())
