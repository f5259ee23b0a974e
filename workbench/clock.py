"""Clocks: callables that return an aware ``datetime``.

A ``LessonClock`` returns the same times in every run, so that the output of a notebook can be compared exactly.
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
"""The default start of a lesson clock: ten seconds after the example resources were last updated."""


def wall_clock() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


class LessonClock:
    """A clock that starts at a given time and advances by one second with each call. Thread-safe."""

    def __init__(self, start: str | datetime = LESSON_START) -> None:
        """``start``: an aware datetime, or ISO 8601 text with a time zone.

        Raises ``BadInput`` for any other start, and for one less than 366 days from the end of the calendar.
        """
        self._next = _parse_start(start)
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        """Return the time, and advance by one second."""
        with self._lock:
            now = self._next
            self._next = now + timedelta(seconds=1)
            return now


def _parse_start(start: str | datetime) -> datetime:
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
