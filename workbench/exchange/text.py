"""An exchange as text: the HTTP messages themselves, and the curl command that sends the same.

Works on records whose credentials are already replaced, so neither text can hold one. The messages are for reading:
control characters in them are written as escapes.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from workbench.errors import MalformedJSON
from workbench.fhir import json
from workbench.fhir.printable import printable

if TYPE_CHECKING:
    from workbench.exchange.message import Exchange, Request, Response

_CODED = frozenset({"content-encoding", "content-length", "vary"})
_CURL_ADDS = frozenset({"host", "content-length", "connection", "accept-encoding", "user-agent"})


def as_http(exchange: Exchange, *, base: str = "", indent: int | None = None) -> str:
    """Request and answer as HTTP/1.1 writes them (RFC 9112); the reason in words where no answer came.

    With ``base`` the endpoint's base URL is written ``[base]`` wherever it stands, as FHIR's own pages do,
    and with ``indent`` JSON bodies are laid out for reading; without either it is the message itself.
    """
    asked = request_text(exchange.request, base=base, indent=indent)
    if exchange.response is None:
        return f"{asked}\n\n(no answer: {printable(exchange.failure)})"
    return f"{asked}\n\n{response_text(exchange.response, base=base, indent=indent)}"


def request_text(request: Request, *, base: str = "", indent: int | None = None) -> str:
    """The request message: request line, header fields, body."""
    split = urlsplit(request.url)
    if base:
        start = f"{request.method} {request.url} HTTP/1.1\n"
    else:
        target = (split.path or "/") + (f"?{split.query}" if split.query else "")
        host = "" if "Host" in request.headers else f"Host: {split.netloc}\n"
        start = f"{request.method} {target} HTTP/1.1\n{host}"
    return _message(start, request.headers.items(), _body(request, indent), base)


def response_text(response: Response, *, base: str = "", indent: int | None = None) -> str:
    """The answer: status line, header fields, body.

    Where a content coding was undone, the fields that describe the coded bytes are left out with them.
    """
    start = f"HTTP/1.1 {response.status} {reason(response.status)}".rstrip()
    undone = _CODED if "Content-Encoding" in response.headers else frozenset()
    fields = [field for field in response.headers.items() if field[0].lower() not in undone]
    return _message(f"{start}\n", fields, _body(response, indent), base)


def reason(status: int) -> str:
    """The standard reason phrase, empty where there is none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def as_curl(exchange: Exchange) -> str:
    """A command line for a POSIX shell, every part of it quoted; what curl adds by itself is left to it."""
    request = exchange.request
    method = "--head" if request.method == "HEAD" else f"-X {shlex.quote(request.method)}"
    # --url, or a URL that begins with a hyphen is an option; --globoff, or [1-9] and {a,b} are many URLs.
    words = [f"curl -i --globoff {method}", f"--url {shlex.quote(request.url)}"]
    sent = [(name, value) for name, value in request.headers.items() if name.lower() not in _CURL_ADDS]
    # An empty field needs a semicolon; a colon without a value would take the field away.
    words += [f"-H {shlex.quote(f'{name}: {value}' if value else f'{name};')}" for name, value in sent]
    if (request.body or request.dropped) and "Content-Type" not in request.headers:
        words.append("-H Content-Type:")  # or curl says it is a form
    if request.body:
        words.append(f"--data-raw {shlex.quote(_text(request.body))}")
    if request.dropped:  # a file that is not there, so that the command fails rather than send nothing
        words.append(f"--data-binary {shlex.quote(f'@({request.dropped})')}")
    return " ".join(words[:2]) + "".join(f" \\\n  {word}" for word in words[2:])


def _message(start: str, headers: Iterable[tuple[str, str]], body: str, base: str) -> str:
    fields = "".join(f"{_spelt(name)}: {value}\n" for name, value in headers)
    text = printable(f"{start}{fields}\n{body}".rstrip("\n"))
    return text.replace(base, "[base]") if base else text


def _spelt(name: str) -> str:
    """A field name as the registry spells it; servers differ, and the name is the same in any case (RFC 9110, 5.1)."""
    return _SPELLINGS.get(name.lower(), "-".join(part[:1].upper() + part[1:] for part in name.split("-")))


_SPELLINGS = {"etag": "ETag", "traceid": "TraceID", "www-authenticate": "WWW-Authenticate"}


def _body(message: Request | Response, indent: int | None) -> str:
    body = message.body
    if message.dropped:
        return f"({message.dropped})"
    try:
        return json.dumps(json.parse(body), indent=indent) if indent is not None and body else _text(body)
    except MalformedJSON:
        return _text(body)


def _text(body: bytes) -> str:
    return body.decode("utf-8", errors="backslashreplace")
