"""``--preview``: a picture of every step, as files in a folder."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from onnxflow.dump.file import replace_file
from onnxflow.dump.name import file_name
from onnxflow.engine.events import Event, Listener
from onnxflow.errors import OutputError, UsageError, printable
from onnxflow.nodes.output_files import Target, check_writable


class Previews:
    """Writes ``<node id>_<step>.jpg`` below ``folder``, with ``--count`` ``run<turn>_<node id>_<step>.jpg``.

    What other programs use in file names for more than names is written as in URLs: node 3:1 becomes ``3%3A1``. A file
    of the same name, which an earlier run wrote, is replaced in one step, so that a viewer never reads half a picture.
    The constructor creates the folder, UsageError when it cannot be written to. What goes wrong later is said once on
    stderr, and the run goes on without.
    """

    def __init__(self, folder: Path, turns: int = 1) -> None:
        hint = "give --preview a folder, or a name for a new one, that this user may write to"
        try:
            check_writable(Target(folder, "preview", folder, "", ""))
            folder.mkdir(parents=True, exist_ok=True)
        except OutputError as error:
            raise UsageError(f"--preview: {error.message}", where=str(folder), hint=hint) from None
        except OSError as error:
            reason = f"cannot create the folder: {error.strerror or error}"
            raise UsageError(f"--preview: {reason}", where=str(folder), hint=hint) from None
        self._folder = folder
        self._turns = turns
        self._said: set[str] = set()
        self._broken = False

    def before(self, listener: Listener, turn: int) -> Listener:
        """A listener that writes the preview of a step in this turn (0 is the first) and then tells ``listener``, with
        the file's path as ``preview`` in the event's data: JSON lines carry the path, not the picture."""
        digits = len(str(self._turns))
        prefix = f"run{turn + 1:0{digits}}_" if self._turns > 1 else ""

        def listen(event: Event) -> None:
            path = self._write(event, prefix)
            listener(event if path is None else replace(event, data={**event.data, "preview": str(path)}))

        return listen

    def _write(self, event: Event, prefix: str) -> Path | None:
        """Where the picture of a step now is; None when there is none."""
        if event.preview is None or self._broken:
            return None
        node = event.data["node"]
        try:
            preview = event.preview()
            if preview is None:
                self._say_once(f"no previews of node {node}: nobody knows the colours of its model's latents")
                return None
            path = self._folder / f"{prefix}{file_name(node)}_{event.data['value']:05}.jpg"
            replace_file(path, preview.data)
        except OSError as error:  # Pillow's too, when it was built without JPEG
            self._broken = True
            self._say_once(f"no more previews: {error.strerror or error} ({self._folder})")
            return None
        return path

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            print(printable(line), file=sys.stderr)  # looked up now: a progress bar stands in for it
