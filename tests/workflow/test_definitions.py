"""The definitions of ComfyUI's classes: facts and nothing else, and what our own classes say is the same."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.workflow.definition import read_definition
from onnxflow.workflow.definitions import NEEDS, comfyui_definition, comfyui_names, definitions, needs

ROOT = Path(__file__).parents[2]
DATA = json.loads((ROOT / "onnxflow" / "workflow" / "comfyui_classes.json").read_text("utf-8"))
RECORDED = ROOT.parent / "shared" / "comfyui" / "object_info.json"


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *texts(item))]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


def test_there_are_facts_only() -> None:
    assert len(DATA) == len(comfyui_names()) == 382
    for name, info in DATA.items():
        assert "description" not in info and "tooltip" not in texts(info), name
        defaults = [o.get("default") for s in info["input"].values() for _, *rest in s.values() for o in rest]
        assert max(map(len, (t for t in texts(info) if t not in defaults)), default=0) < 80, name


@pytest.mark.skipif(not RECORDED.is_file(), reason="the recording is not here")
def test_the_facts_are_those_that_were_recorded() -> None:
    spec = importlib.util.spec_from_file_location("comfyui_classes", ROOT / "scripts" / "comfyui_classes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    recorded = json.loads(RECORDED.read_text("utf-8"))
    assert {name: module.facts(info) for name, info in recorded.items()} == DATA


def test_our_own_classes_have_the_same_sockets() -> None:
    disk = Disk(Folders(Path("i"), Path("o"), Path("t")), ModelStore())
    for name, spec in builtin_catalog().items():
        known, own = comfyui_definition(name), read_definition(name, spec.describe(disk))
        if known is None:
            continue
        assert [o.type for o in known.outputs] == [o.type for o in own.outputs], name
        shape = [[(i.name, i.type, i.widget, i.control, i.upload) for i in d.inputs] for d in (known, own)]
        assert shape[0] == shape[1], name


def test_widgets_and_what_editors_add() -> None:
    sampler = comfyui_definition("KSampler")
    assert sampler is not None
    assert [one.name for one in sampler.sockets] == ["model", "positive", "negative", "latent_image"]
    assert [(one.name, one.control, one.initial) for one in sampler.widgets] == [
        ("seed", True, 0), ("steps", False, 20), ("cfg", False, 8.0), ("sampler_name", False, "euler"),
        ("scheduler", False, "simple"), ("denoise", False, 1.0),
    ]  # fmt: skip
    image = comfyui_definition("LoadImage")
    assert image is not None and image.widgets[0].upload
    text = comfyui_definition("CLIPTextEncode")
    assert text is not None and text.widgets[0].dynamic


def test_what_is_needed_is_said_of_real_modules() -> None:
    assert NEEDS.keys() <= {info["python_module"] for info in DATA.values()}
    assert needs("WanImageToVideo") == "a video model"
    assert needs("KSampler") == needs("NoSuchClass") == ""


def test_classes_of_the_catalog_are_defined_too() -> None:
    disk = Disk(Folders(Path("i"), Path("o"), Path("t")), ModelStore())
    define = definitions(builtin_catalog(), disk)
    own = define("OnnxPlaceModel")
    assert own is not None and own.outputs[0].type == "MODEL" and own is define("OnnxPlaceModel")
    assert define("KSampler") is comfyui_definition("KSampler") and define("nothing") is None
