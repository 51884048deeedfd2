"""Prompts in A1111's syntax: tags, embeddings, what ComfyUI reads otherwise."""

from __future__ import annotations

import time

import pytest

from onnxflow.workflow.a1111_prompt import Lora, read_prompt


@pytest.mark.parametrize(
    ("tag", "lora"),
    [
        ("<lora:x>", Lora("x", 1.0, 1.0)),
        ("<lora:x:0.8>", Lora("x", 0.8, 0.8)),
        ("<lora:x y-v1.0:-.5>", Lora("x y-v1.0", -0.5, -0.5)),
        ("<lora:x:0.8:0.2>", Lora("x", 0.2, 0.8)),
        ("<lora:x:unet=0.2>", Lora("x", 0.2, 1.0)),
        ("<lora:x:te=0.2>", Lora("x", 0.2, 0.2)),
        ("<lora:x:unet=0.3:te=0.2>", Lora("x", 0.3, 0.2)),
        ("<lyco:x:1>", Lora("x", 1.0, 1.0)),
    ],
)
def test_loras_are_taken_out(tag: str, lora: Lora) -> None:
    found = read_prompt(f"a {tag}cat{tag}")
    assert found.text == "a cat" and found.loras == (lora, lora) and found.remarks == found.problems == ()


@pytest.mark.parametrize("value", ["", "x", "1,5", "nan", "inf", "1e99", "100.1", "--1", "١"])
def test_strengths_that_are_none(value: str) -> None:
    (problem,) = read_prompt(f"<lora:x:{value}>").problems
    assert "strength" in problem.message and value in problem.details


def test_what_else_a_tag_says_is_said() -> None:
    found = read_prompt("<lora:x:1:1:8:lbw=MIDD> <hypernet:h:1> <3 > x")
    assert found.loras == (Lora("x", 1.0, 1.0),) and found.text == "<3 > x"
    assert found.remarks == ("'8' of the LoRA 'x'", "'lbw=MIDD' of the LoRA 'x'", "the tag '<hypernet:h:1>'")


def test_tags_in_a_negative_prompt_stay() -> None:
    found = read_prompt("bad <lora:x:1>", tags=False)
    assert found.text == "bad <lora:x:1>" and found.loras == () and "letters" in found.remarks[0]


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [
        ("a BREAK b", "a, b", "BREAK"),
        ("a, BREAK, b\nBREAK\nc", "a, b, c", "BREAK"),
        ("BREAK", "", "BREAK"),
        ("BREAKFAST breaks", "BREAKFAST breaks", ""),
        ("a AND b", "a AND b", "AND"),
        ("a SAND b", "a SAND b", ""),
        ("[a:b:0.5]", "[a:b:0.5]", "between steps"),
        ("[a|b]", "[a|b]", "between steps"),
        ("[(a:1.1), [b]]", "[(a:1.1), [b]]", "between steps"),
        ("[a]", "[a]", "less weight"),
        (r"\[a\] \(b\) (c:1.2) ((d))", r"\[a\] \(b\) (c:1.2) ((d))", ""),
        ("a:\nb", "a:\nb", ""),
    ],
)
def test_what_comfyui_reads_otherwise(text: str, expected: str, said: str) -> None:
    found = read_prompt(text)
    assert found.text == expected
    assert bool(found.remarks) == bool(said) and said in "".join(found.remarks)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bad", "embedding:bad"),
        ("a, BAD, b", "a, embedding:BAD , b"),
        ("(bad:1.2)", "(embedding:bad:1.2)"),
        ("a,bad,b", "a, embedding:bad ,b"),
        ("bad\nbad-hands", "embedding:bad\nembedding:bad-hands"),
        ("bad-face badly not_bad embedding:bad", "bad-face badly not_bad embedding:bad"),
    ],
)
def test_embeddings_get_comfyui_s_prefix(text: str, expected: str) -> None:
    assert read_prompt(text, ["bad", "bad-hands", ""]).text == expected


@pytest.mark.parametrize("piece", ["<lora:", "<", "[", "[:", ":", "BREAK ", " ", "bad,", "\\["])
def test_hostile_prompts_end_soon(piece: str) -> None:
    started = time.process_time()
    read_prompt(piece * (250_000 // len(piece)), [f"bad{number}" for number in range(1000)])
    assert time.process_time() - started < 5
