"""Node classes made for ComfyUI as specs: what they declare, and single calls of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes import disk_at

from onnxflow.errors import InputError, NodeRef
from onnxflow.nodes.comfy import settled, spec_of_class
from onnxflow.nodes.spec import NodeSpec
from onnxflow.values import ExecutionBlocker, Image


def made(
    go: Any, inputs: dict[str, Any] | None = None, types: tuple[Any, ...] = ("IMAGE",), **attributes: Any
) -> NodeSpec:
    """The spec of a class whose method is ``go``."""
    members = {
        "FUNCTION": "go", "go": lambda self, **values: go(**values), "RETURN_TYPES": types,
        "INPUT_TYPES": classmethod(lambda cls: inputs or {"required": {}}), **attributes,
    }  # fmt: skip
    return spec_of_class("Made", type("Made", (), members), module="custom_nodes.pack")


def call(spec: NodeSpec, folder: Path = Path("nowhere"), **values: Any) -> Any:
    ctx = SimpleNamespace(node=NodeRef("7"), call=0, disk=disk_at(folder))
    return spec.function(ctx, **values)


def test_what_a_class_declares() -> None:
    inputs = {
        "required": {"image": ("IMAGE",), "how": (["a", "b"], {"default": "b"}), "n": ("INT", {"min": 1, "max": 3})},
        "optional": {"later": ("MASK", {"lazy": True}), "link": ("FLOW", {"rawLink": True}), "own": ("PACK_TYPE",)},
        "hidden": {"me": "UNIQUE_ID", "graph": ("DYNPROMPT",)},
    }
    spec = made(
        print, inputs, ("IMAGE", ["a", "b"], "MASK"), RETURN_NAMES=("picture",), OUTPUT_IS_LIST=(False, True),
        CATEGORY="pack", DESCRIPTION="What it does.", OUTPUT_NODE=True, NOT_IDEMPOTENT=True, EXPERIMENTAL=True,
    )  # fmt: skip
    assert [(o.name, o.type, o.is_list) for o in spec.outputs] == [
        ("picture", "IMAGE", False), ("COMBO", "COMBO", True), ("MASK", "MASK", False),
    ]  # fmt: skip
    assert spec.hidden == {"me": "UNIQUE_ID", "graph": "DYNPROMPT"}
    assert spec.output_node and spec.not_idempotent and spec.by_id and spec.dynamic and not spec.is_async
    assert [item.name for item in spec.inputs if item.lazy] == ["later"]
    assert [item.name for item in spec.inputs if item.raw] == ["link"]
    assert [item.name for item in spec.inputs if item.free] == ["image", "later", "link", "own"]
    described = spec.describe(disk_at(Path("nowhere")))
    assert described["input"]["required"]["how"] == [["a", "b"], {"default": "b"}]
    assert described["python_module"] == "custom_nodes.pack" and described["experimental"] is True


def test_choices_are_asked_for_each_time_and_fall_back_to_what_they_were() -> None:
    names = ["a"]

    def inputs(cls: Any) -> Any:
        if not names:
            raise OSError("the folder is gone")
        return {"required": {"name": (list(names),)}}

    spec = made(print, INPUT_TYPES=classmethod(inputs))
    disk = disk_at(Path("nowhere"))
    names.append("b")
    assert spec.inputs[0].allowed(disk) == ("a", "b")
    names.clear()
    assert spec.inputs[0].allowed(disk) == ("a",)


@pytest.mark.parametrize(
    ("returned", "values"),
    [
        ((1, 2), (1, 2)),
        ([1, 2], (1, 2)),
        ((1, 2, 3), (1, 2)),
        ({"result": (1, 2)}, (1, 2)),
        ({"ui": {"text": ["a"]}}, (None, None)),
        ({"result": ExecutionBlocker("no")}, (ExecutionBlocker("no"),) * 2),
        (ExecutionBlocker(None), (ExecutionBlocker(),) * 2),
    ],
)
def test_what_a_class_may_return(returned: Any, values: tuple[Any, ...]) -> None:
    assert call(made(lambda: returned, types=("PACK", "PACK"))).values == values


def test_the_result_has_our_values_and_an_error_where_it_has_another_shape() -> None:
    (image,) = call(made(lambda: (np.ones((1, 2, 2, 3)),))).values
    assert isinstance(image, Image) and image.pixels.dtype == np.float32
    with pytest.raises(InputError, match="an image has 2 dimensions"):
        call(made(lambda: (np.ones((2, 2)),)))


def test_files_that_a_class_says_it_wrote_count_if_they_are_there_and_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "output" / "sub").mkdir(parents=True)
    (tmp_path / "output" / "sub" / "a.png").write_bytes(b"")
    (tmp_path / "secret.png").write_bytes(b"")
    told = [
        {"filename": "a.png", "subfolder": "sub", "type": "output"},
        {"filename": "b.png", "subfolder": "", "type": "output"},
        {"filename": "secret.png", "subfolder": "..", "type": "output"},
        {"filename": "a.png", "subfolder": "sub", "type": "input"},
        "a.png",
    ]
    result = call(made(lambda: {"ui": {"images": told, "text": "once"}, "result": ()}, types=()), tmp_path)
    assert [file.path.name for file in result.saved] == ["a.png"]
    assert result.ui["text"] == ["once"] and result.ui["images"] == told


def test_each_node_has_an_object_of_its_own() -> None:
    cls = type("Counted", (), {
        "FUNCTION": "go", "RETURN_TYPES": ("INT",), "count": 0, "INPUT_TYPES": classmethod(lambda cls: {}),
        "go": lambda self: setattr(self, "count", self.count + 1) or (self.count,),
    })  # fmt: skip
    spec = spec_of_class("Counted", cls)
    ctxs = [SimpleNamespace(node=NodeRef(name), call=0, disk=disk_at(Path("nowhere"))) for name in "aab"]
    assert [spec.function(ctx).values for ctx in ctxs] == [(1,), (2,), (1,)]


def test_what_a_class_prints_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    call(made(lambda: print("here") or (), types=()))
    assert capsys.readouterr() == ("", "here\n")


def test_hooks_may_be_coroutines_wherever_they_are_called() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 5

    async def fail() -> int:
        raise KeyError("no")

    async def inside() -> Any:
        return settled(answer())

    assert settled(3) == 3 and settled(answer()) == 5 and asyncio.run(inside()) == 5
    with pytest.raises(KeyError):
        settled(fail())


def test_every_number_of_what_is_changed_says_counts() -> None:
    found = []
    for changed in (0, 1):
        values = np.zeros(5000)
        values[2500] = changed
        spec = made(print, IS_CHANGED=classmethod(lambda cls, values=values: [values]))
        assert spec.fingerprint is not None
        found.append(spec.fingerprint(disk_at(Path("nowhere"))))
    assert found[0] != found[1]
    spec = made(print, IS_CHANGED=classmethod(lambda cls: float("nan")))
    assert spec.fingerprint is not None and spec.fingerprint(disk_at(Path("nowhere"))) is None
