"""Limits on one exchange: its time, the lines and the body of its answer, and the cookies that are kept.

Owns: counting, and ending an exchange that passes a limit. Every byte of an answer comes through ``MeteredResponse``,
so no server can make a client wait or grow for ever. No second thread is needed: each wait on the socket lasts at
most as long as the exchange still may.
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from http.cookiejar import Cookie
from typing import Any, Final, cast

from requests.cookies import RequestsCookieJar

from workbench.client.secret import conceal

DEADLINE: Final = 120.0
"""Seconds after which an exchange ends, unless a connection says otherwise."""

MAX_BODY: Final = 64 * 2**20
"""Bytes of an answer's body, content coding undone, unless a connection says otherwise."""

_MAX_LINES: Final = 256 * 2**10
"""Bytes of all lines of an answer (interim answers, header fields, chunk sizes, trailers) beyond the body's size."""

_PIECE: Final = 2**16

_ASKED_CODINGS: Final = frozenset({"gzip", "x-gzip"})


class OverLimit(Exception):
    """An exchange passed a limit, or broke the rules by which it could be counted; the text says how."""


class Attempt:
    """One request on its way: whether a byte of it can have left, and what it may still cost."""

    __slots__ = ("_clock", "_end", "_lines", "_seconds", "connecting", "sent")

    def __init__(self, seconds: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self.connecting = False
        self.sent = False
        self._seconds = seconds
        self._clock = clock
        self._end = clock() + seconds
        self._lines = _MAX_LINES

    def wait(self, longest: float | None) -> float:
        """Return how many seconds the next wait may last; raise ``OverLimit`` after the deadline."""
        left = self._end - self._clock()
        if left <= 0:
            raise OverLimit(f"it did not end within {self._seconds:g} s")
        return left if longest is None else min(longest, left)

    @property
    def lines_left(self) -> int:
        """How many bytes of lines may still come."""
        return self._lines

    def count(self, *, lines: int = 0, body: int = 0) -> None:
        """Count bytes that came; raise ``OverLimit`` when the lines outgrow the body."""
        self._lines += body - lines
        if self._lines < 0:
            raise OverLimit("its header fields, interim answers, chunk sizes or trailers do not end")


class _Wire(io.RawIOBase):
    """The bytes of a socket, none of which is waited for beyond the deadline."""

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


class _Metered(io.BufferedReader):
    """A buffered reader that counts lines and body, and reads nothing without a limit."""

    def __init__(self, wire: _Wire, attempt: Attempt) -> None:
        super().__init__(wire)
        self._attempt = attempt

    def readline(self, size: int | None = -1, /) -> bytes:
        most = self._attempt.lines_left + 1
        line = super().readline(most if size is None or size < 0 else min(size, most))
        self._attempt.count(lines=len(line))
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:  # a chunk of the size -1 would be read until memory ends
            raise OverLimit("the size of a chunk is negative")
        part = super().read(size)
        self._attempt.count(body=len(part))
        return part


class MeteredResponse(http.client.HTTPResponse):
    """An answer as ``http.client`` reads it, through a meter.

    Every interim answer is skipped (RFC 9110, 15.2); ``http.client`` takes 103 for the last word.
    """

    def __init__(self, attempt: Attempt, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = _Metered(_Wire(self.fp.detach(), sock, attempt), attempt)

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:  # nobody asked for another protocol
                raise http.client.BadStatusLine("101")
            if not http.HTTPStatus.SWITCHING_PROTOCOLS < status < http.HTTPStatus.OK:
                return version, status, reason
            http.client.parse_headers(self.fp)


def read_body(parts: Iterable[bytes], coding: str, limit: int) -> bytes:
    """Return a body with its content coding undone; ``parts`` are its bytes as they come, small ones.

    Raises ``OverLimit`` for more than ``limit`` bytes and for a coding that was not asked for (only gzip is), and
    ``zlib.error`` for bytes that are not of their coding. Never holds much more than ``limit``.
    """
    if coding in _ASKED_CODINGS:
        parts = _unpacked(_limited(parts, limit))
    elif coding not in ("", "identity"):
        raise OverLimit("its Content-Encoding is not the gzip that was asked for")
    return b"".join(_limited(parts, limit))


def _limited(parts: Iterable[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > limit:
            raise OverLimit(f"it has more than {limit:,} bytes (max_body)")
        yield part


def _unpacked(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Undo gzip, which may consist of several members (RFC 1952, 2.2), in pieces of a limited size."""
    unpack, begun = _gzip(), False
    for part in parts:
        rest = part
        while rest:
            if unpack.eof:
                unpack = _gzip()
            begun = True
            yield unpack.decompress(rest, _PIECE)
            rest = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
    if begun and not unpack.eof:
        raise zlib.error("the gzip stream is incomplete")


def _gzip() -> Any:
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


class FewCookies(RequestsCookieJar):
    """A cookie jar with the room that RFC 6265 (6.1) asks for: 50 cookies of 4,096 bytes. Further ones are not kept."""

    _MOST, _LONGEST = 50, 4096

    def set_cookie(self, cookie: Cookie, *arguments: Any, **options: Any) -> None:
        """Keep a cookie where there is room, or where it replaces one."""
        if len(cookie.name) + len(cookie.value or "") > self._LONGEST:
            return
        if len(self) >= self._MOST and not any(_place(each) == _place(cookie) for each in self):
            return
        super().set_cookie(cookie, *arguments, **options)
        cookie.value = conceal(cookie.value)

    def __repr__(self) -> str:
        return f"<{len(self)} cookies>"

    __str__ = __repr__


def _place(cookie: Cookie) -> tuple[str, str, str]:
    return cookie.domain, cookie.path, cookie.name
