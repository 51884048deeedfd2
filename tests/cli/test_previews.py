"""`onnxflow run --preview DIR`: the files, in a real process; what can go wrong, without one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from onnxflow.cli.previews import Previews
from onnxflow.dump.name import file_name
from onnxflow.engine.events import Event
from onnxflow.errors import UsageError
from onnxflow.values import Preview

TXT2IMG = Path(__file__).parents[2] / "workflows" / "txt2img.json"

# Correlation and mean difference (of 255) of the picture, shrunk eightfold, and the last preview, after 4 steps.
# Measured for 4 prompts and 3 seeds each: 0.988 to 0.996, and 4.0 to 9.6.
LEAST_ALIKE = 0.98
MOST_OFF = 10.0


def onnxflow(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A finished run of txt2img.json."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "run", str(TXT2IMG), *map(str, arguments)],
        cwd=cwd, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def shrunk(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.size == (128, 128)
        return np.asarray(picture.convert("RGB").resize((16, 16), Image.Resampling.BOX), float)


def test_every_step_is_written_and_the_last_resembles_the_picture(tmp_path: Path) -> None:
    done = onnxflow("--set", "5.steps=4", "--preview", "deep/steps", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    steps = sorted((tmp_path / "deep" / "steps").iterdir())
    assert [path.name for path in steps] == [f"5_0000{step}.jpg" for step in (1, 2, 3, 4)]
    picture = shrunk(Path(done.stdout.strip()))
    alike = [float(np.corrcoef(shrunk(path).ravel(), picture.ravel())[0, 1]) for path in steps]
    assert alike[-1] > LEAST_ALIKE and alike[0] < alike[-1], alike
    assert np.abs(shrunk(steps[-1]) - picture).mean() < MOST_OFF
    with Image.open(steps[0]) as first:
        assert first.format == "JPEG"


def test_turns_do_not_overwrite_each_other_and_json_lines_say_where_the_files_are(tmp_path: Path) -> None:
    done = onnxflow("--set", "5.steps=2", "--count", 2, "--preview", tmp_path / "p", "--json", "-q", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    data = [event["data"] for event in map(json.loads, done.stdout.splitlines()) if event["type"] == "progress"]
    said = [Path(each["preview"]) for each in data if each["node"] == "5"]
    assert said == [tmp_path / "p" / f"run{turn}_5_0000{step}.jpg" for turn in (1, 2) for step in (1, 2)]
    assert sorted((tmp_path / "p").iterdir()) == said
    assert said[1].read_bytes() != said[3].read_bytes()
    assert all("preview" not in each for each in data if each["node"] != "5")


def test_without_the_flag_there_are_none(tmp_path: Path) -> None:
    done = onnxflow("--set", "5.steps=1", "--json", "-q", cwd=tmp_path)
    assert done.returncode == 0 and "preview" not in done.stdout
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".png"]


@pytest.mark.parametrize("folder", ["taken", "taken/below"])
def test_a_folder_that_cannot_be_is_refused_before_anything_runs(tmp_path: Path, folder: str) -> None:
    (tmp_path / "taken").write_text("a file")
    done = onnxflow("--preview", folder, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{tmp_path / 'taken'} is a file, not a folder" in done.stderr and "try: give --preview" in done.stderr
    assert done.stderr.count("error: ") == 1 and not (tmp_path / "output").exists()


def test_a_folder_that_this_user_may_not_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match="may not create a folder in"):
        Previews(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_the_system_does_not_make_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot create the folder"):
        Previews(tmp_path / ("x" * 300))


PICTURE = Preview(b"a picture", 8, 8)


def step(node: str = "5", value: int = 1, preview: Preview | None = PICTURE) -> Event:
    return Event("progress", {"value": value, "max": 3, "node": node}, lambda: preview)


def test_a_file_of_that_name_is_replaced_and_no_draft_is_left(tmp_path: Path) -> None:
    told: list[Event] = []
    listen = Previews(tmp_path).before(told.append, 0)
    for picture in (b"first", b"second"):
        listen(step(preview=Preview(picture, 8, 8)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"5_00001.jpg": b"second"}
    assert told[0].data["preview"] == str(tmp_path / "5_00001.jpg")
    assert told[0].preview is not None


def test_other_events_pass_as_they_are(tmp_path: Path) -> None:
    told: list[Event] = []
    events = [Event("executing", {"node": "5"}), Event("progress", {"value": 1, "max": 1, "node": "6"})]
    listen = Previews(tmp_path).before(told.append, 0)
    for event in events:
        listen(event)
    assert told == events and not list(tmp_path.iterdir())


def test_turns_sort_by_name(tmp_path: Path) -> None:
    previews = Previews(tmp_path, turns=12)
    for turn in (1, 11):
        previews.before(lambda event: None, turn)(step())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run02_5_00001.jpg", "run12_5_00001.jpg"]


def test_a_model_of_unknown_colours_is_said_once_a_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[Event] = []
    previews = Previews(tmp_path, turns=2)
    for turn in (0, 1):
        for value in (1, 2):
            previews.before(told.append, turn)(step("5\n", value, None))
    assert capsys.readouterr().err == ("no previews of node 5\\n: nobody knows the colours of its model's latents\n")
    assert len(told) == 4 and "preview" not in told[0].data and not list(tmp_path.iterdir())


def test_a_disk_that_fails_ends_the_previews_and_not_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Event] = []
    listen = Previews(tmp_path / "p").before(told.append, 0)
    (tmp_path / "p").rmdir()
    for value in (1, 2, 3):
        listen(step(value=value))
    assert len(told) == 3 and "preview" not in told[0].data
    assert capsys.readouterr().err == f"no more previews: No such file or directory ({tmp_path / 'p'})\n"


IDS = st.text(st.characters() | st.sampled_from("./\\:~%\ud800"))


@given(st.lists(IDS, unique=True, min_size=2, max_size=2))
def test_any_id_is_a_name_of_its_own(ids: list[str]) -> None:
    names = [file_name(node) for node in ids]
    assert names[0] != names[1]
    assert all(re.fullmatch("[A-Za-z0-9_%-]{0,100}", name) for name in names)


@pytest.mark.parametrize(
    ("node", "name"), [("5", "5"), ("3:1", "3%3A1"), ("../x", "%2E%2E%2Fx"), ("é", "%C3%A9"), ("a_b-C", "a_b-C")]
)
def test_ids_stay_readable(node: str, name: str) -> None:
    assert file_name(node) == name


def test_a_long_id_is_cut_and_stays_another_one() -> None:
    names = {file_name("n" * 5000 + end) for end in "ab"}
    assert len(names) == 2 and {len(name) for name in names} == {100}


def test_an_empty_name_is_no_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "run", str(TXT2IMG), "--preview", ""],
        cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--preview: the folder's name is empty" in done.stderr
    assert list(tmp_path.iterdir()) == []
