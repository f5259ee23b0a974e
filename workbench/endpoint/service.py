"""The endpoint as a service: a socket, one process or several behind it, and the line that says where it is."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable
from typing import Protocol

from workbench.endpoint.serving import FIRST_LINE, Serving, listen
from workbench.endpoint.settings import MEMORY, Settings
from workbench.exceptions import BadInput


class Running(Protocol):
    """A server in this process, or several in others."""

    def obey(self, command: str, arguments: Iterable[str] = ()) -> None:
        """Do what somebody asks for while it runs; see ``Server.obey``."""

    def run(self, listening: socket.socket) -> None:
        """Serve until told to stop."""

    def stop(self) -> None:
        """Make ``run`` end; from any thread."""


def serve(
    settings: Settings,
    serving: Serving,
    *,
    inherited: tuple[socket.socket, str] | None = None,
    attend: Callable[[Running], None] | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or ``stop``; print the base URL first.

    ``inherited`` is a socket that listens already, with the base URL behind it; ``attend`` is given what is
    about to run. Raises ``BadInput`` for what does not go together, ``EndpointError`` for what cannot be used.
    """
    _check(settings, serving)
    listening = inherited[0] if inherited else listen(serving)
    with listening:
        base_url = inherited[1] if inherited else serving.url_at(listening.getsockname()[1])
        running = _running(settings, serving, base_url, listening)
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
