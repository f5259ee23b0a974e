"""Serving the endpoint in this process until told to stop.

uvicorn underneath, on asyncio's own loop (with 200 connections at once uvloop left some unanswered for
seconds). The socket is bound before the server starts, so the port is known and a busy one is refused
in words. Several processes may serve one socket: see ``workers``.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import uvicorn

from workbench.endpoint import log
from workbench.endpoint.app import Application
from workbench.endpoint.asgi import Shell
from workbench.endpoint.commands import obey
from workbench.endpoint.faults import Faults
from workbench.endpoint.protocol import SpineProtocol
from workbench.endpoint.routing import BASE_PATH
from workbench.endpoint.settings import Settings
from workbench.exceptions import BadInput, EndpointError

FIRST_LINE: Final = "Spine endpoint at "
"""What ``serve`` prints first, followed by the base URL."""

STOP_SECONDS: Final = 5
"""How long requests in flight have to come to their end once the service stops."""

_KEEP_ALIVE_SECONDS: Final = 600
"""Long, for a person who thinks between two requests: a connection closed just as the next one is sent leaves
a write without an answer."""

_BACKLOG: Final = 2048


@dataclass(frozen=True, slots=True)
class Serving:
    """Where and how an endpoint is reached. ``base_url``: what it calls itself, where a proxy stands before it."""

    host: str = "127.0.0.1"
    port: int = 0
    base_url: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    client_ca: str | None = None
    insecure: bool = False
    workers: int = 1
    log_format: str = "none"

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise BadInput("TLS needs both a certificate and its key; give --tls-cert and --tls-key.")
        if self.client_ca is not None and self.tls_cert is None:
            raise BadInput("Client certificates need TLS; give --tls-cert and --tls-key beside --client-ca.")
        if self.workers < 1:
            raise BadInput("An endpoint has at least one worker.")
        if self.log_format not in log.FORMATS:
            raise BadInput(f"There is no log format {self.log_format!r}; there are {', '.join(log.FORMATS)}.")
        if not _is_loopback(self.host) and self.tls_cert is None and not self.insecure:
            raise BadInput(
                f"{self.host} is open to other machines: give --tls-cert and --tls-key, or --insecure if that is meant."
            )
        if self.base_url is not None and not _is_base_url(self.base_url):
            raise BadInput(
                f"The base URL {self.base_url!r} cannot be used; write one like https://spine.example{BASE_PATH}."
            )

    def url_at(self, port: int) -> str:
        """The base URL of an endpoint that listens on this port."""
        if self.base_url is not None:
            return self.base_url.rstrip("/")
        # Listening everywhere is not an address that anybody could go to.
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"{'https' if self.tls_cert else 'http'}://{authority}{BASE_PATH}"


def listen(serving: Serving) -> socket.socket:
    """A socket that listens; raises ``EndpointError`` for an address that cannot be used."""
    host, port = serving.host, serving.port
    if not host:
        raise EndpointError("Which address should it listen on? Give one, such as 127.0.0.1.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only on a socket that says it is TCP; with it on, an answer with a
    # body waits 40 ms for the acknowledgement of its head.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)  # whoever reads the first line may connect at once
    except (OSError, OverflowError) as error:
        listening.close()
        why = error.strerror if isinstance(error, OSError) else "no such port"
        raise EndpointError(
            f"Port {port} of {host} cannot be used: {why}. Choose another, or 0 for a free one."
        ) from None
    return listening


class Server:
    """One process's share of an endpoint: an application and its faults behind a socket that listens."""

    def __init__(self, settings: Settings, serving: Serving, base_url: str) -> None:
        """Open the database and read the certificates; raises ``EndpointError`` for what cannot be used."""
        log.configure(serving.log_format)
        _raise_the_limit_of_connections()
        self._faults = Faults(settings.faults, seed=settings.seed)
        self._application: Application = settings.application(base_url)
        config = uvicorn.Config(
            Shell(self._application, self._faults),
            http=SpineProtocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
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


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_base_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return (
            url.scheme in ("http", "https")
            and bool(url.hostname)
            and url.path.rstrip("/") == BASE_PATH
            and not url.query
        )
    except ValueError:
        return False


def _raise_the_limit_of_connections() -> None:
    """Let this process have as many connections as the system allows, not as many as a shell suggests."""
    if sys.platform == "win32":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
