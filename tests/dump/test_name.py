"""Names of dumped files: safe, short enough, and never the same for two things."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from onnxflow.dump.name import number, stem_of
from onnxflow.errors import NodeRef
from onnxflow.nodes.spec import Output

TEXTS = st.text(st.characters() | st.sampled_from("./\\:~%_\ud800"), max_size=300)


def test_id_class_and_output_are_readable() -> None:
    outputs = (Output("MODEL", "MODEL"), Output("denoised output", "LATENT"))
    assert stem_of(NodeRef("5", "KSampler", "Title"), outputs, 0) == "5_KSampler_MODEL"
    assert stem_of(NodeRef("3:1", "SDE (x)", ""), outputs, 1) == "3%3A1_SDE%20%28x%29_denoised%20output"


def test_outputs_of_one_name_are_told_apart_also_where_case_does_not_count() -> None:
    outputs = (Output("mask", "MASK"), Output("MASK", "MASK"), Output("x", "INT"))
    names = [stem_of(NodeRef("1", "C"), outputs, slot) for slot in range(3)]
    assert names == ["1_C_mask-0", "1_C_MASK-1", "1_C_x"]


@given(st.lists(st.tuples(TEXTS, TEXTS), unique_by=lambda pair: pair[0], min_size=2, max_size=2), TEXTS)
def test_any_two_nodes_have_names_of_their_own(nodes: list[tuple[str, str]], output: str) -> None:
    names = [stem_of(NodeRef(node, kind), (Output(output, "X"),), 0) for node, kind in nodes]
    assert names[0] != names[1]
    assert all(re.fullmatch("[A-Za-z0-9_%-]{2,202}", name) for name in names)


def test_numbers_sort() -> None:
    assert number(0, 1) == "" and number(0, 0) == "_1"
    assert [number(k, 12) for k in (0, 9, 11)] == ["_01", "_10", "_12"]
