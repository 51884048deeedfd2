"""The shell scripts: one that fails says why, and none asks a registry for what was just built."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [path for path in sorted((ROOT / "scripts").iterdir()) if path.read_bytes().startswith(b"#!/bin/sh")]


@pytest.mark.skipif(os.name == "nt", reason="shell scripts")
def test_an_environment_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\ncase "$*" in *uninstall*) echo "ERROR: it is locked" >&2; exit 2 ;; esac\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["sh", ROOT / "scripts" / "environment", tmp_path / "env", "constraints/runtime.txt", "cpu"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "ERROR: it is locked" in done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_wheels_of_ours_are_named_as_files(script: Path) -> None:
    """--find-links alone lets pip look for onnxflow-core in the registry as well, where it may be another's."""
    text = script.read_text("utf-8")
    assert "--find-links" not in text
    if "onnxflow-[0-9]*.whl" in text:
        assert "onnxflow_core-[0-9]*.whl" in text
