"""Send an update again, with the same ``If-Match``, while no answer comes.

Sending again is safe because a server accepts one update for each version (contract UPD-13).
Sources: RFC 9110, 9.2.2 (what may be sent again) and 10.2.3 (``Retry-After``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from workbench.client.unanswered import Resolution
from workbench.errors import BadInput
from workbench.exchange.message import NO_HEADERS, Exchange, http_date
from workbench.exchange.verdict import Verdict, left_open, whose
from workbench.fhir.printable import printable

_UNANSWERED_STATUSES: Final = frozenset({408, 502, 504})
"""Statuses of a request that timed out, and of a gateway that got no answer from the endpoint behind it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When ``Client.update`` sends an update again.

    It does so where no answer came, after a 408, 502 or 504, and after a 503 with ``Retry-After``.
    Any other answer ends the attempts.

    ``times``: attempts after the first, at most. ``pause``: seconds before the second attempt,
    doubled before each further one. ``longest_wait``: the longest wait in seconds; a longer
    ``Retry-After`` ends the attempts. ``sleep`` waits; tests and lessons give their own.

    Raises ``BadInput`` for a negative or infinite value.
    """

    times: int = 3
    longest_wait: float = 30.0
    pause: float = 0.5
    sleep: Callable[[float], object] = time.sleep

    def __post_init__(self) -> None:
        seconds = (self.pause, self.longest_wait)
        if self.times < 0 or not all(0 <= each < math.inf for each in seconds):
            raise BadInput("A Retry needs times and seconds of 0 or more: Retry(times=3, longest_wait=30, pause=0.5).")

    def next_wait(self, last: Exchange, attempts: int) -> float | str:
        """Return the seconds to wait after ``last``, the newest of so many ``attempts``, or why to stop.

        The reason is empty where the endpoint answered.
        """
        asked = retry_after(last)
        if last.status == 503 and asked is None:
            return "The 503 has no Retry-After, so the update was not sent again."
        if last.status != 503 and not is_unanswered(last):
            return ""
        if asked is not None and asked > self.longest_wait:
            return (
                f"The endpoint asks to wait {asked:g} s. That is longer than longest_wait "
                f"({self.longest_wait:g} s), so the update was not sent again."
            )
        if attempts > self.times:
            return f"The update was sent again {self.times} times, as often as allowed."
        return min(self.pause * 2 ** (attempts - 1), self.longest_wait) if asked is None else asked


@dataclass(frozen=True, slots=True, repr=False)
class Retried:
    """The result of an update with ``retry=``.

    ``attempts``: all its exchanges, in order. ``stopped``: why it was not sent once more; empty
    where the endpoint answered. ``resolution``: what became of the first attempt without an
    answer, where the last attempt was refused or failed. In this case the version that the
    endpoint calls stale may have been replaced by this update itself.
    """

    attempts: tuple[Exchange, ...]
    stopped: str = ""
    resolution: Resolution | None = None

    @property
    def exchange(self) -> Exchange:
        """The last attempt."""
        return self.attempts[-1]

    @property
    def verdict(self) -> Verdict:
        """The verdict of the last attempt."""
        return self.exchange.verdict

    def explain(self) -> str:
        """Return one paragraph: what became of an earlier attempt, then the last attempt."""
        last, count = self.exchange, len(self.attempts)
        sentences = []
        if self.resolution:
            outcome, because = self.resolution.outcome.value, self.resolution.because
            sentences.append(f"An earlier attempt had no answer. Outcome: {outcome}, because {because}")
        if self.resolution and self.resolution.landed:
            # The last exchange would only say that the version is stale.
            ended = f"was answered {last.status}" if last.response else "was not sent"
            sentences.append(f"So {whose(last.client)} update of {last.target} is done; the last attempt {ended}.")
        else:
            sentences.append(last.explain())
        if count > 1:
            sentences.append(f"The update was sent {count} times with the same If-Match.")
        if self.stopped:
            sentences.append(self.stopped)
        return printable(" ".join(sentences))

    def __repr__(self) -> str:
        earlier = f", earlier attempt: {self.resolution.outcome.value}" if self.resolution else ""
        times = f"{len(self.attempts)} attempt{'s' if len(self.attempts) > 1 else ''}"
        return printable(f"<Retried: {times}, last {self.exchange!r}{earlier}>", one_line=True)


def send_until_answered(
    send: Callable[[], Exchange], retry: Retry, resolve: Callable[[Exchange], Resolution]
) -> Retried:
    """Call ``send`` until the endpoint answers or ``retry`` ends the attempts.

    Where the last attempt was refused or failed, ``resolve`` finds out what became of the first
    attempt without an answer.
    """
    attempts = [send()]
    while not isinstance(wait := retry.next_wait(attempts[-1], len(attempts)), str):
        retry.sleep(wait)
        attempts.append(send())

    last = attempts[-1]
    resolution = None
    if not last.ok and not left_open(last):
        first_open = next((each for each in attempts if left_open(each)), None)
        resolution = resolve(first_open) if first_open else None
    return Retried(tuple(attempts), wait, resolution)


def is_unanswered(exchange: Exchange) -> bool:
    """Return whether the endpoint gave no answer: not sent, lost, a 408, or a gateway's 502 or 504."""
    return exchange.response is None or exchange.status in _UNANSWERED_STATUSES


def retry_after(exchange: Exchange) -> float | None:
    """Return the seconds that ``Retry-After`` asks for; ``None`` where it is absent or unreadable.

    A date is compared with the answer's own ``Date``, so the two clocks need not agree.
    """
    headers = exchange.response.headers if exchange.response else NO_HEADERS
    value = (headers.get("Retry-After") or "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    until = http_date(value)
    now = http_date(headers.get("Date")) or exchange.sent_at
    return None if until is None else max(0.0, (until - now).total_seconds())
