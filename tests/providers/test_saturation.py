"""Int8 on processors that saturate. `scripts/test-haswell` draws with an emulated one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from onnxflow.cancel import CancelToken
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.store import embedded_folder
from onnxflow.providers import saturation
from onnxflow.providers.graph import OrtGraph
from onnxflow.providers.saturation import EXACT_OPTION, SOUND, compute_exactly, saturates
from onnxflow.providers.target import Target


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
    monkeypatch.setattr(saturation, "saturates", lambda: saturating)
    file = embedded_folder() / "text_encoder" / "model.int8.onnx"
    loaded = OrtGraph(GraphFile(file), "text encoder", CancelToken(), Target(precision="int8"))
    feeds: dict[str, Any] = {}
    for name, (shape, kind) in loaded._inputs.items():
        feeds[name] = np.ones([size if isinstance(size, int) else 2 for size in shape], kind)
    found = loaded.run(feeds, CancelToken())
    assert all(np.isfinite(values).all() for values in found.values())
    assert (EXACT_OPTION in given) is saturating


@pytest.mark.parametrize(("version", "level"), [("1.29.0", "basic"), ("1.30.1", "all"), ("2.0.0", "all")])
def test_versions_that_lose_their_memory_optimise_less(
    version: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = SimpleNamespace(ORT_ENABLE_BASIC="basic")
    module = SimpleNamespace(__version__=version, GraphOptimizationLevel=levels)
    monkeypatch.setattr(saturation, "saturates", lambda: True)
    monkeypatch.setattr(saturation, "onnxruntime", lambda: module)
    given: list[tuple[str, str]] = []
    options = SimpleNamespace(
        graph_optimization_level="all", add_session_config_entry=lambda *entry: given.append(entry)
    )
    compute_exactly(options)
    assert (options.graph_optimization_level, given) == (level, [EXACT_OPTION])
    assert SOUND == (1, 30)


def test_an_int8_unet_loads_where_products_saturate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saturation, "saturates", lambda: True)
    file = embedded_folder() / "unet" / "model.int8.onnx"
    OrtGraph(GraphFile(file), "unet", CancelToken(), Target(precision="int8")).close()
