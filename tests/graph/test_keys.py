"""Content keys."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from onnxflow.graph.keys import KEY_SIZE, content_key

LITERALS = st.dictionaries(
    st.text(max_size=5), st.one_of(st.integers(), st.floats(allow_nan=False), st.text(), st.booleans()), max_size=4
)


def test_a_key_is_stable_between_versions_and_machines() -> None:
    key = content_key("KSampler", "", {"seed": 7, "cfg": 4.0, "name": "euler"}, [("model", b"\0" * KEY_SIZE, 0)])
    assert key.hex() == "bcca4f31c6fa63175b6b4f1cc476c060"


def test_everything_a_result_depends_on_changes_the_key() -> None:
    base: dict[str, Any] = {
        "class_type": "A", "fingerprint": "", "literals": {"x": 1}, "links": [("m", b"k" * KEY_SIZE, 0)],
    }  # fmt: skip
    changes: list[dict[str, Any]] = [
        {"class_type": "B"},
        {"fingerprint": "f"},
        {"literals": {"x": 2}},
        {"literals": {"y": 1}},
        {"literals": {"x": 1.0}},
        {"literals": {"x": True}},
        {"literals": {"x": "1"}},
        {"links": [("m", b"j" * KEY_SIZE, 0)]},
        {"links": [("m", b"k" * KEY_SIZE, 1)]},
        {"links": [("n", b"k" * KEY_SIZE, 0)]},
        {"links": []},
    ]
    keys = {content_key(**base), *(content_key(**{**base, **change}) for change in changes)}
    assert len(keys) == len(changes) + 1


@given(LITERALS, LITERALS)
def test_different_values_never_share_a_key(one: dict[str, Any], two: dict[str, Any]) -> None:
    same = repr(one) == repr(two)
    assert (content_key("A", "", one, []) == content_key("A", "", two, [])) is same


def test_a_text_cannot_imitate_another_input() -> None:
    assert content_key("A", "", {"a": "1;b='2'"}, []) != content_key("A", "", {"a": "1", "b": "2"}, [])
    assert content_key("A", "", {"a": "\ud800"}, []) != content_key("A", "", {"a": "\ud801"}, [])
