"""One connection, as uvicorn serves it, with limits that keep one client from blocking the others.

A request that cannot be parsed, is too long, or does not arrive in time is refused here. The endpoint first answers
the requests before it, then sends an OperationOutcome (ERR-1), then closes the connection. A request that is refused
here never reaches the application (UPD-17).
"""

from __future__ import annotations

import asyncio
import ssl
import uuid
from datetime import UTC, datetime
from typing import Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from workbench.endpoint.application import refused
from workbench.endpoint.log import log_request
from workbench.endpoint.policy import BODY_LIMIT, LONG_HEAD, LONG_TARGET, NOT_WELL_FORMED, TOO_LONG, TOO_SLOW, Refusal
from workbench.exchange.text import reason

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a request line and its header fields."""

REQUEST_SECONDS: Final = 60.0
"""From a request's first byte (or a new connection without one) to its last; and to write a response."""

LINGER_SECONDS: Final = 2.0
"""How long the endpoint reads on after a refusal. If it closed at once, the client could lose the response."""

_SLICE: Final = 8 * 1024
"""Bytes parsed at once. One slice can hold hundreds of requests, and each is kept until it is answered."""

_MALFORMED: Final = NOT_WELL_FORMED.because("the request is not well-formed HTTP/1.1.")
_LONG_TARGET: Final = LONG_TARGET.because(f"the request target is over the limit of {HEAD_LIMIT} bytes.")
_LONG_HEAD: Final = LONG_HEAD.because(
    f"the request line and its header fields are over the limit of {HEAD_LIMIT} bytes."
)
_LONG_FRAMING: Final = TOO_LONG.because(f"the body with its chunk headers is over the limit of {BODY_LIMIT} bytes.")
_TOO_SLOW: Final = TOO_SLOW.because(
    f"the request did not come to its end within {REQUEST_SECONDS:.0f} s; nothing was done."
)

_NOT_TLS: Final = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER"})
"""OpenSSL's reasons for a client that does not speak TLS, and so would read no alert."""


class AlertingSSLObject(ssl.SSLObject):
    """A TLS handshake that tells the client why it failed, such as an untrusted certificate.

    When a handshake fails, OpenSSL writes an alert (RFC 8446, section 6.2) into its outgoing bytes, but asyncio aborts
    the transport before they are sent. So this class reports the failure one step later, after asyncio has sent the
    alert. The client then closes the connection; one that does not meets asyncio's handshake timeout.
    """

    _failed: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """Continue the handshake; raise the error that made it fail on the call after that one."""
        if self._failed is not None:
            raise self._failed
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLSyscallError):
            raise
        except ssl.SSLError as error:
            if error.reason in _NOT_TLS:
                raise
            self._failed = error
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "sending a TLS alert first") from None


class _PausableFlow(FlowControl):
    """uvicorn's flow control resumes reading for every request; this one can keep reading paused."""

    paused = False

    def set_paused(self, paused: bool) -> None:
        """Pause or resume reading."""
        self.paused = paused
        if paused:
            self.pause_reading()
        else:
            self.resume_reading()

    def resume_reading(self) -> None:
        """Resume reading, unless it is paused here."""
        if not self.paused:
            super().resume_reading()


class SpineProtocol(HttpToolsProtocol):
    """One connection."""

    seconds = REQUEST_SECONDS
    flow: _PausableFlow
    _request_timer: asyncio.TimerHandle | None = None
    """Runs while a request may arrive; then while a refused client may read."""

    _write_timer: asyncio.TimerHandle | None = None
    """Runs while the client does not read its response."""

    _incomplete = False
    """Whether a request has begun to arrive and is not complete."""

    _in_head = False
    _size = 0
    """Bytes of the incomplete request as they arrived, and of complete ones in the slice in which it began."""

    _unparsed = b""
    """Bytes that wait until the requests before them are answered."""

    _last_refusal: Refusal | None = None
    """The refusal that ends the connection, once the requests before it are answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer of the first request."""
        super().connection_made(transport)
        self.flow = _PausableFlow(transport)
        self._start_request_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        self._cancel_request_timer()
        self._cancel_write_timer()
        self._unparsed = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data in slices, and stop at requests that wait for their response."""
        if self._last_refusal is None:
            self._unparsed += data
            self._parse()

    def pause_writing(self) -> None:
        """Start the timer of a response that the client does not read."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Continue writing. The timer runs until the whole response is written."""
        super().resume_writing()
        if self._is_idle():
            self._cancel_write_timer()

    def timeout_keep_alive_handler(self) -> None:
        """Abort an idle connection, and what is still unsent on it."""
        self.transport.abort()

    def _parse(self) -> None:
        while self._unparsed and not self.pipeline and not self.transport.is_closing():
            # A slice ends where the head would be over its limit.
            size = min(_SLICE, HEAD_LIMIT - self._size) if self._in_head else _SLICE
            data, self._unparsed = self._unparsed[:size], self._unparsed[size:]
            self._parse_slice(data)
        if self._last_refusal is None and self.flow.paused != bool(self._unparsed):
            self.flow.set_paused(bool(self._unparsed))

    def _parse_slice(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # To this parser, another protocol follows. A new one reads the same head again, without the upgrade.
            self._unparsed = self._head_without_upgrade() + data[upgrade.args[0] :] + self._unparsed
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
            return
        except httptools.HttpParserError:
            self._refuse(_MALFORMED)
            return

        if not self._incomplete:
            return
        self._size += len(data)
        if self._in_head and self._size >= HEAD_LIMIT:
            self._refuse(_LONG_HEAD if self.headers else _LONG_TARGET)
        # The application refuses a body over the limit; this limits the chunk headers around it, and the trailers.
        elif self._size > BODY_LIMIT + 2 * HEAD_LIMIT and not self.cycle.response_started:
            self._refuse(_LONG_FRAMING)

    def on_message_begin(self) -> None:
        """Start the timer of a request, and its count."""
        super().on_message_begin()
        self.scope["transport"] = self.transport  # type: ignore[typeddict-unknown-key]
        self._incomplete, self._in_head, self._size = True, True, 0
        self._start_request_timer()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field, but not a trailer, which is none (RFC 9110, 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End the head."""
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        """End the request."""
        self._cancel_request_timer()
        self._incomplete = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Parse the next request, or end the connection with a refusal."""
        was_last = not self.pipeline
        super().on_response_complete()
        if not self.flow.write_paused:
            self._cancel_write_timer()
        if self.transport.is_closing():
            return
        if self._last_refusal is None:
            self._parse()
        elif was_last:
            self._unset_keepalive_if_required()
            self._write_refusal(self._last_refusal)

    def _should_upgrade(self) -> bool:
        """Whether the head holds an upgrade; uvicorn then leaves it to ``_parse_slice``, which ignores the upgrade."""
        return any(name == b"upgrade" for name, _ in self.headers)

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def shutdown(self) -> None:
        """Abort an idle connection: over TLS, ``close`` would wait half a minute for the client."""
        if self._is_idle() and not self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().shutdown()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _start_request_timer(self) -> None:
        self._cancel_request_timer()
        self._request_timer = self.loop.call_later(self.seconds, self._on_timeout)

    def _cancel_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()

    def _cancel_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _on_timeout(self) -> None:
        if self._unparsed:  # the client sent it in time; it waits for the responses before it
            self._start_request_timer()
        elif self._incomplete and not self.transport.is_closing():
            self._refuse(_TOO_SLOW)
        else:
            # No request has begun. A client that sends one right now could take a 408 for its response.
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        """Stop reading, wait until the requests before this one are answered, then refuse it and close."""
        self._cancel_request_timer()
        self._unparsed = b""
        self._last_refusal = refusal
        incomplete = self.cycle if self._incomplete and not self._in_head else None
        if incomplete is not None and self.pipeline:
            self.pipeline.popleft()  # the newest request, which the application has not received
            idle = False
        elif incomplete is not None:
            # The application waits for the rest of this body; to it, the client has disconnected.
            incomplete.disconnected = True
            incomplete.message_event.set()
            if incomplete.response_started:
                self.transport.close()
                return
            idle = True
        else:
            idle = self._is_idle()
        if idle:
            self._write_refusal(refusal)

    def _write_refusal(self, refusal: Refusal) -> None:
        """Write the refusal, and close the connection once the client has had time to read it."""
        response = refused(refusal, datetime.now(UTC), str(uuid.uuid4()))
        fields = [*response.headers.items(), ("Content-Length", str(len(response.body))), ("Connection", "close")]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        start = f"HTTP/1.1 {response.status} {reason(response.status)}\r\n{head}\r\n"
        self.transport.write(start.encode("latin-1") + response.body)
        log_request(None, response, peer=str(self.client[0]) if self.client else "?", seconds=0.0)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.set_paused(False)
            self._request_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()
