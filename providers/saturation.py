"""Whether products of unsigned and signed bytes are right on this processor.

x86 processors without VNNI add two such products in 16 bits, which saturates: 255 * 127 + 255 * 127 becomes 32,767.
ONNX Runtime uses that instruction all the same, and int8 graphs lose what was loudest in them.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import numpy as np

from onnxflow.providers.runtime import onnxruntime

EXACT_OPTION: Final = ("session.x64quantprecision", "1")
"""Session option that makes signed weights unsigned at loading: exact, and slower where nothing saturates."""

SOUND: Final = (1, 30)
"""The first ONNX Runtime that keeps its memory in order with that option and all its optimisations: 1.24 to 1.29 end
the process when they load an int8 unet (measured on each)."""

_PROBE = files("onnxflow.assets") / "probe" / "saturation.onnx"
_ROWS = 32  # of the probe's weights, which are all 127


@lru_cache(maxsize=1)
def saturates() -> bool:
    """Whether ONNX Runtime's products of unsigned and signed bytes are wrong here; tried once a process, in a
    millisecond."""
    module = onnxruntime()
    options = module.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session: Any = module.InferenceSession(_PROBE.read_bytes(), options, providers=["CPUExecutionProvider"])
    found = session.run(None, {"a": np.full((1, _ROWS), 255, np.uint8)})[0]
    return bool((found != 255 * 127 * _ROWS).any())


def compute_exactly(options: Any) -> None:
    """Let an int8 graph that is loaded with these SessionOptions be computed exactly on this processor."""
    if not saturates():
        return
    options.add_session_config_entry(*EXACT_OPTION)
    module = onnxruntime()
    if tuple(int(part) for part in module.__version__.split(".")[:2]) < SOUND:
        options.graph_optimization_level = module.GraphOptimizationLevel.ORT_ENABLE_BASIC
