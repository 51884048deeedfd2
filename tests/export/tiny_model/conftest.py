from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def miniature() -> str:
    """The text of a recipe that takes seconds; one worker."""
    return Path(__file__).with_name("miniature.toml").read_text()


@pytest.fixture(scope="session")
def untrained():
    """The miniature recipe and its untrained Networks; tests leave their weights as they are."""
    pytest.importorskip("torch")
    from onnxflow.export.tiny_model.autoencoder import build_autoencoder
    from onnxflow.export.tiny_model.config import read_recipe
    from onnxflow.export.tiny_model.evaluate import Networks
    from onnxflow.export.tiny_model.text import build_text_encoder, make_tokenizer
    from onnxflow.export.tiny_model.unet import build_unet

    recipe = read_recipe(Path(__file__).with_name("miniature.toml"))
    tokenizer = make_tokenizer(recipe)
    encoder = build_text_encoder(recipe, tokenizer)
    return recipe, Networks(build_autoencoder(recipe).eval(), encoder.eval(), tokenizer, build_unet(recipe).eval())
