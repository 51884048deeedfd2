"""CLIP's tokenizer as files give it: vocab.json with merges.txt, or tokenizer.json; or the one all models share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxflow.errors import ModelError
from onnxflow.export.json_file import read_json
from onnxflow.text.clip import clip_merges, clip_vocabulary
from onnxflow.text.words import END, START


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """CLIP's byte-pair encoding: ids by token text, and merges as lines of two tokens, most important first."""

    vocabulary: dict[str, int]
    merges: tuple[str, ...]
    bos: int
    eos: int
    pad: int
    lowercase: bool


def clip_tokenizer(pad: str = END) -> Tokenizer:
    """The tokenizer of every Stable Diffusion model, for checkpoints that bring none; OpenCLIP pads with "!"."""
    vocabulary = clip_vocabulary()
    return Tokenizer(vocabulary, clip_merges(), vocabulary[START], vocabulary[END], vocabulary[pad], lowercase=True)


def read_tokenizer(folder: Path, rows: int) -> Tokenizer:
    """The tokenizer in a folder, checked against the rows of the token table; ModelError says what is wrong."""
    vocabulary, merges = _tables(folder)
    if len(vocabulary) < rows or max(vocabulary.values(), default=-1) >= rows:
        raise ModelError(
            f"the tokenizer has {len(vocabulary)} tokens, the text encoder {rows}",
            where=str(folder),
            hint="copy vocab.json and merges.txt of this model",
        )
    config = read_json(folder / "tokenizer_config.json", "") if (folder / "tokenizer_config.json").exists() else {}
    special = {}
    for key, usual in (("bos", "<|startoftext|>"), ("eos", "<|endoftext|>"), ("pad", "<|endoftext|>")):
        given = config.get(f"{key}_token") or usual
        token = given.get("content", usual) if isinstance(given, dict) else str(given)
        if token not in vocabulary:
            raise ModelError(
                f"the tokenizer has no token {token!r} ({key})",
                where=str(folder),
                hint="copy the tokenizer of this model",
            )
        special[key] = vocabulary[token]
    return Tokenizer(vocabulary, merges, **special, lowercase=bool(config.get("do_lower_case", True)))


def _tables(folder: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    hint = "a CLIP tokenizer is vocab.json with merges.txt, or tokenizer.json"
    if not (folder / "vocab.json").exists() and (folder / "tokenizer.json").exists():
        model = read_json(folder / "tokenizer.json", hint).get("model")
        if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
            raise ModelError("tokenizer.json has no vocabulary", where=str(folder / "tokenizer.json"), hint=hint)
        pairs = model.get("merges", [])
        return _checked(model["vocab"], folder / "tokenizer.json"), tuple(
            p if isinstance(p, str) else " ".join(p) for p in pairs
        )
    vocabulary = _checked(read_json(folder / "vocab.json", hint), folder / "vocab.json")
    try:
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"cannot read merges.txt: {error}", where=str(folder / "merges.txt"), hint=hint) from None
    merges = tuple(line for line in lines if line.strip() and not line.startswith("#version"))
    wrong = next((line for line in merges if len(line.split()) != 2), None)
    if wrong is not None:
        raise ModelError(
            f"merges.txt has the line {wrong!r}, expected two tokens", where=str(folder / "merges.txt"), hint=hint
        )
    return vocabulary, merges


def _checked(vocabulary: dict[str, Any], path: Path) -> dict[str, int]:
    if not all(isinstance(index, int) for index in vocabulary.values()):
        raise ModelError("the vocabulary has tokens whose id is not a whole number", where=str(path))
    return vocabulary
