"""Serving the endpoint in this process until told to stop.

uvicorn underneath, on asyncio's own loop (with 200 connections at once uvloop left some unanswered for
seconds). Several processes may serve one socket: see ``workers``.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
from collections.abc import Iterable
from typing import Any, Final

import uvicorn

from workbench.endpoint import log
from workbench.endpoint.alerts import AlertingSSLObject
from workbench.endpoint.application import Application
from workbench.endpoint.asgi import Shell
from workbench.endpoint.commands import obey
from workbench.endpoint.faults import Faults
from workbench.endpoint.protocol import SpineProtocol
from workbench.endpoint.serving import STOP_SECONDS, Serving
from workbench.endpoint.settings import Settings
from workbench.errors import EndpointError

_KEEP_ALIVE_SECONDS: Final = 600
"""Long, for a person who thinks between two requests: a connection closed just as the next one is sent leaves
a write without an answer."""


class Server:
    """One process's share of an endpoint: an application and its faults behind a socket that listens."""

    def __init__(self, settings: Settings, serving: Serving, base_url: str) -> None:
        """Open the database and read the certificates; raises ``EndpointError`` for what cannot be used."""
        log.configure(serving.log_format)
        _raise_the_limit_of_connections()
        self._faults = Faults(settings.faults, seed=settings.seed)
        self._application: Application = settings.application(base_url)
        config = uvicorn.Config(
            Shell(self._application, self._faults, names=serving.names_at(base_url)),
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
            **_tls(serving),
        )
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            self._application.close()
            why = error.strerror or "they do not belong together, or are not in PEM"
            raise EndpointError(f"The certificate, its key or the CA cannot be used: {why}.") from None
        if isinstance(config.ssl, ssl.SSLContext):
            config.ssl.sslobject_class = AlertingSSLObject
        self._server = uvicorn.Server(config)

    def obey(self, command: str, arguments: Iterable[str] = ()) -> None:
        """Do what a line of standard input says; see ``commands``."""
        obey(self._application, self._faults, command, arguments)

    def run(self, listening: socket.socket) -> None:
        """Serve until SIGINT, SIGTERM or ``stop``; what is in flight is finished first."""
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn has stopped cleanly and raises it again
            self._server.run(sockets=[listening])
        self._application.close()

    def stop(self) -> None:
        """Make ``run`` end; from any thread."""
        self._server.should_exit = True


def _tls(serving: Serving) -> dict[str, Any]:
    if serving.tls_cert is None:
        return {}
    options: dict[str, Any] = {"ssl_certfile": serving.tls_cert, "ssl_keyfile": serving.tls_key}
    if serving.client_ca is not None:
        options |= {"ssl_ca_certs": serving.client_ca, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return options


def _raise_the_limit_of_connections() -> None:
    """Let this process have as many connections as the system allows, not as many as a shell suggests."""
    if sys.platform == "win32":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
