"""Progress of a long training: one line now and then on the screen and in a log file, with the time left."""

import time
from collections.abc import Callable
from pathlib import Path

Log = Callable[[str], None]


def open_log(path: Path) -> Log:
    """A function that prints a line with the time of day and appends it to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def log(line: str) -> None:
        stamped = f"{time.strftime('%H:%M:%S')} {line}"
        print(stamped, flush=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(stamped + "\n")

    return log


def duration(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 3 min 10 s, 1 h 02 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
