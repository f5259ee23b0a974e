"""Daemon threads for requests, and a wait that Ctrl-C ends at once.

``ThreadPoolExecutor`` joins its threads when it shuts down and when Python exits. One request without an answer
would then delay Ctrl-C until its timeout. Daemon threads need no join.

Python in a browser (Pyodide) has neither threads nor processes. There, work is done in the caller's thread.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, ParamSpec, Self, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

HAS_THREADS: Final = sys.platform != "emscripten"
"""Whether this Python can start threads and processes. Pyodide, which is built with Emscripten, cannot."""

_WAIT_SECONDS: Final = 0.1


def as_ended(
    futures: Collection[Future[_T]], seconds: float | None = None, *, stop: threading.Event | None = None
) -> Iterator[Future[_T]]:
    """Yield each future as it ends, until ``seconds`` have passed or ``stop`` is set.

    Ctrl-C raises within a tenth of a second. A signal just before Python waits for a lock does not end
    that wait, so each wait here is short.
    """
    deadline = time.monotonic() + (math.inf if seconds is None else seconds)
    waiting = set(futures)
    while waiting and time.monotonic() < deadline and not (stop and stop.is_set()):
        ended, waiting = wait(waiting, timeout=_WAIT_SECONDS, return_when=FIRST_COMPLETED)
        yield from ended


class DaemonThreads:
    """Threads that run functions and do not keep Python from exiting. Use ``as_ended`` to wait for the futures.

    Where ``HAS_THREADS`` is false, ``submit`` runs the function before it returns.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = threads if HAS_THREADS else 0
        for number in range(self._threads):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def submit(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Queue ``function`` for the next free thread and return its future."""
        future: Future[_T] = Future()
        call = partial(function, *args, **kwargs)
        if HAS_THREADS:
            self._tasks.put((future, call))
        else:
            _run(future, call)
        return future

    def shutdown(self) -> None:
        """Cancel the tasks that have not begun, and end each thread after its task. Do not wait for them."""
        with suppress(Empty):
            while task := self._tasks.get_nowait():
                task[0].cancel()
                task[0].set_running_or_notify_cancel()  # wakes those who wait for it
        for _ in range(self._threads):
            self._tasks.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            _run(*task)
            del task


def _run(future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001  # ``future.result`` raises it
        future.set_exception(error)
    else:
        future.set_result(result)
