"""`make bench-providers`: one model's networks on every device that works here, and what placing and checking cost.

The denoiser is called as guidance calls it (two samples), the decoder with one; wall and CPU seconds a call are
medians, every device in a process of its own. "of a run" is what a run of 20 steps spends on placement, on reading
back what ran where, and on looking for NaN, measured beside the calls themselves. Exit code 1 when that is more than
1 % for a model that was named: the embedded one is too quick for a share to say anything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ALLOWED = 0.01
STEPS = 20


def main(arguments: list[str]) -> int:
    """Measure every device and print a table; 1 when checking costs more than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="an exported model's folder; the embedded one without")
    parser.add_argument("--pixels", type=int, help="side of the picture; the model's own without")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--components", nargs="+", default=["unet", "vae_decoder"])
    parser.add_argument("--devices", nargs="+", help="cpu and what else works here, without")
    parser.add_argument("--measure", nargs=2, metavar=("DEVICE", "COMPONENT"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measure(options, *options.measure)))
        return 0
    return compare(options)


def compare(options: argparse.Namespace) -> int:
    """All measurements, each in a process of its own."""
    from onnxflow.providers.probe import ProbedMachine
    from onnxflow.providers.wheels import installed

    machine = ProbedMachine()
    devices = options.devices or [str(device) for device in machine.devices() if machine.health(device).works]
    wheels = ", ".join(f"{name} {version}" for name, version in installed().items())
    print(
        f"{platform.platform()}, Python {platform.python_version()}, {wheels}, {os.cpu_count()} cores;"
        f" {options.model or 'the embedded model'}, median of {options.runs}"
    )
    columns = ("", "wall s", "of the CPU", "CPU-s", "read s", "compile s", "again s", "first s", "peak MB", "error")
    rows = [(*columns, "of a run")]
    worst = 0.0
    for component in options.components:
        base = 0.0
        for device in devices:
            first = child(options, device, component)
            again = child(options, device, component)  # what was compiled is kept
            base = base or first["wall"]
            worst = max(worst, first["share"])
            rows.append(
                (
                    f"{component} {first['variant']}, {device}",
                    f"{first['wall']:.3f}",
                    f"{first['wall'] / base:.2f}",
                    f"{first['cpu']:.3f}",
                    f"{first['read']:.2f}",
                    f"{first['compile']:.2f}",
                    f"{again['compile']:.2f}",
                    f"{first['first']:.2f}",
                    f"{first['peak']:.0f}",
                    f"{first['error']:.1e}",
                    f"{first['share']:.3%}",
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    print(f"placing, reading back and checking: at most {worst:.3%} of a run of {STEPS} steps, allowed {ALLOWED:.0%}")
    return int(worst > ALLOWED and options.model is not None)


def child(options: argparse.Namespace, device: str, component: str) -> dict[str, Any]:
    """What a process measured."""
    command = [sys.executable, "-P", __file__, "--runs", str(options.runs), "--measure", device, component]
    for name in ("model", "pixels"):
        if getattr(options, name) is not None:
            command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(options: argparse.Namespace, device_text: str, component: str) -> dict[str, Any]:
    """One network on one device: seconds, memory, error, and the cost of placing and checking a run of its calls."""
    from onnxflow.cancel import CancelToken
    from onnxflow.engine.warm import feeds_of
    from onnxflow.models.bundle import open_bundle
    from onnxflow.models.reference import read_reference, reference_file
    from onnxflow.models.store import embedded_folder
    from onnxflow.providers.assignment import assignment_of
    from onnxflow.providers.device import parse_device
    from onnxflow.providers.numbers import bad_share
    from onnxflow.providers.placement import Placer, Wish
    from onnxflow.providers.probe import ProbedMachine
    from onnxflow.providers.session import SessionKey, load_graph

    bundle = open_bundle(options.model or embedded_folder())
    device = parse_device(device_text)
    started = time.perf_counter()
    placer = Placer(ProbedMachine())
    placement = placer.place(Wish(device), bundle, component)
    placing = time.perf_counter() - started
    graph = load_graph(
        bundle, SessionKey(bundle.identity, component, placement.variant, device, split=placement.split), CancelToken()
    )
    error = float("nan")
    if not device.fixed:
        reference = read_reference(bundle.path(reference_file(component)))
        error = reference.error(graph.run(reference.inputs, CancelToken()))
    side = options.pixels or bundle.manifest.width
    feeds = feeds_of(bundle, component, side, side, 2 if component == "unet" else 1)
    graph.run(feeds, CancelToken())
    facts = graph.facts
    walls, cpus, checks = [], [], []
    for _ in range(options.runs):
        wall, cpu = time.perf_counter(), time.process_time()
        outputs = graph.run(feeds, CancelToken())
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        started = time.perf_counter()
        assert not bad_share(outputs)
        checks.append(time.perf_counter() - started)
    started = time.perf_counter()
    session = getattr(graph, "_session", None)
    if session is not None:
        assignment_of(session)
    truth = time.perf_counter() - started
    calls = STEPS if component == "unet" else 1
    overhead = placing + truth + calls * statistics.median(checks)
    return {
        "variant": placement.variant,
        "wall": statistics.median(walls),
        "cpu": statistics.median(cpus),
        "read": facts.load_seconds,
        "compile": facts.build_seconds,
        "first": facts.first_seconds,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "error": error if np.isfinite(error) else -1.0,
        "share": overhead / (STEPS * statistics.median(walls)),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
