"""What can go wrong on the way, on purpose: for lessons, and for the tests of clients.

Owns: which faults there are, how one is written, and when it strikes: the same requests meet the same
faults in every run. What a fault does to a connection is the transport's (``asgi``, ``in_process``).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from workbench.endpoint.request import taken_apart
from workbench.errors import BadInput
from workbench.exchange.message import Request

KINDS: Final = {
    "latency": "the answer comes late, by SECONDS",
    "refuse": "503 with Retry-After; nothing is done",
    "drop-request": "the connection ends before anything is done",
    "drop-answer": "it is done, and then the connection ends without an answer",
    "slow-body": "the answer's body comes in pieces, over SECONDS",
    "cut-body": "the connection ends in the middle of the answer's body",
}
"""Each fault, and what happens then."""

INTERACTIONS: Final = ("any", "read", "update", "create", "delete", "search-type", "capabilities")

LONGEST_SECONDS: Final = 3600.0

EXAMPLE: Final = "drop-answer:update:share=0.5"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what happens, to which interaction, to what share of them, how often at most."""

    kind: str
    interaction: str = "any"
    share: float = 1.0
    times: int | None = None
    seconds: float = 0.1

    @classmethod
    def read(cls, text: str) -> Fault:
        """Read ``KIND[:INTERACTION][:share=0.3][:times=1][:seconds=0.2]``; raises ``BadInput`` for another.

        >>> Fault.read("drop-answer:update:times=1")
        Fault(kind='drop-answer', interaction='update', share=1.0, times=1, seconds=0.1)
        """
        kind, *rest = text.split(":")
        options = dict(part.partition("=")[::2] for part in rest if "=" in part)
        named = [part for part in rest if "=" not in part]
        if kind not in KINDS:
            raise BadInput(f"There is no fault {kind!r}; there are {', '.join(KINDS)}.")
        if len(named) > 1 or not set(named) <= set(INTERACTIONS):
            raise BadInput(f"The fault {text!r} strikes no interaction; there are {', '.join(INTERACTIONS)}.")
        try:
            share, seconds = float(options.pop("share", 1)), float(options.pop("seconds", 0.1))
            times = int(options.pop("times")) if "times" in options else None
        except ValueError:
            options = {"not a number": text}
        if options or not (0 <= share <= 1 and 0 <= seconds <= LONGEST_SECONDS) or (times or 0) < 0:
            raise BadInput(f"The fault {text!r} cannot be read; write one like {EXAMPLE}.")
        return cls(kind, named[0] if named else "any", share=share, times=times, seconds=seconds)


class Faults:
    """The faults that are switched on, and which of them strikes next. Safe from any thread."""

    def __init__(self, faults: Iterable[str] = (), *, seed: str | None = None) -> None:
        self._seed = seed or ""
        self._turn = threading.Lock()
        self.switch(faults)

    def switch(self, faults: Iterable[str]) -> None:
        """Have these faults from now on, and no others; they start from the beginning."""
        switched = [Fault.read(text) for text in faults]
        with self._turn:
            self._left = [(fault, fault.times) for fault in switched]
            self._chance = random.Random(self._seed)  # noqa: S311  # the same every time is what a seed is for

    def strike(self, interaction: str | None) -> Fault | None:
        """The fault that this interaction meets: the first that is about it and whose turn it is."""
        with self._turn:
            for index, (fault, left) in enumerate(self._left):
                if left == 0 or fault.interaction not in ("any", interaction):
                    continue
                if self._chance.random() < fault.share:
                    self._left[index] = (fault, None if left is None else left - 1)
                    return fault
        return None

    def strike_on(self, request: Request) -> Fault | None:
        """The same for a request that nobody has looked at yet."""
        return self.strike(taken_apart(request, datetime.now(UTC)).interaction) if self._left else None
