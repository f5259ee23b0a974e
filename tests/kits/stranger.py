"""Servers that answer as a script says: real ones, on loopback, which keep what they heard.

They count on the other side what "nothing was sent" and "nothing was sent twice" mean. A script writes to the
connection; what never ends ends when the caller hangs up.
"""

from __future__ import annotations

import enum
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


class After(enum.Enum):
    """What a stranger does with a connection once it has answered."""

    CLOSE = enum.auto()
    HOLD = enum.auto()
    NEXT = enum.auto()


Script = Callable[[socket.socket], After]


class Stranger:
    """A server on loopback. Its nth request is answered by the nth script, the last script also all that follow."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.hung_up = 0
        """How many callers ended the connection while a script still wrote."""
        self._scripts = scripts
        self._tls = tls
        self._held: list[socket.socket] = []
        self._last_caller: Any = None
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/STU3"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Serve the callers that have connected, then end."""
        with socket.socket() as caller:
            caller.bind(("127.0.0.1", 0))
            self._last_caller = caller.getsockname()
            caller.connect(("127.0.0.1", self.port))
            self._thread.join()
        for connection in (*self._held, self._listening):
            connection.close()

    def _serve(self) -> None:
        while True:
            connection, caller = self._listening.accept()
            if caller == self._last_caller:
                connection.close()
                return
            self.connections += 1
            connection.settimeout(60)
            with suppress(OSError):  # a caller who hangs up, in the TLS handshake or later, is what is tested
                connection = self._secured(connection) if self._tls else connection
                try:
                    after = self._talk(connection)
                except (ConnectionError, ssl.SSLError):
                    self.hung_up += 1
                    raise
                if after is After.HOLD:
                    self._held.append(connection)
                    continue
            connection.close()

    def _secured(self, connection: socket.socket) -> socket.socket:
        assert self._tls
        with connection.dup() as other:
            try:
                return self._tls.wrap_socket(connection, server_side=True)
            except OSError:
                while other.recv(65536):  # hanging up on a caller who still talks would take the alert back
                    pass
                raise

    def _talk(self, connection: socket.socket) -> After:
        after = After.NEXT
        while after is After.NEXT and (request := read_request(connection)):
            self.requests.append(request)
            after = self._scripts[min(len(self.requests), len(self._scripts)) - 1](connection)
        return after


def read_request(connection: socket.socket) -> bytes:
    """One request, head and body; empty if the caller hung up first, or does not speak HTTP."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        if heard[:1] == b"\x16" or not (part := connection.recv(65536)):  # 0x16 opens a TLS handshake
            return b""
        heard += part
    head, _, body = heard.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def stranger(*scripts: Script, tls: ssl.SSLContext | None = None) -> Iterator[Stranger]:
    """Yield a stranger; at the end it has served all its callers."""
    server = Stranger(*scripts, tls=tls)
    try:
        yield server
    finally:
        server.close()


def says(text: bytes, after: After = After.CLOSE) -> Script:
    """Answer with these bytes."""

    def script(connection: socket.socket) -> After:
        connection.sendall(text)
        return after

    return script


def answers(
    status: int, body: bytes = b"", *fields: str, length: int | None = None, after: After = After.CLOSE
) -> Script:
    """A well-formed answer; ``length`` promises another number of bytes than come."""
    lines = [f"HTTP/1.1 {status} Whatever", *fields, f"Content-Length: {len(body) if length is None else length}"]
    lines += ["Connection: close"] if after is After.CLOSE else []
    return says("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, after)


def hangs_up(_connection: socket.socket) -> After:
    """Close without a word."""
    return After.CLOSE


def never_answers(_connection: socket.socket) -> After:
    """Keep the connection open and say nothing."""
    return After.HOLD


def forgets_tls(connection: socket.socket) -> After:
    """Having read the request, go on in plain text below the TLS: a TLS error, but after the request was sent."""
    with socket.socket(fileno=os.dup(connection.fileno())) as plain:
        plain.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    return After.CLOSE


def sends_for_ever(*parts: bytes, pause: float = 0) -> Script:
    """Send the first part, then all the others again and again, until the caller hangs up or a minute is over."""

    def script(connection: socket.socket) -> After:
        connection.sendall(parts[0])
        wait = threading.Event()
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            for part in parts[1:]:
                connection.sendall(part)
                wait.wait(pause)
        return After.CLOSE

    return script


def chunked(parts: Iterable[bytes]) -> bytes:
    """A body in chunks (RFC 9112, 7.1)."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
