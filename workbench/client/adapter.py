"""Connect to one host and read an answer, within limits.

``ConnectingAdapter`` is a transport adapter for ``requests``. It adds what the HTTP libraries lack:

* It records whether a byte of the request can have left when something failed.
* It ends an exchange at its deadline, and limits the size of header fields and trailers.
* It never sends a request a second time.
* ``tls_context`` decides which certificates are trusted and which one is shown.

No second thread is needed: each wait on the socket ends at the deadline at the latest.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import math
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.cookiejar import Cookie
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection

from workbench.client.secret import Secret, conceal
from workbench.errors import BadInput
from workbench.journal.secrets import guard_logs

_MAX_LINES: Final = 256 * 2**10
"""Bytes by which all lines of an answer may exceed its body.

Lines are interim answers, header fields, chunk sizes and trailers.
"""

_SEND_SIZE: Final = 2**14
"""Bytes sent at once: one TLS record, so that each has a time-out of its own."""

_READ_SIZE: Final = 2**16


class LimitExceeded(Exception):
    """An answer passed a limit, or its size cannot be counted. The text continues "…: "."""


class Attempt:
    """The state of one request: what was sent, and how long and how much may still come."""

    def __init__(self, seconds: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self.connecting = False
        self.cancelled = False
        self.sent = False
        """Whether a byte of the request can have left."""
        self._seconds = seconds
        self._clock = clock
        self._end = clock() + seconds
        self.lines_left = _MAX_LINES
        """How many bytes of lines may still come."""

    def wait(self, longest: float | None) -> float:
        """Return how many seconds the next wait may last; raise ``LimitExceeded`` after the deadline."""
        left = self._end - self._clock()
        if left <= 0:
            raise LimitExceeded(f"it did not end within {self._seconds:g} s")
        return left if longest is None else min(longest, left)

    def count(self, *, lines: int = 0, body: int = 0) -> None:
        """Count received bytes; raise ``LimitExceeded`` when the lines outgrow the body."""
        self.lines_left += body - lines
        if self.lines_left < 0:
            raise LimitExceeded("its header fields, interim answers, chunk sizes or trailers do not end")


class ConnectingAdapter(HTTPAdapter):
    """A transport adapter for one host that records whether a byte of the request can have left.

    The error alone does not show this. A TLS library reports a failed handshake in the same words as plain text in
    the middle of an answer.

    ``context`` alone decides who is trusted and which certificate is shown. ``proxy`` is a URL;
    ``proxy_fields`` are header fields for the proxy only. ``deadline`` is the longest duration of
    one exchange in seconds.
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
        self._tls = {"ssl_context": context}
        self._pools = {
            "http": _reporting_pool(HTTPConnectionPool, self),
            "https": _reporting_pool(HTTPSConnectionPool, self),
        }
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._proxy_fields = proxy_fields
        guard_logs()
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send one request, on the open connection if there is one."""
        self.attempt = Attempt(self._deadline)
        return super().send(*arguments, **options | {"proxies": self._proxies})

    def abort(self) -> None:
        """End the request that another thread waits for, and every later one."""
        self.aborted = True
        self.cancel()

    def cancel(self) -> None:
        """End the request that another thread waits for; later ones are sent."""
        self.attempt.cancelled = True
        sock = self.connection.sock if self.connection else None
        if sock is not None:
            with contextlib.suppress(OSError):  # it is closed already
                # The plain method: the one of a TLS socket would start a closing handshake.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make a pool of connections that report to this adapter."""
        super().init_poolmanager(*arguments, **options | self._tls)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Make the same pool for connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **options | self._tls)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def proxy_headers(self, proxy: str) -> dict[str, str]:  # noqa: ARG002  # there is one proxy
        """Return the header fields for the proxy, which hold its credentials."""
        return dict(self._proxy_fields)

    def build_connection_pool_key_attributes(self, *arguments: Any, **options: Any) -> Any:
        """Return host and TLS settings; ``requests`` would add its own CA list to the context."""
        host, _ = super().build_connection_pool_key_attributes(*arguments, **options)
        return host, {"cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, *_: object) -> None:
        """Add nothing to the context, for the same reason."""


def _reporting_pool(pool: type[HTTPConnectionPool], adapter: ConnectingAdapter) -> type[HTTPConnectionPool]:
    """Return a pool class whose connections keep to ``adapter.attempt`` and update it."""
    base: Any = pool.ConnectionCls

    class ReportingConnection(base):  # type: ignore[misc]
        timeout: float | None
        socket_options: Iterable[Any] | None

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.socket_options = _OptionsUntilDeadline(self.socket_options, adapter)

        def connect(self) -> None:
            adapter.attempt.connecting = True
            self.timeout = adapter.attempt.wait(self.timeout)
            super().connect()
            adapter.connection = self
            if adapter.aborted or adapter.attempt.cancelled:
                raise ConnectionAbortedError("The request was aborted.")
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
            for start in range(0, len(data), _SEND_SIZE):
                self.sock.settimeout(attempt.wait(self.timeout))
                super().send(memoryview(data)[start : start + _SEND_SIZE])

        @staticmethod
        def response_class(*arguments: Any, **options: Any) -> _LimitedResponse:
            return _LimitedResponse(adapter.attempt, *arguments, **options)

    return type(pool.__name__, (pool,), {"ConnectionCls": ReportingConnection})


class _OptionsUntilDeadline:
    """Socket options that raise after the deadline.

    The library reads them for each address of a host, so no further address is tried then.
    """

    def __init__(self, options: Iterable[Any] | None, adapter: ConnectingAdapter) -> None:
        self._options, self._adapter = tuple(options or ()), adapter

    def __iter__(self) -> Iterator[Any]:
        try:
            self._adapter.attempt.wait(None)
        except LimitExceeded as error:
            raise TimeoutError(str(error)) from None  # the library then closes the socket
        return iter(self._options)


# --- reading an answer ---


class _SocketUntilDeadline(io.RawIOBase):
    """The bytes of a socket; no read lasts beyond the deadline."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, attempt: Attempt) -> None:
        self._raw, self._sock, self._attempt = raw, sock, attempt
        self._longest = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._sock.settimeout(self._attempt.wait(self._longest))
        return cast(int | None, self._raw.readinto(buffer))

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()


class _CountingReader(io.BufferedReader):
    """A buffered reader that counts lines and body, and reads nothing without a limit."""

    def __init__(self, raw: _SocketUntilDeadline, attempt: Attempt) -> None:
        super().__init__(raw)
        self._attempt = attempt

    def readline(self, size: int | None = -1, /) -> bytes:
        most = self._attempt.lines_left + 1
        line = super().readline(most if size is None or size < 0 else min(size, most))
        self._attempt.count(lines=len(line))
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:  # http.client would read a chunk of size -1 to the end
            raise LimitExceeded("the size of a chunk is negative")
        part = super().read(size)
        self._attempt.count(body=len(part))
        return part


class _LimitedResponse(http.client.HTTPResponse):
    """A response of ``http.client`` whose bytes are counted.

    It skips every interim answer (RFC 9110, 15.2); ``http.client`` takes 103 for the final one.
    """

    def __init__(self, attempt: Attempt, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        raw = _SocketUntilDeadline(self.fp.detach(), sock, attempt)
        self.fp = _CountingReader(raw, attempt)

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:  # no request here asks for it
                raise http.client.BadStatusLine("101")
            if not http.HTTPStatus.SWITCHING_PROTOCOLS < status < http.HTTPStatus.OK:
                return version, status, reason
            http.client.parse_headers(self.fp)


def read_body(answer: requests.Response, coding: str, limit: int) -> bytes:
    """Return the body of an answer with its content coding undone.

    ``coding`` is the ``Content-Encoding`` in lower case. Never holds much more than ``limit`` bytes.
    Raises ``LimitExceeded`` for more than ``limit`` bytes and for another content coding than
    gzip, and ``zlib.error`` for bytes that are not gzip.
    """
    parts = answer.raw.stream(_READ_SIZE, decode_content=False)
    if coding in ("gzip", "x-gzip"):
        parts = _decompressed(_limited(parts, limit))
    elif coding not in ("", "identity"):
        raise LimitExceeded("its Content-Encoding is not the gzip that was asked for")
    return b"".join(_limited(parts, limit))


def _limited(parts: Iterable[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > limit:
            raise LimitExceeded(f"it has more than {limit:,} bytes (max_body)")
        yield part


def _decompressed(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Undo gzip in parts of limited size. A stream may have several members (RFC 1952, 2.2)."""
    begun = False
    gzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    for part in parts:
        rest = part
        while rest:
            if gzip.eof:
                gzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            begun = True
            yield gzip.decompress(rest, _READ_SIZE)
            rest = gzip.unused_data if gzip.eof else gzip.unconsumed_tail
    if begun and not gzip.eof:
        raise zlib.error("the gzip stream is incomplete")


class LimitedCookies(RequestsCookieJar):
    """A cookie jar for 50 cookies of 4,096 bytes, the minimum of RFC 6265, 6.1. It drops others."""

    _MOST, _LONGEST = 50, 4096

    def set_cookie(self, cookie: Cookie, *arguments: Any, **options: Any) -> None:
        """Keep a cookie where there is room, or where it replaces one."""
        if len(cookie.name) + len(cookie.value or "") > self._LONGEST:
            return
        kept = {(each.domain, each.path, each.name) for each in self}
        if len(kept) >= self._MOST and (cookie.domain, cookie.path, cookie.name) not in kept:
            return
        super().set_cookie(cookie, *arguments, **options)
        cookie.value = conceal(cookie.value)

    def __repr__(self) -> str:
        return f"<{len(self)} cookies>"

    __str__ = __repr__


# --- TLS ---


def tls_context(verify: bool | str, cert: str | tuple[str, str] | None, passphrase: Secret | None) -> ssl.SSLContext:
    """Return the TLS context of one connection; host names are always checked.

    ``verify`` is ``True`` for the system's trust store, or a CA file or folder. ``cert`` is a file,
    or (certificate, key). Raises ``BadInput`` for a file or a passphrase that cannot be used.
    """
    context = _trusting_context(verify)
    if cert is not None:
        chain, key = cert if isinstance(cert, tuple) else (cert, cert)
        _load_certificate(context, chain, key, passphrase)
    return context


def _trusting_context(verify: bool | str) -> ssl.SSLContext:
    if not isinstance(verify, str):
        import truststore  # slow to import, and only HTTPS needs it

        return cast(ssl.SSLContext, truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    folder = Path(verify).is_dir()
    try:
        return ssl.create_default_context(cafile=None if folder else verify, capath=verify if folder else None)
    except OSError:
        raise BadInput(f"The CA file {verify} cannot be read; it must hold certificates as PEM.") from None


def _load_certificate(context: ssl.SSLContext, chain: str, key: str, passphrase: Secret | None) -> None:
    otherwise = _UNREADABLE

    def password() -> str:
        # Without this function OpenSSL would ask at a terminal, which a notebook does not have.
        nonlocal otherwise
        if passphrase is None:
            raise BadInput(f"The key {key} is encrypted; give its passphrase by reference.")
        otherwise = _LOCKED
        return passphrase()

    try:
        context.load_cert_chain(chain, key, password)
    except BadInput:
        raise
    except (OSError, ValueError) as error:  # ValueError: the passphrase is too long
        message = next((words for sign, words in _TLS_FILES.items() if sign in str(error)), otherwise)
        raise BadInput(message.format(chain=chain, key=key)) from None


_UNREADABLE: Final = "The client certificate {chain} or its key {key} cannot be read; both must be PEM."
_LOCKED: Final = "The passphrase does not open the key {key}; check where it comes from."
_MISMATCH: Final = "The key {key} does not belong to the client certificate {chain}; give the two of a pair."
_TLS_FILES: Final = {
    "KEY_VALUES_MISMATCH": _MISMATCH,
    "KEY_TYPE_MISMATCH": _MISMATCH,
    "BAD_DECRYPT": _LOCKED,
    "EE_KEY_TOO_SMALL": ("The key of the client certificate {chain} is too short for today's TLS; have it made anew."),
}
"""By part of OpenSSL's message: the message for the user."""
