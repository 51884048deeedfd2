"""Keeping sessions: built once, by what they compute and how; closed when asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeGraph, FakeLoader

from onnxflow.cancel import CancelToken
from onnxflow.errors import Cancelled, ModelError
from onnxflow.models.graph_file import GraphFile
from onnxflow.providers.device import CPU
from onnxflow.providers.placement import Placement
from onnxflow.providers.session import ModelSource, SessionCache, SessionKey


@dataclass(frozen=True)
class Source:
    identity: str
    name: str = "model"

    def variants(self, component: str) -> tuple[str, ...]:
        return ("fp32", "int8")

    def graph(self, component: str, variant: str) -> GraphFile:
        return GraphFile(Path(component))


FEEDS = {"latent": np.zeros((1, 4, 2, 2), np.float32)}


def test_a_session_is_built_once_for_the_same_weights() -> None:
    loader = FakeLoader()
    lease = SessionCache(loader).lease(CancelToken())
    for source in (Source("a"), Source("a", "another name"), Source("b")):
        lease.get(source, "vae_decoder", Placement(CPU, "fp32")).run(FEEDS)
    assert loader.loaded == ["vae_decoder", "vae_decoder"]
    assert [(use.model, use.calls) for use in lease.uses()] == [("model", 2), ("model", 1)]


def test_another_variant_is_another_session_and_the_report_says_which() -> None:
    asked: list[str] = []

    def load(source: ModelSource, key: SessionKey, cancel: CancelToken) -> FakeGraph:
        asked.append(key.variant)
        return FakeGraph(FakeLoader.vae_decoder)

    lease = SessionCache(load).lease(CancelToken())
    for variant in ("fp32", "int8", "int8"):
        lease.get(Source("a"), "vae_decoder", Placement(CPU, variant)).run(FEEDS)
    assert asked == ["fp32", "int8"]
    assert [(use.variant, use.calls) for use in lease.uses()] == [("fp32", 1), ("int8", 2)]


def test_two_threads_that_ask_at_once_share_one_session() -> None:
    started = threading.Barrier(4)
    loads: list[str] = []

    def slow(source: ModelSource, key: SessionKey, cancel: CancelToken) -> FakeGraph:
        loads.append(key.component)
        threading.Event().wait(0.05)
        return FakeGraph(FakeLoader.unet)

    cache = SessionCache(slow)

    def ask() -> None:
        started.wait()
        cache.lease(CancelToken()).get(Source("a"), "unet", Placement(CPU, "fp32"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["unet"]


def test_released_components_are_closed_and_still_reported() -> None:
    loader = FakeLoader()
    cache = SessionCache(loader)
    lease = cache.lease(CancelToken())
    for component in ("vae_decoder", "vae_encoder"):
        lease.get(Source("a"), component, Placement(CPU, "fp32"))
    lease.release("a", ["vae_decoder", "unet"])
    lease.release("b", ["vae_encoder"])
    assert loader.graphs["vae_decoder"].closed
    assert not loader.graphs["vae_encoder"].closed
    lease.get(Source("a"), "vae_decoder", Placement(CPU, "fp32"))
    assert loader.loaded == ["vae_decoder", "vae_encoder", "vae_decoder"]
    lease.close()
    assert not loader.graphs["vae_encoder"].closed, "an open session stays for the next run"
    assert [use.component for use in lease.uses()] == ["vae_decoder", "vae_encoder"]
    cache.close()
    assert all(graph.closed for graph in loader.graphs.values())


def test_each_run_reports_what_it_did_itself() -> None:
    cache = SessionCache(FakeLoader())
    reports = []
    for calls in (2, 1):
        lease = cache.lease(CancelToken())
        for _ in range(calls):
            lease.get(Source("a"), "vae_decoder", Placement(CPU, "fp32")).run(FEEDS)
        lease.close()
        (use,) = lease.uses()
        reports.append((use.calls, use.load_seconds > 0))
    assert reports == [(2, True), (1, False)]


def test_what_one_run_releases_another_may_still_use() -> None:
    loader = FakeLoader()
    cache = SessionCache(loader)
    one, two = cache.lease(CancelToken()), cache.lease(CancelToken())
    session = two.get(Source("a"), "vae_decoder", Placement(CPU, "fp32"))
    one.get(Source("a"), "vae_decoder", Placement(CPU, "fp32"))
    one.release("a", ["vae_decoder"])
    session.run(FEEDS)
    cache.close()
    session.run(FEEDS)
    two.close()
    assert loader.graphs["vae_decoder"].closed, "the last user closes what was said not to be needed"


def test_a_load_that_fails_leaves_nothing_and_can_be_tried_again() -> None:
    answers: list[FakeGraph | Exception] = [ModelError("damaged"), FakeGraph(FakeLoader.vae_decoder)]

    def load(source: ModelSource, key: SessionKey, cancel: CancelToken) -> FakeGraph:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    lease = SessionCache(load).lease(CancelToken())
    with pytest.raises(ModelError):
        lease.get(Source("a"), "vae_decoder", Placement(CPU, "fp32"))
    lease.get(Source("a"), "vae_decoder", Placement(CPU, "fp32")).run(FEEDS)


def test_a_session_is_stopped_by_the_token_of_the_run_that_asked() -> None:
    cache = SessionCache(FakeLoader())
    mine, other = CancelToken(), CancelToken()
    session, kept = (
        cache.lease(token).get(Source("a"), "vae_decoder", Placement(CPU, "fp32")) for token in (mine, other)
    )
    mine.cancel()
    with pytest.raises(Cancelled):
        session.run(FEEDS)
    kept.run(FEEDS)


def test_a_callback_is_called_by_cancel_only_while_inside() -> None:
    token = CancelToken()
    called: list[int] = []
    with token.calling(lambda: called.append(1)):
        token.cancel()
    token.cancel()
    assert called == [1]
    with token.calling(lambda: called.append(2)):
        assert called == [1, 2], "a token that was already thrown calls at once"
