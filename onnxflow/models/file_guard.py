"""Keeps names that a workflow or a manifest gives inside the folder they are relative to, on every operating system."""

from __future__ import annotations

import os
import re
from pathlib import Path

_ON_WINDOWS = os.name == "nt"
_DRIVE = re.compile(r"[A-Za-z]:")
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)


def split(name: str) -> tuple[str, ...]:
    """The parts of a relative name, ``.`` and ``a/..`` resolved; ValueError says why when it may leave its folder.

    Both slashes separate, and Windows' drives and devices are refused, on every system: a workflow that is harmless
    here must not be harmful elsewhere.
    """
    if "\0" in name:
        raise ValueError("contains a NUL character")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in name):
        raise ValueError("contains half a surrogate pair, which no file system can store")
    if _DRIVE.match(name):
        raise ValueError("names a Windows drive")
    if _ON_WINDOWS and ":" in name:
        raise ValueError("contains ':', which on Windows names a hidden stream of a file")
    name = name.replace("\\", "/")
    if name.startswith("/"):
        raise ValueError("is an absolute path")
    parts: list[str] = []
    for part in name.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise ValueError("leads out of the folder through '..'")
            parts.pop()
            continue
        if not part.strip(" ."):
            raise ValueError(f"has a part {part!r} that Windows reads as a way up")
        if _DEVICE.fullmatch(part.split(".")[0].strip()):
            raise ValueError(f"has a part {part!r} that is a device on Windows")
        parts.append(part)
    return tuple(parts)


def is_plain(name: str) -> bool:
    """Whether ``name`` is relative, stays in its folder and is written in the one way that ``split`` joins up to."""
    try:
        return name != "" and "/".join(split(name)) == name
    except ValueError:
        return False


def below(root: Path, parts: tuple[str, ...]) -> Path:
    """The path of ``parts`` below ``root``; ValueError when a symbolic link on the way leads out of ``root``."""
    try:
        real_root = root.resolve()
        path = real_root.joinpath(*parts)
        inside = path.resolve().is_relative_to(real_root)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise ValueError(f"cannot be followed: {getattr(error, 'strerror', None) or 'its links form a loop'}") from None
    if not inside:
        raise ValueError("leads out of the folder through a symbolic link")
    return path
