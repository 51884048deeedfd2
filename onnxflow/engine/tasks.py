"""What runs beside the nodes that are called one by one: coroutines, on an event loop in a thread of its own, and with
``--jobs`` plain calls in a few threads more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar

from onnxflow.cancel import CancelToken
from onnxflow.errors import Cancelled

_T = TypeVar("_T")
Work = Coroutine[Any, Any, Any]

_PATIENCE: Final = 5.0  # seconds


class Tasks(Generic[_T]):
    """The coroutines of one run, and plain calls in up to ``threads`` threads. ``close`` cancels the coroutines that
    still run, waits for calls, and ends the threads."""

    def __init__(self, cancel: CancelToken, threads: int = 0) -> None:
        self._cancel = cancel
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._done: SimpleQueue[tuple[_T, list[Any] | BaseException] | None] = SimpleQueue()
        self.running = 0

    def start(self, owner: _T, coroutines: Sequence[Callable[[], Work]]) -> None:
        """Run coroutines side by side; ``finished`` gives the owner with all their results, or the first error."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="onnxflow-tasks", daemon=True)
            self._thread.start()
        self.running += 1
        asyncio.run_coroutine_threadsafe(self._together(owner, coroutines), self._loop)

    def call(self, owner: _T, work: Callable[[], list[Any]]) -> None:
        """Have plain calls done in a thread; ``finished`` gives the owner with their results, or the error."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "onnxflow-job")
        self.running += 1
        self._pool.submit(self._called, owner, work)

    def finished(self, *, wait: bool) -> tuple[_T, list[Any] | BaseException] | None:
        """The next owner whose work is done, or None; with ``wait``, not before there is one, and Cancelled when
        the run is stopped meanwhile."""
        with self._cancel.calling(lambda: self._done.put(None)):
            while True:
                try:
                    found = self._done.get(block=wait)
                except Empty:
                    return None
                self._cancel.check()
                if found is not None:
                    self.running -= 1
                    return found

    def close(self) -> None:
        """End everything."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(_end(), self._loop)
        self._thread.join(_PATIENCE)  # a coroutine that never waits cannot hear of it
        if not self._thread.is_alive():
            self._loop.close()
        self._loop = None

    def _called(self, owner: _T, work: Callable[[], list[Any]]) -> None:
        try:
            found: list[Any] | BaseException = work()
        except BaseException as error:  # handed to the run's own thread
            found = error
        self._done.put((owner, found))

    async def _together(self, owner: _T, coroutines: Sequence[Callable[[], Work]]) -> None:
        tasks = [asyncio.ensure_future(start()) for start in coroutines]
        found: list[Any] | BaseException
        try:
            found = list(await asyncio.gather(*tasks))
        except asyncio.CancelledError:
            await _settle(tasks)
            found = Cancelled()
        except BaseException as error:  # handed to the run's own thread
            await _settle(tasks)
            found = error
        self._done.put((owner, found))


async def _settle(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _end() -> None:
    """Cancel everything on the loop, give it a second to clean up, and stop the loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=1.0)
    asyncio.get_running_loop().stop()
