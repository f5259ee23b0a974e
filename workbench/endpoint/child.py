"""What runs in a child process: an endpoint, or one worker of it, told by its standard input what to do.

The first line says what to serve; each further one is a command, and is answered by a line on standard
output. When standard input closes the child stops, and that happens however its parent ends.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator

from workbench.endpoint.service import Running, UntilItServes, serve
from workbench.endpoint.serving import Serving
from workbench.endpoint.settings import Settings
from workbench.errors import WorkbenchError


def main() -> int:
    """Serve as the first line says; the exit code."""
    until = UntilItServes()
    lines = _lines()
    first = next(lines, None)
    if first is None:
        return 0  # its parent has ended
    told = json.loads(first)
    told["settings"]["faults"] = tuple(told["settings"]["faults"])
    inherited = None
    if told["descriptor"] is not None:
        inherited = socket.socket(fileno=told["descriptor"]), told["base_url"]
        # Ctrl-C goes to a terminal's whole group; a worker stops when its parent says so.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        settings, serving = Settings(**told["settings"]), Serving(**told["serving"])
        serve(settings, serving, until=until, inherited=inherited, attend=lambda running: _listen_to(lines, running))
    except WorkbenchError as error:
        _say(str(error))  # in place of the line that says where it is
        return 2
    return 0


def _listen_to(lines: Iterator[bytes], running: Running) -> None:
    threading.Thread(target=_obey, args=(lines, running), daemon=True).start()


def _obey(lines: Iterator[bytes], running: Running) -> None:
    for line in lines:
        command, *arguments = json.loads(line)
        try:
            running.obey(command, arguments)
        except Exception as error:  # noqa: BLE001  # whatever it is, whoever asked is waiting for a line
            _say(" ".join(str(error).split()) or type(error).__name__)
        else:
            _say("done")
    running.stop()


def stop_with_input(running: Running) -> None:
    """Stop what is running when standard input closes; what is written there before is nobody's business."""

    def wait() -> None:
        for _ in _lines():
            pass
        running.stop()

    threading.Thread(target=wait, daemon=True).start()


def _lines() -> Iterator[bytes]:
    """Standard input, line by line and unbuffered: a thread that waits in a buffer holds up the process's end."""
    rest = b""
    while True:
        line, end, after = rest.partition(b"\n")
        if end:
            rest = after
            yield line
            continue
        try:
            more = os.read(0, 65536)
        except OSError:
            return
        if not more:
            return
        rest += more


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
