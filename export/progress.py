"""How far an export is: what is being done, and how much of all the work lies behind."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moment:
    """What is being done now; how much work is done, of how much in all, and how much of it before this start.

    Work is counted in estimated seconds; all are zero as long as nothing is estimated.
    """

    now: str
    done: float = 0.0
    total: float = 0.0
    before: float = 0.0


Say = Callable[[str], None]
Show = Callable[[Moment], None]


class Progress:
    """Tells of one export: lines, for `say`, and how far it is, for `show`."""

    def __init__(self, say: Say, show: Show) -> None:
        self._say, self._show = say, show
        self._moment = Moment("")
        self._pending = 0.0

    @property
    def now(self) -> str:
        """What is being done."""
        return self._moment.now

    def __call__(self, line: str) -> None:
        """Something that is to be read later, too."""
        self._say(line)

    def start(self, total: float, before: float) -> None:
        """From here on it is known how much work there is, and how much of it was done by an earlier start."""
        self._moment = Moment(self._moment.now, before, total, before)

    def begin(self, now: str, work: float = 0.0) -> None:
        """What was begun before is done; now something else is, and so much work."""
        done = self._moment.done + self._pending
        self._moment = Moment(now, done, self._moment.total, self._moment.before)
        self._pending = work
        self._show(self._moment)
