"""The workbench as an application: Voilà serves a notebook on this machine, without its code.

Owns the command that starts Voilà (``voila_server``), and the template it is told to use. The template is found in
this package by an environment variable of the child process, so nothing has to be installed where Jupyter looks.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import webbrowser
from pathlib import Path
from typing import Final

from workbench import supervise
from workbench.errors import BadInput, WorkbenchError

_HOST: Final = "127.0.0.1"
_TEMPLATE: Final = "spine-workbench"
_TEMPLATES: Final = Path(__file__).parent / "widgets"
"""Jupyter looks below each of its folders for ``voila/templates/<name>``."""

MOST_PAGES: Final = 8
"""How many can be open at once. Each has a kernel, and the kernel an endpoint."""

_START_SECONDS: Final = 60.0
TOKEN_VARIABLE: Final = "WORKBENCH_APP_TOKEN"  # noqa: S105  # the name of a variable
"""How ``voila_server`` gets the token: every user of this machine can list the arguments of a process."""


def serve(notebook: str, *, port: int = 0, dark: bool = False, browser: bool = True) -> int:
    """Serve a notebook until Voilà ends, and return its exit code.

    Prints the address once there is something to see. The address holds a token, without which nothing is shown.

    Raises ``BadInput`` for a notebook that is not there, and for a port that cannot be had.
    """
    if Path(notebook).suffix != ".ipynb" or not Path(notebook).is_file():
        raise BadInput(f"There is no notebook {notebook}; give the path of one, such as notebooks/app.ipynb.")
    port = _usable(port)
    token = secrets.token_urlsafe(24)
    address = f"http://{_HOST}:{port}/?token={token}"
    voila = subprocess.Popen(_command(notebook, port, dark=dark), env=_environment(token))
    try:
        _wait_until_it_listens(voila, port)
        print(address, flush=True)
        if browser:
            webbrowser.open(address)
        return voila.wait()
    finally:
        supervise.end(voila)


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
        "workbench.app_server",
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


def _environment(token: str) -> dict[str, str]:
    paths = [str(_TEMPLATES), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    return os.environ | {"JUPYTER_PATH": os.pathsep.join(paths), TOKEN_VARIABLE: token}


def _wait_until_it_listens(voila: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and voila.poll() is None:
        try:
            with socket.create_connection((_HOST, port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise WorkbenchError("Voilà did not start; what it said stands above.")
