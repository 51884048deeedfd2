"""Checking: every problem at once, with ComfyUI's codes, and ours where it has none."""

from __future__ import annotations

import math
from typing import Any

import pytest
from fakes import CATALOG, DISK, workflow

from onnxflow.errors import Problem, WorkflowError
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.workflow.check import check, every_problem, types_match
from onnxflow.workflow.read import workflow_from_document
from onnxflow.workflow.response import error_response

GOOD = {"s": ("Start", {"value": 2}), "o": ("Show", {"number": ("s", 0), "label": ""})}


def problems(**nodes: Any) -> list[Problem]:
    with pytest.raises(WorkflowError) as caught:
        check(workflow(**nodes), CATALOG, DISK)
    assert caught.value.exit_code == 2
    assert "Traceback" not in caught.value.render()
    return list(caught.value.problems)


def codes(**nodes: Any) -> list[str]:
    return [problem.code for problem in problems(**nodes)]


def test_a_good_workflow_becomes_calls_in_order() -> None:
    checked = check(workflow(**GOOD), CATALOG, DISK)
    assert list(checked.calls) == ["s", "o"]
    assert checked.outputs == ("o",)
    assert checked.calls["s"].literals == {"value": 2}
    assert checked.calls["o"].links == (("number", ("s", 0)),)


def test_what_no_output_needs_is_neither_run_nor_checked() -> None:
    checked = check(workflow(**GOOD, x=("Add", {})), CATALOG, DISK)
    assert "x" not in checked.calls


def test_only_the_targets_asked_for_are_run() -> None:
    nodes = {**GOOD, "w": ("Watch", {"number": ("s", 0), "label": ""})}
    assert check(workflow(**nodes), CATALOG, DISK, ["w"]).outputs == ("w",)


def test_values_are_turned_into_their_type_as_comfyui_does() -> None:
    for value, expected in ((64.7, 64), ("64", 64), (True, 1)):
        assert check(workflow(s=("Start", {"value": value}), o=GOOD["o"]), CATALOG, DISK).calls["s"].literals == {
            "value": expected
        }


def test_undeclared_inputs_are_ignored() -> None:
    checked = check(workflow(s=("Start", {"value": 2, "zzz": ("nowhere", 0)}), o=GOOD["o"]), CATALOG, DISK)
    assert checked.calls["s"].literals == {"value": 2}


def test_every_problem_is_reported_at_once() -> None:
    found = codes(
        s=("Start", {"value": 500}),
        p=("Pair", {"name": "up"}),
        a=("Add", {"a": ("s", 0), "b": ("p", 1), "scale": "much"}),
        o=("Show", {"number": ("a", 0)}),
    )
    assert sorted(found) == [
        "invalid_input_type", "required_input_missing", "return_type_mismatch", "value_bigger_than_max",
        "value_not_in_list",
    ]  # fmt: skip


def test_all_unknown_classes_are_reported_with_the_nearest_names() -> None:
    found = problems(s=("Gathr", {}), t=("Nope", {}), o=("Show", {"number": ("s", 0), "label": ""}))
    assert [p.code for p in found] == ["invalid_prompt", "invalid_prompt"]
    assert found[0].hint.startswith("did you mean 'Gather'")
    assert found[0].message == "Cannot execute because node Gathr does not exist."


def test_a_node_without_a_class() -> None:
    assert problems(s=("", {}), o=GOOD["o"])[0].message == (
        "Cannot execute because a node is missing the class_type property."
    )


@pytest.mark.parametrize(
    ("inputs", "code", "details"),
    [
        ({}, "required_input_missing", "value"),
        ({"value": -1}, "value_smaller_than_min", "value"),
        ({"value": 101}, "value_bigger_than_max", "value"),
        ({"value": "abc"}, "invalid_input_type", "value, abc, invalid literal for int() with base 10: 'abc'"),
        ({"value": None}, "invalid_input_type", None),
        ({"value": math.nan}, "invalid_input_type", None),
        ({"value": math.inf}, "invalid_input_type", None),
        ({"value": {"a": 1}}, "invalid_input_type", None),
        ({"value": [1, 2, 3]}, "bad_linked_input", "value, [1, 2, 3]"),
        ({"value": [5, 0]}, "bad_linked_input", "value, [5, 0]"),
        ({"value": ["9", 0.5]}, "bad_linked_input", "value, ['9', 0.5]"),
        ({"value": ["9", 0.0]}, "link_to_missing_node", "value: node '9'"),
        ({"value": ["9", 0]}, "link_to_missing_node", "value: node '9'"),
        ({"value": ["o", 0]}, "link_to_missing_output", None),
        ({"value": ["o", -1]}, "link_to_missing_output", None),
    ],
)
def test_one_bad_value(inputs: dict[str, Any], code: str, details: str | None) -> None:
    extra = {"q": ("Show", {"number": ("z", 0), "label": ""}), "z": ("Start", {"value": 2})}
    found = problems(s=("Start", inputs), o=("Show", {"number": ("s", 0), "label": ""}), **extra)
    expected = [code, "cycle"] if inputs.get("value") == ["o", 0] or inputs.get("value") == ["o", -1] else [code]
    assert [p.code for p in found] == expected
    assert found[0].node is not None and str(found[0].node) == "node s (The s, Start)"
    assert found[0].outputs == ("o",)
    assert details is None or found[0].details == details


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_a_float_must_be_finite(value: Any) -> None:
    nodes = {
        **GOOD,
        "a": ("Add", {"a": ("s", 0), "b": ("s", 0), "scale": value}),
        "o": ("Show", {"number": ("a", 0), "label": ""}),
    }
    assert codes(**nodes) == ["invalid_input_type"]


def test_a_link_is_needed_where_no_value_can_be_typed() -> None:
    found = problems(o=("Show", {"number": 5, "label": ""}))
    assert [(p.code, p.hint) for p in found] == [("invalid_input_type", "connect number to an output of type NUMBER")]


def test_a_cycle_names_its_nodes() -> None:
    found = problems(
        a=("Add", {"a": ("b", 0), "b": ("b", 0), "scale": 1}),
        b=("Add", {"a": ("a", 0), "b": ("a", 0), "scale": 1}),
        o=("Show", {"number": ("a", 0), "label": ""}),
    )
    assert [p.code for p in found] == ["cycle"]
    assert found[0].details == "node a (The a, Add) -> node b (The b, Add) -> node a (The a, Add)"


def test_no_outputs() -> None:
    with pytest.raises(WorkflowError) as caught:
        check(workflow(s=("Start", {"value": 2})), CATALOG, DISK)
    assert caught.value.code == "prompt_no_outputs"
    assert "Show, Watch" in caught.value.render()


def test_the_classes_own_check_is_asked_and_named() -> None:
    found = problems(s=GOOD["s"], o=("Watch", {"number": ("s", 0), "label": "x"}))
    assert [(p.code, p.details) for p in found] == [("custom_validation_failed", "label - no x")]


def test_a_long_list_of_choices_is_not_printed() -> None:
    found = problems(p=("Pair", {"name": "up"}), o=("Show", {"number": ("p", 0), "label": ""}))
    assert found[0].details == "name: 'up' not in ['left', 'right']"
    assert found[0].extra["input_config"] == [["left", "right"], {}]


def test_a_long_chain_costs_no_recursion() -> None:
    nodes: dict[str, Any] = {"0": ("Start", {"value": 2})}
    for i in range(1, 20_000):
        nodes[str(i)] = ("Add", {"a": (str(i - 1), 0), "b": (str(i - 1), 0), "scale": 0.5})
    nodes["o"] = ("Show", {"number": ("19999", 0), "label": ""})
    assert len(check(workflow(**nodes), CATALOG, DISK).calls) == 20_001


def test_types_match() -> None:
    assert types_match("A", "A") and types_match("*", "A") and types_match("A", "*") and types_match("A,B", "B,C")
    assert not types_match("A", "B") and not types_match("A,B", "C")


def test_the_answer_has_the_shape_of_comfyuis() -> None:
    with pytest.raises(WorkflowError) as caught:
        check(workflow(s=("Start", {"value": 500}), o=GOOD["o"]), CATALOG, DISK)
    answer = error_response(caught.value)
    (problem,) = answer["problems"]
    assert (problem["node"], problem["type"], problem["hint"]) == (
        "s",
        "value_bigger_than_max",
        "value takes an INT from 0 to 100",
    )
    assert answer["where"] == "test.json"
    assert {key: answer[key] for key in ("error", "node_errors")} == {
        "error": {
            "type": "prompt_outputs_failed_validation",
            "message": "Prompt outputs failed validation",
            "details": "",
            "extra_info": {},
        },
        "node_errors": {
            "s": {
                "errors": [
                    {
                        "type": "value_bigger_than_max",
                        "message": "Value 500 bigger than max of 100",
                        "details": "value",
                        "extra_info": {
                            "input_name": "value",
                            "input_config": ["INT", {"default": 1, "min": 0, "max": 100, "step": 2}],
                            "received_value": 500,
                        },
                    }
                ],
                "dependent_outputs": ["o"],
                "class_type": "Start",
            }
        },
    }


def test_the_answer_lists_every_unknown_class() -> None:
    with pytest.raises(WorkflowError) as caught:
        check(workflow(a=("Xa", {}), b=("Xb", {})), CATALOG, DISK)
    answer = error_response(caught.value)
    assert answer["error"]["type"] == "invalid_prompt"
    assert [problem["node"] for problem in answer["problems"]] == ["a", "b"]


def test_titles_cannot_write_to_the_terminal() -> None:
    document = {
        "1": {"class_type": "X\x1b[2J", "inputs": {}, "_meta": {"title": "ok\nerror: all fine\x1b]0;pwned\x07"}}
    }
    with pytest.raises(WorkflowError) as caught:
        check(workflow_from_document(document), CATALOG, DISK)
    shown = caught.value.render()
    assert "\x1b" not in shown
    assert "\nerror" not in shown
    assert "\\x1b[2J" in shown


def test_a_class_that_comfyui_has_is_no_spelling_mistake() -> None:
    found = problems(s=("LoraLoader", {}), o=GOOD["o"])
    assert "not in this version yet" in found[0].hint


def test_what_no_output_needs_is_no_problem() -> None:
    document: dict[str, Any] = {"1": {"class_type": "PreviewAny", "inputs": {"source": 1}}}
    stray = {"class_type": "KSampler", "inputs": {}}
    assert every_problem(workflow_from_document({**document, "2": stray}), builtin_catalog(), DISK) == ()
    unknown = {"class_type": "Nothing", "inputs": {"x": ["2", 0]}}
    found = every_problem(workflow_from_document({**document, "2": stray, "3": unknown}), builtin_catalog(), DISK)
    assert [problem.node.id for problem in found if problem.node] == ["2"] * 10 + ["3"]
    assert [problem.code for problem in every_problem(workflow_from_document({}), builtin_catalog(), DISK)] == [
        "prompt_no_outputs"
    ]
