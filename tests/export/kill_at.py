"""Run onnxflow, and kill it at the N-th time that Python is about to do something to a path that ends so:
`kill_at.py EVENT ENDING N ARGUMENT...`, with an audit event of Python (open, os.rename, shutil.rmtree ...)."""

import os
import signal
import sys

event, ending, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
seen = 0


def hook(name: str, arguments: tuple[object, ...]) -> None:
    """Count, and kill."""
    global seen
    if name == event and str(arguments[0]).endswith(ending):
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)


sys.argv[1:] = sys.argv[4:]
sys.addaudithook(hook)

from onnxflow.cli.main import main  # noqa: E402  # after the hook, which must see everything

main()
