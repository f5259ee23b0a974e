"""Where an endpoint is and how it is spoken to: address, credentials, limits, and what may be written.

Owns: the write guard (a write to anything but loopback needs ``allow_writes``), redaction (what a
connection adds to a request is never recorded), TLS verification and timeouts. Nothing is taken from the
environment: no proxy, no ``.netrc``, no certificate path that the user did not name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter

from workbench.exceptions import BadInput, WriteNotAllowed
from workbench.failure import ConnectingAdapter
from workbench.rules.message import SAFE_METHODS, Headers
from workbench.rules.place import is_loopback

REDACTED: Final = "***"
USER_AGENT: Final = "spine-workbench"

_CREDENTIALS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "apikey", "www-authenticate"}
)
"""Header fields whose values are never recorded, whoever sent them."""


@dataclass(frozen=True, slots=True, repr=False)
class Connection:
    """How to speak to an endpoint.

    ``headers`` are sent with every request and their values are treated as credentials: they are never
    recorded or shown. ``timeout`` is (seconds to connect, seconds to wait for each part of the answer).
    ``verify`` is ``True`` or the path of a CA bundle; ``cert`` a client certificate, as ``requests`` takes it.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    allow_writes: bool = False
    timeout: tuple[float, float] = (5.0, 30.0)
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    adapter: BaseAdapter | None = None

    def __post_init__(self) -> None:
        if self.verify is not True and not (isinstance(self.verify, str) and self.verify):
            raise BadInput("TLS is always verified: verify is True, or the path of the CA bundle to trust.")
        for path in (self.verify, *(self.cert if isinstance(self.cert, tuple) else (self.cert,))):
            if isinstance(path, str) and not Path(path).exists():
                raise BadInput(f"There is no certificate file {path}.")
        for name, value in self.headers.items():
            check_field(name, value)
        object.__setattr__(self, "headers", MappingProxyType(dict(self.headers)))

    def session(self) -> requests.Session:
        """A new session with all of this, and nothing of the environment's."""
        session = requests.Session()
        session.trust_env = False
        session.headers = requests.structures.CaseInsensitiveDict({"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"})
        session.verify = self.verify
        session.cert = self.cert
        session.headers.update(self.headers)
        for scheme in ("http://", "https://"):
            session.mount(scheme, self.adapter or ConnectingAdapter())
        return session

    def guard(self, method: str, base_url: str) -> None:
        """Raise ``WriteNotAllowed`` for a write to a host that is not loopback, unless writes are allowed."""
        if method in SAFE_METHODS or self.allow_writes or is_loopback(base_url):
            return
        host = urlsplit(base_url).hostname
        raise WriteNotAllowed(
            f"{host} is not this machine, so nothing was sent; "
            "to write there, connect with Connection(allow_writes=True)."
        )

    def recorded(self, fields: Iterable[tuple[str, str]]) -> Headers:
        """Header fields as an exchange may hold them: the values of credentials replaced."""
        secret = _CREDENTIALS | {name.lower() for name in self.headers}
        return Headers((name, REDACTED if name.lower() in secret else value) for name, value in fields)

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], Connection], tuple[dict[str, Any]]]:
        """How it travels to another process, credentials and all; an endpoint without a socket cannot."""
        if self.adapter is not None:
            raise BadInput("An endpoint in this process cannot be reached from another; use Endpoint.start().")
        settings = {each.name: getattr(self, each.name) for each in fields(self)}
        return _made, (settings | {"headers": dict(self.headers)},)

    def __repr__(self) -> str:
        shown = f"headers=[{', '.join(self.headers)}], allow_writes={self.allow_writes}, timeout={self.timeout}"
        return f"Connection({shown})"


def _made(settings: dict[str, Any]) -> Connection:
    return Connection(**settings)


def check_field(name: str, value: object) -> None:
    """Raise ``BadInput`` for a header field that cannot be sent; its value, which may be a secret, is not shown."""
    if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
        raise BadInput(f"The header field {name!r} cannot be sent: a name has letters, digits and hyphens.")
    if not isinstance(value, str) or not _FIELD_VALUE.fullmatch(value):
        raise BadInput(
            f"The value given for {name} cannot be sent: it must be text without line breaks, without spaces at its "
            "ends, and of Latin-1 characters only."
        )


_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_BASE_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-~]*)?",
    re.IGNORECASE,
)
"""What every library reads in the same way; user names, spaces and backslashes are where they differ."""


def check_base_url(base_url: str) -> str:
    """The base URL without a slash at its end; raises ``BadInput`` for one that cannot be used."""
    if "@" in base_url:
        raise BadInput(
            "The base URL holds a user name or a password; leave them out and give them as Connection(headers=…)."
        )
    found = _BASE_URL.fullmatch(base_url)
    if found is None or int(found["port"] or 0) > _LAST_PORT or not _readable(base_url):
        raise BadInput(f"{base_url!r} is not a base URL; one looks like http://127.0.0.1:8080/STU3.")
    if re.search(r"[?#\\]", found["path"] or ""):
        raise BadInput(f"The base URL of {found['host']} must end before its question mark.")
    return base_url.rstrip("/")


_LAST_PORT: Final = 65535


def _readable(base_url: str) -> bool:
    try:
        return bool(urlsplit(base_url).hostname)
    except ValueError:
        return False
