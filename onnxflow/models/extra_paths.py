"""ComfyUI's extra_model_paths.yaml: folders of models that lie elsewhere.

Of YAML it uses little, and little is read here: sections, in each a ``base_path``, maybe ``is_default``, and for every
kind of model one path or, after ``|``, one a line. A key that is not used here may have any value. Anything else is
refused with its line, for a path that is read wrongly would be searched in vain.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from onnxflow.errors import UsageError, shown
from onnxflow.models.folders import KINDS, ExtraPaths

LARGEST: Final = 1024 * 1024
"""Bytes of the largest file that is read."""

BASE, DEFAULT = "base_path", "is_default"
_VARIABLE: Final = re.compile(r"\$([A-Za-z_]\w*|\{[^{}]*\})")
_BLOCKS: Final = ("|", "|-", "|+")
_NOTHING: Final = ("", "~", "null", "{}")
_TRUE: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    indent: int
    text: str


@dataclass(slots=True)
class _Value:
    """What follows a key: in its own line, and in the lines below that are indented further."""

    number: int
    text: str
    below: list[_Line]


_Section = dict[str, _Value]


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


def _lines(file: Path) -> Iterator[_Line]:
    """The lines that say something."""
    try:
        with open(file, "rb") as opened:
            data = opened.read(LARGEST + 1)
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(
            f"the list of model folders cannot be read: {reason}",
            where=str(file),
            hint="name a file in the form of ComfyUI's extra_model_paths.yaml, in UTF-8",
        ) from None
    if len(data) > LARGEST:
        raise UsageError(
            f"the list of model folders has more than {LARGEST:,} bytes", where=str(file), hint="name another file"
        )
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.rstrip()
        bare = line.lstrip(" ")
        if line == "...":  # the end of a document
            return
        if bare and not bare.startswith("#") and bare != "---":
            if bare[0] == "\t":
                raise _wrong(file, number, "it is indented with a tab", "indent with spaces")
            yield _Line(number, len(line) - len(bare), bare)


def _sections(lines: Iterator[_Line], file: Path) -> list[_Section]:
    """The keys of every section, with their lines and values."""
    found: list[_Section] = []
    inner = -1  # how far the section's keys are indented
    last: _Value | None = None
    for line in lines:
        if last is not None and line.indent > inner:
            last.below.append(line)
            continue
        key, value = _pair(line, file)
        if line.indent == 0:
            if value not in _NOTHING:
                raise _wrong(file, line.number, f"the section {shown(key)} has a value", "put its keys below it")
            found.append({})
            inner, last = -1, None
            continue
        if not found or (inner >= 0 and line.indent != inner):
            raise _wrong(file, line.number, "it is indented otherwise than its neighbours", "line the keys up")
        inner = line.indent
        if key in found[-1]:
            raise _wrong(file, line.number, f"{shown(key)} is there twice", "put its paths below one key, after a |")
        last = found[-1][key] = _Value(line.number, value, [])
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


def _paths(value: _Value, file: Path) -> list[str]:
    """The texts of a value: that of its line, or those of the lines of its block, as they are."""
    if value.text in _BLOCKS:
        return [path for line in value.below for path in _of_block(line, file)]
    if value.below and all(line.text.startswith("-") for line in value.below):
        raise _wrong(file, value.below[0].number, "it is a list", "put a | after the key, and leave the dashes away")
    if value.text[:1] == ">":
        raise _wrong(file, value.number, f"{shown(value.text)} joins lines", "write | instead of >")
    if value.below and value.text not in _NOTHING:
        line = value.below[0]
        raise _wrong(file, line.number, "it is indented otherwise than its neighbours", "line the keys up")
    if len(value.below) > 1:
        raise _wrong(file, value.below[0].number, "several lines follow a key without a |", "put a | after the key")
    if value.below:
        return [_plain(value.below[0].text, value.below[0].number, file)]
    return [] if value.text in _NOTHING else [_plain(value.text, value.number, file)]


def _of_block(line: _Line, file: Path) -> tuple[str, ...]:
    """A line of a block, as it is; and without what looks like a comment, though YAML knows none there: ComfyUI's own
    example has one."""
    if line.text.startswith("- "):
        raise _wrong(file, line.number, f"{shown(line.text)} is a list inside a block", "leave the dashes away")
    return tuple(dict.fromkeys((line.text, line.text.split(" #")[0].rstrip())))


def _plain(value: str, number: int, file: Path) -> str:
    """A value without its quotes; UsageError for what YAML would read otherwise."""
    if value[:1] in ("'", '"'):
        end = value.find(value[0], 1)
        rest = value[end + 1 :].strip()
        if end < 0 or (rest and not rest.startswith("#")) or "\\" in value[:end] * (value[0] == '"'):
            raise _wrong(file, number, f"{shown(value)} is not quoted simply", "leave the quotes away")
        return value[1:end]
    if value[:1] in ("[", "{", "&", "*", "!", ">", "|", "%", "@", "`") or value.startswith("- "):
        raise _wrong(file, number, f"{shown(value)} is more YAML than is read here", "write one path a line, after a |")
    return _without_comment(value)


def _is_default(section: _Section, file: Path) -> bool:
    if DEFAULT not in section:
        return False
    values = _paths(section[DEFAULT], file)
    found = _TRUE.get(values[0].lower()) if len(values) == 1 else None
    if found is None:
        raise _wrong(file, section[DEFAULT].number, f"{DEFAULT} is {shown(' '.join(values))}", "write true or false")
    return found


def _named(section: _Section, file: Path, environment: Mapping[str, str]) -> dict[str, list[Path]]:
    """The folders that a section names, by kind; what only others load is passed over."""
    found: dict[str, list[Path]] = {}
    base = file.absolute().parent
    if BASE in section:
        values = _paths(section[BASE], file)
        if len(values) != 1:
            raise _wrong(file, section[BASE].number, f"{BASE} has {len(values)} paths", "name one folder")
        base = base / _expanded(values[0], environment)
    for key, value in section.items():
        if key in KINDS and (paths := [base / _expanded(path, environment) for path in _paths(value, file)]):
            found.setdefault(KINDS[key], []).extend(paths)
    return found


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """A path with ~ and $NAME or ${NAME} in it; a name that is not set stays as it is."""
    found = _VARIABLE.sub(lambda match: environment.get(match[1].strip("{}"), match[0]), text)
    return os.path.expanduser(found)


def _wrong(file: Path, number: int, what: str, hint: str) -> UsageError:
    return UsageError(f"line {number} of the model folders' list is not understood: {what}", where=str(file), hint=hint)
