"""The API format becomes the editor's own, and comes back from it as it was."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from round_trip import comes_back, made, returned, wanted

from onnxflow.errors import WorkflowError
from onnxflow.workflow.definition import read_definition
from onnxflow.workflow.ui.drawing import ID
from onnxflow.workflow.ui.from_api import to_ui

CASES = Path(__file__).parent / "cases"
SHARED = Path(__file__).parents[4] / "shared" / "comfyui"


@pytest.mark.parametrize("path", sorted(path for path in CASES.glob("*.json") if ".v1" not in path.name))
def test_what_the_editor_sent_comes_back(path: Path) -> None:
    comes_back(json.loads(path.read_text("utf-8"))["api"])


@pytest.mark.skipif(not SHARED.is_dir(), reason="the official templates are not ours to ship")
def test_the_official_templates_come_back() -> None:
    paths = sorted((SHARED / "graph_to_prompt" / "templates").glob("*.api.json"))
    assert len(paths) > 60
    for path in paths:
        comes_back(json.loads(path.read_text("utf-8")))


def test_it_has_the_shape_that_the_editor_gives_it() -> None:
    """All but places, and the numbers of links, is what the real editor saved after it loaded the same file."""
    case = json.loads((CASES / "api_json_loaded.json").read_text("utf-8"))
    found, real = made(case["input_api"]).document, case["workflow"]
    assert list(found) == list(real)
    for ours, theirs in zip(found["nodes"], real["nodes"], strict=True):
        assert list(ours) == list(theirs)
        for key in ("id", "type", "flags", "order", "mode"):
            assert ours[key] == theirs[key]
        assert ours.get("title") == theirs.get("title")
        assert [list(slot) for slot in ours["inputs"]] == [list(slot) for slot in theirs["inputs"]]
        assert [slot["name"] for slot in ours["inputs"]] == [slot["name"] for slot in theirs["inputs"]]
        assert [(slot["name"], len(slot["links"])) for slot in ours["outputs"]] == [
            (slot["name"], len(slot["links"])) for slot in theirs["outputs"]
        ]
        values = ["fixed" if value == "randomize" else value for value in theirs.get("widgets_values", [])]
        assert ours.get("widgets_values", []) == values
    assert sorted(link[1:] for link in found["links"]) == sorted(link[1:] for link in real["links"])


def test_a_small_workflow_in_full() -> None:
    document = {
        "8:5": {
            "class_type": "LoadImageMask",
            "inputs": {"image": "a.png", "channel": ["7", 0]},
            "_meta": {"title": "Mine", "onnxflow": {"place": "cpu"}},
        },
        "7": {"class_type": "PrimitiveString", "inputs": {"value": "red"}},
    }
    found = made(document).document
    UUID(found["id"])
    assert json.dumps(found, separators=(",", ":")).replace(found["id"], "ID") == (
        '{"id":"ID","revision":0,"last_node_id":8,"last_link_id":1,"nodes":['
        '{"id":8,"type":"LoadImageMask","pos":[470,130],"size":[270,302],"flags":{},"order":1,"mode":0,'
        '"inputs":[{"name":"channel","type":"COMBO","widget":{"name":"channel"},"link":1}],'
        '"outputs":[{"name":"MASK","type":"MASK","links":null}],"title":"Mine",'
        '"properties":{"Node name for S&R":"LoadImageMask","onnxflow.id":"8:5","onnxflow.place":"cpu"},'
        '"widgets_values":["a.png","alpha","image"]},'
        '{"id":7,"type":"PrimitiveString","pos":[100,252],"size":[270,58],"flags":{},"order":0,"mode":0,'
        '"inputs":[],"outputs":[{"name":"STRING","type":"STRING","links":[1]}],'
        '"properties":{"Node name for S&R":"PrimitiveString"},"widgets_values":["red"]}],'
        '"links":[[1,7,0,8,0,"STRING"]],"groups":[],"config":{},"extra":{},"version":0.4}'
    )
    assert made(document) == made(json.loads(json.dumps(document)))
    document["7"]["inputs"]["value"] = "blue"  # type: ignore[index]
    assert made(document).document["id"] != found["id"]


def test_ids_that_an_editor_cannot_have_are_kept_beside_new_ones() -> None:
    ids = ["abc", "12", "8:5", "012", "-10", str(2**60), "3", "", "٣"]
    found = comes_back({key: {"class_type": "PreviewAny", "inputs": {}} for key in ids})
    assert found.ids == {
        "abc": 13, "12": 12, "8:5": 14, "012": 15, "-10": 16, str(2**60): 17, "3": 3, "": 18, "٣": 19
    }  # fmt: skip
    kept = {node["id"]: node["properties"].get(ID) for node in found.document["nodes"]}
    assert kept == {number: None if number in (3, 12) else key for key, number in found.ids.items()}


def test_prompts_with_braces_and_comments_come_back() -> None:
    text = r"{a|b} https://x /* y */ // z } \\{ |"
    comes_back({"1": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["1", 0]}}})


def test_inputs_are_the_sockets_then_the_values_that_are_linked() -> None:
    found = comes_back(
        {
            "1": {"class_type": "ControlNetLoader", "inputs": {"control_net_name": "a"}},
            "2": {"class_type": "PrimitiveFloat", "inputs": {"value": 0.5}},
            "3": {
                "class_type": "ControlNetApplyAdvanced",
                "inputs": {"strength": ["2", 0], "extra": ["1", 0], "start_percent": 0.25, "end_percent": 1.0},
            },
        }
    )
    none = {"link": None}
    assert found.document["nodes"][2]["inputs"] == [
        {"name": "positive", "type": "CONDITIONING"} | none,
        {"name": "negative", "type": "CONDITIONING"} | none,
        {"name": "control_net", "type": "CONTROL_NET"} | none,
        {"name": "image", "type": "IMAGE"} | none,
        {"name": "vae", "type": "VAE", "shape": 7} | none,
        {"name": "strength", "type": "FLOAT", "widget": {"name": "strength"}, "link": 1},
        {"name": "extra", "type": "*", "link": 2},
    ]
    assert found.document["nodes"][2]["widgets_values"] == [1.0, 0.25, 1.0]
    assert found.document["links"] == [[1, 2, 0, 3, 5, "FLOAT"], [2, 1, 0, 3, 6, "CONTROL_NET"]]


def test_lists_and_objects_are_values() -> None:
    inputs = {"value": {"__value__": [1, [2]]}}
    found = comes_back({"1": {"class_type": "PrimitiveString", "inputs": inputs}})
    assert found.document["nodes"][0]["widgets_values"] == [[1, [2]]]
    comes_back({"1": {"class_type": "PrimitiveString", "inputs": {"value": {"a": [1]}}}})


def test_an_unknown_class_keeps_its_links_and_values() -> None:
    inputs = {"a": 1, "in": ["2", 3], "b": "{x}", "": ["2", 10**9], "c": {"__value__": ["2", 0]}, "d": ["2", -1]}
    found = comes_back({"1": {"class_type": "Nobody", "inputs": inputs}, "2": {"class_type": "Nobody", "inputs": {}}})
    first, second = found.document["nodes"]
    assert first["widgets_values"] == [1, "{x}", ["2", 0]]
    assert [slot.get("widget") for slot in first["inputs"]] == [
        {"name": "a"},
        None,
        {"name": "b"},
        None,
        {"name": "c"},
        None,
    ]
    assert len(second["outputs"]) == 256


def test_values_where_nothing_is_typed_in_come_back_and_are_said() -> None:
    inputs = {"source": 5, "other": "%date:yyyy%", "list": {"__value__": [1, 2]}}
    document = {"1": {"class_type": "PreviewAny", "inputs": inputs}}
    found = made(document)
    assert returned(found) == wanted(document)
    assert [node["type"] for node in found.document["nodes"]] == ["PreviewAny"] + 3 * ["PrimitiveNode"]
    assert found.remarks[0] == (
        "node 1 (PreviewAny): 'source' has a value, and an editor has nothing there to type it into: node 2 "
        "(PrimitiveNode) keeps it, which onnxflow reads and ComfyUI's editor does not send"
    )
    assert len(found.remarks) == 3


DOUBLES = ": an editor's numbers are exact up to 2**53"
PERCENT = ": an editor replaces what is between percent signs"
BRACE = ": an editor takes one backslash before a brace away"
LEFT_OUT = "which does not come back: the link is left out"


@pytest.mark.parametrize(
    ("class_type", "inputs", "remark"),
    [
        ("PrimitiveInt", {"value": 2**60 + 1}, f"comes back as 1152921504606847000{DOUBLES}"),
        ("SaveImage", {"filename_prefix": "%date:yyyy%"}, f"comes back as '2000'{PERCENT}"),
        ("SaveImage", {"filename_prefix": "%SaveImage.filename_prefix%x"}, PERCENT),
        ("SaveImage", {"filename_prefix": "a", "other": None}, "'other' is None, which does not come back"),
        ("CLIPTextEncode", {"text": r"\{"}, f"comes back as '{{'{BRACE}"),
        ("PrimitiveString", {"value": [1, 2, 3]}, "'value' is a list that is no link, [1, 2, 3]"),
        ("PreviewAny", {"source": ["9", 0]}, f"'source' is linked to node '9', {LEFT_OUT}"),
        ("PrimitiveInt", {"value": ["9", 0]}, f"'value' is linked to node '9', {LEFT_OUT}"),
        ("PreviewAny", {"source": ["1"]}, "'source' is a list that is no link, ['1']"),
        ("Nobody", {"": 3}, "'' is 3, which does not come back"),
        ("Reroute", {}, "node 1 (Reroute): the editor has a node of its own of this name: it does not come back"),
        ("T2IAdapterLoader", {"control_net_name": "x"}, "the class is called ControlNetLoader today"),
        ("KSampler", {"sampler_name": "sample_euler"}, "'sample_euler', and comes back as 'euler'"),
        ("PrimitiveInt", {}, "'value' had no value, and has the one that editors put into a new node"),
    ],
)
def test_what_does_not_come_back_is_said(class_type: str, inputs: dict[str, Any], remark: str) -> None:
    found = made({"1": {"class_type": class_type, "inputs": inputs}})
    assert any(remark in one for one in found.remarks), found.remarks
    assert all(one.startswith("node 1 (") for one in found.remarks)


def test_a_button_is_not_taken_for_the_value_of_a_forced_input() -> None:
    required = {
        "note": ["STRING", {"forceInput": True}],
        "image": [["a.png", "b.png"], {"image_upload": True}],
        "size": ["INT", {"default": 3}],
    }
    definition = read_definition("Mine", {"input": {"required": required}})
    document = {"1": {"class_type": "Mine", "inputs": {"image": "b.png", "size": 8}}}
    found = to_ui(document, {"Mine": definition}.get, "wf.json")
    assert found.document["nodes"][0]["widgets_values"] == ["b.png", 8]
    assert found.remarks == ()


def test_links_in_a_circle_come_back() -> None:
    entry = {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["2", 0], "conditioning_2": ["1", 0]}}
    comes_back({"1": entry, "2": entry})


def test_what_is_no_api_format_is_refused() -> None:
    with pytest.raises(WorkflowError) as error:
        made({"1": 5})
    assert error.value.problems[0].details == "Node ID '#1' is 5"
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(WorkflowError, match="nested too deeply"):
        made({"1": {"class_type": "A", "inputs": {"a": {"__value__": deep}}}})


def test_ten_thousand_nodes_take_a_few_seconds() -> None:
    document: dict[str, Any] = {"0": {"class_type": "EmptyLatentImage", "inputs": {}}}
    for number in range(1, 10_000):
        inputs = {"samples1": [str(number - 1), 0], "samples2": ["0", 0]}
        document[str(number)] = {"class_type": "LatentAdd", "inputs": inputs}
    start = time.process_time()
    assert len(made(document).document["nodes"]) == 10_000
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "document",
    [
        {"1": {"class_type": "PreviewAny", "inputs": {f"extra{number}": number for number in range(20_000)}}},
        {str(number): {"class_type": "PreviewAny", "inputs": {"source": number}} for number in range(10_000)},
        {"1": {"class_type": "CLIPTextEncode", "inputs": {"text": "{/*" * 100_000}}},
    ],
    ids=["many values of one node", "a value at each of many nodes", "a long text"],
)
def test_what_is_unusual_takes_no_longer(document: dict[str, Any]) -> None:
    start = time.process_time()
    found = made(document)
    assert returned(found).keys() == document.keys()
    assert time.process_time() - start < 8
