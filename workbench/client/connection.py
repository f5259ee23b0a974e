"""How to reach an endpoint: base URL, credentials, limits, and whether writes are allowed.

* The write guard: a write to another host than loopback needs ``allow_writes``.
* What a connection adds to a request. Only ids that a service desk asks for are recorded.
* The rate limit.

Secrets are kept as ``SecretText``, so that no traceback shows them. Nothing is read from the
environment: no proxy, no ``.netrc``, no certificate path that the user did not name.
"""

from __future__ import annotations

import base64
import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter

from workbench.client.adapter import ConnectingAdapter, LimitedCookies, tls_context
from workbench.client.identity import FreshId, SpineIdentity
from workbench.client.secret import Reference, Secret, SecretText, conceal, conceal_arguments
from workbench.errors import BadInput, WriteNotAllowed
from workbench.exchange.hosts import is_loopback
from workbench.exchange.message import Headers, check_field
from workbench.exchange.verdict import SAFE_METHODS
from workbench.journal.secrets import REDACTED, is_secret, secrets_in

USER_AGENT: Final = "spine-workbench"


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


class RateLimit:
    """Lets one request through every ``1 / rate`` seconds; the others wait in the order of asking.

    ``rate`` is in requests a second. ``clock`` must be monotonic. Raises ``BadInput`` for a rate
    that is not a positive number.
    """

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        if not _is_positive(rate):
            raise BadInput("The rate limit must be a positive number of requests a second, such as 5 or 0.5.")
        self.rate = float(rate)
        self._clock, self._wait = clock, wait
        self._next = -math.inf
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until the next request may go out."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + 1 / self.rate
        if turn > now:
            self._wait(turn - now)


@conceal_arguments
@dataclass(frozen=True, slots=True, repr=False)
class Connection:
    """How to reach an endpoint. Any setting that cannot be used raises ``BadInput``.

    ``headers`` are sent with every request. Their values are treated as credentials: they are never
    recorded or shown. A value may be a function, called once for each update, however often that
    is sent again. A ``wb.FreshId`` makes an id, which is recorded.

    ``verify`` is ``True`` for the system's trust store, or the path of a CA file or folder.
    ``cert`` is a client certificate: a file, or (certificate, key). ``passphrase`` is a function
    that gives the passphrase of its key.

    ``token`` is a function that gives a bearer token, called for each request. ``identity`` makes
    the header fields of a live Spine instead. ``proxy`` is a URL, ``proxy_auth`` is (user, function
    that gives the password). A secret by reference (``wb.Reference``) is such a function.

    ``timeout`` is (seconds to connect, seconds to wait for each part of the answer). ``deadline`` is
    the longest duration of an exchange in seconds. ``max_body`` limits the body of an answer in
    bytes, counted after gzip is undone. What came until then is kept. ``rate_limit`` is in requests
    a second, over all clients of this connection.
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
    rate_limit: float | RateLimit | None = field(default=None, compare=False)
    deadline: float = 120.0
    max_body: int = 64 * 2**20

    def __post_init__(self) -> None:
        self._check_tls()
        self._check_credentials()
        self._check_limits()

        def assign(name: str, value: object) -> None:
            object.__setattr__(self, name, value)  # the dataclass is frozen

        named = {name: _named(value, f"the header {name}") for name, value in self.headers.items()}
        assign("headers", MappingProxyType(named))
        assign("token", _named(self.token, "the bearer token"))
        assign("passphrase", _named(self.passphrase, "the passphrase of the client key"))
        if self.proxy_auth is not None:
            user, password = self.proxy_auth
            assign("proxy_auth", (user, _named(password, "the password for the proxy")))
        if not isinstance(self.rate_limit, RateLimit | None):
            assign("rate_limit", RateLimit(self.rate_limit))

    def _check_tls(self) -> None:
        if self.verify is not True and not (isinstance(self.verify, str) and self.verify):
            raise BadInput("TLS is always verified: verify is True, or the path of the CA file to trust.")
        for path in (self.verify, *(self.cert if isinstance(self.cert, tuple) else (self.cert,))):
            if isinstance(path, str) and not Path(path).exists():
                raise BadInput(f"There is no certificate file {path}.")

    def _check_credentials(self) -> None:
        for name, value in self.headers.items():
            check_field(name, REDACTED if callable(value) else value)
        authorized = any(name.lower() == "authorization" for name in self.headers)
        if authorized + (self.token is not None) + (self.identity is not None) > 1:
            raise BadInput("Only one of token, identity and an Authorization header can be sent; choose one.")
        for name, secret in (("token", self.token), ("passphrase", self.passphrase)):
            if secret is not None and not callable(secret):
                raise BadInput(f"The {name} must be a function that gives it, such as a wb.Reference.")
        if self.proxy is not None and not _PROXY.fullmatch(self.proxy):
            raise BadInput("The proxy cannot be used; write http://host:port, and its user and password as proxy_auth.")
        if self.proxy_auth is not None and self.proxy is None:
            raise BadInput("proxy_auth needs a proxy; give proxy= too.")
        if self.proxy_auth is not None and not (isinstance(self.proxy_auth, tuple) and callable(self.proxy_auth[-1])):
            raise BadInput("proxy_auth must be a user and a function that gives the password.")

    def _check_limits(self) -> None:
        if type(self.allow_writes) is not bool:
            raise BadInput("allow_writes is true or false, without quotation marks.")
        if not (isinstance(self.timeout, tuple) and len(self.timeout) == 2 and all(map(_is_positive, self.timeout))):
            raise BadInput("The timeout is a pair: seconds to connect, seconds to wait for each part of the answer.")
        if not _is_positive(self.deadline):
            raise BadInput("The deadline must be a positive number of seconds, such as 120.")
        if type(self.max_body) is not int or self.max_body <= 0:
            raise BadInput("max_body must be a positive whole number of bytes, such as 64 * 2**20.")

    def session(self) -> requests.Session:
        """Return a new session with all of these settings, and none of the environment's.

        Raises ``BadInput`` for a certificate or a secret that cannot be had.
        """
        session = requests.Session()
        session.trust_env = False
        session.headers = requests.structures.CaseInsensitiveDict({"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"})
        session.headers.update({name: value for name, value in self.headers.items() if isinstance(value, str)})
        session.verify = self.verify
        session.cookies = LimitedCookies()

        proxy_fields = {}
        if self.proxy_auth is not None:  # RFC 7617
            user, password = self.proxy_auth
            pair = base64.b64encode(f"{user}:{conceal(password())}".encode()).decode()
            proxy_fields["Proxy-Authorization"] = SecretText(f"Basic {pair}")

        def adapter(context: Any = None) -> BaseAdapter:
            return ConnectingAdapter(context, self.proxy, proxy_fields=proxy_fields, deadline=self.deadline)

        session.mount("http://", self.adapter or adapter())
        session.mount("https://", self.adapter or adapter(self._tls_context()))
        return session

    def _tls_context(self) -> Any:
        try:
            return tls_context(self.verify, self.cert, self.passphrase)
        except BadInput:
            _forget(self.passphrase)
            raise

    def is_local(self, base_url: str) -> bool:
        """Return whether requests to this URL stay on this machine.

        Through a proxy, loopback is the proxy's machine.
        """
        return self.proxy is None and is_loopback(base_url)

    def guard(self, method: str, base_url: str) -> None:
        """Raise ``WriteNotAllowed`` for a write to another machine, unless writes are allowed."""
        if method in SAFE_METHODS or self.allow_writes or self.is_local(base_url):
            return
        host = urlsplit(base_url).hostname
        through = "Through a proxy, " if self.proxy is not None and is_loopback(base_url) else ""
        raise WriteNotAllowed(
            f"{through}{host} is not this machine, so nothing was sent; "
            "to write there, allow it: Connection(allow_writes=True), "
            "allow_writes = true in a profile, --allow-writes on the command line."
        )

    def wait_for_rate_limit(self) -> None:
        """Wait until the rate limit, if there is one, lets the next request through."""
        if isinstance(self.rate_limit, RateLimit):
            self.rate_limit.wait()

    def new_fields(self, interaction: str, resource_type: str, kept: dict[str, str] | None = None) -> dict[str, str]:
        """Return the header fields made for one request: token, identity, headers by function.

        ``kept`` holds the headers by function while one update is sent again: they are made once.
        """
        kept = {} if kept is None else kept
        for name, value in self.headers.items():
            if not isinstance(value, str) and name not in kept:
                kept[name] = _get(value, name)
        made = dict(kept)
        if self.token is not None:
            made["Authorization"] = _get(self.token, "Authorization", "Bearer ")
        if self.identity is not None:
            made |= self.identity.fields(interaction, resource_type)
        return made

    def preview_fields(self, interaction: str, resource_type: str) -> dict[str, str]:
        """Return the same fields with placeholders: no secret is fetched and no token is made."""
        preview = {
            name: _NEW_ID if isinstance(value, FreshId) else REDACTED
            for name, value in self.headers.items()
            if not isinstance(value, str)
        }
        if self.token or self.identity:
            preview["Authorization"] = REDACTED
        if self.identity is not None:
            preview["fromASID"] = preview["toASID"] = REDACTED
            preview["InteractionID"] = self.identity.interaction_id_of(interaction, resource_type)
            preview["TraceID"] = _NEW_ID
        return preview

    def forget_refused(self, status: int) -> None:
        """After a 401 or 407, forget the secrets typed for it, so that the user is asked again."""
        if status == 401:
            for source in (self.token, *self.headers.values()):
                _forget(source)
        if status == 407 and self.proxy_auth is not None:
            _forget(self.proxy_auth[1])

    def concealed(self, fields: Mapping[str, str | None]) -> dict[str, str | None]:
        """Return header fields with the values of credentials as ``SecretText``."""
        return {name: conceal(value) if self._is_credential(str(name)) else value for name, value in fields.items()}

    def recorded(self, fields: Iterable[tuple[str, str]]) -> Headers:
        """Return header fields as an exchange holds them: values of credentials replaced."""
        return Headers((name, REDACTED if self._is_credential(name) else value) for name, value in fields)

    def secrets_of(self, fields: Mapping[str, str], url: str) -> frozenset[str]:
        """Return the secrets to remove from the answer to a request with these fields."""
        about = (self.identity.user, self.identity.organization) if self.identity else ()
        claims = (("claim", each) for each in about)
        # ASIDs are ids, not secrets, and an error message may name them.
        secret = (self._secret_names() | {"claim"}) - {"fromasid", "toasid"}
        return secrets_in((*fields.items(), *claims), secret, url)

    def _is_credential(self, name: str) -> bool:
        return is_secret(name) or name.lower() in self._secret_names()

    def _secret_names(self) -> frozenset[str]:
        own = {"fromasid", "toasid"} if self.identity else set()
        named = {name.lower() for name, value in self.headers.items() if not isinstance(value, FreshId)}
        return frozenset(own | named)

    def __reduce__(self) -> tuple[Callable[[], Connection], tuple[()]]:
        """Pickle with credentials. Raises ``BadInput`` for an adapter: it has no socket to share."""
        if self.adapter is not None:
            raise BadInput("An endpoint in this process cannot be reached from another; use Endpoint.start().")
        settings = {each.name: getattr(self, each.name) for each in fields(self)}
        rate = self.rate_limit.rate if isinstance(self.rate_limit, RateLimit) else None
        return partial(Connection, **settings | {"headers": dict(self.headers), "rate_limit": rate}), ()

    def __repr__(self) -> str:
        if not hasattr(self, "max_body"):  # the last field; a traceback may show a half-made object
            return "<Connection that is not made yet>"
        shown = f"headers=[{', '.join(self.headers)}], allow_writes={self.allow_writes}, timeout={self.timeout}"
        return f"Connection({shown})"


def _get(source: Secret, name: str, scheme: str = "") -> str:
    """Return what a function gives for a header field, checked. Forget a value that cannot be sent."""
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


def _named(source: Any, about: str) -> Any:
    return source.named(about) if isinstance(source, Reference) else source


_NEW_ID: Final = "(a new one)"

_PROXY: Final = re.compile(r"http://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?/?")
_BASE_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-~]*)?",
    re.IGNORECASE,
)
"""URLs that all libraries parse alike. They differ on user names, spaces and backslashes."""

_LAST_PORT: Final = 65535


def check_base_url(base_url: str) -> str:
    """Return the base URL without a slash at its end; raise ``BadInput`` for one that cannot be used."""
    base_url = conceal(base_url)
    if "@" in base_url:
        raise BadInput(
            "The base URL holds a user name or a password; leave them out and give them as Connection(headers=…)."
        )
    try:
        found = _BASE_URL.fullmatch(base_url) if urlsplit(base_url).hostname else None
    except ValueError:  # a malformed IPv6 address
        found = None
    if found is None or int(found["port"] or 0) > _LAST_PORT:
        raise BadInput(f"{str(base_url)!r} is not a base URL; one looks like http://127.0.0.1:8080/STU3.")
    if re.search(r"[?#\\]", found["path"] or ""):
        raise BadInput(f"The base URL of {found['host']} must end before its question mark.")
    return str(base_url).rstrip("/")
