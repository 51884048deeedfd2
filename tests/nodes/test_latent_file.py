import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from onnxflow.errors import InputError, OutputError
from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore
from onnxflow.models.tensors import encode_tensors, open_tensors
from onnxflow.nodes import latent_file
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import NodeSpec
from onnxflow.values import Latent

SAMPLES = np.array([[[[1.0, -2.0]], [[0.5, 0.0]]]], np.float32)


@dataclass
class FakeContext:
    disk: Disk
    metadata: bool = True
    record: Mapping[str, Any] = field(default_factory=dict)

    def check_cancelled(self) -> None:
        pass


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    (tmp_path / "input").mkdir()
    return FakeContext(Disk(Folders(tmp_path / "input", tmp_path / "output", tmp_path / "temp"), ModelStore()))


def call(spec: NodeSpec, ctx: FakeContext, **inputs: Any) -> Any:
    return spec.function(cast(Context, ctx), **inputs)


def test_save_writes_these_bytes(ctx: FakeContext) -> None:
    result = call(latent_file.save_latent, ctx, samples=Latent(SAMPLES), prompt={"4": "é"}, extra_pnginfo={"w": [1]})
    (saved,) = result.saved
    assert saved.path == ctx.disk.folders.output / "latents" / "ComfyUI_00001_.latent"
    assert result.ui == {"latents": [{"filename": "ComfyUI_00001_.latent", "subfolder": "latents", "type": "output"}]}
    header = (
        b'{"__metadata__":{"prompt":"{\\"4\\": \\"\\\\u00e9\\"}","w":"[1]"},'
        b'"latent_format_version_0":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
        b'"latent_tensor":{"dtype":"F32","shape":[1,2,1,2],"data_offsets":[0,16]}}'
    )
    assert len(header) == 207
    data = b"\0\0\x80\x3f" + b"\0\0\0\xc0" + b"\0\0\0\x3f" + b"\0\0\0\0"
    assert saved.path.read_bytes() == b"\xd0" + b"\0" * 7 + header + b" " + data


def test_metadata(ctx: FakeContext) -> None:
    saved = call(latent_file.save_latent, ctx, samples=Latent(SAMPLES)).saved[0]
    # ComfyUI writes an empty text when there is no prompt.
    assert open_tensors(saved.path).metadata == {"prompt": ""}
    ctx.metadata = False
    saved = call(latent_file.save_latent, ctx, samples=Latent(SAMPLES), prompt={}, extra_pnginfo={"w": 1}).saved[0]
    assert saved.filename == "ComfyUI_00002_.latent"
    assert b"__metadata__" not in saved.path.read_bytes()


def test_what_was_saved_can_be_loaded(ctx: FakeContext) -> None:
    call(latent_file.save_latent, ctx, samples=Latent(SAMPLES), filename_prefix="a/b")
    found = call(latent_file.load_latent, ctx, latent="a/b_00001_.latent [output]")
    assert isinstance(found, Latent)
    assert np.array_equal(found.samples, SAMPLES)
    assert not found.samples.flags.writeable


@pytest.mark.parametrize("prefix", ["../x", "/tmp/x", "C:\\x"])
def test_a_prefix_that_leaves_the_output_folder(prefix: str, ctx: FakeContext) -> None:
    with pytest.raises(OutputError, match="the file name prefix"):
        call(latent_file.save_latent, ctx, samples=Latent(SAMPLES), filename_prefix=prefix)
    assert not ctx.disk.folders.output.exists()


def test_a_metadata_key_that_is_no_unicode(ctx: FakeContext) -> None:
    with pytest.raises(OutputError, match="surrogate"):
        call(latent_file.save_latent, ctx, samples=Latent(SAMPLES), extra_pnginfo={"\ud800": 1})


def put(ctx: FakeContext, name: str = "a.latent", marker: bool = True, **tensors: Any) -> Path:
    if marker:
        tensors["latent_format_version_0"] = np.zeros(0, np.float32)
    path = ctx.disk.folders.input / name
    path.write_bytes(encode_tensors(tensors))
    return path


def test_files_without_the_marker_are_unscaled(ctx: FakeContext) -> None:
    put(ctx, marker=False, latent_tensor=SAMPLES)
    found = call(latent_file.load_latent, ctx, latent="a.latent")
    assert np.array_equal(found.samples, SAMPLES * np.float32(5.489980785067252))


@pytest.mark.parametrize("dtype", ["e", "d", "i"])
def test_other_types_become_float32(dtype: str, ctx: FakeContext) -> None:
    put(ctx, latent_tensor=SAMPLES.astype(dtype))
    found = call(latent_file.load_latent, ctx, latent="a.latent")
    assert found.samples.dtype == np.float32
    assert np.array_equal(found.samples, SAMPLES.astype(dtype))


def test_files_that_hold_no_latent(ctx: FakeContext) -> None:
    path = put(ctx, samples=SAMPLES)
    with pytest.raises(InputError, match=r"cannot read 'a\.latent': the file has no tensor 'latent_tensor'") as caught:
        call(latent_file.load_latent, ctx, latent="a.latent")
    assert caught.value.where == str(path)
    put(ctx, latent_tensor=SAMPLES[None])
    with pytest.raises(InputError, match=r"shape \[1, 1, 2, 1, 2\]"):
        call(latent_file.load_latent, ctx, latent="a.latent")
    path.write_bytes(struct.pack("<Q", 10**9) + b"{}")
    with pytest.raises(InputError, match="its header claims 1,000,000,000 bytes"):
        call(latent_file.load_latent, ctx, latent="a.latent")
    with pytest.raises(InputError, match="leads out of the folder"):
        call(latent_file.load_latent, ctx, latent="../a.latent")


def test_choices_validation_and_fingerprint(ctx: FakeContext) -> None:
    spec = latent_file.load_latent
    assert spec.validate is not None
    assert spec.fingerprint is not None
    put(ctx, latent_tensor=SAMPLES)
    (ctx.disk.folders.input / "a.png").touch()
    assert spec.inputs[0].allowed(ctx.disk) == ("a.latent",)
    assert spec.validate(ctx.disk, latent="a.latent") is None
    reason = spec.validate(ctx.disk, latent="b.latent")
    assert reason is not None
    assert reason.startswith("Invalid latent file: b.latent (")
    assert "did you mean 'a.latent'?" in reason
    first = spec.fingerprint(ctx.disk, latent="a.latent")
    put(ctx, latent_tensor=SAMPLES * 2)
    assert spec.fingerprint(ctx.disk, latent="a.latent") != first
