"""ComfyUI's extra_model_paths.yaml: folders of models that lie elsewhere.

Of YAML it uses little, and little is read here: sections, in each a ``base_path``, maybe ``is_default``, and for every
kind of model one path or, after ``|``, one a line. Anything else is refused with its line, for a path that is read
wrongly would be searched in vain.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from onnxflow.errors import UsageError, did_you_mean, shown
from onnxflow.models.folders import KINDS, ExtraPaths

LARGEST: Final = 1024 * 1024
"""Bytes of the largest file that is read."""

BASE, DEFAULT = "base_path", "is_default"
_OTHERS: Final = ("custom_nodes", "download_model_base")  # of ComfyUI, and no models
_VARIABLE: Final = re.compile(r"\$([A-Za-z_]\w*|\{[^{}]*\})")
_BLOCKS: Final = ("|", "|-", "|+")
_TRUE: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    indent: int
    text: str


def read_extra_paths(files: list[Path], environment: Mapping[str, str]) -> ExtraPaths:
    """The folders that these files name, in their order; UsageError for a file that is not there or not understood."""
    first: dict[str, list[Path]] = {}
    last: dict[str, list[Path]] = {}
    for file in files:
        for section in _sections(_lines(file), file):
            default = _is_default(section, file)
            for kind, paths in _named(section, file, environment).items():
                if default:  # as in ComfyUI, where each goes before all others
                    first[kind] = [*reversed(paths), *first.get(kind, [])]
                else:
                    last[kind] = [*last.get(kind, []), *paths]
    return ExtraPaths(*(MappingProxyType({kind: tuple(paths) for kind, paths in one.items()}) for one in (first, last)))


_Section = dict[str, tuple[int, list[str]]]


def _lines(file: Path) -> Iterator[_Line]:
    """The lines that say something."""
    try:
        with open(file, "rb") as opened:
            data = opened.read(LARGEST + 1)
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"the list of model folders cannot be read: {reason}", where=str(file)) from None
    if len(data) > LARGEST:
        raise UsageError(f"the list of model folders has more than {LARGEST:,} bytes", where=str(file))
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.rstrip()
        bare = line.lstrip(" ")
        if bare and not bare.startswith("#") and bare != "---":
            if bare[0] == "\t":
                raise _wrong(file, number, "it is indented with a tab", "indent with spaces")
            yield _Line(number, len(line) - len(bare), bare)


def _sections(lines: Iterator[_Line], file: Path) -> list[_Section]:
    """The keys of every section, with their lines and values."""
    found: list[_Section] = []
    inner = block = -1  # how far the section's keys, and a block's lines, are indented
    values: list[str] | None = None  # of the block that is open
    for line in lines:
        if values is not None and line.indent > inner and (block < 0 or line.indent >= block):
            block = line.indent if block < 0 else block
            values.append(_plain(line.text, line, file))
            continue
        values, block = None, -1
        key, value = _pair(line, file)
        if line.indent == 0:
            if value:
                raise _wrong(file, line.number, f"the section {shown(key)} has a value", "put its keys below it")
            found.append({})
            inner = -1
            continue
        if not found or (inner >= 0 and line.indent != inner):
            raise _wrong(file, line.number, "it is indented otherwise than its neighbours", "line the keys up")
        inner = line.indent
        if key in found[-1]:
            raise _wrong(file, line.number, f"{shown(key)} is there twice", "put its paths below one key, after a |")
        values = [] if value in _BLOCKS else None
        given = values if values is not None else [_plain(value, line, file)] if value else []
        found[-1][key] = (line.number, given)
    return found


def _pair(line: _Line, file: Path) -> tuple[str, str]:
    key, colon, value = line.text.partition(":")
    if not colon or (value and value[0] != " ") or not key.strip():
        raise _wrong(file, line.number, f"{shown(line.text)} is no KEY: VALUE", "write it as checkpoints: PATH")
    return key.strip().strip("\"'"), _without_comment(value.strip())


def _without_comment(value: str) -> str:
    if value[:1] in ("'", '"') or value.startswith("#"):
        return "" if value.startswith("#") else value
    return value.split(" #")[0].rstrip()


def _plain(value: str, line: _Line, file: Path) -> str:
    """A value without its quotes; UsageError for what YAML would read otherwise."""
    if value[:1] in ("'", '"'):
        end = value.find(value[0], 1)
        rest = value[end + 1 :].strip()
        if end < 0 or (rest and not rest.startswith("#")) or "\\" in value[:end] * (value[0] == '"'):
            raise _wrong(file, line.number, f"{shown(value)} is not quoted simply", "leave the quotes away")
        return value[1:end]
    if value[:1] in ("[", "{", "&", "*", "!", ">", "|", "%", "@", "`") or value.startswith("- "):
        raise _wrong(file, line.number, f"{shown(value)} is more YAML than is read here", "write one path a line")
    return _without_comment(value)


def _is_default(section: _Section, file: Path) -> bool:
    number, values = section.get(DEFAULT, (0, ["false"]))
    found = _TRUE.get(values[0].lower()) if len(values) == 1 else None
    if found is None:
        raise _wrong(file, number, f"{DEFAULT} is {shown(' '.join(values))}", "write true or false")
    return found


def _named(section: _Section, file: Path, environment: Mapping[str, str]) -> dict[str, list[Path]]:
    """The folders that a section names, by kind."""
    found: dict[str, list[Path]] = {}
    base = file.absolute().parent
    if BASE in section:
        number, values = section[BASE]
        if len(values) != 1:
            raise _wrong(file, number, f"{BASE} has {len(values)} paths", "name one folder")
        base = base / _expanded(values[0], environment)
    for key, (number, values) in section.items():
        if key in (BASE, DEFAULT, *_OTHERS):
            continue
        kind = KINDS.get(key)
        if kind is None and key.isidentifier():
            continue  # a kind of model that only others load
        if kind is None:
            raise _wrong(file, number, f"{shown(key)} is no kind of model", did_you_mean(key, KINDS, what="kinds"))
        paths = [base / _expanded(value, environment) for value in values if value]
        if paths:
            found.setdefault(kind, []).extend(paths)
    return found


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """A path with ~ and $NAME or ${NAME} in it; a name that is not set stays as it is."""
    found = _VARIABLE.sub(lambda match: environment.get(match[1].strip("{}"), match[0]), text)
    return os.path.expanduser(found)


def _wrong(file: Path, number: int, what: str, hint: str) -> UsageError:
    return UsageError(f"line {number} of the model folders' list is not understood: {what}", where=str(file), hint=hint)
