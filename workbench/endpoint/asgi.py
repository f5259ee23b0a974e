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
from typing import Any, Final

from workbench.clock import wall_clock
from workbench.endpoint.application import Application, compress
from workbench.endpoint.faults import Fault, Faults
from workbench.endpoint.log import log_request
from workbench.endpoint.policy import BODY_LIMIT, MISDIRECTED, NOT_WELL_FORMED, UNAVAILABLE, Refusal
from workbench.exchange.hosts import is_loopback_host
from workbench.exchange.message import Headers, Request, Response
from workbench.fhir.printable import quoted

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

BUFFER_LIMIT: Final = 128 * 1024 * 1024
"""Bytes of all bodies over ``_LARGE`` together, from their arrival to their response. A body beyond it is refused."""

_BUSY_SECONDS: Final = 10
"""``Retry-After`` of a refusal because of ``BUFFER_LIMIT``."""

_SLOW_CHUNKS: Final = 10
"""Chunks of a body under the fault ``slow-body``."""

_HOST: Final = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d{0,5})?", re.ASCII)


class AsgiApplication:
    """The endpoint as an ASGI callable.

    ``names`` are the host names it accepts, besides loopback and the address that a client connected to.
    """

    def __init__(self, application: Application, faults: Faults, *, names: Iterable[str] = ()) -> None:
        self._application = application
        self._faults = faults
        self._names = frozenset(name.lower() for name in names)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="large-body")
        self._buffered = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        chunks: list[bytes] = []
        try:
            await self._serve(chunks, scope, receive, send)
        except asyncio.CancelledError:
            # The server stops, but the thread may still store the update: an error response could be wrong.
            scope["transport"].abort()
            raise
        finally:
            self._buffered -= sum(map(len, chunks))

    async def _serve(self, chunks: list[bytes], scope: Message, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        if not await self._read_body(chunks, receive):
            return  # the client disconnected
        request = _to_request(scope, chunks[0])
        over = len(request.body) > BODY_LIMIT or self._is_full(len(request.body))
        refusal = self._find_refusal(scope, request)
        fault = None if refusal else self._faults.next_for_request(request)
        if fault and fault.kind == "drop-request":
            await _disconnect(scope, receive)
            return
        if fault and fault.kind == "latency":
            await asyncio.sleep(fault.seconds)
        if refusal:
            response = self._application.refuse(refusal, wall_clock())
        else:
            response = await self._respond(request, fault)
        try:
            await _send_response(response, fault, scope, receive, send, over=over)
        finally:
            peer = str(scope["client"][0]) if scope.get("client") else "?"
            seconds = time.perf_counter() - began
            log_request(request, response, peer=peer, seconds=seconds, fault=fault.kind if fault else "")

    async def _read_body(self, chunks: list[bytes], receive: Receive) -> bool:
        """Make the body the one chunk, cut once it is over a limit; return ``False`` if the client disconnected."""
        size, more = 0, True
        while more and size <= BODY_LIMIT and not self._is_full(size):
            message = await receive()
            if message["type"] != "http.request":
                return False
            chunks.append(message.get("body", b""))
            self._buffered += len(chunks[-1])
            size += len(chunks[-1])
            more = message.get("more_body", False)
        chunks[:] = [b"".join(chunks)]
        return True

    def _is_full(self, size: int) -> bool:
        """Whether a body of this size is one too many for the memory that all bodies share."""
        return size > _LARGE and self._buffered > BUFFER_LIMIT

    def _find_refusal(self, scope: Message, request: Request) -> Refusal | None:
        """Refuse a body beyond ``BUFFER_LIMIT``, and an unusable host.

        A request has one host, which is this server's (RFC 9112, 3.2; RFC 9110, 15.5.20).
        """
        if self._is_full(len(request.body)) and len(request.body) <= BODY_LIMIT:
            return UNAVAILABLE.because(
                "too many large bodies arrive at once; nothing was done.", retry_after=_BUSY_SECONDS
            )
        hosts = [value for name, value in request.headers.items() if name.lower() == "host"]
        if len(hosts) != 1 and (hosts or scope["http_version"] == "1.1"):
            return NOT_WELL_FORMED.because("an HTTP/1.1 request has one Host header field.")
        if not hosts or _path(request) == HEALTH_PATH:
            return None
        local = scope["server"][0] if scope.get("server") else ""
        if is_own_host(hosts[0], local, self._names):
            return None
        return MISDIRECTED.because(
            f"Host is {quoted(hosts[0])}, which is neither this machine nor the base URL of this endpoint; "
            "the endpoint's --base-url makes a name known."
        )

    async def _respond(self, request: Request, fault: Fault | None) -> Response:
        if fault and fault.kind == "refuse":
            return self._application.out_of_service(fault.seconds)
        if _path(request) == HEALTH_PATH:
            return self._application.health()
        # A gzipped body may be large once it is unpacked.
        size = BODY_LIMIT if request.body and "Content-Encoding" in request.headers else len(request.body)
        response = await self._run(size, lambda: self._application.answer(request))
        return await self._run(len(response.body), lambda: compress(response, request.headers))

    async def _run(self, size: int, function: Callable[[], Response]) -> Response:
        """Call a function that handles a body of this size; a large one occupies the thread, not the event loop."""
        if size < _LARGE:
            return function()
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


@functools.lru_cache(maxsize=256)
def is_own_host(host: str, local: str, names: frozenset[str]) -> bool:
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


def _to_request(scope: Message, body: bytes) -> Request:
    query = scope["query_string"].decode("latin-1")
    # The path alone: the Host header must not influence the response.
    url = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    headers = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    return Request(scope["method"], url, headers, body)
