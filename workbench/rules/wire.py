"""An exchange as text: the HTTP messages themselves, and the curl command that sends the same.

Works on records whose credentials are already replaced, so neither text can hold one.
"""

from __future__ import annotations

import shlex
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from workbench.rules.exchange import Exchange
    from workbench.rules.message import Headers, Request, Response

_CURL_ADDS = frozenset({"host", "content-length", "connection", "accept-encoding", "user-agent"})


def as_http(exchange: Exchange) -> str:
    """Request and answer as HTTP/1.1 writes them (RFC 9112); the reason in words where no answer came."""
    answer = response_text(exchange.response) if exchange.response else f"(no answer: {exchange.failure})"
    return f"{request_text(exchange.request)}\n\n{answer}"


def request_text(request: Request) -> str:
    """The request message: request line, header fields, body."""
    split = urlsplit(request.url)
    target = (split.path or "/") + (f"?{split.query}" if split.query else "")
    host = "" if "Host" in request.headers else f"Host: {split.netloc}\n"
    return _message(f"{request.method} {target} HTTP/1.1\n{host}", request.headers, request.body)


def response_text(response: Response) -> str:
    """The answer: status line, header fields, body."""
    return _message(
        f"HTTP/1.1 {response.status} {reason(response.status)}".rstrip() + "\n", response.headers, response.body
    )


def reason(status: int) -> str:
    """The standard reason phrase, empty where there is none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def as_curl(exchange: Exchange) -> str:
    """A command line for a POSIX shell; what curl adds by itself is left to it."""
    request = exchange.request
    words = [f"curl -i -X {request.method} {shlex.quote(request.url)}"]
    for name, value in request.headers.items():
        if name.lower() not in _CURL_ADDS:
            words.append(f"-H {shlex.quote(f'{name}: {value}')}")
    if request.body:
        words.append(f"--data-binary {shlex.quote(_text(request.body))}")
    return " \\\n  ".join(words)


def _message(start: str, headers: Headers, body: bytes) -> str:
    fields = "".join(f"{name}: {value}\n" for name, value in headers.items())
    return f"{start}{fields}\n{_text(body)}".rstrip("\n")


def _text(body: bytes) -> str:
    return body.decode("utf-8", errors="backslashreplace")
