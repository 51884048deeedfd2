"""Everything that can go wrong, as one tree of exceptions.

::

    OnnxflowError            exit code 1   the run failed
    ├── UsageError           2             a flag, a setting or an override that makes no sense
    ├── WorkflowError        2             the file is no workflow, or not a valid one (carries every problem)
    ├── InputError           1             a value that a node or a function cannot use
    ├── ModelError           1             a model is missing, damaged or of the wrong kind
    ├── OutputError          1             a result cannot be written where it was asked for
    ├── NodeError            1             a node failed in a way nobody foresaw (the cause is chained)
    ├── NumbersError         1             a network gave NaN or infinity
    ├── ProviderError        3             an execution provider could not do what was asked
    ├── MemoryLimitError     4             not enough memory
    └── Cancelled            130           stopped by the user

An error says what happened (``message``), where (``node``, ``where``) and what to do next (``hint``). ``render`` puts
these on lines for a terminal. Standard library only.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, Final

_LONGEST_NAME: Final = 500
_MOST_NAMES: Final = 2000


@dataclass(frozen=True, slots=True)
class NodeRef:
    """Which node of the workflow an error or a problem is about."""

    id: str
    class_type: str = ""
    title: str = ""

    def __str__(self) -> str:
        name = self.title or self.class_type
        extra = f", {self.class_type}" if self.title and self.title != self.class_type and self.class_type else ""
        return printable(f"node {self.id} ({name}{extra})" if name else f"node {self.id}")


class OnnxflowError(Exception):
    """Base of all errors of onnxflow: a message, where it happened, and the next step."""

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str = "", hint: str = "", node: NodeRef | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.node = node

    def at(self, node: NodeRef) -> OnnxflowError:
        """The same error, naming ``node`` as its place unless it already names one."""
        if self.node is None:
            self.node = node
        return self

    def render(self) -> str:
        """The error as lines of text: what, where, next step."""
        lines = [printable(self.message)]
        if self.node is not None:
            lines.append(f"  at: {self.node}")
        if self.where:
            lines.append(f"  in: {printable(self.where)}")
        if self.hint:
            lines.append(f"  try: {printable(self.hint)}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.render()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a workflow, found before it runs.

    ``code``, ``message``, ``details`` and ``extra`` are ComfyUI's ``type``, ``message``, ``details`` and
    ``extra_info``; ``hint`` is ours. ``outputs`` lists the ids of the output nodes that cannot run because of it.
    """

    code: str
    message: str
    details: str = ""
    node: NodeRef | None = None
    hint: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    def render(self) -> str:
        """The problem as lines of text."""
        head = f"{self.node}: " if self.node else ""
        text = f"{self.message}" + (f": {self.details}" if self.details else "")
        hint = f"\n  try: {printable(self.hint)}" if self.hint else ""
        return f"{head}{printable(text)}  [{self.code}]{hint}"


class WorkflowError(OnnxflowError):
    """The workflow cannot run as it is; ``problems`` lists everything found, not only the first."""

    code = "invalid_prompt"
    exit_code = 2

    def __init__(
        self, message: str, *, problems: Sequence[Problem] = (), where: str = "", hint: str = "", code: str = ""
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.problems = tuple(problems)
        if code:
            self.code = code  # type: ignore[misc]  # one class, several of ComfyUI's codes

    def render(self) -> str:
        lines = [super().render()]
        lines += ["- " + problem.render().replace("\n", "\n  ") for problem in self.problems]
        return "\n".join(lines)


class UsageError(OnnxflowError):
    """A flag, a setting or an override that makes no sense."""

    code = "usage"
    exit_code = 2


class InputError(OnnxflowError):
    """A value that cannot be used; the message names the value and what is allowed."""

    code = "invalid_input"


class ModelError(OnnxflowError):
    """A model is missing, damaged or of the wrong kind."""

    code = "model"


class OutputError(OnnxflowError):
    """A result cannot be written where it was asked for."""

    code = "output"


class NodeError(OnnxflowError):
    """A node failed in a way that nobody foresaw; the original exception is ``__cause__``."""

    code = "node_failed"


class NumbersError(OnnxflowError):
    """A network gave NaN or infinity."""

    code = "not_finite"


class ProviderError(OnnxflowError):
    """An execution provider could not do what was asked of it."""

    code = "provider"
    exit_code = 3


class MemoryLimitError(OnnxflowError):
    """Not enough memory for what was asked."""

    code = "out_of_memory"
    exit_code = 4


class Cancelled(OnnxflowError):
    """The run was stopped by the user."""

    code = "cancelled"
    exit_code = 130

    def __init__(self, message: str = "cancelled", *, where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where, hint=hint)


def printable(text: str) -> str:
    """``text`` on one line without control characters: a node's title must not write to the terminal as it likes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def shown(value: Any, limit: int = 120) -> str:
    """``value`` as it stands in an error message: its repr, cut to ``limit`` characters; never raises."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # a list nested too deeply, an integer of too many digits
        return f"a {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def nearest(name: str, allowed: Iterable[str], count: int = 3) -> list[str]:
    """The names in ``allowed`` that look most like ``name``, best first, compared without case.

    Nothing is like a name of more than 500 characters, and 2,000 names are looked at: comparing takes time.
    """
    if len(name) > _LONGEST_NAME:
        return []
    folded: dict[str, str] = {}
    for candidate in islice(allowed, _MOST_NAMES):
        folded.setdefault(candidate.lower(), candidate)
    return [folded[m] for m in difflib.get_close_matches(name.lower(), list(folded), n=count, cutoff=0.5)]


def did_you_mean(name: str, allowed: Iterable[str], *, what: str = "names", limit: int = 12) -> str:
    """A hint for an unknown name: its nearest neighbours, else the names there are."""
    names = allowed if isinstance(allowed, Collection) else list(allowed)
    close = nearest(name, names)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    if not names:
        return f"there are no {what}"
    shown = ", ".join(islice(names, limit)) + (f" and {len(names) - limit} more" if len(names) > limit else "")
    return f"{what}: {shown}"
