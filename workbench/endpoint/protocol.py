"""HTTP/1.1 as uvicorn speaks it, with the limits that keep one client from holding up the others.

Owns: what happens to a connection whose request cannot be read, is too long, or does not arrive in time. The
requests before it are answered first. Then it gets an OperationOutcome (ERR-1), and the connection ends. So a
request that is refused here never reaches the application (contract UPD-17).
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from workbench.endpoint import log
from workbench.endpoint.application import refused
from workbench.endpoint.policy import BODY_LIMIT, Refusal
from workbench.exchange.text import reason

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a request line and its header fields."""

REQUEST_SECONDS: Final = 60.0
"""From a request's first byte (or a new connection without one) to its last; and to write an answer."""

LINGER_SECONDS: Final = 2.0
"""How long a client that was refused may go on sending: closed earlier, it could lose the answer."""

_PIECE: Final = 8 * 1024
"""Bytes that are parsed at once. One piece can hold hundreds of requests, and each is kept until it is answered."""

_MALFORMED: Final = Refusal.because(
    400, "structure", "MESSAGE_NOT_WELL_FORMED", "the request is not well-formed HTTP/1.1."
)
_LONG_TARGET: Final = Refusal.because(
    414, "too-long", "BAD_REQUEST", f"the request target is over the limit of {HEAD_LIMIT} bytes."
)
_LONG_HEAD: Final = Refusal.because(
    431, "too-long", "BAD_REQUEST", f"the request line and its header fields are over the limit of {HEAD_LIMIT} bytes."
)
_LONG_FRAMING: Final = Refusal.because(
    413, "too-long", "BAD_REQUEST", f"the body with its chunk headers is over the limit of {BODY_LIMIT} bytes."
)
_TOO_SLOW: Final = Refusal.because(
    408,
    "timeout",
    "BAD_REQUEST",
    f"the request did not come to its end within {REQUEST_SECONDS:.0f} s; nothing was done.",
)


class _Flow(FlowControl):
    """Uvicorn's flow control, which resumes reading for every request; this one can be held."""

    held = False

    def hold(self, held: bool) -> None:
        """Stop reading, or go on."""
        self.held = held
        if held:
            self.pause_reading()
        else:
            self.resume_reading()

    def resume_reading(self) -> None:
        """Go on reading, unless it is held."""
        if not self.held:
            super().resume_reading()


class SpineProtocol(HttpToolsProtocol):
    """One connection."""

    seconds = REQUEST_SECONDS
    flow: _Flow
    _deadline: asyncio.TimerHandle | None = None
    _patience: asyncio.TimerHandle | None = None
    """When an answer that is not read is given up."""

    _begun = False
    """Whether a request has begun to arrive and is not complete."""

    _in_head = False
    _head = 0
    """Bytes of the fields of the present head, and of its trailers."""

    _line = 0
    """Bytes of a line that is not complete, and that no callback has seen."""

    _raw = 0
    """Bytes of the present body as they came, with the headers of its chunks."""

    _unread = b""
    """Bytes that wait until the requests before them are answered."""

    _reason: Refusal | None = None
    """Why the parser was stopped."""

    _ending: Refusal | None = None
    """What the connection ends with, once the requests before it are answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request its time."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._deadline = self.loop.call_later(self.seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time: there is nothing left to wait for."""
        self._rest()
        self._be_patient()
        self._unread = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, in pieces, and not beyond requests that wait for their answer."""
        if self._ending is None:
            self._unread += data
            self._parse()

    def pause_writing(self) -> None:
        """The client does not read: from now on its answer has as long as a request has."""
        super().pause_writing()
        if self._patience is None:
            self._patience = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again; its time ends when the answer does."""
        super().resume_writing()
        if self.cycle is None or self.cycle.response_complete:
            self._be_patient()

    def timeout_keep_alive_handler(self) -> None:
        """Nobody asks any more; what was not read by now is thrown away."""
        self.transport.abort()

    def _parse(self) -> None:
        while self._unread and not self.pipeline and not self.transport.is_closing():
            piece, self._unread = self._unread[:_PIECE], self._unread[_PIECE:]
            self._parse_piece(piece)
        if self._ending is None and self.flow.held != bool(self._unread):
            self.flow.hold(bool(self._unread))

    def _parse_piece(self, piece: bytes) -> None:
        in_body, before = self._begun and not self._in_head, self._head
        super().data_received(piece)
        if self._ending is not None or self.transport.is_closing():
            return
        if self._begun and before == self._head:
            self._line += len(piece)  # a line that goes on and on reaches no callback
        else:
            self._line = 0
        if self._in_head and self._head + self._line > HEAD_LIMIT:
            self._refuse(self._too_long())
        elif in_body and self._begun and not self._in_head:
            self._raw += len(piece)
            # The application itself refuses a body over the limit; this is about what is around it.
            if self._raw > BODY_LIMIT + HEAD_LIMIT and not self.cycle.response_started:
                self._refuse(_LONG_FRAMING)

    def on_message_begin(self) -> None:
        """A request begins: its time starts."""
        super().on_message_begin()
        self.scope["transport"] = self.transport  # type: ignore[typeddict-unknown-key]
        self._begun, self._in_head = True, True
        self._head = self._line = self._raw = 0
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.seconds, self._too_slow)

    def on_url(self, url: bytes) -> None:
        """Count a part of the request line."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header field. A trailer is counted too, but it is not a header field (RFC 9110, 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """The head is read."""
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        """The request is read."""
        self._rest()
        self._begun = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is written: go on with the next request, or end."""
        was_last = not self.pipeline
        super().on_response_complete()
        if not self.flow.write_paused:
            self._be_patient()
        if self.transport.is_closing():
            return
        if self._ending is None:
            self._parse()
        elif was_last:
            self._unset_keepalive_if_required()
            self._end(self._ending)

    def shutdown(self) -> None:
        """End an idle connection at once: over TLS, ``close`` waits for the client's word for half a minute."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and not self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Refuse what cannot be read; ``msg`` is uvicorn's own and says less."""
        self._refuse(self._reason or _MALFORMED)

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_LIMIT:
            self._reason = self._too_long()
            raise ValueError("the head is over the limit")  # the parser stops, and send_400_response is called

    def _too_long(self) -> Refusal:
        return _LONG_HEAD if self.headers else _LONG_TARGET

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._unread:  # it was sent; it waits for the answers before it
            self._deadline = self.loop.call_later(self.seconds, self._too_slow)
        elif self._begun and not self.transport.is_closing():
            self._refuse(_TOO_SLOW)
        else:
            # Nothing was asked; an answer now could be taken for that to a request just being sent.
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        """Read no further. Answer the requests before this one, refuse this one, and close."""
        self._rest()
        self._unread = b""
        self._ending = refusal
        incomplete = self.cycle if self._begun and not self._in_head else None
        if incomplete is not None and self.pipeline:
            self.pipeline.popleft()  # the newest: the application has not seen it
            answered = False
        elif incomplete is not None:
            # The application waits for the rest of its body, and learns that the client has gone.
            incomplete.disconnected = True
            incomplete.message_event.set()
            if incomplete.response_started:
                self.transport.close()
                return
            answered = True
        else:
            answered = self.cycle is None or self.cycle.response_complete
        if answered:
            self._end(refusal)

    def _end(self, refusal: Refusal) -> None:
        """Write the refusal, and close the connection as soon as the client can have read it."""
        response = refused(refusal, datetime.now(UTC))
        fields = [*response.headers.items(), ("Content-Length", str(len(response.body))), ("Connection", "close")]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        start = f"HTTP/1.1 {response.status} {reason(response.status)}\r\n{head}\r\n"
        self.transport.write(start.encode("latin-1") + response.body)
        log.note(None, response, peer=str(self.client[0]) if self.client else "?", seconds=0.0)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.hold(False)
            self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()
