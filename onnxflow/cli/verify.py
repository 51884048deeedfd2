"""``onnxflow verify``: is a model what its manifest says, and does it still compute what PyTorch computed?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    bundle: Annotated[Path, typer.Argument(help="The folder of an exported model.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say what is wrong only.")] = False,
) -> None:
    """Check a model's files against their SHA-256, and its graphs against what PyTorch gave at export."""
    from onnxflow.cancel import CancelToken
    from onnxflow.engine.verify import check_files, verdicts
    from onnxflow.errors import ModelError, UsageError
    from onnxflow.models.bundle import open_bundle

    if not bundle.is_dir():
        raise UsageError(
            f"{bundle} is no folder", hint="name an exported model's folder; `onnxflow models` prints them"
        )
    model = open_bundle(bundle)
    check_files(model, lambda name: None if quiet else typer.echo(f"reading {name}", err=True))
    wrong = []
    for verdict in verdicts(model, CancelToken()):
        line = (
            f"{verdict.component}, {verdict.variant}: {verdict.error:.1e} from PyTorch ({verdict.at_export:.1e} at "
            f"export, allowed {verdict.allowed:.0e})"
        )
        if not verdict.right:
            wrong.append(line)
        elif not quiet:
            typer.echo(line)
    if not wrong and not quiet:
        typer.echo("all files and graphs are right")
    if wrong:
        raise ModelError(
            "; ".join(wrong), where=str(bundle), hint="another version of ONNX Runtime may compute it right: report it"
        )
