"""When no answer comes: how far the request got, whether it can have been sent, and a sentence for the person waiting.

The line between FAILED and UNKNOWN is drawn here. Only what fails before a byte of the request leaves (no
address, no connection, no TLS) surely was not sent; everything else may have been carried out.
"""

from __future__ import annotations

import contextlib
import enum
import math
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Self

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import RequestException
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection

from workbench.client.bounds import Attempt, MeteredResponse, OverLimit
from workbench.journal.secrets import guard_logs


class Step(enum.Enum):
    """The steps on the way to an answer, in their order."""

    DNS = "DNS"
    PROXY = "proxy"
    TCP = "TCP"
    TLS = "TLS"
    CERTIFICATE = "certificate"
    ANSWER = "answer"


class Failure(str):
    """A sentence on why no answer came, which knows at which ``step``. Saved and read again it is mere text."""

    __slots__ = ("step",)
    step: Step

    @classmethod
    def at(cls, step: Step, words: str) -> Self:
        """What failed at this step."""
        made = cls(words)
        made.step = step
        return made


class ConnectingAdapter(HTTPAdapter):
    """An adapter for one connection that knows whether a byte of the request can have left when it failed.

    The error alone does not tell: what a TLS library says of a failed handshake it also says of plain text
    in the middle of an answer. Nothing is ever tried a second time. ``context`` decides alone who is trusted and
    which certificate is shown; ``proxy`` is a URL, or none, and gets ``proxy_fields``. No exchange lasts longer than
    ``deadline`` seconds.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        *,
        proxy_fields: Mapping[str, str] = MappingProxyType({}),
        deadline: float = math.inf,
    ) -> None:
        self.attempt = Attempt()
        self.connection: HTTPConnection | None = None
        self.aborted = False
        self._deadline = deadline
        self._context = context
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._proxy_fields = proxy_fields
        guard_logs()
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make a pool whose connections say when they begin to connect, and when they have."""
        super().init_poolmanager(*arguments, **(options | self._tls()))
        self.poolmanager.pool_classes_by_scheme = self._pools()

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """The same for connections by way of a proxy."""
        made = super().proxy_manager_for(proxy, **(options | self._tls()))
        made.pool_classes_by_scheme = self._pools()
        return made

    def proxy_headers(self, proxy: str) -> dict[str, str]:  # noqa: ARG002  # there is one proxy
        """What goes out beside a request's own header fields: the credentials for the proxy."""
        return dict(self._proxy_fields)

    def abort(self) -> None:
        """End the request that another thread waits for: it fails there as if the connection had broken off."""
        self.aborted = True
        sock = self.connection.sock if self.connection else None
        if sock is not None:
            with contextlib.suppress(OSError):  # it is closed already
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # the plain one: TLS would begin a farewell

    def _tls(self) -> dict[str, Any]:
        return {} if self._context is None else {"ssl_context": self._context}

    def _pools(self) -> dict[str, type[HTTPConnectionPool]]:
        return {"http": _watched(HTTPConnectionPool, self), "https": _watched(HTTPSConnectionPool, self)}

    def build_connection_pool_key_attributes(self, *arguments: Any, **options: Any) -> Any:
        """Where to connect; who is trusted stands in the context, to which ``requests`` would add its own list."""
        where, tls = super().build_connection_pool_key_attributes(*arguments, **options)
        return where, tls if self._context is None else {"cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """As above: nothing is added to a context."""
        if self._context is None:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send one request, on the connection that is open if there is one."""
        self.attempt = Attempt(self._deadline)
        return super().send(*arguments, **options | {"proxies": self._proxies})


class _UntilDeadline:
    """Options of a socket, which are read for each address of a host that is tried: after the deadline none is."""

    def __init__(self, options: Iterable[Any] | None, adapter: ConnectingAdapter) -> None:
        self._options, self._adapter = tuple(options or ()), adapter

    def __iter__(self) -> Iterator[Any]:
        try:
            self._adapter.attempt.wait(None)
        except OverLimit as error:
            raise TimeoutError(str(error)) from None  # as which the socket is closed, too
        return iter(self._options)


_PIECE: Final = 2**14
"""What is sent at once: as much as one TLS record holds, so that each has its own time-out."""


def _watched(pool: type[HTTPConnectionPool], adapter: ConnectingAdapter) -> type[HTTPConnectionPool]:
    connection: Any = pool.ConnectionCls

    class Watched(connection):  # type: ignore[misc]
        timeout: float | None
        socket_options: Iterable[Any] | None

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.socket_options = _UntilDeadline(self.socket_options, adapter)

        def connect(self) -> None:
            adapter.attempt.connecting = True
            self.timeout = adapter.attempt.wait(self.timeout)
            super().connect()
            adapter.connection = self
            if adapter.aborted:
                raise ConnectionAbortedError("The request was given up.")
            adapter.attempt.connecting = False

        def _new_conn(self) -> socket.socket:
            with contextlib.ExitStack() as closing:
                made: socket.socket = closing.enter_context(super()._new_conn())
                made.settimeout(adapter.attempt.wait(self.timeout))
                closing.pop_all()
            return made

        def send(self, data: Any) -> None:
            if self.sock is None:
                self.connect()
            attempt = adapter.attempt
            attempt.sent = attempt.sent or not attempt.connecting
            for start in range(0, len(data), _PIECE):
                self.sock.settimeout(attempt.wait(self.timeout))
                super().send(memoryview(data)[start : start + _PIECE])

        @staticmethod
        def response_class(*arguments: Any, **options: Any) -> MeteredResponse:
            return MeteredResponse(adapter.attempt, *arguments, **options)

    return type(pool.__name__, (pool,), {"ConnectionCls": Watched})


def sent_fields(prepared: requests.PreparedRequest, adapter: BaseAdapter) -> dict[str, str]:
    """All that goes out as header fields, credentials too."""
    more = adapter.proxy_headers("") if isinstance(adapter, ConnectingAdapter) else {}
    return {name: str(value) for name, value in prepared.headers.items()} | more


class Retold(RequestException):
    """A failure that was put into words before: ``sent`` says whether the request can have arrived."""

    def __init__(self, words: str, *, sent: bool) -> None:
        super().__init__(words)
        self.words = words
        self.sent = sent


def surely_not_sent(error: BaseException, adapter: BaseAdapter) -> bool:
    """Whether the failure came before any of the request left (no address, no connection, no TLS).

    Or whether the TLS handshake failed at its other end, on account of our certificate: such an alert comes
    once the request is under way, but a server that has not finished the handshake reads no request.
    """
    if isinstance(error, Retold):
        return not error.sent
    if isinstance(adapter, ConnectingAdapter) and not adapter.attempt.sent:
        return True
    reason = _tls_reason(error)  # the library's own word: what a server writes could hold any
    return any(alert in reason for alert in _CERTIFICATE_ALERTS)


def _tls_reason(error: BaseException) -> str:
    """The TLS library's word on it, however deep the HTTP libraries wrapped its error; empty where it has none."""
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ssl.SSLError):
            return each.reason or ""
        if isinstance(each, BaseException):
            waiting += [each.__context__, each.__cause__, *each.args]
    return ""


_CERTIFICATE_ALERTS: Final = (
    "ALERT_CERTIFICATE",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "ALERT_UNSUPPORTED_CERT",
)


def sentence(error: BaseException, base_url: str) -> Failure:
    """What went wrong on the way, in words that hold no header, no credential and no address of memory."""
    if isinstance(error, Retold):
        return Failure.at(Step.ANSWER, error.words)
    host = base_url.split("/")[2]
    if isinstance(error, OverLimit):
        return Failure.at(Step.ANSWER, f"The exchange with {host} was ended: {error}.")
    if not isinstance(error, Exception):
        return Failure.at(Step.ANSWER, f"The exchange with {host} was interrupted.")
    text = str(error)
    for step, sign, words in _FAILURES:
        if sign in text or sign == type(error).__name__:
            return Failure.at(step, words.format(host=host))
    if isinstance(error, NoConnection):
        return Failure.at(Step.ANSWER, f"The connection to {host} broke off before an answer came.")
    return Failure.at(Step.ANSWER, f"The exchange with {host} failed ({type(error).__name__}).")


PROXY_REFUSED: Final = "Tunnel connection failed: 407"
"""How ``http.client`` says that a proxy does not take its credentials, whatever the proxy calls it."""

_OURS: Final = Step.CERTIFICATE

_FAILURES: Final = (
    (Step.PROXY, PROXY_REFUSED, "The proxy on the way to {host} wants other credentials."),
    (Step.PROXY, "ProxyError", "The proxy on the way to {host} cannot be used; check its address and its password."),
    (Step.DNS, "NameResolutionError", "The host of {host} is not known; check the base URL and the network."),
    (Step.TCP, "Connection refused", "Nothing listens at {host}; start the endpoint or check the port."),
    (Step.TCP, "ConnectTimeout", "{host} did not take the connection in time; check the address and the network."),
    (Step.ANSWER, "ReadTimeout", "{host} took the request but did not answer in time."),
    (_OURS, "certificate has expired", "The certificate of {host} has expired; its owner must renew it."),
    (_OURS, "certificate is not yet valid", "The certificate of {host} is not valid yet; check this machine's clock."),
    (
        _OURS,
        "certificate is not valid for",
        "The certificate of {host} is for another host; check the base URL.",
    ),
    (_OURS, "Hostname mismatch", "The certificate of {host} is for another host; check the base URL."),
    (_OURS, "IP address mismatch", "The certificate of {host} is for another host; check the base URL."),
    (
        _OURS,
        "CERTIFICATE_VERIFY_FAILED",
        "The certificate of {host} is not trusted; name the CA that signed it: "
        "Connection(verify=…), ca in a profile, --ca on the command line.",
    ),
    (
        _OURS,
        "ALERT_CERTIFICATE_REQUIRED",
        "{host} wants a client certificate and was shown none; name yours: "
        "Connection(cert=…), cert in a profile, --cert on the command line.",
    ),
    (_OURS, "ALERT_CERTIFICATE_EXPIRED", "{host} says that your client certificate has expired; have it renewed."),
    (_OURS, "ALERT_CERTIFICATE_REVOKED", "{host} says that your client certificate was revoked; have a new one made."),
    (
        _OURS,
        "ALERT_UNKNOWN_CA",
        "{host} does not know the CA of your client certificate; show one of a CA that it knows.",
    ),
    (
        _OURS,
        "ALERT_UNSUPPORTED_CERT",
        "{host} does not take your client certificate for this use; it must be made for clients.",
    ),
    (_OURS, "ALERT_CERTIFICATE", "{host} does not accept your client certificate; check which one it expects."),
    (_OURS, "ALERT_BAD_CERTIFICATE", "{host} does not accept your client certificate; check which one it expects."),
    (Step.TLS, "SSLError", "No TLS with {host}; check whether it speaks https and which certificates it wants."),
    (Step.TCP, "NewConnectionError", "There is no way to {host}; check the address and the network."),
)
