"""Search parameters: which there are, and what their values mean (SR-1; FHIR STU3 search.html).

Owns: ``_id``, ``_lastUpdated`` with its prefixes, ``_count``, ``_sort`` and the place where a page begins.
A parameter that is not known is refused: a search that quietly leaves out a condition answers a question
nobody asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from workbench.endpoint.policy import Refusal, bad_request, quoted
from workbench.fhir.resource import LOGICAL_ID, instant

PARAMETERS: Final = {"_id": "token", "_lastUpdated": "date"}
"""The search parameters with their FHIR types; the others shape the answer."""

MOST_IDS: Final = 1000
"""Ids in one search; a client that looks for more asks twice."""

MOST_PARAMETERS: Final = 100
"""Parameters of one request; a search needs ten at most."""

QUERY_LIMIT: Final = 64 * 1024
"""Bytes of a search that is sent as a form; the head of a request, which holds any other, is no longer."""

PAGE: Final = 100
"""Entries on a page where ``_count`` does not say (W)."""

LARGEST_PAGE: Final = 1000
"""Entries on a page at most; a larger ``_count`` gives pages of this size (FHIR lets a server give fewer)."""

PAGE_BYTES: Final = 1024 * 1024
"""Bytes of the resources on a page; the one that crosses this bound is the last."""

Span = tuple[str | None, str | None]
"""From the first instant (included) to the second (excluded); ``None`` is open."""

_DATE = re.compile(
    r"(?P<prefix>eq|ge|gt|le|lt|sa|eb)?(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?P<time>T\d\d:\d\d(?::\d\d(?:\.(?P<fraction>\d{1,6}))?)?(?:Z|[+ \-]\d\d:\d\d))?)?)?",
    re.ASCII,
)
_PLACE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+ ]00:00)/([A-Za-z0-9\-.]{1,64})", re.ASCII)


@dataclass(slots=True)
class Query:
    """A search, understood. ``ids`` are those that every ``_id`` allows, ``None`` without any; ``span`` likewise.

    ``count`` is the size of a page. ``after`` is the entry before the page, ``(last updated, id)``.
    """

    ids: frozenset[str] | None = None
    span: Span = (None, None)
    count: int = PAGE
    oldest_first: bool = False
    after: tuple[str, str] | None = None


def read_query(parameters: Iterable[tuple[str, str]]) -> Query | Refusal:
    """Understand the parameters of a search, or refuse them naming the first that cannot be used."""
    query = Query()
    for name, value in parameters:
        if name == "_format":
            continue
        if name not in _READERS:
            known = ", ".join(sorted(set(_READERS) - {_PAGE_PARAMETER}))
            return bad_request(f"the search parameter {quoted(name)} is not known; there are {known}.")
        if name == "_id" and value.count(",") >= MOST_IDS:
            return bad_request(f"a search takes {MOST_IDS} ids at most; ask in parts.")
        if not _READERS[name](query, value):
            return bad_request(f"the search parameter {name} cannot have the value {quoted(value)}.")
    return query


def place(last_updated: str, logical_id: str) -> tuple[str, str]:
    """The parameter of the page that begins after this entry; it belongs to the endpoint, not to its clients."""
    return _PAGE_PARAMETER, f"{last_updated}/{logical_id}"


def _read_ids(query: Query, value: str) -> bool:
    ids = frozenset(value.split(","))
    query.ids = ids if query.ids is None else query.ids & ids
    return all(map(LOGICAL_ID.fullmatch, ids))


def _read_last_updated(query: Query, value: str) -> bool:
    span = read_span(value)
    if span is None:
        return False
    lows, highs = zip(query.span, span, strict=True)
    query.span = (
        max((low for low in lows if low is not None), default=None),
        min((high for high in highs if high is not None), default=None),
    )
    return True


def _read_count(query: Query, value: str) -> bool:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        return False
    query.count = min(int(value), LARGEST_PAGE)
    return True


def _read_sort(query: Query, value: str) -> bool:
    query.oldest_first = value == "_lastUpdated"
    return value in ("_lastUpdated", "-_lastUpdated")


def _read_place(query: Query, value: str) -> bool:
    found = _PLACE.fullmatch(value)
    # An unescaped plus sign arrives as a space.
    query.after = (found[1].replace(" ", "+"), found[2]) if found else None
    return found is not None


_PAGE_PARAMETER: Final = "_page"
_READERS: Final[Mapping[str, Callable[[Query, str], bool]]] = {
    "_id": _read_ids,
    "_lastUpdated": _read_last_updated,
    "_count": _read_count,
    "_sort": _read_sort,
    _PAGE_PARAMETER: _read_place,
}
"""Each parameter to what understands its value; false where it cannot be used."""


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
