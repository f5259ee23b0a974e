"""A check of servers that treat one connection differently from another."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from workbench import Client, Result, check
from workbench.conformance.probes import PROBES
from workbench.endpoint.application import Application, build_application
from workbench.endpoint.settings import Settings
from workbench.exchange.message import Headers, Request, Response
from workbench.exchange.verdict import SAFE_METHODS


class Handler(BaseHTTPRequestHandler):
    """One connection to the embedded application. A subclass changes what happens on it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    application: Application

    def respond(self, request: Request) -> Response | None:
        """Return the response; ``None`` closes the connection without one."""
        return self.application.answer(request)

    def _serve(self) -> None:
        body = self._chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self._sized()
        response = self.respond(Request(self.command, self.path, Headers(self.headers.items()), body))
        if response is None:
            self.close_connection = True
            return
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        if response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def _sized(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_OPTIONS = _serve

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class ClosesAfterRefusal(Handler):
    """As Jetty may: after a refused write it closes the connection without another response."""

    refused = False

    def respond(self, request: Request) -> Response | None:
        if self.refused:
            return None
        response = super().respond(request)
        self.refused = request.method not in SAFE_METHODS and response is not None and response.status >= 400
        return response


class ShowsWhatItShowed(Handler):
    """A stale PUT is answered 409 and stored. The connection goes on showing what it showed before."""

    def setup(self) -> None:
        super().setup()
        self.shown: dict[str, Response] = {}

    def respond(self, request: Request) -> Response | None:
        if request.method == "GET" and request.url in self.shown:
            return self.shown[request.url]
        response = super().respond(request)
        if response is None:
            return None
        if request.method == "GET" and response.status == 200:
            self.shown[request.url] = response
        else:
            self.shown.pop(request.url, None)
        if response.status == 409:
            current = self.application.answer(Request("GET", request.url, Headers(), b""))
            self.shown[request.url] = current
            headers = Headers([("If-Match", current.headers["ETag"]), ("Content-Type", "application/fhir+json")])
            self.application.answer(Request("PUT", request.url, headers, request.body))
        return response


@contextmanager
def serving(handler: type[Handler]) -> Iterator[Client]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    base_url = f"http://127.0.0.1:{server.server_port}/STU3"
    application = handler.application = build_application(Settings(), base_url)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    client = Client(base_url)
    try:
        yield client
    finally:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()
        application.close()


REFUSING = (
    "UPD-6",
    "UPD-7",
    "UPD-8",
    "UPD-9",
    "UPD-10",
    "UPD-11",
    "UPD-12",
    "UPD-13",
    "VAL-1",
    "CR-2",
    "DL-2",
    "PRF-5",
    "ERR-3",
)


@pytest.mark.parametrize("promise", REFUSING)
def test_a_server_that_closes_the_connection_after_a_refused_write_keeps_its_promises(promise: str) -> None:
    with serving(ClosesAfterRefusal) as client:
        report = check(client, probes=[probe for probe in PROBES if probe.promise == promise])
    assert [(finding.probe, finding.observed) for finding in report.findings if finding.result is not Result.KEPT] == []
    assert report.notes == ()


def test_a_refused_write_that_only_another_connection_shows_is_found() -> None:
    with serving(ShowsWhatItShowed) as client:
        report = check(client, probes=[probe for probe in PROBES if probe.name == "stale-made-up"])
    assert report["stale-made-up"].answer == "changed"
