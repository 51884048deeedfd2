"""What ONNX Runtime's profiler wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from onnxflow.models.store import embedded_folder
from onnxflow.providers.profile import Profile, drop_profile, profile_files, read_profile

NODE = {"cat": "Node", "name": "a_kernel_time", "dur": 10, "args": {"provider": "A"}}


def test_what_the_installed_onnxruntime_writes(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "p")
    path = str(embedded_folder() / "vae_encoder" / "model.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    session.run(None, {"image": np.zeros((1, 3, 64, 64), np.float32)})
    session.end_profiling()
    (file,) = profile_files(str(tmp_path / "p"))
    found = read_profile(file)
    assert found.load_seconds > 0 and found.build_seconds > 0
    assert found.shares == {"CPUExecutionProvider": 1.0}
    drop_profile(str(tmp_path / "p"))
    assert list(tmp_path.iterdir()) == []


def test_shares_are_of_the_kernels_time(tmp_path: Path) -> None:
    events = [NODE, {**NODE, "dur": 30, "args": {"provider": "B"}}, {**NODE, "name": "a_fence_before", "dur": 500}]
    (tmp_path / "p").write_text(json.dumps(events))
    assert read_profile(tmp_path / "p") == Profile(0, 0, {"B": 0.75, "A": 0.25})
    assert list(read_profile(tmp_path / "p").shares) == ["B", "A"]


@pytest.mark.parametrize("content", ["", "[{", "{}", "3", "[3]", '[{"name": 3, "cat": "Session"}]', '[{"dur": 3}]'])
def test_what_cannot_be_read_says_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "p").write_text(content)
    assert read_profile(tmp_path / "p") == Profile() == read_profile(tmp_path / "gone")


def test_only_files_of_the_prefix_are_removed(tmp_path: Path) -> None:
    for name in ("a[1]_2026.json", "a1_2026.json"):
        (tmp_path / name).touch()
    drop_profile(str(tmp_path / "a[1]"))
    drop_profile("")
    assert [path.name for path in tmp_path.iterdir()] == ["a1_2026.json"]


def test_a_profile_without_calls_has_no_shares(tmp_path: Path) -> None:
    event: Any = {"cat": "Session", "name": "session_initialization", "dur": 2_000_000}
    (tmp_path / "p").write_text(json.dumps([event]))
    assert read_profile(tmp_path / "p") == Profile(0, 2.0, {})
