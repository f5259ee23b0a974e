"""The embedded Spine as a notebook holds it: an endpoint, its journal, and clients by name.

The one module that knows both sides: it starts the endpoint and hands out clients of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from workbench.client.client import Client
from workbench.client.connection import Connection
from workbench.clock import LessonClock, wall_clock
from workbench.endpoint.faults import Fault, Faults
from workbench.endpoint.process import ServerProcess
from workbench.endpoint.serving import Serving
from workbench.endpoint.settings import Settings, as_instant
from workbench.errors import EndpointError
from workbench.journal.journal import Journal


class _Serving(Protocol):
    """What answers: a child process, or an application in this one."""

    @property
    def running(self) -> bool: ...

    def ask(self, command: str, arguments: Iterable[str] = ()) -> None: ...

    def stop(self) -> None: ...


class Endpoint:
    """A running embedded Spine. ``start`` gives one on a real port, ``in_process`` one without a socket.

    ``base_url`` is where it answers; ``journal`` holds what all its clients did, in order.
    """

    def __init__(self, base_url: str, settings: Settings, serving: _Serving, connection: Connection) -> None:
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
        db: str = ":memory:",
        strict: bool = False,
        faults: Iterable[str] = (),
        workers: int = 1,
    ) -> Self:
        """Start one in a process of its own, on a free port of loopback. It ends with this process.

        ``clock`` (the instant of the first request; each further one is a second later) and ``seed`` make
        times and version ids the same in every run, for lessons. ``policy``: SPINE, R4, OPTIONAL, or
        UNPROTECTED, which has no lock. ``db``: memory, a file, or ``postgresql://…``. ``strict`` demands the
        headers of a live Spine; ``faults`` are as ``set_faults`` takes them; several ``workers`` share a ``db``.
        Raises ``EndpointError`` if it cannot start.
        """
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
        db: str = ":memory:",
        strict: bool = False,
        faults: Iterable[str] = (),
    ) -> Self:
        """The same application without a socket or a process: what its clients send never leaves Python."""
        from workbench.endpoint.in_process import BASE_URL, InProcessAdapter

        settings = _settings(clock, seed, policy, db, strict, faults)
        adapter = InProcessAdapter(settings.application(BASE_URL), Faults(settings.faults, seed=settings.seed))
        # Nothing leaves Python, so writing needs nobody's yes.
        return cls(BASE_URL, settings, adapter, Connection(adapter=adapter, allow_writes=True))

    def client(self, name: str = "client", *, journal: Journal | None = None) -> Client:
        """A client of this endpoint, by that name; it writes into this endpoint's journal, or one of its own."""
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
        """Return to the stories' start: their resources at their first versions, and nothing else.

        The journal keeps what happened, the clock goes on.
        """
        self._serving.ask("reset")

    def set_faults(self, *faults: str) -> None:
        """Let these things go wrong from now on; none: everything goes well again.

        A fault is written ``KIND[:INTERACTION][:share=0.3][:times=1][:seconds=0.2]``, for example
        ``drop-answer:update:times=1``. Kinds: ``latency``, ``refuse``, ``drop-request``, ``drop-answer``,
        ``slow-body``, ``cut-body``. Raises ``BadInput`` for one that cannot be read.
        """
        for fault in faults:
            Fault.read(fault)
        self._serving.ask("faults", faults)

    def stop(self) -> None:
        """End it; what it kept in memory is gone, what it kept in a file stays."""
        self._serving.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        # Without the port, which differs from run to run: lessons compare their output.
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
