"""A classroom on a real socket of this process, and phones without a browser."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from workbench.classroom import Classroom, ClassroomApp
from workbench.endpoint.process import listen
from workbench.endpoint.server import SocketServer
from workbench.endpoint.settings import Serving

CODE = "ABC234"
PRESENTER = "presenter-token"
WAIT = 30.0


@dataclass
class Caller:
    """One connection to the classroom; ``token`` is a phone's or the presenter's."""

    port: int
    token: str = ""

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
        """Send one request. ``Content_Type="…"`` is the header Content-Type."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            fields["Authorization"] = f"Bearer {self.token}"
        self._connection.request(method, path, body, fields)
        return self._connection.getresponse()

    def post(self, path: str, **given: object) -> dict[str, Any]:
        """Call the JSON interface; the answer has its HTTP status as ``http``."""
        response = self.send("POST", path, json.dumps(given).encode(), Content_Type="application/json")
        return {**json.loads(response.read()), "http": response.status}

    def overview(self) -> dict[str, Any]:
        """What the presenter sees."""
        found: dict[str, Any] = json.loads(self.send("GET", "/api/overview").read())
        return found

    def close(self) -> None:
        self._connection.close()


@dataclass
class Room:
    """A running classroom, and all connections to it."""

    port: int
    callers: list[Caller] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def caller(self, token: str = "") -> Caller:
        self.callers.append(Caller(self.port, token))
        return self.callers[-1]

    def phone(self, name: str) -> Caller:
        """A phone that has joined and loaded the List."""
        phone = self.caller()
        phone.token = phone.post("/api/join", code=CODE, name=name)["token"]
        assert phone.post("/api/load")["http"] == 200
        return phone

    def presenter(self) -> Caller:
        return self.caller(PRESENTER)

    def hang_up(self) -> None:
        """Close all connections."""
        while self.callers:
            self.callers.pop().close()


@contextmanager
def running_room(most_people: int = 200) -> Iterator[Room]:
    """Serve a classroom in a thread; its end is waited for."""
    classroom = Classroom(code=CODE, presenter=PRESENTER, most_people=most_people)
    serving = Serving()
    with listen(serving) as listening:
        port = listening.getsockname()[1]
        app = ClassroomApp(classroom, base_url=f"http://127.0.0.1:{port}/", left=lambda: 3600.0)
        server = SocketServer(app, serving)
        room = Room(port)
        started = threading.Event()
        thread = threading.Thread(target=server.run, args=(listening, started.set))
        thread.start()
        try:
            assert started.wait(WAIT)
            yield room
        finally:
            room.hang_up()
            server.stop()
            thread.join(WAIT)
            classroom.close()
