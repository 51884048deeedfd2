"""The library's front door: ``onnxflow.run``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxflow.cancel import CancelToken
from onnxflow.engine.events import Listener
from onnxflow.engine.report import RunReport
from onnxflow.engine.run import interruptible, run_workflow
from onnxflow.errors import UsageError, shown
from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.placing import placing_of
from onnxflow.providers.probe import ProbedMachine
from onnxflow.providers.session import SessionCache
from onnxflow.settings import Settings, load_settings
from onnxflow.workflow.overrides import apply_overrides, apply_seed, override
from onnxflow.workflow.read import read_workflow, workflow_from_document


def run(
    workflow: str | os.PathLike[str] | Mapping[str, Any],
    *,
    overrides: Mapping[str, Any] | None = None,
    seed: int | None = None,
    models: Sequence[str | os.PathLike[str]] = (),
    input_dir: str | os.PathLike[str] | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    metadata: bool = True,
    place: str | Sequence[str] = (),
    fallback: str = "refuse",
    on_nan: str = "error",
    listener: Listener | None = None,
    cancel: CancelToken | None = None,
) -> RunReport:
    """Run a workflow, a path or a parsed API-format object, and report what it made.

    ``overrides`` maps "NODE.INPUT" (by id, or by class or title when only one node has it) to a value; ``seed`` sets
    every seed. Pictures are written below ``output_dir`` (default output/) and are in ``report.images`` as uint8 arrays
    [height, width, channels]; the files carry the workflow unless ``metadata`` is off. ``place`` says what runs where,
    as in "unet=cuda:0,vae=cpu" (components or node ids); a device that does not do it raises ProviderError, unless
    ``fallback`` is "allow". ``on_nan`` "upcast" repeats in fp32 what gave NaN. Raises the errors of
    ``onnxflow.errors``; Ctrl-C raises Cancelled.
    """
    settings = load_settings(
        [Path(folder) for folder in models],
        Path(input_dir) if input_dir is not None else None,
        Path(output_dir) if output_dir is not None else None,
        environment=os.environ,
        working_dir=Path.cwd(),
    )
    if isinstance(workflow, Mapping):
        loaded = workflow_from_document(dict(workflow))
    elif isinstance(workflow, (str, os.PathLike)):
        loaded = read_workflow(os.fspath(workflow))
    else:
        raise UsageError(f"a workflow is a path or an object, not {shown(workflow)}")
    catalog = builtin_catalog()
    loaded = apply_overrides(loaded, [override(name, value) for name, value in (overrides or {}).items()], catalog)
    if seed is not None:
        loaded, _ = apply_seed(loaded, seed)
    placing = placing_of(
        [place] if isinstance(place, str) else place,
        settings.place,
        fallback=fallback,
        on_nan=on_nan,
        machine=ProbedMachine(),
    )
    cancel = cancel or CancelToken()
    sessions = SessionCache()
    listeners = (listener,) if listener is not None else ()
    disk = disk_of(settings)
    try:
        return interruptible(
            lambda: run_workflow(
                loaded, catalog, disk, sessions, listeners=listeners, cancel=cancel, metadata=metadata, placing=placing
            ),
            cancel,
        )
    finally:
        sessions.close()


def disk_of(settings: Settings) -> Disk:
    """Folders and models for ``settings``. Previews go to a new folder below the system's temporary one."""
    # A name that nobody can guess: in a shared folder, a link could lie in wait under a known one.
    temp = Path(tempfile.gettempdir()) / f"onnxflow-{os.urandom(8).hex()}"
    return Disk(Folders(settings.input_dir, settings.output_dir, temp), ModelStore(settings.models))
