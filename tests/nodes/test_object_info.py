"""Every node class has exactly the sockets of ComfyUI's class of that name.

goldens/object_info.json holds the facts of ComfyUI 0.3.64's /object_info for its 382 classes: what /object_info says
twice (``name``, ``input_order``) or says for no (``output_node: false``), texts for people and modules are left out.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest

from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore
from onnxflow.nodes import image, latent
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.nodes.placement import PLACING
from onnxflow.nodes.spec import Input, NodeSpec, Output
from onnxflow.nodes.widgets import Float

FACTS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "goldens" / "object_info.json").read_text(encoding="utf-8")
)
ISSUE_2 = {
    *("CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "KSamplerAdvanced"),
    *("VAEDecode", "VAEEncode", "LoadImage", "SaveImage", "PreviewImage", "LatentMultiply", "SaveLatent", "LoadLatent"),
}
INPAINTING = {"SetLatentNoiseMask"}


def differences(spec: NodeSpec, disk: Disk) -> list[str]:
    """How ``spec`` differs from ComfyUI's class of its name, in words."""
    facts = FACTS.get(spec.name)
    if facts is None:
        return [f"{spec.name}: no class of ComfyUI"]
    ours = spec.describe(disk)
    found = []
    for section in ("required", "optional", "hidden"):
        wanted, have = facts["input"].get(section, {}), ours["input"].get(section, {})
        if list(wanted) != list(have) or list(wanted) != ours["input_order"].get(section, []):
            found.append(f"{spec.name}: {section} inputs {list(have)}, expected {list(wanted)}")
            continue
        for name in wanted:
            theirs, mine = _hidden(wanted[name]) if section == "hidden" else _input(wanted[name]), have[name]
            if section != "hidden" and callable(spec.by_name[name].choices):
                # What lies on the disk: nothing where the facts were taken, here perhaps an embedded model.
                mine = [[name for name in mine[0] if name in theirs[0]], mine[1]]
            elif theirs[0] == []:
                found.append(f"{spec.name}.{name}: ComfyUI lists files here")
            if _text(mine) != _text(theirs):
                found.append(f"{spec.name}.{name}: {mine}, expected {theirs}")
    expected = {
        "output": facts["output"],
        "output_name": facts.get("output_name", facts["output"]),
        "output_is_list": facts.get("output_is_list", [False] * len(facts["output"])),
        "output_node": facts.get("output_node", False),
        "name": spec.name,
        "display_name": facts["display_name"],
        "category": facts["category"],
        "deprecated": facts.get("deprecated", False),
        "experimental": facts.get("experimental", False),
    }
    have = {"deprecated": False, "experimental": False, **ours}
    return found + [
        f"{spec.name}: {key} {have[key]!r}, expected {value!r}"
        for key, value in expected.items()
        if _text(have[key]) != _text(value)
    ]


def _input(declared: list[Any]) -> list[Any]:
    """``[type or choices, options]``, also from ComfyUI's newer form ``["COMBO", {"options": choices}]``."""
    kind, options = declared[0], dict(declared[1]) if len(declared) > 1 else {}
    if kind == "COMBO" and "options" in options:
        kind = options.pop("options")
        if options.get("multiselect") is False:
            del options["multiselect"]
    return [kind, options]


def _hidden(declared: Any) -> str:
    kind = declared[0] if isinstance(declared, list) else declared
    assert isinstance(kind, str)
    return kind


def _text(value: Any) -> str:
    """JSON text, because 1, 1.0 and True are equal in Python and different things to a client."""
    return json.dumps(value, sort_keys=True)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(Folders(tmp_path / "input", tmp_path / "output", tmp_path / "temp"), ModelStore())


def test_every_builtin_class_has_the_sockets_of_comfyui(disk: Disk) -> None:
    catalog = builtin_catalog()
    assert catalog.keys() >= ISSUE_2 | INPAINTING
    theirs = [spec for name, spec in catalog.items() if name not in PLACING]
    assert [line for spec in theirs for line in differences(spec, disk)] == []
    assert not PLACING & FACTS.keys(), "our own classes have names that ComfyUI has not"


def _with_input(spec: NodeSpec, index: int, changed: Input) -> NodeSpec:
    return replace(spec, inputs=(*spec.inputs[:index], changed, *spec.inputs[index + 1 :]))


EMPTY, SAVE, LOAD = latent.empty_latent_image, image.save_image, image.load_image
WIDTH = EMPTY.inputs[0]


@pytest.mark.parametrize(
    ("altered", "named"),
    [
        (replace(EMPTY, name="EmptyLatentPicture"), "no class"),
        (replace(EMPTY, inputs=(EMPTY.inputs[1], EMPTY.inputs[0], EMPTY.inputs[2])), "required inputs"),
        (replace(EMPTY, inputs=EMPTY.inputs[:2]), "required inputs"),
        (_with_input(EMPTY, 0, replace(WIDTH, name="breadth")), "required inputs"),
        (_with_input(EMPTY, 0, replace(WIDTH, required=False)), "required inputs"),
        (_with_input(EMPTY, 0, replace(WIDTH, type="FLOAT")), "width"),
        (_with_input(EMPTY, 0, replace(WIDTH, default=512.0)), "width"),
        (_with_input(EMPTY, 0, replace(WIDTH, options={**WIDTH.options, "max": 8192})), "width"),
        (_with_input(EMPTY, 0, replace(WIDTH, options={"min": 16, "max": 16384})), "width"),
        (_with_input(LOAD, 0, replace(LOAD.inputs[0], choices=("a.png",))), "image"),
        (_with_input(LOAD, 0, replace(LOAD.inputs[0], choices=())), "lists files"),
        (_with_input(LOAD, 0, replace(LOAD.inputs[0], options={})), "image"),
        (replace(LOAD, outputs=LOAD.outputs[::-1]), "output"),
        (replace(LOAD, outputs=(LOAD.outputs[0], Output("ALPHA", "MASK"))), "output_name"),
        (replace(LOAD, outputs=(LOAD.outputs[0], Output("MASK", "MASK", is_list=True))), "output_is_list"),
        (replace(SAVE, hidden={"prompt": "PROMPT"}), "hidden inputs"),
        (replace(SAVE, hidden={"prompt": "PROMPT", "extra_pnginfo": "PROMPT"}), "extra_pnginfo"),
        (replace(SAVE, output_node=False), "output_node"),
        (replace(SAVE, category="images"), "category"),
        (replace(SAVE, display_name=None), "display_name"),
    ],
)
def test_an_altered_class_is_noticed(altered: NodeSpec, named: str, disk: Disk) -> None:
    found = differences(altered, disk)
    assert found
    assert any(named in line for line in found), found


def test_equal_numbers_of_another_type_stay_what_they_are() -> None:
    """typing remembers annotations that are equal, and 0 == 0.0."""
    for first, second in ((0, 0.0), (0.0, 0)):
        hints = [Annotated[float, Float(number, 1.0)] for number in (first, second)]
        assert [_text(hint.__metadata__[0].options()["min"]) for hint in hints] == [str(first), str(second)]


def test_choices_are_compared(disk: Disk) -> None:
    facts = FACTS["KSampler"]["input"]["required"]["scheduler"]
    spec = NodeSpec("KSampler", lambda: None, (Input("scheduler", "COMBO", choices=tuple(facts[0][::-1])),), (), "")
    narrowed: dict[str, Any] = {
        "input": {"required": {"scheduler": facts}},
        "output": [],
        "display_name": None,
        "category": "",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FACTS, "KSampler", narrowed)
        assert [line.split(":")[0] for line in differences(spec, disk)] == ["KSampler.scheduler"]
        exact = replace(spec, inputs=(replace(spec.inputs[0], choices=tuple(facts[0])),))
        assert differences(exact, disk) == []


def test_choices_on_disk_are_asked_at_call_time(disk: Disk) -> None:
    assert LOAD.describe(disk)["input"]["required"]["image"] == [[], {"image_upload": True}]
    disk.folders.input.mkdir()
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden"):
        (disk.folders.input / name).touch()
    (disk.folders.input / "folder.png").mkdir()
    assert LOAD.describe(disk)["input"]["required"]["image"] == [["a.jpg", "b.PNG"], {"image_upload": True}]
