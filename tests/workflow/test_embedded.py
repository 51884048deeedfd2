"""What pictures carry: files of all three kinds as programs write them, damaged ones, and hostile ones."""

from __future__ import annotations

import io
import json
import tracemalloc
import zlib
from typing import Any

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import SIGNATURE, chunk, jpeg, png, tiff, webp

from onnxflow.errors import WorkflowError
from onnxflow.nodes import exif
from onnxflow.nodes import png as own_png
from onnxflow.workflow.embedded import Embedded, embedded_texts

PROMPT = json.dumps({"1": {"class_type": "A", "inputs": {"text": "é: {}"}}})
WORKFLOW = json.dumps({"nodes": [], "links": []})
PARAMETERS = "a cat, café\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64"
KINDS = {"PNG": "PNG picture", "WEBP": "WebP picture", "JPEG": "JPEG picture"}


def saved(kind: str, **options: Any) -> bytes:
    """What Pillow writes."""
    file = io.BytesIO()
    PIL.Image.new("RGB", (9, 7), "red").save(file, kind, **options)
    return file.getvalue()


def info(**texts: str) -> PIL.PngImagePlugin.PngInfo:
    found = PIL.PngImagePlugin.PngInfo()
    for key, text in texts.items():
        found.add_text(key, text)
    return found


def read(data: bytes) -> Embedded:
    found = embedded_texts(data, "a.png")
    assert found is not None
    return found


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"GIF89a", b"\x89PN", b"RIFF\4\0\0\0WAVE", b"RIFF", b"\xff\xd8", b"BM" * 99]
)
def test_what_is_no_picture_is_none(data: bytes) -> None:
    assert embedded_texts(data, "a.json") is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_without_texts_has_its_kind_only(kind: str) -> None:
    assert read(saved(kind)) == Embedded(KINDS[kind])


def test_a_png_of_pillow_as_comfyui_saves_it() -> None:
    data = saved("PNG", pnginfo=info(prompt=PROMPT, workflow=WORKFLOW, onnxflow="{}"))
    assert read(data) == Embedded("PNG picture", prompt=PROMPT, workflow=WORKFLOW)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("text", [PARAMETERS, PARAMETERS + "日本語"])
def test_a_png_of_pillow_as_a1111_saves_it(text: str, compressed: bool) -> None:
    found = PIL.PngImagePlugin.PngInfo()
    found.add_text("parameters", text, zip=compressed)  # Latin-1 in tEXt or zTXt, all else in iTXt
    assert read(saved("PNG", pnginfo=found)) == Embedded("PNG picture", parameters=text)


@pytest.mark.parametrize("compressed", [False, True])
def test_international_text_with_a_language(compressed: bool) -> None:
    found = PIL.PngImagePlugin.PngInfo()
    found.add_itxt("workflow", WORKFLOW, lang="en", tkey="Arbeitsablauf", zip=compressed)
    assert read(saved("PNG", pnginfo=found)).workflow == WORKFLOW


@pytest.mark.parametrize("kind", ["WEBP", "JPEG"])
def test_exif_of_pillow_as_comfyui_saves_it(kind: str) -> None:
    tags = PIL.Image.Exif()
    tags[0x0110], tags[0x010F], tags[0x010E] = f"prompt:{PROMPT}", f"workflow:{WORKFLOW}", "extra:{}"
    assert read(saved(kind, exif=tags)) == Embedded(KINDS[kind], prompt=PROMPT, workflow=WORKFLOW)


@pytest.mark.parametrize("kind", ["WEBP", "JPEG"])
def test_a_users_comment_of_pillow_as_a1111_saves_it(kind: str) -> None:
    tags = PIL.Image.Exif()
    tags.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + PARAMETERS.encode("utf-16-be")
    assert read(saved(kind, exif=tags)) == Embedded(KINDS[kind], parameters=PARAMETERS)


def test_a_comment_of_pillow_in_a_jpeg() -> None:
    assert read(saved("JPEG", comment=PARAMETERS.encode())) == Embedded("JPEG picture", parameters=PARAMETERS)


def test_our_own_webp_files_are_read() -> None:
    own = exif.encode({"prompt": PROMPT, "workflow": WORKFLOW, "onnxflow": "{}"})
    assert read(saved("WEBP", exif=own)) == Embedded("WebP picture", prompt=PROMPT, workflow=WORKFLOW)


def test_our_own_png_files_are_read() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    texts = {"prompt": PROMPT, "workflow": WORKFLOW, "onnxflow": "{}"}
    expected = Embedded("PNG picture", prompt=PROMPT, workflow=WORKFLOW)
    assert read(own_png.encode(pixels, texts, 4)) == expected
    assert read(own_png.encode_frames([pixels, pixels + 1], texts, 4, 100)) == expected


def test_the_last_text_of_a_kind_counts_unless_it_is_empty() -> None:
    texts = [chunk(b"tEXt", b"prompt\0" + body) for body in (b"1", b"2", b"")]
    assert read(png(b"".join(texts))).prompt == "2"


def test_damage_is_said_and_what_came_before_it_is_kept() -> None:
    whole = png(chunk(b"tEXt", b"prompt\0{}"))
    assert read(whole).damage == ""
    assert "cut off after" in read(whole[:-1][:-12]).damage
    changed = whole.replace(b"\r\n", b"\n", 1)
    assert "text mode" in read(changed).damage and read(changed).prompt is None


def test_every_beginning_of_a_png_gives_what_is_whole_in_it() -> None:
    first = chunk(b"iTXt", b"prompt\0\1\0en\0\0" + zlib.compress(PROMPT.encode()))
    second = chunk(b"comf", b"workflow\0" + WORKFLOW.encode())
    whole = png(first, second)
    ends = [whole.index(part) + len(part) - 4 for part in (first, second)]  # the checksum may be missing
    for length in range(4, len(whole)):
        found = read(whole[:length])
        expected = (PROMPT if length >= ends[0] else None, WORKFLOW if length >= ends[1] else None)
        assert (found.prompt, found.workflow) == expected, length
        assert bool(found.damage) == (length < len(whole) - 4), length


@pytest.mark.parametrize(
    "whole",
    [
        webp((b"EXIF", tiff({0x0110: b"prompt:{}"})), (b"VP8 ", bytes(10))),
        jpeg((0xE1, b"Exif\0\0" + tiff({0x0110: b"prompt:{}"}, ">")), (0xDB, bytes(65))),
    ],
)
def test_every_beginning_of_other_files_gives_the_text_or_says_the_damage(whole: bytes) -> None:
    assert read(whole).prompt == "{}" and not read(whole).damage
    for length in range(12, len(whole) - 4):
        found = read(whole[:length])
        assert found.prompt == "{}" or found.damage


def deflated(size: int, byte: bytes = b" ") -> bytes:
    """``size`` bytes, deflated, without having them at once."""
    deflater = zlib.compressobj(9)
    piece = byte * 2**20
    return b"".join([deflater.compress(piece) for _ in range(size // 2**20)]) + deflater.flush()


BOMB = deflated(2**30)


@pytest.mark.parametrize(
    "part",
    [
        chunk(b"zTXt", b"workflow\0\0" + BOMB),
        chunk(b"iTXt", b"prompt\0\1\0\0\0" + BOMB),
        chunk(b"zTXt", b"prompt\0\0" + deflated(48 * 2**20)) * 2,
        # Not one of them is whole, so none gives a text, but what they inflate to counts.
        chunk(b"zTXt", b"prompt\0\0" + deflated(48 * 2**20)[:-5]) * 2,
    ],
)
def test_texts_that_inflate_without_end_are_refused_in_little_memory(part: bytes) -> None:
    data = png(part)
    assert len(data) < 3 * 2**20
    tracemalloc.start()
    try:
        with pytest.raises(WorkflowError, match="longer than 64 MiB") as caught:
            embedded_texts(data, "bomb.png")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200 * 2**20
    assert caught.value.where == "bomb.png" and caught.value.hint


def test_texts_that_nobody_asked_for_are_not_inflated() -> None:
    assert read(png(chunk(b"zTXt", b"Comment\0\0" + BOMB))) == Embedded("PNG picture")


@pytest.mark.parametrize(
    "data",
    [
        png(chunk(b"tEXt", b"a\0b") * 10_001),
        png(chunk(b"IDAT", b"") * 10_001),
        webp(*[(b"ABCD", b"")] * 10_001),
        jpeg(*[(0xFE, b"")] * 10_001),
        b"\xff\xd8" + b"\xff\x01" * 10_001,
        webp((b"EXIF", b"II*\0\x08\0\0\0\xff\xff" + bytes(12 * 10_001))),
        webp(*[(b"EXIF", tiff({0x0110: b"x"}))] * 17),
        jpeg(*[(0xE1, b"Exif\0\0" + tiff({0x0110: b"x"}))] * 17),
    ],
)
def test_files_of_too_many_parts_are_refused(data: bytes) -> None:
    with pytest.raises(WorkflowError, match=r"more than (10,000|16) ") as caught:
        embedded_texts(data, "parts")
    assert caught.value.where == "parts" and caught.value.exit_code == 2


def test_a_large_picture_has_many_chunks_of_pixels() -> None:
    assert not read(png(chunk(b"IDAT", bytes(8192)) * 10_001)).damage


def test_texts_in_exif_that_are_longer_than_the_file_are_refused() -> None:
    # Each entry is the same 4 MiB.
    shared = b"prompt:" + bytes(4 * 2**20)
    data = bytearray(tiff(dict.fromkeys(range(20), b"xxxxx") | {20: shared}))
    last = 10 + 12 * 20
    for at in range(10, last, 12):
        data[at + 4 : at + 12] = data[last + 4 : last + 12]
    with pytest.raises(WorkflowError, match="longer than 64 MiB"):
        embedded_texts(webp((b"EXIF", bytes(data))), "a.webp")


STARTS = [
    SIGNATURE,
    SIGNATURE + b"\0\0\0\x20tEXtprompt\0",
    SIGNATURE + b"\0\0\0\x20iTXtprompt\0",
    SIGNATURE + b"\0\0\0\x20zTXtprompt\0\0x\x9c",
    b"RIFF\xff\xff\xff\xffWEBP",
    b"RIFF\xff\xff\xff\xffWEBPEXIF\x40\0\0\0II*\0\x08\0\0\0",
    b"RIFF\xff\xff\xff\xffWEBPEXIF\x40\0\0\0Exif\0\0MM\0*\0\0\0\x08\0\2",
    b"\xff\xd8\xff",
    b"\xff\xd8\xff\xe1\0\x40Exif\0\0II*\0\x08\0\0\0",
    b"\xff\xd8\xff\xfe",
]


@given(st.sampled_from(STARTS), st.binary(max_size=200))
def test_any_bytes_behind_a_picture_s_beginning_are_read_or_refused(start: bytes, rest: bytes) -> None:
    try:
        found = embedded_texts(start + rest, "any")
    except WorkflowError:
        return
    assert found is not None and found.kind in KINDS.values()


WHOLE = [
    png(chunk(b"tEXt", b"prompt\0{}") + chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"{}"))),
    webp((b"EXIF", tiff({0x0110: b"prompt:{}", 0x010F: b"workflow:{}"}, exif={0x9286: b"UNICODE\0" + bytes(20)}))),
    jpeg(
        (0xE1, b"Exif\0\0" + tiff({0x0110: b"prompt:{}"}, ">", exif={0x9286: b"ASCII\0\0\0Steps: 1"})),
        (0xFE, b"Steps: 2"),
    ),
]


@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(12, 400), st.integers(0, 255)), max_size=8))
def test_any_bytes_of_a_picture_may_be_wrong(whole: bytes, changes: list[tuple[int, int]]) -> None:
    data = bytearray(whole)
    for at, value in changes:
        data[at % (len(data) - 12) + 12] = value
    found = read(bytes(data))
    assert all(text is None or text for text in (found.prompt, found.workflow, found.parameters))
