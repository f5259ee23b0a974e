"""The record of an exchange: its transition, and the exchange as JSON and back.

A transition is a row of a journal's table: what the exchange did to its resource's ETag. A line is the exchange as
JSON; saved journals, journal files and reports all hold it. A line from a file is checked as a client checks what it
sends. A body that is not UTF-8 is kept byte for byte, in hexadecimal.

A journal may keep the size and SHA-256 of a body instead of the body. Such a line also holds the verdict and the
outcome's code and diagnostics, because they cannot be read from the body any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from json import JSONEncoder
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workbench.errors import BadInput, needs
from workbench.exchange.message import (
    Digest,
    Exchange,
    Headers,
    Request,
    Response,
    check_answered,
    check_field,
    check_method,
    check_url,
)
from workbench.exchange.verdict import Verdict
from workbench.fhir import json

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES: Final = 256 * 2**20
"""The longest line, and the largest file that is read whole, in bytes."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""pandas and time zones can show every time between these two."""

_encode = JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode
"""The standard library's encoder: twice as fast as ours, and a line has no decimals that need ours."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


# --- transitions ---


class Transition(NamedTuple):
    """One row of ``Journal.transitions()``: an exchange, and its resource's ETag before and after it.

    ``time`` is in UTC and ``ms`` in milliseconds. ``etag_before`` and ``etag_after`` are ``None`` where the journal
    does not know the ETag.
    """

    seq: int
    time: datetime
    client: str
    interaction: str
    resource: str
    if_match: str | None
    status: int | None
    etag_before: str | None
    etag_after: str | None
    verdict: str
    spine_code: str
    diagnostics: str
    ms: float | None

    def as_stored(self) -> tuple[Any, ...]:
        """Return the row as a journal's file holds it: with the time in microseconds since 1970."""
        return (self.seq, _microseconds(self.time), *self[2:])

    @classmethod
    def from_stored(cls, row: Sequence[Any]) -> Transition:
        """Return the transition of a row from a journal's file."""
        return cls(row[0], _EPOCH + timedelta(microseconds=row[1]), *row[2:])


class OutcomeText(NamedTuple):
    """The code and diagnostics of an OperationOutcome, or the reason why no answer came; empty after a success."""

    spine_code: str
    diagnostics: str


def outcome_text(exchange: Exchange) -> OutcomeText:
    """Read the outcome of an exchange whose bodies are kept."""
    outcome = None if exchange.ok else exchange.outcome
    return OutcomeText(outcome.spine_code, outcome.diagnostics) if outcome else OutcomeText("", exchange.failure)


def to_transition(
    seq: int, exchange: Exchange, before: str | None, after: str | None, outcome: OutcomeText
) -> Transition:
    """Return the transition of an exchange; ``before`` and ``after`` are its resource's ETags."""
    return Transition(
        seq=seq,
        time=exchange.sent_at.astimezone(UTC),
        client=exchange.client,
        interaction=exchange.interaction,
        resource=exchange.target if exchange.resource_type else "",
        if_match=exchange.if_match,
        status=exchange.status,
        etag_before=before,
        etag_after=after,
        verdict=exchange.verdict.value,
        spine_code=outcome.spine_code,
        diagnostics=outcome.diagnostics,
        ms=None if exchange.elapsed is None else round(exchange.elapsed * 1000, 3),
    )


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


_STORED_TYPES: Final[dict[str, set[type]]] = {
    "seq": {int},
    "time": {int},
    "if_match": {str, NoneType},
    "status": {int, NoneType},
    "etag_before": {str, NoneType},
    "etag_after": {str, NoneType},
    "ms": {float, NoneType},
    "kept": {int, NoneType},
}
"""The types of a column in a journal's file; any other column is text."""

_VERDICTS: Final = {verdict.value for verdict in Verdict}


def check_stored(first: int, columns: dict[str, tuple[Any, ...]]) -> None:
    """Check the columns of rows from a file; the first row must have the number ``first``.

    Raises ``BadInput`` for a value that no journal writes, and for a gap in the numbers.
    """
    wrong = [name for name, values in columns.items() if not set(map(type, values)) <= _STORED_TYPES.get(name, {str})]
    if not wrong:
        if columns["seq"] != tuple(range(first, first + len(columns["seq"]))):
            raise BadInput("its exchanges are not numbered one after another")
        times, sizes = columns["time"], [size for size in columns["kept"] if size is not None]
        is_right = {
            "time": _microseconds(_EARLIEST) <= min(times) and max(times) < _microseconds(_LATEST),
            "verdict": set(columns["verdict"]) <= _VERDICTS,
            "kept": min(sizes, default=0) >= 0,
        }
        wrong = [name for name, right in is_right.items() if not right]
    if wrong:
        raise BadInput(f"its column {wrong[0]} holds what a journal does not write")


_DTYPES: Final[dict[str, Any]] = {"seq": "int64", "time": "datetime64[us, UTC]", "status": "Int64", "ms": "Float64"}
"""The pandas types of the columns that are not text."""


def to_frame(batches: Iterable[Sequence[tuple[Any, ...]]]) -> pd.DataFrame:
    """Return batches of transitions, stored or not, as one table: texts, nullable numbers, and times in UTC."""
    with needs("tables"):
        import numpy as np
        import pandas as pd

    columns: dict[str, list[Any]] = {name: [] for name in Transition._fields}
    same: dict[str | None, str | None] = {}  # equal texts share one object, which halves the time and the memory
    for batch in batches:
        for (name, column), values in zip(columns.items(), zip(*batch, strict=True), strict=True):
            column.extend(values if name in _DTYPES else map(same.setdefault, values, values))
    text = pd.StringDtype(na_value=np.nan)  # what "str" means in pandas 3; pandas 2 has it too
    return pd.DataFrame(
        {name: pd.Series(columns.pop(name), dtype=_DTYPES.get(name, text)) for name in Transition._fields}
    )


# --- lines ---


def as_json(exchange: Exchange) -> dict[str, Any]:
    """Return the exchange as plain JSON, with its bodies as text where they are UTF-8."""
    request, response = exchange.request, exchange.response
    line: dict[str, Any] = {
        "client": exchange.client,
        "interaction": exchange.interaction,
        "resource_type": exchange.resource_type,
        "logical_id": exchange.logical_id,
        "sent_at": exchange.sent_at.isoformat(),
        "elapsed": exchange.elapsed,
        "failure": exchange.failure,
        "sent": exchange.sent,
        "request": {"method": request.method, "url": request.url, **_content(request)},
        "response": {"status": response.status, **_content(response)} if response else None,
    }
    return line if exchange.is_whole else line | {"verdict": exchange.verdict.value}


def from_json(line: Any) -> Exchange:
    """Return the exchange that ``as_json`` wrote.

    Raises ``BadInput`` for anything else, and for what no client sends.
    """
    try:
        request, response = line["request"], line["response"]
        exchange = Exchange(
            client=_text(line["client"]),
            interaction=_text(line["interaction"]),
            resource_type=_text(line["resource_type"]),
            logical_id=_text(line["logical_id"]),
            request=checked_request(request["method"], request["url"], request["headers"], *_body(request)),
            response=None
            if response is None
            else checked_response(response["status"], response["headers"], *_body(response)),
            sent_at=_moment(line["sent_at"]),
            elapsed=None if line["elapsed"] is None else _seconds(line["elapsed"]),
            failure=_text(line["failure"]),
            sent=line["sent"],
        )
        if not isinstance(exchange.sent, bool):
            raise BadInput("sent is true or false.")
        return exchange if exchange.is_whole else exchange.judged(Verdict(line["verdict"]))
    except (AttributeError, KeyError, TypeError, ValueError):  # BadInput is a ValueError
        raise BadInput("This is not an exchange that was recorded.") from None


def as_line(exchange: Exchange, outcome: OutcomeText) -> str:
    """Return the exchange as one line of a journal; a line that is too long is written without its bodies."""
    line = as_json(exchange)
    text = _encode(line if exchange.is_whole else line | {"outcome": list(outcome)})
    fits = len(text) <= MOST_BYTES // 4 or len(text.encode()) <= MOST_BYTES
    return text if fits else as_line(exchange.without_bodies(), outcome)


def from_line(text: str | bytes) -> tuple[Exchange, OutcomeText]:
    """Return the exchange of a line and its outcome; raises ``BadInput`` for another line."""
    line = json.parse(text)
    exchange = from_json(line)
    if exchange.is_whole:
        return exchange, outcome_text(exchange)
    match line.get("outcome"):
        case [str(spine_code), str(diagnostics)]:
            return exchange, OutcomeText(spine_code, diagnostics)
    raise BadInput("This is not an exchange that was recorded.")


def checked_request(
    method: Any, url: Any, fields: Iterable[Any], body: bytes, dropped: Digest | None = None
) -> Request:
    """Return a request that was recorded; raises ``BadInput`` for one that no client sends."""
    check_method(method)
    check_url(url)
    pairs = [(name, value) for name, value in fields]
    for name, value in pairs:
        check_field(name, value)
    return Request(method, url, Headers(pairs), body, dropped)


def checked_response(status: Any, fields: Iterable[Any], body: bytes, dropped: Digest | None = None) -> Response:
    """Return a response that was recorded; raises ``BadInput`` for one that HTTP does not allow."""
    pairs = [(name, value) for name, value in fields]
    check_answered(status, pairs)
    return Response(status, Headers(pairs), body, dropped)


def _content(message: Request | Response) -> dict[str, Any]:
    headers = list(message.headers.items())
    if message.dropped:
        return {"headers": headers, "body_size": message.dropped.size, "body_sha256": message.dropped.sha256}
    try:
        return {"headers": headers, "body": message.body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"headers": headers, "body_hex": message.body.hex()}


def _body(found: dict[str, Any]) -> tuple[bytes, Digest | None]:
    if "body_sha256" in found:
        size, sha256 = found["body_size"], found["body_sha256"]
        if type(size) is not int or not 0 <= size < 2**63 or not _SHA256.fullmatch(sha256):
            raise BadInput("A body that is not kept has its size and its SHA-256.")
        return b"", Digest(size, sha256)
    return found["body"].encode() if "body" in found else bytes.fromhex(found["body_hex"]), None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadInput("This is text.")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value < 10**9:
        raise BadInput("A duration is a number of seconds.")
    return float(value)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not _EARLIEST <= moment < _LATEST:
        raise BadInput("A time has its offset from UTC.")
    return moment
