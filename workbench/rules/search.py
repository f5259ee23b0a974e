"""Search parameters: which there are, and what their values mean (SR-1; FHIR STU3 search.html).

Owns: ``_id``, ``_lastUpdated`` with its prefixes, and ``_count``. A parameter that is not known is
refused: a search that quietly leaves out a condition answers a question nobody asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from workbench.rules.resource import LOGICAL_ID, instant
from workbench.rules.update import Refusal, bad_request, quoted

PARAMETERS: Final = {"_id": "token", "_lastUpdated": "date"}
"""The search parameters with their FHIR types; ``_count`` and ``_format`` shape the answer."""

MOST_IDS: Final = 1000
"""Ids in one ``_id`` parameter; a client that looks for more asks twice."""

Span = tuple[str | None, str | None]
"""From the first instant (included) to the second (excluded); ``None`` is open."""

_DATE = re.compile(
    r"(?P<prefix>eq|ge|gt|le|lt|sa|eb)?(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?P<time>T\d\d:\d\d(?::\d\d(?:\.(?P<fraction>\d{1,6}))?)?(?:Z|[+ \-]\d\d:\d\d))?)?)?",
    re.ASCII,
)


@dataclass(slots=True)
class Query:
    """A search, understood: each set of ids and each span must hold; ``count`` limits what comes back."""

    ids: list[frozenset[str]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    count: int | None = None


def read_query(parameters: Iterable[tuple[str, str]]) -> Query | Refusal:
    """Understand the parameters of a search, or refuse them naming the first that cannot be used."""
    query = Query()
    for name, value in parameters:
        if name == "_id" and (ids := _ids(value)):
            query.ids.append(ids)
        elif name == "_lastUpdated" and (span := read_span(value)) is not None:
            query.spans.append(span)
        elif name == "_count" and re.fullmatch(r"[0-9]{1,9}", value):
            query.count = int(value)
        elif name in ("_id", "_lastUpdated", "_count"):
            return bad_request(f"the search parameter {name} cannot have the value {quoted(value)}.")
        elif name != "_format":
            return bad_request(
                f"the search parameter {quoted(name)} is not known; there are _id, _lastUpdated and _count."
            )
    return query


def _ids(value: str) -> frozenset[str]:
    """The ids a value names; none at all where one of them is no id, or there are too many."""
    ids = frozenset(value.split(",", MOST_IDS))
    return ids if all(map(LOGICAL_ID.fullmatch, ids)) else frozenset()


def read_span(text: str) -> Span | None:
    """The stretch of time a ``_lastUpdated`` value allows; ``None`` if it is not one. A date is a day in UTC (W).

    >>> read_span("2018-05-25")
    ('2018-05-25T00:00:00.000+00:00', '2018-05-26T00:00:00.000+00:00')
    >>> read_span("ge2018")
    ('2018-01-01T00:00:00.000+00:00', None)
    """
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    try:
        low, high = (None if moment is None else instant(moment) for moment in _ends(found))
    except (ValueError, OverflowError):
        return None
    if high is None and found["prefix"] in ("gt", "sa"):
        return (low, low)  # nothing comes after the calendar
    by_prefix: dict[str, Span] = {"ge": (low, None), "gt": (high, None), "le": (None, high), "lt": (None, low)}
    by_prefix |= {"sa": (high, None), "eb": (None, low)}
    return by_prefix.get(found["prefix"] or "eq", (low, high))


def _ends(found: re.Match[str]) -> tuple[datetime, datetime | None]:
    """The first instant of the period written, and the first after it; ``None`` where the calendar ends."""
    start, step = _start(found)
    try:
        return start, step(start)
    except (ValueError, OverflowError):
        return start, None


def _start(found: re.Match[str]) -> tuple[datetime, Callable[[datetime], datetime]]:
    """The first instant of the period, and how to step to the next one, as precise as it was written."""
    if found["time"]:
        # An unescaped plus sign arrives as a space.
        text = found[0].removeprefix(found["prefix"] or "").replace(" ", "+")
        seconds = found["time"].count(":") > (1 if text.endswith("Z") else 2)
        step = (
            timedelta(milliseconds=1)
            if found["fraction"]
            else timedelta(seconds=1)
            if seconds
            else timedelta(minutes=1)
        )
        return datetime.fromisoformat(text), lambda start: start + step
    year, month, day = int(found["year"]), int(found["month"] or 1), int(found["day"] or 1)
    first = datetime(year, month, day, tzinfo=UTC)
    if found["day"]:
        return first, lambda start: start + timedelta(days=1)
    if found["month"]:
        return first, lambda start: start.replace(year=year + month // 12, month=month % 12 + 1)
    return first, lambda start: start.replace(year=year + 1)
