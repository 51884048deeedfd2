"""Running a graph leaves nothing in the user's home, and nothing to be sent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from onnxflow.models.store import embedded_folder

CODE = """
import sys
from onnxflow.cancel import CancelToken
from onnxflow.models.graph_file import GraphFile
from onnxflow.providers.graph import OrtGraph
OrtGraph(GraphFile(__import__("pathlib").Path(sys.argv[1])), "decoder", CancelToken())
"""


def test_nothing_is_written_but_what_was_asked_for(tmp_path: Path) -> None:
    home = {name: str(tmp_path) for name in ("HOME", "USERPROFILE", "TMPDIR", "XDG_CACHE_HOME", "LOCALAPPDATA")}
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"} | home
    graph = embedded_folder() / "vae_decoder" / "model.onnx"
    subprocess.run([sys.executable, "-P", "-c", CODE, str(graph)], env=environment, check=True, timeout=60)
    assert not list(tmp_path.rglob("*"))
