"""Serving the endpoint: in this process until told to stop, or in a child that ends with its parent.

uvicorn underneath, on asyncio's own loop (with 200 connections at once uvloop left some unanswered for
seconds). The socket is bound before the server starts, so the port is known and a busy one is refused
in words.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Final

import uvicorn

from workbench.clock import Clock, LessonClock, wall_clock
from workbench.endpoint.app import BASE_PATH, Application
from workbench.endpoint.asgi import SpineProtocol, shell
from workbench.endpoint.examples import stories
from workbench.endpoint.store import MEMORY, Store, Stored
from workbench.exceptions import BadInput, EndpointError
from workbench.rules import json
from workbench.rules.update import POLICIES

FIRST_LINE: Final = "Spine endpoint at "
"""What ``serve`` prints first, followed by the base URL."""

_KEEP_ALIVE_SECONDS: Final = 600
"""Long, for a person who thinks between two requests: a connection closed just as the next one is sent leaves
a write without an answer."""

_BACKLOG: Final = 2048
_START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What an endpoint is started with; the same for a server, a child process and one without a socket.

    ``clock`` (an instant) and ``seed`` fix times and ids for lessons; ``None`` takes the wall's time and
    random ids.
    """

    policy: str = "SPINE"
    clock: str | None = None
    seed: str | None = None
    db: str = MEMORY

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise BadInput(f"There is no policy {self.policy!r}; there are {', '.join(sorted(POLICIES))}.")
        if self.clock is not None:
            LessonClock(self.clock)
        try:
            (self.seed or "").encode()
        except UnicodeEncodeError:
            raise BadInput("The seed is not readable text; any word or number will do.") from None

    def application(self, base_url: str) -> Application:
        """The application with these settings, its stories stored."""
        store = Store(self.db, seed=self.seed)
        _tell_stories(store)
        clock: Clock = LessonClock(self.clock) if self.clock is not None else wall_clock
        return Application(store, base_url=base_url, policy=POLICIES[self.policy], clock=clock, new_id=_ids(self.seed))


def _tell_stories(store: Store) -> None:
    """Store the examples that are not there yet; one that a user has changed or deleted stays as it is."""
    for resource in stories():
        meta = resource["meta"]
        stored = Stored(meta["versionId"], meta["lastUpdated"], json.dumps(resource).encode())
        store.insert(resource["resourceType"], resource["id"], stored)


def _ids(seed: str | None) -> Callable[[], str]:
    """The ids of created resources: random UUIDs, or with a seed the same ones every time."""
    if seed is None:
        return lambda: str(uuid.uuid4())
    numbers = random.Random(seed)  # noqa: S311  # the same every time is what a seed is for
    return lambda: str(uuid.UUID(int=numbers.getrandbits(128), version=4))


def serve(settings: Settings, host: str, port: int, *, stop_with_stdin: bool = False) -> None:
    """Serve until SIGINT or SIGTERM (or until standard input closes); prints the base URL first.

    Raises ``EndpointError`` for a port or a database that cannot be used.
    """
    listening = _listen(host, port)
    base_url = f"http://{_authority(host, listening.getsockname()[1])}{BASE_PATH}"
    try:
        application = settings.application(base_url)
    except EndpointError:
        listening.close()
        raise
    config = uvicorn.Config(
        shell(application),
        http=SpineProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    if stop_with_stdin:
        threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    print(f"{FIRST_LINE}{base_url}", flush=True)  # noqa: T201
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn has stopped cleanly and raises it again
        server.run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    if not host:
        raise EndpointError("Which address should it listen on? Give one, such as 127.0.0.1.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only on a socket that says it is TCP; with it on, an answer with a
    # body waits 40 ms for the acknowledgement of its head.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)  # whoever reads the first line may connect at once
    except (OSError, OverflowError) as error:
        listening.close()
        why = error.strerror if isinstance(error, OSError) else "no such port"
        raise EndpointError(
            f"Port {port} of {host} cannot be used: {why}. Choose another, or 0 for a free one."
        ) from None
    return listening


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _stop_at_end_of_input(server: uvicorn.Server) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    server.should_exit = True


class ServerProcess:
    """An endpoint in a child process of its own, on a free port of loopback.

    The child stops when its standard input closes, and that happens however this process ends.
    """

    def __init__(self, settings: Settings) -> None:
        """Start it and wait until it listens; raises ``EndpointError`` with the child's own words if it cannot."""
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # as long-lived as the child
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workbench", *_arguments(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
        )
        self.base_url = self._first_line()

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        # A child that neither speaks nor ends would hold a notebook for ever.
        watch = threading.Timer(_START_SECONDS, self._process.kill)
        watch.start()
        line = self._process.stdout.readline().decode().strip()
        watch.cancel()
        if line.startswith(FIRST_LINE):
            return line.removeprefix(FIRST_LINE)
        self._process.kill()
        self._process.wait()
        words = self._last_words()
        self.stop()
        raise EndpointError(f"The endpoint did not start. {words}".strip())

    def _last_words(self) -> str:
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    @property
    def running(self) -> bool:
        """Whether the child is still there."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Let it finish what it is answering, then end it. Does nothing if it has ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._words.close()


def _arguments(settings: Settings) -> list[str]:
    """The settings as a command line; with equals signs, because a seed may begin with a hyphen."""
    words = ["serve", "--stop-with-stdin", f"--policy={settings.policy}", f"--db={settings.db}"]
    words += [f"--clock={settings.clock}"] if settings.clock is not None else []
    return words + ([f"--seed={settings.seed}"] if settings.seed is not None else [])


def as_instant(clock: str | datetime | None) -> str | None:
    """A lesson clock's start as text that survives a command line; raises ``BadInput`` for one that is none."""
    return None if clock is None else LessonClock(clock)().isoformat()
