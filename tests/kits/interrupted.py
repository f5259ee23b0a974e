"""Run a command in another process and press Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROMPT = 25.0
"""Seconds from Ctrl-C to the end of the process. A request waits longer for its answer: 30 seconds."""


@dataclass(frozen=True)
class Ended:
    """How a command ended after Ctrl-C."""

    code: int
    output: str
    errors: str


def interrupt(*arguments: str, when: Callable[[], object]) -> Ended:
    """Run ``python -m workbench ARGUMENTS``, and press Ctrl-C when ``when`` returns.

    Raises ``subprocess.TimeoutExpired`` for a process that waits for an answer.
    """
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
        output, errors = process.communicate(timeout=PROMPT)
        watch.cancel()
    assert "Traceback" not in errors
    return Ended(process.returncode, output, errors)
