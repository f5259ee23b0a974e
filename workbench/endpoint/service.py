"""The endpoint as a service: a socket, one process or several behind it, and the line that says where it is."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Protocol

from workbench.endpoint.serving import FIRST_LINE, Serving, listen
from workbench.endpoint.settings import MEMORY, Settings
from workbench.errors import BadInput


class Running(Protocol):
    """A server in this process, or several in others."""

    def obey(self, command: str, arguments: Iterable[str] = ()) -> None:
        """Do what somebody asks for while it runs; see ``Server.obey``."""

    def run(self, listening: socket.socket) -> None:
        """Serve until told to stop."""

    def stop(self) -> None:
        """Make ``run`` end; from any thread."""


class UntilItServes:
    """A handler that ends the process at SIGTERM, as long as the server has not put its own in place.

    The interpreter drops an exception that is raised while it runs a callback, such as those of an import. So the
    signal is remembered too.
    """

    asked = False
    raises = True
    """False where an exception would do harm; then the signal is remembered, and stops what is running."""

    running: Running | None = None

    def __init__(self) -> None:
        signal.signal(signal.SIGTERM, self)

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """End the process, now or when it would begin to serve."""
        self.asked = True
        if self.raises:
            raise SystemExit(0)
        if self.running is not None:
            self.running.stop()


def serve(
    settings: Settings,
    serving: Serving,
    *,
    until: UntilItServes,
    inherited: tuple[socket.socket, str] | None = None,
    attend: Callable[[Running], None] | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or ``stop``; print the base URL first.

    ``inherited`` is a socket that listens already, with the base URL behind it; ``attend`` is given what is
    about to run; ``until`` handles SIGTERM before. Raises ``BadInput`` for what does not go together,
    ``EndpointError`` for what cannot be used.
    """
    _check(settings, serving)
    listening = inherited[0] if inherited else listen(serving)
    with listening:
        base_url = inherited[1] if inherited else serving.url_at(listening.getsockname()[1])
        # Interrupted while it starts workers, it could forget the one that is just being started.
        until.raises = serving.workers == 1
        running = _running(settings, serving, base_url, listening)
        until.running, until.raises = running, False
        if until.asked:
            raise SystemExit(0)
        if attend:
            attend(running)
        print(f"{FIRST_LINE}{base_url}", flush=True)  # noqa: T201
        running.run(listening)


def _running(settings: Settings, serving: Serving, base_url: str, listening: socket.socket) -> Running:
    # Whoever only watches over workers need not load what it takes to answer.
    if serving.workers > 1:
        from workbench.endpoint.workers import Workers

        return Workers(settings, serving, base_url, listening)
    from workbench.endpoint.server import Server

    return Server(settings, serving, base_url)


def _check(settings: Settings, serving: Serving) -> None:
    if serving.workers == 1:
        return
    if settings.db == MEMORY:
        raise BadInput("Several workers need a database that they share; give --db a file, or postgresql://….")
    if settings.clock is not None:
        raise BadInput("A lesson's clock is one process's own; use one worker.")
    if sys.platform == "win32":
        raise BadInput("Several workers on one port are not to be had on Windows; use one.")
