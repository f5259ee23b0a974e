"""What the endpoint is measured beside: ``python -m benchmarks.endpoint_peers NAME`` serves one, and says where.

``uvicorn``: uvicorn as it comes, an answer that never changes. ``constant``: the same from this endpoint's server.
``swap``: the same server, and a compare-and-swap of a Python dict. ``dict``: the endpoint itself, with a Python dict
for its database. ``werkzeug``: Werkzeug on waitress with the compare-and-swap in SQLite, as one would write it by hand.
All but ``dict`` leave out what an endpoint is for: reading the body as FHIR, validating it, refusing it in words.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
import tempfile
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from workbench.clock import wall_clock
from workbench.endpoint.application import Application
from workbench.endpoint.asgi import AsgiApplication
from workbench.endpoint.faults import Faults
from workbench.endpoint.policy import SPINE
from workbench.endpoint.process import listen
from workbench.endpoint.protocol import SpineProtocol
from workbench.endpoint.settings import FIRST_LINE, Serving
from workbench.endpoint.store import Stored, VersionIds

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_VERSIONS: dict[str, str] = {}
_TURN = threading.Lock()


async def _answer(send: Send, status: int, etag: bytes) -> None:
    headers = [(b"etag", etag), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body"})


async def constant(_scope: dict[str, Any], receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await _answer(send, 200, b'W/"25777f7d-27bc"')


async def swap(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    expected = dict(scope["headers"]).get(b"if-match", b"").decode()
    with _TURN:
        current = _VERSIONS.setdefault(scope["path"], 'W/"0"')
        fits = scope["method"] == "GET" or expected == current
        if fits and scope["method"] == "PUT":
            current = _VERSIONS[scope["path"]] = f'W/"{uuid.uuid4()}"'
    await _answer(send, 200 if fits else 409, current.encode())


class _Dict:
    """A store whose compare-and-swap takes no time."""

    def __init__(self) -> None:
        self.versions = VersionIds(b"k" * 16)
        self._kept: dict[tuple[str, str], Stored] = {}

    def read(self, kind: str, logical_id: str) -> Stored | None:
        first = Stored(self.versions.first(f"{kind}/{logical_id}"), "2018-05-25T16:09:50.000+00:00", b"{}")
        return self._kept.setdefault((kind, logical_id), first)

    def swap(self, kind: str, logical_id: str, expected: str, new: Stored) -> bool:
        fits = self.read(kind, logical_id).version_id == expected  # type: ignore[union-attr]
        if fits:
            self._kept[kind, logical_id] = new
        return fits


def _endpoint_on_a_dict() -> AsgiApplication:
    store: Any = _Dict()
    return AsgiApplication(
        Application(store, base_url="http://x/STU3", policy=SPINE, clock=wall_clock, new_id=str), Faults()
    )


def _uvicorn(application: Any, http: Any = SpineProtocol) -> None:
    import uvicorn

    serving = Serving()
    options: dict[str, Any] = {"loop": "asyncio", "ws": "none", "lifespan": "off", "log_config": None}
    config = uvicorn.Config(application, http=http, access_log=False, timeout_keep_alive=60, **options)
    with listen(serving) as listening:
        print(f"{FIRST_LINE}{serving.url_at(listening.getsockname()[1])}", flush=True)
        uvicorn.Server(config).run(sockets=[listening])


def _werkzeug(file: str) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    from werkzeug.wrappers import Request, Response

    local = threading.local()

    def connection() -> sqlite3.Connection:
        if not hasattr(local, "connection"):
            local.connection = sqlite3.connect(file, timeout=5, isolation_level=None)
            local.connection.execute("PRAGMA synchronous=NORMAL")
        made: sqlite3.Connection = local.connection
        return made

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        key = request.path
        if request.method == "GET":
            connection().execute("INSERT OR IGNORE INTO resource VALUES (?, 'W/\"0\"', '')", (key,))
            row = connection().execute("SELECT version FROM resource WHERE id = ?", (key,)).fetchone()
            return Response(b"{}", headers={"ETag": row[0]})(environ, start_response)
        resource = request.get_json(force=True)
        new = f'W/"{uuid.uuid4()}"'
        changed = connection().execute(
            "UPDATE resource SET version = ?, body = ? WHERE id = ? AND version = ?",
            (new, json.dumps(resource), key, request.headers.get("If-Match")),
        )
        if changed.rowcount != 1:
            return Response(b"{}", status=409)(environ, start_response)
        return Response(status=200, headers={"ETag": new})(environ, start_response)

    return application


def _waitress(file: str) -> None:
    from waitress.server import create_server

    logging.getLogger("waitress").setLevel(logging.ERROR)  # it tells of every request that waits

    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE resource (id TEXT PRIMARY KEY, version TEXT, body TEXT)")
    server: Any = create_server(_werkzeug(file), host="127.0.0.1", port=0, threads=8)
    print(f"{FIRST_LINE}http://127.0.0.1:{server.effective_port}/STU3", flush=True)
    server.run()


if __name__ == "__main__":
    if sys.argv[1] == "werkzeug":
        with tempfile.TemporaryDirectory() as folder:
            _waitress(f"{folder}/peer.db")
    else:
        made = {"constant": lambda: constant, "swap": lambda: swap, "dict": _endpoint_on_a_dict}
        if sys.argv[1] == "uvicorn":
            _uvicorn(constant, "httptools")
        else:
            _uvicorn(made[sys.argv[1]]())
