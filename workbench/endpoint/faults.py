"""Faults switched on for lessons and for tests of clients: which there are, their syntax, and which request meets one.

The same seed and the same requests meet the same faults. ``asgi`` and ``in_process`` carry a fault out.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from workbench.endpoint.request import route
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
"""Each kind of fault, and what it does."""

INTERACTIONS: Final = ("any", "read", "update", "create", "delete", "search-type", "capabilities")

LONGEST_SECONDS: Final = 3600.0

EXAMPLE: Final = "drop-answer:update:share=0.5"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its kind, the interaction it is for, the share of requests that meet it, and how many at most."""

    kind: str
    interaction: str = "any"
    share: float = 1.0
    times: int | None = None
    seconds: float = 0.1

    @classmethod
    def read(cls, text: str) -> Fault:
        """Parse ``KIND[:INTERACTION][:share=0.3][:times=1][:seconds=0.2]``; raise ``BadInput`` for anything else.

        >>> Fault.read("drop-answer:update:times=1")
        Fault(kind='drop-answer', interaction='update', share=1.0, times=1, seconds=0.1)
        """
        kind, *rest = text.split(":")
        options = dict(part.partition("=")[::2] for part in rest if "=" in part)
        interactions = [part for part in rest if "=" not in part]
        if kind not in KINDS:
            raise BadInput(f"There is no fault {kind!r}; there are {', '.join(KINDS)}.")
        if len(interactions) > 1 or not set(interactions) <= set(INTERACTIONS):
            raise BadInput(f"The fault {text!r} names no interaction; there are {', '.join(INTERACTIONS)}.")

        unreadable = BadInput(f"The fault {text!r} cannot be read; write one like {EXAMPLE}.")
        try:
            share = float(options.pop("share", 1))
            seconds = float(options.pop("seconds", 0.1))
            times = int(options.pop("times")) if "times" in options else None
        except ValueError:
            raise unreadable from None
        if options or not 0 <= share <= 1 or not 0 <= seconds <= LONGEST_SECONDS or (times or 0) < 0:
            raise unreadable
        return cls(kind, interactions[0] if interactions else "any", share, times, seconds)


class Faults:
    """The faults that are switched on. Safe to use from any thread."""

    def __init__(self, faults: Iterable[str] = (), *, seed: str | None = None) -> None:
        self._seed = seed or ""
        self._lock = threading.Lock()
        self.switch(faults)

    def switch(self, faults: Iterable[str]) -> None:
        """Replace all faults by these, with their counts and their random numbers at the start."""
        switched = [Fault.read(text) for text in faults]
        with self._lock:
            self._left = [(fault, fault.times) for fault in switched]
            self._random = random.Random(self._seed)  # noqa: S311  # faults must be reproducible

    def next_for(self, interaction: str | None) -> Fault | None:
        """Return the first fault for this interaction that has requests left and that chance selects."""
        with self._lock:
            for index, (fault, left) in enumerate(self._left):
                if left == 0 or fault.interaction not in ("any", interaction):
                    continue
                if self._random.random() < fault.share:
                    self._left[index] = (fault, None if left is None else left - 1)
                    return fault
        return None

    def next_for_request(self, request: Request) -> Fault | None:
        """Return the fault that this request meets; it has not been routed yet."""
        return self.next_for(route(request, datetime.now(UTC)).interaction) if self._left else None
