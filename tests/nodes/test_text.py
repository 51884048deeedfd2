"""CLIPTextEncode: ComfyUI's sockets, and from a bundle's files to a condition."""

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxflow.errors import ModelError
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
from onnxflow.nodes.context import Context
from onnxflow.nodes.text import clip_text_encode, text_model
from onnxflow.text.tokenizer import byte_symbols
from onnxflow.text.words import END, START
from onnxflow.values import Clip, Conditioning, Feeds, Handle

FACTS = Path(__file__).parent.parent / "goldens" / "object_info.json"
WIDTH = 8


class Doubling:
    """A text encoder of one layer that doubles its input; pooled is the state at the end token."""

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        states = 2 * feeds["inputs_embeds"]
        pooled = states[np.arange(len(states)), feeds["eos_index"]]
        return {
            "hidden_states": np.stack([states] * 2),
            "normed_hidden_states": np.stack([states] * 2),
            "pooled": pooled,
        }

    def close(self) -> None:
        raise AssertionError("the engine closes sessions")


class OneSession:
    """A context that has nothing but the session a node should ask for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Handle, str]] = []

    def session(self, handle: Handle, component: str) -> Doubling:
        self.asked.append((handle, component))
        return Doubling()


def make_bundle(folder: Path, identity: str) -> Bundle:
    """A bundle of a tokenizer with one merge and a random token table."""
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
        family="sd15",
        license="Apache-2.0",
        width=64,
        height=64,
        latent=LatentFormat(4, 8, 1.0),
        sampling=SamplingConstants("epsilon", "scaled_linear", 0.00085, 0.012, 1000),
        texts=MappingProxyType({"text_encoder": text}),
        components=MappingProxyType({}),
        files=MappingProxyType({name: FileRecord(1, "") for name in ("vocab.json", "merges.txt", "tokens.npy")}),
    )
    return Bundle(folder, identity, manifest)


def encode(text: str, bundle: Bundle) -> tuple[Conditioning, OneSession]:
    context = OneSession()
    found = clip_text_encode.function(cast(Context, context), text, Clip(bundle))
    assert isinstance(found, Conditioning)
    return found, context


def test_sockets_are_those_of_comfyui() -> None:
    theirs = json.loads(FACTS.read_text(encoding="utf-8"))["CLIPTextEncode"]
    ours = clip_text_encode.describe(cast(Disk, None))
    for socket in theirs["input"]["required"].values():
        socket[1].pop("tooltip", None)
    assert list(ours["input"]["required"].items()) == list(theirs["input"]["required"].items())
    assert [ours["output"], ours["category"], ours["display_name"]] == [
        ["CONDITIONING"],
        theirs["category"],
        theirs["display_name"],
    ]


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
        ("a cat, embedding:easynegative", "'easynegative', which this version cannot read (take"),
        ("(embedding:bad:1.2)", "'bad'"),
        ("a (cat:nan)", "weight nan"),
        ("a (cat:1e39)", "weight 1e+39"),
    ],
)
def test_prompts_that_no_model_can_encode_are_refused_before_one_is_loaded(prompt: str, words: str) -> None:
    validate = clip_text_encode.validate
    assert validate is not None and clip_text_encode.validated == ("text",)
    assert words in validate(cast(Disk, None), text=prompt)
    for fine in (None, "", "a (cat:1.2)", "an EMBEDDING:word", "embedding:", "( :nan)"):
        assert validate(cast(Disk, None), text=fine) is None


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
