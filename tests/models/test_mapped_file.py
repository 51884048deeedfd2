"""A file is mapped only while it is the one that was opened."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onnxflow.errors import ModelError
from onnxflow.models.mapped_file import FileState, MappedFile

CONTENT = bytes(range(256)) * 64


@pytest.fixture
def file(tmp_path: Path) -> MappedFile:
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    os.utime(path, ns=(10**18, 10**18))  # long ago, so that the next write is at another time
    return MappedFile.open(path)


def test_bytes_at_any_place(file: MappedFile) -> None:
    for offset, length in ((0, 1), (0, len(CONTENT)), (1, 7), (4095, 2), (4096, 4096), (len(CONTENT) - 1, 1)):
        view = file.map(offset, length)
        assert view.readonly and bytes(view) == CONTENT[offset : offset + length]
        assert file.read(offset, length) == CONTENT[offset : offset + length]
    assert file.read(5, 0) == b""


def test_the_map_outlives_the_file(file: MappedFile) -> None:
    array = np.frombuffer(file.map(3, 5), np.uint8)
    file.path.unlink()
    assert array.tolist() == [3, 4, 5, 6, 7]


def handles(path: Path) -> int:
    """How many open handles this process has of a file, those of its maps included."""
    links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    return sum(os.path.samefile(link, path) for link in links if os.path.exists(link))


def test_all_views_take_one_handle_and_give_it_back(file: MappedFile) -> None:
    views = [file.map(offset, 1) for offset in range(3000)]  # a process may have 1024 handles, as a rule
    assert handles(file.path) == 1
    view = views.pop()
    views.clear()
    assert handles(file.path) == 1 and bytes(view) == CONTENT[2999:3000]
    del view
    assert handles(file.path) == 0 and bytes(file.map(1, 1)) == b"\1"


def cut_off(path: Path) -> None:
    os.truncate(path, 100)


def lengthened(path: Path) -> None:
    os.truncate(path, len(CONTENT) + 1)


def written(path: Path) -> None:
    with open(path, "r+b") as opened:
        opened.write(b"x")


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(CONTENT)
    os.utime(other, ns=(10**18, 10**18))
    os.replace(other, path)


def removed(path: Path) -> None:
    path.unlink()


def became_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (cut_off, "it had 16,384 bytes, now it has 100"),
        (lengthened, "it had 16,384 bytes, now it has 16,385"),
        (written, "it was written to"),
        (replaced, "another file has taken its place"),
        (removed, "it is gone|No such file"),
    ],
)
def test_a_file_that_changed_is_not_read(file: MappedFile, change: Callable[[Path], None], reason: str) -> None:
    mapped = MappedFile(file.path, file.state)
    view = mapped.map(0, 1)
    change(file.path)
    for read in (file.check, lambda: file.read(0, 1), lambda: file.map(0, 1), lambda: mapped.map(0, 1)):
        with pytest.raises(ModelError, match=f"the file changed while it was in use: .*({reason})") as caught:
            read()
        assert caught.value.where == str(file.path) and "run again" in caught.value.hint
    assert len(view) == 1


def test_a_folder_in_its_place(file: MappedFile) -> None:
    became_a_folder(file.path)
    for read in (file.check, lambda: file.read(0, 1), lambda: file.map(0, 1)):
        with pytest.raises(ModelError, match=r"changed while|cannot read the file"):
            read()


def test_a_file_that_is_cut_off_between_the_check_and_the_map(
    file: MappedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = FileState.of(file.path)
    os.truncate(file.path, 5000)
    monkeypatch.setattr(FileState, "of", lambda path: state)
    with pytest.raises(ModelError, match="changed while it was in use: it has fewer than 16,384 bytes"):
        file.map(0, len(CONTENT))
    with pytest.raises(ModelError, match="changed while it was in use: it ends 11,384 bytes too early"):
        file.read(0, len(CONTENT))


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, reason in (
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "it is a pipe, a socket or a device"),
        (tmp_path / "loop", "symbolic links"),
        (tmp_path / "missing", "No such file"),
        (tmp_path / "a\0b", "null byte"),
    ):
        with pytest.raises(ModelError, match=f"cannot read the file: .*{reason}") as caught:
            MappedFile.open(path)
        assert caught.value.where == str(path) and caught.value.hint


def test_a_link_is_followed(file: MappedFile) -> None:
    link = file.path.with_name("link")
    link.symlink_to(file.path)
    linked = MappedFile.open(link)
    assert linked.state == file.state and linked.read(1, 2) == b"\1\2"
    other = file.path.with_name("other")
    other.write_bytes(CONTENT)
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(ModelError, match="another file has taken its place"):
        linked.check()
