"""Sessions on devices that fail, and networks that give NaN: what is said, and what --fallback and --on-nan do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeGraph
from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.errors import MemoryLimitError, ModelError, NumbersError, OnnxflowError, ProviderError
from onnxflow.models.graph_file import GraphFile
from onnxflow.providers.device import CPU, Device, parse_device
from onnxflow.providers.graph import NO_FACTS, Facts
from onnxflow.providers.numbers import bad_share
from onnxflow.providers.placement import Placement
from onnxflow.providers.session import FAIL, UPCAST, ModelSource, SessionCache, SessionKey, SessionLease
from onnxflow.providers.taken import was_too_large

CUDA, NPU, WEB, OPENVINO = (parse_device(name) for name in ("cuda", "openvino:npu", "webgpu", "openvino:cpu"))
FEEDS = {"x": np.ones((1, 2), np.float32)}


@dataclass(frozen=True)
class Source:
    names: tuple[str, ...] = ("fp32", "fp16", "int8")
    identity: str = "a"
    name: str = "mine"

    def variants(self, component: str) -> tuple[str, ...]:
        return self.names

    def graph(self, component: str, variant: str) -> GraphFile:
        return GraphFile(Path(component))

    def interface(self, component: str) -> str:
        return "onnxflow"


class Loader:
    """Graphs that give the number of the call, unless told otherwise by "DEVICE@VARIANT": an error at loading, or what
    the calls give or raise one after the other (the last for all that follow)."""

    def __init__(
        self,
        failing: Mapping[str, OnnxflowError] | None = None,
        calls: Mapping[str, list[float | OnnxflowError]] | None = None,
    ) -> None:
        self.failing = failing or {}
        self.calls = {key: list(values) for key, values in (calls or {}).items()}
        self.loaded: list[str] = []
        self.ran: list[tuple[str, Any]] = []

    def __call__(self, source: ModelSource, key: SessionKey, cancel: CancelToken) -> FakeGraph:
        name = f"{key.device}@{key.variant}"
        self.loaded.append(name)
        if name in self.failing:
            raise self.failing[name]
        answers = self.calls.get(name, [1.0])

        def compute(feeds: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
            self.ran.append((name, feeds))
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, OnnxflowError):
                raise answer
            return {"y": np.array([answer, 1.0], np.float32), "n": np.array([1, 2])}

        return FakeGraph(compute)


def lease(loader: Loader, on_nan: str = FAIL) -> SessionLease:
    return SessionCache(loader).lease(CancelToken(), on_nan)


def on(device: Device, variant: str = "fp32", **more: Any) -> Placement:
    return Placement(device, variant, f"{device} (--place)", **more)


def used(one: SessionLease) -> list[tuple[str, str, int]]:
    return [(use.variant, str(use.place), use.calls) for use in one.uses()]


# A device that fails.


@pytest.mark.parametrize("broken", [ProviderError("took 3 of 9"), MemoryLimitError("too large")])
def test_a_named_device_that_fails_to_load_is_an_error(broken: OnnxflowError) -> None:
    one = lease(Loader({"cuda:0@fp32": broken}))
    with pytest.raises(type(broken)) as caught:
        one.get(Source(), "unet", on(CUDA))
    assert caught.value is broken and one.uses() == ()


@pytest.mark.parametrize("allowed", ["fallback", "retreat"])
def test_where_it_is_allowed_the_cpu_takes_over_and_the_report_says_why(allowed: str) -> None:
    loader = Loader({"cuda:0@int8": ProviderError("took 3 of 9")})
    one = lease(loader)
    session = one.get(Source(), "unet", on(CUDA, "int8", **{allowed: True}))
    session.run(FEEDS)
    (use,) = one.uses()
    assert loader.loaded == ["cuda:0@int8", "cpu@int8"]
    assert (use.variant, use.device, use.asked, use.note) == ("int8", "cpu", "cuda:0 (--place)", "took 3 of 9")


def test_what_the_cpu_is_slow_in_it_runs_in_fp32_if_the_model_has_that() -> None:
    for names, expected in ((("fp16", "fp32"), "cpu@fp32"), (("fp16",), "cpu@fp16")):
        loader = Loader({"cuda:0@fp16": ProviderError("no")})
        lease(loader).get(Source(names), "unet", on(CUDA, "fp16", retreat=True))
        assert loader.loaded == ["cuda:0@fp16", expected]


def test_the_cpu_itself_and_a_damaged_file_are_errors_all_the_same() -> None:
    with pytest.raises(ProviderError):
        lease(Loader({"cpu@fp32": ProviderError("no")})).get(Source(), "unet", on(CPU, fallback=True))
    with pytest.raises(ModelError):
        lease(Loader({"cuda:0@fp32": ModelError("damaged")})).get(Source(), "unet", on(CUDA, fallback=True))


def test_too_little_memory_is_an_error_where_the_cpu_would_use_the_same() -> None:
    small = MemoryLimitError("too large")
    one = lease(Loader({"cuda:0@fp32": small, "openvino:cpu@fp32": small}))
    one.get(Source(), "unet", on(CUDA, retreat=True)).run(FEEDS)
    assert used(one) == [("fp32", "cpu", 1)]
    with pytest.raises(MemoryLimitError):
        one.get(Source(), "unet", on(OPENVINO, retreat=True))


@pytest.mark.parametrize("allowed", ["", "fallback", "retreat"])
def test_a_device_that_fails_at_a_call_hands_the_same_feeds_to_the_cpu(allowed: str) -> None:
    loader = Loader(calls={"openvino:npu@fp32": [ProviderError("took 3 of 9")], "cpu@fp32": [7.0]})
    one = lease(loader)
    session = one.get(Source(), "unet", on(NPU, **({allowed: True} if allowed else {})))
    if not allowed:
        with pytest.raises(ProviderError, match="took 3 of 9"):
            session.run(FEEDS)
        return
    assert [float(session.run(FEEDS)["y"][0]) for _ in range(2)] == [7.0, 7.0]
    assert [name for name, _ in loader.ran] == ["openvino:npu@fp32", "cpu@fp32", "cpu@fp32"]
    assert all(feeds is FEEDS for _, feeds in loader.ran)
    assert used(one) == [("fp32", "openvino:npu", 0), ("fp32", "cpu", 2)], "a call that failed gave nothing"
    assert one.uses()[1].note == "took 3 of 9"


def test_a_denoiser_without_memory_for_several_rows_is_asked_for_fewer_before_the_cpu_is() -> None:
    small = MemoryLimitError("too large")
    loader = Loader(calls={"cuda:0@fp32": [small, 1.0, small], "cpu@fp32": [7.0]})
    one = lease(loader)
    session = one.get(Source(), "unet", on(CUDA, retreat=True))
    rows = {count: {"sample": np.ones((count, 4, 2, 2), np.float32)} for count in (1, 2)}
    with pytest.raises(MemoryLimitError):
        session.run(rows[2])
    assert float(session.run(rows[1])["y"][0]) == 1.0
    assert float(session.run(rows[1])["y"][0]) == 7.0, "one row is the CPU's, when the device has no memory for it"
    decoder = lease(Loader(calls={"cuda:0@fp32": [small], "cpu@fp32": [7.0]})).get(
        Source(), "vae_decoder", on(CUDA, retreat=True)
    )
    assert float(decoder.run({"latent": np.ones((2, 4, 2, 2), np.float32)})["y"][0]) == 7.0


def test_one_nodes_fallback_is_told_beside_another_nodes_wish_for_the_cpu() -> None:
    loader = Loader({"cuda:0@fp32": ProviderError("took 3 of 9")})
    one = lease(loader)
    for placement in (on(CPU, fallback=True), on(CUDA, fallback=True), on(CPU, fallback=True)):
        one.get(Source(), "unet", placement).run(FEEDS)
    assert [(use.asked, use.note, use.calls) for use in one.uses()] == [
        ("cpu (--place)", "", 2), ("cuda:0 (--place)", "took 3 of 9", 1),
    ]  # fmt: skip
    assert loader.loaded == ["cpu@fp32", "cuda:0@fp32"], "the CPU's session is shared"


def test_one_model_in_two_places_is_two_sessions_that_are_given_back_together() -> None:
    loader = Loader()
    cache = SessionCache(loader)
    one = cache.lease(CancelToken())
    for device in (CUDA, WEB, CUDA):
        one.get(Source(), "unet", on(device)).run(FEEDS)
    one.get(Source(), "vae_decoder", on(CUDA))
    assert loader.loaded == ["cuda:0@fp32", "webgpu@fp32", "cuda:0@fp32"]
    one.release("a", ["unet"])
    open_now = [
        (name, str(device))
        for name in ("unet", "vae_decoder")
        for device in (CUDA, WEB)
        if cache.has(SessionKey("a", name, "fp32", device))
    ]
    assert open_now == [("vae_decoder", "cuda:0")]


def test_what_a_session_does_is_told_once() -> None:
    told: list[tuple[str, str, int]] = []
    one = lease(Loader())
    one.tell = lambda phase, use: told.append((phase, str(use.place), use.calls))
    for _ in range(2):
        one.get(Source(), "unet", on(CUDA)).run(FEEDS)
    assert told == [("loading", "cuda:0", 0), ("ready", "cuda:0", 0), ("first", "cuda:0", 1)]


# NaN and infinity.


def test_the_share_of_what_is_no_number() -> None:
    arrays = {
        "fine": np.ones(4, np.float16),
        "whole": np.array([1, 2]),
        "half": np.array([np.nan, 1, np.inf, 2], np.float16),
        "empty": np.zeros((0, 3), np.float32),
    }
    assert bad_share(arrays) == {"half": 0.5}


NAN = float("nan")


@pytest.mark.parametrize("bad", [NAN, float("inf"), -float("inf")])
def test_the_error_names_component_model_precision_device_step_and_share(bad: float) -> None:
    session = lease(Loader(calls={"cuda:0@fp16": [1.0, bad]})).get(
        Source(), "unet", on(CUDA, "fp16"), lambda: "at step 2 of 20"
    )
    session.run(FEEDS)
    with pytest.raises(NumbersError) as caught:
        session.run(FEEDS)
    expected = "the unet of mine (fp16, cuda:0) gave NaN or infinity at step 2 of 20: 50% of y"
    assert (caught.value.message, caught.value.exit_code) == (expected, 1)
    assert "--on-nan upcast" in caught.value.hint and "it ran in fp16" in caught.value.hint


def test_a_few_are_not_none_of_them() -> None:
    array = np.ones(1000, np.float32)
    array[3] = np.nan
    one = SessionCache(lambda *_: FakeGraph(lambda feeds: {"y": array})).lease(CancelToken())
    with pytest.raises(NumbersError, match="gave NaN or infinity: a few of y"):
        one.get(Source(), "unet", on(CPU)).run(FEEDS)


@pytest.mark.parametrize("on_nan", [FAIL, UPCAST])
@pytest.mark.parametrize(
    ("names", "variant", "hint"),
    [(("fp16",), "fp16", "export the model again in fp32"), (("fp32", "fp16"), "fp32", "onnxflow verify")],
)
def test_without_an_fp32_to_go_to_it_is_an_error_either_way(
    on_nan: str, names: tuple[str, ...], variant: str, hint: str
) -> None:
    loader = Loader(calls={f"cuda:0@{variant}": [NAN]})
    with pytest.raises(NumbersError) as caught:
        lease(loader, on_nan).get(Source(names), "unet", on(CUDA, variant)).run(FEEDS)
    assert hint in caught.value.hint and "--on-nan" not in caught.value.hint
    assert loader.loaded == [f"cuda:0@{variant}"]


def test_upcast_asks_the_same_again_in_fp32_and_stays_there() -> None:
    loader = Loader(calls={"cuda:0@fp16": [1.0, NAN, 1.0], "cuda:0@fp32": [5.0]})
    one = lease(loader, UPCAST)
    session = one.get(Source(), "unet", on(CUDA, "fp16"), lambda: "at step 2 of 3")
    assert [float(session.run(FEEDS)["y"][0]) for _ in range(3)] == [1.0, 5.0, 5.0]
    assert [name for name, _ in loader.ran] == ["cuda:0@fp16"] * 2 + ["cuda:0@fp32"] * 2
    assert all(feeds is FEEDS for _, feeds in loader.ran)
    assert used(one) == [("fp16", "cuda:0", 2), ("fp32", "cuda:0", 2)]
    assert one.uses()[1].note == "fp16 gave NaN or infinity at step 2 of 3: fp32 from there on"
    assert one.uses()[1].asked == "cuda:0 (--place)"


def test_a_device_that_takes_no_fp32_leaves_that_to_the_cpu() -> None:
    qnn = parse_device("qnn")
    assert "fp32" not in qnn.facts.precisions
    loader = Loader(calls={f"{qnn}@fp16": [NAN], "cpu@fp32": [5.0]})
    one = lease(loader, UPCAST)
    assert float(one.get(Source(), "unet", on(qnn, "fp16")).run(FEEDS)["y"][0]) == 5.0
    assert used(one) == [("fp16", str(qnn), 1), ("fp32", "cpu", 1)]


def test_nan_in_fp32_as_well_is_an_error_that_names_fp32() -> None:
    loader = Loader(calls={"cuda:0@fp16": [NAN], "cuda:0@fp32": [NAN]})
    with pytest.raises(NumbersError, match=r"\(fp32, cuda:0\)") as caught:
        lease(loader, UPCAST).get(Source(), "unet", on(CUDA, "fp16")).run(FEEDS)
    assert "onnxflow verify" in caught.value.hint


def test_an_upcast_that_the_device_does_not_load_retreats_or_is_an_error() -> None:
    broken = {"cuda:0@fp32": ProviderError("took 3 of 9")}
    one = lease(Loader(broken, {"cuda:0@fp16": [NAN]}), UPCAST)
    assert float(one.get(Source(), "unet", on(CUDA, "fp16", retreat=True)).run(FEEDS)["y"][0]) == 1.0
    assert used(one) == [("fp16", "cuda:0", 1), ("fp32", "cpu", 1)]
    assert one.uses()[1].note == "fp16 gave NaN or infinity: fp32 from there on; took 3 of 9"
    with pytest.raises(ProviderError):
        lease(Loader(broken, {"cuda:0@fp16": [NAN]}), UPCAST).get(Source(), "unet", on(CUDA, "fp16")).run(FEEDS)


class Late(FakeGraph):
    """A graph that is loaded by its first call, as where sizes must be fixed."""

    loaded = False

    @property
    def facts(self) -> Facts:
        return Facts({"QNNExecutionProvider": 5}, build_seconds=300.0) if self.loaded else NO_FACTS

    def ready(self, feeds: Mapping[str, Any]) -> bool:
        return self.loaded

    def prepare(self, feeds: Mapping[str, Any], cancel: CancelToken) -> None:
        self.loaded = True


def test_what_is_compiled_at_the_first_call_is_told_as_loading_and_no_time_of_running() -> None:
    told: list[tuple[str, dict[str, int]]] = []
    one = SessionCache(lambda source, key, cancel: Late(lambda feeds: {"y": np.ones(1)})).lease(CancelToken())
    one.tell = lambda phase, use: told.append((phase, dict(use.facts.nodes)))
    session = one.get(Source(), "unet", on(NPU))
    assert told == [], "nothing is loaded yet"
    for _ in range(2):
        session.run(FEEDS)
    qnn = {"QNNExecutionProvider": 5}
    assert told == [("loading", {}), ("ready", qnn), ("first", qnn)]
    (use,) = one.uses()
    assert use.calls == 2 and use.load_seconds > 0 and use.facts.build_seconds == 300.0


def test_a_device_is_checked_without_a_trace_in_the_report() -> None:
    loader = Loader({"cuda:0@fp16": ProviderError("took 3 of 9")})
    cache = SessionCache(loader)
    one = cache.lease(CancelToken())
    told: list[str] = []
    one.tell = lambda phase, use: told.append(phase)
    one.check(Source(), "unet", on(CUDA))
    with pytest.raises(ProviderError, match="took 3 of 9"):
        one.check(Source(), "unet", on(CUDA, "fp16"))
    assert (one.uses(), told, loader.loaded) == ((), ["checking", "checking"], ["cuda:0@fp32", "cuda:0@fp16"])
    one.get(Source(), "unet", on(CUDA))
    assert loader.loaded[-1] == "cuda:0@fp32", "it was closed again"


def test_what_failed_is_given_back_before_another_device_loads_it() -> None:
    held: list[int] = []
    loader = Loader(calls={"cuda:0@fp16": [float("nan")], "cuda:0@fp32": [3.0]})

    def load(source: ModelSource, key: SessionKey, cancel: CancelToken) -> FakeGraph:
        held.append(len(one._held))
        return loader(source, key, cancel)

    one = SessionCache(load).lease(CancelToken(), UPCAST)
    noted = Placement(CUDA, "fp16", "cuda:0", note="an earlier word")
    one.get(Source(), "unet", noted).run(FEEDS)
    assert held == [0, 0]
    assert one.uses()[-1].note.startswith("an earlier word; fp16 gave NaN or infinity")


def test_what_auto_found_too_large_for_a_device_is_remembered() -> None:
    full = MemoryLimitError("not enough memory")
    one = lease(Loader({"cuda:0@fp32": full, "webgpu@fp32": full}))
    one.get(Source(), "unet", on(CUDA, retreat=True))
    one.get(Source(), "unet", on(WEB, fallback=True))
    assert was_too_large("a", "unet", "fp32", CUDA)
    assert not was_too_large("a", "unet", "fp32", WEB), "somebody named it: they may try again"
    assert not was_too_large("a", "unet", "fp16", CUDA)


def test_an_autoencoder_without_memory_is_asked_for_less_before_the_cpu_is() -> None:
    """Who calls it cuts the picture; the CPU is for what cannot be cut any further."""
    loader = Loader(calls={"cuda:0@fp32": [MemoryLimitError("full")]})
    session = lease(loader).get(Source(), "vae_decoder", on(CUDA, retreat=True))
    with pytest.raises(MemoryLimitError):
        session.run({"latent": np.zeros((1, 4, 64, 64), np.float32)})
    assert loader.loaded == ["cuda:0@fp32"]
    session.run({"latent": np.zeros((1, 4, 32, 32), np.float32)})
    assert loader.loaded == ["cuda:0@fp32", "cpu@fp32"]
