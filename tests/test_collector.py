"""Python's cycle collector is left as it was found."""

from __future__ import annotations

import gc

import pytest

from onnxflow.collector import collector_paused, collector_sparing_the_past


def fail_while_paused() -> None:
    with collector_paused():
        assert not gc.isenabled()
        raise ValueError("x")


def test_a_pause_ends_with_its_block_also_after_an_error() -> None:
    with pytest.raises(ValueError, match="x"):
        fail_while_paused()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_past_is_spared_while_inside_only() -> None:
    with collector_sparing_the_past():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_what_the_host_program_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        with collector_sparing_the_past():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
