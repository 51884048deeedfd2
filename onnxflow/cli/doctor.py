"""``onnxflow doctor``: what works here, what does not, and the one command that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onnxflow.providers.doctor import Finding, Folder
    from onnxflow.providers.machine import Machine
    from onnxflow.providers.placement import Wish


def doctor(
    json_: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON document.")] = False,
) -> None:
    """Try every device and look for what is wrong. Exit code 0: all is well; 1: there is something to mend."""
    from onnxflow.cli.trying import say_what_is_tried
    from onnxflow.providers.doctor import findings
    from onnxflow.providers.examine import examine
    from onnxflow.providers.probe import ProbedMachine

    folders, wishes, wrong = _settings()
    with say_what_is_tried() as tell:
        machine = ProbedMachine(refresh=True, tell=tell)
        seen = examine(machine, folders)
        wrong += [finding for wish in wishes if (finding := unfulfilled(wish, machine)) is not None]
    found = (*findings(seen), *wrong)
    problems = [finding for finding in found if finding.severity == "problem"]
    if json_:
        _print_json(found)
    else:
        _print_lines(found)
        count = f"{len(problems)} {'things' if len(problems) > 1 else 'thing'} to mend"
        typer.echo(count if problems else "all is well")
    if problems:
        raise typer.Exit(1)


def unfulfilled(wish: Wish, machine: Machine) -> Finding | None:
    """What is wrong with a device that the configuration file names; None when it works."""
    from onnxflow.providers.device import CPU
    from onnxflow.providers.doctor import Finding

    health = machine.health(wish.device) if wish.device not in (None, CPU) else None
    if health is None or health.works:
        return None
    return Finding("problem", "settings", f"{wish.origin} names {wish.device}: {health.problem}", health.cure)


def _settings() -> tuple[list[Folder], list[Wish], list[Finding]]:
    """The folders and the wishes in the settings; what is wrong with the settings."""
    import os
    from pathlib import Path

    from onnxflow.errors import UsageError
    from onnxflow.placing import placing_of
    from onnxflow.providers.doctor import Finding, Folder
    from onnxflow.providers.examine import writable
    from onnxflow.settings import load_settings

    try:
        settings = load_settings(environment=os.environ, working_dir=Path.cwd())
        wishes = list(dict.fromkeys(placing_of([], settings.place).profile.values()))
    except UsageError as error:
        where = f" ({error.where})" if error.where else ""
        return [], [], [Finding("problem", "settings", error.message + where, error.hint)]
    output = settings.output_dir
    folders = [Folder("output", output, writable(output), "name another one with --output-dir")]
    folders += [Folder("models", path, writable(path), needed=False) for path in settings.models]
    return folders, wishes, []


def _print_lines(found: tuple[Finding, ...]) -> None:
    from onnxflow.errors import printable

    first = max(len(finding.severity) for finding in found)
    second = max(len(finding.what) for finding in found)
    for finding in found:
        typer.echo(f"{finding.severity:<{first}}  {finding.what:<{second}}  {printable(finding.why)}".rstrip())
        if finding.cure:
            typer.echo(f"{'':<{first}}  {'':<{second}}  try: {printable(finding.cure)}")


def _print_json(found: tuple[Finding, ...]) -> None:
    import json
    from dataclasses import asdict

    document = {
        "ok": all(finding.severity != "problem" for finding in found),
        "findings": [asdict(finding) for finding in found],
    }
    typer.echo(json.dumps(document, indent=2))
