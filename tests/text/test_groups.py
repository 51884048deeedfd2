"""Groups: one a segment, and references to embeddings are seen exactly where ComfyUI sees them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.text.embeddings import Embeddings, NoEmbeddings, Vector
from onnxflow.text.groups import Group, check, groups_of
from onnxflow.text.prompt import parse
from onnxflow.text.tokenizer import Tokenizer
from onnxflow.values import Array


class Counted:
    """Embeddings of so many vectors."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.counts = counts

    def exists(self, name: str) -> bool:
        return name in self.counts

    def vectors(self, name: str) -> Array:
        return np.zeros((self.counts[name], 8), np.float32)

    def missing_hint(self, name: str) -> str:
        return f"there are {', '.join(self.counts)}"


def test_one_group_a_segment_even_an_empty_one(clip_tokenizer: Tokenizer) -> None:
    assert groups_of(parse("a photo ( :0.5)(cat:1.5)"), clip_tokenizer, NoEmbeddings()) == (
        Group((320, 1125), 1.0),
        Group((), 0.5),
        Group((2368,), 1.5),
    )


def test_prompts_of_comfyui_that_refer_to_missing_embeddings(
    prompts: list[dict[str, Any]], embeddings: Embeddings
) -> None:
    def refused(known: Embeddings) -> list[int]:
        found = []
        for number, golden in enumerate(prompts):
            segments = [segment for segment in parse(golden["prompt"]) if abs(segment.weight) < 1e30]
            try:
                check(segments, known)
            except InputError:
                found.append(number)
        return found

    # 69 is 'xembedding:emb3' and 72 'EMBEDDING:emb3': text. 64 refers to an embedding that is not there, and 73, which
    # is 'embedding:emb3,cat', to another one: a comma inside a name belongs to it.
    assert refused(NoEmbeddings()) == [64, 65, 66, 67, 68, 70, 71, 73, 74, 75, 76]
    assert refused(embeddings) == [64, 73]


def test_an_embedding_is_a_group_of_its_own(clip_tokenizer: Tokenizer) -> None:
    known = Counted({"two": 2, "a,": 1})
    two, cat, comma = (Vector("two", 0), Vector("two", 1)), (2368,), (267,)
    for prompt, expected in {
        "cat embedding:two cat": [cat, two, cat],
        "cat\nembedding:two\ncat": [cat, two, cat],
        "embedding:two, cat": [two, (267, 2368)],
        "embedding:two,": [two, comma],
        "embedding: two": [two],
        "embedding:a, cat": [(Vector("a,", 0),), cat],
        "cat embedding:none cat": [cat, cat],
        "cat embedding:none, cat": [cat, (267, 2368)],
    }.items():
        found = groups_of(parse(prompt), clip_tokenizer, known)
        assert [group.tokens for group in found] == expected, prompt
    (weighted,) = groups_of(parse("(embedding:two:1.3)"), clip_tokenizer, known)
    assert weighted == Group(two, 1.3)


def test_the_error_names_the_embedding() -> None:
    with pytest.raises(InputError, match="'easynegative', which is not there\n  try: there are easypositive"):
        check(parse("bad, (embedding:easynegative:1.2)"), Counted({"easypositive": 1}))
    with pytest.raises(InputError, match="'gone'") as caught:
        check(parse("a embedding:gone, b"), NoEmbeddings())
    assert caught.value.hint == "take 'embedding:gone' out of the prompt"
    with pytest.raises(InputError, match="','"):
        check(parse("embedding:,"), NoEmbeddings())


def test_the_word_alone_is_text(clip_tokenizer: Tokenizer) -> None:
    assert groups_of(parse("embedding:"), clip_tokenizer, NoEmbeddings()) == (Group((19703, 796, 281), 1.0),)
    check(parse("embedding:  \n"), NoEmbeddings())


@given(st.lists(st.sampled_from([*"ab ,:()\n\\1.", "embedding:", " embedding:x"]), max_size=30).map("".join))
def test_any_text_is_checked_or_refused(text: str) -> None:
    known = Counted({"x": 3})
    try:
        check(parse(text), known)
    except InputError as error:
        assert error.hint
