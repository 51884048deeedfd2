"""``--dump``: the results of nodes as files in a folder, each written as soon as its node is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from onnxflow.dump.file import replace_file
from onnxflow.dump.name import number, stem_of
from onnxflow.dump.part import Part, json_part
from onnxflow.dump.value import parts_of, remarks_of
from onnxflow.errors import NodeRef, OutputError, UsageError
from onnxflow.nodes.output_files import Target, check_writable
from onnxflow.nodes.spec import Output
from onnxflow.values import Handle


class Dump:
    """Writes ``<node id>_<class>_<output>[_<n>].<ext>`` below ``folder``, with several turns ``run<turn>_`` before it.

    A file of the same name, which an earlier run wrote, is replaced. The constructor creates the folder, UsageError
    when it cannot be written to. What goes wrong later is told to ``say`` and kept in ``failed``; nothing is raised, so
    that the run goes on. ``written`` and ``remarks`` (what is odd about values) are of the turn. Equal values give
    equal files.
    """

    def __init__(self, folder: Path, turns: int = 1, say: Callable[[str], None] = lambda line: None) -> None:
        hint = "name a folder, or a new one, that this user may write to"
        try:
            check_writable(Target(folder, "dump", folder, "", ""))
            folder.mkdir(parents=True, exist_ok=True)
        except OutputError as error:
            raise UsageError(f"--dump: {error.message}", where=str(folder), hint=hint) from None
        except OSError as error:
            reason = f"cannot create the folder: {error.strerror or error}"
            raise UsageError(f"--dump: {reason}", where=str(folder), hint=hint) from None
        self.folder = folder
        self.failed: list[str] = []
        self.written: list[Path] = []
        self.remarks: list[str] = []
        self._turns = turns
        self._turn = 0
        self._say = say
        self._reasons: set[str] = set()

    def begin(self, turn: int) -> None:
        """What comes now belongs to this turn; 0 is the first."""
        self._turn = turn
        self.written, self.remarks = [], []

    def __call__(
        self, node: NodeRef, outputs: Sequence[Output], values: Sequence[Sequence[Any]], model: Handle | None
    ) -> list[Path]:
        """Write the values of a node's outputs, a list of them for each; the files that are there now."""
        digits = len(str(self._turns))
        prefix = f"run{self._turn + 1:0{digits}}_" if self._turns > 1 else ""
        written: list[Path] = []
        for slot, (output, items) in enumerate(zip(outputs, values, strict=True)):
            stem = prefix + stem_of(node, outputs, slot)
            heading = f"{node.title or node.class_type} ({node.id}): {output.name}"
            if not items:
                empty = {"type": output.type, "values": 0, "meaning": "the node gave an empty list"}
                written += self._write(stem, [json_part(empty)])
            for position, value in enumerate(items):
                place = number(position, len(items))
                title = f"{heading}, {position + 1} of {len(items)}" if place else heading
                written += self._dump(f"{stem}{place}", value, output.type, title, model)
        self.written += written
        return written

    def _dump(self, stem: str, value: Any, type_: str, heading: str, model: Handle | None) -> list[Path]:
        try:
            self.remarks += [f"{stem}: {remark}" for remark in remarks_of(value)]
            parts = list(parts_of(value, type_, heading, model))
        except Exception as error:  # whatever a value of a stranger's node does
            self._fail(stem, error)
            return []
        return self._write(stem, parts)

    def _write(self, stem: str, parts: Sequence[Part]) -> list[Path]:
        written = []
        for part in parts:
            path = self.folder / f"{stem}{part.ending}"
            try:
                replace_file(path, part.make())
            except Exception as error:
                self._fail(path.name, error)
            else:
                written.append(path)
        return written

    def _fail(self, name: str, error: Exception) -> None:
        """Keep the name, and say the reason when it is a new one."""
        self.failed.append(name)
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else _reason(error)
        if reason not in self._reasons:
            self._reasons.add(reason)
            self._say(f"cannot dump {name}: {reason}")

    def check(self) -> None:
        """OutputError when something could not be written, for the end of a run."""
        if self.failed:
            more = f" and {len(self.failed) - 3} more" if len(self.failed) > 3 else ""
            raise OutputError(
                f"the run is done, but not all of its dump could be written: {', '.join(self.failed[:3])}{more}"
                f" ({'; '.join(sorted(self._reasons))})",
                where=str(self.folder),
                hint="look at the reason, and run it again; the pictures are not affected",
            )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
