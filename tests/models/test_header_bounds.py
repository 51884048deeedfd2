"""What a header may cost, told before it is parsed."""

import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.models.header_bounds import MAX_TENSORS, check_bounds

MANY = 4_000_000


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b'{"a":' + b'"data_offsets"' * (MAX_TENSORS + 1), "200,001 tensors, allowed are 200,000"),
        (b'{"a":[' + b"0," * MANY + b"0]}", "4,000,001 values"),
        (b'{"a":[' + b"[]" * MANY + b"]}", "4,000,002 lists and objects"),
        (b'{"a":' + b'""' * MANY, "4,000,001 texts"),
        (b'{"a":{"b":{"c":{}}}}', "nested 4 deep, allowed are 3"),
        (b'{"a":{"b":[[', "nested 4 deep"),
    ],
)
def test_headers_that_cost_too_much(header: bytes, reason: str) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match=reason):
        check_bounds(header)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}",
        b'{"a":{"b":{"c":1}}}',
        b"}]" * 100,
        b'{"' + b"[{," * MANY + b'":1}',
        b'{"' + b'\\"[' * MANY + b'":1}',
        b'{"' + b"\\\\" * MANY + b'":1}',
        b'{"' + b"\\" * MANY,
        b'{"' + b"a" * MANY,
    ],
)
def test_brackets_in_texts_do_not_count_and_texts_take_no_time(header: bytes) -> None:
    began = time.monotonic()
    check_bounds(header)
    assert time.monotonic() - began < 1


def test_it_takes_little_more_memory_than_the_header() -> None:
    header = b'{"' + b'\\"' * MANY + b'":[' + b"1," * 1_000_000 + b"1]}"
    tracemalloc.start()
    try:
        check_bounds(header)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(header)
    finally:
        tracemalloc.stop()


JSON = st.recursive(
    st.none() | st.integers() | st.text('[{"\\, :x'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\, '), inner, max_size=3),
    max_leaves=12,
)


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(JSON, st.booleans())
def test_the_depth_is_that_of_the_parsed_header(value: object, spaced: bool) -> None:
    header = json.dumps(value, indent=1 if spaced else None).encode()
    if depth(value) > 3:
        with pytest.raises(ValueError, match=f"nested {depth(value)} deep"):
            check_bounds(header)
    else:
        check_bounds(header)
