"""Node packs of others, loaded from folders that the user named, never from a workflow.

A pack is a folder with an ``__init__.py`` or a single file, as in ComfyUI's custom_nodes. One that cannot be loaded is
listed with the reason, and everything else works.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from onnxflow.errors import UsageError, printable, shown
from onnxflow.models.disk import Disk
from onnxflow.nodes.catalog import NodeCatalog
from onnxflow.nodes.comfy import settled, spec_of_class
from onnxflow.nodes.comfy_io import ComfyNode, older
from onnxflow.nodes.comfy_modules import KEPT_OUT, stand_ins
from onnxflow.nodes.spec import NodeSpec

_OF_COMFYUI: Final = frozenset(
    [
        "comfy",
        "comfy_api",
        "comfy_api_nodes",
        "comfy_config",
        "comfy_execution",
        "comfy_extras",
        "execution",
        "latent_preview",
        "nodes",
        "node_helpers",
        "server",
    ]
)
_PREFIX: Final = "onnxflow_custom_nodes"


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack: its name, where it lies, the classes it brings, why it brings none (``problem``), and those of its
    classes that are left out, with the reasons."""

    name: str
    path: Path
    classes: tuple[str, ...] = ()
    problem: str = ""
    refused: tuple[str, ...] = ()

    @property
    def remarks(self) -> list[str]:
        """What is to be said of the pack, a line each."""
        said = [f"not available: {self.problem}"] if self.problem else self.refused
        return [f"custom nodes of the pack {self.name}: {line}" for line in said]


def load_custom_nodes(
    folders: Sequence[Path], catalog: NodeCatalog, disk: Disk
) -> tuple[NodeCatalog, tuple[Pack, ...]]:
    """The catalog with the classes of every pack in ``folders``, and the packs.

    A class whose name is taken is left out: packs come in the order of the folders, and of their names. UsageError for
    a folder that is not there. What packs print while they load goes to stderr.
    """
    owners = dict.fromkeys(catalog, "onnxflow itself")
    specs: list[NodeSpec] = []
    packs: list[Pack] = []
    with stand_ins(disk), redirect_stdout(sys.stderr):
        for path in _found(folders):
            pack, brought = _load(path, len(packs), owners)
            packs.append(pack)
            specs += brought
    return catalog.with_specs(specs), tuple(packs)


def _found(folders: Sequence[Path]) -> Iterator[Path]:
    """The packs in the folders."""
    for folder in folders:
        try:
            entries = sorted(folder.iterdir(), key=lambda path: path.name)
        except OSError as error:
            raise UsageError(
                f"the folder of custom nodes cannot be read: {error.strerror or error}",
                where=str(folder),
                hint="name a folder as ComfyUI's custom_nodes, or use --no-custom-nodes",
            ) from None
        for path in entries:
            if path.name.startswith((".", "__")) or path.name.endswith(".disabled"):
                continue
            if (path / "__init__.py").is_file() or (path.suffix == ".py" and path.is_file()):
                yield path


def _load(path: Path, number: int, owners: dict[str, str]) -> tuple[Pack, list[NodeSpec]]:
    """One pack and its classes; names that it takes are added to ``owners``."""
    name = path.stem if path.is_file() else path.name
    module_name = f"{_PREFIX}_{number}_{''.join(c if c.isalnum() else '_' for c in name)}"
    try:
        classes, titles = _classes_of(_imported(path, module_name))
    except (Exception, SystemExit) as error:
        for loaded in [known for known in sys.modules if f"{known}.".startswith(f"{module_name}.")]:
            del sys.modules[loaded]
        return Pack(name, path, problem=_reason(error)), []
    specs, refused = [], []
    for class_name, cls in classes.items():
        if class_name in owners:
            refused.append(f"{shown(class_name)} is left out: {owners[class_name]} has one of that name")
            continue
        try:
            spec = spec_of_class(class_name, cls, display_name=titles.get(class_name), module=f"custom_nodes.{name}")
        except Exception as error:  # whatever INPUT_TYPES raises
            reason = printable(str(error)) or type(error).__name__
            refused.append(f"{shown(class_name)} is left out: {reason}")
            continue
        owners[class_name] = f"the pack {name}"
        specs.append(spec)
    return Pack(name, path, tuple(spec.name for spec in specs), refused=tuple(refused)), specs


def _imported(path: Path, module_name: str) -> ModuleType:
    """The pack as a module."""
    package = path.is_dir()
    file = path / "__init__.py" if package else path
    spec = importlib.util.spec_from_file_location(
        module_name, file, submodule_search_locations=[str(path)] if package else None
    )
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


def _classes_of(module: ModuleType) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """The classes of a pack by name, and their titles; ValueError when it says neither in the older nor in the newer
    way what it brings."""
    mappings = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if isinstance(mappings, Mapping):
        titles = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None)
        return {str(k): v for k, v in mappings.items()}, titles if isinstance(titles, Mapping) else {}
    entry = getattr(module, "comfy_entrypoint", None)
    if not callable(entry):
        raise ValueError("it has neither NODE_CLASS_MAPPINGS nor comfy_entrypoint")
    found: tuple[Mapping[str, Any], Mapping[str, str]] = settled(_newer(entry))
    return found


async def _newer(entry: Any) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    extension = entry()
    if hasattr(extension, "__await__"):
        extension = await extension
    await extension.on_load()
    classes, titles = {}, {}
    for node in await extension.get_node_list():
        if not (isinstance(node, type) and issubclass(node, ComfyNode)):
            raise ValueError(f"its comfy_entrypoint gives {shown(node, 60)}, which is no ComfyNode")
        schema = node.define_schema()
        classes[schema.node_id] = older(node)
        titles[schema.node_id] = schema.display_name or schema.node_id
    return classes, titles


def _reason(error: BaseException) -> str:
    """Why a pack cannot be loaded, on one line."""
    if isinstance(error, ImportError) and error.name:
        if error.name.partition(".")[0] in KEPT_OUT:
            return f"it imports {error.name}: nodes run without PyTorch here and are given numpy arrays"
        if error.name.partition(".")[0] in _OF_COMFYUI and isinstance(error, ModuleNotFoundError):
            return f"it imports {error.name}, a part of ComfyUI that is not here"
        if isinstance(error, ModuleNotFoundError):
            return f"it imports {error.name}, which is not installed"
    return printable(f"{type(error).__name__}: {error}")
