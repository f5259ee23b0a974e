"""The ASGI shell: HTTP messages to and from the application's records, and nothing decided.

The transport's own: a body over the limit is not kept, an answer is compressed for whoever asks (FMT-3),
faults that were switched on strike, and each request is written down. The application is called on the
event loop, because an answer about a resource of everyday size takes less than handing it to a thread; one
about a large body goes to a thread, so that the others do not wait for it.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final

from workbench.endpoint import log
from workbench.endpoint.app import Application, refused
from workbench.endpoint.faults import Fault, Faults
from workbench.rules.message import Headers, Request, Response
from workbench.rules.preference import accepts_gzip
from workbench.rules.update import BODY_LIMIT, Refusal, unavailable

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEALTH_PATH: Final = "/healthz"

_SMALLEST_GZIP: Final = 256
"""Bytes below which compressing costs more than it saves."""

_LARGE: Final = 64 * 1024
"""Bytes of a request body from which on the event loop is not held up for it."""

_LINGER_SECONDS: Final = 2.0
"""How long the rest of a body that was refused is let in and thrown away, so that its sender reads the answer."""

_PIECES: Final = 10


class Shell:
    """The application as an ASGI callable."""

    def __init__(self, application: Application, faults: Faults) -> None:
        self._application = application
        self._faults = faults

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        body = await _read_body(receive)
        if body is None:
            return  # the client went away; nothing was asked
        request = _request(scope, body)
        fault = self._faults.strike_on(request)
        if fault and fault.kind in ("drop-request", "latency"):
            if fault.kind == "drop-request":
                await _hang_up(scope, receive)
                return
            await asyncio.sleep(fault.seconds)
        response = await self._answer(scope, request, fault)
        peer = str(scope["client"][0]) if scope.get("client") else "?"
        try:
            await _send(response, fault, scope, receive, send, over=len(body) > BODY_LIMIT)
        finally:
            struck = fault.kind if fault else ""
            log.note(request, response, peer=peer, seconds=time.perf_counter() - began, fault=struck)

    async def _answer(self, scope: Message, request: Request, fault: Fault | None) -> Response:
        if fault and fault.kind == "refuse":
            return out_of_service(fault)
        if scope["http_version"] == "1.1" and sum(name.lower() == "host" for name, _ in request.headers.items()) != 1:
            return refused(_ONE_HOST, datetime.now(UTC))
        if request.url.partition("?")[0] == HEALTH_PATH:
            return self._application.health()
        if len(request.body) < _LARGE:
            return self._answered(request)
        return await asyncio.to_thread(self._answered, request)

    def _answered(self, request: Request) -> Response:
        return compressed(self._application.answer(request), request.headers)


def compressed(response: Response, asked_by: Headers) -> Response:
    """The answer with its body gzipped, if the request allows that and there is something to gain."""
    if len(response.body) < _SMALLEST_GZIP or not accepts_gzip(asked_by.get("Accept-Encoding")):
        return response
    fields = [*response.headers.items(), ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
    # A fixed time in the gzip header: the same answer is the same bytes.
    return Response(response.status, Headers(fields), gzip.compress(response.body, compresslevel=4, mtime=0))


def out_of_service(fault: Fault) -> Response:
    """What the fault ``refuse`` answers."""
    response = refused(unavailable("a fault was switched on; nothing was done."), datetime.now(UTC))
    after = str(max(1, round(fault.seconds)))
    return Response(response.status, Headers([*response.headers.items(), ("Retry-After", after)]), response.body)


_ONE_HOST: Final = Refusal.because(
    400, "structure", "MESSAGE_NOT_WELL_FORMED", "an HTTP/1.1 request has one Host header field."
)


async def _send(
    response: Response, fault: Fault | None, scope: Message, receive: Receive, send: Send, *, over: bool
) -> None:
    kind = fault.kind if fault else ""
    if kind == "drop-answer" or (kind == "cut-body" and not response.body):
        await _hang_up(scope, receive)
        return
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    if response.status not in (204, 304):
        fields.append((b"Content-Length", str(len(response.body)).encode()))
    if over:
        fields.append((b"Connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": fields})
    if kind == "cut-body":
        await send(_part(response.body[: len(response.body) // 2], more=True))
        await _hang_up(scope, receive)
        return
    rest = response.body
    if fault and kind == "slow-body":
        size = -(-len(rest) // _PIECES) or 1
        for _ in range(_PIECES - 1):
            await send(_part(rest[:size], more=True))
            rest = rest[size:]
            await asyncio.sleep(fault.seconds / _PIECES)
    if over:
        await send(_part(rest, more=True))
        rest = b""
        await _drain(receive)
    await send(_part(rest, more=False))


def _part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _hang_up(scope: Message, receive: Receive) -> None:
    """End the connection as it stands, and wait until it has ended."""
    scope["transport"].close()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _drain(receive: Receive) -> None:
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass
    except TimeoutError:
        return  # it sends for longer than its answer is worth waiting with


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
