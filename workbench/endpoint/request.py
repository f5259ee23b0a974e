"""What a request asks for: routing, ``Prefer``, formats, and search parameters. Pure: it reads headers and URLs only.

``route`` turns a request into a ``RoutedRequest`` and never fails. A search refuses an unknown parameter, because a
search that silently drops a condition returns resources that the client did not ask for (SR-1).
"""

from __future__ import annotations

import calendar
import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final
from urllib.parse import parse_qsl, unquote

from workbench.endpoint import search
from workbench.endpoint.policy import BAD_REQUEST, MEDIA_TYPES, TOO_LONG, media_type, unpack
from workbench.exchange.message import Request
from workbench.fhir.printable import quoted
from workbench.fhir.resource import LOGICAL_ID, instant

# --- routing ---

BASE_PATH: Final = "/STU3"

TYPES: Final = ("Condition", "Consent", "Flag", "List", "Subscription")
"""The resource types that the endpoint serves; the CapabilityStatement lists the same (CAP-1)."""

CAPABILITIES: Final = "capabilities"
SEARCH: Final = "search-type"

_INTERACTIONS: Final[Mapping[tuple[str, int], str]] = {
    ("GET", 1): SEARCH,
    ("POST", 1): "create",
    ("GET", 2): "read",
    ("PUT", 2): "update",
    ("DELETE", 2): "delete",
}
"""The interaction for each method and number of path segments below the base."""

MOST_PARAMETERS: Final = 100
"""Parameters of one request; a search needs at most ten."""

QUERY_LIMIT: Final = 64 * 1024
"""Bytes of a search sent as a form: the limit that a query string in a request's head has too."""


@dataclass(frozen=True)
class RoutedRequest:
    """A request with its interaction and path, and the one instant at which it is handled.

    ``interaction`` is ``None`` if the CapabilityStatement does not list it. ``segments`` are the unescaped path
    segments below the base; ``None`` if the path is elsewhere.
    """

    request: Request
    now: datetime
    segments: tuple[str, ...] | None
    interaction: str | None

    def header(self, name: str) -> str | None:
        """Return the value of a header field."""
        return self.request.headers.get(name)

    @property
    def resource_type(self) -> str:
        """The type in the URL; empty if there is none."""
        return self.segments[0] if self.segments else ""

    @property
    def logical_id(self) -> str:
        """The id in the URL; empty if there is none."""
        return self.segments[1] if self.segments and len(self.segments) > 1 else ""

    @property
    def name(self) -> str:
        """The path below the base: ``List`` or ``List/744e…``."""
        return "/".join(self.segments or ())

    @cached_property
    def parameters(self) -> Sequence[tuple[str, str]]:
        """The parameters of the URL, and of a search sent as a form; refuses them if they are too many or too long."""
        form = b""
        if self.interaction == SEARCH and self.request.method == "POST" and is_form(self.request):
            form = unpack(self.request.body, self.header("Content-Encoding"))
        if len(form) > QUERY_LIMIT:
            raise TOO_LONG.because(f"a search is at most {QUERY_LIMIT} bytes long.")
        texts = (self.request.url.partition("?")[2], form.decode("latin-1"))
        try:
            return [
                parameter
                for text in texts
                for parameter in parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
            ]
        except ValueError:
            raise BAD_REQUEST.because(f"a request has at most {MOST_PARAMETERS} parameters.") from None


def route(request: Request, now: datetime) -> RoutedRequest:
    """Return the request with its interaction and path; never raises."""
    path = request.url.partition("?")[0]
    if path != BASE_PATH and not path.startswith(f"{BASE_PATH}/"):
        return RoutedRequest(request, now, None, None)
    segments = tuple(map(unquote, path.removeprefix(BASE_PATH).removesuffix("/").split("/")[1:]))
    method = "GET" if request.method == "HEAD" else request.method
    return RoutedRequest(request, now, segments, _interaction(method, segments))


def _interaction(method: str, segments: tuple[str, ...]) -> str | None:
    if (method, segments) in (("GET", ("metadata",)), ("OPTIONS", ())):
        return CAPABILITIES
    if not segments or segments[0] not in TYPES:
        return None
    if (method, segments[1:]) == ("POST", ("_search",)):
        return SEARCH
    is_operation = len(segments) == 2 and segments[1][:1] in ("_", "$")  # such as _history
    return None if is_operation else _INTERACTIONS.get((method, len(segments)))


def allowed_methods(request: RoutedRequest) -> str:
    """Return the ``Allow`` of a 405: the methods that the CapabilityStatement offers at this path.

    >>> allowed_methods(route(Request("PUT", "/STU3/List/1"), datetime(2018, 5, 25)))
    'GET, HEAD, PUT, DELETE'
    """
    size = len(request.segments or ())
    methods = [method for method, length in _INTERACTIONS if length == size]
    return ", ".join(methods).replace("GET", "GET, HEAD")


def is_form(request: Request) -> bool:
    """Whether the body is a form, as ``POST Type/_search`` requires."""
    return media_type(request.headers.get("Content-Type")) == "application/x-www-form-urlencoded"


# --- what the client prefers ---

WRITTEN: Final = "application/fhir+json;charset=utf-8"
"""The only media type of a response body."""

_FORMAT_CODES: Final = MEDIA_TYPES | {"json"}
_ACCEPTED: Final = MEDIA_TYPES | {"*/*", "application/*"}
_RETURN: Final = re.compile(r'return\s*=\s*"?([A-Za-z]+)"?', re.IGNORECASE)
_QUALITY: Final = re.compile(r";\s*q=([01](?:\.\d{0,3})?)\s*(?:;|$)", re.IGNORECASE)


class Return(enum.Enum):
    """The responses to an accepted write that ``Prefer`` can ask for (PRF-1, PRF-2, PRF-3)."""

    MINIMAL = "minimal"
    REPRESENTATION = "representation"
    OPERATION_OUTCOME = "OperationOutcome"


def preferred_return(prefer: str | None) -> Return:
    """Return what ``Prefer`` asks for (RFC 7240); an unknown value counts as ``return=minimal`` (PRF-4).

    >>> preferred_return("respond-async, return=representation; x=1")
    <Return.REPRESENTATION: 'representation'>
    >>> preferred_return("return=everything"), preferred_return(None)
    (<Return.MINIMAL: 'minimal'>, <Return.MINIMAL: 'minimal'>)
    """
    for preference in (prefer or "").split(","):
        if found := _RETURN.fullmatch(preference.partition(";")[0].strip()):
            return next((choice for choice in Return if choice.value == found[1]), Return.MINIMAL)
    return Return.MINIMAL


def unacceptable(format_parameter: str | None, accept: str | None, content_type: str | None) -> str | None:
    """Return the format asked for if it is not JSON (406), else ``None``.

    ``_format`` overrides ``Accept``; with neither, the request's ``Content-Type`` decides; with none of the
    three it is JSON (FMT-2).
    """
    if format_parameter is not None:
        # In a query string a plus sign reads as a space, and few clients escape it.
        wanted = media_type(format_parameter.replace(" ", "+"))
        return None if wanted in _FORMAT_CODES else f"_format={format_parameter}"
    if accept is not None:
        accepts_json = any(_quality(part) > 0 and media_type(part) in _ACCEPTED for part in accept.split(","))
        return None if accepts_json else f"Accept: {accept}"
    if content_type is not None and media_type(content_type) not in MEDIA_TYPES:
        return f"Content-Type: {content_type}"
    return None


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether ``Accept-Encoding`` allows gzip (FMT-3; RFC 9110, 12.5.3).

    >>> accepts_gzip("gzip, deflate"), accepts_gzip("gzip;q=0"), accepts_gzip(None)
    (True, False, False)
    """
    codings = (accept_encoding or "").split(",")
    return any(media_type(part) == "gzip" and _quality(part) > 0 for part in codings)


def _quality(part: str) -> float:
    found = _QUALITY.search(part)
    return float(found[1]) if found else 1.0


# --- search parameters ---


def search_parameters(resource_type: str) -> dict[str, str]:
    """Return the search parameters of a type with their FHIR types; ``_count`` and ``_sort`` shape the result only."""
    by_content = {name: parameter.kind for name, parameter in search.PARAMETERS[resource_type].items()}
    return {"_id": "token", "_lastUpdated": "date", **by_content}


MOST_IDS: Final = 1000
"""Ids in one ``_id``."""

PAGE: Final = 100
"""Entries on a page without ``_count`` (W)."""

LARGEST_PAGE: Final = 1000
"""Most entries on a page. A larger ``_count`` gives pages of this size, as FHIR allows."""

PAGE_BYTES: Final = 1024 * 1024
"""Bytes of the resources on a page; the resource that crosses this limit is the last."""

Span = tuple[str | None, str | None]
"""From the first instant (included) to the second (excluded); ``None`` is open."""

_PAGE_PARAMETER: Final = "_page"
_DATE: Final = re.compile(
    r"(?P<prefix>eq|ge|gt|le|lt|sa|eb)?(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?P<time>T\d\d:\d\d(?P<seconds>:\d\d(?:\.(?P<fraction>\d{1,6}))?)?(?:Z|[+ \-]\d\d:\d\d))?)?)?",
    re.ASCII,
)
_PAGE_START: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+ ]00:00)/([A-Za-z0-9\-.]{1,64})", re.ASCII)


@dataclass(slots=True)
class Query:
    """A parsed search.

    ``ids`` are the ids that every ``_id`` allows, ``None`` without any; ``span`` likewise. A resource matches all
    ``criteria``. ``count`` is the page size. ``after`` is the last entry of the page before: ``(last updated, id)``.
    """

    ids: frozenset[str] | None = None
    span: Span = (None, None)
    criteria: tuple[search.Criterion, ...] = ()
    count: int = PAGE
    oldest_first: bool = False
    after: tuple[str, str] | None = None


def read_query(parameters: Iterable[tuple[str, str]], resource_type: str, base_url: str) -> Query:
    """Parse the parameters of a search, or refuse the first one that cannot be used.

    An absolute reference below ``base_url`` is to a resource of this endpoint.
    """
    query = Query()
    by_content = search.PARAMETERS[resource_type]
    for name, value in parameters:
        if name == "_format":
            continue
        if name not in _READERS and name not in by_content:
            known = ", ".join(sorted({*_READERS, *by_content} - {_PAGE_PARAMETER}))
            raise BAD_REQUEST.because(f"the search parameter {quoted(name)} is not known; there are {known}.")
        if name == "_id" and value.count(",") >= MOST_IDS:
            raise BAD_REQUEST.because(f"a search takes {MOST_IDS} ids at most; ask in parts.")
        if name in by_content:
            criterion = search.read_criterion(name, by_content[name], value, base_url)
            is_usable = criterion is not None
            if criterion is not None:
                query.criteria = (*query.criteria, criterion)
        else:
            is_usable = _READERS[name](query, value)
        if not is_usable:
            raise BAD_REQUEST.because(f"the search parameter {name} cannot have the value {quoted(value)}.")
    if sum(len(criterion.values) for criterion in query.criteria) > search.MOST_VALUES:
        names = ", ".join(by_content)
        raise BAD_REQUEST.because(f"a search takes {search.MOST_VALUES} values of {names} at most; ask in parts.")
    return query


def next_page(parameters: Sequence[tuple[str, str]], last_updated: str, logical_id: str) -> list[tuple[str, str]]:
    """Return the parameters of the page that begins after this entry."""
    kept = [(name, value) for name, value in parameters if name != _PAGE_PARAMETER]
    return [*kept, (_PAGE_PARAMETER, f"{last_updated}/{logical_id}")]


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


def _read_page(query: Query, value: str) -> bool:
    found = _PAGE_START.fullmatch(value)
    # An unescaped plus sign arrives as a space.
    query.after = (found[1].replace(" ", "+"), found[2]) if found else None
    return found is not None


_READERS: Final[Mapping[str, Callable[[Query, str], bool]]] = {
    "_id": _read_ids,
    "_lastUpdated": _read_last_updated,
    "_count": _read_count,
    "_sort": _read_sort,
    _PAGE_PARAMETER: _read_page,
}
"""The reader of each parameter; it returns whether the value can be used."""


def read_span(text: str) -> Span | None:
    """Return the period that a ``_lastUpdated`` value allows; ``None`` if it is not a date. A date is in UTC (W).

    >>> read_span("2018-05-25")
    ('2018-05-25T00:00:00.000+00:00', '2018-05-26T00:00:00.000+00:00')
    >>> read_span("ge2018")
    ('2018-01-01T00:00:00.000+00:00', None)
    """
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    try:
        low, high = (None if moment is None else instant(moment) for moment in _period(found))
    except (ValueError, OverflowError):
        return None
    prefix = found["prefix"] or "eq"
    if high is None and prefix in ("gt", "sa"):
        return (low, low)  # nothing can be later than the calendar's last day
    spans: dict[str, Span] = {
        "eq": (low, high),
        "ge": (low, None),
        "gt": (high, None),
        "sa": (high, None),
        "le": (None, high),
        "lt": (None, low),
        "eb": (None, low),
    }
    return spans[prefix]


def _period(found: re.Match[str]) -> tuple[datetime, datetime | None]:
    """Return the first instant of the period written, and the first after it; ``None`` where the calendar ends."""
    if found["time"]:
        # An unescaped plus sign arrives as a space.
        start = datetime.fromisoformat(found[0].removeprefix(found["prefix"] or "").replace(" ", "+"))
        unit = "milliseconds" if found["fraction"] else "seconds" if found["seconds"] else "minutes"
        step = timedelta(**{unit: 1})
    else:
        year, month, day = int(found["year"]), int(found["month"] or 1), int(found["day"] or 1)
        start = datetime(year, month, day, tzinfo=UTC)
        days_of_month = calendar.monthrange(year, month)[1]
        step = timedelta(1 if found["day"] else days_of_month if found["month"] else 365 + calendar.isleap(year))
    try:
        return start, start + step
    except OverflowError:
        return start, None
