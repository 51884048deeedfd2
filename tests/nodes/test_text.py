"""Prompts: from a bundle's files to a condition, with embeddings, clip skip, and what SDXL is told."""

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pytest
from fakes import disk_at
from numpy.typing import NDArray

from onnxflow.errors import InputError, ModelError
from onnxflow.models.bundle import Bundle
from onnxflow.models.disk import Disk
from onnxflow.models.manifest import (
    FileRecord,
    LatentFormat,
    Manifest,
    SamplingConstants,
    TextConstants,
    TokenizerFiles,
)
from onnxflow.models.tensors import encode_tensors
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import NodeSpec
from onnxflow.nodes.text import (
    ENCODERS,
    clip_set_last_layer,
    clip_text_encode,
    clip_text_encode_controlnet,
    clip_text_encode_sdxl,
    clip_text_encode_sdxl_refiner,
    text_model,
)
from onnxflow.text.tokenizer import byte_symbols
from onnxflow.text.words import END, START
from onnxflow.values import Clip, Conditioning, Feeds, Handle

WIDTH = 8


class Doubling:
    """A text encoder of one layer that doubles its input; pooled is the state at the end token. ``norm`` adds 1."""

    norm = False

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        states = 2 * feeds["inputs_embeds"]
        pooled = states[np.arange(len(states)), feeds["eos_index"]]
        layers = np.stack([states / 2, states])
        return {
            "hidden_states": layers,
            "normed_hidden_states": layers + np.float32(1) if self.norm else layers,
            "pooled": pooled,
            "projected": pooled + np.float32(1),
        }

    def close(self) -> None:
        raise AssertionError("the engine closes sessions")


class OneSession:
    """A context that has nothing but the session a node should ask for."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.asked: list[tuple[Handle, str]] = []

    def free_memory(self) -> int | None:
        return None

    def remark(self, text: str) -> None:
        raise AssertionError(text)

    def session(self, handle: Handle, component: str, calls: int = 1) -> Doubling:
        self.asked.append((handle, component))
        return Doubling()


def make_bundle(folder: Path, identity: str, family: str = "sd1", encoders: int = 1) -> Bundle:
    """A bundle of a tokenizer with one merge and a random token table, which all its text encoders use."""
    names = [*byte_symbols(), *(f"{symbol}</w>" for symbol in byte_symbols()), "ca", "cat</w>", START, END]
    (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\nc a\nca t</w>\n", encoding="utf-8")
    table = np.random.default_rng(1).standard_normal((len(names), WIDTH)).astype(np.float32)
    np.save(folder / "tokens.npy", table)
    vocab = len(names)
    files = TokenizerFiles("vocab.json", "merges.txt", True)
    text = TextConstants(77, WIDTH, 1, 0, vocab, vocab - 2, vocab - 1, vocab - 1, "tokens.npy", files)
    manifest = Manifest(
        name="tiny",
        family=family,
        license="Apache-2.0",
        width=64,
        height=64,
        latent=LatentFormat(4, 8, 1.0),
        sampling=SamplingConstants("epsilon", "scaled_linear", 0.00085, 0.012, 1000),
        texts=MappingProxyType(dict.fromkeys(ENCODERS[:encoders], text)),
        components=MappingProxyType({}),
        files=MappingProxyType({name: FileRecord(1, "") for name in ("vocab.json", "merges.txt", "tokens.npy")}),
    )
    return Bundle(folder, identity, manifest)


def encode(
    text: str, bundle: Bundle, node: NodeSpec = clip_text_encode, **more: Any
) -> tuple[Conditioning, OneSession]:
    """The condition of a prompt, with the bundle's folder as the only model folder."""
    context = OneSession(disk_at(bundle.root, bundle.root))
    prompt = {"text": text} if "text" in node.by_name else {}
    found = node.function(cast(Context, context), **{**prompt, "clip": Clip(bundle), **more})
    assert isinstance(found, Conditioning)
    return found, context


def test_a_prompt_becomes_a_condition(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "a-prompt")
    found, context = encode("Cat", bundle)
    table = np.load(tmp_path / "tokens.npy")
    start, cat, end = table[-2], table[513], table[-1]
    assert context.asked == [(Clip(bundle), "text_encoder")]
    assert np.array_equal(found.entries[0].cross_attn, 2 * np.stack([start, cat, *[end] * 75])[None])
    assert found.entries[0].pooled is not None
    assert np.array_equal(found.entries[0].pooled, 2 * end[None])


def test_the_files_of_a_bundle_are_read_once(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "read-once")
    encode("cat", bundle)
    (tmp_path / "merges.txt").unlink()
    encode("dog", replace(bundle))
    for other in (replace(bundle, identity="another"), replace(bundle, root=tmp_path / "copy")):
        with pytest.raises(ModelError, match="the tokenizer lacks"):
            encode("dog", other)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a cat, embedding:easynegative", "'easynegative', which is not there (there are no embeddings (searched:"),
        ("(embedding:bad:1.2)", "'bad'"),
        ("a (cat:nan)", "weight nan"),
        ("a (cat:1e39)", "weight 1e+39"),
    ],
)
def test_prompts_that_no_model_can_encode_are_refused_before_one_is_loaded(
    tmp_path: Path, prompt: str, words: str
) -> None:
    disk = disk_at(tmp_path)
    for node in (clip_text_encode, clip_text_encode_sdxl_refiner, clip_text_encode_controlnet):
        validate = node.validate
        assert validate is not None and node.validated == ("text",)
        assert words in str(validate(disk, text=prompt))
        for fine in (None, "", "a (cat:1.2)", "an EMBEDDING:word", "embedding:", "( :nan)"):
            assert validate(disk, text=fine) is None
    validate = clip_text_encode_sdxl.validate
    assert validate is not None and clip_text_encode_sdxl.validated == ("text_g", "text_l")
    assert words in str(validate(disk, text_g=prompt, text_l="")) and words in str(validate(disk, text_l=prompt))
    assert validate(disk, text_g="a", text_l=None) is None


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"bos": 3}, r"start with token 3 .* the tokenizer has 514 and 515"),
        ({"eos": 2}, r"end with 2, the tokenizer has 514 and 515"),
        ({"hidden": 9}, r"token table is float32 \[516, 8\], expected floats \[516, 9\]"),
        ({"vocab": 9}, r"expected floats \[9, 8\]"),
        ({"pad": 516}, "does not hold the tokenizer's token 516"),
        ({"token_embedding": "weights.npy"}, r"no file 'weights\.npy'"),
        ({"length": 2}, "holds no prompt"),
    ],
)
def test_a_manifest_that_does_not_fit_its_files(tmp_path: Path, changed: dict[str, Any], named: str) -> None:
    bundle = make_bundle(tmp_path, f"{changed}")
    manifest = replace(bundle.manifest, texts={"text_encoder": replace(bundle.text(), **changed)})
    with pytest.raises(ModelError, match=named):
        text_model(replace(bundle, manifest=manifest))


def header(text: str) -> bytes:
    """A .npy file that has only a header."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"not an array", header("("), header("-" * 9000), header("1 2"), None],
)
def test_a_token_table_that_is_something_else(tmp_path: Path, content: bytes | None) -> None:
    bundle = make_bundle(tmp_path, f"{content!r}")
    whole = (tmp_path / "tokens.npy").read_bytes()
    (tmp_path / "tokens.npy").write_bytes(whole[:-1] if content is None else content)
    with pytest.raises(ModelError, match="token table cannot be read"):
        text_model(bundle)


def write_embedding(bundle: Bundle, name: str, **vectors: NDArray[np.generic]) -> Path:
    path = bundle.root / "embeddings" / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode_tensors(vectors))
    return path


def test_an_embedding_of_the_models_folder_stands_in_the_prompt(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "embedding")
    vectors = np.arange(2 * WIDTH, dtype=np.float32).reshape(2, WIDTH)
    path = write_embedding(bundle, "toy", clip_l=vectors)
    prompt = "cat (embedding:toy:1.5), cat"
    found, _ = encode("cat embedding:toy cat", bundle)
    assert np.array_equal(found.entries[0].cross_attn[0, 2:4], 2 * vectors)
    write_embedding(bundle, "toy", clip_l=np.ones((3, WIDTH), np.float32))
    found, _ = encode("cat embedding:toy cat", bundle)  # the file changed: nothing remembers the old one
    assert (found.entries[0].cross_attn[0, 2:5] == 2).all()
    assert clip_text_encode.validate is not None
    disk = disk_at(tmp_path, tmp_path)
    assert clip_text_encode.validate(disk, text=prompt) is None
    assert "embeddings: toy" in str(clip_text_encode.validate(disk, text="embedding:other"))
    path.unlink()
    with pytest.raises(InputError, match="'toy', which is not there"):
        encode(prompt, bundle)


def test_an_embedding_of_another_family(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "other family")
    write_embedding(bundle, "wide", clip_g=np.ones((1, 12), np.float32))
    with pytest.raises(InputError, match="'wide' are 12 wide, the text encoder's are 8"):
        encode("embedding:wide", bundle)


def test_the_fingerprint_tells_of_embeddings(tmp_path: Path) -> None:
    disk, bundle = disk_at(tmp_path, tmp_path), make_bundle(tmp_path, "print")
    tells = clip_text_encode.fingerprint
    assert tells is not None
    assert tells(disk, text="a cat") == tells(disk, text="embedding:toy") == tells(disk, text=None) == ""
    write_embedding(bundle, "toy", clip_l=np.ones((1, WIDTH), np.float32))
    assert tells(disk, text="a cat") == ""
    assert tells(disk, text="embedding:toy") == tells(disk, text=None) != ""
    assert clip_text_encode_sdxl.fingerprint is not None
    assert clip_text_encode_sdxl.fingerprint(disk, text_g="a", text_l="embedding:toy") != ""


def test_clip_skip_reads_another_layer(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "skip")
    states = {}
    for layer in (-1, -2, -9):
        clip = clip_set_last_layer.function(Clip(bundle), layer)
        (entry,) = encode("cat", bundle, clip=clip)[0].entries
        states[layer] = entry.cross_attn
        assert entry.pooled is not None and np.array_equal(entry.pooled, encode("cat", bundle)[0].entries[0].pooled)
    assert np.array_equal(states[-1], encode("cat", bundle)[0].entries[0].cross_attn)
    # Layer -2 of one layer is beyond the first: the last. (The embeddings are no layer.)
    assert np.array_equal(states[-2], states[-1]) and np.array_equal(states[-9], states[-1])
    twice = clip_set_last_layer.function(clip_set_last_layer.function(Clip(bundle), -1), -2)
    assert [patch.layer for patch in twice.patches] == [-1, -2]


def test_beyond_the_first_layer_sdxl_reads_the_last_after_its_norm(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(Doubling, "norm", True)
    bundle = make_bundle(tmp_path, "xl skip", "sdxl", 2)
    clips = {layer: clip_set_last_layer.function(Clip(bundle), layer) for layer in (-1, -2)}
    last, beyond = (encode("cat", bundle, clip=clip)[0].entries[0].cross_attn for clip in clips.values())
    assert np.array_equal(beyond, last + np.float32(1))


def test_sdxl_takes_a_prompt_for_each_encoder(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "xl", "sdxl", 2)
    clip = clip_set_last_layer.function(Clip(bundle), -1)
    found, context = encode("", bundle, clip_text_encode_sdxl, clip=clip, text_g="cat", text_l="cat " * 80, width=640)
    (entry,) = found.entries
    assert [component for _, component in context.asked] == ["text_encoder", "text_encoder_2"]
    table = 2 * np.load(tmp_path / "tokens.npy")
    start, cat, end = table[-2], table[513], table[-1]
    assert entry.cross_attn.shape == (1, 2 * 77, 2 * WIDTH)
    assert np.array_equal(entry.cross_attn[0, :77, :WIDTH], np.stack([start, *[cat] * 75, end]))
    # The shorter text is filled up with chunks of the empty one.
    assert np.array_equal(entry.cross_attn[0, 77:, WIDTH:], np.stack([start, *[end] * 76]))
    assert np.array_equal(entry.pooled, end[np.newaxis] + 1)
    sizes = {"width": 640, "height": 1024, "crop_w": 0, "crop_h": 0, "target_width": 1024, "target_height": 1024}
    assert dict(entry.extras) == sizes


def test_sdxl_nodes_refuse_the_clip_of_another_family(tmp_path: Path) -> None:
    for family, encoders in (("sd1", 1), ("sdxl-refiner", 1)):
        bundle = make_bundle(tmp_path, family, family, encoders)
        with pytest.raises(InputError, match="has one text encoder, this node encodes for SDXL's two"):
            encode("", bundle, clip_text_encode_sdxl, text_g="a", text_l="b")


def test_the_refiner_is_told_a_score_and_a_size(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "refiner")
    (entry,) = encode("cat", bundle, clip_text_encode_sdxl_refiner, ascore=2.5, height=768)[0].entries
    assert dict(entry.extras) == {"aesthetic_score": 2.5, "width": 1024, "height": 768}
    assert np.array_equal(entry.cross_attn, encode("cat", bundle)[0].entries[0].cross_attn)


def test_controlnets_get_a_prompt_of_their_own(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "controlnet")
    before, other = encode("cat", bundle)[0], encode("cat cat", bundle)[0].entries[0]
    (entry,) = encode("cat cat", bundle, clip_text_encode_controlnet, conditioning=before)[0].entries
    assert entry.cross_attn is before.entries[0].cross_attn
    assert np.array_equal(entry.extras["cross_attn_controlnet"], other.cross_attn)
    assert np.array_equal(entry.extras["pooled_output_controlnet"], other.pooled)
