"""`onnxflow run --place`, --fallback and --on-nan as a user runs them: real processes and the embedded model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from PIL import Image

from onnxflow.providers.catalog import PROVIDERS
from onnxflow.providers.plugin import plugin_of

WORKFLOW = Path(__file__).parents[2] / "workflows" / "txt2img.json"
MISSING = [
    one.name
    for one in PROVIDERS
    if one.ep not in onnxruntime.get_available_providers() and plugin_of(one) is None
]  # fmt: skip


def onnxflow(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A finished run of the program, with nothing remembered from others'."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", *map(str, arguments)],
        cwd=cwd, env={**os.environ, "ONNXFLOW_CACHE": str(cwd / "kept")},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def quick(folder: Path, meta: Mapping[str, str] | None = None) -> Path:
    """txt2img.json with two steps of 64 x 64 pixels, and places in the file."""
    document = json.loads(WORKFLOW.read_text())
    document["5"]["inputs"]["steps"] = 2
    document["4"]["inputs"].update(width=64, height=64)
    for node, place in (meta or {}).items():
        document[node].setdefault("_meta", {})["onnxflow"] = {"place": place}
    path = folder / "wf.json"
    path.write_text(json.dumps(document))
    return path


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert done.stderr.count("error: ") == 1 and done.stderr.count("  try: ") == 1
    for word in words:
        assert word in done.stderr


def sessions(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """What the report of --json says, by component."""
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["type"] == "report"
    return {one["component"]: one for one in report["data"]["sessions"]}


def test_no_machine_has_them_all() -> None:
    assert {"directml", "coreml"} & set(MISSING) and "cpu" not in MISSING


@pytest.mark.parametrize("name", MISSING)
def test_a_provider_that_is_not_installed_is_refused_before_anything_runs(tmp_path: Path, name: str) -> None:
    path = quick(tmp_path)
    done = onnxflow("run", path, "--json", "-q", "--place", f"unet={name}", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("error: ") == 1 and "  try: " in done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["type"] == "error" and events[-1]["data"]["exit_code"] == 3 and events[-1]["data"]["hint"]
    assert events[-1]["data"]["node"] == "5", "the node that would have run it"
    ran = {event["data"]["node"] for event in events if event["type"] == "executing"} - {None}
    assert ran <= {"1"} and not (tmp_path / "output").exists()


def test_names_that_there_are_not_exit_2(tmp_path: Path) -> None:
    path = quick(tmp_path)
    cases: list[tuple[list[str], list[str]]] = [
        (["--place", "unet=cudda"], ["no execution provider 'cudda'", "did you mean 'cuda'", "in: --place unet=cudda"]),
        (["--place", "unnet=cpu"], ["no component 'unnet'", "did you mean 'unet'"]),
        (["--place", "99=cpu"], ["no component '99', and no such node"]),
        (["--place", "7=cpu"], ["node 7 (Save Image, SaveImage) runs no network"]),
        (["--place", "unet=openvino:tpu"], ["no device 'tpu'"]),
        (["--place", "unet="], ["is no placement"]),
        (["--place", "unet=cpu@half"], ["'half' is no variant of a model", "fp32, fp16, int8, int8-static"]),
        (["--fallback", "alow"], ["--fallback 'alow'", "did you mean 'allow'"]),
        (["--on-nan", "zero"], ["--on-nan 'zero'"]),
    ]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda case: onnxflow("run", path, *case[0], cwd=tmp_path), cases))
    for (_, words), one in zip(cases, done, strict=True):
        refused(one, 2, *words)
    assert not (tmp_path / "output").exists()


def test_fallback_allow_draws_and_says_so_in_a_line_the_report_and_the_picture(tmp_path: Path) -> None:
    name = MISSING[0]
    flags = ("--place", f"5={name}", "--fallback", "allow", "--json")
    done = onnxflow("run", quick(tmp_path), *flags, cwd=tmp_path)
    found = sessions(done)
    (line,) = (line for line in done.stderr.splitlines() if "asked for" in line)
    assert line.startswith(f"unet: asked for {name}") and "ran in fp32 on cpu: " in line
    assert found["unet"]["asked"].startswith(name) and f"(--place 5={name})" in found["unet"]["asked"]
    assert (found["unet"]["device"], found["unet"]["nodes"].keys()) == ("cpu", {"cpu"}) and found["unet"]["note"]
    assert (found["text_encoder"]["asked"], "note" in found["text_encoder"]) == ("auto", False)
    with Image.open(tmp_path / "output" / "onnxflow_00001_.png") as picture:
        kept = json.loads(picture.info["onnxflow"])
    assert {one["component"]: (one["asked"], one["device"], one.get("note")) for one in kept["sessions"]} == {
        component: (one["asked"], one["device"], one.get("note")) for component, one in found.items()
    }
    assert kept["time"] == {"cpu": 100}


def test_a_device_that_is_tried_is_named_and_not_with_quiet(tmp_path: Path) -> None:
    path, name = quick(tmp_path), MISSING[0]
    # The third time its failure is remembered, but it was named: it is tried again.
    for quiet, said in ((["-q"], 0), ([], 1), ([], 1)):
        done = onnxflow("run", path, "--place", f"unet={name}", *quiet, cwd=tmp_path)
        tried = [line for line in done.stderr.splitlines() if line.startswith("trying ")]
        assert done.returncode == 3 and len(tried) == said, done.stderr
        assert not tried or (tried[0].startswith(f"trying {name}") and tried[0].endswith(" ..."))


def test_what_fell_back_is_said_once_and_with_quiet_as_well(tmp_path: Path) -> None:
    name = MISSING[0]
    for quiet in ([], ["-q"]):
        done = onnxflow("run", quick(tmp_path), "--place", name, "--fallback", "allow", *quiet, cwd=tmp_path)
        assert done.returncode == 0 and done.stdout.endswith("_.png\n")
        (line,) = (line for line in done.stderr.splitlines() if "asked for" in line)
        assert line.startswith(f"text_encoder, unet, vae_decoder: asked for {name}") and "ran in fp32 on cpu: " in line
        assert quiet == [] or done.stderr.splitlines() == [line]


def test_pictures_of_later_turns_say_what_made_them(tmp_path: Path) -> None:
    done = onnxflow("run", quick(tmp_path), "--count", "2", "--json", "-q", cwd=tmp_path)
    found = sessions(done)
    assert {name: one.get("cached") for name, one in found.items()} == {
        "unet": None, "vae_decoder": None, "text_encoder": True,
    }  # fmt: skip
    nodes = {one["node"]: one for one in json.loads(done.stdout.splitlines()[-1])["data"]["nodes"]}
    assert nodes["5"]["ran"] == [{"component": "unet", "precision": "fp32", "asked": "auto", "device": "cpu"}]
    assert nodes["2"]["cached"] and nodes["2"]["ran"][0]["component"] == "text_encoder"
    assert "ran" not in nodes["7"]
    for number in (1, 2):
        with Image.open(tmp_path / "output" / f"onnxflow_0000{number}_.png") as picture:
            kept = json.loads(picture.info["onnxflow"])
        assert {one["component"] for one in kept["sessions"]} == {"text_encoder", "unet", "vae_decoder"}


def test_the_file_the_profile_and_the_flags_each_place_and_the_nearest_counts(tmp_path: Path) -> None:
    path = quick(tmp_path, {"2": "cpu@int8", "3": "cpu@int8"})
    (tmp_path / "onnxflow.toml").write_text('[place]\nunet = "cpu@int8"\nclip = "coreml"\n')
    found = sessions(onnxflow("run", path, "--json", "-q", cwd=tmp_path))
    assert {name: (one["precision"], one["device"]) for name, one in found.items()} == {
        "text_encoder": ("int8", "cpu"), "unet": ("int8", "cpu"), "vae_decoder": ("fp32", "cpu"),
    }  # fmt: skip
    assert found["unet"]["asked"] == "cpu@int8 (onnxflow.toml, unet)"
    flags = ("--place", "unet=cpu@int8", "--place", "5=cpu@fp32,clip=cpu@fp32")
    found = sessions(onnxflow("run", path, *flags, "--json", "-q", cwd=tmp_path))
    assert [found[name]["precision"] for name in ("text_encoder", "unet")] == ["fp32", "fp32"]


def test_a_file_or_a_profile_with_a_wrong_name_says_whose_it_is(tmp_path: Path) -> None:
    refused(onnxflow("run", quick(tmp_path, {"5": "cudda"}), cwd=tmp_path), 2, "'cudda'", "at: node 5")
    (tmp_path / "onnxflow.toml").write_text('[place]\nunet = "cudda"\n')
    refused(onnxflow("run", quick(tmp_path), cwd=tmp_path), 2, "'cudda'", "in: onnxflow.toml")
    (tmp_path / "onnxflow.toml").write_text('[place]\nunnet = "cpu"\n')
    refused(onnxflow("run", quick(tmp_path), cwd=tmp_path), 2, "onnxflow.toml: there is no component 'unnet'")


def test_a_variant_that_the_model_has_not(tmp_path: Path) -> None:
    done = onnxflow("run", quick(tmp_path), "--place", "unet=cpu@fp16", cwd=tmp_path)
    refused(done, 3, "the unet of onnxflow-tiny has no variant 'fp16'", "at: node 5", "fp32")
    done = onnxflow("run", quick(tmp_path), "--place", "vae=cpu@int4", cwd=tmp_path)
    refused(done, 3, "the vae_decoder of onnxflow-tiny has no variant 'int4'", "at: node 6", "fp32")
    assert "steps" not in done.stderr and not (tmp_path / "output").exists(), "nothing was drawn"
