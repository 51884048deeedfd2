"""Libraries of the system that a provider lacks."""

from __future__ import annotations

import sys

import pytest
from fake_onnxruntime import Runtime, install

from onnxflow.providers import libraries
from onnxflow.providers.catalog import provider_named
from onnxflow.providers.libraries import missing, needed


def test_they_are_looked_for_after_those_that_pip_installed_were_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = install(monkeypatch, Runtime())
    monkeypatch.setattr(libraries.sys, "platform", "linux")
    asked: list[tuple[str, int]] = []

    def loads(name: str) -> bool:
        asked.append((name, runtime.preloads))
        return name != "libcudnn.so.9"

    monkeypatch.setattr(libraries, "loads", loads)
    cuda = provider_named("cuda")
    told = list(missing(cuda))
    assert asked == [(one.name, 1) for one in needed(cuda)], "all after the preloading"
    assert told[0] == [] and told[-1] == ["libcudnn.so.9"] and len(told) == len(needed(cuda))


def test_only_this_systems_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = provider_named("cuda")
    assert all(one.platform == sys.platform for one in needed(cuda))
    monkeypatch.setattr(libraries.sys, "platform", "win32")
    assert needed(cuda)[0].name == "nvcuda.dll"
