"""Clocks: a lesson's, which goes on by a second each time it is read, and the wall's."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from workbench.clock import LESSON_START, LessonClock, wall_clock
from workbench.errors import BadInput

AT = datetime(2018, 5, 25, 16, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "start",
    ["2018-05-25T16:10:00Z", "2018-05-25T17:10:00+01:00", AT, AT.astimezone(timezone(timedelta(hours=-5)))],
    ids=str,
)
def test_a_lesson_clock(start: str | datetime) -> None:
    clock = LessonClock(start)
    assert [clock(), clock(), clock()] == [AT, AT + timedelta(seconds=1), AT + timedelta(seconds=2)]
    assert clock().tzinfo is UTC


def test_it_starts_ten_seconds_after_the_stories() -> None:
    assert (
        LessonClock()()
        == LessonClock(LESSON_START)()
        == datetime(2018, 5, 25, 16, 9, 50, tzinfo=UTC) + timedelta(seconds=10)
    )


def test_no_moment_is_given_twice() -> None:
    clock = LessonClock()
    with ThreadPoolExecutor(8) as pool:
        moments = list(pool.map(lambda _: clock(), range(800)))
    assert len(set(moments)) == 800


@pytest.mark.parametrize(
    "start",
    ["", "teatime", "2018-13-01T00:00:00Z", "2018-05-25", "2018-05-25T16:10:00", datetime(2018, 5, 25)],
    ids=str,
)
def test_a_start_that_is_none(start: str | datetime) -> None:
    with pytest.raises(BadInput) as caught:
        LessonClock(start)
    assert "2018-05-25T16:10:00Z" in str(caught.value)


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-05:00"])
def test_a_start_at_the_ends_of_the_calendar(start: str) -> None:
    """Such a clock cannot go on, or cannot be UTC."""
    with pytest.raises(BadInput):
        LessonClock(start)


def test_the_wall_clock_is_utc() -> None:
    before, now, after = datetime.now(UTC), wall_clock(), datetime.now(UTC)
    assert before <= now <= after
    assert now.tzinfo is UTC
