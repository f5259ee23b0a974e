"""``Endpoint``: an embedded Spine with its journal and its clients, for a notebook.

Only this module of the room knows the client: it starts an endpoint and returns clients of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from workbench.client.client import Client
from workbench.client.connection import Connection
from workbench.client.threads import HAS_THREADS
from workbench.clock import LessonClock, wall_clock
from workbench.endpoint.faults import Fault, Faults
from workbench.endpoint.process import ServerProcess
from workbench.endpoint.settings import MEMORY, Serving, Settings, as_instant
from workbench.errors import EndpointError
from workbench.journal.journal import Journal

if TYPE_CHECKING:
    from workbench.endpoint.in_process import InProcessAdapter

_IN_THIS_PROCESS: Final = (
    "This Python can open no port and start no process, so the endpoint runs in this process, without workers."
)


class Endpoint:
    """A running embedded Spine. ``start`` starts one on a real port, ``in_process`` one without a socket.

    ``base_url`` is its URL. ``journal`` holds the exchanges of all its clients, in order. Use it in a ``with``
    block to stop it at the end.
    """

    def __init__(
        self, base_url: str, settings: Settings, serving: ServerProcess | InProcessAdapter, connection: Connection
    ) -> None:
        self.base_url = base_url
        self.journal = Journal()
        self.policy = settings.policy
        self._serving = serving
        self._connection = connection
        self._lesson = settings.clock is not None
        self._clock = LessonClock(settings.clock) if settings.clock is not None else wall_clock

    @classmethod
    def start(
        cls,
        *,
        clock: datetime | str | None = None,
        seed: int | str | None = None,
        policy: str = "SPINE",
        db: str = MEMORY,
        strict: bool = False,
        faults: Iterable[str] = (),
        workers: int = 1,
    ) -> Self:
        """Start an endpoint in its own process, on a free port of loopback. It ends with this process.

        ``clock`` and ``seed`` make times and version ids the same in every run. ``clock`` is the instant of the
        first request; each further request is one second later. ``policy`` is SPINE, R4, NHS_GATEWAY, OPTIONAL,
        or UNPROTECTED, which has no lock. ``db`` is ``:memory:``, a file, or ``postgresql://…``. ``strict`` requires
        the headers of a live Spine. ``faults`` are as in ``set_faults``. Several ``workers`` share a ``db``.

        Where Python cannot start a process (Pyodide), this warns and returns an endpoint as ``in_process`` does.

        Raises ``BadInput`` for a value that cannot be used, and ``EndpointError`` if the endpoint cannot start.
        """
        if not HAS_THREADS:
            warnings.warn(_IN_THIS_PROCESS, RuntimeWarning, stacklevel=2)
            return cls.in_process(clock=clock, seed=seed, policy=policy, db=db, strict=strict, faults=faults)
        settings = _settings(clock, seed, policy, db, strict, faults)
        server = ServerProcess(settings, Serving(workers=workers))
        return cls(server.base_url, settings, server, Connection())

    @classmethod
    def in_process(
        cls,
        *,
        clock: datetime | str | None = None,
        seed: int | str | None = None,
        policy: str = "SPINE",
        db: str = MEMORY,
        strict: bool = False,
        faults: Iterable[str] = (),
    ) -> Self:
        """Return the same endpoint without a socket or a process: its clients' requests never leave Python.

        The parameters and the errors are those of ``start``.
        """
        # Imported here: an endpoint in another process does not need the application in this one.
        from workbench.endpoint.application import build_application
        from workbench.endpoint.in_process import BASE_URL, InProcessAdapter

        settings = _settings(clock, seed, policy, db, strict, faults)
        application = build_application(settings, BASE_URL)
        adapter = InProcessAdapter(application, Faults(settings.faults, seed=settings.seed))
        # No request leaves Python, so a write needs no permission.
        return cls(BASE_URL, settings, adapter, Connection(adapter=adapter, allow_writes=True))

    def client(self, name: str = "client", *, journal: Journal | None = None) -> Client:
        """Return a client of this endpoint, which writes into this endpoint's journal or the one given.

        Raises ``EndpointError`` if the endpoint no longer runs.
        """
        if not self._serving.running:
            raise EndpointError("This endpoint is no longer running; start another with Endpoint.start().")
        return Client(
            self.base_url,
            name=name,
            journal=self.journal if journal is None else journal,
            connection=self._connection,
            clock=self._clock,
            timed=not self._lesson,
            embedded=True,
        )

    def reset(self) -> None:
        """Restore the example resources at their first versions, and delete everything else.

        The journal keeps its exchanges, and the clock goes on.
        """
        self._serving.run_command("reset")

    def set_faults(self, *faults: str) -> None:
        """Switch these faults on from now on, instead of all others; without arguments, switch all off.

        A fault is written ``KIND[:INTERACTION][:share=0.3][:times=1][:seconds=0.2]``, for example
        ``drop-answer:update:times=1``. Kinds: ``latency``, ``refuse``, ``drop-request``, ``drop-answer``,
        ``slow-body``, ``cut-body``. Raises ``BadInput`` for one that cannot be read.
        """
        for fault in faults:
            Fault.read(fault)
        self._serving.run_command("faults", faults)

    def stop(self) -> None:
        """End the endpoint. What it kept in memory is lost; what it kept in a file stays."""
        self._serving.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        # Without the port, which differs from run to run: tests compare the output of notebooks.
        return f"<Endpoint: embedded Spine, policy {self.policy}>"


def _settings(
    clock: datetime | str | None, seed: int | str | None, policy: str, db: str, strict: bool, faults: Iterable[str]
) -> Settings:
    return Settings(
        policy=policy,
        clock=as_instant(clock),
        seed=None if seed is None else str(seed),
        db=db,
        strict=strict,
        faults=tuple(faults),
    )
