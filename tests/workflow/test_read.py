"""Reading: what a file is, and what it is instead."""

from __future__ import annotations

import json
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from onnxflow.errors import OnnxflowError, WorkflowError
from onnxflow.graph.graph import BadLink, Link
from onnxflow.workflow.read import parse_workflow, read_workflow

NODE = {"class_type": "A", "inputs": {"x": 1}}


def refusal(data: bytes | str) -> WorkflowError:
    with pytest.raises(WorkflowError) as caught:
        parse_workflow(data, "wf.json")
    assert caught.value.exit_code == 2
    assert caught.value.where == "wf.json"
    return caught.value


def test_links_values_and_titles() -> None:
    entry = {
        "class_type": "A",
        "inputs": {"l": ["8:5", 1], "v": {"__value__": [1, 2]}, "bad": ["a", 1, 2], "d": {"k": [1]}, "n": None},
        "_meta": {"title": "Mine"},
    }
    node = parse_workflow(json.dumps({"7": entry})).graph.nodes["7"]
    assert node.inputs == {"l": Link("8:5", 1), "v": [1, 2], "bad": BadLink(["a", 1, 2]), "d": {"k": [1]}, "n": None}
    assert (node.id, node.class_type, node.title) == ("7", "A", "Mine")


@pytest.mark.parametrize(
    ("meta", "place"),
    [
        ({"onnxflow": {"place": "unet=cuda:0,vae=cpu"}}, "unet=cuda:0,vae=cpu"),
        ({"onnxflow.place": "cpu"}, "cpu"),
        ({"onnxflow": {"place": "cpu"}, "onnxflow.place": "cuda"}, "cpu"),
        ({"onnxflow": {"other": 1}, "onnxflow.place": "cpu"}, "cpu"),
        ({"onnxflow": {}, "title": "Mine"}, ""),
        ({"onnxflow": None}, ""),
        (None, ""),
        ("cpu", ""),  # as ComfyUI, which looks at none of it
        ([{"onnxflow": {"place": "cpu"}}], ""),
    ],
)
def test_the_place_that_a_file_gives_a_node(meta: Any, place: str) -> None:
    assert parse_workflow(json.dumps({"7": {**NODE, "_meta": meta}})).graph.nodes["7"].place == place


@pytest.mark.parametrize(
    "meta",
    [
        {"onnxflow": {"place": 0}}, {"onnxflow": {"place": ["cpu"]}}, {"onnxflow": {"place": None}},
        {"onnxflow": {"place": {"unet": "cpu"}}}, {"onnxflow.place": True}, {"onnxflow": "cpu"}, {"onnxflow": ["cpu"]},
    ],
)  # fmt: skip
def test_a_place_that_is_no_text_is_refused_and_not_passed_over(meta: Any) -> None:
    (problem,) = refusal(json.dumps({"1": NODE, "7": {**NODE, "_meta": meta}})).problems
    assert problem.message == "A node's place is not a text" and "'#7'" in problem.details and "place" in problem.hint


def test_the_document_is_kept_as_it_was() -> None:
    document = {"1": {**NODE, "_meta": {"title": "é"}, "unknown": 5}}
    assert parse_workflow(json.dumps(document)).document == document


def test_the_body_of_a_post_is_a_workflow_too() -> None:
    body = {"prompt": {"1": NODE}, "extra_data": {"extra_pnginfo": {"workflow": {"nodes": []}}}}
    found = parse_workflow(json.dumps(body))
    assert list(found.graph.nodes) == ["1"] and found.extra == {"workflow": {"nodes": []}}


def test_a_node_called_prompt_is_a_node() -> None:
    assert list(parse_workflow(json.dumps({"prompt": NODE})).graph.nodes) == ["prompt"]


def test_a_byte_order_mark_is_ignored() -> None:
    assert parse_workflow(b"\xef\xbb\xbf" + json.dumps({"1": NODE}).encode()).graph.nodes


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b'{"1": {"class_type": "A"', "line 1, column"),
        (b"\xff\xfe{}", "byte 0 is not UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "PNG picture"),
        (b"[1, 2]", "a list, not a workflow"),
        (b'"text"', "a text, not a workflow"),
        (b"3", "a number, not a workflow"),
        (b"null", "null, not a workflow"),
        (b"true", "true or false, not a workflow"),
        (b'{"name": "x", "version": 2}', "'name', 'version'"),
        (b'{"1": {"class_type": "A"}, "1": {"class_type": "B"}}', "key '1' twice"),
        (b'{"1": {"class_type": "A", "inputs": {"x": ' + b"9" * 5000 + b"}}}", "not JSON we can read"),
    ],
)
def test_what_is_no_workflow_says_what_it_is(data: bytes, words: str) -> None:
    assert words in refusal(data).render()


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"1":{"class_type":"A","inputs":{"x":['])
def test_nesting_100000_deep(opening: bytes) -> None:
    assert "nested too deeply" in refusal(opening * 100_000).render()


def test_every_entry_that_is_no_node_is_listed() -> None:
    error = refusal(json.dumps({"1": NODE, "2": 5, "3": {"class_type": 7}, "4": {"class_type": "A", "inputs": []}}))
    assert [problem.details.split()[2].rstrip(":") for problem in error.problems] == ["'#2'", "'#3'", "'#4'"]


def test_an_empty_object_is_a_workflow_without_nodes() -> None:
    assert not parse_workflow("{}").graph.nodes


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path, "a\0b"):
        with pytest.raises(WorkflowError):
            read_workflow(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_or_refused(document: Any) -> None:
    try:
        parse_workflow(json.dumps(document))
    except OnnxflowError as error:
        assert error.render()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parse_workflow(data)
    except OnnxflowError as error:
        assert error.render()


def png(**texts: str) -> bytes:
    """A picture with these texts in it."""
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    file = BytesIO()
    Image.new("RGB", (1, 1)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


EDITORS_FORM = json.dumps({"nodes": [{"id": 3, "type": "PreviewAny"}], "links": []})


def test_a_picture_is_what_it_was_made_from() -> None:
    found = parse_workflow(png(prompt=json.dumps({"7": NODE}), workflow=EDITORS_FORM))
    assert list(found.graph.nodes) == ["7"]
    assert found.extra == {"workflow": json.loads(EDITORS_FORM)}
    assert list(parse_workflow(png(workflow=EDITORS_FORM)).graph.nodes) == ["3"]


def test_a_picture_of_a1111_is_a_graph() -> None:
    text = "a cat\nNegative prompt: bad\nSteps: 4, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 128x128, Model: m"
    for data in (png(parameters=text), text, text.encode()):
        classes = [node.class_type for node in parse_workflow(data).graph.nodes.values()]
        assert "KSampler" in classes and classes[0] == "CheckpointLoaderSimple"


def test_a_picture_without_a_workflow_and_a_damaged_one_say_so() -> None:
    said = refusal(png(comment="x"))
    assert "carries no workflow" in said.message and said.hint
    assert "it is damaged" in refusal(png(prompt=json.dumps({"7": NODE}))[:40]).message
    assert "not JSON" in refusal(png(prompt="{")).message
    whole = png(prompt=json.dumps({"7": NODE}))
    assert "is damaged" in parse_workflow(whole[:-14]).remarks[0]


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(json.dumps({"7": NODE}).encode())))
    found = read_workflow("-")
    assert (list(found.graph.nodes), found.where) == (["7"], "standard input")
