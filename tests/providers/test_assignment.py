"""Which provider took which nodes, as a session says it."""

from __future__ import annotations

import onnxruntime
import pytest
from fake_onnxruntime import CPU_EP, Fail, Runtime, Session, SessionOptions

from onnxflow.models.store import embedded_folder
from onnxflow.providers.assignment import RECORD_OPTION, Assignment, assignment_of

FOUND = Assignment((("A", "Conv", 3), ("A", "Shape", 9), ("B", "MatMul", 2), ("B", "Gather", 50), ("C", "Conv", 1)))


def test_nodes_and_heavy_nodes_by_provider() -> None:
    assert list(FOUND.nodes.items()) == [("B", 52), ("A", 12), ("C", 1)]
    assert list(FOUND.heavy().items()) == [("A", 3), ("B", 2), ("C", 1)]


def test_what_others_took_counts_where_it_is_heavy() -> None:
    assert list(FOUND.elsewhere("A").items()) == [("MatMul", 2), ("Conv", 1)]
    assert FOUND.elsewhere("D") == {"Conv": 4, "MatMul": 2}
    assert Assignment(()).elsewhere("A") == {}


def test_a_session_is_read() -> None:
    options = SessionOptions()
    options.add_session_config_entry(*RECORD_OPTION)
    session = type("S", (Session,), {"runtime": Runtime(took={CPU_EP: ["Conv", "Conv", "Shape"]})})(
        "m.onnx", options, [CPU_EP], enable_fallback=0
    )
    assert assignment_of(session) == Assignment(((CPU_EP, "Conv", 2), (CPU_EP, "Shape", 1)))


def test_the_fake_refuses_what_was_not_recorded_as_onnxruntime_does() -> None:
    path = str(embedded_folder() / "vae_encoder" / "model.onnx")
    fake = type("S", (Session,), {"runtime": Runtime()})(path, SessionOptions(), [CPU_EP], enable_fallback=0)
    real = onnxruntime.InferenceSession(path, providers=[CPU_EP])
    for session, error in ((fake, Fail), (real, Exception)):
        with pytest.raises(error, match="to retrieve EP graph assignment information"):
            assignment_of(session)


def test_the_installed_onnxruntime_says_it_so() -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(*RECORD_OPTION)
    path = str(embedded_folder() / "vae_encoder" / "model.onnx")
    found = assignment_of(onnxruntime.InferenceSession(path, options, providers=[CPU_EP]))
    assert found.nodes.keys() == {CPU_EP}
    assert {operator for _, operator, _ in found.counts} > {"Conv", "InstanceNormalization"}
