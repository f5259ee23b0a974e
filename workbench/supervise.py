"""A command that is another program's parent: whatever ends it ends the other program too."""

from __future__ import annotations

import signal
import subprocess
from types import FrameType
from typing import Final

_STOP_SECONDS: Final = 15.0


def end_by_signal() -> None:
    """Let SIGTERM and SIGHUP end this process by ``SystemExit``, so that ``finally`` blocks run.

    Where SIGHUP is ignored, as ``nohup`` does, it stays ignored.
    """
    signal.signal(signal.SIGTERM, _leave)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _leave)


def wait_for(child: subprocess.Popen[bytes]) -> int:
    """Wait until a child process ends and return its exit code; end it if anything ends this one first.

    It gets SIGTERM, and after fifteen seconds SIGKILL. After Ctrl-C it gets SIGTERM as well: JupyterLab, which a
    terminal tells of Ctrl-C too, would ask whether that is meant.
    """
    try:
        return child.wait()
    finally:
        end(child)


def end(child: subprocess.Popen[bytes]) -> None:
    """End a child process, unless it has ended."""
    child.terminate()
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
