import errno
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxflow.errors import OutputError
from onnxflow.nodes import output_files

NOW = time.struct_time((2026, 3, 4, 5, 6, 7, 2, 63, 0))
PIECES = [
    "..",
    ".",
    "/",
    "\\",
    "a",
    "b c",
    "C:",
    "CON",
    "\0",
    "%width%",
    "%year%",
    "%",
    "é",
    "out/",
    "sub/",
    "\ud800",
    "*",
]


def save(root: Path, prefix: str, *datas: bytes, suffix: str = ".png") -> list[str]:
    """The names below the root under which ``datas`` were saved."""
    place = output_files.target(root, "output", prefix, now=NOW, width=640, height=480)
    saved = list(output_files.save(place, suffix, datas, len(datas)))
    assert [file.path.read_bytes() for file in saved] == list(datas)
    return ["/".join(filter(None, (file.subfolder, file.filename))) for file in saved]


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("ComfyUI", "ComfyUI_00001_.png"),
        ("sub/cap", "sub/cap_00001_.png"),
        ("sub\\cap", "sub/cap_00001_.png"),
        ("a/b/../c", "a/c_00001_.png"),
        ("sub/", "sub_00001_.png"),
        ("", "._00001_.png"),
        ("x.png", "x.png_00001_.png"),
        ("%width%x%height%", "640x480_00001_.png"),
        ("%year%-%month%-%day%/%hour%%minute%%second%", "2026-03-04/050607_00001_.png"),
        ("%date:yyyy%_%seed%", "%date:yyyy%_%seed%_00001_.png"),
        ("n%batch_num%", "n0_00001_.png"),
    ],
)
def test_names(prefix: str, name: str, tmp_path: Path) -> None:
    assert save(tmp_path, prefix, b"1") == [name]
    assert files(tmp_path) == [name]


def test_counter_is_the_highest_plus_one() -> None:
    def counter(*names: str, stems: tuple[str, ...] = ("a",)) -> int:
        return output_files.next_counter(names, stems)

    assert counter() == 1
    assert counter("a_00001_.png", "a_00007_.png", "a_00003_.png") == 8
    assert counter("a_00009_.jpg", "a_00010_") == 11
    assert counter("b_00009_.png", "ab_00009_.png", "A_00009_.png" if os.name == "posix" else "") == 1
    # Without the second "_" there is no counter, as in ComfyUI.
    assert counter("a_00004.png", "a_.png", "a_x_.png", "a_-5_.png") == 1
    assert counter("a_100000_.png") == 100001
    assert counter("x_0_00003_.png", "x_1_00004_.png", stems=("x_0", "x_1")) == 5


def test_counter_continues_and_gaps_stay(tmp_path: Path) -> None:
    assert save(tmp_path, "a", b"1", b"2") == ["a_00001_.png", "a_00002_.png"]
    (tmp_path / "a_00001_.png").unlink()
    assert save(tmp_path, "a", b"3") == ["a_00003_.png"]
    assert save(tmp_path, "a_temp", b"4") == ["a_temp_00001_.png"]
    assert save(tmp_path, "a", b"5", suffix=".latent") == ["a_00004_.latent"]


def test_batch_numbers_never_replace_an_earlier_batch(tmp_path: Path) -> None:
    assert save(tmp_path, "x_%batch_num%", b"1", b"2") == ["x_0_00001_.png", "x_1_00002_.png"]
    assert save(tmp_path, "x_%batch_num%", b"3", b"4") == ["x_0_00003_.png", "x_1_00004_.png"]


@pytest.mark.parametrize(
    "prefix", ["..", "../x", "a/../../x", "/tmp/x", "C:\\x", "..\\x", "\\\\host\\x", "a\0b", "CON", "con/x", "\udcff"]
)
def test_prefixes_that_leave_the_root(prefix: str, tmp_path: Path) -> None:
    root = tmp_path / "output"
    with pytest.raises(OutputError) as caught:
        save(root, prefix, b"1")
    assert repr(prefix) in caught.value.message
    assert caught.value.where == str(root)
    assert "relative" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_symbolic_link_out_of_the_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "output", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "link").symlink_to(outside)
    with pytest.raises(OutputError, match="symbolic link"):
        save(root, "link/x", b"1")
    assert list(outside.iterdir()) == []


def test_a_link_in_the_way_of_a_file_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "output"
    root.mkdir()
    (root / "a_x_").symlink_to(tmp_path / "outside")
    place = output_files.target(root, "output", "a", now=NOW)
    (root / "a_00001_.png").symlink_to(tmp_path / "outside")
    assert output_files._write_new(place.folder, "a", ".png", 1, b"1") == ("a_00002_.png", 2)
    assert not (tmp_path / "outside").exists()


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=20))
@settings(max_examples=150, deadline=None)
def test_no_prefix_escapes(prefix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder).resolve()
        root, outside = top / "x" / "output", top / "outside"
        root.mkdir(parents=True)
        outside.mkdir()
        (root / "out").symlink_to(outside)
        try:
            (name,) = save(root, prefix, b"1")
        except OutputError:
            assert files(top) == []
        else:
            assert files(top) == [f"x/output/{name}"]


def test_two_processes_never_take_one_name(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from onnxflow.nodes import output_files as o\n"
        "for i in range(40):\n"
        "    place = o.target(Path(sys.argv[1]), 'output', 'a', now=time.localtime())\n"
        "    list(o.save(place, '.png', [f'{sys.argv[2]} {i}'.encode()], 1))\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), who]) for who in ("left", "right")]
    assert [run.wait(60) for run in runs] == [0, 0]
    assert files(tmp_path) == [f"a_{k:05}_.png" for k in range(1, 81)]
    written = {(tmp_path / name).read_text() for name in files(tmp_path)}
    assert written == {f"{who} {k}" for who in ("left", "right") for k in range(40)}


def _no_links(source: object, destination: object) -> None:
    raise OSError(errno.EPERM, "no hard links here")


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", _no_links)
    threads = [threading.Thread(target=save, args=(tmp_path, "a", b"1", b"2", b"3")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files(tmp_path) == [f"a_{k:05}_.png" for k in range(1, 13)]
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {1}


def test_without_hard_links_nothing_is_left_when_renaming_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: object, destination: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", _no_links)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        save(tmp_path, "a", b"1")
    assert files(tmp_path) == []


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link
    seen = []

    def watched(source: str, destination: str) -> None:
        seen.append((sorted(path.suffix for path in tmp_path.iterdir()), Path(source).read_bytes()))
        link(source, destination)

    monkeypatch.setattr(os, "link", watched)
    save(tmp_path, "a", b"whole")
    assert seen == [([".tmp"], b"whole")]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, destination: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        save(tmp_path, "sub/a", b"1")
    assert caught.value.where == str(tmp_path / "sub")
    assert "free some space" in caught.value.hint
    assert files(tmp_path) == []


def test_a_write_cut_short_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OutputError, match="File too large"):
            save(tmp_path, "a", b"1" * 20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path) == []


def test_earlier_files_of_a_batch_stay_when_a_later_one_fails(tmp_path: Path) -> None:
    def datas() -> Iterator[bytes]:
        yield b"1"
        raise KeyboardInterrupt

    place = output_files.target(tmp_path, "output", "a", now=NOW)
    with pytest.raises(KeyboardInterrupt):
        list(output_files.save(place, ".png", datas(), 2))
    assert files(tmp_path) == ["a_00001_.png"]


def test_what_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    for prefix in ("file/x", "file/deeper/x", "a" * 300, "a" * 300 + "/x"):
        with pytest.raises(OutputError):
            save(tmp_path, prefix, b"1")
        assert output_files.problem(tmp_path, "output", prefix)
    assert files(tmp_path) == ["file"]


def test_an_output_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    for root, prefix in ((tmp_path / "file", "a"), (tmp_path / "file" / "deeper", "a"), (tmp_path, "file/a")):
        with pytest.raises(OutputError) as caught:
            save(root, prefix, b"1")
        assert caught.value.message == f"cannot write a file: {tmp_path / 'file'} is a file, not a folder"
        assert "--output-dir" in caught.value.hint and "permissions" not in caught.value.hint
        reason = output_files.problem(root, "output", prefix)
        assert reason is not None and "is a file, not a folder" in reason and "--output-dir" in reason
    assert "file name prefix" in caught.value.hint
    assert output_files.problem(tmp_path / "file", "output", None)
    assert files(tmp_path) == ["file"]


def test_a_folder_that_may_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    for root, words in ((tmp_path, "may not write into"), (tmp_path / "new", "may not create a folder in")):
        reason = output_files.problem(root, "output", "a/b" if root != tmp_path else "a")
        assert reason is not None and f"this user {words} {tmp_path}" in reason and "permissions" in reason
        with pytest.raises(OutputError, match=words):
            save(root, "a", b"1")
    assert files(tmp_path) == []


@pytest.mark.parametrize("prefix", ["a", "a/b/c", "", "%width%/%year%", None])
def test_looking_at_a_prefix_creates_nothing(prefix: str | None, tmp_path: Path) -> None:
    assert output_files.problem(tmp_path / "not" / "there", "output", prefix) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("prefix", ["../x", "/tmp/x", "C:\\x", "a\0b", "con", "é" * 121])
def test_a_prefix_that_writing_would_refuse_is_a_problem(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught:
        save(tmp_path, prefix, b"1")
    reason = output_files.problem(tmp_path, "output", prefix)
    assert reason is not None and caught.value.message in reason and caught.value.hint in reason
    assert "\n" not in reason and "\0" not in reason


def test_the_longest_prefix_can_be_written(tmp_path: Path) -> None:
    (name,) = save(tmp_path, "a" * 239, b"1", suffix=".latent")
    assert len(name) == 239 + len("_00001_.latent")
