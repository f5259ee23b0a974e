"""Sending an update again, with the same ``If-Match``, until it is answered or enough is enough.

Owns: the policy and the loop. What may be sent again is judged by ``rules.retrying``; a client sends.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from workbench.client.retrying import Retried, is_unanswered, wait_asked
from workbench.client.unanswered import Resolution
from workbench.errors import BadInput
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import left_open
from workbench.fhir.etag import ETag

_OUT_OF_SERVICE: Final = 503


@dataclass(frozen=True, slots=True)
class Retry:
    """When an update is sent again: after no answer, or a 503 that says when to come back; never after another answer.

    ``times``: how often at most, after the first. ``pause``: seconds before the second attempt, doubled before each
    further one. ``longest_wait``: the most seconds that are waited; where ``Retry-After`` asks for more, it is not
    sent again. ``sleep`` waits; a test or a lesson hands in its own.
    """

    times: int = 3
    longest_wait: float = 30.0
    pause: float = 0.5
    sleep: Callable[[float], object] = time.sleep

    def __post_init__(self) -> None:
        if self.times < 0 or not all(0 <= seconds < math.inf for seconds in (self.pause, self.longest_wait)):
            raise BadInput("A Retry counts times and seconds from 0: Retry(times=3, longest_wait=30, pause=0.5).")

    def next_wait(self, last: Exchange, sent: int) -> float | str:
        """How many seconds to wait before sending again after ``sent`` attempts, or why not; empty: it was answered."""
        asked = wait_asked(last)
        if last.status == _OUT_OF_SERVICE and asked is None:
            return "The endpoint does not say when to come back, so it was not sent again."
        if last.status != _OUT_OF_SERVICE and not is_unanswered(last):
            return ""
        if asked is not None and asked > self.longest_wait:
            return (
                f"The endpoint asks to wait {asked:g} s, which is longer than the {self.longest_wait:g} s allowed, "
                "so it was not sent again."
            )
        if sent > self.times:
            return f"That is as often as was allowed ({self.times} more after the first)."
        return asked if asked is not None else min(self.pause * 2 ** (sent - 1), self.longest_wait)


def check_guarded(if_match: str | None) -> None:
    """Raise ``BadInput`` where no single version is named: without the lock, sending again could write twice."""
    if ETag.read(if_match) is None:
        raise BadInput(
            "An update is sent again only with an If-Match that names one version: without it, it could be written "
            "twice, over somebody else's; give if_match=, or leave retry= out."
        )


def persist(send: Callable[[], Exchange], retry: Retry, resolve: Callable[[Exchange], Resolution]) -> Exchange:
    """Send until there is an answer or ``retry`` says no more; the last exchange, with what came before it.

    Where the last attempt was refused or failed although an earlier one may have been carried out, ``resolve``
    finds out about that one: a version found stale may be one's own.
    """
    attempts = [send()]
    while not isinstance(wait := retry.next_wait(attempts[-1], len(attempts)), str):
        retry.sleep(wait)
        attempts.append(send())
    last = attempts[-1]
    first_open = next((each for each in attempts[:-1] if left_open(each)), None)
    resolution = None
    if first_open is not None and not last.ok and not left_open(last):
        resolution = resolve(first_open)
    return dataclasses.replace(last, retried=Retried(tuple(attempts), wait, resolution))
