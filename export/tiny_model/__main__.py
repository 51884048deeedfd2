"""`python -m onnxflow.export.tiny_model`: train the embedded model from nothing, judge it, and export it.

Killed at any moment, it goes on where it was when it is started again; when all is done, it does nothing.
"""

import argparse
import os
import sys
from pathlib import Path

from onnxflow.export.tiny_model.config import RECIPE, read_recipe
from onnxflow.export.tiny_model.crew import run_crew
from onnxflow.export.tiny_model.stages import STAGES, run


def main(arguments: list[str]) -> int:
    """Run the stages up to the one asked for; 0 when done, 2 for arguments or a recipe that make no sense."""
    parser = argparse.ArgumentParser(prog="python -m onnxflow.export.tiny_model", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("build/tiny-model"), help="folder for checkpoints, log and results"
    )
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="another recipe file")
    parser.add_argument("--stage", choices=STAGES, default=STAGES[-1], help="the last stage to run (default: all)")
    options = parser.parse_args(arguments)
    try:
        recipe = read_recipe(options.recipe)
        if (options.out / "report.txt").exists():
            print(f"already done: {options.out / 'report.txt'}")
            return 0
        run_crew(recipe.machine.workers, run, (recipe, options.out, options.stage))
    except (OSError, ValueError) as error:
        print(f"tiny_model: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tiny_model: stopped; start it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main(sys.argv[1:]))
