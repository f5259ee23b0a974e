"""Run a command in a process of its own and press Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROMPT = 10.0
"""Seconds from Ctrl-C to the end of the process, whatever the endpoint does."""


@dataclass(frozen=True)
class Ended:
    """How a command ended after Ctrl-C."""

    code: int
    seconds: float
    output: str
    errors: str


def interrupt(*arguments: str, when: Callable[[], object]) -> Ended:
    """Run ``python -m workbench ARGUMENTS``, and press Ctrl-C when ``when`` returns."""
    with subprocess.Popen(
        [sys.executable, "-m", "workbench", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        watch = threading.Timer(60, process.kill)  # a command that hangs would hold the tests
        watch.start()
        when()
        process.send_signal(signal.SIGINT)
        pressed = time.monotonic()
        output, errors = process.communicate()
        seconds = time.monotonic() - pressed
        watch.cancel()
    assert "Traceback" not in errors
    return Ended(process.returncode, seconds, output, errors)
