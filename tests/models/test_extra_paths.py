"""ComfyUI's extra_model_paths.yaml: what is read of it, and what is refused with its line."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import UsageError
from onnxflow.models.extra_paths import read_extra_paths
from onnxflow.models.folders import ExtraPaths, folders_of

EXAMPLE = """\
# all of it is in use

comfyui:
    base_path: /data/comfyui/   # a comment
    is_default: true
    checkpoints: models/checkpoints/
    text_encoders: |
         models/text_encoders/
         models/clip/  # the older name

    clip: "models/more clip"
    custom_nodes: custom_nodes/
    ultralytics_bbox: models/others
    sams-of-others: [models/sams, {a: b}]
    more:
      nested:
        - x

nothing: ~
a111:
  base_path: '~/webui'
  checkpoints: $MODELS/Stable-diffusion
  vae: ${MODELS}/VAE
  loras: /mnt$MODELS/$UNKNOWN/loras
  embeddings:
      embeddings
  configs:
...
rest: of no use
"""


def read(folder: Path, text: str) -> ExtraPaths:
    file = folder / "extra_model_paths.yaml"
    file.write_text(text, encoding="utf-8")
    return read_extra_paths([file], {"MODELS": "/big", "HOME": "/users/me"})


def test_every_section_s_folders_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/users/me")
    found = read(tmp_path, EXAMPLE)
    base = Path("/data/comfyui/models")
    assert found.first == {
        "checkpoints": (base / "checkpoints",),
        "text_encoders": (
            base / "more clip",
            base / "clip",
            base / "clip/  # the older name",  # what YAML says; nobody means it
            base / "text_encoders",
        ),
    }
    assert found.last == {
        "checkpoints": (Path("/big/Stable-diffusion"),),
        "vae": (Path("/big/VAE"),),
        "loras": (Path("/mnt/big/$UNKNOWN/loras"),),
        "embeddings": (Path("/users/me/webui/embeddings"),),
    }
    checkpoints = folders_of("checkpoints", (Path("/models"),), found)
    assert checkpoints == (base / "checkpoints", Path("/models/checkpoints"), Path("/big/Stable-diffusion"))


def test_a_block_is_taken_literally(tmp_path: Path) -> None:
    found = read(tmp_path, "a:\n  base_path: /b\n  vae: |\n    'x'\n    C#/y: z\n").last
    assert found == {"vae": (Path("/b/'x'"), Path("/b/C#/y: z"))}


def test_paths_are_relative_to_the_file_without_a_base(tmp_path: Path) -> None:
    assert read(tmp_path, "mine:\n  checkpoints: sd\n").last == {"checkpoints": (tmp_path / "sd",)}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a:\n\tcheckpoints: x\n", 2, "tab"),
        ("a:\n  checkpoints: x\n  checkpoints: y\n", 3, "there twice"),
        ("a:\n  checkpoints: [x, y]\n", 2, "more YAML"),
        ("a:\n  checkpoints: |\n    - x\n", 3, "list inside"),
        ("a:\n  checkpoints:\n    - x\n    - y\n", 3, "is a list"),
        ("a:\n  checkpoints: >\n    x\n", 2, "joins lines"),
        ("a:\n  checkpoints:\n    x\n    y\n", 3, "several lines"),
        ("a:\n  checkpoints: x\n    vae: y\n", 3, "indented otherwise"),
        ("checkpoints: x\n", 1, "has a value"),
        ("a:\n  checkpoints\n", 2, "no KEY: VALUE"),
        ("a:\n  is_default: maybe\n", 2, "is_default is 'maybe'"),
        ("a:\n  base_path: |\n    x\n    y\n", 2, "base_path has 2 paths"),
        ('a:\n  checkpoints: "x\n', 2, "not quoted simply"),
        ("  checkpoints: x\n", 1, "indented otherwise"),
        ("a: {checkpoints: x}\n", 1, "has a value"),
    ],
)
def test_anything_else_is_refused_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, text)
    assert f"line {line} of" in error.value.message and words in error.value.message
    assert error.value.hint


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    with pytest.raises(UsageError, match="No such file"):
        read_extra_paths([file], {})
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_extra_paths([file], {})
    file.write_bytes(b"#" * 2_000_000)
    with pytest.raises(UsageError, match="more than"):
        read_extra_paths([file], {})


@given(st.text(alphabet="ab:|\n \t'\"#-$~[]checkpoints_path", max_size=80))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with contextlib.suppress(UsageError):
        read(tmp_path_factory.getbasetemp(), text)
