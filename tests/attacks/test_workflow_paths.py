"""Names of files in workflows that lead out of the folders they are relative to: in every input that names a file,
through both formats, the command line's check and ``onnxflow.run``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attacks_said import onnxflow, saved

import onnxflow as library
from onnxflow.errors import WorkflowError
from onnxflow.models import file_guard
from onnxflow.workflow.definitions import comfyui_definition
from onnxflow.workflow.ui.from_api import to_ui

NAMES = [
    "../secret.png",
    "a/../../secret.png",
    "..\\secret.png",
    "..\\..\\secret.png",
    "/etc/passwd",
    "//server/share/secret.png",
    "\\\\server\\share\\secret.png",
    "\\\\?\\C:\\secret.png",
    "\\\\.\\NUL",
    "C:\\secret.png",
    "C:secret.png",
    "c:/secret.png",
    "secret\0.png",
    "NUL",
    "nul.png",
    "CON .png",
    "a/COM1",
    "COM\u00b9.png",
    "a/CONIN$",
    ".. /secret.png",
    "... /secret.png",
    "a/. ./../../secret.png",
    "out/secret.png",
    "~/../../secret.png",
]
"""Each leads outside, or is something else than a file on some system; ``out`` is a link to the folder above."""

CONTENTS = "what nobody may read"
PICTURE: dict[str, Any] = {
    "class_type": "EmptyImage",
    "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0},
}
LATENT: dict[str, Any] = {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}
READERS = {
    "LoadImage": ("image", {}),
    "LoadImageMask": ("image", {"channel": "red"}),
    "LoadLatent": ("latent", {}),
    "CheckpointLoaderSimple": ("ckpt_name", {}),
    "VAELoader": ("vae_name", {}),
    "UNETLoader": ("unet_name", {"weight_dtype": "default"}),
    "CLIPLoader": ("clip_name", {"type": "stable_diffusion"}),
    "ControlNetLoader": ("control_net_name", {}),
    "UpscaleModelLoader": ("model_name", {}),
    "DiffusersLoader": ("model_path", {}),
}
WRITERS = {
    "SaveImage": ("images", PICTURE, {}),
    "SaveAnimatedPNG": ("images", PICTURE, {"fps": 6.0, "compress_level": 4}),
    "SaveAnimatedWEBP": ("images", PICTURE, {"fps": 6.0, "lossless": True, "quality": 80, "method": "default"}),
    "SaveLatent": ("samples", LATENT, {}),
}


def reading(class_type: str, name: str) -> dict[str, Any]:
    key, more = READERS[class_type]
    return {
        "1": {"class_type": class_type, "inputs": {key: name, **more}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }


def writing(class_type: str, prefix: str) -> dict[str, Any]:
    key, source, more = WRITERS[class_type]
    return {"1": source, "2": {"class_type": class_type, "inputs": {key: ["1", 0], "filename_prefix": prefix, **more}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Roots with a link out of each, and what nobody may read or write above them."""
    for name in ("input", "output", "models/checkpoints", "models/vae", "models/embeddings", "elsewhere"):
        (tmp_path / "roots" / name).mkdir(parents=True)
    for name in ("input", "output"):
        (tmp_path / "roots" / name / "out").symlink_to(tmp_path)
    for suffix in ("png", "safetensors", "latent"):
        (tmp_path / f"secret.{suffix}").write_bytes(CONTENTS.encode())
    return tmp_path


def refused(folder: Path, document: dict[str, Any]) -> WorkflowError:
    """What is said of a workflow that does not run, in both formats; and that nothing was written."""
    before = sorted(folder.rglob("*"))
    editors = to_ui(document, comfyui_definition, "test").document
    roots = folder / "roots"
    for form in (json.loads(json.dumps(editors)), document):
        with pytest.raises(WorkflowError) as caught:
            library.run(
                form,
                models=[roots / "models"],
                input_dir=roots / "input",
                output_dir=roots / "output",
                custom_nodes=None,
            )
        assert sorted(folder.rglob("*")) == before
    return caught.value


@pytest.mark.parametrize("class_type", READERS)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_outside_is_read(class_type: str, name: str, folder: Path) -> None:
    assert CONTENTS not in str(refused(folder, reading(class_type, name)))


@pytest.mark.parametrize("suffix", [" [input]", " [output]", " [temp]"])
@pytest.mark.parametrize("name", NAMES)
def test_suffixes_lead_no_further(name: str, suffix: str, folder: Path) -> None:
    refused(folder, reading("LoadImage", name + suffix))
    refused(folder, reading("LoadImage", name + suffix + suffix))


@pytest.mark.parametrize("class_type", WRITERS)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_outside_is_written(class_type: str, name: str, folder: Path) -> None:
    refused(folder, writing(class_type, name))
    if name.startswith(".."):
        refused(folder, writing(class_type, f"a/b/../../{name}"))


@pytest.mark.parametrize("value", ["..", "../../x", "C:\\x", "NUL", "a/../../../x", "\\\\server\\share", "..\\..\\x"])
def test_values_of_other_nodes_make_no_path(value: str, folder: Path) -> None:
    nodes = [
        {"id": 1, "type": "EmptyImage", "widgets_values": [16, 16, 1, 0]},
        {"id": 2, "type": "PrimitiveString", "widgets_values": [value], "title": "a"},
        {
            "id": 3,
            "type": "SaveImage",
            "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            "widgets_values": ["x%a.value%/%a.value%x"],
        },
    ]
    document = {"nodes": nodes, "links": [[1, 1, 0, 3, 0, "IMAGE"]], "version": 0.4}
    roots = folder / "roots"
    report = library.run(document, output_dir=roots / "output", custom_nodes=None)
    assert report.saved, "what it is made of are one folder and one name"
    for file in report.saved:
        assert file.path.parent.parent == (roots / "output").resolve()
    nodes[2]["widgets_values"] = ["%a.value%/x"]  # a folder of the value alone is refused or below the output folder
    try:
        report = library.run(document, output_dir=roots / "output", custom_nodes=None)
    except WorkflowError as error:
        assert "filename_prefix" in str(error)
    else:
        assert all(file.path.parent.parent == (roots / "output").resolve() for file in report.saved)


@pytest.mark.parametrize("name", ["../secret", "..\\secret", "/etc/passwd", "C:\\secret", "NUL", "a/../../../secret"])
def test_prompts_name_no_embedding_outside(name: str, folder: Path) -> None:
    document = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "onnxflow-tiny"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": f"embedding:{name} red"}},
        "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
    }
    refused(folder, document)


@pytest.mark.parametrize("name", ["a.png:hidden", "a.png::$DATA", "a.", "a ", "a/b. /c"])
def test_streams_are_refused_on_windows_and_other_ends_stay_inside(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = library.run(writing("SaveImage", name), output_dir=folder / "roots" / "output", custom_nodes=None)
    assert all(file.path.is_relative_to((folder / "roots" / "output").resolve()) for file in report.saved)
    monkeypatch.setattr(file_guard, "_ON_WINDOWS", True)
    if ":" in name:
        with pytest.raises(ValueError, match="hidden stream"):
            file_guard.split(name)


def test_the_command_line_says_it_on_one_line(folder: Path) -> None:
    roots = folder / "roots"
    saved(roots, writing("SaveImage", "../\x1b[31m\x07x"))
    answer = onnxflow("run", "wf.json", cwd=roots).check(2)
    assert "leads out of the folder" in answer.err
    saved(roots, reading("LoadImage", "out/secret.png\x1b[2J"))
    answer = onnxflow("run", "wf.json", cwd=roots).check(2)
    assert "symbolic link" in answer.err
