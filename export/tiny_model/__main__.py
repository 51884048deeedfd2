"""`python -m onnxflow.export.tiny_model`: train the embedded model from nothing, judge it, and export it.

Killed at any moment, it goes on where it was when it is started again; when all is done, it does nothing.
"""

import argparse
import os
import sys
from pathlib import Path

from onnxflow.errors import OnnxflowError
from onnxflow.export.tiny_model.config import RECIPE, check_workers, longer, read_recipe
from onnxflow.export.tiny_model.crew import run_crew
from onnxflow.export.tiny_model.device import DEVICES, choose_device
from onnxflow.export.tiny_model.stages import REPORT, STAGES, is_done, run


def main(arguments: list[str]) -> int:
    """Run the stages up to the one asked for; 0 when done, 1 when something failed on the way, 2 for arguments, a
    recipe or a folder that make no sense."""
    parser = argparse.ArgumentParser(prog="python -m onnxflow.export.tiny_model", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("build/tiny-model"), help="folder for checkpoints, log and results"
    )
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="another recipe file")
    parser.add_argument("--stage", choices=STAGES, default=STAGES[-1], help="the last stage to run (default: all)")
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="where to train (default: a GPU if there is one)"
    )
    parser.add_argument("--longer", type=int, default=1, metavar="N", help="train the UNet N times as long, for a GPU")
    options = parser.parse_args(arguments)
    try:
        recipe = longer(read_recipe(options.recipe), options.longer)
        device = choose_device(options.device)
        workers = recipe.machine.workers if device == "cpu" else 1
        check_workers(recipe, workers)
        if is_done(recipe, options.out):
            print(f"already done: {options.out / REPORT}")
            return 0
        run_crew(workers, run, (recipe, options.out, options.stage, device))
    except (OSError, ValueError, FloatingPointError, OnnxflowError) as error:
        print(f"tiny_model: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    except KeyboardInterrupt:
        print("tiny_model: stopped; start it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main(sys.argv[1:]))
