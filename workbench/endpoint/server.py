"""Serving an application on a socket in this process, with uvicorn.

It runs on asyncio's own loop: with 200 connections at once, uvloop left some without a response for seconds.
Several processes may serve one socket; see ``process.Workers``.
"""

from __future__ import annotations

import contextlib
import importlib
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

import uvicorn

from workbench.endpoint import log
from workbench.endpoint.application import build_application, run_command
from workbench.endpoint.asgi import AsgiApplication
from workbench.endpoint.faults import Faults
from workbench.endpoint.protocol import AlertingSSLObject, SpineProtocol
from workbench.endpoint.settings import STOP_SECONDS, Serving, Settings
from workbench.errors import EndpointError

_KEEP_ALIVE_SECONDS: Final = 600
"""Long, for a person who thinks between two requests. A write on a connection that is just being closed would get
no response."""


class SocketServer:
    """An ASGI application, served on a socket by this process."""

    def __init__(self, application: Any, serving: Serving) -> None:
        """Read the certificates; raise ``EndpointError`` if they cannot be used."""
        log.configure(serving.log_format)
        _raise_connection_limit()
        tls: dict[str, Any] = {}
        if serving.tls_cert is not None:
            tls = {"ssl_certfile": serving.tls_cert, "ssl_keyfile": serving.tls_key}
        if serving.client_ca is not None:
            tls |= {"ssl_ca_certs": serving.client_ca, "ssl_cert_reqs": ssl.CERT_REQUIRED}
        config = uvicorn.Config(
            application,
            http=SpineProtocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
            **tls,
        )
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            why = error.strerror or "they do not belong together, or are not in PEM"
            raise EndpointError(f"The certificate, its key or the CA cannot be used: {why}.") from None
        if isinstance(config.ssl, ssl.SSLContext):
            config.ssl.sslobject_class = AlertingSSLObject
        self._server = _UvicornServer(config)

    def run(self, listening: socket.socket, on_start: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGINT, SIGTERM or ``stop``; then finish the requests in flight.

        ``on_start`` is called once signals no longer end the process at once.
        """
        self._server.on_start = on_start
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after a clean stop
            self._server.run(sockets=[listening])

    def stop(self) -> None:
        """Make ``run`` end; from any thread."""
        self._server.should_exit = True


class Server:
    """An application and its faults, served by this process."""

    def __init__(self, settings: Settings, serving: Serving, base_url: str) -> None:
        """Open the database and read the certificates; raise ``EndpointError`` for what cannot be used."""
        self._faults = Faults(settings.faults, seed=settings.seed)
        self._application = build_application(settings, base_url)
        asgi = AsgiApplication(self._application, self._faults, names=serving.names_at(base_url))
        try:
            self._server = SocketServer(asgi, serving)
        except EndpointError:
            self._application.close()
            raise

    def run_command(self, command: str, arguments: Iterable[str] = ()) -> None:
        """Run one command; see ``application.run_command``."""
        run_command(self._application, self._faults, command, arguments)

    def run(self, listening: socket.socket, on_start: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGINT, SIGTERM or ``stop``; see ``SocketServer.run``. Then close the database."""

        def start() -> None:
            on_start()
            # Reads are answered meanwhile; a write waits for it. Not a daemon: an import should not be cut off at exit.
            threading.Thread(target=importlib.import_module, args=("workbench.endpoint.validation",)).start()

        try:
            self._server.run(listening, start)
        finally:
            self._application.close()

    def stop(self) -> None:
        """Make ``run`` end; from any thread."""
        self._server.stop()


class _UvicornServer(uvicorn.Server):
    on_start: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_start()


def _raise_connection_limit() -> None:
    """Let this process open as many files as the system allows; a shell's default is lower."""
    if sys.platform == "win32":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
