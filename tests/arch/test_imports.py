"""Who may import whom, read from the source: every import statement counts, also inside functions and TYPE_CHECKING."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {"onnxflow": ROOT / "onnxflow", "onnxflow.export": ROOT / "export", "onnxflow.providers": ROOT / "providers"}

# The table of docs/architecture.md. A unit is what lies directly in onnxflow/ (and export, providers); it may import
# itself, the units named here, and of other people's packages those named in PACKAGES.
UNITS: dict[str, set[str]] = {
    "__init__": {"api", "errors", "values", "engine", "nodes", "workflow"},
    "__main__": {"cli"},
    "api": {
        *("cancel", "dump", "engine", "errors", "models", "nodes", "placing", "providers", "settings", "values"),
        "workflow",
    },
    "cli": {
        *("__init__", "api", "cancel", "engine", "errors", "export", "graph", "models"),
        *("dump", "memory", "nodes", "placing", "providers", "settings", "values", "workflow"),
    },
    "placing": {"cancel", "engine", "errors", "providers", "settings"},
    "settings": {"errors", "models"},
    "engine": {
        *("cancel", "collector", "errors", "graph", "models", "nodes.placement", "nodes.spec"),
        *("providers", "values", "workflow"),
    },
    "workflow": {"collector", "errors", "graph", "models.disk", "nodes.spec"},
    "export": {"cancel", "errors", "memory", "models", "providers.session", "sampling", "text", "values"},
    "nodes": {"errors", "models", "pixels", "resize", "sampling", "text", "values"},
    "dump": {"errors", "models", "nodes", "pixels", "sampling", "values"},
    "pixels": {"errors", "resize"},
    "providers": {"cancel", "errors", "memory", "models", "values"},
    "resize": {"errors"},
    "sampling": {"errors", "resize", "values"},
    "text": {"errors", "values"},
    "values": {"errors", "models"},
    "models": {"errors"},
    "graph": {"errors"},
    "cancel": {"errors"},
    "errors": set(),
    "collector": set(),
    "memory": set(),
    "assets": set(),
}
PACKAGES: dict[str, set[str]] = {
    "api": {"numpy"},
    "cli": {"rich", "typer"},
    "engine": {"numpy"},
    "export": {
        "accelerate",
        "diffusers",
        "numpy",
        "onnx",
        "onnxscript",
        "optimum",
        "PIL",
        "safetensors",
        "tokenizers",
        "torch",
        "transformers",
    },
    "models": {"numpy"},
    "nodes": {"numpy", "PIL"},
    "providers": {"numpy", "onnxruntime"},
    "resize": {"numpy", "PIL"},
    "pixels": {"numpy", "PIL"},
    "dump": {"numpy", "PIL"},
    "sampling": {"numpy"},
    "text": {"numpy"},
    "values": {"numpy"},
}
EXPORT_ONLY = {"torch", "diffusers", "transformers", "optimum", "onnx"}


def modules() -> dict[str, Path]:
    """Installed name -> file, of every module of the package."""
    found = {}
    for package, folder in SOURCES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def unit_of(module: str) -> str:
    """onnxflow.engine.plan -> engine; onnxflow -> __init__."""
    return [*module.split("."), "__init__"][1]


def imports(module: str, text: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """(line, absolute name) of all that a module imports; ``from a import b`` gives a.b."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func)
            if called in {"__import__", "import_module", "importlib.import_module"}:
                yield node.lineno, str(node.args[0].value)


def violations(module: str, text: str, *, is_package: bool = False) -> list[str]:
    """What is wrong with a module's imports, a line each."""
    unit = unit_of(module)
    found = []
    for line, name in imports(module, text, is_package=is_package):
        top = name.split(".")[0]
        if top == "onnxflow":
            target = unit_of(name)
            if target not in UNITS:  # `from onnxflow import run`: a public name
                target = "__init__"
            allowed = UNITS[unit]
            fine = target == unit or target in allowed or any(f"{name}.".startswith(f"onnxflow.{a}.") for a in allowed)
        else:
            fine = top in sys.stdlib_module_names or top in PACKAGES.get(unit, set())
        if not fine:
            found.append(f"{module}:{line} imports {name}")
    return found


def test_imports_are_allowed() -> None:
    found = []
    for module, path in MODULES.items():
        found += violations(module, path.read_text("utf-8"), is_package=path.name == "__init__.py")
    assert found == []


def test_every_unit_is_in_the_table() -> None:
    assert {unit_of(module) for module in MODULES} <= set(UNITS)


def test_table_keeps_heavy_packages_in_their_place() -> None:
    assert {unit for unit, packages in PACKAGES.items() if packages & EXPORT_ONLY} == {"export"}
    assert {unit for unit, packages in PACKAGES.items() if "onnxruntime" in packages} == {"providers"}
    assert not {"workflow", "graph", "errors"} & set(PACKAGES)
    assert {unit for unit, targets in UNITS.items() if "export" in targets} == {"cli"}


def test_table_points_down_only() -> None:
    def below(unit: str, path: tuple[str, ...]) -> None:
        assert unit not in path, " -> ".join([*path, unit])
        for target in UNITS[unit]:
            below(target.split(".")[0], (*path, unit))

    for unit in UNITS:
        below(unit, ())


def test_providers_and_export_are_imported_by_their_installed_names() -> None:
    found = []
    for folder in ("onnxflow", "export", "providers", "tests", "scripts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            names = imports("elsewhere", path.read_text("utf-8"))
            found += [f"{path}:{line}" for line, name in names if name.split(".")[0] in {"providers", "export"}]
    assert found == []


@pytest.mark.parametrize(
    ("module", "text", "wrong"),
    [
        ("onnxflow.nodes.latent", "import torch", "torch"),
        ("onnxflow.nodes.latent", "def f():\n    import onnxruntime as ort", "onnxruntime"),
        ("onnxflow.nodes.latent", "from onnxflow.engine import plan", "onnxflow.engine.plan"),
        ("onnxflow.nodes.latent", "from ..engine.plan import Plan", "onnxflow.engine.plan.Plan"),
        ("onnxflow.nodes.latent", "from onnxflow import run", "onnxflow.run"),
        ("onnxflow.nodes.latent", "import importlib\nimportlib.import_module('onnx')", "onnx"),
        ("onnxflow.engine.plan", "from onnxflow.nodes.latent import x", "onnxflow.nodes.latent.x"),
        ("onnxflow.engine.plan", "from onnxflow import nodes", "onnxflow.nodes"),
        ("onnxflow.engine.plan", "from onnxflow.nodes.specimen import x", "onnxflow.nodes.specimen.x"),
        ("onnxflow.workflow.check", "import numpy as np", "numpy"),
        ("onnxflow.graph.order", "if TYPE_CHECKING:\n    from onnxflow.values import Image", "onnxflow.values.Image"),
        ("onnxflow.export.trace", "import onnxruntime", "onnxruntime"),
        ("onnxflow.cli.run", "import providers", "providers"),
    ],
)
def test_violations_are_found(module: str, text: str, wrong: str) -> None:
    assert [found.rpartition(" ")[2] for found in violations(module, text)] == [wrong]


def test_allowed_imports_pass() -> None:
    assert violations("onnxflow.engine.plan", "from onnxflow.nodes.spec import NodeSpec\nimport numpy, json") == []
    assert violations("onnxflow.nodes", "from . import spec\nfrom .latent import x", is_package=True) == []
    assert violations("onnxflow.export.trace", "import torch\nfrom onnxflow.providers.session import x") == []
