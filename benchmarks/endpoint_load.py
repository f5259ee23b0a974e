"""A load of conditional PUTs over keep-alive connections, cheap enough not to be what is measured.

Each connection has a List of its own, sends a PUT with the ETag of the answer before, and sends the next when
the answer is there. An ``asyncio.Protocol`` that looks for one header costs a tenth of what ``requests`` does.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_ETAG = re.compile(rb'\r\netag: (W/"[^"]*")\r\n', re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_BODY = (
    '{{"resourceType":"List","id":"{0}","status":"current","mode":"working","title":"Reasonable adjustments",'
    '"entry":[{{"item":{{"reference":"Condition/1"}}}},{{"item":{{"reference":"Condition/2"}}}}]}}'
)


@dataclass
class Measured:
    """What a load came to: seconds in all, seconds each, and the statuses that were not 200."""

    seconds: float = 0.0
    each: list[float] = field(default_factory=list)
    others: list[int] = field(default_factory=list)

    @property
    def a_second(self) -> float:
        """Updates."""
        return len(self.each) / self.seconds

    def percentile(self, share: int) -> float:
        """Milliseconds."""
        return 1000 * statistics.quantiles(self.each, n=100)[share - 1]


class _Connection(asyncio.Protocol):
    def __init__(self, host: str, path: str, logical_id: str, calls: int, measured: Measured) -> None:
        body = _BODY.format(logical_id).encode()
        self._head = f"PUT {path}/List/{logical_id} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/fhir+json\r\n"
        self._body = f"Content-Length: {len(body)}\r\n\r\n".encode() + body
        self._get = f"GET {path}/List/{logical_id} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self._calls, self._measured = calls, measured
        self._buffer = b""
        self._began = 0.0
        self._started = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport.write(self._get)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._buffer, 0, end + 4)
        if len(self._buffer) < end + 4 + (int(length[1]) if length else 0):
            return
        status, found = int(self._buffer[9:12]), _ETAG.search(self._buffer, 0, end + 4)
        self._buffer = b""
        if self._started:
            self._measured.each.append(time.perf_counter() - self._began)
        if status != 200:
            self._measured.others.append(status)
        self._started = True
        if self._calls == 0 or found is None:
            self._transport.close()
            return
        self._calls -= 1
        self._began = time.perf_counter()
        self._transport.write(b"%sIf-Match: %s\r\n%s" % (self._head.encode(), found[1], self._body))

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def load(base_url: str, ids: list[str], calls: int) -> Measured:
    """``calls`` updates by each of as many clients as there are ids, all at once."""
    return asyncio.run(_load(base_url, ids, calls))


async def _load(base_url: str, ids: list[str], calls: int) -> Measured:
    url, measured, loop = urlsplit(base_url), Measured(), asyncio.get_running_loop()
    began = time.perf_counter()

    async def one(logical_id: str) -> None:
        _, connection = await loop.create_connection(
            lambda: _Connection(url.netloc, url.path, logical_id, calls, measured), url.hostname, url.port
        )
        await connection.done

    await asyncio.gather(*map(one, ids))
    measured.seconds = time.perf_counter() - began
    return measured
