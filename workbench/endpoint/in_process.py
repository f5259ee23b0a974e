"""The same application without a socket: an adapter that a ``requests`` session is given.

The request a session prepared goes to the application as it is, and its answer comes back as any other
would: header fields, content coding and all.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

from workbench.endpoint.application import Application
from workbench.endpoint.asgi import compressed, out_of_service
from workbench.endpoint.commands import obey
from workbench.endpoint.faults import Fault, Faults
from workbench.endpoint.request import BASE_PATH
from workbench.exchange.message import Headers, Request, Response
from workbench.exchange.text import reason

BASE_URL: Final = f"http://in-process.invalid{BASE_PATH}"
"""No such host can exist (RFC 2606), so a session without the adapter never reaches a stranger by this URL."""


_BROKEN_OFF: Final = "Remote end closed connection without response"


class InProcessAdapter(BaseAdapter):
    """Answers what a session sends, from an application in this process."""

    def __init__(self, application: Application, faults: Faults | None = None) -> None:
        super().__init__()
        self._application = application
        self._faults = faults or Faults()
        self.running = True

    def send(
        self,
        request: requests.PreparedRequest,
        *_transport: object,
        **_options: object,
    ) -> requests.Response:
        """Answer one prepared request; the transport's options (timeout, TLS, proxies) mean nothing here."""
        url = urlsplit(request.url or "")
        fields = Headers((name, _as_text(value)) for name, value in request.headers.items())
        path = url.path + (f"?{url.query}" if url.query else "")
        asked = Request(request.method or "GET", path, fields, _as_bytes(request.body))
        fault = self._faults.strike_on(asked)
        answer = self._answer(asked, fault)
        body = b"" if request.method == "HEAD" else answer.body
        headers = HTTPHeaderDict(answer.headers.items())
        if answer.status not in (204, 304):
            headers["Content-Length"] = str(len(answer.body))
        raw = HTTPResponse(
            io.BytesIO(body[: len(body) // 2] if fault and fault.kind == "cut-body" else body),
            headers=headers,
            status=answer.status,
            reason=reason(answer.status),
            preload_content=False,
            request_method=request.method,
            enforce_content_length=True,
        )
        return _response(request, raw)

    def _answer(self, asked: Request, fault: Fault | None) -> Response:
        """The answer, or what a session raises where the fault ends the connection; time does not pass here."""
        kind = fault.kind if fault else ""
        if fault and kind == "refuse":
            return out_of_service(fault)
        if kind == "drop-request":
            raise requests.ConnectionError(_BROKEN_OFF)
        answer = compressed(self._application.answer(asked), asked.headers)
        if kind == "drop-answer" or (kind == "cut-body" and not answer.body):
            raise requests.ConnectionError(_BROKEN_OFF)
        return answer

    def ask(self, command: str, arguments: Iterable[str] = ()) -> None:
        """Do what a server does when it is asked to; see ``commands``."""
        obey(self._application, self._faults, command, arguments)

    def close(self) -> None:
        """A session that closes its adapters ends nothing: others may use the same application."""

    def stop(self) -> None:
        """End the application; what it kept in memory is gone."""
        if self.running:
            self.running = False
            self._application.close()


def _response(request: requests.PreparedRequest, raw: HTTPResponse) -> requests.Response:
    response = requests.Response()
    response.status_code = raw.status
    response.headers.update(raw.headers)
    response.reason = raw.reason or ""
    response.raw = raw
    response.url = request.url or ""
    response.request = request
    return response


def _as_text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


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
