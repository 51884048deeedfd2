"""Files of textual-inversion embeddings: found as ComfyUI finds them, read without trusting them."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxflow.errors import ModelError
from onnxflow.models.embeddings import EmbeddingStore, read_embedding
from onnxflow.models.tensors import encode_tensors


def write(path: Path, **tensors: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_tensors(tensors))
    return path


def vectors(count: int, width: int) -> NDArray[np.float32]:
    return np.arange(count * width, dtype=np.float32).reshape(count, width)


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    for root, names in {
        "one": ("cat.safetensors", "sub/dog.safetensors", "sub/deep/Bird.pt", "note.txt", "cat.safetensors.bin"),
        "two": ("cat.safetensors", "fish.bin", "with.dot.safetensors"),
    }.items():
        for name in names:
            write(tmp_path / root / "embeddings" / name, emb_params=vectors(1, 4))
    return EmbeddingStore(tuple(tmp_path / name / "embeddings" for name in ("one", "two", "none")))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cat", "one/embeddings/cat.safetensors"),
        ("cat.safetensors", "one/embeddings/cat.safetensors"),
        ("cat.safetensors.bin", "one/embeddings/cat.safetensors.bin"),
        ("dog", "one/embeddings/sub/dog.safetensors"),
        ("sub/dog", "one/embeddings/sub/dog.safetensors"),
        ("sub\\dog", "one/embeddings/sub/dog.safetensors"),
        ("./sub//x/../dog.safetensors", "one/embeddings/sub/dog.safetensors"),
        ("deep/Bird", "one/embeddings/sub/deep/Bird.pt"),
        ("CAT", "one/embeddings/cat.safetensors"),
        ("Sub/DOG.SafeTensors", "one/embeddings/sub/dog.safetensors"),
        ("bird", "one/embeddings/sub/deep/Bird.pt"),
        ("fish", "two/embeddings/fish.bin"),
        ("with.dot", "two/embeddings/with.dot.safetensors"),
    ],
)
def test_names_as_prompts_write_them(store: EmbeddingStore, tmp_path: Path, name: str, found: str) -> None:
    path = store.find(name)
    assert path is not None and path.relative_to(tmp_path).as_posix() == found


@pytest.mark.parametrize(
    "name",
    ["", ".", ",", "cow", "note", "note.txt", "sub", "../cat", "sub/../../cat", "/etc/passwd", "C:cat", "a\0b", "nul"],
)
def test_names_that_are_nobodys(store: EmbeddingStore, tmp_path: Path, name: str) -> None:
    write(tmp_path / "one" / "cat.safetensors", x=vectors(1, 4))
    assert store.find(name) is None


def test_what_there_is(store: EmbeddingStore, tmp_path: Path) -> None:
    assert store.names() == ["cat", "cat.safetensors", "fish", "sub/deep/Bird", "sub/dog", "with.dot"]
    hint = store.missing_hint("catt")
    assert "'cat'" in hint and str(tmp_path / "two" / "embeddings") in hint and "'embedding:catt'" in hint
    assert "there are no embeddings (searched: no model folder is set" in EmbeddingStore().missing_hint("x")


def test_the_state_changes_with_the_files(store: EmbeddingStore, tmp_path: Path) -> None:
    states = [store.state()]
    for change in (
        lambda: write(tmp_path / "two" / "embeddings" / "new.safetensors", x=vectors(1, 4)),
        lambda: write(tmp_path / "two" / "embeddings" / "new.safetensors", x=vectors(2, 4)),
        lambda: (tmp_path / "two" / "embeddings" / "new.safetensors").unlink(),
    ):
        change()
        states.append(store.state())
    assert len(set(states)) == 3 and states[0] == states[-1]
    assert EmbeddingStore().state() == ""


def test_links_are_followed_and_loops_end(store: EmbeddingStore, tmp_path: Path) -> None:
    outside = write(tmp_path / "elsewhere" / "far.safetensors", x=vectors(1, 4))
    folder = tmp_path / "one" / "embeddings"
    (folder / "link.safetensors").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (folder / "more").symlink_to(outside.parent)
    assert store.find("link") is not None and store.find("far") is not None
    assert "more/far" in store.names()


def test_each_encoder_gets_its_own_vectors(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", clip_l=vectors(3, 8), clip_g=vectors(2, 12))
    assert np.array_equal(read_embedding(path, "clip_l"), vectors(3, 8))
    assert np.array_equal(read_embedding(path, "clip_g", 12), vectors(2, 12))
    assert not read_embedding(path, "clip_l").flags.writeable
    # Of a file for SDXL, models with a third encoder take what is as wide as theirs.
    assert np.array_equal(read_embedding(path, "clip_h", 12), vectors(2, 12))
    with pytest.raises(ModelError, match="no tensor 'clip_h', and none that could be meant"):
        read_embedding(path, "clip_h", 16)


@pytest.mark.parametrize("name", ["emb_params", "<cat-toy>", "string_to_param.*"])
def test_a_single_tensor_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "x.safetensors", **{name: vectors(2, 8)})
    assert np.array_equal(read_embedding(path, "clip_l"), vectors(2, 8))


def test_one_vector_may_have_one_dimension_and_16_bits(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", clip_l=vectors(1, 8)[0].astype(np.float16))
    found = read_embedding(path, "clip_l")
    assert np.array_equal(found, vectors(1, 8)) and found.dtype == np.float32


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, array, words in (
        ("deep", np.zeros((1, 2, 3, 4), np.float32), "and none that could be meant"),
        ("empty", np.zeros((0, 4), np.float32), r"shape \[0, 4\]"),
        ("nan", np.full((1, 4), np.nan, np.float32), "NaN"),
    ):
        path = write(tmp_path / f"{name}.safetensors", x=array)
        with pytest.raises(ModelError, match=words) as caught:
            read_embedding(path, "clip_l")
        assert caught.value.hint and caught.value.where == str(path)
    pickle = tmp_path / "x.pt"
    pickle.write_bytes(b"\x80\x02.")
    with pytest.raises(ModelError, match=r"x\.pt is a pickle"):
        read_embedding(pickle, "clip_l")
    broken = tmp_path / "y.safetensors"
    broken.write_bytes(b"no")
    with pytest.raises(ModelError, match="not a sound safetensors file"):
        read_embedding(broken, "clip_l")


def test_a_name_of_many_parts_is_looked_for_in_no_time(tmp_path: Path) -> None:
    folder = tmp_path / "embeddings"
    folder.mkdir()
    for name in ("a", "A", "b"):
        (folder / name).symlink_to(".")
    store = EmbeddingStore((tmp_path / "embeddings",))
    for count in (40, 2000):
        assert store.find("/".join("a" * count)) is None
    write(folder / "Cat.safetensors", emb_params=vectors(1, 4))
    found = store.find("a/" * 20 + "cat")
    assert found is not None and found.name == "Cat.safetensors"


def test_a_folder_that_is_not_ours_to_read_is_passed_over(
    store: EmbeddingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def refuse(path: str) -> object:
        if os.path.basename(path) == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # a file's mode would not keep root out
    assert store.find("dog") is None and store.find("sub/DOG") is None and store.find("cat") is not None
    assert "fish" in store.names() and store.state() and store.missing_hint("dog")


def test_an_embedding_saved_with_a_lora(tmp_path: Path) -> None:
    tensors = {
        "lora_unet.up": vectors(4, 4),
        "bundle_emb.cat.clip_l": vectors(2, 4),
        "bundle_emb.cat.clip_g": vectors(2, 6),
    }
    path = write(tmp_path / "x.safetensors", **tensors)
    np.testing.assert_array_equal(read_embedding(path, "clip_l", 4), vectors(2, 4))
    tensors = {"bundle_emb.a.string_to_param.*": vectors(1, 4), "bundle_emb.b.string_to_param.*": 9 * vectors(2, 4)}
    path = write(tmp_path / "y.safetensors", **tensors)
    np.testing.assert_array_equal(read_embedding(path, "clip_l", 4), np.concatenate([vectors(1, 4), 9 * vectors(2, 4)]))


def test_what_float32_cannot_hold_is_refused_without_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", emb_params=np.full((1, 4), 1e300))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelError, match="infinity"):
            read_embedding(path, "clip_l")
