"""A request, its response, and both as an exchange: plain frozen records (RFC 9110, sections 5 and 6).

The client and the endpoint use the same records. The functions ``check_…`` define what a message may contain. The
client checks what it sends by them. The journal and a recording check what they load.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

from workbench.errors import BadInput, MalformedJSON, WorkbenchError
from workbench.exchange import text as wire
from workbench.exchange.verdict import DONE, E_TAG, Verdict, explain, judge
from workbench.fhir import json, outcome
from workbench.fhir.etag import ETag
from workbench.fhir.outcome import OperationOutcome
from workbench.fhir.printable import printable


class Headers:
    """Header fields in the order sent; immutable. Names are found in any case (RFC 9110, 5.1).

    Stored as one flat tuple to save memory, because a journal holds several for each exchange.
    """

    __slots__ = ("_flat",)

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        self._flat: tuple[str, ...] = tuple(part for pair in pairs for part in pair)

    def items(self) -> Iterator[tuple[str, str]]:
        """Return the fields in order, each as ``(name, value)``."""
        return zip(self._flat[::2], self._flat[1::2], strict=True)

    def get(self, name: str) -> str | None:
        """Return the field's value, or ``None``. Fields of the same name are joined by a comma (RFC 9110, 5.3)."""
        flat = self._flat
        places = _value_places(flat[::2]).get(name.lower())
        if places is None:
            return None
        return flat[places[0]] if len(places) == 1 else ", ".join([flat[place] for place in places])

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __len__(self) -> int:
        return len(self._flat) // 2

    def __eq__(self, other: object) -> bool:
        return self._flat == other._flat if isinstance(other, Headers) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._flat)

    def __repr__(self) -> str:
        return f"Headers({dict(self.items())!r})"


@lru_cache(maxsize=256)
def _value_places(names: tuple[str, ...]) -> dict[str, list[int]]:
    """Return where in the flat tuple of ``Headers`` the values of each name are, by the name in lower case.

    Cached, because most messages have the same names in the same order.
    """
    places: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        places.setdefault(name.lower(), []).append(2 * index + 1)
    return places


NO_HEADERS: Final = Headers()


class Digest(NamedTuple):
    """The size in bytes and the SHA-256 (hexadecimal) of a body that is no longer stored."""

    size: int
    sha256: str

    def __str__(self) -> str:
        return f"a body of {self.size:,} bytes that is no longer kept; SHA-256 {self.sha256}"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was sent, with its credentials replaced.

    ``body`` is empty if there is none, or if it is no longer stored; then ``dropped`` is its digest.
    """

    method: str
    url: str
    headers: Headers = NO_HEADERS
    body: bytes = b""
    dropped: Digest | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """A response as it came, with its content coding decoded; ``body`` and ``dropped`` as in a request."""

    status: int
    headers: Headers = NO_HEADERS
    body: bytes = b""
    dropped: Digest | None = None


_Message = TypeVar("_Message", Request, Response)


def size_of(message: Request | Response) -> int:
    """Return the number of bytes that the body has, or had before it was dropped."""
    return message.dropped.size if message.dropped else len(message.body)


def without_body(message: _Message) -> _Message:
    """Return the message with the digest of its body in place of the body."""
    if not message.body:
        return message
    return replace(message, body=b"", dropped=Digest(len(message.body), hashlib.sha256(message.body).hexdigest()))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with its response, or with the reason why there is none.

    ``elapsed`` is in seconds; ``None`` where a lesson clock replaces the real one. ``failure`` is one sentence
    if the response is missing or incomplete. ``sent`` is false if the request cannot have reached the endpoint.
    """

    client: str
    interaction: str
    resource_type: str
    logical_id: str
    request: Request
    response: Response | None
    sent_at: datetime
    elapsed: float | None = None
    failure: str = ""
    sent: bool = True
    verdict: Verdict = field(init=False, compare=False)
    """What the request did, computed once from what was sent and what came back."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "verdict", judge(self))

    @property
    def status(self) -> int | None:
        """The status code; ``None`` if no answer came."""
        return self.response.status if self.response else None

    @property
    def etag(self) -> ETag | None:
        """The ETag of the response; ``None`` if there is none, or if it is not an entity tag.

        NHS Immunisation names its version in ``E-Tag: 2`` instead.
        """
        if self.response is None:
            return None
        return ETag.read(self.response.headers.get("ETag")) or ETag.read_bare(self.response.headers.get(E_TAG))

    @property
    def if_match(self) -> str | None:
        """The value of ``If-Match``, or of ``E-Tag``, as it was sent; ``None`` if there was neither."""
        value = self.request.headers.get("If-Match")
        return value if value is not None else self.request.headers.get(E_TAG)

    @property
    def resource(self) -> Any:
        """The body of the response as plain JSON with exact decimals. Each access parses it anew, so you can edit it.

        ``None`` if there is no body, if it is no longer stored, or if it is not JSON.
        """
        if self.response is None or not self.response.body:
            return None
        try:
            return json.parse(self.response.body)
        except MalformedJSON:
            return None

    @property
    def outcome(self) -> OperationOutcome | None:
        """The OperationOutcome in the response, in JSON or XML; ``None`` if there is none."""
        if self.response is None or not self.response.body:
            return None
        body = self.response.body
        return _read_outcome(body) if len(body) <= _CACHED_BODY else _read_outcome.__wrapped__(body)

    @property
    def is_whole(self) -> bool:
        """Whether its bodies are still stored. A journal over its budget of bytes stores only their digests."""
        return not (self.request.dropped or (self.response and self.response.dropped))

    def without_bodies(self) -> Exchange:
        """Return the exchange with digests in place of its bodies, and with the same verdict."""
        response = without_body(self.response) if self.response else None
        return replace(self, request=without_body(self.request), response=response).judged(self.verdict)

    def judged(self, verdict: Verdict) -> Exchange:
        """Replace the verdict by the one computed while the bodies were stored; return this exchange."""
        object.__setattr__(self, "verdict", verdict)
        return self

    @property
    def ok(self) -> bool:
        """Whether the request did what it asked for: its verdict is read, not modified, created, updated or deleted."""
        return self.verdict in DONE

    def explain(self) -> str:
        """Return one paragraph: the request, what happened, and what to do next."""
        return explain(self)

    def as_http(self, *, base: str = "", indent: int | None = None) -> str:
        """Return the request and the response as HTTP/1.1 messages, with credentials replaced.

        ``base``: a base URL that is shortened to ``[base]``. ``indent``: spaces a level in JSON bodies.
        """
        return wire.as_http(self, base=base, indent=indent)

    def as_curl(self) -> str:
        """Return a curl command that sends the same request, with a placeholder for each credential."""
        return wire.as_curl(self)

    def raise_for_verdict(self, *wanted: Verdict) -> Exchange:
        """Return this exchange if its verdict is one of ``wanted``; by default, if ``ok``.

        Raises ``UnwantedVerdict`` otherwise, with ``explain()`` as its message.
        """
        if self.verdict in (wanted or DONE):
            return self
        raise UnwantedVerdict(self)

    def _repr_html_(self) -> str:
        return wire.as_html(self)

    def __repr__(self) -> str:
        answer = self.status if self.status is not None else "no answer"
        text = f"<{self.client}: {self.interaction} {self.target} → {answer} {self.verdict.value}>"
        return printable(text, one_line=True)

    @property
    def target(self) -> str:
        """The relative reference of the resource, such as ``List/744e…``; the type alone if there is no id."""
        if self.resource_type and self.logical_id:
            return f"{self.resource_type}/{self.logical_id}"
        return self.resource_type or self.logical_id or "(the endpoint)"


_CACHED_BODY: Final = 16 * 1024
"""The largest body in bytes whose OperationOutcome is cached, so that the cache stays small."""


@lru_cache(maxsize=256)
def _read_outcome(body: bytes) -> OperationOutcome | None:
    """Read the OperationOutcome in a body. Cached, because the verdict, the journal and a client read the same one."""
    try:
        found = outcome.read(json.parse(body))
    except MalformedJSON:
        found = None
    return found or outcome.read_xml(body)


def kept_bytes(exchange: Exchange) -> int:
    """Return the size in bytes of the bodies that are still stored."""
    return len(exchange.request.body) + (len(exchange.response.body) if exchange.response else 0)


class UnwantedVerdict(WorkbenchError):
    """The verdict of ``exchange`` is none of those that its caller wanted."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange.explain())
        self.exchange = exchange


def check_method(method: object) -> None:
    """Raise ``BadInput`` unless this is 1 to 40 capital letters, as in ``PUT``."""
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        raise BadInput(f"This request cannot be sent: {method!r} is not an HTTP method.")


def check_url(url: object) -> None:
    """Raise ``BadInput`` unless this is an absolute HTTP URL of printable ASCII. The message does not quote it."""
    if not isinstance(url, str) or not _URL.fullmatch(url):
        raise BadInput("A request's URL must begin with http:// or https:// and be printable ASCII only.")


def check_field(name: object, value: object) -> None:
    """Raise ``BadInput`` for a header field that cannot be sent. The message does not quote its value."""
    if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
        raise BadInput(f"The header field {name!r} cannot be sent: use letters, digits and hyphens in its name.")
    if not can_be_sent(value):
        raise BadInput(
            f"The value given for {name} cannot be sent: it must be text without line breaks, without spaces at its "
            "ends, and of Latin-1 characters only."
        )


def can_be_sent(value: object) -> bool:
    """Return whether a request header can have this value. A server may send an ETag that a client cannot send back."""
    return isinstance(value, str) and _FIELD_VALUE.fullmatch(value) is not None


def http_date(text: str | None) -> datetime | None:
    """Return the date of a header field in UTC (RFC 9110, 5.6.7); ``None`` if it is missing or no such date.

    >>> http_date("Fri, 25 May 2018 16:09:50 GMT").isoformat(), http_date("yesterday")
    ('2018-05-25T16:09:50+00:00', None)
    """
    try:
        moment = parsedate_to_datetime(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def check_answered(status: object, fields: Iterable[tuple[object, object]]) -> None:
    """Raise ``BadInput`` for a status or header field that no HTTP response can have.

    This allows more than ``check_field``. A server may fold a value over lines (RFC 9112, 5.2), and its
    values may contain control characters.
    """
    if type(status) is not int or not 100 <= status <= 999:
        raise BadInput(f"{status!r} is not a status code.")
    for name, value in fields:
        if not isinstance(name, str) or not _ANSWERED_NAME.fullmatch(name):
            raise BadInput(f"{name!r} cannot be the name of a header field.")
        if not isinstance(value, str) or not _ANSWERED_VALUE.fullmatch(value):
            raise BadInput(f"The value of {name} cannot be that of a header field.")


_METHOD = re.compile(r"[A-Z]{1,40}")
_URL = re.compile(r"https?://[!-~]+")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_ANSWERED_NAME = re.compile(r"[!-9;-~]+")
_ANSWERED_VALUE = re.compile(r"[\x01-\x09\x0b\x0c\x0e-\xff]*(?:(?:\r\n?|\n)[ \t][\x01-\x09\x0b\x0c\x0e-\xff]*)*")
