"""How fast an endpoint is asked: at most so many requests a second, over all who share the connection.

Time is handed in: a clock that only moves forward, and a way to wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from workbench.errors import BadInput


class Pace:
    """Lets one request through each ``1 / rate`` seconds; whoever comes sooner waits for their turn."""

    def __init__(
        self, rate: float, *, clock: Callable[[], float] = time.monotonic, wait: Callable[[float], object] = time.sleep
    ) -> None:
        """``rate``: requests a second, more than none. Raises ``BadInput`` for another."""
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < float("inf"):
            raise BadInput(f"The rate limit {rate!r} cannot be kept; give requests a second, such as 5 or 0.5.")
        self.rate = float(rate)
        self._clock, self._wait = clock, wait
        self._next = float("-inf")
        self._turn = threading.Lock()

    def keep(self) -> None:
        """Wait until the next request may go out. Turns go in the order of asking."""
        with self._turn:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + 1 / self.rate
        if turn > now:
            self._wait(turn - now)
