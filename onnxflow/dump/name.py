"""Names of files: safe in every file system, and another one for every node, output and value (of nodes whose ids
differ in letters' case alone, only where the file system tells cases apart)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from onnxflow.errors import NodeRef
from onnxflow.nodes.spec import Output

_LONGEST: Final = 100  # bytes of a node's id; file systems allow 255 for all of a name
_LONGEST_CLASS: Final = 60
_LONGEST_OUTPUT: Final = 40


def file_name(text: str, longest: int = _LONGEST, *, escaped: str = ".~") -> str:
    """A text, such as a node's id, as part of a file name: of letters, digits, ``_``, ``-`` and ``%`` only, of at most
    ``longest`` bytes (24 or more), another one for every text. ``escaped`` are what else is written as in URLs."""
    name = quote(text, safe="", errors="surrogatepass")
    for letter in escaped:
        name = name.replace(letter, f"%{ord(letter):02X}")
    if len(name) <= longest:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: longest - len(digest) - 1]}-{digest}"


def stem_of(node: NodeRef, outputs: Sequence[Output], slot: int) -> str:
    """``<id>_<class>_<output>``, with the output's number behind a name that another output of the node has too."""
    name = outputs[slot].name
    # File systems of Windows and macOS take names that differ in their case alone for one.
    alike = sum(output.name.casefold() == name.casefold() for output in outputs)
    parts = [
        file_name(node.id, escaped=".~_"),
        file_name(node.class_type, _LONGEST_CLASS),
        file_name(name, _LONGEST_OUTPUT),
    ]
    return "_".join(parts) + (f"-{slot}" if alike > 1 else "")


def number(position: int, count: int) -> str:
    """``_<n>`` for one of ``count`` things, from 1 and of equal length, so that they sort; nothing for the only one."""
    return f"_{position + 1:0{len(str(count))}}" if count != 1 else ""
