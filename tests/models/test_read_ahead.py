"""What will be wanted is asked for in as few pieces as possible, and nothing comes of it but that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.models.read_ahead import merged, read_ahead


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20))))
def test_merging_keeps_the_bytes(ranges: list[tuple[int, int]]) -> None:
    found = merged(ranges)
    assert {at for first, length in ranges for at in range(first, first + length)} == {
        at for first, length in found for at in range(first, first + length)
    }
    ends = [first + length for first, length in found]
    assert all(end < first for end, (first, _) in zip(ends, found[1:], strict=False))


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no advice")
def test_each_range_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, *advice: asked.append(advice))
    (tmp_path / "x").write_bytes(b"0" * 100)
    thread = read_ahead(tmp_path / "x", [(50, 10), (0, 20), (20, 5)])
    assert thread is not None
    thread.join()
    assert asked == [(0, 25, os.POSIX_FADV_WILLNEED), (50, 10, os.POSIX_FADV_WILLNEED)]
    gone = read_ahead(tmp_path / "gone", [(0, 1)])
    assert gone is not None
    gone.join()


def test_without_advice_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    assert read_ahead(tmp_path / "x", [(0, 1)]) is None
