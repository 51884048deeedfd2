# ruff: noqa: E402
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.__main__ import main
from onnxflow.models.bundle import open_bundle


@pytest.mark.slow
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
    assert open_bundle(out / "bundle").text().hidden == 16
    bundles = [open_bundle(out / name) for name in ("bundle", "checkpoints/reference")]
    assert bundles[0].latent.rgb is not None and bundles[0].latent.rgb == bundles[1].latent.rgb
    report = (out / "report.txt").read_text()
    assert all(f"{title}, all_right: 0.0 % of 3" in report for title in ("one object", "two objects", "landscapes"))
    assert all((out / f"{name}.png").exists() for name in ("one-object", "two-objects", "landscapes"))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    capsys.readouterr()
    assert main(arguments) == 0
    assert "already done" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert main([*arguments, "--longer", "2"]) == 2
    said = capsys.readouterr().err
    assert said == f"tiny_model: {out / 'report.txt'} is of another recipe: use another folder or remove the file\n"


def test_a_network_whose_forerunner_was_trained_anew_is_refused(
    miniature: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(miniature)
    arguments = ["--recipe", str(recipe), "--out", str(out), "--stage", "unet"]
    assert main(arguments) == 0
    for changed in ("autoencoder", "text"):
        forerunner = torch.load(out / f"{changed}.pt", weights_only=True)
        name = next(name for name in forerunner["network"] if name.startswith("encoder."))
        forerunner["network"][name] += 0.5
        kept = (out / f"{changed}.pt").read_bytes()
        torch.save(forerunner, out / f"{changed}.pt")
        (out / "decoder.pt").unlink(missing_ok=True)
        assert main(arguments) == 2
        assert f"{out / 'unet.pt'} was made with another recipe" in capsys.readouterr().err
        (out / f"{changed}.pt").write_bytes(kept)
    (out / "decoder.pt").unlink()
    assert main(arguments) == 0


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


def test_a_checkpoint_that_cannot_be_read_is_one_line(
    miniature: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(miniature)
    arguments = ["--recipe", str(recipe), "--out", str(out), "--stage", "autoencoder"]
    out.mkdir()
    torch.save([1, 2], out / "list.pt")
    for content in (b"", b"nonsense", (out / "list.pt").read_bytes()):
        (out / "autoencoder.pt").write_bytes(content)
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert said == f"tiny_model: {out / 'autoencoder.pt'} is no checkpoint that can be read: remove the file\n"


def test_a_full_disk_is_one_line_and_leaves_no_part(
    miniature: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0\nand a trace")

    monkeypatch.setattr(torch, "save", save)
    recipe, out = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(miniature)
    assert main(["--recipe", str(recipe), "--out", str(out), "--stage", "autoencoder"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"tiny_model: {out / 'autoencoder.pt'} cannot be written: ")
    assert said.count("\n") == 1
    assert sorted(path.name for path in out.iterdir()) == ["log.txt"]
