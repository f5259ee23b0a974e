"""An executor of daemon threads, and a wait that Ctrl-C ends at once.

``ThreadPoolExecutor`` joins its threads when it shuts down and when Python exits. One request without an answer
would then delay Ctrl-C until its timeout. Daemon threads need no join.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from queue import Empty, SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

_WAIT_SECONDS: Final = 0.1


def as_ended(
    futures: Collection[Future[_T]], seconds: float | None = None, *, stop: threading.Event | None = None
) -> Iterator[Future[_T]]:
    """Yield each future as it ends, until ``seconds`` have passed or ``stop`` is set.

    Ctrl-C raises within a tenth of a second. A signal just before Python waits for a lock does not end
    that wait, so each wait here is short.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    waiting = set(futures)
    while waiting and (deadline is None or time.monotonic() < deadline) and not (stop and stop.is_set()):
        ended, waiting = wait(waiting, timeout=_WAIT_SECONDS, return_when=FIRST_COMPLETED)
        yield from ended


class DaemonThreads(Executor):
    """An executor whose threads do not keep Python from exiting.

    Use ``as_ended`` to wait for the futures. Leaving its ``with`` block does not wait: tasks under way
    continue, and tasks that have not begun are cancelled.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Queue ``fn`` for the next free thread and return its future."""
        future: Future[_T] = Future()
        self._waiting.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:
        """End each thread after its task. ``wait``: join them. ``cancel_futures``: cancel what has not begun."""
        while cancel_futures:
            try:
                waiting = self._waiting.get_nowait()
            except Empty:
                break
            if waiting is not None and waiting[0].cancel():
                waiting[0].set_running_or_notify_cancel()  # wakes those who wait for it
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            future, function = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001  # the caller of `result` gets it, whatever it is
                future.set_exception(error)
            else:
                future.set_result(result)
            del task, future, function
