"""Content keys: what a node's result depends on, as a hash of hashes.

A key covers the class, the fingerprint of whatever the node reads outside the graph, and each input: a value by its
content, a link by the KEY of the node it comes from. So a key costs the same at any depth, ids do not matter, and two
nodes that would compute the same thing have the same key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

KEY_SIZE = 16


def content_key(
    class_type: str, fingerprint: str, literals: Mapping[str, Any], links: Iterable[tuple[str, bytes, int]]
) -> bytes:
    """The key of a node; ``links`` are (input name, key of the origin, slot).

    Inputs count in the order given, which is the class's own when they come from a check.
    """
    # repr() quotes and escapes, so no value can imitate a separator; digests have a fixed length.
    text = f"{class_type!r},{fingerprint!r}"
    for name, value in literals.items():
        text += f";{name}={value!r}"
    content = text.encode()
    for name, key, slot in links:
        content += f";{name}<{slot}:".encode() + key
    return blake2b(content, digest_size=KEY_SIZE).digest()
