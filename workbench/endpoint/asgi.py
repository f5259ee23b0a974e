"""The ASGI shell: HTTP messages to and from the application's records, and nothing decided.

Two things are the transport's own: a body over the limit is not read to its end, and an answer is
compressed for whoever asks (FMT-3). The application is called on the event loop: an answer about a
resource of everyday size takes about a millisecond, less than handing it to a thread is worth. One about
megabytes holds the others up for as long as it is validated.
"""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from workbench.endpoint.app import Application, refused
from workbench.rules.message import Headers, Request, Response
from workbench.rules.preference import accepts_gzip
from workbench.rules.update import BODY_LIMIT, Refusal
from workbench.rules.wire import reason

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_SMALLEST_GZIP: Final = 256
"""Bytes below which compressing costs more than it saves."""


def shell(application: Application) -> Callable[[Message, Receive, Send], Awaitable[None]]:
    """The application as an ASGI callable."""

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        if body is None:
            return  # the client went away; nothing was asked
        request = _request(scope, body)
        response = compressed(application.answer(request), request.headers)
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
        if response.status not in (204, 304):
            fields.append((b"Content-Length", str(len(response.body)).encode()))
        if len(body) > BODY_LIMIT:
            fields.append((b"Connection", b"close"))
        await send({"type": "http.response.start", "status": response.status, "headers": fields})
        await send({"type": "http.response.body", "body": response.body})

    return serve


def compressed(response: Response, asked_by: Headers) -> Response:
    """The answer with its body gzipped, if the request allows that and there is something to gain."""
    if len(response.body) < _SMALLEST_GZIP or not accepts_gzip(asked_by.get("Accept-Encoding")):
        return response
    fields = [*response.headers.items(), ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
    # A fixed time in the gzip header: the same answer is the same bytes.
    return Response(response.status, Headers(fields), gzip.compress(response.body, compresslevel=4, mtime=0))


async def _read_body(receive: Receive) -> bytes | None:
    """The body, or as much of it as shows that it is over the limit; ``None`` if the client went away."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if not message.get("more_body") or size > BODY_LIMIT:
            return b"".join(chunks)


def _request(scope: Message, body: bytes) -> Request:
    query = scope["query_string"].decode("latin-1")
    # The path alone: what the Host header claims decides nothing here.
    url = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    headers = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    return Request(scope["method"], url, headers, body)


class SpineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, but what it cannot parse is answered as FHIR answers: with an OperationOutcome (ERR-1)."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answer 400 and close; ``msg`` is uvicorn's own and says less."""
        refusal = Refusal.because(
            400, "structure", "MESSAGE_NOT_WELL_FORMED", "the request is not well-formed HTTP/1.1."
        )
        response = refused(refusal, datetime.now(UTC))
        fields = [*response.headers.items(), ("Content-Length", str(len(response.body))), ("Connection", "close")]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        start = f"HTTP/1.1 {response.status} {reason(response.status)}\r\n{head}\r\n"
        self.transport.write(start.encode("latin-1") + response.body)
        self.transport.close()
