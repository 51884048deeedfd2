"""What is kept between runs, and what stands in the way of it."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from onnxflow.providers.cache_folder import VARIABLE, cache_folder, digest, recall, remember


def test_where_the_folder_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert cache_folder({VARIABLE: "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert cache_folder({VARIABLE: "a"}) == Path.cwd() / "a"
    assert cache_folder({VARIABLE: "", "XDG_CACHE_HOME": "/b", "LOCALAPPDATA": "/c"}) == Path("/b/onnxflow")
    assert cache_folder({"LOCALAPPDATA": "/c"}) == Path("/c/onnxflow")
    for platform, folder in (("linux", ".cache"), ("darwin", "Library/Caches")):
        monkeypatch.setattr(sys, "platform", platform)
        assert cache_folder({}) == Path("/home/me") / folder / "onnxflow"


def test_what_is_remembered_stands_beside_what_was(tmp_path: Path) -> None:
    here = {VARIABLE: str(tmp_path / "new")}
    assert recall("x", here) == {}
    remember("x", {"a": 1}, here)
    remember("x", {"b": [2]}, here)
    remember("x", {"a": 3}, here)
    assert recall("x", here) == {"a": 3, "b": [2]}
    assert recall("y", here) == {}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.json"]


def test_a_folder_that_cannot_be_made_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    remember("x", {"a": 1}, {VARIABLE: str(tmp_path / "file" / "cache")})
    assert recall("x", {VARIABLE: str(tmp_path / "file" / "cache")}) == {}

    def full(path: Path, target: Path) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    remember("x", {"a": 1}, {VARIABLE: str(tmp_path / "cache")})
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"[1]", b"\xff\xfe", b"[" * 200_000, b"3"])
def test_a_damaged_file_counts_as_none_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    here = {VARIABLE: str(tmp_path)}
    (tmp_path / "x.json").write_bytes(content)
    assert recall("x", here) == {}
    remember("x", {"a": 1}, here)
    assert recall("x", here) == {"a": 1}


def test_writers_at_the_same_time_leave_a_file_that_can_be_read(tmp_path: Path) -> None:
    here = {VARIABLE: str(tmp_path)}

    def write(number: int) -> bool:
        remember("x", {f"{number}": "x" * 5000}, here)
        return f"{number}" in json.loads((tmp_path / "x.json").read_bytes()) or bool(recall("x", here))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(write, range(64)))
    assert set(recall("x", here).values()) == {"x" * 5000}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_digests_keep_their_parts_apart() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert len(digest("a")) == 24


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    folder = cache_folder({})
    with pytest.raises(NotADirectoryError):
        folder.mkdir(parents=True)
    remember("x", {"a": 1}, {})
    assert recall("x", {}) == {}
