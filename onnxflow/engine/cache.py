"""Results of earlier runs, by content key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from onnxflow.providers.session import SessionUse
from onnxflow.values import SavedFile


@dataclass(frozen=True, slots=True)
class Result:
    """What a node gave: one list of values an output, the files it wrote, what clients are shown, what sessions did
    for it, and the keys of the nodes that ran in its place."""

    outputs: tuple[list[Any], ...]
    saved: tuple[SavedFile, ...] = ()
    ui: Mapping[str, Any] = field(default_factory=dict)
    uses: tuple[SessionUse, ...] = ()
    inner: tuple[bytes, ...] = ()


class ResultCache:
    """Results by content key. ComfyUI's classic policy: after a run, what the workflow no longer has is dropped."""

    def __init__(self) -> None:
        self._results: dict[bytes, Result] = {}
        self._networks = False
        self._nested = False

    @property
    def networks(self) -> bool:
        """Whether a session made any of the results that were ever stored."""
        return self._networks

    def __contains__(self, key: bytes) -> bool:
        return key in self._results

    def __len__(self) -> int:
        return len(self._results)

    def get(self, key: bytes) -> Result | None:
        """The result stored under ``key``, or None."""
        return self._results.get(key)

    def put(self, key: bytes, result: Result) -> None:
        """Store a result."""
        self._networks |= bool(result.uses)
        self._nested |= bool(result.inner)
        self._results[key] = result

    def retain(self, keys: Iterable[bytes]) -> None:
        """Drop every result whose key is not among ``keys``, nor behind one of them as a node that ran in its place:
        where little changed, most of such nodes are wanted again."""
        if len(self._results) == 0:
            return
        wanted = set(keys)
        waiting = list(wanted) if self._nested else []
        while waiting:
            result = self._results.get(waiting.pop())
            for key in result.inner if result is not None else ():
                if key not in wanted:
                    wanted.add(key)
                    waiting.append(key)
        for key in [k for k in self._results if k not in wanted]:
            del self._results[key]

    def clear(self) -> None:
        """Drop everything."""
        self._results.clear()
