"""An exchange as text: the HTTP messages, and a curl command or Python code that sends the same request.

The texts contain no credentials, because an ``Exchange`` contains none. Control characters in a message are
written as escapes, so that a terminal does not execute them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from markupsafe import Markup

from workbench.errors import MalformedJSON
from workbench.exchange.hosts import is_live
from workbench.exchange.verdict import TONES, explain
from workbench.fhir import json, markup
from workbench.fhir.printable import printable

if TYPE_CHECKING:
    from workbench.exchange.message import Exchange, Request, Response

_CODING_FIELDS = frozenset({"content-encoding", "content-length", "vary"})
"""Header fields that describe a body before its content coding was decoded."""

CURL_FIELDS = frozenset({"host", "content-length", "connection", "accept-encoding", "user-agent"})
"""Header fields that curl adds itself."""

_SPELLINGS = {"etag": "ETag", "traceid": "TraceID", "www-authenticate": "WWW-Authenticate"}
"""Names that are not spelled with one capital letter a word."""


def as_http(exchange: Exchange, *, base: str = "", indent: int | None = None) -> str:
    """Return the request and the response as HTTP/1.1 messages (RFC 9112), or why there is no response.

    ``base``: a base URL that is shortened to ``[base]``, as on FHIR's own pages. ``indent``: spaces a level in
    JSON bodies; ``None`` leaves each body as it was sent.
    """
    request = request_text(exchange.request, base=base, indent=indent)
    if exchange.response is None:
        return f"{request}\n\n(no answer: {printable(exchange.failure)})"
    return f"{request}\n\n{response_text(exchange.response, base=base, indent=indent)}"


def request_text(request: Request, *, base: str = "", indent: int | None = None) -> str:
    """Return the request message: request line, header fields, body."""
    split = urlsplit(request.url)
    if base:
        start = f"{request.method} {request.url} HTTP/1.1\n"
    else:
        target = (split.path or "/") + (f"?{split.query}" if split.query else "")
        host = "" if "Host" in request.headers else f"Host: {split.netloc}\n"
        start = f"{request.method} {target} HTTP/1.1\n{host}"
    return _message(start, request.headers.items(), _body(request, indent), base)


def response_text(response: Response, *, base: str = "", indent: int | None = None) -> str:
    """Return the response message: status line, header fields, body.

    If the body had a content coding, it is shown decoded, without the header fields of the coding.
    """
    start = f"HTTP/1.1 {response.status} {reason(response.status)}".rstrip()
    hidden = _CODING_FIELDS if "Content-Encoding" in response.headers else frozenset()
    fields = [(name, value) for name, value in response.headers.items() if name.lower() not in hidden]
    return _message(f"{start}\n", fields, _body(response, indent), base)


def reason(status: int) -> str:
    """Return the standard reason phrase of a status code, or an empty text for an unknown code."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def as_curl(exchange: Exchange) -> str:
    """Return a command for a POSIX shell, with every part quoted and without the fields that curl adds itself."""
    request = exchange.request
    method = "--head" if request.method == "HEAD" else f"-X {shlex.quote(request.method)}"
    # Without --url, curl takes a URL that begins with a hyphen for an option.
    # Without --globoff, curl takes [1-9] and {a,b} for several URLs.
    words = [f"curl -i --globoff {method}", f"--url {shlex.quote(request.url)}"]
    sent = [(name, value) for name, value in request.headers.items() if name.lower() not in CURL_FIELDS]
    # curl sends an empty field only if a semicolon follows its name; a colon would remove the field.
    words += [f"-H {shlex.quote(f'{name}: {value}' if value else f'{name};')}" for name, value in sent]
    if (request.body or request.dropped) and "Content-Type" not in request.headers:
        words.append("-H Content-Type:")  # or curl sends the content type of a form
    if request.body:
        words.append(f"--data-raw {shlex.quote(decode(request.body))}")
    if request.dropped:  # name a file that does not exist, so that the command fails instead of sending nothing
        words.append(f"--data-binary {shlex.quote(f'@({request.dropped})')}")
    return " ".join(words[:2]) + "".join(f" \\\n  {word}" for word in words[2:])


def as_html(exchange: Exchange) -> Markup:
    """Return the exchange for a notebook: a line, its explanation, and both messages, folded.

    A notebook is saved with its outputs. So the messages of a remote endpoint are left out: they can hold a record.
    """
    request, status, tone = exchange.request, exchange.status, TONES[exchange.verdict]
    answer = "no answer" if status is None else f"{status} {reason(status)}"
    line = Markup("<b>{}</b> {} {} → <b>{}</b> {} {}").format(
        markup.text(exchange.client),
        markup.text(request.method),
        markup.code(exchange.target),
        markup.text(answer),
        markup.chip(exchange.verdict.value, tone),
        markup.code(exchange.etag or ""),
    )
    if is_live(request.url):
        return markup.block(tone, line, explain(exchange, diagnostics=False))
    split = urlsplit(request.url)
    messages = as_http(exchange, base=f"{split.scheme}://{split.netloc}", indent=2)
    return markup.block(tone, line, explain(exchange), markup.folded("Request and response", markup.lines(messages)))


def as_python(exchange: Exchange) -> str:
    """Return Python code that sends the same request with ``requests``, without the fields that it adds itself."""
    request = exchange.request
    sent = [(name, value) for name, value in request.headers.items() if name.lower() not in CURL_FIELDS]
    lines = ["import requests", "", "response = requests.request(", f"    {request.method!r},", f"    {request.url!r},"]
    if sent:
        lines += ["    headers={", *(f"        {name!r}: {value!r}," for name, value in sent), "    },"]
    if request.body:
        lines.append(f"    data={decode(request.body)!r}.encode(),")
    if request.dropped:  # name a file that does not exist, so that the code fails instead of sending nothing
        lines.append(f"    data=open({f'({request.dropped})'!r}, 'rb'),")
    lines += ["    allow_redirects=False,", ")", "print(response.status_code, response.headers.get('ETag'))"]
    return "\n".join([*lines, "print(response.text)", ""])


def _message(start: str, headers: Iterable[tuple[str, str]], body: str, base: str) -> str:
    fields = "".join(f"{_spell(name)}: {value}\n" for name, value in headers)
    text = printable(f"{start}{fields}\n{body}".rstrip("\n"))
    return text.replace(base, "[base]") if base else text


def _spell(name: str) -> str:
    """Return a field name as the IANA registry spells it; servers differ, and case has no meaning (RFC 9110, 5.1)."""
    return _SPELLINGS.get(name.lower(), "-".join(part[:1].upper() + part[1:] for part in name.split("-")))


def _body(message: Request | Response, indent: int | None) -> str:
    body = message.body
    if message.dropped:
        return f"({message.dropped})"
    try:
        return json.dumps(json.parse(body), indent=indent) if indent is not None and body else decode(body)
    except MalformedJSON:
        return decode(body)


def decode(body: bytes) -> str:
    """Return a body as text; bytes that are not UTF-8 become escapes."""
    return body.decode("utf-8", errors="backslashreplace")
