"""The library's front door: ``onnxflow.run``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from onnxflow.cancel import CancelToken
from onnxflow.engine.events import Listener
from onnxflow.engine.report import RunReport
from onnxflow.engine.run import interruptible, run_workflow
from onnxflow.engine.watch import Watch
from onnxflow.errors import UsageError, shown
from onnxflow.models.disk import Disk, Folders
from onnxflow.nodes.catalog import NodeCatalog, builtin_catalog
from onnxflow.placing import FALLBACKS, LOADING_CHOICES, machine_of, placing_of
from onnxflow.providers.session import ON_NAN, SessionCache
from onnxflow.settings import Settings, load_settings, store_of
from onnxflow.values import SEED_RULES, SeedRule
from onnxflow.workflow.definitions import definitions
from onnxflow.workflow.overrides import apply_overrides, apply_seed, override
from onnxflow.workflow.read import Reading, read_workflow, workflow_from_document
from onnxflow.workflow.watched import watched_nodes

_PLACE_HINT: Final = 'allowed: a text as "unet=cuda:0,vae=cpu", several of them, or a mapping as {"unet": "cuda:0"}'


def run(
    workflow: str | os.PathLike[str] | Mapping[str, Any],
    *,
    overrides: Mapping[str, Any] | None = None,
    seed: int | None = None,
    prompt_seed: int = 0,
    models: Sequence[str | os.PathLike[str]] = (),
    extra_model_paths: Sequence[str | os.PathLike[str]] = (),
    map_model: Mapping[str, str] | None = None,
    custom_nodes: Sequence[str | os.PathLike[str]] | None = (),
    input_dir: str | os.PathLike[str] | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    metadata: bool = True,
    place: str | Sequence[str] | Mapping[str, str] = (),
    fallback: str = "refuse",
    on_nan: str = "error",
    loading: str = "auto",
    seed_rule: SeedRule = "next",
    jobs: int = 1,
    dump: str | Sequence[str] = (),
    dump_dir: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
    cancel: CancelToken | None = None,
) -> RunReport:
    """Run a workflow, a path or a parsed object in either of ComfyUI's formats, and report what it made.

    ``overrides`` maps "NODE.INPUT" (by id, or by class or title when only one node has it) to a value; ``seed`` sets
    every seed, ``prompt_seed`` the choices in prompts such as "{red|green} car" of the editor's format.
    ``extra_model_paths`` are files as ComfyUI's extra_model_paths.yaml; ``map_model`` has for the name of a model in
    the workflow that of one that is here. ``custom_nodes`` are folders as ComfyUI's, whose packs are loaded: their code
    runs; None for none, not even custom_nodes/ in the working folder. Pictures are written below ``output_dir``
    (default output/) and are in ``report.images`` as uint8 arrays [height, width, channels]; the files carry the
    workflow unless ``metadata`` is off. With ``jobs`` above 1 so many nodes that run no network run at once. ``place``
    says what runs where, as in "unet=cuda:0,vae=cpu" or {"unet": "cuda:0"} (components or node ids); a device that does
    not do it raises ProviderError, unless ``fallback`` is "allow". ``on_nan`` "upcast" repeats in fp32 what gave NaN.
    ``loading`` says how the CPU loads a .safetensors checkpoint's networks: "low-memory", "default", "fast", or "auto",
    which looks at the free memory and the steps. ``seed_rule`` "same" draws the noise of a sampler's steps from the
    seed itself, as ComfyUI did until 2025, and not from the next one. ``dump`` names nodes, as ``overrides`` does, or
    "*" for all that run: their results are written below ``dump_dir`` (default dump/ in the output folder) as pictures,
    plots and numbers, each as soon as it is there, and listed in ``report.dumped``; OutputError at the end, with the
    pictures saved, when that failed. ``listener`` is called with every ``engine.events.Event``; one whose ``preview``
    is not None draws a sampler's step when that is called: a ``values.Preview`` with the bytes of a JPEG, or None.
    Raises the errors of ``onnxflow.errors``; Ctrl-C raises Cancelled.
    """
    choices = (
        ("fallback", fallback, FALLBACKS),
        ("on_nan", on_nan, ON_NAN),
        ("loading", loading, LOADING_CHOICES),
        ("seed_rule", seed_rule, SEED_RULES),
    )
    for name, value, allowed in choices:
        if not isinstance(value, str) or value not in allowed:
            raise UsageError(f"{name} is {shown(value)}", hint=f"allowed: {', '.join(map(repr, allowed))}")
    if not isinstance(jobs, int) or jobs < 1:
        raise UsageError(f"jobs is {shown(jobs)}", hint="allowed: a whole number from 1 on")
    places = _placements(place)
    settings = load_settings(
        [Path(folder) for folder in models],
        Path(input_dir) if input_dir is not None else None,
        Path(output_dir) if output_dir is not None else None,
        extra=[Path(file) for file in extra_model_paths],
        map_model=[f"{old}={new}" for old, new in (map_model or {}).items()],
        custom_nodes=[Path(folder) for folder in custom_nodes] if custom_nodes is not None else None,
        environment=os.environ,
        working_dir=Path.cwd(),
    )
    disk = disk_of(settings)
    catalog, packs = nodes_of(settings, disk)
    reading = Reading(definitions(catalog, disk), prompt_seed)
    if isinstance(workflow, Mapping):
        loaded = workflow_from_document(dict(workflow), reading=reading)
    elif isinstance(workflow, (str, os.PathLike)):
        loaded = read_workflow(os.fspath(workflow), reading)
    else:
        raise UsageError(f"a workflow is a path or an object, not {shown(workflow)}")
    loaded = apply_overrides(loaded, [override(name, value) for name, value in (overrides or {}).items()], catalog)
    if seed is not None:
        loaded, _ = apply_seed(loaded, seed)
    cancel = cancel or CancelToken()
    machine = machine_of(cancel)
    placing = placing_of(places, settings.place, fallback=fallback, on_nan=on_nan, machine=machine, loading=loading)
    dumped = None
    if dump_dir is not None and not os.fspath(dump_dir):
        raise UsageError("dump_dir: the folder's name is empty", hint="name a folder; . is the working one")
    names = _names(dump)
    if dump_dir is not None and not names:
        raise UsageError("dump_dir without dump writes nothing", hint='add dump="NODE", or dump="*" for all')
    if names:
        from onnxflow.dump.dump import Dump  # it brings all that draws plots

        watched = watched_nodes(loaded, names, catalog)
        dumped = Dump(Path(dump_dir).absolute() if dump_dir is not None else settings.output_dir / "dump")
    sessions = SessionCache()
    listeners = (listener,) if listener is not None else ()
    try:
        report = interruptible(
            lambda: run_workflow(
                loaded,
                catalog,
                disk,
                sessions,
                listeners=listeners,
                cancel=cancel,
                metadata=metadata,
                placing=placing,
                seed_rule=seed_rule,
                jobs=jobs,
                watch=Watch(watched, dumped) if dumped is not None else None,
            ),
            cancel,
        )
    finally:
        sessions.close()
    if dumped is not None:
        dumped.check()
    return replace(report, remarks=(*report.remarks, *packs)) if packs else report


def _names(dump: object) -> list[str]:
    """The names of nodes to dump; UsageError."""
    if isinstance(dump, str):
        return [dump]
    names = []
    for name in dump if isinstance(dump, Sequence) else [dump]:
        if not isinstance(name, str):
            raise UsageError(f"dump has {shown(name)} in it", hint='allowed: ids, classes and titles of nodes, or "*"')
        names.append(name)
    return names


def _placements(place: object) -> list[str]:
    """The placements as texts; UsageError."""
    if isinstance(place, str):
        return [place]
    texts: list[object] = []
    if isinstance(place, Mapping):
        for key, value in place.items():
            if not all(isinstance(part, str) and "," not in part for part in (key, value)) or "=" in value:
                raise UsageError(f"place has {shown(key)}: {shown(value)}", hint=_PLACE_HINT)
            texts.append(f"{key}={value}")
    elif isinstance(place, Sequence):
        texts += place
    else:
        raise UsageError(f"place is {shown(place)}", hint=_PLACE_HINT)
    found = []
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f"place has {shown(text)} in it", hint=_PLACE_HINT)
        found.append(text)
    return found


def nodes_of(settings: Settings, disk: Disk) -> tuple[NodeCatalog, list[str]]:
    """Our node classes, those of plug-ins and those of node packs; and what is to be said of these, a line each."""
    catalog = builtin_catalog()
    if not settings.plugins:
        return catalog, []
    from onnxflow.nodes.plugins import load_plugins

    catalog, said = load_plugins(catalog)
    if not settings.custom_nodes:
        return catalog, said
    from onnxflow.nodes.custom_nodes import load_custom_nodes

    catalog, packs = load_custom_nodes(settings.custom_nodes, catalog, disk)
    return catalog, [*said, *(line for pack in packs for line in pack.remarks)]


def disk_of(settings: Settings) -> Disk:
    """Folders and models for ``settings``. Previews go to a new folder below the system's temporary one."""
    # A name that nobody can guess: in a shared folder, a link could lie in wait under a known one.
    temp = Path(tempfile.gettempdir()) / f"onnxflow-{os.urandom(8).hex()}"
    return Disk(Folders(settings.input_dir, settings.output_dir, temp), store_of(settings))
