"""`make bench-models`: a denoiser of Stable Diffusion 1.5's size with random weights, exported in every precision, and
one pair of calls (a batch of two, as guidance needs it) at 512 x 512 pixels beside PyTorch in one run.

CPU-seconds of one thread, median of the runs, every measurement in a process of its own; file sizes, peak memory, the
error relative to PyTorch; also the seconds and the peak memory of the export. Exit code 1 when a required bound is
missed.
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
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

REQUIRED = {"fp32": 1.0, "int8": 0.5, "int8-static": 0.5}  # of PyTorch's CPU-seconds, at most
GOAL = {"int8": 7.2, "int8-static": 7.2}  # CPU-seconds
PRECISIONS = ("fp32", "fp16", "int8", "int8-static")


def main(arguments: list[str]) -> int:
    """Measure everything and print a table; 1 when a required bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", type=int, default=512, help="side of the picture")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=["fp32", "int8", "int8-static"])
    parser.add_argument("--keep", type=Path, help="a folder for the exported graphs, which are used again")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        what, folder = options.measure
        print(json.dumps(MEASURES[what.partition(":")[0]](what.partition(":")[2], Path(folder), options)))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        return compare(options, options.keep or Path(temporary))


def compare(options: argparse.Namespace, folder: Path) -> int:
    """All measurements, each in a process of its own."""
    from importlib.metadata import version

    folder.mkdir(parents=True, exist_ok=True)
    print(
        f"{platform.platform()}, Python {platform.python_version()}, torch {version('torch')}, "
        f"onnxruntime {version('onnxruntime')}, {os.cpu_count()} cores, one used; {options.pixels} pixels, "
        f"median of {options.runs}"
    )
    torch_seconds = child(options, "torch", folder)
    rows = [("", "CPU-s", "of torch", "MB", "peak MB", "error", "export s", "export MB")]
    rows.append(
        ("torch fp32", f"{torch_seconds['seconds']:.2f}", "1.00", "", f"{torch_seconds['peak']:.0f}", "", "", "")
    )
    missed = []
    for precision in options.precisions:
        made = child(options, f"export:{precision}", folder)
        found = child(options, f"run:{precision}", folder)
        ratio = found["seconds"] / torch_seconds["seconds"]
        numbers = (found["seconds"], ratio, made["size"], found["peak"], found["error"], made["seconds"], made["peak"])
        formats = ("{:.2f}", "{:.2f}", "{:.0f}", "{:.0f}", "{:.1e}", "{:.0f}", "{:.0f}")
        rows.append((precision, *(form.format(number) for form, number in zip(formats, numbers, strict=True))))
        if ratio > REQUIRED.get(precision, float("inf")):
            missed.append(f"MISSED: {precision} takes {ratio:.2f} of torch's time, required <= {REQUIRED[precision]}")
        if precision in GOAL and options.pixels == 512:
            reached = "reached" if found["seconds"] <= GOAL[precision] else "missed"
            rows.append((f"  goal {reached}", f"<= {GOAL[precision]}", "", "", "", "", "", ""))
    for row in rows:
        print("  ".join(cell.rjust(10) for cell in row))
    print("\n".join(missed))
    return 1 if missed else 0


def child(options: argparse.Namespace, what: str, folder: Path) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--pixels", str(options.pixels), "--runs", str(options.runs)]
    done = subprocess.run([*command, "--measure", what, str(folder)], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {what}: {found}", file=sys.stderr, flush=True)
    return found


def network() -> Any:
    """The denoiser, the same every time."""
    import torch
    from diffusers import UNet2DConditionModel

    from onnxflow.export.single_file import unet_config
    from onnxflow.models.layout.unet import UnetShape

    torch.set_num_threads(1)
    torch.manual_seed(1)
    shape = UnetShape(4, 4, (320, 640, 1280, 1280), 2, (1, 1, 1, 0), 1, 768, False, None, None)
    return UNet2DConditionModel(**unet_config(shape, "sd1")).eval()


def feeds(pixels: int) -> dict[str, np.ndarray]:
    """A pair of latents, times and texts."""
    rng = np.random.default_rng(1)
    side = pixels // 8
    return {
        "sample": rng.standard_normal((2, 4, side, side)).astype(np.float32),
        "timestep": np.full(2, 500, np.float32),
        "encoder_hidden_states": rng.standard_normal((2, 77, 768)).astype(np.float32),
    }


def measure_torch(_: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """PyTorch, eager, in float32."""
    import torch

    unet = network()
    given = {name: torch.from_numpy(value) for name, value in feeds(options.pixels).items()}

    def call() -> np.ndarray:
        with torch.no_grad():
            result: np.ndarray = unet(
                given["sample"], given["timestep"], encoder_hidden_states=given["encoder_hidden_states"]
            ).sample.numpy()
        return result

    np.save(folder / f"torch-{options.pixels}.npy", call())
    return {"seconds": timed(call, options.runs), "peak": peak()}


def measure_export(precision: str, folder: Path, _: argparse.Namespace) -> dict[str, float]:
    """The export of the denoiser alone, without the calibration that int8-static needs."""
    from onnxflow.export.bundle import CALIBRATION, write_component
    from onnxflow.export.components import unet
    from onnxflow.export.steps import STATIC, plan

    (step,) = plan(["unet"], "sd1", [precision], "fp32")
    path = folder / precision / "model.onnx"
    started = time.process_time()
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        component = unet(network())
        if precision == STATIC:
            path.with_name(CALIBRATION).write_text(calibrated(component.module.network))
            started = time.process_time()
        write_component(step, component, path)
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    return {"seconds": time.process_time() - started, "peak": peak(), "size": size / 1e6}


def calibrated(unet: Any) -> str:
    """What a calibration writes, of random latents and texts: a network of random weights draws nothing."""
    import torch

    from onnxflow.export.calibration import calibrate

    given = {name: torch.from_numpy(value) for name, value in feeds(256).items()}

    def call() -> None:
        with torch.no_grad():
            unet(given["sample"], given["timestep"], encoder_hidden_states=given["encoder_hidden_states"])

    return calibrate(unet, [call], call).encode()


def measure_run(precision: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """An exported graph in ONNX Runtime."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    path = folder / precision / "model.onnx"
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    given = feeds(options.pixels)
    for value in session.get_inputs():
        if "residual" in value.name:
            given[value.name] = np.zeros((1, 1, 1, 1), np.float32)
    wanted = np.load(folder / f"torch-{options.pixels}.npy")
    error = float(np.linalg.norm(session.run(None, given)[0] - wanted) / np.linalg.norm(wanted))
    return {"seconds": timed(lambda: session.run(None, given), options.runs), "peak": peak(), "error": error}


MEASURES = {"torch": measure_torch, "export": measure_export, "run": measure_run}


def timed(call: Any, runs: int) -> float:
    """Median CPU-seconds of a call that was made once before."""
    seconds = []
    for _ in range(runs):
        started = time.process_time()
        call()
        seconds.append(time.process_time() - started)
    return statistics.median(seconds)


def peak() -> float:
    """The most memory that this process had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
