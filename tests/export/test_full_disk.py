"""A disk that is full, or becomes full at any step, is one clear error, and nothing is left on it: real small disks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from onnxflow.cli.main import main
from onnxflow.export import bundle as exporting
from onnxflow.export import making, room
from onnxflow.export.estimate import estimate
from onnxflow.export.open_source import open_source
from onnxflow.export.source import parts
from onnxflow.export.steps import plan
from onnxflow.export.work_folder import WorkFolder
from onnxflow.models.bundle import open_bundle


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """An empty file system of so many bytes; a skip where the user may not mount one."""
    folder.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
        )
    except OSError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def refused(code: int, out: str, err: str, bundle: Path) -> None:
    assert code == 1, err
    assert out == ""
    assert "Traceback" not in err
    assert err.count("error: ") == 1
    assert (
        "error: cannot write the bundle: No space left on device\n"
        f"  in: {bundle}\n"
        "  try: free some space, or name a folder on another disk\n"
    ) in err


def export(
    model: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """`onnxflow export` in this process."""
    monkeypatch.setattr(sys, "argv", ["onnxflow", "export", str(model), "-o", str(bundle)])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


def fill(disk: Path, leaving: int = 0) -> None:
    """Leave so many bytes free."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(file.tell() - leaving)


@pytest.mark.parametrize(
    ("where", "name", "beside"),
    [
        (making, "WorkFolder", False),  # the hidden folder itself
        (exporting, "_write_reference", False),
        (WorkFolder, "keep", False),  # the journal
        (exporting, "_write_table", False),
        (exporting, "write_component", False),
        (exporting, "write_component", True),  # its weights in a file of their own
        (exporting, "write_tokenizer", False),
        (exporting, "write_manifest", False),
    ],
    ids=lambda value: str(value) if isinstance(value, str | bool) else "",
)
def test_a_disk_that_becomes_full_at_a_step(
    random_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    where: Any,
    name: str,
    beside: bool,
) -> None:
    if beside:
        write = exporting.write_graph
        monkeypatch.setattr(exporting, "write_graph", lambda *given: write(*given, inline_limit=1000))
    monkeypatch.setattr(exporting, "compare", lambda *given: (0.0, 0.1))  # the time is in the calls
    with mounted(tmp_path / "disk", 32_000_000) as disk:
        step = getattr(where, name)

        def filling(*given: Any, **options: Any) -> Any:
            if not (disk / "ballast").exists():
                # A table's header finds room, so that its numbers do not: numpy's own error for that is of no use.
                fill(disk, 8192 if name == "_write_table" else 0)
            return step(*given, **options)

        monkeypatch.setattr(where, name, filling)
        bundle = disk / "models" / "mine"
        refused(*export(random_model, bundle, monkeypatch, capsys), bundle)
        assert [path.name for path in disk.iterdir()] == ["ballast"]


@pytest.fixture(scope="module")
def taken(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Bytes of the whole bundle."""
    bundle = tmp_path_factory.mktemp("whole") / "bundle"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(exporting, "compare", lambda *given: (0.0, 0.1))
        exporting.export_bundle(random_model, bundle)
    return sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())


@pytest.mark.parametrize("share", [0.01, 0.1, 0.4, 0.7, 0.95])
def test_a_disk_of_any_size_that_is_too_small(
    random_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    taken: int,
    share: float,
) -> None:
    monkeypatch.setattr(exporting, "compare", lambda *given: (0.0, 0.1))
    monkeypatch.setattr(room, "free_disk", lambda path: 10**12)  # or it would not begin
    with mounted(tmp_path / "disk", int(share * taken)) as disk:
        refused(*export(random_model, disk / "mine", monkeypatch, capsys), disk / "mine")
        assert not list(disk.iterdir())


def test_as_a_user_meets_it_with_an_older_bundle_there(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(random_model)
    steps = plan(parts(source.facts), "sd1", ["fp32"], "fp32")
    least = estimate({part: source.shapes(part) for part in parts(source.facts)}, steps, "fp32").least

    def onnxflow(bundle: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "onnxflow", "export", str(random_model), "-o", str(bundle)]
        return subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)

    with mounted(tmp_path / "disk", 3 * least) as disk:
        monkeypatch.setattr(exporting, "compare", lambda *given: (0.0, 0.1))
        exporting.export_bundle(random_model, disk / "mine")
        with (disk / "ballast").open("wb") as ballast:  # the new bundle's weights would fit, but not its graphs
            ballast.truncate(0)
            ballast.write(bytes(room.free_disk(disk) - least - 100_000))
        done = onnxflow(disk / "mine")
        refused(done.returncode, done.stdout, done.stderr, disk / "mine")
        with (disk / "ballast").open("ab") as ballast:
            ballast.write(bytes(200_000))
        done = onnxflow(disk / "mine")
        assert done.returncode == 1
        assert "error: the bundle takes at least " in done.stderr and ", the disk has " in done.stderr
        assert "Traceback" not in done.stderr
        assert sorted(path.name for path in disk.iterdir()) == ["ballast", "mine"]
        open_bundle(disk / "mine")
