"""The settings of an endpoint, as plain data that builds nothing.

A server, a child process, a worker and an endpoint in process share these records. All of their fields can be
written as JSON, because a parent process hands them to its child as one line.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from workbench.clock import LessonClock
from workbench.endpoint.faults import Fault
from workbench.endpoint.policy import POLICIES
from workbench.endpoint.request import BASE_PATH
from workbench.errors import BadInput
from workbench.exchange.hosts import is_loopback_host

MEMORY: Final = ":memory:"

SYNCHRONOUS: Final = ("NORMAL", "FULL")
"""SQLite's ``synchronous`` modes; ``docs/endpoint.md`` says what each one survives."""

LOG_FORMATS: Final = ("none", "text", "json")
"""``none`` writes no line per request; errors of the endpoint itself are still logged."""

ASID: Final = "999999999999"
"""The accredited-system id of the embedded Spine: what ``toASID`` must name in strict mode."""

FIRST_LINE: Final = "Spine endpoint at "
"""What ``serve`` prints first, followed by the base URL."""

STOP_SECONDS: Final = 5
"""How long the server waits for requests in flight when it stops."""

_ALL_INTERFACES: Final = ("0.0.0.0", "::")  # noqa: S104


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the responses. Raises ``BadInput`` for a value that cannot be used.

    ``clock`` (an instant) and ``seed`` make times and ids reproducible. Without them the endpoint uses the
    system clock and random ids. ``faults`` have the syntax of ``Fault.read``. With ``reset`` the endpoint
    first restores the example resources and forgets everything else.
    """

    policy: str = "SPINE"
    clock: str | None = None
    seed: str | None = None
    db: str = field(default=MEMORY, repr=False)
    synchronous: str = SYNCHRONOUS[0]
    strict: bool = False
    faults: tuple[str, ...] = ()
    reset: bool = False

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise BadInput(f"There is no policy {self.policy!r}; there are {', '.join(sorted(POLICIES))}.")
        if self.clock is not None:
            LessonClock(self.clock)
        for fault in self.faults:
            Fault.read(fault)
        try:
            (self.seed or "").encode()
        except UnicodeEncodeError:
            raise BadInput("The seed is not readable text; any word or number will do.") from None


@dataclass(frozen=True, slots=True)
class Serving:
    """Where and how clients reach the endpoint. Raises ``BadInput`` for options that do not go together.

    ``base_url`` is the public URL of an endpoint behind a proxy. ``port`` 0 means any free port.
    """

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
        if self.log_format not in LOG_FORMATS:
            raise BadInput(f"There is no log format {self.log_format!r}; there are {', '.join(LOG_FORMATS)}.")
        if not is_loopback_host(self.host) and self.tls_cert is None and not self.insecure:
            raise BadInput(
                f"{self.host} is open to other machines: give --tls-cert and --tls-key, or --insecure if that is meant."
            )
        if self.base_url is not None and not _is_base_url(self.base_url):
            raise BadInput(
                f"The base URL {self.base_url!r} cannot be used; write one like https://spine.example{BASE_PATH}."
            )

    def url_at(self, port: int) -> str:
        """Return the base URL of an endpoint that listens on this port."""
        if self.base_url is not None:
            return self.base_url.rstrip("/")
        # 0.0.0.0 is an address to listen on, not one to connect to.
        host = socket.gethostname() if self.host in _ALL_INTERFACES else self.host
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"{'https' if self.tls_cert else 'http'}://{authority}{BASE_PATH}"

    def names_at(self, base_url: str) -> tuple[str, ...]:
        """Return the host names that ``Host`` may have: that of the base URL, and the one it listens on."""
        listening = () if self.host in _ALL_INTERFACES else (self.host,)
        return (urlsplit(base_url).hostname or "", *listening)


def as_instant(clock: str | datetime | None) -> str | None:
    """Return the start of a lesson's clock as text; raise ``BadInput`` if it is not an instant."""
    return None if clock is None else LessonClock(clock)().isoformat()


def _is_base_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return (
        url.scheme in ("http", "https") and bool(url.hostname) and url.path.rstrip("/") == BASE_PATH and not url.query
    )
