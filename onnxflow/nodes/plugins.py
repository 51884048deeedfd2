"""Node classes of installed packages, which name a module of them under the entry point ``onnxflow.nodes``.

The module declares typed functions with ``onnxflow.nodes.spec.node``, as our own do. One that cannot be loaded is told
with the reason, and everything else works.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Final

from onnxflow.errors import printable, shown
from onnxflow.nodes.catalog import NodeCatalog, specs_of
from onnxflow.nodes.spec import NodeSpec

GROUP: Final = "onnxflow.nodes"


def load_plugins(catalog: NodeCatalog, found: Iterable[EntryPoint] | None = None) -> tuple[NodeCatalog, list[str]]:
    """The catalog with the classes of all plug-ins, and what is to be said of them, a line each.

    A class whose name is taken is left out; plug-ins come in the order of their names.
    """
    points = entry_points(group=GROUP) if found is None else found
    specs: dict[str, NodeSpec] = {}
    owners = dict.fromkeys(catalog, "onnxflow itself")
    said: list[str] = []
    for point in sorted(points, key=lambda one: one.name):
        brought, problem = _load(point)
        if problem:
            said.append(f"the plug-in {printable(point.name)} is not available: {problem}")
        for spec in brought:
            if spec.name in owners:
                name = f"the class {shown(spec.name)} of the plug-in {printable(point.name)}"
                said.append(f"{name} is left out: {owners[spec.name]} has one of that name")
                continue
            owners[spec.name] = f"the plug-in {printable(point.name)}"
            specs[spec.name] = spec
    return (catalog.with_specs(specs.values()) if specs else catalog), said


def _load(point: EntryPoint) -> tuple[list[NodeSpec], str]:
    """The classes of a plug-in, and why there are none."""
    try:
        module = point.load()
    except (Exception, SystemExit) as error:  # whatever another's module raises
        return [], f"{type(error).__name__}: {printable(str(error))}"
    if not isinstance(module, ModuleType):
        return [], f"{printable(point.value)} is no module"
    specs = specs_of(module)
    return specs, "" if specs else f"the module {printable(point.value)} declares no node"
