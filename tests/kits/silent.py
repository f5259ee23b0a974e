"""A proxy in front of an endpoint that never answers a write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
from loopback import serving

from workbench import Endpoint


class Silent(ThreadingHTTPServer):
    """Forward every request but updates, and deletions after the first update. Those wait until it closes."""

    daemon_threads = True

    def __init__(self, behind: Endpoint) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = behind.base_url
        self.base_url = f"http://127.0.0.1:{self.server_port}/STU3"
        self.over = threading.Event()
        self._kept: list[str] = []
        self._more = threading.Condition()

    def keeps(self, method: str, path: str) -> bool:
        """Return whether this request waits, and count it."""
        with self._more:
            if method != "PUT" and not (method == "DELETE" and self._kept):
                return False
            self._kept.append(f"{method} {path}")
            self._more.notify_all()
            return True

    def wait_for(self, requests: int) -> None:
        """Wait until so many requests are waiting."""
        with self._more:
            assert self._more.wait_for(lambda: len(self._kept) >= requests, timeout=60)


@contextmanager
def silent(behind: Endpoint) -> Iterator[Silent]:
    """Run one in front of this endpoint."""
    with serving(Silent(behind)) as server:
        try:
            yield server
        finally:
            server.over.set()


class _Handler(BaseHTTPRequestHandler):
    server: Silent
    protocol_version = "HTTP/1.1"

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.keeps(self.command, self.path):
            self.server.over.wait()
            self.close_connection = True
            return
        fields = {name: value for name, value in self.headers.items() if name != "Host"}
        url = self.server.behind + self.path.removeprefix("/STU3")
        answer = requests.request(self.command, url, headers=fields, data=body, timeout=30)
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name not in ("content-length", "content-encoding", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = do_HEAD = _hand_on

    def log_message(self, *_: object) -> None:
        """Say nothing."""
