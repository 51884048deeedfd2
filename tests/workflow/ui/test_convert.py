"""The editor's format becomes the API format as the real editor (1.27.10) made it: cases/ are its own results."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from onnxflow.errors import WorkflowError
from onnxflow.workflow.definitions import comfyui_definition
from onnxflow.workflow.ui.convert import Circumstances, Converted, to_api

CASES = Path(__file__).parent / "cases"
SHARED = Path(__file__).parents[4] / "shared" / "comfyui"
NOW = datetime(2026, 3, 7, 8, 9, 5)
SHOWN_ONLY = {"PreviewAny": {"preview"}, "SaveGLB": {"image"}, "LoadImageOutput": {"refresh"}}
"""Inputs of the editor's own that a server ignores; and audioUI, of all that has to do with audio."""


def convert(document: dict[str, Any], seed: int = 0) -> Converted:
    return to_api(document, comfyui_definition, Circumstances(Random(seed), NOW), "wf.json")


def plain(document: Any) -> dict[str, Any]:
    """An API document as it is compared: classes and inputs, numbers as doubles, without what is only shown."""

    def value(item: Any) -> Any:
        if isinstance(item, list):
            return [value(one) for one in item]
        if isinstance(item, dict):
            return {key: value(one) for key, one in item.items()}
        return float(item) if type(item) is int else item

    return {
        node_id: (
            entry.get("class_type"),
            {
                name: value(item)
                for name, item in entry["inputs"].items()
                if name != "audioUI" and name not in SHOWN_ONLY.get(entry.get("class_type"), ())
            },
        )
        for node_id, entry in document.items()
    }


def cases() -> list[Any]:
    """Every saved form of every case, with what the editor made of it."""
    found = []
    for path in sorted(CASES.glob("*.json")):
        case = json.loads(path.read_text("utf-8"))
        if "api" not in case:  # a file in schema 1, of the case of that name
            api = json.loads((CASES / path.name.replace(".v1", "")).read_text("utf-8"))["api"]
            found.append(pytest.param(case, api, id=path.stem))
            continue
        for key in ("workflow", "input"):
            if key in case:
                found.append(pytest.param(case[key], case["api"], id=f"{path.stem}-{key}"))
    return found


@pytest.mark.parametrize(("document", "api"), cases())
def test_a_case_becomes_what_the_editor_made_of_it(document: dict[str, Any], api: dict[str, Any]) -> None:
    api = {node_id: entry for node_id, entry in api.items() if "class_type" in entry}
    found = plain(convert(document).document)
    unknown = {node_id for node_id, (class_type, _) in found.items() if comfyui_definition(class_type) is None}
    # The editor sends what it does not know without a class; here it is sent with its own.
    assert unknown == ({"6"} if "6" in found and found["6"][0] == "TotallyUnknownNode" else set())
    assert {node_id: entry for node_id, entry in found.items() if node_id not in unknown} == plain(api)


def test_an_unknown_class_keeps_its_name_and_links() -> None:
    case = json.loads((CASES / "unknown_node_type.json").read_text("utf-8"))
    entry = convert(case["input"]).document["6"]
    assert entry["class_type"] == "TotallyUnknownNode"
    assert entry["inputs"] == {"samples": ["5", 0], "vae": ["1", 2]}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the official templates are not ours to ship")
def test_the_official_templates_become_what_the_editor_made_of_them() -> None:
    paths = sorted((SHARED / "graph_to_prompt" / "templates").glob("*.api.json"))
    assert len(paths) > 60
    for path in paths:
        api = json.loads(path.read_text("utf-8"))
        name = path.name.removesuffix(".api.json")
        files = [path.with_name(f"{name}.resaved.json"), SHARED / "templates" / f"{name}.json"]
        for file in files:
            if not file.exists():
                continue
            found = plain(convert(json.loads(file.read_text("utf-8"))).document)
            known = {node_id for node_id, entry in api.items() if "class_type" in entry}
            assert found.keys() == api.keys(), file
            wanted = plain(api)
            assert {key: found[key] for key in known} == {key: wanted[key] for key in known}, file


def node(node_id: int, type_: str, *, inputs: Any = (), values: Any = None, **more: Any) -> dict[str, Any]:
    slots = [{"name": name, "type": kind, "link": link} for name, kind, link in inputs]
    return {"id": node_id, "type": type_, "inputs": slots, "widgets_values": values, **more}


def document(nodes: list[Any], links: list[Any], **more: Any) -> dict[str, Any]:
    return {"nodes": nodes, "links": links, "version": 0.4, **more}


def test_placement_and_packs_come_along() -> None:
    place = {"onnxflow.place": "unet=cuda:0", "cnr_id": "some-pack"}
    found = convert(document([node(1, "PreviewAny", properties=place)], []))
    assert found.document["1"]["_meta"] == {"title": "Preview Any", "onnxflow": {"place": "unet=cuda:0"}}
    assert found.packs == {"1": "some-pack"}


def test_what_leads_nowhere_is_said() -> None:
    nodes = [
        node(1, "VAEDecode", inputs=[("samples", "LATENT", 7), ("vae", "VAE", 8)]),
        node(2, "Reroute", inputs=[("", "*", 9)]),
    ]
    found = convert(document(nodes, [[8, 2, 0, 1, 1, "VAE"], [9, 2, 0, 2, 0, "*"], [6, 55, 0, 1, 0, "LATENT"]]))
    assert found.document["1"]["inputs"] == {}
    assert found.remarks == (
        "link 7 is not in the file: the input 'samples' that it leads to has no origin",
        "link 9 comes back to itself: the input 'vae' that it leads to has no origin",
    )


def test_prompts_choose_by_the_seed_and_prefixes_take_dates_and_values() -> None:
    nodes = [
        node(1, "CLIPTextEncode", values=["a {red|green|{dark|light} blue} car // mine"]),
        node(2, "EmptyLatentImage", values=[640, 512, 1], title="Size: a"),
        node(3, "SaveImage", values=["%date:yyyy-MM-dd_hh-m%/%EmptyLatentImage.width%-%Size: a.height%-%x.y%-%width%"]),
    ]
    nodes[1]["properties"] = {"Node name for S&R": "EmptyLatentImage"}
    texts = {convert(document(nodes, []), seed).document["1"]["inputs"]["text"] for seed in range(40)}
    assert texts == {f"a {colour} car " for colour in ("red", "green", "dark blue", "light blue")}
    assert convert(document(nodes, []), 3).document["1"] == convert(document(nodes, []), 3).document["1"]
    assert convert(document(nodes, [])).document["3"]["inputs"]["filename_prefix"] == (
        "2026-03-07_08-9/640-512-%x.y%-%width%"
    )


def test_large_seeds_are_the_ones_that_a_browser_sends() -> None:
    values = [1234567890123456789, "fixed", 20, 8, "euler", "simple", 1]
    inputs = convert(document([node(1, "KSampler", values=values)], [])).document["1"]["inputs"]
    assert inputs["seed"] == 1234567890123456800
    values[0] = 2**64 - 1
    inputs = convert(document([node(1, "KSampler", values=values)], [])).document["1"]["inputs"]
    assert inputs["seed"] == 18446744073709552000


def subgraph(name: str, nodes: list[Any], links: list[Any], inputs: Any = (), outputs: Any = ()) -> dict[str, Any]:
    named = [{"name": n, "type": t} for n, t in inputs], [{"name": n, "type": t} for n, t in outputs]
    objects = [
        dict(zip(("id", "origin_id", "origin_slot", "target_id", "target_slot"), one, strict=True)) for one in links
    ]
    return {"id": name, "name": name, "nodes": nodes, "links": objects, "inputs": named[0], "outputs": named[1]}


def test_subgraphs_in_subgraphs_lead_in_and_out() -> None:
    inner = subgraph(
        "inner",
        [node(1, "EmptyLatentImage", inputs=[("width", "INT", 1)], values=[64, 64, 1])],
        [[1, -10, 0, 1, 0], [2, 1, 0, -20, 0]],
        [("w", "INT")],
        [("L", "LATENT")],
    )
    inner["nodes"][0]["inputs"][0]["widget"] = {"name": "width"}
    outer = subgraph(
        "outer",
        [node(5, "inner", inputs=[("w", "INT", 1)])],
        [[1, -10, 0, 5, 0], [2, 5, 0, -20, 0]],
        [("w", "INT")],
        [("L", "LATENT")],
    )
    outer["nodes"][0]["inputs"][0]["widget"] = {"name": "w"}
    outer["definitions"] = {"subgraphs": [inner]}
    nodes = [node(8, "outer", values=[320]), node(9, "outer", inputs=[("w", "INT", 4)], values=[640])]
    nodes += [node(3, "PrimitiveInt", values=[96, "fixed"]), node(4, "PreviewAny", inputs=[("source", "*", 5)])]
    links = [[4, 3, 0, 9, 0, "INT"], [5, 8, 0, 4, 0, "LATENT"]]
    found = convert(document(nodes, links, definitions={"subgraphs": [outer]})).document
    assert found["8:5:1"]["inputs"]["width"] == 320
    assert found["9:5:1"]["inputs"]["width"] == ["3", 0]
    assert found["4"]["inputs"]["source"] == ["8:5:1", 0]


def test_a_subgraph_that_contains_itself_and_one_that_grows_are_refused() -> None:
    one = subgraph("one", [node(1, "two")], [])
    two = subgraph("two", [node(1, "one")], [])
    with pytest.raises(WorkflowError, match="contains itself"):
        convert(document([node(1, "one")], [], definitions={"subgraphs": [one, two]}))
    many = [subgraph(f"s{i}", [node(k, f"s{i + 1}") for k in range(20)], []) for i in range(12)]
    with pytest.raises(WorkflowError, match="more than 1,000,000 nodes"):
        convert(document([node(1, "s0")], [], definitions={"subgraphs": many}))
    deep = [subgraph(f"d{i}", [node(1, f"d{i + 1}")], []) for i in range(200)]
    with pytest.raises(WorkflowError, match="subgraphs deep"):
        convert(document([node(1, "d0")], [], definitions={"subgraphs": deep}))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"nodes": [7]}, "not a node"),
        ({"nodes": [{"type": "X"}]}, "no id"),
        ({"nodes": [{"id": 1}]}, "no type"),
        ({"nodes": [node(1, "A"), node(1, "B")]}, "one id"),
        ({"nodes": [node(1, "A")], "links": [[1, 2]]}, "not a link"),
        ({"nodes": [node(1, "A")], "links": [{"id": 1}]}, "not a link"),
        ({"nodes": [], "definitions": {"subgraphs": [{"id": "s", "nodes": [3]}]}}, "not a node"),
    ],
)
def test_what_has_not_the_shape_is_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        convert({"links": [], **wrong})
    assert words in caught.value.render()


def test_odd_values_harm_nobody() -> None:
    odd = [
        {"id": 1, "type": "KSampler", "widgets_values": [None] * 40, "inputs": {"a": 1}, "mode": "x", "title": 5},
        {"id": "a:b", "type": "Reroute", "inputs": [None, {"name": 4, "type": 7, "link": [1]}], "properties": 7},
        {"id": 2, "type": "workflow>g", "widgets_values": [1, 2]},
    ]
    found = convert({"nodes": odd, "links": [None], "extra": {"groupNodes": {"g": {"nodes": [4, {}], "links": [[1]]}}}})
    assert set(found.document) == {"1"}


def promoting(values: Any, **more: Any) -> dict[str, Any]:
    """An instance of a subgraph that promotes the width of an EmptyLatentImage."""
    inner = subgraph(
        "inner", [node(1, "EmptyLatentImage", inputs=[("width", "INT", 1)], values=[64, 32, 1])],
        [[1, -10, 0, 1, 0]], [("width", "INT")],
    )  # fmt: skip
    inner["nodes"][0]["inputs"][0]["widget"] = {"name": "width"}
    return document([node(8, "inner", values=values, **more)], [], definitions={"subgraphs": [inner]})


def test_newer_editors_say_what_an_instance_s_values_are_for() -> None:
    proxies = {"proxyWidgets": [["1", "height"], ["-1", "width"], ["1", "control_after_generate"], ["1", "batch_size"]]}
    found = convert(promoting([48, 96, "fixed", None], properties=proxies)).document["8:1"]["inputs"]
    assert found == {"width": 96, "height": 48, "batch_size": 1}
    assert convert(promoting([None])).document["8:1"]["inputs"]["width"] == 64


def test_a_primitive_writes_into_a_promoted_widget() -> None:
    whole = promoting([33], inputs=[("width", "INT", 5)])
    whole["nodes"].append(node(9, "PrimitiveNode", values=[42, "fixed"]))
    whole["links"].append([5, 9, 0, 8, 0, "INT"])
    assert convert(whole).document["8:1"]["inputs"]["width"] == 42


@pytest.mark.parametrize(
    "links", [[[1, 3, 0, 1, 0, "*"], [2, 4, 0, 2, 0, "*"]], [[2, 4, 0, 2, 0, "*"], [1, 3, 0, 1, 0, "*"]]]
)
def test_primitives_that_take_values_take_those_that_others_write(links: Any) -> None:
    nodes = [
        node(1, "CLIPTextEncode", inputs=[("text", "STRING", 1)], values=["a"]),
        node(2, "EmptyLatentImage", inputs=[("width", "INT", 2)], values=[5, 5, 1], title="Size"),
        node(3, "PrimitiveNode", values=["x %Size.width%"], properties={"Run widget replace on values": True}),
        node(4, "PrimitiveNode", values=[777, "fixed"]),
    ]
    found = convert(document(nodes, links)).document
    assert found["2"]["inputs"]["width"] == 777 and found["1"]["inputs"]["text"] == "x 777"


@pytest.mark.parametrize("mode", [2, 4, 2.0])
def test_of_a_muted_or_bypassed_group_node_nothing_is_sent(mode: float) -> None:
    group = {"nodes": [{"type": "EmptyLatentImage", "index": 0}, {"type": "SaveLatent", "index": 1}], "links": []}
    nodes = [node(7, "workflow>g", mode=mode), node(9, "PreviewAny")]
    assert set(convert(document(nodes, [], extra={"groupNodes": {"g": group}})).document) == {"9"}
