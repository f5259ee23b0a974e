"""HTTP messages as plain frozen records: header fields, a request, a response (RFC 9110, sections 5 and 6).

Owns: how a message is held, and what may stand in one: a client checks what it is given by the same functions by
which a journal checks what it loads. What a message means stands in the modules above; the endpoint answers with
the same records that the client keeps.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

from workbench.errors import BadInput, MalformedJSON, WorkbenchError
from workbench.exchange import text as wire
from workbench.exchange.verdict import DONE, Verdict, explain, judge
from workbench.exchange.verdict import SAFE_METHODS as SAFE_METHODS
from workbench.fhir import json, outcome
from workbench.fhir.etag import ETag
from workbench.fhir.outcome import OperationOutcome
from workbench.fhir.printable import printable


class Headers:
    """Header fields in the order sent, found by name without regard to case; cannot be changed.

    Kept as one flat tuple: a journal holds a great many of these.
    """

    __slots__ = ("_flat",)

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        self._flat: tuple[str, ...] = tuple(part for pair in pairs for part in pair)

    def items(self) -> Iterator[tuple[str, str]]:
        """The fields, in order, as ``(name, value)``."""
        return zip(self._flat[::2], self._flat[1::2], strict=True)

    def get(self, name: str) -> str | None:
        """The field's value, or ``None``; several of one name are joined by a comma (RFC 9110, 5.3)."""
        wanted, flat = name.lower(), self._flat
        size = len(wanted)  # most names differ in length already
        values = [
            flat[place + 1]
            for place in range(0, len(flat), 2)
            if len(flat[place]) == size and flat[place].lower() == wanted
        ]
        return ", ".join(values) if values else None

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


NO_HEADERS: Final = Headers()


class Digest(NamedTuple):
    """What is left of a body that is no longer kept: its size in bytes, and its SHA-256 in hexadecimal."""

    size: int
    sha256: str

    def __str__(self) -> str:
        return f"a body of {self.size:,} bytes that is no longer kept; SHA-256 {self.sha256}"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was sent, credentials already replaced.

    ``body`` is ``b""`` where there is none, and where it is no longer kept: there ``dropped`` says what it was.
    """

    method: str
    url: str
    headers: Headers = NO_HEADERS
    body: bytes = b""
    dropped: Digest | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as it came, content codings undone; ``body`` and ``dropped`` as in a request."""

    status: int
    headers: Headers = NO_HEADERS
    body: bytes = b""
    dropped: Digest | None = None


_Message = TypeVar("_Message", Request, Response)


def size_of(message: Request | Response) -> int:
    """How many bytes the body has or had."""
    return message.dropped.size if message.dropped else len(message.body)


def without_body(message: _Message) -> _Message:
    """The same with its body's digest in place of the body; itself where it has none."""
    if not message.body:
        return message
    return replace(message, body=b"", dropped=Digest(len(message.body), hashlib.sha256(message.body).hexdigest()))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with its answer, or with the reason why there is none.

    ``elapsed`` is in seconds, ``None`` where a lesson's clock stands still. ``failure`` is one sentence
    where the answer is missing or broke off, and ``sent`` says whether the request can have arrived.
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
    """What became of the request; worked out once, from what was sent and what came back."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "verdict", judge(self))

    @property
    def status(self) -> int | None:
        """The status code; ``None`` where no answer came."""
        return self.response.status if self.response else None

    @property
    def etag(self) -> ETag | None:
        """The answer's entity tag; ``None`` where there is none that can be read as one."""
        return ETag.read(self.response.headers.get("ETag")) if self.response else None

    @property
    def if_match(self) -> str | None:
        """The ``If-Match`` that was sent, as it was sent."""
        return self.request.headers.get("If-Match")

    @property
    def resource(self) -> Any:
        """The answer's body as plain JSON, decimals exact; parsed afresh each time, so yours to edit.

        ``None`` where there is no body, where it is no longer kept, and where it is not JSON.
        """
        if self.response is None or not self.response.body:
            return None
        try:
            return json.parse(self.response.body)
        except MalformedJSON:
            return None

    @property
    def outcome(self) -> OperationOutcome | None:
        """The OperationOutcome that came back, if one did."""
        return outcome.read(self.resource)

    @property
    def is_whole(self) -> bool:
        """Whether its bodies are still kept; a journal keeps them up to a budget, and then their digests."""
        return not (self.request.dropped or (self.response and self.response.dropped))

    def without_bodies(self) -> Exchange:
        """The same with its bodies' digests in place of the bodies; what was made of them, the verdict, stays."""
        response = without_body(self.response) if self.response else None
        return replace(self, request=without_body(self.request), response=response).judged(self.verdict)

    def judged(self, verdict: Verdict) -> Exchange:
        """Set the verdict to what it was while the bodies were kept, and give the exchange back."""
        object.__setattr__(self, "verdict", verdict)
        return self

    @property
    def ok(self) -> bool:
        """Whether the request did what it asked for."""
        return self.verdict in DONE

    def explain(self) -> str:
        """One plain paragraph: what was asked, what came of it, and what to do next."""
        return explain(self)

    def as_http(self, *, base: str = "", indent: int | None = None) -> str:
        """The request and the answer as HTTP/1.1 messages, credentials replaced.

        For reading: ``base`` is written ``[base]`` wherever it stands, ``indent`` lays out JSON bodies.
        """
        return wire.as_http(self, base=base, indent=indent)

    def as_curl(self) -> str:
        """A curl command line that sends the same request, credentials replaced by a placeholder."""
        return wire.as_curl(self)

    def raise_for_verdict(self, *wanted: Verdict) -> Exchange:
        """Return this exchange if its verdict is one of ``wanted`` (by default: it did what it asked for).

        Raises ``UnwantedVerdict``, whose message is ``explain()``.
        """
        if self.verdict in (wanted or DONE):
            return self
        raise UnwantedVerdict(self)

    def __repr__(self) -> str:
        answer = self.status if self.status is not None else "no answer"
        text = f"<{self.client}: {self.interaction} {self.target} → {answer} {self.verdict.value}>"
        return printable(text, one_line=True)

    @property
    def target(self) -> str:
        """What it was about, as FHIR writes a relative reference: ``List/744e…``, or the type alone."""
        if self.resource_type and self.logical_id:
            return f"{self.resource_type}/{self.logical_id}"
        return self.resource_type or self.logical_id or "(the endpoint)"


class UnwantedVerdict(WorkbenchError):
    """An exchange ended otherwise than its caller said it must; ``exchange`` is the evidence."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange.explain())
        self.exchange = exchange


def check_method(method: object) -> None:
    """Raise ``BadInput`` for a method that no client here sends."""
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        raise BadInput(f"This request cannot be sent: {method!r} is not an HTTP method.")


def check_url(url: object) -> None:
    """Raise ``BadInput`` for what is not an absolute HTTP URL of printable ASCII; it is not shown."""
    if not isinstance(url, str) or not _URL.fullmatch(url):
        raise BadInput("A request's URL begins with http:// or https:// and has printable ASCII characters only.")


def check_field(name: object, value: object) -> None:
    """Raise ``BadInput`` for a header field that cannot be sent; its value, which may be a secret, is not shown."""
    if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
        raise BadInput(f"The header field {name!r} cannot be sent: a name has letters, digits and hyphens.")
    if not can_be_sent(value):
        raise BadInput(
            f"The value given for {name} cannot be sent: it must be text without line breaks, without spaces at its "
            "ends, and of Latin-1 characters only."
        )


def can_be_sent(value: object) -> bool:
    """Whether a header field can have this value; an ETag that came need not be one that can be sent back."""
    return isinstance(value, str) and _FIELD_VALUE.fullmatch(value) is not None


def check_answered(status: object, fields: Iterable[tuple[object, object]]) -> None:
    """Raise ``BadInput`` for a status and header fields that no HTTP library hands over.

    Servers are less careful than clients: a value may be folded over lines (RFC 9112, 5.2) and hold control characters.
    """
    if type(status) is not int or not 100 <= status <= 999:
        raise BadInput(f"{status!r} is not a status code.")
    for name, value in fields:
        if not isinstance(name, str) or not _ANSWERED_NAME.fullmatch(name):
            raise BadInput(f"{name!r} is not the name of a header field.")
        if not isinstance(value, str) or not _ANSWERED_VALUE.fullmatch(value):
            raise BadInput(f"The value of {name} is not that of a header field.")


_METHOD = re.compile(r"[A-Z]{1,40}")
_URL = re.compile(r"https?://[!-~]+")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_ANSWERED_NAME = re.compile(r"[!-9;-~]+")
_ANSWERED_VALUE = re.compile(r"[\x01-\x09\x0b\x0c\x0e-\xff]*(?:(?:\r\n?|\n)[ \t][\x01-\x09\x0b\x0c\x0e-\xff]*)*")
