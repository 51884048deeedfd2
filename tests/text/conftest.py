"""Reference results of ComfyUI 0.3.64 (tests/goldens), CLIP's tokenizer as far as they need it, a tiny text encoder."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxflow.text.chunks import ChunkShape
from onnxflow.text.encode import TextModel
from onnxflow.text.tokenizer import Tokenizer, read_tokenizer
from onnxflow.values import Array, Feeds

GOLDENS = Path(__file__).parent.parent / "goldens"


@pytest.fixture(scope="session")
def prompts() -> list[dict[str, Any]]:
    """Prompts with what ComfyUI makes of them: ``parsed``, ``l_tokens``, ``l_weights``, ``l_word_ids`` ..."""
    found: list[dict[str, Any]] = json.loads((GOLDENS / "prompts.json").read_text(encoding="utf-8"))["prompts"]
    return found


@pytest.fixture(scope="session")
def clip_tokenizer() -> Tokenizer:
    """CLIP's tokenizer, cut down to the entries that the goldens' prompts need."""
    folder = GOLDENS / "clip_subset"
    return read_tokenizer(folder / "vocab.json", folder / "merges.txt")


class TinyClip:
    """A CLIP text encoder in numpy with the random weights the goldens were made with; a Session.

    Radford et al. 2021, section 2.4: a causal transformer with pre-normalisation (here 4 layers of width 64, 4 heads)
    and the quick GELU x sigmoid(1.702 x). Each weight is drawn with a seed from its name and rounded to float16.
    """

    LAYERS, HEADS, DIM, INNER = 4, 4, 64, 128

    def __init__(self) -> None:
        self.table = _draw("embeddings.token_embedding.weight", (49408, self.DIM), "embedding", 0.5)
        self.positions = _draw("embeddings.position_embedding.weight", (77, self.DIM), "embedding", 0.2)
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
            x = x + self._linear(hidden / (1 + np.exp(-1.702 * hidden)), name + "mlp.fc2", self.DIM)
            states.append(x)
        normed = [self._norm(state, "final_layer_norm") for state in states]
        return {
            "hidden_states": np.stack(states),
            "normed_hidden_states": np.stack(normed),
            "pooled": normed[-1][np.arange(len(x)), feeds["eos_index"]],
        }

    def close(self) -> None:
        self.closed = True

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(1e-5))
        scale, bias = _draw(name + ".weight", (self.DIM,), "scale"), _draw(name + ".bias", (self.DIM,), "bias")
        result: Array = normal * scale + bias
        return result

    def _linear(self, x: Array, name: str, width: int) -> Array:
        weight = _draw(name + ".weight", (width, x.shape[-1]), "matrix")
        result: Array = x @ weight.T + _draw(name + ".bias", (width,), "bias")
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
    digest = hashlib.sha256(f"tiny_clip_l.text_model.{name}".encode()).digest()
    normal = np.random.default_rng(int.from_bytes(digest[:8], "little")).standard_normal(shape, dtype=np.float32)
    if kind == "matrix":
        normal *= np.float32(1 / np.sqrt(shape[1]))
    elif kind == "scale":
        normal = np.float32(0.05) * normal + np.float32(1)
    else:
        normal *= np.float32(0.05 if kind == "bias" else gain)
    return normal.astype(np.float16).astype(np.float32)


@pytest.fixture(scope="session")
def tiny_clip() -> TinyClip:
    return TinyClip()


@pytest.fixture(scope="session")
def tiny_model(tiny_clip: TinyClip, clip_tokenizer: Tokenizer) -> TextModel:
    shape = ChunkShape(start=clip_tokenizer.start, end=clip_tokenizer.end, pad=clip_tokenizer.end)
    return TextModel(clip_tokenizer, tiny_clip.table, shape)
