"""Where an export is made: a hidden folder beside the bundle, with a journal of the finished steps.

A killed export leaves only this folder, which nothing opens as a model. What the journal names is whole: it is written
after its files.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from onnxflow.errors import UsageError
from onnxflow.models.manifest import FILE_NAME

_JOURNAL, _KEY = "journal.jsonl", "export.json"


@dataclass(frozen=True, slots=True)
class Done:
    """A finished step: its files with their sizes and SHA-256, and of a graph its error relative to torch, the seconds
    of one call, its inputs and outputs with the names of their axes."""

    step: str
    files: dict[str, tuple[int, str]]
    error: float = 0.0
    seconds: float = 0.0
    inputs: dict[str, list[str | int]] = field(default_factory=dict)
    outputs: dict[str, list[str | int]] = field(default_factory=dict)


def part_folder(bundle: Path) -> Path:
    """Where the export of a bundle is made."""
    return bundle.with_name(f".{bundle.name}.part")


class WorkFolder:
    """The folder of one export; `files` below it becomes the bundle, with the manifest that is written beside it."""

    def __init__(self, bundle: Path, key: dict[str, Any], *, resume: bool, report: Callable[[str], None]) -> None:
        """Begin an export, or go on with the one that was left; UsageError when that one was of something else."""
        self.root = part_folder(bundle)
        self.files = self.root / "files"
        self.manifest = self.root / FILE_NAME
        self._done: dict[str, Done] = {}
        self._digests: dict[Path, str] = {}  # of what an earlier start left
        self._made = [folder for folder in self.root.parents if not folder.exists()]
        text = json.dumps(key, sort_keys=True)
        # With a manifest the files are a bundle: the finished one, or the older one that it was exchanged for.
        if resume and (self.root / _KEY).is_file() and not (self.files / FILE_NAME).exists():
            before = (self.root / _KEY).read_text(encoding="utf-8")
            if before != text:
                raise UsageError(
                    f"the unfinished export is of another source, or with other options or tools{_apart(before, key)}",
                    where=str(self.root),
                    hint="give the same options, or start anew without --resume",
                )
            self._done = {done.step: done for done in self._read() if self._is_whole(done)}
            (self.root / _JOURNAL).write_text("".join(_line(done) for done in self._done.values()), encoding="utf-8")
            report(f"goes on: {len(self._done)} steps are done")
            return
        try:
            shutil.rmtree(self.root, ignore_errors=True)
            self.files.mkdir(parents=True)
            (self.root / _KEY).write_text(text, encoding="utf-8")
        except OSError:
            self.remove()
            raise

    def done(self, step: str) -> Done | None:
        """What is known of a step that is finished."""
        return self._done.get(step)

    def finish(self, step: str, names: Sequence[str], **facts: Any) -> Done:
        """Note that a step is finished, whose files are in place, and what is known of its graph."""
        for name in names:
            _settle(self.files / name)
        files = {name: (path.stat().st_size, sha256(path)) for name in names for path in [self.files / name]}
        done = Done(step, files, **facts)
        self.keep(done)
        return done

    def keep(self, done: Done) -> None:
        """Note what is known of a finished step, unless that is noted."""
        if self._done.get(done.step) == done:
            return
        with (self.root / _JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(_line(done))
            journal.flush()
            os.fsync(journal.fileno())
        self._done[done.step] = done

    def remove(self) -> None:
        """Leave nothing behind, neither folders that were made to hold this one."""
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in self._made:
            with suppress(OSError):  # the bundle is in it
                folder.rmdir()

    def _read(self) -> list[Done]:
        path = self.root / _JOURNAL
        found = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                entry = json.loads(line)
            except ValueError:  # the kill came while it was written
                continue
            entry["files"] = {name: (size, digest) for name, (size, digest) in entry["files"].items()}
            found.append(Done(**entry))
        return found

    def _is_whole(self, done: Done) -> bool:
        """Whether the files of a step are still as they were noted."""
        paths = [(self.files / name, size, digest) for name, (size, digest) in done.files.items()]
        return all(p.is_file() and p.stat().st_size == size and self._digest(p) == digest for p, size, digest in paths)

    def _digest(self, path: Path) -> str:
        """The digest of a file, which several steps may name."""
        if path not in self._digests:
            self._digests[path] = sha256(path)
        return self._digests[path]


def _apart(before: str, key: dict[str, Any]) -> str:
    """Which entries of two keys differ, for people; nothing when the older one cannot be read."""
    try:
        older = json.loads(before)
        return " (" + ", ".join(name for name in key if older.get(name) != key[name]) + ")"
    except (ValueError, AttributeError):
        return ""


def _line(done: Done) -> str:
    return json.dumps(asdict(done)) + "\n"


def _settle(path: Path) -> None:
    """Wait until a file's contents are on the disk: the journal, which is, must not know more than the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sha256(path: Path) -> str:
    """The digest of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
