"""The work of ``onnxflow run``: the workflow with its flags applied, run once or ``--count`` times."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from onnxflow.api import disk_of, nodes_of
from onnxflow.cancel import CancelToken
from onnxflow.cli.json_events import JsonEvents
from onnxflow.cli.previews import Previews
from onnxflow.cli.progress import open_progress
from onnxflow.cli.summary import (
    print_details,
    print_dumped,
    print_fallen_back,
    print_summary,
    tell_stopping,
    tell_tried,
)
from onnxflow.cli.texts import Texts
from onnxflow.engine.cache import ResultCache
from onnxflow.engine.events import Event, Listener
from onnxflow.engine.report import RunReport
from onnxflow.engine.run import interruptible, run_workflow
from onnxflow.engine.watch import Watch
from onnxflow.errors import OnnxflowError, UsageError, did_you_mean, printable, shown
from onnxflow.placing import LOADING_CHOICES, machine_of, placing_of
from onnxflow.providers.session import SessionCache
from onnxflow.settings import load_settings
from onnxflow.values import SEED_RULES, SeedRule
from onnxflow.workflow.definitions import definitions
from onnxflow.workflow.overrides import (
    apply_overrides,
    apply_seed,
    parse_override,
    raise_seeds,
    seeded_nodes,
    seeds,
)
from onnxflow.workflow.read import EDITORS, Reading, named, parse_workflow, read_file
from onnxflow.workflow.watched import watched_nodes
from onnxflow.workflow.workflow import Workflow

if TYPE_CHECKING:
    from onnxflow.dump.dump import Dump


class Turns:
    """One workflow and its flags, ready to run; the constructor refuses flags that make no sense."""

    def __init__(
        self,
        workflow: Path,
        sets: Sequence[str],
        seed: int | None,
        count: int,
        models: Sequence[Path],
        input_dir: Path | None,
        output_dir: Path | None,
        *,
        extra: Sequence[Path] = (),
        map_model: Sequence[str] = (),
        custom_nodes: Sequence[Path] | None = (),
        metadata: bool,
        place: Sequence[str] = (),
        fallback: str,
        on_nan: str,
        loading: str = LOADING_CHOICES[0],
        seed_rule: str = SEED_RULES[0],
        jobs: int = 1,
        prompt_seed: int = 0,
        preview: str | None = None,
        dump: Sequence[str] = (),
        dump_dir: str | None = None,
        quiet: bool = False,
    ) -> None:
        if seed_rule not in SEED_RULES:
            raise UsageError(
                f"--seed-rule {shown(seed_rule)} is none of its choices",
                hint=did_you_mean(seed_rule, SEED_RULES, what="allowed"),
            )
        if preview == "":  # which as a path would be the working folder
            raise UsageError("--preview: the folder's name is empty", hint="name a folder; . is the working one")
        if dump_dir is not None:
            _check_dump_dir(dump_dir, dump)
        self._seed_rule: SeedRule = seed_rule  # type: ignore[assignment]
        self._overrides = [parse_override(text) for text in sets]
        settings = load_settings(
            models,
            input_dir,
            output_dir,
            extra=extra,
            map_model=map_model,
            custom_nodes=custom_nodes,
            environment=os.environ,
            working_dir=Path.cwd(),
        )
        self._cancel = CancelToken()
        machine = machine_of(self._cancel, None if quiet else tell_tried)
        self._placing = placing_of(
            place, settings.place, fallback=fallback, on_nan=on_nan, machine=machine, loading=loading
        )
        self._jobs = jobs
        self._quiet = quiet
        self._disk = disk_of(settings)
        self._catalog, packs = nodes_of(settings, self._disk)
        if not quiet:
            for line in packs:
                print(f"note: {printable(line)}", file=sys.stderr)
        self._data, self._where = read_file(workflow), named(workflow)
        self._reading = Reading(definitions(self._catalog, self._disk), prompt_seed)
        self._count = count
        self._seeded: tuple[str, ...] | None = None
        self._seed = seed
        self._metadata = metadata
        self._base = self._read(0)
        if count > 1 and not seeds(self._base) and self._read(1).document == self._base.document:
            raise UsageError(
                f"--count {count}: the workflow has no typed-in seed to raise, every turn would draw the same",
                where=str(workflow),
                hint="leave --count away, or give a sampler's seed a number",
            )
        self._watch, self._dump = None, None
        if dump:
            watched = watched_nodes(self._base, dump, self._catalog)
            self._dump = _dump_in(Path.cwd() / dump_dir if dump_dir else settings.output_dir / "dump", count)
            self._watch = Watch(watched, self._dump)
        self._previews = Previews(Path.cwd() / preview, count) if preview is not None else None

    def _read(self, turn: int) -> Workflow:
        """The workflow with its flags applied; its prompts choose anew in every turn."""
        reading = replace(self._reading, seed=self._reading.seed + turn)
        loaded = apply_overrides(parse_workflow(self._data, self._where, reading), self._overrides, self._catalog)
        if self._seed is not None:
            loaded, self._seeded = apply_seed(loaded, self._seed)
        return loaded

    def run(self, json_events: JsonEvents | None, out: TextIO, *, verbose: bool) -> None:
        """Every turn in order: pictures are written, their paths (or the events) printed as soon as they are there."""
        sessions = SessionCache()
        quiet = self._quiet
        # Turns share what does not depend on the seed; the rest would only fill the memory.
        cache = ResultCache() if self._count > 1 else None
        if self._seeded is not None and not quiet:
            names = ", ".join(self._seeded)
            print(f"seed {self._seed} for {names}" if names else "the workflow has no seed to set", file=sys.stderr)
        for turn in range(self._count):
            base = self._read(turn) if turn and EDITORS in self._base.extra else self._base
            current = raise_seeds(base, turn) if turn else base
            last = turn == self._count - 1
            if self._count > 1 and not quiet:
                used = ", ".join(f"{name}={value}" for name, value in seeds(current).items())
                print(f"run {turn + 1} of {self._count}: {used}", file=sys.stderr)
            with open_progress(current.graph, quiet=quiet, stream=sys.stderr) as progress:
                tell: Listener = json_events or partial(_print_paths, out)
                texts = Texts(current.graph)
                listeners: list[Listener] = [
                    progress,
                    texts,
                    self._previews.before(tell, turn) if self._previews else tell,
                ]
                volatile = seeded_nodes(current) if not last else frozenset[str]()
                work = partial(
                    run_workflow,
                    current,
                    self._catalog,
                    self._disk,
                    sessions,
                    cache=cache,
                    listeners=listeners,
                    cancel=self._cancel,
                    metadata=self._metadata,
                    volatile=volatile,
                    placing=self._placing,
                    seed_rule=self._seed_rule,
                    jobs=self._jobs,
                    watch=self._watch,
                )
                report = self._run(work, turn)
            if json_events:
                json_events.report(report)
            if verbose:
                print_details(report, sys.stderr)
            if not quiet:
                print_summary(report, sys.stderr)
                texts.print(sys.stderr)
                if self._dump is not None:
                    print_dumped(self._dump.written, self._dump.remarks, sys.stderr)
            print_fallen_back(report.sessions, sys.stderr)
        sessions.close()
        if self._dump is not None:
            self._dump.check()

    def _run(self, work: Callable[[], RunReport], turn: int) -> RunReport:
        """One turn. Where it fails, it is said what was dumped before: that is what helps to find out why."""
        if self._dump is None:
            return interruptible(work, self._cancel, tell_stopping)
        self._dump.begin(turn)
        try:
            return interruptible(work, self._cancel, tell_stopping)
        except OnnxflowError:
            if not self._quiet:
                print_dumped(self._dump.written, self._dump.remarks, sys.stderr)
            raise


def _check_dump_dir(folder: str, names: Sequence[str]) -> None:
    if not names:
        raise UsageError("--dump-dir without --dump writes nothing", hint='add --dump NODE, or --dump "*" for all')
    if not folder:  # which as a path would be the working folder
        raise UsageError("--dump-dir: the folder's name is empty", hint="name a folder; . is the working one")


def _dump_in(folder: Path, turns: int) -> Dump:
    from onnxflow.dump.dump import Dump  # it brings all that draws plots

    # stderr is looked up when it speaks: a progress bar stands in for it.
    return Dump(folder, turns, lambda line: print(printable(line), file=sys.stderr))


def _print_paths(out: TextIO, event: Event) -> None:
    """Print the paths of files as soon as they are written; on a terminal through the bar that is drawn there."""
    for file in event.saved:
        print(file.path, file=sys.stdout if out.isatty() else out, flush=True)
