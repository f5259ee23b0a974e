"""Several processes behind one socket and one database: started together, replaced when one ends, stopped together.

The parent serves nothing itself. It holds each worker's standard input, so that all of them stop when it
does, however that happens; the socket stays open while a worker is replaced, so nobody is turned away.
"""

from __future__ import annotations

import dataclasses
import logging
import signal
import socket
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Final

from workbench.endpoint import log
from workbench.endpoint.process import ServerProcess
from workbench.endpoint.serving import Serving
from workbench.endpoint.settings import Settings
from workbench.errors import EndpointError

_log: Final = logging.getLogger("workbench.endpoint.workers")

_MOST_FAILURES: Final = 5
"""A worker that does not come up so often in a row will not be mended by starting it again."""


class Workers:
    """The workers of one endpoint."""

    def __init__(self, settings: Settings, serving: Serving, base_url: str, listening: socket.socket) -> None:
        """Start them all; raises ``EndpointError`` if one cannot start, and then none is left."""
        log.configure(serving.log_format)
        self._settings, self._serving = settings, serving
        self._base_url, self._listening = base_url, listening
        self._ending = threading.Event()
        self._turn = threading.Lock()
        self._alone = dataclasses.replace(serving, workers=1)
        # The first one alone: what is wrong with the database is said once, and it is reset once.
        self._workers = [self._start()]
        self._settings = dataclasses.replace(settings, reset=False)
        with ThreadPoolExecutor() as pool:
            starts = [pool.submit(self._start) for _ in range(serving.workers - 1)]
        self._workers += [start.result() for start in starts if start.exception() is None]
        if len(self._workers) < serving.workers:
            self._stop_all()
            raise EndpointError("Not all of the endpoint's workers could be started.")

    def obey(self, command: str, arguments: Iterable[str] = ()) -> None:
        """Have it done: a reset once, for they share the database; all else by each."""
        arguments = tuple(arguments)
        with self._turn:
            for worker in self._workers[:1] if command == "reset" else self._workers:
                worker.ask(command, arguments)
            if command == "faults":
                self._settings = dataclasses.replace(self._settings, faults=arguments)

    def run(self, listening: socket.socket) -> None:  # noqa: ARG002  # the workers have inherited it
        """Watch over them until SIGINT, SIGTERM or ``stop``; then let each finish what is in flight."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        watchers = [
            threading.Thread(target=self._watch, args=(place,), daemon=True) for place in range(len(self._workers))
        ]
        for watcher in watchers:
            watcher.start()
        self._ending.wait()
        self._stop_all()
        for watcher in watchers:
            watcher.join()

    def stop(self) -> None:
        """Make ``run`` end; from any thread."""
        self._ending.set()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # Not here: the thread that is interrupted may be holding the event's own lock.
        threading.Thread(target=self.stop).start()

    def _start(self) -> ServerProcess:
        return ServerProcess(self._settings, self._alone, descriptor=self._listening.fileno(), base_url=self._base_url)

    def _watch(self, place: int) -> None:
        """Keep one place filled."""
        while True:
            code = self._workers[place].wait()
            if self._ending.is_set():
                return
            _log.error("worker %s ended with code %s; another takes its place", self._workers[place].pid, code)
            if not any(self._replace(place) for _ in range(_MOST_FAILURES)):
                _log.critical("a worker cannot be started; the endpoint stops")
                self.stop()
                return

    def _replace(self, place: int) -> bool:
        """Start another in this place; false if it did not come up."""
        with self._turn:
            if self._ending.is_set():
                return True
            self._workers[place].stop()
            try:
                self._workers[place] = self._start()
            except EndpointError:
                _log.exception("a worker did not start")
                return False
        return True

    def _stop_all(self) -> None:
        with self._turn:
            enders = [threading.Thread(target=worker.stop) for worker in self._workers]
            for ender in enders:
                ender.start()
            for ender in enders:
                ender.join()
