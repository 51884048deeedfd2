"""An export killed at any moment leaves nothing that is a model, keeps the older bundle, and goes on to the very bundle
that an undisturbed export makes. Real processes of `onnxflow export`, real SIGKILLs."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
if os.name == "nt":
    pytest.skip("Windows has no SIGKILL", allow_module_level=True)

from onnxflow.errors import ModelError
from onnxflow.export import bundle as exporting
from onnxflow.export import replacement
from onnxflow.export.bundle import export_bundle
from onnxflow.export.work_folder import WorkFolder
from onnxflow.models.bundle import open_bundle
from onnxflow.models.store import EMBEDDED_NAME, ModelStore

HERE = Path(__file__).parent
OPTIONS = ("--precision", "fp32", "--precision", "fp16", "--precision", "int8")
STEPS = 25  # lines of a whole journal: 4 references, 1 token table, 10 graphs written, 10 checked
MEASURED = ("seconds", "verdict")  # of a graph, by the clock: the only thing that differs between two exports


def start(model: Path, bundle: Path, *options: str, before: tuple[str, ...] = ("-m", "onnxflow")) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-P", *before, "export", str(model), "-o", str(bundle), *OPTIONS, *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell that has started the tests in the background has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def contents(bundle: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """All files but the manifest, byte by byte, and the manifest without what the clock says."""
    files = {str(path.relative_to(bundle)): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    manifest = json.loads(files.pop("onnxflow.json"))
    for component in manifest["components"].values():
        for variant in component["variants"].values():
            assert variant["seconds"] > 0
            assert variant["verdict"] in ("ok", "slower than fp32 on this CPU")
            for name in MEASURED:
                del variant[name]
    return files, manifest


def lines(bundle: Path) -> int:
    journal = bundle.with_name(f".{bundle.name}.part") / "journal.jsonl"
    try:
        return journal.read_text().count("\n")
    except OSError:
        return 0


def models(root: Path) -> list[str]:
    return [entry.name for entry in ModelStore((root,)).entries() if entry.name != EMBEDDED_NAME]


def opened(folder: Path) -> list[Path]:
    """Every folder below that opens as a model."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_dir()):
        try:
            open_bundle(path)
        except ModelError:
            continue
        found.append(path)
    return found


@pytest.fixture(scope="module")
def folder(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An `older` bundle, the `whole` one that an undisturbed export makes with other options, and `nearly`, what a kill
    of that would have left when all graphs were made."""
    folder = tmp_path_factory.mktemp("bundles")
    export_bundle(random_model, folder / "older", storage="fp16")
    write = exporting.write_manifest

    def copying(*given: Any) -> None:
        shutil.copytree(folder / ".whole.part", folder / "nearly")
        write(*given)

    with pytest.MonkeyPatch.context() as copied:
        copied.setattr(exporting, "write_manifest", copying)
        export_bundle(random_model, folder / "whole", precisions=["fp32", "fp16", "int8"])
    return folder


@pytest.fixture
def whole(folder: Path) -> Path:
    return folder / "whole"


@pytest.fixture
def older(folder: Path, tmp_path: Path) -> Path:
    """The older bundle in a folder of models."""
    return Path(shutil.copytree(folder / "older", tmp_path / "checkpoints" / "mine"))


@pytest.mark.parametrize("between", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_killed_at_many_moments_it_goes_on_to_the_same_bundle(
    random_model: Path, older: Path, whole: Path, tmp_path: Path, between: int
) -> None:
    before = contents(older)
    chance = random.Random(5)
    # Spread over the work rather than over the seconds, most of which are the imports.
    moments = [0, *sorted(chance.sample(range(1, STEPS), between)), STEPS]
    for moment in moments:
        process = start(random_model, older, "--resume")
        while lines(older) < moment and process.poll() is None:
            time.sleep(0.002)
        if moment < STEPS:
            time.sleep(chance.uniform(0, 0.2 if moment else 4))  # in the middle of a step, or of the imports
        process.kill()
        assert process.wait() == -signal.SIGKILL, process.communicate()[1]
        process.communicate()
        assert opened(tmp_path) == [older]
        assert models(tmp_path) == ["mine"]
        assert contents(older) == before
    process = start(random_model, older, "--resume")
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert f"goes on: {STEPS} steps are done" in said
    assert contents(older) == contents(whole)
    assert [path.name for path in older.parent.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("event", "ending", "hidden"),
    [
        ("open", "/.mine.part/onnxflow.json", False),  # the manifest
        ("os.rename", "/.mine.part/onnxflow.json", False),
        ("shutil.rmtree", "/.mine.old", True),  # all is ready
        ("shutil.rmtree", "/.mine.part", True),  # the bundles are exchanged
    ],
)
def test_killed_at_the_very_end(
    random_model: Path, older: Path, folder: Path, tmp_path: Path, event: str, ending: str, hidden: bool
) -> None:
    before, whole = contents(older), contents(folder / "whole")
    shutil.copytree(folder / "nearly", older.parent / ".mine.part")
    process = start(random_model, older, "--resume", before=(str(HERE / "kill_at.py"), event, ending, "1"))
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    assert models(tmp_path) == ["mine"]
    assert contents(older) == (whole if ending == "/.mine.part" else before)
    # For these moments both bundles are whole: the one that is not in its place lies hidden, and has no name.
    assert opened(tmp_path) == ([older.parent / ".mine.part" / "files"] if hidden else []) + [older]
    if hidden:  # which of both lies there cannot be told: nothing of it is gone on with
        key = json.loads((older.parent / ".mine.part" / "export.json").read_text())
        assert WorkFolder(older, key, resume=True, report=print).done("unet, fp32") is None
        return
    export_bundle(random_model, older, precisions=["fp32", "fp16", "int8"], resume=True)
    assert contents(older) == whole
    assert [path.name for path in older.parent.iterdir()] == ["mine"]


def test_killed_between_the_two_renames_where_folders_cannot_be_exchanged(
    random_model: Path, older: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(older)
    shutil.copytree(folder / "nearly", older.parent / ".mine.part")
    monkeypatch.setattr(replacement, "exchange", lambda one, other: False)
    rename = Path.rename

    def killing(path: Path, target: Path) -> Path:
        if path.name == "files":
            raise KeyboardInterrupt  # nothing catches it on the way
        return rename(path, target)

    with monkeypatch.context() as killed:
        killed.setattr(Path, "rename", killing)
        with pytest.raises(KeyboardInterrupt):
            export_bundle(random_model, older, precisions=["fp32", "fp16", "int8"], resume=True)
    assert models(tmp_path) == []
    with pytest.raises(ModelError):
        export_bundle(tmp_path / "nothing", older)  # any export of that name puts it back
    assert contents(older) == before


def test_ctrl_c_says_how_to_go_on(random_model: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "mine"
    process = start(random_model, bundle)
    while lines(bundle) < 3 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    said = process.communicate()
    assert process.returncode == 130, said
    assert said[0] == ""
    assert "Traceback" not in said[1]
    assert said[1].endswith("cancelled\n  try: the same command with --resume goes on with what is done\n")
    assert opened(tmp_path) == []
    assert lines(bundle) >= 3
