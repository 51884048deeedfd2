"""``onnxflow providers``: the devices there are, how fast each was, and how to get others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from onnxflow.providers.host import Host
    from onnxflow.providers.probe import ProbedMachine

_COLUMNS = ("device", "what", "fp32", "fp16", "state", "wheel")


def providers(
    json_: Annotated[bool, typer.Option("--json", help="Print them as one JSON document.")] = False,
    refresh: Annotated[bool, typer.Option(help="Try again what is remembered.")] = False,
) -> None:
    """List the devices with their measured speed. Each is tried once, and what came of it is remembered."""
    import json

    from onnxflow.cli.trying import say_what_is_tried
    from onnxflow.errors import printable
    from onnxflow.providers.host import this_host
    from onnxflow.providers.probe import ProbedMachine

    host = this_host()
    with say_what_is_tried() as tell:
        machine = ProbedMachine(refresh=refresh, tell=tell)
        rows = _rows(machine, host)
    others = _others({row["device"].partition(":")[0] for row in rows}, host)
    if json_:
        typer.echo(json.dumps({"devices": rows, **others}, indent=2))
        return
    table = [tuple(name.upper() for name in _COLUMNS)]
    table += [tuple(printable(_cell(row, name)) for name in _COLUMNS) for row in rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(_COLUMNS))]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    typer.echo("\nFP32 and FP16 are GFLOP/s, measured with a small network.")
    for row in rows:
        for one in row["limits"] if row["works"] else [row]:
            typer.echo(
                printable(f"{row['device']}: {one['problem']}" + (f"; try: {one['cure']}" if one["cure"] else ""))
            )
    available = "; ".join(f"{name}: {command}" for name, command in others["available"].items())
    if available:
        typer.echo(f"not installed: {available}")
    if others["elsewhere"]:
        typer.echo(f"without a wheel for {host.platform} on {host.machine}: {', '.join(others['elsewhere'])}")


def _rows(machine: ProbedMachine, host: Host) -> list[dict[str, Any]]:
    """A device a row, those that do not work last."""
    from onnxflow.providers.device import CPU
    from onnxflow.providers.doctor import limits
    from onnxflow.providers.machine import Health
    from onnxflow.providers.offer import Offer
    from onnxflow.providers.wheels import wheel_of

    listing = machine.listing()
    rows = []
    for offer in (Offer(CPU, host.processor, listing.problem, listing.cure), *listing.offers):
        device = offer.device
        health = Health(device, False, offer.problem, offer.cure) if offer.problem else machine.measured(device)
        rows.append(
            {
                "device": str(device),
                "what": offer.what or f"{device.facts.title} {device.facts.units.get(device.unit, '')}".strip(),
                **{name: health.speed.get(name) for name in ("fp32", "fp16")},
                "works": health.works,
                "problem": health.problem,
                "cure": health.cure,
                "limits": [{"problem": problem, "cure": cure} for problem, cure in limits(health)],
                "wheel": " ".join(wheel_of(device.provider)).strip(),
            }
        )
    return sorted(rows, key=lambda row: not row["works"])


def _cell(row: dict[str, Any], name: str) -> str:
    if name == "state":
        return "works" if row["works"] else "does not work"
    value = row[name]
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return str(value or "-")


def _others(there: set[str], host: Host) -> dict[str, Any]:
    """The providers that are not installed: how to get those that have a wheel for this machine, and the rest."""
    from onnxflow.providers.catalog import PROVIDERS
    from onnxflow.providers.doctor import wheels_here
    from onnxflow.providers.install import install_command

    available, elsewhere = {}, []
    for facts in PROVIDERS:
        if facts.name in there:
            continue
        wheels = wheels_here(facts, host)
        if wheels:
            available[facts.name] = install_command(wheels[-1] if wheels[-1].plugin else wheels[0])
        else:
            elsewhere.append(facts.name)
    return {"available": available, "elsewhere": elsewhere}
