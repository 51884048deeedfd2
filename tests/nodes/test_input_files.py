import hashlib
from pathlib import Path

import pytest

from onnxflow.errors import InputError
from onnxflow.models.disk import Folders
from onnxflow.nodes import input_files


def wanted(name: str) -> bool:
    return name.endswith(".png")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    found = Folders(tmp_path / "input", tmp_path / "output", tmp_path / "temp")
    for root in (found.input, found.output, found.temp):
        (root / "sub").mkdir(parents=True)
        for name in ("cat.png", "sub/dog.png", "notes.txt"):
            (root / name).write_text(f"{root.name} {name}")
    return found


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("cat.png", "input cat.png"),
        ("cat.png [input]", "input cat.png"),
        ("cat.png [output]", "output cat.png"),
        ("sub/dog.png [temp]", "temp sub/dog.png"),
        ("sub\\dog.png", "input sub/dog.png"),
        ("./sub/../cat.png", "input cat.png"),
        ("notes.txt", "input notes.txt"),
    ],
)
def test_find(name: str, contents: str, folders: Folders) -> None:
    assert input_files.find(name, folders, wanted).read_text() == contents


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("cats.png", "there is no file 'cats.png'", "did you mean 'cat.png'"),
        ("sub/dogs.png", "there is no file 'sub/dogs.png'", "did you mean 'sub/dog.png'?"),
        ("zebra", "there is no file 'zebra'", "files: cat.png"),
        ("cat.png[output]", "there is no file 'cat.png[output]'", "did you mean 'cat.png'?"),
        ("", "there is no file ''", "files: cat.png"),
        ("sub", "there is no file 'sub'", "files: cat.png"),
        ("../output/cat.png", "leads out of the folder", "input folder"),
        ("../input/cat.png [output]", "leads out of the folder", "input folder"),
        ("/etc/passwd", "is an absolute path", "--input-dir"),
        ("C:\\cat.png", "names a Windows drive", "input folder"),
        ("cat.png\0", "NUL", "input folder"),
        ("link.png", "symbolic link", "no links out of it: copy the file into the input folder, or make"),
        ("a" * 5000, "too long", "input folder"),
        ("a/" * 5000, "too long", "input folder"),
    ],
)
def test_find_says_why_not(name: str, message: str, hint: str, folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "secret.png").touch()
    (folders.input / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(InputError) as caught:
        input_files.find(name, folders, wanted)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert Path(caught.value.where) in (folders.input, folders.output)
    assert len(caught.value.message) < 1000
    reason = input_files.problem("image", name, folders, wanted)
    assert reason is not None
    assert reason.startswith("Invalid image file: ")
    assert message in reason
    assert reason.isprintable()


def test_a_loop_of_links(folders: Folders) -> None:
    (folders.input / "loop.png").symlink_to(folders.input / "loop.png")
    with pytest.raises(InputError):
        input_files.find("loop.png", folders, wanted)


def test_problem(folders: Folders) -> None:
    assert input_files.problem("image", "cat.png", folders, wanted) is None
    assert input_files.problem("image", 7, folders, wanted) == "Invalid image file: 7 (expected a file name)"
    for name in ("cat\n.png", "cat\ud800.png", "cat\x1b[2J.png"):
        reason = input_files.problem("image", name, folders, wanted)
        assert reason is not None
        assert reason.isprintable()


def test_listing(folders: Folders) -> None:
    (folders.input / "Zoo.png").touch()
    (folders.input / "folder.png").mkdir()
    (folders.input / "b\u202f1.png").touch()
    (folders.input / "bytes\udcff.png").touch()
    assert input_files.listing(folders.input, wanted) == ("Zoo.png", "b\u202f1.png", "cat.png")
    assert input_files.listing(folders.input / "missing", wanted) == ()


def test_fingerprint(folders: Folders) -> None:
    expected = hashlib.sha256(b"input cat.png").hexdigest()
    assert input_files.fingerprint("cat.png", folders, wanted) == expected
    (folders.input / "cat.png").write_text("another cat")
    assert input_files.fingerprint("cat.png", folders, wanted) == hashlib.sha256(b"another cat").hexdigest()
    with pytest.raises(InputError, match="there is no file"):
        input_files.fingerprint("dog.png", folders, wanted)


def test_an_unknown_name_never_has_an_old_fingerprint(folders: Folders) -> None:
    assert input_files.fingerprint(None, folders, wanted) != input_files.fingerprint(None, folders, wanted)
