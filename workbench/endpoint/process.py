"""An endpoint in a child process, as its parent holds it: started, asked, stopped.

The child stops when its standard input closes, and that happens however this process ends. It also stops when
its ``ServerProcess`` is let go of.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterable
from typing import IO, Any, Final

from workbench.endpoint.serving import FIRST_LINE, STOP_SECONDS, Serving
from workbench.endpoint.settings import Settings
from workbench.errors import EndpointError

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 2 * STOP_SECONDS


class ServerProcess:
    """A child that serves; ``base_url`` is where. Several threads may ask at once."""

    def __init__(
        self, settings: Settings, serving: Serving, *, descriptor: int | None = None, base_url: str = ""
    ) -> None:
        """Start it and wait until it listens; raises ``EndpointError`` with the child's own words if it cannot.

        With a ``descriptor`` it is one worker more on a socket that listens already.
        """
        self._turn = threading.Lock()
        # A worker's log is its parent's; a notebook's endpoint keeps its words for when it cannot start.
        inherits = descriptor is not None
        self._words: IO[bytes] | None = None if inherits else tempfile.TemporaryFile()  # noqa: SIM115  # as long-lived as the child
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workbench.endpoint.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            pass_fds=() if descriptor is None else (descriptor,),
        )
        self._end = weakref.finalize(self, _end, self._process, self._words)
        # A notebook's endpoint sees its standard input close, and nobody waits for it; a service waits for its workers.
        self._end.atexit = inherits
        told: dict[str, Any] = {"settings": dataclasses.asdict(settings), "serving": dataclasses.asdict(serving)}
        self._tell(json.dumps(told | {"descriptor": descriptor, "base_url": base_url}).encode() + b"\n")
        self.base_url = self._where()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child is still there."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait until it ends, for whatever reason; its exit code."""
        return self._process.wait()

    def ask(self, command: str, arguments: Iterable[str] = ()) -> None:
        """Have it do something, and wait until it is done; raises ``EndpointError`` if it could not."""
        with self._turn:
            self._tell(json.dumps([command, *arguments]).encode() + b"\n")
            answer = self._line()
        if answer != "done":
            raise EndpointError(f"The endpoint could not do that. {answer}".strip())

    def stop(self) -> None:
        """Let it finish what it is answering, then end it. Does nothing if it has ended."""
        self._end()

    def kill(self) -> None:
        """End it on the spot, as a power cut would: nothing is finished first."""
        self._process.kill()
        self.stop()

    def _tell(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise EndpointError("The endpoint is no longer running.") from None

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()

    def _where(self) -> str:
        # A child that neither speaks nor ends would hold a notebook for ever.
        watch = threading.Timer(_START_SECONDS, self._process.kill)
        watch.start()
        line = self._line()
        watch.cancel()
        if line.startswith(FIRST_LINE):
            return line.removeprefix(FIRST_LINE)
        self._process.kill()
        self._process.wait()
        words = line or self._last_words()
        self.stop()
        raise EndpointError(f"The endpoint did not start. {words}".strip())

    def _last_words(self) -> str:
        if self._words is None:
            return ""
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def _end(process: subprocess.Popen[bytes], words: IO[bytes] | None) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if words is not None:
        words.close()
