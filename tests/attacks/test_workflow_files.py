"""Hostile workflow files, through the command line: a clear error or a right result, in bounded time and memory."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attacks_said import Said, onnxflow, saved

DEEP = 100_000
CHAIN = 100_000


def node(node_id: object, type_: str, inputs: Any = (), values: Any = None, **more: Any) -> dict[str, Any]:
    slots = [{"name": name, "type": kind, "link": link} for name, kind, link in inputs]
    return {"id": node_id, "type": type_, "inputs": slots, "widgets_values": values, **more}


def document(nodes: list[Any], links: list[Any], **more: Any) -> dict[str, Any]:
    return {"nodes": nodes, "links": links, "version": 0.4, **more}


def subgraph(subgraph_id: str, nodes: list[Any]) -> dict[str, Any]:
    return {"id": subgraph_id, "nodes": nodes, "links": []}


def shown(value: Any) -> dict[str, Any]:
    return {"1": {"class_type": "PreviewAny", "inputs": {"source": value}}}


def chain(type_: str, kind: str, name: str, mode: int = 0) -> dict[str, Any]:
    """A picture through CHAIN nodes that the server is not told of."""
    between = [node(at, type_, [(name, kind, at)], mode=mode) for at in range(1, CHAIN)]
    end = node(CHAIN, "PreviewImage", [("images", "IMAGE", CHAIN)])
    links = [[at, at - 1, 0, at, 0, "*"] for at in range(1, CHAIN + 1)]
    return document([node(0, "EmptyImage", values=[16, 16, 1, 0]), *between, end], links)


def circle(type_: str, kind: str, name: str, mode: int = 0) -> dict[str, Any]:
    found = chain(type_, kind, name, mode)
    found["links"][0] = [1, CHAIN - 1, 0, 1, 0, "*"]
    return found


def said(tmp_path: Path, command: str, content: Any, *more: object) -> Said:
    saved(tmp_path, content)
    return onnxflow(command, "wf.json", "--no-custom-nodes", *more, cwd=tmp_path)


def filled(text: str, part: str) -> str:
    return text.replace("@", part)


def nested(opening: str, closing: str) -> str:
    return opening * DEEP + closing * DEEP


@pytest.mark.parametrize(
    "text",
    [
        nested("[", "]"),
        nested('{"a":', "}").replace(":}", ":1}", 1),
        filled('{"1":{"class_type":"PreviewAny","inputs":{"source":@}}}', nested("[", "]")),
        filled('{"nodes":[{"id":1,"type":"PreviewAny","widgets_values":[@]}],"links":[]}', nested("[", "]")),
        filled('{"nodes":[],"links":[],"definitions":@}', nested('{"subgraphs":[{"id":"s","definitions":', "}]}")),
        filled('{"nodes":[],"links":[],"definitions":{"subgraphs":[{"id":"s","nodes":@}]}}', nested("[", "]")),
    ],
    ids=["lists", "objects", "value", "widgets", "definitions", "subgraph"],
)
def test_what_is_nested_deeply_is_refused(text: str, tmp_path: Path) -> None:
    answer = said(tmp_path, "run", text).check(2)
    assert "nested too deeply" in answer.err or "not JSON" in answer.err


@pytest.mark.parametrize("depth", [300, 900])
def test_what_is_nested_less_deeply_is_read_or_refused(depth: int, tmp_path: Path) -> None:
    lists = "[" * depth + "]" * depth
    content = '{"1":{"class_type":"PreviewAny","inputs":{"source":{"__value__":@}},"_meta":{"a":@}}}'
    said(tmp_path, "run", filled(content, lists)).check(0, 2)


@pytest.mark.parametrize("command", ["check", "run", "convert"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "-0", "1e999", "9" * 4200, "9" * 5000])
def test_numbers_of_all_kinds(number: str, command: str, tmp_path: Path) -> None:
    api = (
        '{"1":{"class_type":"EmptyImage","inputs":{"width":@,"height":64,"batch_size":1,"color":0}},'
        '"2":{"class_type":"PreviewImage","inputs":{"images":["1",@]}}}'
    )
    answers = (0,) if command == "convert" and len(number) < 4300 else (2,)
    said(tmp_path, command, filled(api, number)).check(*answers)
    editors = (
        '{"nodes":[{"id":1,"type":"EmptyImage","widgets_values":[@,64,1,0]},{"id":@,"type":"PreviewImage","mode":@,'
        '"inputs":[{"name":"images","type":"IMAGE","link":1}]}],"links":[[1,1,@,2,@,"IMAGE"]]}'
    )
    said(tmp_path, command, filled(editors, number)).check(*((0, 2) if command == "convert" else (2,)))


def test_a_key_that_is_there_twice_is_named(tmp_path: Path) -> None:
    one = '"1":{"class_type":"PreviewAny","inputs":{"source":"a"}}'
    assert "'1' twice" in said(tmp_path, "run", f"{{{one},{one}}}").check(2).err


IDS = ["__proto__", "1e5", " 1", "-1", "9" * 5000, "\u0663", "a\x1b[31m\x07b\r", "\ud800", "x" * 10**6, "a\u202eb"]


@pytest.mark.parametrize(
    "text",
    [pytest.param(text, id=str(at), marks=[pytest.mark.slow] if at % 3 else []) for at, text in enumerate(IDS)],
)
def test_ids_titles_classes_and_types_of_all_kinds(text: str, tmp_path: Path) -> None:
    entry = {"class_type": "PreviewAny", "inputs": {"source": "hi"}, "_meta": {"title": text}}
    assert "done in" in said(tmp_path, "run", {text: entry}).check(0).err
    nodes = [node(text, "PreviewAny", [("source", "*", 2)], title=text), node(2, "EmptyImage", values=[16, 16, 1, 0])]
    assert "done in" in said(tmp_path, "run", document(nodes, [[2, 2, 0, text, 0, text]])).check(0).err
    said(tmp_path, "run", {"1": {"class_type": text, "inputs": {text: text}}}).check(2)
    said(tmp_path, "run", shown([text, 0])).check(2)
    nodes[1]["type"] = text
    said(tmp_path, "run", document(nodes, [[2, 2, 0, text, 0, text]])).check(2)


def test_ids_that_are_numbers_come_first_as_in_a_browser(tmp_path: Path) -> None:
    ids = ["b", "01", "10", "9", str(2**32 - 1), "9" * 5000, "\u0663", "-1"]
    answer = said(tmp_path, "convert", document([node(one, "PreviewAny") for one in ids], [])).check(0)
    assert list(json.loads(answer.out)) == ["9", "10", "b", "01", *ids[4:]]


@pytest.mark.parametrize(
    "content",
    [
        document([node(1, "s")], [], definitions={"subgraphs": [subgraph("s", [node(1, "s")])]}),
        document(
            [node(1, "s")],
            [],
            definitions={"subgraphs": [subgraph("s", [node(1, "t")]), subgraph("t", [node(1, "s")])]},
        ),
        document([node(1, "workflow>g")], [], extra={"groupNodes": {"g": {"nodes": [node(0, "workflow>g")]}}}),
    ],
    ids=["directly", "through another", "group"],
)
def test_a_graph_that_contains_itself_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    assert "contains itself" in said(tmp_path, "run", content).check(2).err


@pytest.mark.parametrize("inside", ["PreviewAny", None], ids=["nodes", "nothing"])
def test_subgraphs_that_grow_exponentially_are_refused(inside: str | None, tmp_path: Path) -> None:
    levels = [subgraph(f"s{at}", [node(number, f"s{at + 1}") for number in range(20)]) for at in range(11)]
    last = subgraph("s11", [node(number, inside) for number in range(20)] if inside else [])
    content = document([node(1, "s0")], [], definitions={"subgraphs": [*levels, last]})
    assert "more than 1,000,000 nodes" in said(tmp_path, "run", content).check(2).err


@pytest.mark.slow
@pytest.mark.parametrize(
    "group",
    [
        {"nodes": [node(0, "PreviewAny")] * 10_000},
        {"nodes": [], "links": [[0, 0, 0, 0]] * 10_000},
        {"nodes": [node(0, "Unknown", [("a", "*", None)] * 10_000)]},
        {"nodes": [node(0, "PrimitiveNode", values=[])] * 10_000, "external": [[[], {}, 1], ["0"], [0, [], 1]]},
    ],
    ids=["nodes", "links", "sockets", "primitives"],
)
def test_groups_that_are_used_ten_thousand_times_are_bounded(group: dict[str, Any], tmp_path: Path) -> None:
    nodes = [node(at, "workflow>g", values=[1] * 50) for at in range(10_000)]
    answer = said(tmp_path, "run", document(nodes, [], extra={"groupNodes": {"g": group}})).check(2, seconds=30)
    assert "grow beyond every bound" in answer.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("type_", "kind", "name", "mode"), [("Reroute", "*", "", 0), ("ImageInvert", "IMAGE", "image", 4)]
)
def test_long_chains_lead_to_their_beginning_and_circles_nowhere(
    type_: str, kind: str, name: str, mode: int, tmp_path: Path
) -> None:
    said(tmp_path, "run", chain(type_, kind, name, mode)).check(0)
    answer = said(tmp_path, "convert", circle(type_, kind, name, mode)).check(0)
    assert "comes back to itself" in answer.err
    said(tmp_path, "run", circle(type_, kind, name, mode)).check(2)


@pytest.mark.slow
@pytest.mark.parametrize("different", [False, True], ids=["one type", "many types"])
def test_many_readers_of_one_long_chain(different: bool, tmp_path: Path) -> None:
    count = 10_000
    type_ = "Unknown" if different else "PreviewImage"
    reroutes = [node(at, "Reroute", [("", "*", at)]) for at in range(1, count)]
    readers = [
        node(count + at, type_, [("images", f"T{at}" if different else "IMAGE", -at - 1)]) for at in range(count)
    ]
    links = [[at, at - 1, 0, at, 0, "*"] for at in range(1, count)]
    links += [[-at - 1, count - 1, 0, count + at, 0, "*"] for at in range(count)]
    content = document([node(0, "EmptyImage", values=[16, 16, 1, 0]), *reroutes, *readers], links)
    answer = said(tmp_path, "convert", content).check(2 if different else 0)
    assert "steps" in answer.err if different else answer.out.count('"images"') == count


@pytest.mark.slow
def test_a_million_links_to_one_node(tmp_path: Path) -> None:
    links = [[at, 1, 0, 2, 0, "*"] for at in range(10**6)]
    nodes = [node(1, "EmptyImage", values=[16, 16, 1, 0]), node(2, "PreviewImage", [("images", "IMAGE", 5)])]
    said(tmp_path, "run", document(nodes, links)).check(0)
    count = 200_000
    slots = [{"name": f"i{at}", "type": "*", "link": at, "widget": {"name": f"i{at}"}} for at in range(count)]
    nodes = [node(1, "PrimitiveNode", values=[16]), {"id": 2, "type": "PreviewAny", "inputs": slots}]
    said(tmp_path, "run", document(nodes, [[at, 1, 0, 2, at, "*"] for at in range(count)])).check(2)


@pytest.mark.slow
def test_a_million_nodes(tmp_path: Path) -> None:
    """With their texts they take 1 GB in the API format, and 2 GB in the editor's."""
    entry = shown("a")["1"]
    said(tmp_path, "check", {str(at): entry for at in range(10**6)}).check(0, seconds=60, peak=1200)
    editors = document([{"id": at, "type": "PreviewAny"} for at in range(10**6)], [])
    answer = said(tmp_path, "check", editors).check(2, seconds=60, peak=2400)
    assert answer.err.count("Required input is missing") == 1000
    (tmp_path / "wf.json").unlink()


@pytest.mark.slow
def test_fifty_megabytes(tmp_path: Path) -> None:
    said(tmp_path, "run", shown("a" * 50 * 2**20)).check(0)
    said(tmp_path, "run", shown([1] * (17 * 2**20))).check(2)
    said(tmp_path, "run", '{"a":"' + "\\u0000" * (50 * 2**20 // 6)).check(2)


def test_more_than_a_file_may_have_is_refused(tmp_path: Path) -> None:
    with open(tmp_path / "wf.json", "wb") as file:
        file.truncate(257 * 2**20)
    answer = onnxflow("run", "wf.json", cwd=tmp_path).check(2)
    assert "larger than 256 MiB" in answer.err


TEXTS: dict[str, Callable[[], str]] = {
    "braces": lambda: "{" * DEEP,
    "closed braces": lambda: "{a" * DEEP + "x" * 10**6 + "}" * DEEP,
    "comments": lambda: "/*" * 2**20,
    "patterns": lambda: "%a.b%" * 10**5,
    "percent signs": lambda: "%" * (5 * 10**6),
    "parentheses": lambda: "(" * DEEP + ")" * DEEP,
}


@pytest.mark.parametrize("name", TEXTS)
def test_huge_prompts_and_prefixes(name: str, tmp_path: Path) -> None:
    text = TEXTS[name]()
    nodes = [
        node(1, "EmptyImage", values=[16, 16, 1, 0]),
        node(2, "SaveImage", [("images", "IMAGE", 1)], [text]),
        node(3, "CheckpointLoaderSimple", values=["onnxflow-tiny"]),
        node(4, "CLIPTextEncode", [("clip", "CLIP", 2)], [text]),
        node(5, "PreviewAny", [("source", "*", 3)]),
    ]
    links = [[1, 1, 0, 2, 0, "IMAGE"], [2, 3, 1, 4, 0, "CLIP"], [3, 4, 0, 5, 0, "*"]]
    said(tmp_path, "convert", document(nodes, links)).check(0)
    assert "the file name prefix" in said(tmp_path, "run", document(nodes, links)).check(2).err


@pytest.mark.slow
def test_ten_megabytes_of_choices(tmp_path: Path) -> None:
    """Which are 3.5 million choices in each other: a list for each option takes 1.3 GB while one is chosen."""
    content = document([node(1, "CLIPTextEncode", values=["{a|" * (10 * 2**20 // 3)])], [])
    said(tmp_path, "convert", content).check(0, peak=1600)


def test_values_that_names_of_files_take_over_and_over_are_bounded(tmp_path: Path) -> None:
    nodes = [
        node(1, "EmptyImage", values=[16, 16, 1, 0]),
        node(2, "SaveImage", [("images", "IMAGE", 1)], ["%a.value%" * 10_000]),
        node(3, "PrimitiveString", values=["x" * 1_000_000], title="a"),
    ]
    answer = said(tmp_path, "run", document(nodes, [[1, 1, 0, 2, 0, "IMAGE"]])).check(2)
    assert "between percent signs" in answer.err


@pytest.mark.slow
def test_a_prompt_in_ten_thousand_instances_is_bounded(tmp_path: Path) -> None:
    inner = subgraph("s", [node(1, "CLIPTextEncode", values=["{a|b}" * 2**18])])
    content = document([node(at, "s") for at in range(10_000)], [], definitions={"subgraphs": [inner]})
    assert "characters" in said(tmp_path, "run", content).check(2).err


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        {str(at): {"class_type": "PreviewAny", "inputs": {"source": [f"{at}x", 0]}} for at in range(10_000)},
        {str(at): {"class_type": f"KSampler{at}", "inputs": {}} for at in range(10_000)},
        {f"p{at}": {"class_type": "PreviewImage", "inputs": {"images": [str(at), 0]}} for at in range(5_000)}
        | {str(at): {"class_type": "LoadImage", "inputs": {"image": f"a{at}.png"}} for at in range(5_000)},
        {f"p{at}": {"class_type": "PreviewAny", "inputs": {"source": [str(at), 0]}} for at in range(5_000)}
        | {
            str(at): {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": f"a{at}.safetensors"}}
            for at in range(5_000)
        },
        {"0": {"class_type": "EmptyImage", "inputs": {}}}
        | {
            str(at): {"class_type": "ImageScaleBy", "inputs": {"image": [str(at - 1), 0], "scale_by": -1}}
            for at in range(1, 10_000)
        }
        | {f"p{at}": {"class_type": "PreviewImage", "inputs": {"images": ["9999", 0]}} for at in range(1_000)},
        {
            str(at): {"class_type": "ImageInvert", "inputs": {"image": [str((at + 1) % 50_000), 0]}}
            for at in range(50_000)
        }
        | {"p": {"class_type": "PreviewImage", "inputs": {"images": ["0", 0]}}},
        {
            "1": {"class_type": "EmptyImage", "inputs": {"width": "1" * 10**7, "height": "x" * 10**7}},
            "2": {"class_type": "ImageScaleBy", "inputs": {"image": ["1", 0], "scale_by": "x" * 10**7}},
            "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
        },
    ],
    ids=["links", "classes", "files", "models", "values", "cycle", "digits"],
)
def test_thousands_of_problems_are_found_in_bounded_time(content: dict[str, Any], tmp_path: Path) -> None:
    for command in ("run", "check"):
        answer = said(tmp_path, command, content).check(2)
        assert len(answer.text) < 5 * 2**20
    said(tmp_path, "check", content, "--json").check(2)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_texts_in_pictures_that_inflate_without_end_are_refused(kind: bytes, tmp_path: Path) -> None:
    deflate = zlib.compressobj(9)
    bomb = b"".join(deflate.compress(bytes(2**20)) for _ in range(300)) + deflate.flush()
    head = b"prompt\0" + (b"\0" if kind == b"zTXt" else b"\1\0\0\0")
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    picture = b"\x89PNG\r\n\x1a\n" + header + _chunk(kind, head + bomb) + _chunk(b"IEND", b"")
    (tmp_path / "wf.json").write_bytes(picture)
    answer = onnxflow("run", "wf.json", cwd=tmp_path).check(2, peak=400)
    assert "longer than 64 MiB" in answer.err
