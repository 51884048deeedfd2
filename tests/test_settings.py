"""Where models and files are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onnxflow.errors import UsageError
from onnxflow.settings import Settings, load_settings


def load(folder: Path, *models: Path, **environment: str) -> Settings:
    home = {"XDG_CONFIG_HOME": str(folder / "config")}
    return load_settings(models, environment={**home, **environment}, working_dir=folder)


def test_defaults_lie_in_the_working_folder(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings((), tmp_path / "input", tmp_path / "output")
    (tmp_path / "models").mkdir()
    assert load(tmp_path).models == (tmp_path / "models",)


def test_flags_come_before_the_environment_before_the_file(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).mkdir()
    (tmp_path / "onnxflow.toml").write_text('models = ["c", "a"]\noutput_dir = "pictures"\n')
    found = load(tmp_path, tmp_path / "a", ONNXFLOW_MODELS=os.pathsep.join([str(tmp_path / "b"), str(tmp_path / "d")]))
    assert [path.name for path in found.models] == ["a", "b", "d", "c"]
    assert found.output_dir == tmp_path / "pictures"


def test_the_profile_is_a_table_of_components_and_devices(tmp_path: Path) -> None:
    assert load(tmp_path).place == {}
    (tmp_path / "onnxflow.toml").write_text('[place]\nunet = "cuda:0"\n"*" = "auto@int8"\n')
    assert load(tmp_path).place == {"unet": "cuda:0", "*": "auto@int8"}


def test_the_users_own_file_counts_when_the_working_folder_has_none(tmp_path: Path) -> None:
    (tmp_path / "config" / "onnxflow").mkdir(parents=True)
    (tmp_path / "config" / "onnxflow" / "onnxflow.toml").write_text('input_dir = "pics"')
    assert load(tmp_path).input_dir == tmp_path / "config" / "onnxflow" / "pics"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model = []", "did you mean 'models'"),
        ("models = 'x'", "expected a list of texts"),
        ("input_dir = 3", "expected a text"),
        ("models = ['nowhere']", "is no folder"),
        ("= broken", "cannot be read"),
        ("place = 'cpu'", "expected a table of texts"),
        ("[place]\nunet = 1", "expected a table of texts"),
        ("[place]\nunet = {device = 'cpu'}", 'unet = "cuda:0"'),
        ("[[place]]\nunet = 'cpu'", "expected a table of texts"),
        ("[places]\nunet = 'cpu'", "did you mean 'place'"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "onnxflow.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load(tmp_path)
    assert words in caught.value.render() and "onnxflow.toml" in caught.value.render()


def test_an_input_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--input-dir"):
        load_settings(input_dir=tmp_path / "x", environment={}, working_dir=tmp_path)


def test_folders_that_are_not_there(tmp_path: Path) -> None:
    for attempt in (
        lambda: load(tmp_path, tmp_path / "x"),
        lambda: load(tmp_path, ONNXFLOW_MODELS=str(tmp_path / "x")),
    ):
        with pytest.raises(UsageError):
            attempt()


def test_node_packs_are_the_flags_or_the_files_or_the_working_folders(tmp_path: Path) -> None:
    def packs(*named: Path) -> list[str]:
        environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
        found = load_settings(custom_nodes=named, environment=environment, working_dir=tmp_path)
        return [path.name for path in found.custom_nodes]

    for name in ("custom_nodes", "one", "two"):
        (tmp_path / name).mkdir()
    assert packs() == ["custom_nodes"]
    (tmp_path / "onnxflow.toml").write_text('custom_nodes = ["one", "two"]')
    assert packs() == ["one", "two"]
    assert packs(tmp_path / "two") == ["two"]
    (tmp_path / "onnxflow.toml").write_text("custom_nodes = []")
    assert packs() == []
    with pytest.raises(UsageError, match="there is no folder"):
        packs(tmp_path / "three")
    none = load_settings(custom_nodes=None, environment={}, working_dir=tmp_path)
    assert none.custom_nodes == ()
