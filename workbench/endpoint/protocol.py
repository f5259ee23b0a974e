"""HTTP/1.1 as uvicorn speaks it, with the limits that keep one client from holding up the others.

Owns: what happens to a connection whose request cannot be read, is too long in the head, or does not
come to its end. Each is answered as FHIR answers, with an OperationOutcome (ERR-1), and then closed.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from workbench.endpoint import log
from workbench.endpoint.app import refused
from workbench.rules.update import Refusal
from workbench.rules.wire import reason

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a request line and its header fields."""

REQUEST_SECONDS: Final = 60.0
"""From a request's first byte (or a new connection without one) to its last."""

_MALFORMED: Final = Refusal.because(
    400, "structure", "MESSAGE_NOT_WELL_FORMED", "the request is not well-formed HTTP/1.1."
)
_LONG_TARGET: Final = Refusal.because(
    414, "too-long", "BAD_REQUEST", f"the request target is over the limit of {HEAD_LIMIT} bytes."
)
_LONG_HEAD: Final = Refusal.because(
    431, "too-long", "BAD_REQUEST", f"the request line and its header fields are over the limit of {HEAD_LIMIT} bytes."
)
_TOO_SLOW: Final = Refusal.because(
    408,
    "timeout",
    "BAD_REQUEST",
    f"the request did not come to its end within {REQUEST_SECONDS:.0f} s; nothing was done.",
)


class SpineProtocol(HttpToolsProtocol):
    """One connection."""

    seconds = REQUEST_SECONDS
    _deadline: asyncio.TimerHandle | None = None
    _begun = False
    _in_head = False
    _head = 0
    _refusal: Refusal | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request its time."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self.seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time: there is nothing left to wait for."""
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head has grown too long."""
        super().data_received(data)
        if self._in_head:
            # A line that never ends reaches no other callback.
            self._head += len(data)
            if self._head > HEAD_LIMIT and not self.transport.is_closing():
                self._refuse(self._too_long())

    def on_message_begin(self) -> None:
        """A request begins: its time starts."""
        super().on_message_begin()
        self.scope["transport"] = self.transport  # type: ignore[typeddict-unknown-key]
        self._begun, self._in_head, self._head = True, True, 0
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.seconds, self._too_slow)

    def on_url(self, url: bytes) -> None:
        """Count a part of the request line."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header field."""
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """The head is read."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is read."""
        self._rest()
        self._begun = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answer what cannot be read, and close; ``msg`` is uvicorn's own and says less."""
        self._refuse(self._refusal or _MALFORMED)

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_LIMIT:
            self._refusal = self._too_long()
            raise ValueError("the head is over the limit")  # the parser stops, and send_400_response is called

    def _too_long(self) -> Refusal:
        return _LONG_HEAD if self.headers else _LONG_TARGET

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._begun and not self.transport.is_closing():
            self._refuse(_TOO_SLOW)
        else:
            # Nothing was asked; an answer now could be taken for that to a request just being sent.
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        response = refused(refusal, datetime.now(UTC))
        fields = [*response.headers.items(), ("Content-Length", str(len(response.body))), ("Connection", "close")]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        start = f"HTTP/1.1 {response.status} {reason(response.status)}\r\n{head}\r\n"
        self._in_head = False
        self.transport.write(start.encode("latin-1") + response.body)
        self.transport.close()
        log.note(None, response, peer=str(self.client[0]) if self.client else "?", seconds=0.0)
