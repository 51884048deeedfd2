"""`onnxflow run` as a user runs it: a real process, the embedded model, real files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import int8_model
from PIL import Image

ROOT = Path(__file__).parents[2]
TXT2IMG = ROOT / "workflows" / "txt2img.json"


def onnxflow(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A finished run of the program."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", *map(str, arguments)],
        cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def quick(tmp_path: Path, **changes: dict[str, Any]) -> Path:
    """txt2img.json with two steps; ``n5={"steps": 3}`` changes inputs of node 5."""
    document = json.loads(TXT2IMG.read_text())
    document["5"]["inputs"]["steps"] = 2
    for node, inputs in changes.items():
        document[node[1:]]["inputs"].update(inputs)
    path = tmp_path / "wf.json"
    path.write_text(json.dumps(document))
    return path


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The run ended with one clear error, and no traceback."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1
    for word in words:
        assert word in done.stderr


def test_a_picture_is_drawn_and_its_path_printed(tmp_path: Path) -> None:
    for number in (1, 2):
        done = onnxflow("run", quick(tmp_path), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        path = tmp_path / "output" / f"onnxflow_{number:05}_.png"
        assert done.stdout == f"{path}\n"
        assert "KSampler (5): " in done.stderr
        assert "text_encoder, unet, vae_decoder: fp32 on cpu" in done.stderr
    with Image.open(path) as picture:
        assert picture.size == (128, 128)
        assert json.loads(picture.info["prompt"]) == json.loads((tmp_path / "wf.json").read_text())


@pytest.mark.parametrize("path", sorted((ROOT / "workflows").glob("*.json")), ids=lambda path: path.stem)
def test_a_shipped_workflow_runs_as_it_is(tmp_path: Path, path: Path) -> None:
    done = onnxflow("run", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_file()


def pixels(done: subprocess.CompletedProcess[str]) -> list[bytes]:
    assert done.returncode == 0, done.stderr
    found = []
    for line in done.stdout.splitlines():
        with Image.open(line) as picture:
            found.append(np.asarray(picture).tobytes())
    return found


def test_seed_count_and_set(tmp_path: Path) -> None:
    path = quick(tmp_path)
    done = onnxflow("run", path, "--seed", 41, "--count", 2, "--set", "EmptyLatentImage.width=64", cwd=tmp_path)
    first, second = pixels(done)
    assert "seed 41 for 5.seed" in done.stderr
    assert "run 1 of 2: 5.seed=41" in done.stderr
    assert "run 2 of 2: 5.seed=42" in done.stderr
    assert len(first) == 64 * 128 * 3
    assert first != second
    again = onnxflow("run", path, "--set", "5.seed=42", "--set", "4.width=64", cwd=tmp_path)
    assert pixels(again) == [second], "the same seed draws the same picture in another process"


def test_json_prints_events_named_as_comfyuis_and_nothing_else(tmp_path: Path) -> None:
    done = onnxflow("run", quick(tmp_path), "--json", "--quiet", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    events = [json.loads(line) for line in done.stdout.splitlines()]
    types = [event["type"] for event in events]
    assert types[:3] == ["execution_start", "execution_cached", "executing"]
    assert types[-4:] == ["executed", "execution_success", "executing", "report"]
    progress = [e["data"] for e in events if e["type"] == "progress" and e["data"]["node"] == "5"]
    assert [(p["value"], p["max"]) for p in progress] == [(1, 2), (2, 2)]
    assert events[-4]["data"]["output"] == {
        "images": [{"filename": "onnxflow_00001_.png", "subfolder": "", "type": "output"}]
    }
    report = events[-1]["data"]
    assert report["files"] == [str(tmp_path / "output" / "onnxflow_00001_.png")]
    assert {s["component"]: (s["device"], s["precision"], s["calls"]) for s in report["sessions"]} == {
        "text_encoder": ("cpu", "fp32", 2), "unet": ("cpu", "fp32", 2), "vae_decoder": ("cpu", "fp32", 1),
    }  # fmt: skip


def test_quiet_prints_the_path_alone_and_verbose_the_times(tmp_path: Path) -> None:
    done = onnxflow("run", quick(tmp_path), "-q", cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    assert "load onnxflow-tiny unet (fp32, cpu)" in onnxflow("run", quick(tmp_path), "-v", cwd=tmp_path).stderr


def test_no_metadata(tmp_path: Path) -> None:
    done = onnxflow("run", quick(tmp_path), "--no-metadata", cwd=tmp_path)
    with Image.open(done.stdout.strip()) as picture:
        assert "prompt" not in picture.info


def test_version_and_help(tmp_path: Path) -> None:
    assert onnxflow("--version", cwd=tmp_path).stdout.startswith("onnxflow 0.")
    shown = onnxflow("run", "--help", cwd=tmp_path).stdout
    for flag in ("--output-dir", "--input-dir", "--models", "--set", "--seed", "--count", "--json", "--quiet", "-v"):
        assert flag in shown


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b'{"a": 1}', "not a workflow"),
        (b"[]", "not a workflow"),
        (b'{"nodes": [], "links": []}', "no outputs"),
        (b'{"nodes": [3], "links": []}', "not a node"),
        (b'{"1":' * 100_000, "nested too deeply"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
    ],
)
def test_what_is_no_workflow(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "wf.json").write_bytes(content)
    refused(onnxflow("run", "wf.json", cwd=tmp_path), 2, words, "wf.json")


@pytest.mark.parametrize(
    ("node", "inputs", "words"),
    [
        ("n1", {"ckpt_name": "onnxflow-tinny"}, ["value_not_in_list", "node 1", "did you mean 'onnxflow-tiny'"]),
        ("n4", {"width": 7}, ["value_smaller_than_min", "node 4", "from 16 to 16384"]),
        ("n4", {"width": "wide"}, ["invalid_input_type", "'wide'"]),
        ("n5", {"cfg": float("nan")}, ["invalid_input_type", "finite"]),
        ("n5", {"seed": -1}, ["value_smaller_than_min", "node 5"]),
        ("n5", {"seed": 2**64}, ["value_bigger_than_max"]),
        ("n5", {"sampler_name": "unipc"}, ["value_not_in_list", "did you mean 'uni_pc'"]),
        ("n5", {"latent_image": ["6", 0]}, ["return_type_mismatch", "cycle"]),
        ("n5", {"model": ["77", 0]}, ["link_to_missing_node"]),
        ("n6", {"vae": ["1", 0]}, ["return_type_mismatch", "VAE"]),
    ],
)
def test_bad_values(tmp_path: Path, node: str, inputs: dict[str, Any], words: list[str]) -> None:
    refused(onnxflow("run", quick(tmp_path, **{node: inputs}), cwd=tmp_path), 2, *words)
    assert not (tmp_path / "output").exists()


def test_an_unknown_class(tmp_path: Path) -> None:
    document = json.loads(TXT2IMG.read_text())
    document["5"]["class_type"] = "KSamplr"
    (tmp_path / "wf.json").write_text(json.dumps(document))
    done = onnxflow("run", "wf.json", cwd=tmp_path)
    refused(done, 2, "node KSamplr does not exist", "did you mean 'KSampler'", "node 5")


@pytest.mark.parametrize("prefix", ["../out", "a/../../out", "/tmp/out", "C:\\out", "..\\out", "a\0b"])
def test_a_name_that_leaves_the_output_folder(tmp_path: Path, prefix: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    refused(onnxflow("run", quick(tmp_path, n7={"filename_prefix": prefix}), cwd=home), 2, "node 7")
    assert list(tmp_path.rglob("*.png")) == []


def test_a_truncated_picture(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    whole = (ROOT / "onnxflow" / "assets" / "input" / "example.png").read_bytes()
    (tmp_path / "input" / "cut.png").write_bytes(whole[: len(whole) // 2])
    done = onnxflow("run", ROOT / "workflows" / "img2img.json", "--set", "4.image=cut.png", cwd=tmp_path)
    refused(done, 1, "cut.png", "node 4")
    assert list((tmp_path / "output").rglob("*")) == []


def test_a_model_with_a_truncated_file(tmp_path: Path) -> None:
    import shutil

    models = tmp_path / "models" / "checkpoints" / "cut"
    shutil.copytree(ROOT / "onnxflow" / "assets" / "tiny", models)
    graph = models / "unet" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1000])
    path = quick(tmp_path, n1={"ckpt_name": "cut"})
    refused(onnxflow("run", path, cwd=tmp_path), 1, "unet/model.onnx", "truncated")
    # Of the right size but damaged: ONNX Runtime finds out.
    graph.write_bytes(b"\0" * (graph.stat().st_size + 1000))
    refused(onnxflow("run", path, cwd=tmp_path), 1, "cannot load", "unet", "export")


def test_a_model_of_the_users_own(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(ROOT / "onnxflow" / "assets" / "tiny", tmp_path / "m" / "checkpoints" / "mine")
    path = quick(tmp_path, n1={"ckpt_name": "mine"})
    for arguments, environment in ((["--models", "m"], {}), ([], {"ONNXFLOW_MODELS": str(tmp_path / "m")})):
        assert onnxflow("run", path, *arguments, cwd=tmp_path, **environment).returncode == 0
    refused(onnxflow("run", path, cwd=tmp_path), 2, "'mine' not in ['onnxflow-tiny'", "--models")


def test_a_variant_of_a_model(tmp_path: Path) -> None:
    int8_model(tmp_path / "m", "mine")
    path = quick(tmp_path, n1={"ckpt_name": "mine@int8"})
    done = onnxflow("run", path, "--models", "m", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "text_encoder, unet: int8 on cpu; vae_decoder: fp32 on cpu" in done.stderr
    done = onnxflow("run", path, "--models", "m", "--set", "1.ckpt_name=mine@int4", cwd=tmp_path)
    refused(done, 2, "value_not_in_list", "node 1", "the model 'mine' has no variant 'int4'; variants: fp32, int8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--set", "5.seed"],
        ["--set", "99.seed=1"],
        ["--set", "5.sede=1"],
        ["--models", "nowhere"],
        ["--set", "Nope.x=1"],
    ],
)
def test_flags_that_make_no_sense(tmp_path: Path, arguments: list[str]) -> None:
    refused(onnxflow("run", quick(tmp_path), *arguments, cwd=tmp_path), 2)


def test_the_seed_rule_changes_what_samplers_with_noise_draw(tmp_path: Path) -> None:
    pictures = []
    for rule in ("next", "same"):
        path = quick(tmp_path, n5={"sampler_name": "euler_ancestral"})
        done = onnxflow("run", path, "--seed-rule", rule, "--output-dir", tmp_path / rule, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        with Image.open(done.stdout.strip()) as picture:
            pictures.append(np.asarray(picture))
            said = json.loads(picture.text["onnxflow"]).get("seed_rule")  # type: ignore[attr-defined]
            assert said == ("same" if rule == "same" else None)
    assert (pictures[0] != pictures[1]).any()
    refused(onnxflow("run", path, "--seed-rule", "nxt", cwd=tmp_path), 2, "--seed-rule 'nxt'", "did you mean 'next'")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(onnxflow("run", "none.json", cwd=tmp_path), 2, "no such file", "none.json")


def test_an_output_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file")
    refused(onnxflow("run", quick(tmp_path), cwd=tmp_path), 2, "output is a file, not a folder", "--output-dir")


def started(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """A running program that listens to SIGINT, also where a shell has started the tests in the background."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "onnxflow", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def finished(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What the program printed; it is killed when it does not end by itself."""
    try:
        return process.communicate(timeout=60)
    finally:
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_stops_inside_a_step_and_leaves_nothing(tmp_path: Path) -> None:
    # 1024 x 1024: one step of the network takes seconds, far longer than the time allowed to stop.
    path = quick(tmp_path, n4={"width": 1024, "height": 1024}, n5={"steps": 1000})
    process = started("run", path, "--json", "-q", cwd=tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["type"] == "executing" and event["data"]["node"] == "5":
            break
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    rest, said = finished(process)
    assert time.monotonic() - asked < 20
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "cancelled" in said
    assert '"execution_interrupted"' in rest
    assert not (tmp_path / "output").exists()


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -P -m onnxflow run "{quick(tmp_path)}" --json | head -n 1'
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = command.replace("onnxflow", f'"{sys.executable}" -P -m onnxflow')
    return subprocess.run(command, shell=True, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
def test_streams_that_are_closed_full_or_narrow(tmp_path: Path) -> None:
    quick(tmp_path)
    closed = shell("onnxflow run wf.json 2>&-", tmp_path)
    assert closed.returncode == 0
    assert Path(closed.stdout.strip()).is_file()
    full = shell("onnxflow run wf.json >/dev/full", tmp_path)
    assert full.returncode == 1
    assert "cannot write the output" in full.stderr
    assert "Traceback" not in full.stderr
    narrow = shell("PYTHONIOENCODING=ascii onnxflow run wf.json --set 7.filename_prefix=bild-ä", tmp_path)
    assert narrow.returncode == 0, narrow.stderr
    assert (tmp_path / "output" / "bild-ä_00001_.png").is_file()


def test_what_was_saved_before_an_error_is_printed(tmp_path: Path) -> None:
    document = json.loads(quick(tmp_path).read_text())
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    document["8"] = {"class_type": "LoadImage", "inputs": {"image": "cut.png"}}
    document["9"] = {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}}
    (tmp_path / "wf.json").write_text(json.dumps(document))
    done = onnxflow("run", "wf.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "cut.png" in done.stderr
    assert done.stdout == f"{tmp_path / 'output' / 'onnxflow_00001_.png'}\n"


def test_count_needs_a_seed_to_raise(tmp_path: Path) -> None:
    refused(onnxflow("run", quick(tmp_path, n5={"seed": ["1", 0]}), "--count", 2, cwd=tmp_path), 2, "--count 2")
    done = onnxflow("run", quick(tmp_path, n5={"seed": "5"}), "--count", 2, cwd=tmp_path)
    assert len(done.stdout.splitlines()) == 2, done.stderr


def test_turns_share_the_prompts_and_report_what_each_did(tmp_path: Path) -> None:
    done = onnxflow("run", quick(tmp_path), "--count", 2, "--json", "-q", cwd=tmp_path)
    first, second = (json.loads(line)["data"] for line in done.stdout.splitlines() if '"report"' in line)
    assert [s["component"] for s in first["sessions"]] == ["text_encoder", "unet", "vae_decoder"]
    assert [(s["component"], s["calls"], s.get("cached", False)) for s in second["sessions"]] == [
        ("unet", 2, False),
        ("vae_decoder", 1, False),
        ("text_encoder", 2, True),
    ]
    assert {n["node"] for n in second["nodes"] if n["cached"]} == {"1", "2", "3", "4"}


def test_an_invalid_workflow_as_json(tmp_path: Path) -> None:
    done = onnxflow("run", quick(tmp_path, n4={"width": 7, "height": 7}), "--json", "-q", cwd=tmp_path)
    assert done.returncode == 2
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert event["type"] == "invalid"
    assert [p["details"] for p in event["data"]["problems"]] == ["width", "height"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("delay", [0.05, 0.15, 0.3, 0.6, 1.2])
def test_ctrl_c_at_any_moment_is_quiet(tmp_path: Path, delay: float) -> None:
    path = quick(tmp_path, n5={"steps": 2000})
    process = started("run", path, cwd=tmp_path)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, said = finished(process)
    # In the first instants it is Python itself that is interrupted, before it has read a line of ours: it ends by the
    # signal or, where it was looking for its own modules, with 1.
    assert process.returncode in ((130,) if delay >= 0.3 else (130, -signal.SIGINT, 1))
    assert delay < 0.3 or "Traceback" not in said
    assert delay < 0.3 or "cancelled" in said
