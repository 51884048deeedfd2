"""What ran where, as JSON: for the report, for events, and for the pictures that carry it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from onnxflow.providers.catalog import title_of
from onnxflow.providers.session import SessionUse


def described(use: SessionUse) -> dict[str, Any]:
    """One session: what was asked for, what it is, and what its graph says of itself. Seconds are rounded."""
    facts = use.facts
    found: dict[str, Any] = {
        "model": use.model,
        "component": use.component,
        "precision": use.variant,
        "asked": use.asked,
        "device": use.device,
        "nodes": {title_of(ep): count for ep, count in facts.nodes.items()},
        "load_seconds": round(use.load_seconds, 4),
        "read_seconds": round(facts.load_seconds, 4),
        "compile_seconds": round(facts.build_seconds, 4),
        "first_seconds": round(facts.first_seconds, 4),
        "calls": use.calls,
        "run_seconds": round(use.run_seconds, 4),
    }
    if facts.time_shares:
        found["time"] = {title_of(ep): round(share, 4) for ep, share in facts.time_shares.items()}
    if facts.elsewhere:
        found["elsewhere"] = dict(facts.elsewhere)
    if use.note:
        found["note"] = use.note
    return found


def node_shares(use: SessionUse) -> dict[str, float]:
    """The share of a session's nodes, 0..1, by provider, most first; empty when nothing is known of them."""
    total = sum(use.facts.nodes.values())
    return {title_of(ep): count / total for ep, count in use.facts.nodes.items()} if total else {}


def time_shares(uses: Iterable[SessionUse]) -> dict[str, float]:
    """The share of all time in networks, 0..1, by provider, most first.

    The time of a session on several of them is split as its first call was, where that was measured; else it is its
    place's, or where that took nothing, of who took most.
    """
    spent: dict[str, float] = {}
    for use in uses:
        ep, took = use.place.facts.ep, use.facts.nodes
        whose = ep if ep in took or not took else next(iter(took))  # nobody's time is that of who took nothing
        for name, share in (use.facts.time_shares or {whose: 1.0}).items():
            title = title_of(name)
            spent[title] = spent.get(title, 0.0) + share * use.run_seconds
    total = sum(spent.values())
    ranked = sorted(spent.items(), key=lambda item: item[1], reverse=True)
    return {name: seconds / total for name, seconds in ranked} if total else {}


def record(uses: Iterable[SessionUse]) -> Mapping[str, Any]:
    """What a picture carries: every session's request and its truth, with whole percents; empty without sessions."""
    ran = [use for use in uses if use.calls]
    if not ran:
        return {}
    sessions = []
    for use in ran:
        entry = {
            "model": use.model,
            "component": use.component,
            "precision": use.variant,
            "asked": use.asked,
            "device": use.device,
            "nodes": _percents(node_shares(use)),
        }
        sessions.append({**entry, "note": use.note} if use.note else entry)
    return {"sessions": sessions, "time": _percents(time_shares(ran))}


def _percents(shares: Mapping[str, float]) -> dict[str, int]:
    return {name: round(100 * share) for name, share in shares.items()}
