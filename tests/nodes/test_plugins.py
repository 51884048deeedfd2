"""Plug-ins: modules of installed packages that declare nodes, found by their entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import onnxflow
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.nodes.plugins import GROUP, load_plugins

NODES = '''
from typing import Annotated
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Int

@node("PluginDouble", category="test")
def double(value: Annotated[int, Int()] = 2) -> int:
    """Twice the value."""
    return 2 * value
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path of modules, with a plug-in in it."""
    (tmp_path / "plugin_nodes.py").write_text(NODES)
    (tmp_path / "plugin_again.py").write_text(NODES.replace("PluginDouble", "KSampler"))
    (tmp_path / "plugin_broken.py").write_text("import no_such_module\n")
    (tmp_path / "plugin_empty.py").write_text("value = 3\n")
    folder = tmp_path / "plugin_of_tests-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-of-tests\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[{GROUP}]\ntests = plugin_nodes\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_an_installed_plug_in_is_run(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(installed)
    document = {
        "1": {"class_type": "PluginDouble", "inputs": {"value": 21}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    assert onnxflow.run(document).nodes
    with pytest.raises(onnxflow.errors.WorkflowError, match="PluginDouble does not exist"):
        onnxflow.run(document, custom_nodes=None)


def test_what_cannot_be_used_is_said(installed: Path) -> None:
    points = [
        EntryPoint(name, value, GROUP)
        for name, value in (
            ("a", "plugin_nodes"), ("b", "plugin_again"), ("c", "plugin_broken"), ("d", "plugin_empty"),
            ("e", "plugin_empty:value"),
        )
    ]  # fmt: skip
    catalog, said = load_plugins(builtin_catalog(), points)
    assert "PluginDouble" in catalog and len(catalog) == len(builtin_catalog()) + 1
    assert said == [
        "the class 'KSampler' of the plug-in b is left out: onnxflow itself has one of that name",
        "the plug-in c is not available: ModuleNotFoundError: No module named 'no_such_module'",
        "the plug-in d is not available: the module plugin_empty declares no node",
        "the plug-in e is not available: plugin_empty:value is no module",
    ]


def test_without_any_the_catalog_is_the_same() -> None:
    catalog = builtin_catalog()
    assert load_plugins(catalog, []) == (catalog, [])
