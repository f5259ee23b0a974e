"""Where an endpoint is and how it is spoken to: address, credentials, limits, and what may be written.

Owns: the write guard (a write to anything but loopback needs ``allow_writes``), and what a connection adds to
a request, none of which is recorded but for the ids that a service desk asks for. What is secret is kept as
``SecretText``, so that no traceback shows it. Nothing is taken from the
environment: no proxy, no ``.netrc``, no certificate path that the user did not name.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter

from workbench.client.bounds import DEADLINE, MAX_BODY, FewCookies
from workbench.client.failure import ConnectingAdapter
from workbench.client.identity import FreshId
from workbench.client.pace import Pace
from workbench.client.secret import Reference, SecretText, conceal, concealing
from workbench.client.tls import Secret, client_context
from workbench.errors import BadInput, WriteNotAllowed
from workbench.exchange.hosts import is_loopback
from workbench.exchange.message import SAFE_METHODS, Headers
from workbench.exchange.message import check_field as check_field
from workbench.journal.secrets import REDACTED, is_secret, secrets_in, without_credentials

if TYPE_CHECKING:
    from workbench.client.identity import SpineIdentity

USER_AGENT: Final = "spine-workbench"


@concealing
@dataclass(frozen=True, slots=True, repr=False)
class Connection:
    """How to speak to an endpoint.

    ``headers`` are sent with every request and their values are treated as credentials: they are never recorded or
    shown. A value may be a function that gives it, asked once for each update, however often that is sent again; a
    ``wb.FreshId`` gives an id, which is recorded. ``verify`` is ``True`` for the system's trust store, or the path of
    a CA bundle. ``cert`` is a client certificate: a file, or (certificate, key), whose ``passphrase`` a function gives.

    ``token`` gives a bearer token, asked for each request; ``identity`` makes the fields of a live Spine instead.
    ``proxy`` is its URL, ``proxy_auth`` (user, function that gives the password). ``rate_limit``: requests a second
    at most, over all clients of this connection. A secret by reference (``wb.Reference``) is such a function.

    ``timeout`` is (seconds to connect, seconds to wait for each part of the answer), ``deadline`` the seconds after
    which an exchange ends in any case. ``max_body`` is how many bytes of an answer's body are read, its content coding
    undone. What came until then is kept.
    """

    headers: Mapping[str, str | Secret] = field(default_factory=dict)
    allow_writes: bool = False
    timeout: tuple[float, float] = (5.0, 30.0)
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    adapter: BaseAdapter | None = None
    passphrase: Secret | None = None
    token: Secret | None = None
    identity: SpineIdentity | None = None
    proxy: str | None = None
    proxy_auth: tuple[str, Secret] | None = None
    rate_limit: float | Pace | None = field(default=None, compare=False)
    deadline: float = DEADLINE
    max_body: int = MAX_BODY

    def __post_init__(self) -> None:
        self._check_tls()
        self._check_who()
        if self.proxy is not None and not _PROXY.fullmatch(self.proxy):
            raise BadInput("The proxy cannot be used; write http://host:port, and its user and password as proxy_auth.")
        if self.proxy_auth is not None and self.proxy is None:
            raise BadInput("There is a password for a proxy, but no proxy; give proxy= too.")
        if not isinstance(self.rate_limit, Pace | None):
            object.__setattr__(self, "rate_limit", Pace(self.rate_limit))
        self._check_limits()
        object.__setattr__(self, "headers", MappingProxyType(dict(self.headers)))
        object.__setattr__(self, "token", _purposed(self.token, "the bearer token"))
        object.__setattr__(self, "passphrase", _purposed(self.passphrase, "the passphrase of the client key"))
        if self.proxy_auth is not None:
            user, password = self.proxy_auth
            object.__setattr__(self, "proxy_auth", (user, _purposed(password, "the password for the proxy")))

    def _check_limits(self) -> None:
        if isinstance(self.deadline, bool) or not 0 < self.deadline < math.inf:
            raise BadInput("The deadline is a number of seconds, more than none, such as 120.")
        if type(self.max_body) is not int or self.max_body <= 0:
            raise BadInput("max_body is a whole number of bytes, such as 64 * 2**20.")

    def _check_tls(self) -> None:
        if self.verify is not True and not (isinstance(self.verify, str) and self.verify):
            raise BadInput("TLS is always verified: verify is True, or the path of the CA bundle to trust.")
        for path in (self.verify, *(self.cert if isinstance(self.cert, tuple) else (self.cert,))):
            if isinstance(path, str) and not Path(path).exists():
                raise BadInput(f"There is no certificate file {path}.")

    def _check_who(self) -> None:
        fields = {name: _purposed(value, f"the header {name}") for name, value in self.headers.items()}
        object.__setattr__(self, "headers", fields)
        for name, value in fields.items():
            check_field(name, REDACTED if callable(value) else value)
        named = any(name.lower() == "authorization" for name in self.headers)
        if named + (self.token is not None) + (self.identity is not None) > 1:
            raise BadInput("Only one of token, identity and an Authorization header can be sent; choose one.")
        for about, secret in (("token", self.token), ("passphrase", self.passphrase)):
            if secret is not None and not callable(secret):
                raise BadInput(f"The {about} is given by a function that is asked for it, such as a wb.Reference.")
        if self.proxy_auth is not None and not (isinstance(self.proxy_auth, tuple) and callable(self.proxy_auth[-1])):
            raise BadInput("proxy_auth is a user and a function that is asked for the password.")

    def session(self) -> requests.Session:
        """A new session with all of this, and nothing of the environment's.

        Raises ``BadInput`` for certificates and secrets that cannot be had.
        """
        session = requests.Session()
        session.trust_env = False
        session.headers = requests.structures.CaseInsensitiveDict({"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"})
        session.verify = self.verify
        session.cookies = FewCookies()
        session.headers.update({name: value for name, value in self.headers.items() if isinstance(value, str)})
        shared: dict[str, Any] = {"proxy": self.proxy, "proxy_fields": self._proxy_fields(), "deadline": self.deadline}
        session.mount("http://", self.adapter or ConnectingAdapter(**shared))
        session.mount("https://", self.adapter or ConnectingAdapter(self._context(), **shared))
        return session

    def _context(self) -> Any:
        try:
            return client_context(self.verify, self.cert, self.passphrase)
        except BadInput:
            _forget(self.passphrase)
            raise

    def _proxy_fields(self) -> dict[str, str]:
        if self.proxy_auth is None:
            return {}
        user, password = self.proxy_auth
        return {"Proxy-Authorization": _basic(user, conceal(password()))}

    def leads_here(self, base_url: str) -> bool:
        """Whether requests to this URL stay on this machine. By way of a proxy, loopback is the proxy's machine."""
        return self.proxy is None and is_loopback(base_url)

    def guard(self, method: str, base_url: str) -> None:
        """Raise ``WriteNotAllowed`` for a write to a host that is not loopback, unless writes are allowed."""
        if method in SAFE_METHODS or self.allow_writes or self.leads_here(base_url):
            return
        host = urlsplit(base_url).hostname
        far = f"Through a proxy, {host}" if self.proxy is not None and is_loopback(base_url) else host
        raise WriteNotAllowed(
            f"{far} is not this machine, so nothing was sent; "
            "to write there, allow it: Connection(allow_writes=True), "
            "allow_writes = true in a profile, --allow-writes on the command line."
        )

    def keep_pace(self) -> None:
        """Wait for this request's turn, where there is a rate limit."""
        if isinstance(self.rate_limit, Pace):
            self.rate_limit.keep()

    def fresh(self, interaction: str, resource_type: str, kept: dict[str, str] | None = None) -> dict[str, str]:
        """The fields made for this request alone: token and identity, and the headers that a function gives.

        ``kept`` holds those headers for as long as one update is sent again: what is in it is not made anew.
        """
        kept = {} if kept is None else kept
        for name, value in self.headers.items():
            if not isinstance(value, str) and name not in kept:
                kept[name] = _asked(value, name)
        made = dict(kept)
        if self.token is not None:
            made["Authorization"] = _asked(self.token, "Authorization", "Bearer ")
        if self.identity is not None:
            made |= self.identity.fields(interaction, resource_type)
        return made

    def foretold(self, interaction: str, resource_type: str) -> dict[str, str]:
        """The same fields for a preview: no secret is asked for, and nothing is minted."""
        told = {
            name: _NEW_ID if isinstance(value, FreshId) else REDACTED
            for name, value in self.headers.items()
            if not isinstance(value, str)
        }
        if self.token or self.identity:
            told["Authorization"] = REDACTED
        if self.identity is not None:
            about = {"InteractionID": self.identity.interaction_id_of(interaction, resource_type)}
            told |= dict.fromkeys(("fromASID", "toASID"), REDACTED) | about | {"TraceID": _NEW_ID}
        return told

    def forget_refused(self, status: int) -> None:
        """After a 401 or 407, forget the secrets that were typed for it, so that they are asked for again."""
        if status == _UNAUTHORIZED:
            for source in (self.token, *self.headers.values()):
                _forget(source)
        if status == _PROXY_UNAUTHORIZED and self.proxy_auth is not None:
            _forget(self.proxy_auth[1])

    def concealed(self, fields: Mapping[str, str | None]) -> dict[str, str | None]:
        """Header fields with the values of credentials as ``SecretText``."""
        secret = self._secret_names()
        return {
            name: conceal(value) if str(name).lower() in secret or is_secret(str(name)) else value
            for name, value in fields.items()
        }

    def recorded(self, fields: Iterable[tuple[str, str]]) -> Headers:
        """Header fields as an exchange may hold them: the values of credentials replaced."""
        secret = self._secret_names()
        return Headers(
            (name, REDACTED if name.lower() in secret or is_secret(name) else value) for name, value in fields
        )

    def recorded_url(self, url: str) -> str:
        """A URL as an exchange may hold it: the values of credentials replaced."""
        return without_credentials(url)

    def secrets_of(self, fields: Mapping[str, str], url: str) -> frozenset[str]:
        """What the answer to a request with these fields may not repeat."""
        about = (self.identity.user, self.identity.organization) if self.identity else ()
        claims = (("claim", each) for each in about)
        secret = (self._secret_names() | {"claim"}) - _NOT_LOOKED_FOR
        return secrets_in((*fields.items(), *claims), secret, url)

    def _secret_names(self) -> frozenset[str]:
        own = {"fromasid", "toasid"} if self.identity else set()
        named = {name.lower() for name, value in self.headers.items() if not isinstance(value, FreshId)}
        return frozenset(own | named)

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], Connection], tuple[dict[str, Any]]]:
        """How it travels to another process, credentials and all; an endpoint without a socket cannot."""
        if self.adapter is not None:
            raise BadInput("An endpoint in this process cannot be reached from another; use Endpoint.start().")
        settings = {each.name: getattr(self, each.name) for each in fields(self)}
        rate = self.rate_limit.rate if isinstance(self.rate_limit, Pace) else None
        return _made, (settings | {"headers": dict(self.headers), "rate_limit": rate},)

    def __repr__(self) -> str:
        if not hasattr(self, "max_body"):  # the last to be assigned: a traceback shows one that could not be made
            return "<Connection that is not made yet>"
        shown = f"headers=[{', '.join(self.headers)}], allow_writes={self.allow_writes}, timeout={self.timeout}"
        return f"Connection({shown})"


def _asked(source: Secret, name: str, scheme: str = "") -> str:
    """What a function gives for a header field, checked; what was mistyped can be typed again."""
    value = conceal(source())
    try:
        if not isinstance(value, str) or (scheme and not value):
            raise BadInput(f"The function that gives {name} gave none; it must give it as text.")
        check_field(name, value)
    except BadInput:
        _forget(source)
        raise
    made = f"{scheme}{value}"
    return made if isinstance(source, FreshId) else SecretText(made)


def _forget(source: object) -> None:
    if isinstance(source, Reference):
        source.forget()


def _purposed(source: Any, about: str) -> Any:
    return source.named(about) if isinstance(source, Reference) else source


def _basic(user: str, password: str) -> SecretText:
    """The value of ``Proxy-Authorization`` (RFC 7617)."""
    return SecretText("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


_NEW_ID: Final = "(a new one)"
_UNAUTHORIZED: Final = 401
_PROXY_UNAUTHORIZED: Final = 407

_NOT_LOOKED_FOR: Final = frozenset({"fromasid", "toasid"})
"""An endpoint's word on an ASID is an answer to be read, and these are ids, not secrets."""


def _made(settings: dict[str, Any]) -> Connection:
    return Connection(**settings)


_PROXY = re.compile(r"http://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?/?")
_BASE_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-~]*)?",
    re.IGNORECASE,
)
"""What every library reads in the same way; user names, spaces and backslashes are where they differ."""


def check_base_url(base_url: str) -> str:
    """The base URL without a slash at its end; raises ``BadInput`` for one that cannot be used."""
    base_url = conceal(base_url)
    if "@" in base_url:
        raise BadInput(
            "The base URL holds a user name or a password; leave them out and give them as Connection(headers=…)."
        )
    found = _BASE_URL.fullmatch(base_url)
    if found is None or int(found["port"] or 0) > _LAST_PORT or not _readable(base_url):
        raise BadInput(f"{str(base_url)!r} is not a base URL; one looks like http://127.0.0.1:8080/STU3.")
    if re.search(r"[?#\\]", found["path"] or ""):
        raise BadInput(f"The base URL of {found['host']} must end before its question mark.")
    return str(base_url).rstrip("/")


_LAST_PORT: Final = 65535


def _readable(base_url: str) -> bool:
    try:
        return bool(urlsplit(base_url).hostname)
    except ValueError:
        return False
