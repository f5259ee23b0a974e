"""The ASGI application: HTTP messages to and from the records of ``exchange``.

It does what belongs to the transport: it limits bodies, compresses responses (FMT-3), carries out faults, and logs each
request. The event loop runs the application itself, because a resource of everyday size takes less time than handing it
to a thread. Large bodies go to one thread, one after another, so that at most one competes with the event loop.
"""

from __future__ import annotations

import asyncio
import functools
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

from workbench.endpoint.application import Application, compress, out_of_service, refused
from workbench.endpoint.faults import Fault, Faults
from workbench.endpoint.log import log_request
from workbench.endpoint.policy import BODY_LIMIT, Refusal, misdirected
from workbench.exchange.hosts import is_loopback_host
from workbench.exchange.message import Headers, Request, Response

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEALTH_PATH: Final = "/healthz"

_LARGE: Final = 64 * 1024
"""Bytes from which a body is handled in the thread."""

_LINGER_SECONDS: Final = 2.0
"""How long the rest of a refused body is read and discarded, so that its sender can read the response."""

_CHUNK: Final = 64 * 1024
"""Bytes written at once. The next chunk waits until this one is nearly sent."""

_SLOW_CHUNKS: Final = 10
"""Chunks of a body under the fault ``slow-body``."""

_HOST: Final = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d{0,5})?", re.ASCII)

_NOT_ONE_HOST: Final = Refusal.because(
    400, "structure", "MESSAGE_NOT_WELL_FORMED", "an HTTP/1.1 request has one Host header field."
)


class AsgiApplication:
    """The endpoint as an ASGI callable.

    ``names`` are the host names it accepts, besides loopback and the address that a client connected to.
    """

    def __init__(self, application: Application, faults: Faults, *, names: Iterable[str] = ()) -> None:
        self._application = application
        self._faults = faults
        self._names = frozenset(name.lower() for name in names)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="large-body")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        try:
            await self._serve(scope, receive, send)
        except asyncio.CancelledError:
            # The server stops, but the thread may still store the update: an error response could be wrong.
            scope["transport"].abort()
            raise

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        body = await _read_body(receive)
        if body is None:
            return  # the client disconnected
        request = _to_request(scope, body)
        response = self._refuse_host(scope, request)
        fault = None if response else self._faults.next_for_request(request)
        if fault and fault.kind == "drop-request":
            await _disconnect(scope, receive)
            return
        if fault and fault.kind == "latency":
            await asyncio.sleep(fault.seconds)
        if response is None:
            response = await self._respond(request, fault)
        try:
            await _send_response(response, fault, scope, receive, send, over=len(body) > BODY_LIMIT)
        finally:
            peer = str(scope["client"][0]) if scope.get("client") else "?"
            seconds = time.perf_counter() - began
            log_request(request, response, peer=peer, seconds=seconds, fault=fault.kind if fault else "")

    def _refuse_host(self, scope: Message, request: Request) -> Response | None:
        """Refuse a request with no host, several, or that of another server (RFC 9112, 3.2; RFC 9110, 15.5.20)."""
        hosts = [value for name, value in request.headers.items() if name.lower() == "host"]
        if len(hosts) != 1 and (hosts or scope["http_version"] == "1.1"):
            return refused(_NOT_ONE_HOST, datetime.now(UTC))
        if not hosts or _path(request) == HEALTH_PATH:
            return None
        local = scope["server"][0] if scope.get("server") else ""
        if _is_own_host(hosts[0], local, self._names):
            return None
        return refused(misdirected(hosts[0]), datetime.now(UTC))

    async def _respond(self, request: Request, fault: Fault | None) -> Response:
        if fault and fault.kind == "refuse":
            return out_of_service(fault.seconds)
        if _path(request) == HEALTH_PATH:
            return self._application.health()
        loop = asyncio.get_running_loop()
        if len(request.body) < _LARGE:
            response = self._application.answer(request)
        else:
            response = await loop.run_in_executor(self._thread, self._application.answer, request)
        if len(response.body) < _LARGE:
            return compress(response, request.headers)
        return await loop.run_in_executor(self._thread, compress, response, request.headers)


@functools.lru_cache(maxsize=256)
def _is_own_host(host: str, local: str, names: frozenset[str]) -> bool:
    """Whether ``Host`` names this endpoint. A web page could otherwise reach it by its own name (DNS rebinding).

    The port may differ, as a forwarded one does.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = (found["address"] or found["name"]).lower()
    return name in names or name == local or is_loopback_host(name)


def _path(request: Request) -> str:
    return request.url.partition("?")[0]


async def _send_response(
    response: Response, fault: Fault | None, scope: Message, receive: Receive, send: Send, *, over: bool
) -> None:
    """Send a response as its fault says; ``over`` means that the request body is over the limit, and partly unread."""
    kind = fault.kind if fault else ""
    if kind == "drop-answer" or (kind == "cut-body" and not response.body):
        await _disconnect(scope, receive)
        return

    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    if response.status not in (204, 304):
        fields.append((b"Content-Length", str(len(response.body)).encode()))
    if over:
        fields.append((b"Connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": fields})

    if kind == "cut-body":
        await send(_chunk(response.body[: len(response.body) // 2], more=True))
        await _disconnect(scope, receive)
        return

    size, pause = _CHUNK, 0.0
    if fault and kind == "slow-body":
        size, pause = -(-len(response.body) // _SLOW_CHUNKS) or 1, fault.seconds / _SLOW_CHUNKS
    rest = memoryview(response.body)
    while len(rest) > size:
        await send(_chunk(rest[:size], more=True))
        rest = rest[size:]
        if pause:
            await asyncio.sleep(pause)
    if over:
        await send(_chunk(rest, more=True))
        rest = rest[:0]
        await _discard_body(receive)
    await send(_chunk(rest, more=False))


def _chunk(body: bytes | memoryview, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _disconnect(scope: Message, receive: Receive) -> None:
    """Close the connection, and wait until it is closed."""
    scope["transport"].close()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _discard_body(receive: Receive) -> None:
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass
    except TimeoutError:
        return  # the client sends for too long; the connection is closed


async def _read_body(receive: Receive) -> bytes | None:
    """Return the body, cut once it is over the limit; ``None`` if the client disconnected."""
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


def _to_request(scope: Message, body: bytes) -> Request:
    query = scope["query_string"].decode("latin-1")
    # The path alone: the Host header must not influence the response.
    url = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    headers = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    return Request(scope["method"], url, headers, body)
