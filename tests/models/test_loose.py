"""What is refused of networks in files of their own; that they compute right is tested beside the exporters."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from onnxflow.errors import ModelError
from onnxflow.models.loose import open_clip, open_unet, open_vae


def write(path: Path, *names: str) -> Path:
    """A .safetensors file of these tensors, of one number each."""
    entries = ",".join(
        f'"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[{4 * at},{4 * at + 4}]}}'
        for at, name in enumerate(names)
    )
    header = f"{{{entries}}}".encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0\x80\x3f" * len(names))
    return path


def test_each_says_what_the_file_lacks(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", "a")
    for load, what in ((open_unet, "denoiser"), (open_vae, "autoencoder")):
        with pytest.raises(ModelError, match=f"holds no {what}") as caught:
            load(path)
        assert caught.value.hint
    with pytest.raises(ModelError, match="holds no text encoder"):
        open_clip([path])


@pytest.mark.parametrize("name", ["0.weight", "1.weight", "taesd_decoder.1.weight", "decoder.layers.0.weight"])
def test_a_taesd_is_called_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="TAESD") as caught:
        open_vae(write(tmp_path / "taesd_decoder.safetensors", name))
    assert "VAEDecodeTiled" in (caught.value.hint or "")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode elsewhere")
def test_a_path_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.safetensors"))
    write(strange, "a")
    (tmp_path / "x.safetensors").symlink_to(strange)
    for path in (strange, tmp_path / "x.safetensors"):
        with pytest.raises(ModelError, match="not UTF-8") as caught:
            open_vae(path)
        caught.value.render().encode()
