"""Reference results of ComfyUI 0.3.64 (tests/goldens), CLIP's tokenizer as far as they need it, a tiny text encoder."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxflow.text.chunks import ChunkShape
from onnxflow.text.clip import clip_merges, clip_vocabulary
from onnxflow.text.encode import Reading, TextModel
from onnxflow.text.tokenizer import Tokenizer
from onnxflow.values import Array, Feeds

GOLDENS = Path(__file__).parent.parent / "goldens"
_ERF = np.vectorize(math.erf, otypes=[np.float64])


@pytest.fixture(scope="session")
def prompts() -> list[dict[str, Any]]:
    """Prompts with what ComfyUI makes of them: ``parsed``, ``l_tokens``, ``l_weights``, ``l_word_ids`` ..."""
    found: list[dict[str, Any]] = json.loads((GOLDENS / "prompts.json").read_text(encoding="utf-8"))["prompts"]
    return found


@pytest.fixture(scope="session")
def clip_tokenizer() -> Tokenizer:
    """CLIP's tokenizer, from the merges that come with the package."""
    return Tokenizer(clip_vocabulary(), {merge: rank for rank, merge in enumerate(clip_merges())})


class Given:
    """The embeddings of a dictionary."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = arrays

    def exists(self, name: str) -> bool:
        return name in self.arrays

    def vectors(self, name: str) -> Array:
        return self.arrays[name]

    def missing_hint(self, name: str) -> str:
        return f"no {name} here"


@pytest.fixture(scope="session")
def embeddings() -> Given:
    """The embeddings that the goldens' prompts refer to, for OpenAI's CLIP, under both names of the file."""
    found = {}
    with np.load(GOLDENS / "prompt_embeddings.npz") as arrays:
        for name in ("emb3", "emb10", "emb1d"):
            found[name] = found[f"{name}.safetensors"] = np.atleast_2d(arrays[f"{name}__clip_l"])
    return Given(found)


class TinyClip:
    """A CLIP text encoder in numpy with the random weights the goldens were made with; a Session.

    Radford et al. 2021, section 2.4: a causal transformer with pre-normalisation (here 4 layers, 4 heads), "l" as
    OpenAI's with the quick GELU x sigmoid(1.702 x), "g" as OpenCLIP's with the exact one. Each weight is drawn with a
    seed from its name and rounded to float16.
    """

    LAYERS, HEADS = 4, 4

    def __init__(self, which: str = "l") -> None:
        self.which = which
        self.DIM, self.INNER = (64, 128) if which == "l" else (80, 160)
        self.table = self._draw("embeddings.token_embedding.weight", (49408, self.DIM), "embedding", 0.5)
        self.positions = self._draw("embeddings.position_embedding.weight", (77, self.DIM), "embedding", 0.2)
        self.projection = self._draw("text_projection.weight", (self.DIM, self.DIM), "matrix")
        self.batches: list[int] = []
        self.closed = False

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        x: Array = feeds["inputs_embeds"] + self.positions
        self.batches.append(len(x))
        states = [x]
        for layer in range(self.LAYERS):
            name = f"encoder.layers.{layer}."
            x = x + self._attention(self._norm(x, name + "layer_norm1"), name + "self_attn.")
            hidden = self._linear(self._norm(x, name + "layer_norm2"), name + "mlp.fc1", self.INNER)
            x = x + self._linear(self._gelu(hidden), name + "mlp.fc2", self.DIM)
            states.append(x)
        normed = [self._norm(state, "final_layer_norm") for state in states]
        pooled = normed[-1][np.arange(len(x)), feeds["eos_index"]]
        outputs = {"hidden_states": np.stack(states), "normed_hidden_states": np.stack(normed), "pooled": pooled}
        return outputs if self.which == "l" else {**outputs, "projected": pooled @ self.projection.T}

    def close(self) -> None:
        self.closed = True

    def _gelu(self, x: Array) -> Array:
        if self.which == "l":
            return x / (1 + np.exp(-1.702 * x))  # type: ignore[no-any-return]
        return (x * (1 + _ERF(x / np.sqrt(2))) / 2).astype(np.float32)  # type: ignore[no-any-return]

    def _draw(self, name: str, shape: tuple[int, ...], kind: str, gain: float = 1.0) -> Array:
        inner = "" if name.startswith("text_projection") else "text_model."
        return _draw(f"tiny_clip_{self.which}.{inner}{name}", shape, kind, gain)

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(1e-5))
        scale, bias = (
            self._draw(name + ".weight", (self.DIM,), "scale"),
            self._draw(name + ".bias", (self.DIM,), "bias"),
        )
        result: Array = normal * scale + bias
        return result

    def _linear(self, x: Array, name: str, width: int) -> Array:
        weight = self._draw(name + ".weight", (width, x.shape[-1]), "matrix")
        result: Array = x @ weight.T + self._draw(name + ".bias", (width,), "bias")
        return result

    def _attention(self, x: Array, name: str) -> Array:
        def heads(part: str) -> Array:
            return self._linear(x, name + part, self.DIM).reshape(*x.shape[:2], self.HEADS, -1).transpose(0, 2, 1, 3)

        scores = heads("q_proj") @ heads("k_proj").swapaxes(2, 3) / np.float32(np.sqrt(self.DIM / self.HEADS))
        scores = np.where(np.tri(x.shape[1], dtype=bool), scores, np.float32(-np.inf))
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weights / weights.sum(-1, keepdims=True)) @ heads("v_proj")
        return self._linear(mixed.transpose(0, 2, 1, 3).reshape(x.shape), name + "out_proj", self.DIM)


def _draw(name: str, shape: tuple[int, ...], kind: str, gain: float = 1.0) -> Array:
    digest = hashlib.sha256(name.encode()).digest()
    normal = np.random.default_rng(int.from_bytes(digest[:8], "little")).standard_normal(shape, dtype=np.float32)
    if kind == "matrix":
        normal *= np.float32(1 / np.sqrt(shape[1]))
    elif kind == "scale":
        normal = np.float32(0.05) * normal + np.float32(1)
    else:
        normal *= np.float32(0.05 if kind == "bias" else gain)
    return normal.astype(np.float16).astype(np.float32)


def tiny_embeddings(which: str) -> Given:
    """The embedding "tiny" that some prompts of the goldens refer to."""
    with np.load(GOLDENS / "tiny_clip.npz") as arrays:
        return Given({"tiny": arrays[f"embedding_tiny_clip_{which}"]})


@pytest.fixture(scope="session")
def tiny_clip() -> TinyClip:
    return TinyClip()


@pytest.fixture(scope="session")
def tiny_model(tiny_clip: TinyClip, clip_tokenizer: Tokenizer) -> TextModel:
    shape = ChunkShape(start=clip_tokenizer.start, end=clip_tokenizer.end, pad=clip_tokenizer.end)
    return TextModel(clip_tokenizer, tiny_clip.table, shape, embeddings=tiny_embeddings("l"))


@pytest.fixture(scope="session")
def tiny_open_clip() -> TinyClip:
    return TinyClip("g")


@pytest.fixture(scope="session")
def sdxl_models(tiny_clip: TinyClip, tiny_open_clip: TinyClip, clip_tokenizer: Tokenizer) -> list[TextModel]:
    """SDXL's two text encoders: OpenCLIP pads with token 0."""
    start, end = clip_tokenizer.start, clip_tokenizer.end
    return [
        TextModel(
            clip_tokenizer,
            tiny_clip.table,
            ChunkShape(start, end, end),
            Reading(-2, normed=False),
            tiny_embeddings("l"),
        ),
        TextModel(
            clip_tokenizer,
            tiny_open_clip.table,
            ChunkShape(start, end, 0),
            Reading(-2, normed=False, projected=True),
            tiny_embeddings("g"),
        ),
    ]
