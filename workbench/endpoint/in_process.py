"""The endpoint without a socket: an adapter of ``requests`` that hands each request to an application."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter

from workbench.endpoint.adapter import build_response, read_prepared
from workbench.endpoint.application import Application, compress, run_command
from workbench.endpoint.faults import Fault, Faults
from workbench.endpoint.request import BASE_PATH
from workbench.exchange.message import Request, Response

BASE_URL: Final = f"http://in-process.invalid{BASE_PATH}"
"""No such host can exist (RFC 2606), so a session without the adapter reaches no server at this URL."""

_DROPPED: Final = "Remote end closed connection without response"


class InProcessAdapter(BaseAdapter):
    """Sends what a session prepared to an application in this process. Delays of faults are left out."""

    def __init__(self, application: Application, faults: Faults | None = None) -> None:
        super().__init__()
        self._application = application
        self._faults = faults or Faults()
        self.running = True

    def send(self, request: requests.PreparedRequest, *_transport: object, **_options: object) -> requests.Response:
        """Return the response to one prepared request; options of a connection (timeout, TLS, proxies) do nothing.

        Raises ``requests.ConnectionError`` if a fault drops the connection.
        """
        prepared = read_prepared(request)
        url = urlsplit(prepared.url)
        received = replace(prepared, url=url.path + (f"?{url.query}" if url.query else ""))
        fault = self._faults.next_for_request(received)
        response = self._answer(received, fault)
        cut = len(response.body) // 2 if fault and fault.kind == "cut-body" else len(response.body)
        return build_response(request, replace(response, body=response.body[:cut]), missing=len(response.body) - cut)

    def _answer(self, request: Request, fault: Fault | None) -> Response:
        kind = fault.kind if fault else ""
        if fault and kind == "refuse":
            return self._application.out_of_service(fault.seconds)
        if kind == "drop-request":
            raise requests.ConnectionError(_DROPPED)
        response = compress(self._application.answer(request), request.headers)
        if kind == "drop-answer" or (kind == "cut-body" and not response.body):
            raise requests.ConnectionError(_DROPPED)
        return response

    def run_command(self, command: str, arguments: Iterable[str] = ()) -> None:
        """Run one command; see ``application.run_command``."""
        run_command(self._application, self._faults, command, arguments)

    def close(self) -> None:
        """Do nothing: a session closes its adapters, but others may use the same application."""

    def stop(self) -> None:
        """Close the application; what it kept in memory is lost."""
        if self.running:
            self.running = False
            self._application.close()
