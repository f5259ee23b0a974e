"""What an endpoint is started with, and the application made of it.

The same for a server, a child process, a worker and one without a socket; plain data, so that it can be
handed to another process as a line of JSON.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from workbench.clock import Clock, LessonClock, wall_clock
from workbench.endpoint.faults import Fault
from workbench.endpoint.policy import POLICIES, Refusal, invalid_headers, other_asid
from workbench.endpoint.request import CAPABILITIES, Call
from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.endpoint.application import Application, Gate

MEMORY: Final = ":memory:"

SYNCHRONOUS: Final = ("NORMAL", "FULL")
"""How far SQLite goes before a write is acknowledged; ``docs/endpoint.md`` says what each one survives."""

ASID: Final = "999999999999"
"""The embedded Spine's own accredited-system id: what ``toASID`` must name in strict mode."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the answers.

    ``clock`` (an instant) and ``seed`` fix times and ids for lessons; ``None`` takes the wall's time and
    random ids. ``faults`` are written as ``Fault.read`` understands them.
    """

    policy: str = "SPINE"
    clock: str | None = None
    seed: str | None = None
    db: str = field(default=MEMORY, repr=False)
    synchronous: str = SYNCHRONOUS[0]
    strict: bool = False
    faults: tuple[str, ...] = ()
    reset: bool = False

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise BadInput(f"There is no policy {self.policy!r}; there are {', '.join(sorted(POLICIES))}.")
        if self.clock is not None:
            LessonClock(self.clock)
        for fault in self.faults:
            Fault.read(fault)
        try:
            (self.seed or "").encode()
        except UnicodeEncodeError:
            raise BadInput("The seed is not readable text; any word or number will do.") from None

    def application(self, base_url: str) -> Application:
        """The application with these settings, its stories stored.

        A story that a user has changed or deleted stays as it is, unless ``reset`` says otherwise.
        """
        # Not above: a notebook, and whoever only starts an endpoint, need not load what it takes to be one.
        from workbench.endpoint import examples
        from workbench.endpoint.application import Application, open_gate
        from workbench.endpoint.store import Store

        store = Store(self.db, seed=self.seed, synchronous=self.synchronous)
        for row in examples.rows():
            store.insert(*row)
        clock: Clock = LessonClock(self.clock) if self.clock is not None else wall_clock
        gate = _spine_headers() if self.strict else open_gate
        policy = POLICIES[self.policy]
        application = Application(
            store, base_url=base_url, policy=policy, clock=clock, new_id=_ids(self.seed), gate=gate
        )
        if self.reset:
            application.reset()
        return application


def _spine_headers() -> Gate:
    # Here, because reading tokens brings a cryptography library along, which only strict mode is to wait for.
    from workbench.exchange.spine import header_problems

    def gate(call: Call) -> Refusal | None:
        about = "" if call.interaction in (None, CAPABILITIES) else call.resource_type
        if problems := header_problems(call.request.headers, call.interaction, about, call.now):
            return invalid_headers(problems)
        named = call.request.headers.get("toASID")
        return None if named == ASID else other_asid(f"toASID is {named}, but this endpoint's is {ASID}.")

    return gate


def _ids(seed: str | None) -> Callable[[], str]:
    """The ids of created resources: random UUIDs, or with a seed the same ones every time."""
    if seed is None:
        return lambda: str(uuid.uuid4())
    numbers = random.Random(seed)  # noqa: S311  # the same every time is what a seed is for
    return lambda: str(uuid.UUID(int=numbers.getrandbits(128), version=4))


def as_instant(clock: str | datetime | None) -> str | None:
    """A lesson clock's start as text; raises ``BadInput`` for one that is none."""
    return None if clock is None else LessonClock(clock)().isoformat()
