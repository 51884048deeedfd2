"""Nodes are about as large as the editor makes them."""

from __future__ import annotations

import pytest

from onnxflow.workflow.ui.size import size_of


@pytest.mark.parametrize(
    ("inputs", "outputs", "values", "height"),
    [
        ([], ["MODEL", "CLIP", "VAE"], [("ckpt_name", "sd15", False)], 98),
        ([], ["LATENT"], [("width", 512, False), ("height", 512, False), ("batch_size", 1, False)], 106),
        (["samples", "vae"], ["IMAGE"], [], 46),
        (["clip"], ["CONDITIONING"], [("text", "a cat", True)], 200),
    ],
)
def test_the_height_is_the_one_that_the_editor_gives(
    inputs: list[str], outputs: list[str], values: list[tuple[str, object, bool]], height: int
) -> None:
    assert size_of("Node", inputs, outputs, values)[1] == height


def test_the_width_grows_with_the_texts_up_to_a_bound() -> None:
    assert size_of("Node", [], ["A"], [])[0] == 210
    assert size_of("Node", [], ["A"], [("width", 512, False)])[0] == 270
    assert size_of("Node", [], ["A"], [("ckpt_name", "x" * 22, False)])[0] == 308
    assert size_of("Node", [], ["A"], [("ckpt_name", "x" * 70, False)])[0] == 400


def test_long_texts_are_higher_up_to_a_bound() -> None:
    def height(text: str) -> int:
        return size_of("Node", [], ["A"], [("text", text, True)])[1]

    assert height("a") < height("a\n" * 20) < height("a\n" * 29) == height("a\n" * 10_000)
