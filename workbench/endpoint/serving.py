"""Where and how an endpoint is reached: what goes together, the socket it listens on, and its base URL.

The socket is bound before anything serves, so the port is known and a busy one is refused in words.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from workbench.endpoint import log
from workbench.endpoint.request import BASE_PATH
from workbench.errors import BadInput, EndpointError

FIRST_LINE: Final = "Spine endpoint at "
"""What ``serve`` prints first, followed by the base URL."""

STOP_SECONDS: Final = 5
"""How long requests in flight have to come to their end once the service stops."""

_BACKLOG: Final = 2048

_EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104


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
        host = socket.gethostname() if self.host in _EVERYWHERE else self.host
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"{'https' if self.tls_cert else 'http'}://{authority}{BASE_PATH}"

    def names_at(self, base_url: str) -> tuple[str, ...]:
        """The names that ``Host`` may have: the one in the base URL, and the one it listens on."""
        listening = () if self.host in _EVERYWHERE else (self.host,)
        return (urlsplit(base_url).hostname or "", *listening)


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
