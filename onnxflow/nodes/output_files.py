"""Where results go: ComfyUI's names and counters below a root, written whole or not at all, never over another file."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onnxflow.errors import OutputError, shown
from onnxflow.models import file_guard
from onnxflow.values import SavedFile

# What file systems without hard links (FAT, some network and Android storage) answer.
_NO_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})

_LONGEST_PART = 255 - len("_1234567_.latent")


@dataclass(frozen=True, slots=True)
class Target:
    """A file name prefix, expanded and found to be inside ``root``; ``kind`` is "output" or "temp"."""

    root: Path
    kind: str
    folder: Path
    subfolder: str
    stem: str

    def stem_of(self, index: int) -> str:
        """The name of the batch's picture ``index`` before its counter."""
        return self.stem.replace("%batch_num%", str(index))


def expand(prefix: str, now: time.struct_time, width: int = 0, height: int = 0) -> str:
    """``prefix`` with ``%width% %height%`` (pixels) and ``%year% ... %second%`` of ``now`` filled in."""
    values = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    for name, value in values.items():
        prefix = prefix.replace(f"%{name}%", value)
    return prefix


def target(root: Path, kind: str, prefix: str, *, now: time.struct_time, width: int = 0, height: int = 0) -> Target:
    """Where files of ``prefix`` go; OutputError when that is outside ``root``. Creates nothing."""
    try:
        parts = file_guard.split(expand(prefix, now, width, height))
        folder = file_guard.below(root, parts[:-1])
    except ValueError as reason:
        raise OutputError(
            f"the file name prefix {shown(prefix)} {reason}",
            where=str(root),
            hint="use a name relative to the folder, such as 'ComfyUI' or 'portraits/ComfyUI'",
        ) from None
    longest = max((len(os.fsencode(part)) for part in parts), default=0)
    if longest > _LONGEST_PART:
        raise OutputError(
            f"the file name prefix {shown(prefix)} has a part of {longest} bytes",
            where=str(root),
            hint=f"use at most {_LONGEST_PART}: file systems allow 255 with the counter and the suffix",
        )
    # An empty prefix normalises to the folder itself, ".", and ComfyUI writes "._00001_.png".
    return Target(root, kind, folder, "/".join(parts[:-1]), parts[-1] if parts else ".")


def problem(root: Path, kind: str, prefix: str | None) -> str | None:
    """Why files of ``prefix`` cannot be written below ``root``, on one line, or None; looks only, creates nothing.

    A prefix that only a link will bring is None: then ``root`` itself is looked at.
    """
    try:
        check_writable(target(root, kind, prefix or "", now=time.localtime()))
    except OutputError as error:
        return f"{error.message} (folder: {error.where}; {error.hint})"
    return None


def check_writable(place: Target) -> None:
    """OutputError when the folder of ``place`` is a file, cannot be created, or may not be written to."""
    nearest = next(path for path in (place.folder, *place.folder.parents) if os.path.lexists(path) or not path.name)
    other = "another --output-dir" if place.kind == "output" else "another folder for temporary files"
    if place.subfolder:
        other = f"another file name prefix, or {other}"
    if not nearest.is_dir():
        raise OutputError(
            f"cannot write a file: {nearest} is a file, not a folder", where=str(place.folder), hint=f"use {other}"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        verb = "write into" if nearest == place.folder else "create a folder in"
        raise OutputError(
            f"cannot write a file: this user may not {verb} {nearest}",
            where=str(place.folder),
            hint=f"change its permissions, or use {other}",
        )


def next_counter(names: Iterable[str], stems: Iterable[str]) -> int:
    """One more than the highest counter among ``names`` that read ``<stem>_<counter>_...``; 1 when there is none."""
    starts = tuple({os.path.normcase(stem) + "_" for stem in stems})
    found = [0]
    for name in map(os.path.normcase, names):
        if name.startswith(starts):
            found += [_number(name[len(start) :].split("_")[0]) for start in starts if name.startswith(start)]
    return max(found) + 1


def save(place: Target, suffix: str, datas: Iterable[bytes], count: int) -> Iterator[SavedFile]:
    """Write ``count`` files, each whole or not at all, and yield each once it is there; OutputError when it cannot be.

    The counter continues after the highest one in the folder and skips names that another process takes meanwhile.
    """
    check_writable(place)
    with _explained(place.folder):
        place.folder.mkdir(parents=True, exist_ok=True)
        counter = next_counter(os.listdir(place.folder), (place.stem_of(i) for i in range(count)))
    for index, data in enumerate(datas):
        with _explained(place.folder):
            name, counter = _write_new(place.folder, place.stem_of(index), suffix, counter, data)
        counter += 1
        yield SavedFile(place.folder / name, name, place.subfolder, place.kind)


def _write_new(folder: Path, stem: str, suffix: str, counter: int, data: bytes) -> tuple[str, int]:
    """Write ``data`` to the first free ``<stem>_<counter>_<suffix>``; the name and the counter it got."""
    draft = folder / f".onnxflow-{os.urandom(8).hex()}.tmp"
    try:
        with open(draft, "xb") as file:
            file.write(data)
        while True:
            name = f"{stem}_{counter:05}_{suffix}"
            try:
                _publish(draft, folder / name)
            except FileExistsError:
                counter += 1
                continue
            return name, counter
    finally:
        draft.unlink(missing_ok=True)


def _publish(draft: Path, final: Path) -> None:
    """Give ``draft`` its final name in one step; FileExistsError when the name is taken."""
    try:
        # A link, not a rename: it refuses to replace what another process wrote a moment ago.
        os.link(draft, final)
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    os.close(os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        os.replace(draft, final)
    except BaseException:
        final.unlink(missing_ok=True)
        raise


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turns what the operating system refuses into OutputError."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise OutputError(
            f"cannot write a file: {error.strerror or error}",
            where=str(folder),
            hint="free some space on that disk" if full else "check the folder and its permissions, or choose another",
        ) from error


def _number(text: str) -> int:
    try:
        return max(int(text), 0)
    except ValueError:
        return 0
