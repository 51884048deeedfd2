"""Encoding: ComfyUI's conditions for a tiny text encoder, and how often its network runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxflow.errors import InputError, ModelError
from onnxflow.text.chunks import ChunkShape
from onnxflow.text.encode import CHUNKS_A_RUN, Reading, TextModel, encode_prompt, joined
from onnxflow.values import Array, Feeds, Session

GOLDENS = Path(__file__).parent.parent / "goldens"
FACTS: dict[str, Any] = json.loads((GOLDENS / "tiny_clip.json").read_text(encoding="utf-8"))
TOLERANCE = 1e-5


class Counting:
    """A Session whose network is a function of the embeddings, and which counts."""

    def __init__(self, function: Callable[[Array], dict[str, NDArray[Any]]]) -> None:
        self.function = function
        self.batches: list[int] = []

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        assert sorted(feeds) == ["eos_index", "inputs_embeds"]
        assert feeds["inputs_embeds"].dtype == np.float32
        assert feeds["eos_index"].dtype == np.int64
        self.batches.append(len(feeds["inputs_embeds"]))
        return self.function(feeds["inputs_embeds"])

    def close(self) -> None:
        raise AssertionError("who opened the session closes it")


def identity(embeddings: Array) -> dict[str, NDArray[Any]]:
    """A network of two layers that hands its input on; pooled is the first token."""
    return {"normed_hidden_states": np.stack([embeddings] * 3), "pooled": embeddings[:, 0]}


def relative_error(found: Array, expected: Array) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.fixture(scope="module")
def golden() -> dict[str, Array]:
    with np.load(GOLDENS / "tiny_clip.npz") as arrays:
        return dict(arrays)


def cases(*models: str) -> list[dict[str, Any]]:
    found = [case for case in FACTS["cases"] if case["model"] in models]
    assert found
    return found


@pytest.mark.parametrize("case", cases("sd1"), ids=lambda case: case["key"])
def test_conditions_of_comfyui(
    case: dict[str, Any], golden: dict[str, Array], tiny_model: TextModel, tiny_clip: Session
) -> None:
    found = encode_prompt(case["prompt"], tiny_model, tiny_clip, layer=case["clip_layer"]).entries
    assert len(found) == 1
    assert found[0].pooled is not None
    assert list(found[0].cross_attn.shape) == case["shape"]
    assert relative_error(found[0].cross_attn, golden[case["key"]]) <= TOLERANCE
    assert relative_error(found[0].pooled, golden[case["key"] + "_pooled"]) <= TOLERANCE


def test_the_empty_prompt_is_only_run_for_weights(tiny_model: TextModel) -> None:
    counting = Counting(identity)
    encode_prompt("a cat", tiny_model, counting)
    encode_prompt("a (cat:1.2)", tiny_model, counting)
    encode_prompt("a (cat:1.0)", tiny_model, counting)
    assert counting.batches == [1, 2, 1]


def test_long_prompts_run_in_bounded_batches(tiny_model: TextModel) -> None:
    counting = Counting(identity)
    found = encode_prompt("cat " * 75 * 40, tiny_model, counting).entries[0]
    assert found.cross_attn.shape == (1, 40 * 77, 64)
    assert counting.batches == [CHUNKS_A_RUN, CHUNKS_A_RUN, 40 - 2 * CHUNKS_A_RUN]


def test_weights_move_states_away_from_the_empty_prompt(tiny_model: TextModel) -> None:
    table = tiny_model.table
    found = encode_prompt("(cat:-2) dog", tiny_model, Counting(identity)).entries[0]
    assert np.array_equal(found.cross_attn[0, 2], table[1929])
    assert np.allclose(found.cross_attn[0, 1], table[49407] - 2 * (table[2368] - table[49407]), atol=1e-6)
    assert found.pooled is not None
    assert np.array_equal(found.pooled, table[[49406]])


def test_pooling_is_asked_for_at_the_first_end_token(tiny_model: TextModel) -> None:
    asked: list[list[int]] = []

    class Listening(Counting):
        def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
            asked.append(feeds["eos_index"].tolist())
            return super().run(feeds)

    encode_prompt("a cat <|endoftext|> a dog", tiny_model, Listening(identity))
    encode_prompt("cat " * 76, tiny_model, Listening(identity))
    assert asked == [[3], [76, 2]]


@pytest.mark.parametrize(
    "prompt", ["(cat:nan)", "a (b:inf)", "a (b:1e39)", "a (b:-inf)", "(" * 10_000 + "cat" + ")" * 10_000]
)
def test_weights_without_a_value(prompt: str, tiny_model: TextModel) -> None:
    with pytest.raises(InputError, match=r"weight -?(nan|inf|1e\+39)") as caught:
        encode_prompt(prompt, tiny_model, Counting(identity))
    assert caught.value.hint


@pytest.mark.parametrize("weight", ["1e38", "-3e38"])
@pytest.mark.filterwarnings("error")
def test_weights_that_overflow_the_states(weight: str, tiny_model: TextModel) -> None:
    with pytest.raises(InputError, match=r"weight (1e\+38|-3e\+38) is too large") as caught:
        encode_prompt(f"a (cat:{weight})", tiny_model, Counting(lambda x: identity(x * np.float32(100))))
    assert caught.value.hint


@pytest.mark.parametrize("prompt", ["cat", "(cat:1.2)"])
@pytest.mark.parametrize("spoilt", ["normed_hidden_states", "pooled"])
@pytest.mark.filterwarnings("error")
def test_a_network_that_gives_no_numbers(prompt: str, spoilt: str, tiny_model: TextModel) -> None:
    def network(x: Array) -> dict[str, NDArray[Any]]:
        return {name: value * np.float32(np.nan if name == spoilt else 1) for name, value in identity(x).items()}

    with pytest.raises(ModelError, match="the text encoder gave NaN"):
        encode_prompt(prompt, tiny_model, Counting(network))


def test_a_network_that_is_no_text_encoder(tiny_model: TextModel) -> None:
    with pytest.raises(ModelError, match="does not give pooled, only nothing"):
        encode_prompt("cat", tiny_model, Counting(lambda x: {}))
    with pytest.raises(ModelError, match=r"\(normed_hidden_states\), whose graph gives only pooled"):
        encode_prompt("cat", tiny_model, Counting(lambda x: {"pooled": x[:, 0]}))


def test_a_table_of_another_model(tiny_model: TextModel) -> None:
    shape = ChunkShape(start=49406, end=49407, pad=0)
    with pytest.raises(ModelError, match=r"token.* 49407"):
        TextModel(tiny_model.tokenizer, tiny_model.table[:49407], shape)
    with pytest.raises(ModelError, match="token table"):
        TextModel(tiny_model.tokenizer, tiny_model.table[0], shape)


def test_half_precision_tables(tiny_model: TextModel) -> None:
    half = TextModel(tiny_model.tokenizer, tiny_model.table.astype(np.float16), tiny_model.shape)
    found = encode_prompt("cat", half, Counting(identity)).entries[0]
    assert np.array_equal(found.cross_attn[0, 1], tiny_model.table[2368])


@pytest.mark.parametrize("case", cases("sdxl", "refiner"), ids=lambda case: case["key"])
def test_conditions_of_sdxl_and_its_refiner(
    case: dict[str, Any],
    golden: dict[str, Array],
    sdxl_models: list[TextModel],
    tiny_clip: Session,
    tiny_open_clip: Session,
) -> None:
    """Both encoders' states before the last layer, not normed, side by side; the second one's projected output."""
    encoders = list(zip(sdxl_models, (tiny_clip, tiny_open_clip), strict=True))
    if case["model"] == "refiner":
        encoders = encoders[1:]
    parts = [encode_prompt(case["prompt"], model, session, layer=case["clip_layer"]) for model, session in encoders]
    (found,) = joined(parts).entries
    assert found.pooled is not None
    assert list(found.cross_attn.shape) == case["shape"]
    assert relative_error(found.cross_attn, golden[case["key"]]) <= TOLERANCE
    assert relative_error(found.pooled, golden[case["key"] + "_pooled"]) <= TOLERANCE


def test_a_network_without_its_last_layer_is_read_one_layer_higher(tiny_model: TextModel) -> None:
    def layers(embeddings: Array) -> dict[str, NDArray[Any]]:
        return {
            "normed_hidden_states": np.stack([np.full_like(embeddings, number) for number in range(4)]),
            "pooled": embeddings[:, 0],
        }

    cut = replace(tiny_model, reading=Reading(-2, skipped=1))
    for layer in (-1, -5):  # the last layer itself, and beyond the first one, which means the last
        with pytest.raises(ModelError, match="its export left out: the last 1") as caught:
            encode_prompt("a cat", cut, Counting(layers), layer=layer)
        assert "CLIPSetLastLayer" in caught.value.hint
    for layer, expected in ((None, 3), (-2, 3), (-3, 2), (-4, 1)):
        found = encode_prompt("a cat", cut, Counting(layers), layer=layer).entries[0]
        assert (found.cross_attn == expected).all()


class Foreign:
    """A Session that looks tokens up itself; its graph gives what ``function`` makes of the ids."""

    def __init__(self, function: Callable[[Array], dict[str, NDArray[Any]]]) -> None:
        self.function = function

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        assert sorted(feeds) == ["eos_index", "input_ids"]
        assert feeds["input_ids"].dtype == np.int64
        return self.function(feeds["input_ids"])

    def close(self) -> None:
        raise AssertionError("who opened the session closes it")


def test_a_network_that_takes_ids_gives_the_same_condition(tiny_model: TextModel) -> None:
    def last_only(ids: Array) -> dict[str, NDArray[Any]]:
        assert tiny_model.table is not None
        states = tiny_model.table[ids]
        return {"last_hidden_state": states, "pooled": states[:, 0]}

    foreign = replace(tiny_model, table=None)
    for prompt in ("a cat", "a (red:1.3) cat", "cat " * 100):
        (wanted,) = encode_prompt(prompt, tiny_model, Counting(identity)).entries
        (found,) = encode_prompt(prompt, foreign, Foreign(last_only)).entries
        assert np.array_equal(found.cross_attn, wanted.cross_attn)
        assert found.pooled is not None and wanted.pooled is not None
        assert np.array_equal(found.pooled, wanted.pooled)
    cut = replace(foreign, reading=Reading(-2, skipped=1))  # Diffusers' Stable Diffusion 2.x: the last is the one
    encode_prompt("a cat", cut, Foreign(last_only))
    for model, layer in ((foreign, -2), (replace(foreign, reading=Reading(-2)), None), (foreign, -40)):
        with pytest.raises(
            ModelError, match=r"needs layer -\d+ of the text encoder \(normed_hidden_states\)"
        ) as caught:
            encode_prompt("a cat", model, Foreign(last_only), layer=layer)
        assert "onnxflow export" in caught.value.hint
    with pytest.raises(ModelError, match=r"needs layer -1 of the text encoder \(hidden_states\)"):
        encode_prompt("a cat", replace(foreign, reading=Reading(normed=False)), Foreign(last_only))


class One:
    """A single embedding called "it"."""

    def __init__(self, vectors: Array) -> None:
        self.array = vectors

    def exists(self, name: str) -> bool:
        return name == "it"

    def vectors(self, name: str) -> Array:
        return self.array

    def missing_hint(self, name: str) -> str:
        return "use embedding:it"


def test_an_embedding_stands_where_tokens_would(tiny_model: TextModel) -> None:
    assert tiny_model.table is not None
    vectors = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    model = replace(tiny_model, embeddings=One(vectors))
    found = encode_prompt("cat embedding:it, dog", model, Counting(identity)).entries[0].cross_attn
    assert np.array_equal(found[0, 2:5], vectors)
    assert np.array_equal(found[0, [1, 5, 6]], tiny_model.table[[2368, 267, 1929]])
    weighted = encode_prompt("(embedding:it:0.5)", model, Counting(identity)).entries[0].cross_attn
    empty = tiny_model.table[49407]
    assert np.allclose(weighted[0, 1:4], empty + (vectors - empty) / 2, atol=1e-6)


def test_an_embedding_of_75_vectors_and_more_fills_chunks(tiny_model: TextModel) -> None:
    vectors = np.ones((200, 64), np.float32)
    model = replace(tiny_model, embeddings=One(vectors))
    found = encode_prompt("cat embedding:it", model, Counting(identity)).entries[0].cross_attn
    assert found.shape == (1, 3 * 77, 64)
    assert int((found == 1).all(axis=2).sum()) == 200


def test_embeddings_that_cannot_be_used(tiny_model: TextModel) -> None:
    wide = replace(tiny_model, embeddings=One(np.zeros((1, 80), np.float32)))
    with pytest.raises(InputError, match="the embedding 'it' are 80 wide, the text encoder's are 64"):
        encode_prompt("embedding:it", wide, Counting(identity))
    ids = replace(wide, table=None)
    with pytest.raises(ModelError, match="'it', and this text encoder's graph takes token numbers only"):
        encode_prompt("embedding:it", ids, Foreign(lambda x: {}))
    with pytest.raises(InputError, match="'gone', which is not there\n  try: use embedding:it"):
        encode_prompt("embedding:gone", wide, Counting(identity))


def test_a_prompt_of_10000_characters(tiny_model: TextModel) -> None:
    for prompt in ("cat, " * 2000, "a" * 10_000, "(" * 5000 + ")" * 5000, "\u4e2d" * 10_000, "((a:1.0001)" * 900):
        found = encode_prompt(prompt, tiny_model, Counting(identity)).entries[0]
        assert found.cross_attn.shape[1] % 77 == 0
        assert np.isfinite(found.cross_attn).all()
