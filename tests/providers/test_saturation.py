"""Int8 on processors that saturate. `scripts/test-haswell` draws with an emulated one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxflow.cancel import CancelToken
from onnxflow.models.store import embedded_folder
from onnxflow.providers import opening
from onnxflow.providers.graph import OrtGraph
from onnxflow.providers.saturation import EXACT_OPTION, saturates


def has_vnni() -> bool:
    """Whether the processor says so; None of these flags means an x86 processor that saturates."""
    cpuinfo = Path("/proc/cpuinfo")
    words = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return bool(words & {"avx512_vnni", "avx_vnni"})


@pytest.mark.skipif(not has_vnni(), reason="this processor may saturate, or does not say")
def test_a_processor_with_vnni_does_not_saturate() -> None:
    assert saturates() is False


@pytest.mark.parametrize("saturating", [False, True])
def test_graphs_are_loaded_exactly_where_products_saturate(saturating: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    given: list[tuple[str, str]] = []

    class Options(onnxruntime.SessionOptions):  # type: ignore[misc]
        def add_session_config_entry(self, key: str, value: str) -> None:
            given.append((key, value))
            super().add_session_config_entry(key, value)

    monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
    monkeypatch.setattr(opening, "saturates", lambda: saturating)
    file = embedded_folder() / "text_encoder" / "model.int8.onnx"
    loaded = OrtGraph(file, "text encoder", CancelToken())
    feeds: dict[str, Any] = {}
    for name, (shape, kind) in loaded._inputs.items():
        feeds[name] = np.ones([size if isinstance(size, int) else 2 for size in shape], kind)
    found = loaded.run(feeds, CancelToken())
    assert all(np.isfinite(values).all() for values in found.values())
    assert (EXACT_OPTION in given) is saturating
