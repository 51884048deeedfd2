"""A file that is read through memory maps, and known to be the one that was opened.

A page of a map is read when it is first touched. If the file was truncated by then, the system does not raise an
exception: it ends the process with SIGBUS, and nothing in Python can catch that. So the file's state is compared right
before every map and every read, which costs one ``stat``; what shortens the file after that, while an array is in use,
still ends the process. Whoever keeps a map for long calls ``check`` before each use.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from weakref import WeakValueDictionary

from onnxflow.errors import ModelError


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells one file, and one state of it, from another: which file it is, its bytes, when it was written."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        """The state of the file that ``path`` names now, links followed; ModelError when there is none to read."""
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:  # ValueError: a name with a NUL character
            raise _unreadable(path, error) from None
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"
            raise ModelError(f"cannot read the file: it is {kind}", where=str(path), hint="name the file itself")
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class MappedFile:
    """A file in the state it had when it was opened. It is open only while it is read, or a view of it is in use."""

    path: Path
    state: FileState
    _maps: WeakValueDictionary[FileState, mmap.mmap] = field(
        default_factory=WeakValueDictionary, init=False, repr=False, compare=False
    )

    @classmethod
    def open(cls, path: Path) -> MappedFile:
        """The file in its present state; ModelError when there is none."""
        return cls(path, FileState.of(path))

    def check(self) -> None:
        """ModelError when the file is gone, or another than the one that was opened, or was written since."""
        try:
            found = FileState.of(self.path)
        except ModelError as error:
            raise self._changed(error.message) from None
        if found == self.state:
            return
        if found.size != self.state.size:
            raise self._changed(f"it had {self.state.size:,} bytes, now it has {found.size:,}")
        if (found.device, found.inode) != (self.state.device, self.state.inode):
            raise self._changed("another file has taken its place")
        raise self._changed("it was written to")

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from ``offset`` on, copied; ModelError when the file changed or cannot be read."""
        with self._open() as file:
            file.seek(offset)
            found = file.read(length)
        if len(found) != length:
            raise self._changed(f"it ends {length - len(found):,} bytes too early")
        return found

    def map(self, offset: int, length: int) -> memoryview:
        """``length`` bytes, one or more, from ``offset`` on, mapped for reading, not copied.

        All views of one file share a map, for each takes a file handle; it goes when the last view goes, and its pages
        with it. ModelError when the file changed or cannot be mapped.
        """
        mapped = self._maps.get(self.state)
        if mapped is None:
            mapped = self._maps[self.state] = self._map()
        else:
            self.check()
        return memoryview(mapped)[offset : offset + length]

    def _map(self) -> mmap.mmap:
        size = self.state.size
        with self._open() as file:
            try:
                return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
            except ValueError:  # mmap looks at the length itself: the file was cut off a moment ago
                raise self._changed(f"it has fewer than {size:,} bytes") from None
            except OSError as error:
                raise ModelError(
                    f"the {size:,} bytes of the file cannot be mapped into memory: {error.strerror or error}",
                    where=str(self.path),
                    hint="copy the file to a local disk, or raise the limit on the process's memory (ulimit -v)",
                ) from None

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        try:
            with open(self.path, "rb") as file:
                self.check()  # after opening: what is open is what was checked
                yield file
        except FileNotFoundError:
            raise self._changed("it is gone") from None
        except OSError as error:
            raise _unreadable(self.path, error) from None

    def _changed(self, how: str) -> ModelError:
        return ModelError(
            f"the file changed while it was in use: {how}",
            where=str(self.path),
            hint="run again once nothing writes to the file; replace a model's file only while no run uses it",
        )


def _unreadable(path: Path, error: OSError | ValueError) -> ModelError:
    reason = getattr(error, "strerror", None) or str(error)
    hint = "check the name, and whether you may read the file"
    return ModelError(f"cannot read the file: {reason}", where=str(path), hint=hint)
