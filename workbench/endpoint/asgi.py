"""The ASGI shell: HTTP messages to and from the application's records, and nothing decided.

The transport's own: a body over the limit is not kept, an answer is compressed for whoever asks (FMT-3),
faults that were switched on strike, and each request is written down. The application is called on the
event loop, because an answer about a resource of everyday size takes less than handing it to a thread. Large
bodies go to one thread, one after the other, so that the event loop competes with one of them at most.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

from workbench.endpoint import log
from workbench.endpoint.application import Application, refused
from workbench.endpoint.faults import Fault, Faults
from workbench.endpoint.policy import BODY_LIMIT, Refusal, misdirected, unavailable
from workbench.endpoint.preference import accepts_gzip
from workbench.exchange.hosts import is_loopback
from workbench.exchange.message import Headers, Request, Response

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEALTH_PATH: Final = "/healthz"

_SMALLEST_GZIP: Final = 256
"""Bytes below which compressing costs more than it saves."""

_LARGE: Final = 64 * 1024
"""Bytes of a body from which on the event loop is not held up for it."""

_LINGER_SECONDS: Final = 2.0
"""How long the rest of a body that was refused is let in and thrown away, so that its sender reads the answer."""

_PIECES: Final = 10
"""So many pieces make up a body that comes slowly."""

_PIECE: Final = 64 * 1024
"""Bytes that are handed to the connection at once. The next ones wait until these are nearly sent."""


class Shell:
    """The application as an ASGI callable. ``names`` are the hosts it goes by, besides loopback and its own address."""

    def __init__(self, application: Application, faults: Faults, *, names: Iterable[str] = ()) -> None:
        self._application = application
        self._faults = faults
        self._names = frozenset(name.lower() for name in names)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="large-body")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._serve(scope, receive, send)
        except asyncio.CancelledError:
            # The service stops, but a thread may still store the update. So an error would be wrong.
            scope["transport"].abort()
            raise

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        body = await _read_body(receive)
        if body is None:
            return  # the client went away; nothing was asked
        request = _request(scope, body)
        response = self._not_for_us(scope, request)
        fault = None if response else self._faults.strike_on(request)
        if fault and fault.kind in ("drop-request", "latency"):
            if fault.kind == "drop-request":
                await _hang_up(scope, receive)
                return
            await asyncio.sleep(fault.seconds)
        if response is None:
            response = await self._answer(request, fault)
        peer = str(scope["client"][0]) if scope.get("client") else "?"
        try:
            await _send(response, fault, scope, receive, send, over=len(body) > BODY_LIMIT)
        finally:
            struck = fault.kind if fault else ""
            log.note(request, response, peer=peer, seconds=time.perf_counter() - began, fault=struck)

    def _not_for_us(self, scope: Message, request: Request) -> Response | None:
        """Refuse a request that does not name exactly one host, or names another (RFC 9112, 3.2; RFC 9110, 15.5.20)."""
        hosts = [value for name, value in request.headers.items() if name.lower() == "host"]
        if len(hosts) != 1 and (hosts or scope["http_version"] == "1.1"):
            return refused(_ONE_HOST, datetime.now(UTC))
        if not hosts or request.url.partition("?")[0] == HEALTH_PATH:
            return None
        local = scope["server"][0] if scope.get("server") else ""
        return None if _is_ours(hosts[0], local, self._names) else refused(misdirected(hosts[0]), datetime.now(UTC))

    async def _answer(self, request: Request, fault: Fault | None) -> Response:
        if fault and fault.kind == "refuse":
            return out_of_service(fault)
        if request.url.partition("?")[0] == HEALTH_PATH:
            return self._application.health()
        answer, code = self._application.answer, compressed
        loop = asyncio.get_running_loop()
        large = len(request.body) >= _LARGE
        response = await loop.run_in_executor(self._beside, answer, request) if large else answer(request)
        if len(response.body) >= _LARGE:
            return await loop.run_in_executor(self._beside, code, response, request.headers)
        return code(response, request.headers)


@functools.lru_cache(maxsize=256)
def _is_ours(host: str, local: str, names: frozenset[str]) -> bool:
    """Whether ``Host`` names this endpoint: a web page could otherwise reach it by a name of its own (DNS rebinding).

    The port does not matter: a forwarded one differs.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = (found["address"] or found["name"]).lower()
    return name in names or name == local or is_loopback(f"http://{host}")


_HOST: Final = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d{0,5})?", re.ASCII)


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
    size, pause = _PIECE, 0.0
    if fault and kind == "slow-body":
        size, pause = -(-len(response.body) // _PIECES) or 1, fault.seconds / _PIECES
    rest = memoryview(response.body)
    while len(rest) > size:
        await send(_part(rest[:size], more=True))
        rest = rest[size:]
        if pause:
            await asyncio.sleep(pause)
    if over:
        await send(_part(rest, more=True))
        rest = rest[:0]
        await _drain(receive)
    await send(_part(rest, more=False))


def _part(body: bytes | memoryview, *, more: bool) -> Message:
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
