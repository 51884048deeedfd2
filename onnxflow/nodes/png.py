"""PNG files with texts: writing them as ComfyUI does, and reading the texts back."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import InputError, OutputError, shown

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT = 64 * 1024 * 1024


def encode(pixels: NDArray[np.uint8], texts: Mapping[str, str], compress_level: int) -> bytes:
    """``pixels`` [height, width, 1|3|4] as a PNG file with one tEXt chunk for each of ``texts``, before the pixels.

    Texts are ASCII; OutputError for a keyword that PNG cannot hold.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for keyword, text in texts.items():
        info.add(b"tEXt", _keyword(keyword) + b"\0" + text.encode("ascii"))
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    file = io.BytesIO()
    picture.save(file, "PNG", pnginfo=info, compress_level=compress_level)
    return file.getvalue()


def encode_frames(
    frames: Sequence[NDArray[np.uint8]], texts: Mapping[str, str], compress_level: int, duration: int
) -> bytes:
    """``frames`` [height, width, 1|3|4] as an animated PNG file that shows each for ``duration`` milliseconds, over and
    over, with one private ``comf`` chunk for each of ``texts`` after the pixels, where ComfyUI's editor looks for them.

    Frames that equal the one before only lengthen it. OutputError for a keyword or a duration that PNG cannot hold.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for keyword, text in texts.items():
        info.add(b"comf", _keyword(keyword) + b"\0" + text.encode("ascii"), after_idat=True)
    first, *others = [Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in frames]
    file = io.BytesIO()
    options = {"pnginfo": info, "compress_level": compress_level, "duration": duration}
    try:
        first.save(file, "PNG", save_all=True, append_images=others, **options)
    except (ValueError, struct.error) as error:  # the longest time that one frame can be shown depends on Pillow
        raise OutputError(
            f"{len(frames)} frames of {duration / 1000:g} s each cannot be written as an animated PNG file: {error}",
            hint="use more frames per second; one frame, with those that equal it, can be shown for a minute",
        ) from None
    return file.getvalue()


def read_texts(data: bytes) -> dict[str, str]:
    """The tEXt and iTXt chunks of a PNG file by keyword, the first of each; InputError when it is no PNG or damaged."""
    found: dict[str, str] = {}
    for kind, body in _chunks(data):
        keyword, _, rest = body.partition(b"\0")
        if kind == b"tEXt":
            found.setdefault(keyword.decode("latin-1"), rest.decode("latin-1"))
        elif kind == b"iTXt":
            found.setdefault(keyword.decode("latin-1"), _international(rest))
    return found


def _keyword(keyword: str) -> bytes:
    """A keyword by the rules of PNG (third edition, 11.3.3.1): 1 to 79 Latin-1 characters, here without controls."""
    try:
        encoded = keyword.encode("latin-1")
    except UnicodeEncodeError:
        encoded = b""
    if not 1 <= len(encoded) <= 79 or not keyword.replace(" ", "").isprintable():
        raise OutputError(
            f"the metadata key {shown(keyword)} cannot be a PNG keyword",
            hint="metadata keys have 1 to 79 Latin-1 characters: rename the key, or run without metadata",
        )
    return encoded


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The type and the body of each chunk up to IEND."""
    if not data.startswith(SIGNATURE):
        raise InputError("not a PNG file: its first 8 bytes are not PNG's signature")
    at = len(SIGNATURE)
    while True:
        if at + 12 > len(data):
            raise InputError("the PNG file is truncated: it ends before its IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        if length > len(data) - at - 12:
            raise InputError(f"the PNG file is truncated or damaged: chunk {kind!r} claims {length:,} bytes")
        if kind == b"IEND":
            return
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _international(rest: bytes) -> str:
    """The text of an iTXt chunk after its keyword: two flags, language and translated keyword, then UTF-8."""
    flags, fields = rest[:2], rest[2:].split(b"\0", 2)
    if len(flags) < 2 or len(fields) < 3:
        raise InputError("the PNG file is damaged: an iTXt chunk has no text")
    text = fields[2]
    if flags[0]:
        inflater = zlib.decompressobj()
        try:
            text = inflater.decompress(text, MAX_TEXT)
        except zlib.error as error:
            raise InputError(f"the PNG file is damaged: a compressed text cannot be read: {error}") from None
        if inflater.unconsumed_tail:
            raise InputError(f"the PNG file has a text of more than {MAX_TEXT:,} bytes")
    return text.decode("utf-8", errors="replace")
