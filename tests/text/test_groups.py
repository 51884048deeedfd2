"""Groups: one a segment, and references to embeddings are seen exactly where ComfyUI sees them."""

from typing import Any

import pytest

from onnxflow.errors import InputError
from onnxflow.text.groups import Group, groups_of, reference
from onnxflow.text.prompt import parse
from onnxflow.text.tokenizer import Tokenizer


def test_one_group_a_segment_even_an_empty_one(clip_tokenizer: Tokenizer) -> None:
    assert groups_of(parse("a photo ( :0.5)(cat:1.5)"), clip_tokenizer) == (
        Group((320, 1125), 1.0),
        Group((), 0.5),
        Group((2368,), 1.5),
    )


def test_prompts_of_comfyui_that_refer_to_embeddings(prompts: list[dict[str, Any]], clip_tokenizer: Tokenizer) -> None:
    refused = []
    for number, golden in enumerate(prompts):
        try:
            groups_of(parse(golden["prompt"]), clip_tokenizer)
        except InputError:
            refused.append(number)
    # 69 is 'xembedding:emb3' and 72 'EMBEDDING:emb3': text. 64 refers to an embedding that is not there.
    assert refused == [64, 65, 66, 67, 68, 70, 71, 73, 74, 75, 76]


@pytest.mark.parametrize(
    ("piece", "name"),
    [
        ("embedding:cat", "cat"),
        ("embedding: cat dog", "cat"),
        ("embedding:a,b", "a,b"),
        ("embedding:", ""),
        ("embedding: \n", ""),
        ("Embedding:cat", ""),
        ("xembedding:cat", ""),
    ],
)
def test_reference(piece: str, name: str) -> None:
    assert reference(piece) == name


def test_the_error_names_the_embedding(clip_tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="'easynegative'") as caught:
        groups_of(parse("bad, (embedding:easynegative:1.2)"), clip_tokenizer)
    assert "embedding:easynegative" in caught.value.hint


def test_the_word_alone_is_text(clip_tokenizer: Tokenizer) -> None:
    assert groups_of(parse("embedding:"), clip_tokenizer) == (Group((19703, 796, 281), 1.0),)
