"""Whose sessions made a result: those that a node ran, kept with it, and remembered where the result is used again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from onnxflow.providers.session import SessionUse

if TYPE_CHECKING:
    from onnxflow.engine.cache import ResultCache
    from onnxflow.engine.plan import Plan

Uses = tuple[SessionUse, ...]


def since(before: Uses, after: Uses) -> Uses:
    """What sessions did between two looks at a run's uses, which only ever grow; those that made no call are left
    out."""
    found = []
    for position, use in enumerate(after):
        if position < len(before):
            old = before[position]
            use = replace(
                use,
                load_seconds=use.load_seconds - old.load_seconds,
                calls=use.calls - old.calls,
                run_seconds=use.run_seconds - old.run_seconds,
            )
        if use.calls:
            found.append(use)
    return tuple(found)


def recalled(plan: Plan, cache: ResultCache | None) -> Uses:
    """What sessions did for the known results that a plan builds on and for those that these were made of, as far as
    they are known: one use for each session, with the calls of all."""
    if cache is None or not cache.networks:
        return ()
    merged: dict[tuple[str, ...], SessionUse] = {}
    reached: set[int] = set()  # places of values that stand behind a known result
    seen: set[bytes] = set()
    found: list[Uses] = []
    for step in reversed(plan.steps):
        if step.needed:
            if not step.cached:
                continue  # it runs, and says so itself
        elif reached.isdisjoint(range(step.first, step.first + len(step.call.spec.outputs))):
            continue
        reached.update(place for _, place in step.links)
        result = cache.get(step.key)
        if result is not None and step.key not in seen:  # twins are one
            seen.add(step.key)
            found.append(result.uses)
    for uses in reversed(found):
        for use in uses:
            old = merged.get(_named(use))
            merged[_named(use)] = (
                use
                if old is None
                else replace(
                    use,
                    load_seconds=old.load_seconds + use.load_seconds,
                    calls=old.calls + use.calls,
                    run_seconds=old.run_seconds + use.run_seconds,
                )
            )
    return tuple(merged.values())


def not_among(uses: Iterable[SessionUse], others: Sequence[SessionUse]) -> Uses:
    """Those of ``uses`` whose session, asked for in the same way, made no call in ``others``."""
    there = {_named(use) for use in others if use.calls}
    return tuple(use for use in uses if _named(use) not in there)


def _named(use: SessionUse) -> tuple[str, ...]:
    return use.model, use.component, use.variant, str(use.place), use.asked
