"""Time, as an argument: what the wall says, or what a lesson needs it to say.

A clock is any callable that gives an aware ``datetime``. A ``LessonClock`` gives the same times in every
run, so that a notebook's output can be compared to the letter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from workbench.errors import BadInput

Clock = Callable[[], datetime]

_LONGEST_LESSON: Final = timedelta(days=366)

LESSON_START: Final = "2018-05-25T16:10:00Z"
"""Ten seconds after the stories' resources were last updated."""


def wall_clock() -> datetime:
    """The present time, in UTC."""
    return datetime.now(UTC)


class LessonClock:
    """A clock that starts where it is told and goes on by one second each time it is read."""

    def __init__(self, start: str | datetime = LESSON_START) -> None:
        """``start``: an aware datetime, or an ISO 8601 text with a time zone. Raises ``BadInput`` for another."""
        self._next = _aware(start)
        self._turn = threading.Lock()

    def __call__(self) -> datetime:
        """The time now, which is then over."""
        with self._turn:
            now = self._next
            self._next = now + timedelta(seconds=1)
            return now


def _aware(start: str | datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(start) if isinstance(start, str) else start
    except ValueError:
        raise BadInput(f"The clock cannot start at {start!r}; give a time such as {LESSON_START}.") from None
    if moment.tzinfo is None:
        raise BadInput(f"The clock's start {start!s} has no time zone; write it like {LESSON_START}.")
    try:
        moment.astimezone(UTC) + _LONGEST_LESSON
        return moment.astimezone(UTC)
    except OverflowError:
        raise BadInput(f"The clock cannot go on from {start!s}; give a time such as {LESSON_START}.") from None
