"""The folder of a dump: names, turns, and what goes wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxflow.dump.dump import Dump
from onnxflow.errors import NodeRef, OutputError, UsageError
from onnxflow.nodes.spec import Output
from onnxflow.values import Image

NODE = NodeRef("5", "Thing", "A title")
OUT = (Output("IMAGE", "IMAGE"), Output("text", "STRING"))
PICTURE = Image(np.zeros((1, 2, 2, 3), np.float32))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_outputs_list_elements_and_batches_have_names_of_their_own(tmp_path: Path) -> None:
    two = Image(np.zeros((2, 2, 2, 3), np.float32))
    written = Dump(tmp_path / "new" / "d")(NODE, OUT, [[PICTURE, two], ["a"]], None)
    assert [path.name for path in written] == [
        "5_Thing_IMAGE_1.png",
        "5_Thing_IMAGE_1.json",
        "5_Thing_IMAGE_2_1.png",
        "5_Thing_IMAGE_2_2.png",
        "5_Thing_IMAGE_2.json",
        "5_Thing_text.txt",
    ]
    assert names(tmp_path / "new" / "d") == sorted(path.name for path in written)


def test_an_empty_list_is_said(tmp_path: Path) -> None:
    (path,) = Dump(tmp_path)(NODE, OUT[:1], [[]], None)
    assert json.loads(path.read_text())["values"] == 0


def test_turns_sort_and_begin_anew(tmp_path: Path) -> None:
    dump = Dump(tmp_path, turns=12)
    for turn in (1, 11):
        dump.begin(turn)
        dump(NODE, OUT[1:], [["x"]], None)
        assert len(dump.written) == 1
    assert names(tmp_path) == ["run02_5_Thing_text.txt", "run12_5_Thing_text.txt"]


def test_a_file_of_that_name_is_replaced(tmp_path: Path) -> None:
    for text in ("a long text", "short"):
        Dump(tmp_path)(NODE, OUT[1:], [[text]], None)
    assert names(tmp_path) == ["5_Thing_text.txt"] and (tmp_path / "5_Thing_text.txt").read_text() == "short"


def test_a_failing_disk_is_said_once_and_does_not_raise(tmp_path: Path) -> None:
    said: list[str] = []
    dump = Dump(tmp_path / "d", say=said.append)
    (tmp_path / "d").rmdir()
    assert dump(NODE, OUT, [[PICTURE], ["x"]], None) == []
    assert said == ["cannot dump 5_Thing_IMAGE.png: No such file or directory"]
    assert dump.failed == ["5_Thing_IMAGE.png", "5_Thing_IMAGE.json", "5_Thing_text.txt"]
    with pytest.raises(OutputError, match=r"not all of its dump .*5_Thing_IMAGE.png.*No such file"):
        dump.check()


def test_one_value_that_cannot_be_written_leaves_the_others(tmp_path: Path) -> None:
    class Hostile:
        @property
        def __class__(self) -> Any:
            raise RuntimeError("no")

    dump = Dump(tmp_path)
    dump(NODE, OUT, [[Hostile()], ["x"]], None)
    assert names(tmp_path) == ["5_Thing_text.txt"] and dump.failed == ["5_Thing_IMAGE"]


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        with open(path, "wb") as file:
            file.write(data[:3])
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", full)
    dump = Dump(tmp_path)
    assert dump(NODE, OUT[1:], [["text"]], None) == [] and names(tmp_path) == []
    with pytest.raises(OutputError, match="No space left"):
        dump.check()


def test_nothing_wrong_is_nothing_said(tmp_path: Path) -> None:
    dump = Dump(tmp_path)
    dump(NODE, OUT, [[PICTURE], ["x"]], None)
    dump.check()
    assert dump.remarks == []
    dump(NODE, OUT[:1], [[Image(PICTURE.pixels + 2)]], None)
    assert dump.remarks == ["5_Thing_IMAGE: 12 of 12 numbers are above 1"]


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--dump: .* is a file"):
        Dump(tmp_path / "file")
    with pytest.raises(UsageError, match="cannot create the folder"):
        Dump(tmp_path / ("x" * 300))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match="may not"):
        Dump(tmp_path / "new")
