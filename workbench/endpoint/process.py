"""The processes of an endpoint: ``serve``, its workers, and a child process with both ends of its pipes.

``serve`` runs the endpoint in this process, or several workers behind one socket and one database. ``ServerProcess``
starts a child: an endpoint for a notebook, or one worker. The child runs this module as a program:

* The first line of its standard input is JSON that says what to serve. Its first line of output is ``FIRST_LINE`` with
  the base URL, or the error.
* Each further line of input is a command, ``["faults", "latency:read"]``; the child prints ``done`` or the error.
* When its standard input closes, the child stops. That happens however its parent ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, Final

from workbench.endpoint import log
from workbench.endpoint.settings import FIRST_LINE, MEMORY, STOP_SECONDS, Serving, Settings
from workbench.errors import BadInput, EndpointError, WorkbenchError

if TYPE_CHECKING:
    from workbench.endpoint.server import Server

_BACKLOG: Final = 2048
_START_SECONDS: Final = 60.0
_END_SECONDS: Final = 2 * STOP_SECONDS

_MOST_FAILURES: Final = 5
"""How often in a row a worker may fail to start before the endpoint stops."""

_DONE: Final = "done"

_log: Final = logging.getLogger("workbench.endpoint.process")


# --- the service ---


def serve(
    settings: Settings,
    serving: Serving,
    *,
    inherited: tuple[socket.socket, str] | None = None,
    with_server: Callable[[Server | Workers], None] | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or ``stop``; print the base URL once the endpoint serves.

    ``inherited`` is a listening socket and its base URL; without it this function opens one. ``with_server`` receives
    the server before it runs. Raises ``BadInput`` for options that do not go together, and ``EndpointError`` for an
    address, a certificate or a database that cannot be used.
    """
    if serving.workers > 1:
        if settings.db == MEMORY:
            raise BadInput("Several workers need a database that they share; give --db a file, or postgresql://….")
        if settings.clock is not None:
            raise BadInput("A lesson's clock is one process's own; use one worker.")
        if sys.platform == "win32":
            raise BadInput("Several workers on one port do not work on Windows; use one.")

    listening, base_url = inherited or (listen(serving), "")
    with listening:
        base_url = base_url or serving.url_at(listening.getsockname()[1])
        server: Server | Workers
        if serving.workers > 1:
            server = Workers(settings, serving, base_url)
        else:
            # Imported here: a parent of workers does not need what it takes to respond.
            from workbench.endpoint.server import Server

            server = Server(settings, serving, base_url)
        if with_server:
            with_server(server)
        server.run(listening, lambda: _print(f"{FIRST_LINE}{base_url}"))


def listen(serving: Serving) -> socket.socket:
    """Return a listening socket, so that the port is known; raise ``EndpointError`` for an unusable address."""
    host, port = serving.host, serving.port
    if not host:
        raise EndpointError("Which address should it listen on? Give one, such as 127.0.0.1.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns off Nagle's algorithm only on a socket whose protocol is TCP. With it on, a response with a body
    # waits 40 ms for the acknowledgement of its head.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)  # a client may connect as soon as the first line is printed
    except (OSError, OverflowError) as error:
        listening.close()
        why = error.strerror if isinstance(error, OSError) else "no such port"
        raise EndpointError(
            f"Port {port} of {host} cannot be used: {why}. Choose another, or 0 for a free one."
        ) from None
    return listening


def stop_with_input(server: Server | Workers) -> None:
    """Stop the server when standard input closes; its lines are discarded."""

    def wait() -> None:
        for _ in _input_lines():
            pass
        server.stop()

    threading.Thread(target=wait, daemon=True).start()


# --- a child process, seen from its parent ---


class ServerProcess:
    """A child process that serves at ``base_url``. Several threads may send it commands.

    The child stops when its ``ServerProcess`` is garbage-collected, or when this process ends.
    """

    def __init__(
        self, settings: Settings, serving: Serving, *, descriptor: int | None = None, base_url: str = ""
    ) -> None:
        """Start the child and wait until it listens; raise ``EndpointError`` with its own message if it cannot.

        With a ``descriptor`` it becomes one more worker on a socket that listens already.
        """
        self._lock = threading.Lock()
        # A worker logs where its parent does. A notebook's endpoint is silent, unless it cannot start.
        is_worker = descriptor is not None
        stderr = None if is_worker else tempfile.TemporaryFile()  # noqa: SIM115  # _end closes it
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workbench.endpoint.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=() if descriptor is None else (descriptor,),
        )
        self._end = weakref.finalize(self, _end, self._process, stderr)
        # A service waits for its workers at exit. A notebook's endpoint sees its standard input close.
        self._end.atexit = is_worker

        # A child that neither prints nor ends would block a notebook for ever.
        timer = threading.Timer(_START_SECONDS, self._process.kill)
        timer.start()
        first = {
            "settings": dataclasses.asdict(settings),
            "serving": dataclasses.asdict(serving),
            "descriptor": descriptor,
            "base_url": base_url,
        }
        line = self._ask(first)
        timer.cancel()
        if not line.startswith(FIRST_LINE):
            self._process.kill()
            self._process.wait()
            if not line and stderr is not None:
                stderr.seek(0)
                line = stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            self.stop()
            raise EndpointError(f"The endpoint did not start. {line}".strip())
        self.base_url = line.removeprefix(FIRST_LINE)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child still runs."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait until the child ends; return its exit code."""
        return self._process.wait()

    def run_command(self, command: str, arguments: Iterable[str] = ()) -> None:
        """Run one command in the child, and wait until it is done; raise ``EndpointError`` if it fails."""
        with self._lock:
            line = self._ask([command, *arguments])
        if line != _DONE:
            raise EndpointError(f"The endpoint could not do that. {line}".strip())

    def stop(self) -> None:
        """Let the child finish its requests in flight, then end it. Does nothing if it has ended."""
        self._end()

    def kill(self) -> None:
        """End the child at once, as a power cut would; it finishes nothing."""
        self._process.kill()
        self.stop()

    def _ask(self, value: Any) -> str:
        """Write one line, and return the line that the child prints; an empty one if it ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise EndpointError("The endpoint is no longer running.") from None
        return self._process.stdout.readline().decode().strip()


def _end(process: subprocess.Popen[bytes], stderr: IO[bytes] | None) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if stderr is not None:
        stderr.close()


class Workers:
    """Several child processes behind one socket and one database. A worker that ends is replaced.

    The parent serves nothing itself. It holds each worker's standard input, so all of them stop when it ends, however
    that happens. The socket stays open while a worker is replaced, so no connection is refused.
    """

    def __init__(self, settings: Settings, serving: Serving, base_url: str) -> None:
        self._settings = settings
        self._serving = serving
        self._base_url = base_url
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._workers: list[ServerProcess] = []

    def run_command(self, command: str, arguments: Iterable[str] = ()) -> None:
        """Run a command in every worker, but ``reset`` in one: they share the database."""
        arguments = tuple(arguments)
        with self._lock:
            for worker in self._workers[:1] if command == "reset" else self._workers:
                worker.run_command(command, arguments)
            if command == "faults":
                self._settings = dataclasses.replace(self._settings, faults=arguments)

    def run(self, listening: socket.socket, on_start: Callable[[], None]) -> None:
        """Start all workers, and replace those that end until SIGINT, SIGTERM or ``stop``.

        Then let each finish its requests in flight. Raises ``EndpointError`` if one cannot start.
        """
        log.configure(self._serving.log_format)
        # Before the first worker starts: an exception of the signal's could lose it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        watchers: list[threading.Thread] = []
        try:
            self._start_all(listening)
            if self._stopping.is_set():
                return
            on_start()
            for index in range(len(self._workers)):
                watchers.append(threading.Thread(target=self._watch, args=(index, listening), daemon=True))
                watchers[-1].start()
            self._stopping.wait()
        finally:
            self.stop()
            with self._lock, ThreadPoolExecutor(self._serving.workers) as pool:
                list(pool.map(ServerProcess.stop, self._workers))
            for watcher in watchers:
                watcher.join()

    def stop(self) -> None:
        """Make ``run`` end; from any thread."""
        self._stopping.set()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # In another thread: the one that is interrupted may hold the event's lock.
        threading.Thread(target=self.stop).start()

    def _start_all(self, listening: socket.socket) -> None:
        # The first starts alone: it reports an unusable database once, and resets it once.
        self._workers.append(self._start(listening))
        self._settings = dataclasses.replace(self._settings, reset=False)
        with ThreadPoolExecutor() as pool:
            starts = [pool.submit(self._start, listening) for _ in range(self._serving.workers - 1)]
        self._workers += [start.result() for start in starts if start.exception() is None]
        if len(self._workers) < self._serving.workers:
            raise EndpointError("Not all of the endpoint's workers could be started.")

    def _start(self, listening: socket.socket) -> ServerProcess:
        serving = dataclasses.replace(self._serving, workers=1)
        return ServerProcess(self._settings, serving, descriptor=listening.fileno(), base_url=self._base_url)

    def _watch(self, index: int, listening: socket.socket) -> None:
        """Wait for one worker to end, and replace it, until the endpoint stops."""
        failures = 0
        while failures < _MOST_FAILURES:
            worker = self._workers[index]
            code = worker.wait()
            with self._lock:
                if self._stopping.is_set():
                    return
                _log.error("worker %s ended with code %s; another takes its place", worker.pid, code)
                worker.stop()
                try:
                    self._workers[index] = self._start(listening)
                    failures = 0
                except EndpointError:
                    _log.exception("a worker did not start")
                    failures += 1
        _log.critical("a worker cannot be started; the endpoint stops")
        self.stop()


# --- a child process, seen from inside ---


def main() -> int:
    """Serve what the first line of standard input says; return the exit code."""
    lines = _input_lines()
    line = next(lines, None)
    if line is None:
        return 0  # the parent has ended
    first = json.loads(line)
    first["settings"]["faults"] = tuple(first["settings"]["faults"])
    inherited = None
    if first["descriptor"] is not None:
        inherited = socket.socket(fileno=first["descriptor"]), first["base_url"]
        # Ctrl-C reaches a terminal's whole process group; a worker stops when its parent stops it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def run_commands(server: Server | Workers) -> None:
        threading.Thread(target=_run_commands, args=(lines, server), daemon=True).start()

    try:
        settings, serving = Settings(**first["settings"]), Serving(**first["serving"])
        serve(settings, serving, inherited=inherited, with_server=run_commands)
    except WorkbenchError as error:
        _print(str(error))  # the parent reads it instead of the base URL
        return 2
    return 0


def _run_commands(lines: Iterator[bytes], server: Server | Workers) -> None:
    for line in lines:
        command, *arguments = json.loads(line)
        try:
            server.run_command(command, arguments)
        except Exception as error:  # noqa: BLE001  # the parent waits for a line after any error
            _print(" ".join(str(error).split()) or type(error).__name__)
        else:
            _print(_DONE)
    server.stop()


def _input_lines() -> Iterator[bytes]:
    """Yield the lines of standard input, unbuffered: a thread that waits in a buffered read delays the exit."""
    with contextlib.suppress(OSError), io.FileIO(0, closefd=False) as standard_input:
        yield from standard_input


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
