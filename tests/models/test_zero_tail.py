"""Files that were not downloaded to their end, and sound ones that end in zeros all the same."""

import os
from pathlib import Path

import numpy as np
import pytest
from tensor_files import laid_out

from onnxflow.errors import ModelError
from onnxflow.models.tensors import TensorFile, open_tensors
from onnxflow.models.zero_tail import check_not_blank

KB, MB = 1024, 1024 * 1024


def weights(count: int) -> bytes:
    """Bytes of small halves, a few of them zero, as weights have."""
    values = np.random.default_rng(count).normal(0, 0.02, count // 2).astype(np.float16)
    values[::100] = 0
    return values.tobytes()


def opened(folder: Path, *contents: bytes, zeros: int = 0) -> TensorFile:
    """A file of one tensor for each of ``contents``; of the whole, the last ``zeros`` bytes are zero."""
    data = laid_out({f"tensor{i}": ("F16", [len(content) // 2], content) for i, content in enumerate(contents)})
    path = folder / "a.safetensors"
    path.write_bytes(data[: len(data) - zeros] + bytes(zeros))
    return open_tensors(path)


@pytest.mark.parametrize(
    "contents",
    [
        (weights(2 * MB),),
        (weights(2 * MB), bytes(40 * KB)),  # a large bias of zeros
        (weights(2 * MB), *[bytes(8 * KB)] * 40),  # many of them
        (weights(2 * MB), *[bytes(MB), bytes(KB)] * 5),  # convolutions that a ControlNet's training begins with
        (weights(2 * MB), weights(MB) + bytes(200 * KB)),  # a table filled up with rows of zeros
        (weights(2 * MB), weights(100) + bytes(1000), bytes(300 * KB)),
        (weights(2 * MB), b"", b""),
        (bytes(512 * KB),),  # too small to tell
        (),
    ],
)
def test_sound_files(tmp_path: Path, contents: tuple[bytes, ...]) -> None:
    check_not_blank(opened(tmp_path, *contents))


@pytest.mark.parametrize("zeros", [64 * KB, 70_001, 500 * KB, MB, MB + 12_345, 3 * MB])
def test_downloads_that_stopped(tmp_path: Path, zeros: int) -> None:
    many = [weights(size) for size in (2 * MB, 640, 300 * KB, 2 * KB, 800 * KB, 640, 600 * KB, 40 * KB, 2 * KB, 4 * KB)]
    file = opened(tmp_path, *many, zeros=zeros)
    with pytest.raises(ModelError, match="the file ends in zeros: the download is incomplete") as caught:
        check_not_blank(file)
    assert caught.value.where == str(file.path) and "download the file again" in caught.value.hint
    last = int(caught.value.message.split("the last ")[1].split(" ")[0].replace(",", ""))
    assert zeros <= last < zeros + 16  # a weight may have been zero anyway


def test_a_download_that_stopped_in_the_last_tensor(tmp_path: Path) -> None:
    check_not_blank(opened(tmp_path, weights(MB), weights(3 * MB), zeros=900 * KB))  # may be rows that are not used
    with pytest.raises(ModelError, match="in tensor 'tensor1' and all after it"):
        check_not_blank(opened(tmp_path, weights(MB), weights(3 * MB), zeros=1100 * KB))


def test_a_file_of_nothing_but_zeros(tmp_path: Path) -> None:
    for contents in ((bytes(2 * MB),), (bytes(MB), b"", bytes(MB)), (b"", *[bytes(100 * KB)] * 20)):
        with pytest.raises(ModelError, match="the file ends in zeros"):
            check_not_blank(opened(tmp_path, *contents))


def test_a_large_file_of_zeros_is_not_read_to_its_beginning(tmp_path: Path) -> None:
    size = 8 * 1024 * MB
    header = laid_out({"x": ("F16", [KB], weights(2 * KB))}).replace(b"[1024]", b"[%d]" % (size // 2))
    header = header.replace(b"[0, 2048]", b"[0, %d]" % size)
    length = header.index(b"}}") + 2 - 8
    path = tmp_path / "a.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + header[8:])
    os.truncate(path, 8 + length + size)  # sparse: takes no space
    with pytest.raises(ModelError, match="the file ends in zeros"):
        check_not_blank(open_tensors(path))


def test_the_last_kilobytes_of_a_sound_file_are_all_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened(tmp_path, weights(3 * MB))
    lengths = []
    read = type(file.source).read

    def counted(source: object, offset: int, length: int) -> bytes:
        lengths.append(length)
        return read(file.source, offset, length)

    monkeypatch.setattr(type(file.source), "read", counted)
    check_not_blank(file)
    assert lengths == [64 * KB]


def test_a_file_that_changed(tmp_path: Path) -> None:
    file = opened(tmp_path, weights(2 * MB))
    os.truncate(file.path, MB)
    with pytest.raises(ModelError, match="changed while it was in use"):
        check_not_blank(file)
