"""Damage to small safetensors files: the same for the same seed, in their bytes or in their headers."""

import json
import struct
from collections.abc import Callable
from random import Random
from typing import Any

from tensor_files import file_bytes, laid_out

Header = list[tuple[str, Any]]
"""Names and entries in their order; JSON can have a name twice, a dict cannot."""

NUMBERS = (
    *(0, 1, 2, 3, 4, 7, 8, 63, 255, 256, 65_535, 65_536, -1, -8, 1.0, 0.5, 1e300, -0.0, True, False, None, "4", [], {}),
    *(2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 4, 10**19, 10**400),
)
LENGTHS = (*range(12), 2**16, 10**8, 10**8 + 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1)
TYPES = (
    "F64",
    "F32",
    "F16",
    "BF16",
    "F8_E4M3",
    "F8_E5M2",
    "F4",
    "F6_E2M3",
    "C64",
    "I64",
    "I8",
    "U8",
    "BOOL",
    "f32",
    "",
)
TEXTS = ("", "a", "weight", "bias", "__metadata__", "\0", "\n", "é", "\U0001f600", "\ud800", "x" * 5000, "{", '"', "\\")
RAW = (
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"\n", b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80"),
    *(b"NaN", b"-Infinity", b"1e999", b"-", b"0x10", b"null", b"\\u0000", b"\\ud800", b"\xef\xbb\xbf", b"9" * 5000),
    *(b"[" * 2000, b'{"a":' * 2000, b'"a":1,' * 50, b"/**/", b"[[[[]]]]", b'"data_offsets"'),
)


def sound_file() -> bytes:
    """A file with a tensor of each kind of type, empty ones, one without dimensions, and metadata."""
    content = Random(0).randbytes(1000)
    tensors = {
        "weight": ("F32", [3, 5], content[:60]),
        "bias": ("F16", [4], content[60:68]),
        "half": ("BF16", [2, 3, 1], content[68:80]),
        "scale": ("F64", [], content[80:88]),
        "eight": ("F8_E4M3", [2, 4], content[88:96]),
        "wide": ("F8_E5M2", [3], content[96:99]),
        "mask": ("BOOL", [2, 2], b"\0\1\1\0"),
        "ids": ("I64", [1, 3], content[99:123]),
        "bytes": ("U8", [7], content[123:130]),
        "nothing": ("F32", [0, 4], b""),
    }
    return laid_out(tensors, {"format": "pt", "title": 'a "model", \\ and {é}'})


def mutated(data: bytes, seed: int) -> bytes:
    """``data`` with one to three kinds of damage."""
    random = Random(seed)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if random.random() < 0.5:
            data = _in_header(data, random)
        else:
            data = random.choice(IN_BYTES)(data, random)
    return data


def flip_bits(data: bytes, random: Random) -> bytes:
    """Up to eight bits, most of them in the header."""
    found = bytearray(data)
    for _ in range(random.randint(1, 8)):
        if found:
            found[random.randrange(random.choice((8, 400, len(found)))) % len(found)] ^= 1 << random.randrange(8)
    return bytes(found)


def truncate(data: bytes, random: Random) -> bytes:
    """The beginning, often all but a few bytes."""
    return data[: random.choice((random.randint(0, len(data)), max(0, len(data) - random.randint(1, 9))))]


def lengthen(data: bytes, random: Random) -> bytes:
    """More at the end."""
    return data + random.choice((b"\0", b" ", random.randbytes(4), data))[: random.randint(1, 500)]


def insert(data: bytes, random: Random) -> bytes:
    """Something that JSON or UTF-8 may stumble over, anywhere."""
    at = random.randint(0, len(data))
    return data[:at] + random.choice(RAW) + data[at:]


def overwrite(data: bytes, random: Random) -> bytes:
    """The same in place of as many bytes."""
    at, raw = random.randint(0, len(data)), random.choice(RAW)[:64]
    return data[:at] + raw + data[at + len(raw) :]


def cut_out(data: bytes, random: Random) -> bytes:
    """Without a few bytes."""
    at = random.randint(0, len(data))
    return data[:at] + data[at + random.randint(1, 40) :]


def repeat(data: bytes, random: Random) -> bytes:
    """A part twice."""
    at = random.randint(0, len(data))
    return data[:at] + data[at : at + random.randint(1, 200)] + data[at:]


def blank(data: bytes, random: Random) -> bytes:
    """Zeros from somewhere on, as in a file that was not downloaded to its end."""
    at = random.randint(0, len(data))
    return data[:at] + bytes(len(data) - at)


def lie_about_length(data: bytes, random: Random) -> bytes:
    """Another length of the header."""
    length = random.choice((*LENGTHS, len(data) - 8, len(data) - 7, len(data) - 9))
    return struct.pack("<Q", length % 2**64) + data[8:]


IN_BYTES: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(flip_bits, truncate, lengthen, insert, overwrite, cut_out, repeat, blank, lie_about_length),
)


def _in_header(data: bytes, random: Random) -> bytes:
    """Another header before the same data, if the header can still be read."""
    length = int.from_bytes(data[:8], "little")
    try:
        header: Header = list(json.loads(data[8 : 8 + length]).items())
    except (ValueError, AttributeError, RecursionError):
        return flip_bits(data, random)
    if not header:
        return lengthen(data, random)
    random.choice(IN_HEADERS)(header, random)
    try:
        parts = [f"{json.dumps(name)}:{json.dumps(entry)}" for name, entry in header]
    except (RecursionError, ValueError):
        return truncate(data, random)
    if random.random() < 0.1:
        parts.insert(random.randint(0, len(parts)), random.choice(parts))
    text = random.choice(("",) * 19 + (" ",)) + "{" + ",".join(parts) + "}" + " " * random.randint(0, 9)
    return file_bytes(text.encode(), data[8 + length :])


def edit_number(header: Header, random: Random) -> None:
    """Another number in a shape or in the offsets, or in place of them."""
    entry = _entry(header, random)
    key = random.choice(("shape", "data_offsets"))
    numbers = entry.get(key)
    if isinstance(numbers, list) and numbers and random.random() < 0.8:
        numbers[random.randrange(len(numbers))] = random.choice((*NUMBERS, random.randint(-200, 200)))
    else:
        entry[key] = random.choice(NUMBERS)


def edit_shape(header: Header, random: Random) -> None:
    """More dimensions, fewer, or huge ones, sometimes of the same product."""
    entry = _entry(header, random)
    entry["shape"] = random.choice(
        ([], [1] * 33, [1] * 32, [2**62, 2**62], [0, 2**62, 2**62], [2**32, 2**32, 0], [15], [5, 3], [1, 15, 1], [8, 1])
    )


def edit_type(header: Header, random: Random) -> None:
    """Another type, perhaps as wide, perhaps none."""
    _entry(header, random)["dtype"] = random.choice((*TYPES, *NUMBERS))


def swap_offsets(header: Header, random: Random) -> None:
    """The places of two tensors, or begin and end of one."""
    one, other = _entry(header, random), _entry(header, random)
    if one is other and isinstance(one.get("data_offsets"), list):
        one["data_offsets"] = one["data_offsets"][::-1]
    else:
        one["data_offsets"], other["data_offsets"] = other.get("data_offsets"), one.get("data_offsets")


def shift_offsets(header: Header, random: Random) -> None:
    """A tensor somewhat later or earlier, or all from one on."""
    by, first = random.choice((-4, -1, 1, 4, 8, 2**40)), random.randrange(len(header))
    for _, entry in header[first : random.choice((first + 1, len(header)))]:
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        if isinstance(offsets, list):
            entry["data_offsets"] = [at + by if type(at) is int else at for at in offsets]


def rename(header: Header, random: Random) -> None:
    """Another name, perhaps one that is taken."""
    at = random.randrange(len(header))
    header[at] = (random.choice((*TEXTS, random.choice(header)[0])), header[at][1])


def lose(header: Header, random: Random) -> None:
    """One tensor fewer, or a part of it."""
    if random.random() < 0.5:
        header.pop(random.randrange(len(header)))
    else:
        _entry(header, random).pop(random.choice(("dtype", "shape", "data_offsets")), None)


def add(header: Header, random: Random) -> None:
    """Something more: a tensor of no bytes, a tensor twice, a key that nobody knows, deep nesting."""
    nested: Any = []
    for _ in range(random.choice((1, 2, 3, 50))):
        nested = random.choice(([nested], {"a": nested}))
    match random.randrange(4):
        case 0:
            header.append((random.choice(TEXTS), {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}))
        case 1:
            header.append(("again", dict(_entry(header, random))))
        case 2:
            _entry(header, random)[random.choice(TEXTS)] = random.choice((*NUMBERS, nested))
        case _:
            header.append((random.choice(TEXTS), random.choice((*NUMBERS, nested))))


def edit_metadata(header: Header, random: Random) -> None:
    """Texts that are none, or odd."""
    told: Any = {random.choice(TEXTS): random.choice((*NUMBERS, *TEXTS))}
    header[:] = [("__metadata__", random.choice((told, told, *NUMBERS))), *header[random.randint(0, 1) :]]


IN_HEADERS: tuple[Callable[[Header, Random], None], ...] = (
    *(edit_number, edit_number, edit_shape, edit_type, swap_offsets, shift_offsets, rename, lose, add, edit_metadata),
)


def _entry(header: Header, random: Random) -> dict[str, Any]:
    """One of the entries that are objects, or a new one that is lost."""
    objects = [entry for _, entry in header if isinstance(entry, dict)]
    return random.choice(objects) if objects else {}
