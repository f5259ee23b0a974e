"""Messages of ``requests`` as ours, and back: for an adapter that answers a session without a connection."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

from workbench.exchange.message import Headers, Request, Response
from workbench.exchange.text import reason

_HTTP: Final = HTTPAdapter()


def read_prepared(prepared: requests.PreparedRequest) -> Request:
    """Return a prepared request as a ``Request``, with its whole URL; reads a streamed body to its end."""
    fields: Iterable[tuple[str, Any]] = prepared.headers.items()
    headers = Headers(
        (name, value.decode("latin-1") if isinstance(value, bytes) else str(value)) for name, value in fields
    )
    return Request(prepared.method or "GET", prepared.url or "", headers, _as_bytes(prepared.body))


def build_response(prepared: requests.PreparedRequest, response: Response, *, missing: int = 0) -> requests.Response:
    """Return a response as a session expects it from an adapter.

    ``missing`` is how many bytes ``Content-Length`` promises beyond the body: reading it then fails, as it does when a
    connection breaks.
    """
    headers = HTTPHeaderDict(response.headers.items())
    if response.status not in (204, 304):
        headers["Content-Length"] = str(len(response.body) + missing)
    raw = HTTPResponse(
        io.BytesIO(b"" if prepared.method == "HEAD" else response.body),
        headers=headers,
        status=response.status,
        reason=reason(response.status),
        preload_content=False,
        request_method=prepared.method,
        enforce_content_length=True,
    )
    return _HTTP.build_response(prepared, raw)


def _as_bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes):
        return body
    if hasattr(body, "read"):
        return _as_bytes(body.read())
    assert isinstance(body, Iterable)
    return b"".join(_as_bytes(part) for part in body)
