# ruff: noqa: E402
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.__main__ import main
from onnxflow.models.bundle import open_bundle

MINIATURE = """
seed = 1
[data]
size = 128
pool = 6
two_objects = 0.3
jitter = 0.01
[autoencoder]
channels = [12, 12, 12, 12]
groups = 2
layers = 1
pool = 4
wild = 0.5
phases = [[32, 2, 2], [64, 1, 1]]
start_spread = 0.1
learning_rate = 1e-3
gradient_weight = 0.5
kl_weight = 1e-3
seed_offset = 1
[decoder]
pool = 4
wild = 0.5
phases = [[64, 2, 2]]
rounds = 2
learning_rate = 1e-3
noise = 0.05
gradient_weight = 0.5
seed_offset = 2
[text]
vocabulary = 560
hidden = 16
layers = 1
heads = 2
steps = 2
batch = 4
learning_rate = 1e-3
seed_offset = 3
[unet]
channels = [8, 8, 16]
layers = 1
heads = 2
groups = 4
batch = 2
learning_rate = 1e-3
warmup = 1
ema = 0.9
caption_dropout = 0.1
phases = [[0.2, 1], [5.0, 1]]
cycles = [1, 1]
time_power = 0.7
seed_offset = 4
[evaluation]
prompts = 3
steps = 2
guidance = 3.0
seed_offset = 5
[machine]
threads = 1
checkpoint_every = 1000.0
"""


def test_the_whole_recipe_in_miniature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(MINIATURE)
    out = tmp_path / "run"
    arguments = ["--recipe", str(recipe), "--out", str(out)]
    assert main([*arguments, "--stage", "text"]) == 0
    assert not (out / "unet.pt").exists()
    assert main(arguments) == 0
    log = (out / "log.txt").read_text()
    assert log.count("text: step 2/2") == 1
    assert "text: already done" in log
    assert open_bundle(out / "bundle").text.hidden == 16
    assert "one object, all_right: 0.0 % of 3" in (out / "report.txt").read_text()
    assert (out / "one-object.png").exists()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    capsys.readouterr()
    assert main(arguments) == 0
    assert "already done" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_recipe_that_lacks_a_key_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(MINIATURE.replace("heads = 2\nsteps = 2\nbatch = 4", "steps = 2\nbatch = 4"))
    assert main(["--recipe", str(recipe), "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == "tiny_model: recipe section [text]: missing ['heads'], unknown []\n"


def test_a_recipe_changed_half_way_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(MINIATURE)
    arguments = ["--recipe", str(recipe), "--out", str(tmp_path / "run"), "--stage", "autoencoder"]
    assert main(arguments) == 0
    recipe.write_text(MINIATURE.replace("wild = 0.5\nphases = [[32, 2, 2]", "wild = 0.1\nphases = [[32, 2, 2]"))
    assert main(arguments) == 2
    assert "made with another recipe" in capsys.readouterr().err
