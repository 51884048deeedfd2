"""`onnxflow run --dump NODE`: the files, in a real process, on the embedded model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onnxflow as library
from onnxflow.errors import UsageError

WORKFLOWS = Path(__file__).parents[2] / "workflows"
TXT2IMG = WORKFLOWS / "txt2img.json"
QUICK = ("--set", "5.steps=2")


def onnxflow(*arguments: object, cwd: Path, workflow: Path = TXT2IMG) -> subprocess.CompletedProcess[str]:
    """A finished run of a workflow."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "run", str(workflow), *map(str, arguments)],
        cwd=cwd, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def changed(tmp_path: Path, change: Any) -> Path:
    document = json.loads(TXT2IMG.read_text())
    change(document)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    return path


def test_nodes_are_dumped_by_class_and_id_and_the_paths_said_on_stderr(tmp_path: Path) -> None:
    done = onnxflow(*QUICK, "--dump", "KSampler", "--dump", 6, "--dump", "Prompt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "output" / "dump"
    assert names(folder) == [
        "2_CLIPTextEncode_CONDITIONING.json", "2_CLIPTextEncode_CONDITIONING.npz", "2_CLIPTextEncode_CONDITIONING.png",
        "5_KSampler_LATENT.json", "5_KSampler_LATENT.npz", "5_KSampler_LATENT.png", "5_KSampler_LATENT_rgb.png",
        "6_VAEDecode_IMAGE.json", "6_VAEDecode_IMAGE.png",
    ]  # fmt: skip
    saved = tmp_path / "output" / "onnxflow_00001_.png"
    assert done.stdout == f"{saved}\n", "stdout is for what the workflow saves"
    assert "dumped 9 files:\n" in done.stderr
    assert all(f"  {folder / name}\n" in done.stderr for name in names(folder))
    with Image.open(saved) as one, Image.open(folder / "6_VAEDecode_IMAGE.png") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_dumping_changes_no_picture_and_is_the_same_every_time(tmp_path: Path) -> None:
    runs = [("a", ()), ("b", ("--dump", "*")), ("c", ("--dump", "*"))]
    for folder, flags in runs:
        done = onnxflow(*QUICK, *flags, "--output-dir", folder, "-q", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    pictures = [(tmp_path / folder / "onnxflow_00001_.png").read_bytes() for folder, _ in runs]
    assert pictures[0] == pictures[1] == pictures[2]
    assert not (tmp_path / "a" / "dump").exists()
    dumps = [{p.name: p.read_bytes() for p in (tmp_path / folder / "dump").iterdir()} for folder in "bc"]
    assert dumps[0] == dumps[1]
    kinds = {name.split("_")[0] for name in dumps[0]}
    assert kinds == {"1", "2", "3", "4", "5", "6"}, "all but the node without outputs"


def test_turns_are_kept_apart_and_known_results_dumped_again(tmp_path: Path) -> None:
    done = onnxflow(
        *QUICK, "--count", 2, "--dump", "5", "--dump", "2", "--dump-dir", "look", "--json", "-q", cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    dumped = [event["data"] for event in events if event["type"] == "dumped"]
    assert [data["node"] for data in dumped] == ["2", "5", "2", "5"]
    assert sorted(path for data in dumped for path in data["files"]) == sorted(map(str, (tmp_path / "look").iterdir()))
    reports = [event["data"] for event in events if event["type"] == "report"]
    assert [report["dumped"] for report in reports] == [
        dumped[0]["files"] + dumped[1]["files"], dumped[2]["files"] + dumped[3]["files"],
    ]  # fmt: skip
    look = tmp_path / "look"
    cond, latent = "2_CLIPTextEncode_CONDITIONING.npz", "5_KSampler_LATENT.npz"
    assert (look / f"run1_{cond}").read_bytes() == (look / f"run2_{cond}").read_bytes()
    assert (look / f"run1_{latent}").read_bytes() != (look / f"run2_{latent}").read_bytes()
    assert (look / "run2_5_KSampler_LATENT_rgb.png").exists()


def test_without_the_flag_nothing_is_said(tmp_path: Path) -> None:
    done = onnxflow(*QUICK, "--json", cwd=tmp_path)
    assert done.returncode == 0 and "dumped" not in done.stdout + done.stderr
    assert names(tmp_path / "output") == ["onnxflow_00001_.png"]


def test_a_node_that_nothing_needs_and_a_workflow_without_an_output_node(tmp_path: Path) -> None:
    def without_output(document: dict[str, Any]) -> None:
        del document["7"], document["6"]
        document["8"] = {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}

    path = changed(tmp_path, without_output)
    done = onnxflow(*QUICK, "--dump", "8", "--dump-dir", "one", cwd=tmp_path, workflow=path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert names(tmp_path / "one")[0] == "8_EmptyLatentImage_LATENT.json"
    done = onnxflow(*QUICK, "--dump", "*", "--dump-dir", "all", cwd=tmp_path, workflow=path)
    assert done.returncode == 0, done.stderr
    assert {name.split("_")[0] for name in names(tmp_path / "all")} == {"1", "2", "3", "4", "5", "8"}
    assert onnxflow(cwd=tmp_path, workflow=path).returncode == 2


def test_what_was_there_when_it_failed_is_dumped_and_said(tmp_path: Path) -> None:
    def wide(document: dict[str, Any]) -> None:
        document["4"]["inputs"] |= {"width": 64, "height": 64}
        document["9"] = {"class_type": "SplitSigmas", "inputs": {"sigmas": ["10", 0], "step": 1}}
        document["10"] = {
            "class_type": "KarrasScheduler",
            "inputs": {"steps": 2, "sigma_max": 3.0, "sigma_min": 0.1, "rho": 7.0},
        }
        document["5"]["inputs"]["denoise"] = 1.0
        document["8"] = {"class_type": "SamplerDPMPP_SDE", "inputs": {
            "eta": 1.0, "s_noise": 1.0, "r": 0.0, "noise_device": "cpu"}}  # fmt: skip
        document["5"] = {"class_type": "SamplerCustom", "inputs": {
            "model": ["1", 0], "add_noise": True, "noise_seed": 1, "cfg": 1.0, "positive": ["2", 0],
            "negative": ["3", 0], "sampler": ["8", 0], "sigmas": ["9", 1], "latent_image": ["4", 0]}}  # fmt: skip

    done = onnxflow("--dump", "*", "--dump-dir", "d", cwd=tmp_path, workflow=changed(tmp_path, wide))
    assert done.returncode == 1 and "r is 0" in done.stderr
    assert "dumped " in done.stderr and "2_CLIPTextEncode_CONDITIONING.png" in done.stderr
    assert (tmp_path / "d" / "2_CLIPTextEncode_CONDITIONING.npz").exists()
    assert not any(name.startswith("5_") for name in names(tmp_path / "d"))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--dump", "KSamplr"), ("no node 'KSamplr'", "did you mean 'KSampler'?")),
        (("--dump", "CLIPTextEncode"), ("2 nodes are called 'CLIPTextEncode'", "2, 3")),
        (("--dump", "SaveImage"), ("has no outputs to dump", "comes from: 6")),
        (("--dump", "5", "--dump-dir", "taken"), ("is a file, not a folder", "try: name a folder")),
        (("--dump", "5", "--dump-dir", ""), ("the folder's name is empty",)),
        (("--dump-dir", "x"), ("--dump-dir without --dump",)),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    tmp_path: Path, flags: tuple[str, ...], words: tuple[str, ...]
) -> None:
    (tmp_path / "taken").write_text("a file")
    done = onnxflow(*flags, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("error: ") == 1
    assert all(word in done.stderr for word in words), done.stderr
    assert names(tmp_path) == ["taken"]


@pytest.mark.skipif(not Path("/dev/full").exists() or os.name != "posix", reason="needs POSIX")
def test_a_dump_that_fails_leaves_the_pictures_and_ends_in_an_error(tmp_path: Path) -> None:
    look = tmp_path / "look"
    look.mkdir()
    (look / "5_KSampler_LATENT.png").mkdir()  # a folder in the way: this file cannot be written
    done = onnxflow(*QUICK, "--dump", "5", "--dump-dir", "look", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr
    assert "not all of its dump could be written: 5_KSampler_LATENT.png" in done.stderr
    assert Path(done.stdout.strip()).exists()
    assert {"5_KSampler_LATENT.npz", "5_KSampler_LATENT_rgb.png"} <= set(names(look))
    assert not any(name.endswith(".tmp") for name in names(look))


def test_the_noise_levels_and_the_parts_of_custom_sampling(tmp_path: Path) -> None:
    done = onnxflow("--dump", "*", "-q", cwd=tmp_path, workflow=WORKFLOWS / "custom_sampling.json")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "output" / "dump"
    levels = [float(line) for line in (folder / "6_KarrasScheduler_SIGMAS.txt").read_text().split()]
    assert len(levels) == 21 and levels[0] == 14.614643 and levels[-1] == 0
    assert json.loads((folder / "8_RandomNoise_NOISE.json").read_text())["seed"] == 7
    assert json.loads((folder / "5_CFGGuider_GUIDER.json").read_text())["cfg"] == 2.0
    assert json.loads((folder / "7_SamplerDPMPP_2M_SDE_SAMPLER.json").read_text())["name"] == "dpmpp_2m_sde"
    assert (folder / "9_SamplerCustomAdvanced_denoised_output_rgb.png").exists()


def test_python_dumps_too(tmp_path: Path) -> None:
    report = library.run(TXT2IMG, overrides={"5.steps": 1}, output_dir=tmp_path, dump=["KSampler", "4"])
    assert [path.name for path in report.dumped][:2] == [
        "4_EmptyLatentImage_LATENT.png",
        "4_EmptyLatentImage_LATENT_rgb.png",
    ]
    assert {path.parent for path in report.dumped} == {tmp_path / "dump"} and all(p.exists() for p in report.dumped)
    alone = library.run(TXT2IMG, overrides={"5.steps": 1}, output_dir=tmp_path, dump="6", dump_dir=tmp_path / "x")
    assert names(tmp_path / "x") == ["6_VAEDecode_IMAGE.json", "6_VAEDecode_IMAGE.png"] and len(alone.images) == 1
    assert library.run(TXT2IMG, overrides={"5.steps": 1}, output_dir=tmp_path).dumped == ()
    for wrong in ("nobody", "", [3], 3):
        with pytest.raises(UsageError):
            library.run(TXT2IMG, output_dir=tmp_path, dump=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="without dump"):
        library.run(TXT2IMG, output_dir=tmp_path, dump_dir=tmp_path / "x")
    with pytest.raises(UsageError, match="name is empty"):
        library.run(TXT2IMG, output_dir=tmp_path, dump="6", dump_dir="")
