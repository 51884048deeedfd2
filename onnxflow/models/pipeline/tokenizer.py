"""CLIP's tokenizer as a pipeline's folder has it: vocab.json with merges.txt, or tokenizer.json; and its
tokenizer_config.json, which may be missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from onnxflow.errors import ModelError, shown
from onnxflow.models.json_file import read_json, read_utf8
from onnxflow.models.manifest import TokenizerFiles

ONE_FILE: Final = "tokenizer.json"
_HINT = "a CLIP tokenizer is vocab.json with merges.txt, or tokenizer.json"


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """CLIP's byte-pair encoding: ids by token text, and merges as lines of two tokens, most important first."""

    vocabulary: dict[str, int]
    merges: tuple[str, ...]
    bos: int
    eos: int
    pad: int
    lowercase: bool


def read_tokenizer(folder: Path, rows: int | None) -> Tokenizer:
    """The tokenizer in a folder, checked against the rows of the token table if they are known; ModelError says what is
    wrong."""
    vocabulary, merges = read_tables(folder)
    if not vocabulary or (rows is not None and (len(vocabulary) < rows or max(vocabulary.values()) >= rows)):
        raise ModelError(
            f"the tokenizer has {len(vocabulary)} tokens, the text encoder {rows}",
            where=str(folder),
            hint="copy vocab.json and merges.txt of this model",
        )
    config = read_json(folder / "tokenizer_config.json", "") if (folder / "tokenizer_config.json").exists() else {}
    special = {}
    for key, usual in (("bos", "<|startoftext|>"), ("eos", "<|endoftext|>"), ("pad", "<|endoftext|>")):
        given = config.get(f"{key}_token") or usual
        token = given.get("content", usual) if isinstance(given, dict) else given
        found = vocabulary.get(token) if isinstance(token, str) else None
        if found is None:
            raise ModelError(
                f"the tokenizer has no token {shown(token)} ({key})",
                where=str(folder),
                hint="copy the tokenizer of this model",
            )
        special[key] = found
    return Tokenizer(vocabulary, merges, **special, lowercase=bool(config.get("do_lower_case", True)))


def files_of(folder: Path, tokenizer: Tokenizer) -> TokenizerFiles:
    """The files of a tokenizer's folder, relative to the pipeline's."""
    names = (ONE_FILE, ONE_FILE) if is_one_file(folder) else ("vocab.json", "merges.txt")
    return TokenizerFiles(f"{folder.name}/{names[0]}", f"{folder.name}/{names[1]}", tokenizer.lowercase)


def is_one_file(folder: Path) -> bool:
    """Whether a tokenizer is all in tokenizer.json; where both forms are there, vocab.json and merges.txt are read."""
    return not (folder / "vocab.json").exists() and (folder / ONE_FILE).exists()


def read_tables(folder: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Vocabulary and merges of a tokenizer's folder; ModelError when a file is missing or is something else."""
    if is_one_file(folder):
        return read_one_file(folder / ONE_FILE)
    vocabulary = _checked(read_json(folder / "vocab.json", _HINT), folder / "vocab.json")
    lines = read_utf8(folder / "merges.txt", _HINT).splitlines()
    merges = tuple(line for line in lines if line.strip() and not line.startswith("#version"))
    wrong = next((line for line in merges if len(line.split()) != 2), None)
    if wrong is not None:
        raise ModelError(
            f"merges.txt has the line {shown(wrong)}, expected two tokens", where=str(folder / "merges.txt"), hint=_HINT
        )
    return vocabulary, merges


def read_one_file(path: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Vocabulary and merges of a tokenizer.json, whose merges are texts or pairs; ModelError."""
    model = read_json(path, _HINT).get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        raise ModelError(f"{path.name} has no vocabulary", where=str(path), hint=_HINT)
    pairs = model.get("merges", [])
    merges = tuple(_merge(pair) for pair in pairs) if isinstance(pairs, list) else ("",)
    if not all(merges):
        raise ModelError(f"{path.name} has merges that are not two tokens each", where=str(path), hint=_HINT)
    return _checked(model["vocab"], path), merges


def _merge(pair: Any) -> str:
    """A merge as a line; empty when it is none."""
    parts = pair.split(" ") if isinstance(pair, str) else pair
    fits = isinstance(parts, list) and len(parts) == 2 and all(isinstance(part, str) and part for part in parts)
    return " ".join(parts) if fits else ""


def _checked(vocabulary: dict[str, Any], path: Path) -> dict[str, int]:
    if not all(type(index) is int and index >= 0 for index in vocabulary.values()):
        raise ModelError("the vocabulary has tokens whose id is not a whole number", where=str(path), hint=_HINT)
    return vocabulary
