"""The textual-inversion embeddings on the disk, as prompts refer to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from onnxflow.errors import InputError
from onnxflow.models.disk import Disk
from onnxflow.models.embeddings import KEYS, EmbeddingStore, read_embedding
from onnxflow.text.embeddings import REFERENCE, missing
from onnxflow.text.groups import check
from onnxflow.text.prompt import parse
from onnxflow.values import Array, Clip


@dataclass(frozen=True, slots=True)
class EmbeddingsOf:
    """The embeddings of a store, with the vectors for the text encoder that files call ``key``, ``width`` wide.

    A name is looked for once: a prompt may repeat it thousands of times.
    """

    store: EmbeddingStore
    key: str = ""
    width: int | None = None
    _found: dict[str, Path | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, disk: Disk, clip: Clip, component: str) -> EmbeddingsOf:
        """Those for one of a model's text encoders."""
        manifest = clip.source.manifest
        key = KEYS.get((manifest.family, component), "")
        return cls(EmbeddingStore(disk.store.embeddings()), key, clip.source.text(component).hidden)

    def exists(self, name: str) -> bool:
        return self._find(name) is not None

    def vectors(self, name: str) -> Array:
        path = self._find(name)
        try:
            status = path.stat() if path is not None else None
        except OSError:  # removed a moment ago
            status = None
        if path is None or status is None:
            raise missing(name, self.missing_hint(name))
        return _read(path, self.key, self.width, status.st_size, status.st_mtime_ns)

    def missing_hint(self, name: str) -> str:
        return self.store.missing_hint(name)

    def _find(self, name: str) -> Path | None:
        if name not in self._found:
            self._found[name] = self.store.find(name)
        return self._found[name]


@lru_cache(maxsize=64)
def _read(path: Path, key: str, width: int | None, size: int, changed: int) -> Array:
    """The vectors of a file of this size and age: a prompt asks for every one of them."""
    return read_embedding(path, key, width)


def prompt_problem(disk: Disk, text: str | None) -> str | None:
    """Why no model can encode a prompt, on one line, or None; of a text that a link will bring nothing is known."""
    try:
        check(parse(text or ""), EmbeddingsOf(EmbeddingStore(disk.store.embeddings())))
    except InputError as error:
        return f"{error.message} ({error.hint})"
    return None


def fingerprint_of_prompts(disk: Disk, texts: Iterable[str | None]) -> str:
    """What the conditions of ``texts`` depend on besides them: the files of embeddings, where they may refer to one."""
    if not any(text is None or REFERENCE in text for text in texts):
        return ""
    return EmbeddingStore(disk.store.embeddings()).state()
