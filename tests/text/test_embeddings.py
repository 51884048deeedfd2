"""References to embeddings inside a prompt."""

import pytest

from onnxflow.errors import InputError
from onnxflow.text.embeddings import NoEmbeddings, reference, rest


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


def test_the_rest_has_single_spaces() -> None:
    assert rest("embedding:cat  on\n a mat ") == "on a mat"
    assert rest("embedding:cat") == ""


def test_of_none_no_vectors_are_given() -> None:
    assert not NoEmbeddings().exists("cat")
    with pytest.raises(InputError, match="'cat', which is not there"):
        NoEmbeddings().vectors("cat")
