"""The workbench as a web application: Voilà serves a notebook on this machine, without its code.

``serve`` starts Voilà in a new process and ends it again.
``python -m workbench.app`` is that process; only it imports Voilà, so importing this module is quick.

Voilà finds our template by an environment variable of its process.
So nothing has to be installed in the folders where Jupyter looks.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from pathlib import Path
from types import FrameType
from typing import Any, Final

from workbench.errors import BadInput, WorkbenchError

MOST_PAGES: Final = 8
"""How many pages can be open at once. Each has a kernel, and the kernel has an endpoint."""

TOKEN_VARIABLE: Final = "WORKBENCH_APP_TOKEN"  # noqa: S105  # the name of a variable
"""Passes the token to Voilà's process. Every user of the machine could read it as an argument."""

_HOST: Final = "127.0.0.1"
_TEMPLATE: Final = "spine-workbench"
_TEMPLATES: Final = Path(__file__).parent / "widgets"
"""Jupyter looks below each of its folders for ``voila/templates/<name>``."""

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_IDLE_SECONDS: Final = 600
_CULL_INTERVAL_SECONDS: Final = 60


def serve(notebook: str, *, port: int = 0, dark: bool = False, browser: bool = True) -> int:
    """Serve a notebook until Voilà ends, and return its exit code.

    Print the address as soon as the page can be opened. It holds a token, which Voilà requires.

    Raises ``BadInput`` if the notebook does not exist or the port cannot be used.
    """
    if Path(notebook).suffix != ".ipynb" or not Path(notebook).is_file():
        raise BadInput(f"There is no notebook {notebook}; give the path of one, such as notebooks/app.ipynb.")
    port = _free_port(port)
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
        end(voila)


def _free_port(port: int) -> int:
    """Return the port if it is free, or a free one for 0. Voilà itself would silently take another."""
    try:
        with socket.socket() as probe:
            if os.name == "posix":  # there it allows a port whose old connections are still closing
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
        "workbench.app",
        notebook,
        f"--Voila.ip={_HOST}",
        f"--port={port}",
        "--Voila.port_retries=0",
        "--no-browser",  # serve() opens the page, when Voilà listens
        "--Voila.log_level=ERROR",
        # Voilà rejects requests for any other host name (DNS rebinding). Empty means false here.
        "--Voila.tornado_settings=allow_remote_access=",
        f"--template={_TEMPLATE}",
        "--VoilaConfiguration.allow_template_override=NO",
        f"--theme={'dark' if dark else 'light'}",
    ]


def _environment(token: str) -> dict[str, str]:
    paths = filter(None, [str(_TEMPLATES), os.environ.get("JUPYTER_PATH")])
    return os.environ | {"JUPYTER_PATH": os.pathsep.join(paths), TOKEN_VARIABLE: token}


def _wait_until_it_listens(voila: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and voila.poll() is None:
        try:
            with socket.create_connection((_HOST, port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise WorkbenchError("Voilà did not start; its own message is above.")


# --- a command that started another program ends it; `lab` and `app` ---


def end_by_signal() -> None:
    """Let SIGTERM and SIGHUP end this process by ``SystemExit``, so that ``finally`` blocks run."""
    for number in _ending_signals():
        signal.signal(number, _exit)


def _ending_signals() -> list[int]:
    """Return SIGTERM, and SIGHUP unless it is ignored, as under ``nohup``."""
    found: list[int] = [signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        found.append(signal.SIGHUP)
    return found


def _exit(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def wait_for(child: subprocess.Popen[bytes]) -> int:
    """Wait for a child process and return its exit code. If this process ends first, end the child.

    The child gets SIGTERM, and SIGKILL after 15 seconds. It gets SIGTERM after Ctrl-C too.
    JupyterLab receives Ctrl-C from the terminal as well, and would only ask for confirmation.
    """
    try:
        return child.wait()
    finally:
        end(child)


def end(child: subprocess.Popen[bytes]) -> None:
    """End a child process: SIGTERM, then SIGKILL after 15 seconds."""
    child.terminate()
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


# --- the server process, `python -m workbench.app`: Voilà, and what it has no setting for ---

if __name__ == "__main__":
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
    from tornado.web import HTTPError
    from traitlets import Integer
    from traitlets.config import Config
    from voila.app import Voila
    from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
    from voila.tornado.handler import TornadoVoilaHandler
    from voila.voila_identity_provider import VoilaIdentityProvider

    class Kernels(AsyncMappingKernelManager):
        """Kernels up to a limit. A kernel that is shutting down no longer counts.

        So a reloaded page, which ends one kernel and starts another, stays within the limit.
        """

        most = Integer(MOST_PAGES, config=True, help="how many kernels there can be at once")

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)  # type: ignore[no-untyped-call]
            self._starting = 0
            self._ending: set[str] = set()

        async def start_kernel(self, **options: Any) -> str:  # type: ignore[override]
            """Start a kernel; respond 503 if the limit is reached."""
            running = set(self.list_kernel_ids()) - self._ending
            if len(running) + self._starting >= self.most:
                raise HTTPError(503, f"Open pages: {self.most}.")
            self._starting += 1
            try:
                return str(await super().start_kernel(**options))
            finally:
                self._starting -= 1

        async def shutdown_kernel(  # type: ignore[override]
            self, kernel_id: str, *arguments: Any, **options: Any
        ) -> None:
            """Shut a kernel down."""
            self._ending.add(kernel_id)
            try:
                await super().shutdown_kernel(kernel_id, *arguments, **options)  # type: ignore[no-untyped-call]
            finally:
                self._ending.discard(kernel_id)

    class EndKernel(VoilaShutdownKernelHandler):  # type: ignore[misc]
        """Let a page end its own kernel when it is closed.

        Voilà's own handler requires an XSRF token, which a closing page does not send.
        Only the page knows the id of its kernel. The login cookie and the origin are still checked.
        """

        def check_xsrf_cookie(self) -> None:
            """Require no XSRF token."""

    class Page(TornadoVoilaHandler):  # type: ignore[misc]
        """The notebook as a page. Without the token it responds 403, and shows no login form."""

        def get_login_url(self) -> str:
            """Respond 403 instead of a redirect to a login form."""
            raise HTTPError(403)

    class TokenOnly(VoilaIdentityProvider):  # type: ignore[misc]
        """Accept the token in the address, then a cookie. There are no passwords."""

        def get_handlers(self) -> list[Any]:
            """Offer no login form."""
            return []

    class Application(Voila):  # type: ignore[misc]
        """Voilà with our kernels, token and handlers."""

        def initialize(self, argv: list[str] | None = None) -> None:
            """Set what no option of Voilà can set."""
            self.token = os.environ.pop(TOKEN_VARIABLE)  # popped, so that kernels do not inherit it
            config = Config(
                Voila={"identity_provider_class": TokenOnly},
                VoilaConfiguration={"multi_kernel_manager_class": Kernels},
                MappingKernelManager={
                    "cull_idle_timeout": _IDLE_SECONDS,
                    "cull_interval": _CULL_INTERVAL_SECONDS,
                },
            )
            self.update_config(config)
            super().initialize(argv)  # an option on the command line overrides these
            for number in (signal.SIGINT, *_ending_signals()):
                signal.signal(number, _stop)

        def init_handlers(self) -> list[Any]:
            """Replace two of Voilà's handlers by ours."""
            ours = {VoilaShutdownKernelHandler: EndKernel, TornadoVoilaHandler: Page}
            handlers = [(each[0], ours.get(each[1], each[1]), *each[2:]) for each in super().init_handlers()]
            missing = set(ours.values()) - {each[1] for each in handlers}
            assert not missing, "Voilà's handlers are not the ones that this replaces."
            return handlers

    def _stop(_signal: int, _frame: FrameType | None) -> None:
        """End as Ctrl-C does, once: a second signal would interrupt the shutdown of the kernels."""
        for number in (signal.SIGINT, *_ending_signals()):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    Application.launch_instance()
