"""The workbench as an application: Voilà serves a notebook on this machine, without its code.

Owns the command that starts Voilà, and the template it is told to use. The template is found in this package by
an environment variable of the child process, so nothing has to be installed where Jupyter looks.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import webbrowser
from pathlib import Path
from typing import Final

from workbench.exceptions import BadInput, WorkbenchError

_HOST: Final = "127.0.0.1"
_TEMPLATE: Final = "spine-workbench"
_TEMPLATES: Final = Path(__file__).parent / "ui"
"""Jupyter looks below each of its folders for ``voila/templates/<name>``."""

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0


def serve(notebook: str, *, port: int = 0, dark: bool = False, browser: bool = True) -> int:
    """Serve a notebook until Voilà ends; its exit code. Prints the address once there is something to see.

    Raises ``BadInput`` for a notebook that is not there, and for a port that cannot be had.
    """
    if Path(notebook).suffix != ".ipynb" or not Path(notebook).is_file():
        raise BadInput(f"There is no notebook {notebook}; give the path of one, such as notebooks/app.ipynb.")
    port = _usable(port)
    address = f"http://{_HOST}:{port}/"
    voila = subprocess.Popen(_command(notebook, port, dark=dark), env=_environment())
    try:
        _wait_until_it_listens(voila, port)
        print(address, flush=True)
        if browser:
            webbrowser.open(address)
        return voila.wait()
    except KeyboardInterrupt:
        # Ctrl-C reaches Voilà too, which then ends its kernels: a second signal would cut that short.
        _wait_until_it_ends(voila)
        raise
    finally:
        voila.terminate()
        _wait_until_it_ends(voila)


def _usable(port: int) -> int:
    """The port if it is free, or a free one for 0: Voilà itself would quietly take another."""
    try:
        with socket.socket() as probe:
            if os.name == "posix":  # where it means: also while connections of before are being wound up
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_HOST, port))
            found: int = probe.getsockname()[1]
    except (OSError, OverflowError) as error:
        raise BadInput(
            f"Port {port} of {_HOST} cannot be used; choose another with --port, or leave it out for a free one."
        ) from error
    return found


def _command(notebook: str, port: int, *, dark: bool) -> list[str]:
    return [
        sys.executable,
        "-m",
        "voila",
        notebook,
        f"--Voila.ip={_HOST}",
        f"--port={port}",
        "--Voila.port_retries=0",
        "--no-browser",  # Voilà would open a page of its own first
        "--Voila.log_level=ERROR",
        # Nobody's page may reach this one under a host name of theirs (DNS rebinding); empty is how to say no here.
        "--Voila.tornado_settings=allow_remote_access=",
        f"--template={_TEMPLATE}",
        "--VoilaConfiguration.allow_template_override=NO",
        f"--theme={'dark' if dark else 'light'}",
    ]


def _environment() -> dict[str, str]:
    paths = [str(_TEMPLATES), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    return os.environ | {"JUPYTER_PATH": os.pathsep.join(paths)}


def _wait_until_it_listens(voila: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and voila.poll() is None:
        try:
            with socket.create_connection((_HOST, port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise WorkbenchError("Voilà did not start; what it said stands above.")


def _wait_until_it_ends(voila: subprocess.Popen[bytes]) -> None:
    try:
        voila.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        voila.kill()
        voila.wait()
