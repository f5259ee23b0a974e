"""A server ends with the tests that started it, also when those are killed."""

import subprocess
import sys
from pathlib import Path

KEEPER = Path(__file__).parent / "keeper.py"
FOREVER = "import threading; print('up', flush=True); threading.Event().wait()"
STARTED = f"""
import subprocess, sys, threading
subprocess.Popen([sys.executable, {str(KEEPER)!r}, sys.executable, "-c", {FOREVER!r}], stdin=subprocess.PIPE)
threading.Event().wait()
"""


def test_it_ends_when_whoever_started_it_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", STARTED], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "up\n"
        parent.kill()
        rest, _ = parent.communicate(timeout=30)  # the output ends when nobody holds it any more
    assert rest == ""


def test_a_command_that_ends_by_itself_gives_its_code() -> None:
    command = [sys.executable, str(KEEPER), sys.executable, "-c", "raise SystemExit(3)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as keeper:
        assert keeper.wait(30) == 3
