"""Keeping sessions: built once, by what they compute and how; closed when asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeGraph, FakeLoader

from onnxflow.cancel import CancelToken
from onnxflow.errors import Cancelled
from onnxflow.providers.session import ModelSource, SessionCache, SessionKey


@dataclass(frozen=True)
class Source:
    identity: str
    name: str = "model"

    def graph(self, component: str, variant: str) -> Path:
        return Path(component)


FEEDS = {"latent": np.zeros((1, 4, 2, 2), np.float32)}


def test_a_session_is_built_once_for_the_same_weights() -> None:
    loader = FakeLoader()
    cache = SessionCache(loader)
    for source in (Source("a"), Source("a", "another name"), Source("b")):
        cache.get(source, "vae_decoder", CancelToken()).run(FEEDS)
    assert loader.loaded == ["vae_decoder", "vae_decoder"]
    assert [(use.model, use.calls) for use in cache.uses()] == [("model", 2), ("model", 1)]


def test_two_threads_that_ask_at_once_share_one_session() -> None:
    started = threading.Barrier(4)
    loads: list[str] = []

    def slow(source: ModelSource, key: SessionKey) -> FakeGraph:
        loads.append(key.component)
        threading.Event().wait(0.05)
        return FakeGraph(FakeLoader.unet)

    cache = SessionCache(slow)

    def ask() -> None:
        started.wait()
        cache.get(Source("a"), "unet", CancelToken())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["unet"]


def test_released_components_are_closed_and_still_reported() -> None:
    loader = FakeLoader()
    cache = SessionCache(loader)
    for component in ("vae_decoder", "vae_encoder"):
        cache.get(Source("a"), component, CancelToken())
    cache.release("a", ["vae_decoder", "unet"])
    cache.release("b", ["vae_encoder"])
    assert loader.graphs["vae_decoder"].closed
    assert not loader.graphs["vae_encoder"].closed
    assert [use.component for use in cache.uses()] == ["vae_decoder", "vae_encoder"]
    cache.get(Source("a"), "vae_decoder", CancelToken())
    assert loader.loaded == ["vae_decoder", "vae_encoder", "vae_decoder"]
    cache.close()
    assert all(graph.closed for graph in loader.graphs.values())


def test_a_session_is_stopped_by_the_token_of_the_run_that_asked() -> None:
    cache = SessionCache(FakeLoader())
    mine, other = CancelToken(), CancelToken()
    session, kept = cache.get(Source("a"), "vae_decoder", mine), cache.get(Source("a"), "vae_decoder", other)
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
