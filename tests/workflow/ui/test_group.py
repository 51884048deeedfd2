"""Group nodes: sockets and values of an instance are those of the nodes inside, one after the other."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any

from onnxflow.workflow.definitions import comfyui_definition
from onnxflow.workflow.ui.convert import Circumstances, to_api
from onnxflow.workflow.ui.group import group_name


def convert(document: dict[str, Any]) -> Any:
    return to_api(document, comfyui_definition, Circumstances(Random(0), datetime(2026, 1, 1)), "wf").document


def inner(index: int, type_: str, values: list[Any], *inputs: str, **more: Any) -> dict[str, Any]:
    slots = [{"name": name, "type": "*", "link": None} for name in inputs]
    return {"index": index, "id": -1, "type": type_, "inputs": slots, "outputs": [], "widgets_values": values, **more}


def group(nodes: list[Any], links: list[Any], **more: Any) -> dict[str, Any]:
    return {"nodes": nodes, "links": links, "external": [], **more}


def workflow(instance: dict[str, Any], definition: dict[str, Any], nodes: Any = (), links: Any = ()) -> dict[str, Any]:
    groups = {"groupNodes": {"g": definition}}
    return {"nodes": [{"type": "workflow>g", **instance}, *nodes], "links": list(links), "extra": groups}


TWO = group(
    [inner(0, "EmptyLatentImage", [1, 2, 3]), inner(1, "LatentUpscaleBy", ["area", 9.0], "samples")], [[0, 0, 1, 0]]
)


def test_names_of_both_ages() -> None:
    assert (group_name("workflow>a"), group_name("workflow/a b"), group_name("a>b")) == ("a", "a b", "")


def test_values_are_dealt_out_in_order() -> None:
    found = convert(workflow({"id": 7, "widgets_values": [64, 32, 1, "bilinear", 1.5]}, TWO))
    assert found["7:0"]["inputs"] == {"width": 64, "height": 32, "batch_size": 1}
    assert found["7:1"]["inputs"] == {"upscale_method": "bilinear", "scale_by": 1.5, "samples": ["7:0", 0]}
    found = convert(workflow({"id": 7, "widgets_values": [64]}, TWO))
    assert found["7:0"]["inputs"] == {"width": 64, "height": 2, "batch_size": 3}, "what is missing is the group's own"


def test_what_is_hidden_is_no_value_of_the_instance() -> None:
    hidden = {**TWO, "config": {"0": {"input": {"height": {"visible": False}}}}}
    found = convert(workflow({"id": 7, "widgets_values": [64, 5, "bilinear", 1.5]}, hidden))
    assert found["7:0"]["inputs"] == {"width": 64, "height": 2, "batch_size": 5}


def test_clashing_names_have_their_node_s_title_before_them() -> None:
    twice = group(
        [inner(0, "VAEDecode", [], "samples", "vae"), inner(1, "VAEDecode", [], "samples", "vae", title="B")], []
    )
    slots = [
        {"name": name, "type": "*", "link": at} for at, name in enumerate(["samples", "vae", "B samples", "B vae"])
    ]
    nodes = [{"id": 1, "type": "EmptyLatentImage"}, {"id": 2, "type": "EmptyLatentImage"}]
    links = [[0, 1, 0, 7, 0, "*"], [2, 2, 0, 7, 2, "*"]]
    found = convert(workflow({"id": 7, "inputs": slots}, twice, nodes, links))
    assert (found["7:0"]["inputs"], found["7:1"]["inputs"]) == ({"samples": ["1", 0]}, {"samples": ["2", 0]})


def test_outputs_are_those_that_lead_outside() -> None:
    nodes = [{"id": 1, "type": "PreviewAny", "inputs": [{"name": "source", "type": "*", "link": 4}]}]
    found = convert(workflow({"id": 7}, TWO, nodes, [[4, 7, 0, 1, 0, "*"]]))
    assert found["1"]["inputs"]["source"] == ["7:1", 0]
    shown = {**TWO, "external": [[0, 0, "LATENT"]]}
    found = convert(workflow({"id": 7}, shown, nodes, [[4, 7, 0, 1, 0, "*"]]))
    assert found["1"]["inputs"]["source"] == ["7:0", 0]
