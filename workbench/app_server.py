"""The process that serves the application: Voilà, with an end for each kernel and a limit on their number.

Owns: what Voilà has no setting for. A page ends its kernel when it is closed or reloaded, a kernel whose page is lost
is culled, and the page that would start one kernel too many gets an explanation. The token comes in by the environment
(``voila.TOKEN_VARIABLE``), because every user of this machine can list the arguments of a process.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any, Final

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import HTTPError
from traitlets import Integer
from traitlets.config import Config
from voila.app import Voila
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.voila_identity_provider import VoilaIdentityProvider

from workbench.app import MOST_PAGES, TOKEN_VARIABLE

_IDLE_SECONDS: Final = 600
_LOOK_SECONDS: Final = 60


class Kernels(AsyncMappingKernelManager):
    """Kernels up to a limit. One that is being shut down no longer counts: a reload ends one and starts one."""

    most = Integer(MOST_PAGES, config=True, help="how many kernels there can be at once")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._starting = 0
        self._ending: set[str] = set()

    async def start_kernel(self, **options: Any) -> str:  # type: ignore[override]
        """Start a kernel; answer 503 where that would be one too many."""
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
    """A page ends its own kernel as it is closed.

    Voilà's own handler refuses: it wants a token against cross-site requests, and a page that is being closed sends
    none. The kernel's id is as good, for only its page knows it; the cookie of the login and the origin are checked.
    """

    def check_xsrf_cookie(self) -> None:
        """Ask for nothing more than is asked already."""


class Page(TornadoVoilaHandler):  # type: ignore[misc]
    """The notebook as a page. Without the token it answers 403, and no form asks for anything."""

    def get_login_url(self) -> str:
        """Refuse where a login would be asked for."""
        raise HTTPError(403)


class TokenOnly(VoilaIdentityProvider):  # type: ignore[misc]
    """The token in the address lets somebody in, and a cookie keeps them in. There is no password to set."""

    def get_handlers(self) -> list[Any]:
        """Offer no login form."""
        return []


class Application(Voila):  # type: ignore[misc]
    """Voilà as the workbench uses it."""

    def initialize(self, argv: list[str] | None = None) -> None:
        """Set what no option of Voilà's can say."""
        self.token = os.environ.pop(TOKEN_VARIABLE)  # and so it does not reach the kernels
        self.update_config(
            Config(
                Voila={"identity_provider_class": TokenOnly},
                VoilaConfiguration={"multi_kernel_manager_class": Kernels},
                MappingKernelManager={"cull_idle_timeout": _IDLE_SECONDS, "cull_interval": _LOOK_SECONDS},
            )
        )
        super().initialize(argv)  # an option on the command line overrides these
        for number in _ending_signals():
            signal.signal(number, _stop)

    def init_handlers(self) -> list[Any]:
        """Put ours in the place of two of Voilà's handlers."""
        ours = {VoilaShutdownKernelHandler: EndKernel, TornadoVoilaHandler: Page}
        found = [(each[0], ours.get(each[1], each[1]), *each[2:]) for each in super().init_handlers()]
        assert set(ours.values()) <= {each[1] for each in found}, "Voilà's handlers are not what they were."
        return found


def _ending_signals() -> list[int]:
    """SIGINT and SIGTERM, and SIGHUP unless ``nohup`` has it ignored."""
    found = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        found.append(signal.SIGHUP)
    return list(found)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does, once: a second signal would leave kernels behind that are being shut down."""
    for number in _ending_signals():
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    Application.launch_instance()
