"""An exchange as JSON, and back: the one form in which journals, their files and reports keep exchanges.

Owns: the form, and the checks on the way back: what is read from a file is held to what a client checks before it
sends. Credentials have been replaced before an exchange exists, so none is written. A body that is not UTF-8 is kept
byte for byte. Of a body that is no longer kept its digest is, and with it what had been read off it: the verdict,
and what the OperationOutcome said.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from json import JSONEncoder
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workbench.errors import BadInput
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
"""The longest line, and the largest file read whole, in bytes."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Times in between can be shown everywhere; pandas and time zones have trouble at the ends of the calendar."""

_write = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""The standard library's, which is twice as fast; an exchange holds no decimals that need ours."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Told(NamedTuple):
    """What an answer that is not a success said of itself, or why there is none."""

    spine_code: str
    diagnostics: str


def told(exchange: Exchange) -> Told:
    """Read it off an exchange whose bodies are still kept."""
    found = None if exchange.ok else exchange.outcome
    return Told(found.spine_code, found.diagnostics) if found else Told("", exchange.failure)


def microseconds(moment: datetime) -> int:
    """A time as whole microseconds since 1970."""
    return (moment - EPOCH) // _MICROSECOND


def is_recordable(time: int) -> bool:
    """Whether a time in microseconds since 1970 is one that a journal can hold."""
    return microseconds(_EARLIEST) <= time < microseconds(_LATEST)


def as_json(exchange: Exchange) -> dict[str, Any]:
    """The exchange as plain JSON: everything in it, bodies as text where they are text."""
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
    """The exchange that ``as_json`` wrote; raises ``BadInput`` for anything else, and for what no client sends."""
    try:
        exchange = _exchange(line)
    except (AttributeError, KeyError, TypeError, ValueError):  # BadInput is a ValueError
        raise BadInput("This is not an exchange that was recorded.") from None
    return exchange


def as_line(exchange: Exchange, said: Told) -> str:
    """One line of a journal: the exchange, and what its answer said where its body cannot tell any more.

    One too long to be read again is written without its bodies.
    """
    line = as_json(exchange)
    text = _write(line if exchange.is_whole else line | {"told": list(said)})
    fits = len(text) <= MOST_BYTES // 4 or len(text.encode()) <= MOST_BYTES
    return text if fits else as_line(exchange.without_bodies(), said)


def from_line(text: str | bytes) -> tuple[Exchange, Told]:
    """An exchange from its line; raises ``BadInput`` for another line."""
    line = json.parse(text)
    exchange = from_json(line)
    if exchange.is_whole:
        return exchange, told(exchange)
    said = line.get("told")
    if not isinstance(said, list) or len(said) != len(Told._fields):
        raise BadInput("This is not an exchange that was recorded.")
    return exchange, Told(*map(_text, said))


def _exchange(line: dict[str, Any]) -> Exchange:
    sent = line["sent"]
    if not isinstance(sent, bool):
        raise BadInput("sent is true or false.")
    exchange = Exchange(
        client=_text(line["client"]),
        interaction=_text(line["interaction"]),
        resource_type=_text(line["resource_type"]),
        logical_id=_text(line["logical_id"]),
        request=_request(line["request"]),
        response=None if line["response"] is None else _response(line["response"]),
        sent_at=_moment(line["sent_at"]),
        elapsed=None if line["elapsed"] is None else _seconds(line["elapsed"]),
        failure=_text(line["failure"]),
        sent=sent,
    )
    return exchange if exchange.is_whole else exchange.judged(Verdict(line["verdict"]))


def _request(found: dict[str, Any]) -> Request:
    method, url = found["method"], found["url"]
    check_method(method)
    check_url(url)
    fields = [(name, value) for name, value in found["headers"]]
    for name, value in fields:
        check_field(name, value)
    return Request(method, url, Headers(fields), *_body(found))


def _response(found: dict[str, Any]) -> Response:
    fields = [(name, value) for name, value in found["headers"]]
    check_answered(found["status"], fields)
    return Response(found["status"], Headers(fields), *_body(found))


def _content(message: Request | Response) -> dict[str, Any]:
    headers = [list(field) for field in message.headers.items()]
    if message.dropped:
        return {"headers": headers, "body_size": message.dropped.size, "body_sha256": message.dropped.sha256}
    try:
        return {"headers": headers, "body": message.body.decode("utf-8")}
    except UnicodeDecodeError:  # surrogates would not survive the file
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


class Transition(NamedTuple):
    """One row of ``transitions()``: an exchange, and the resource's ETag before and after it.

    Before and after are as far as this journal knows: ``None`` where it cannot know.
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


class Row(NamedTuple):
    """A transition as it is kept: the same columns, the time in microseconds since 1970."""

    seq: int
    time: int
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

    def transition(self) -> Transition:
        """The row as it is shown."""
        return Transition(*self._replace(time=EPOCH + timedelta(microseconds=self.time)))  # type: ignore[arg-type]


Move = tuple[str | None, str | None]
"""The ETag before and after an exchange."""

_NUMBERS: Final[dict[str, set[type]]] = {
    "seq": {int},
    "time": {int},
    "status": {int, type(None)},
    "ms": {float, type(None)},
}
_OPTIONAL: Final = ("if_match", "etag_before", "etag_after")
_TYPES: Final[list[set[type]]] = [
    _NUMBERS.get(name) or ({str, type(None)} if name in _OPTIONAL else {str}) for name in Row._fields
]
_VERDICTS: Final = {verdict.value for verdict in Verdict}


def row(seq: int, exchange: Exchange, move: Move, said: Told) -> Row:
    """The row of one exchange."""
    return Row(
        seq=seq,
        time=microseconds(exchange.sent_at),
        client=exchange.client,
        interaction=exchange.interaction,
        resource=exchange.target if exchange.resource_type else "",
        if_match=exchange.if_match,
        status=exchange.status,
        etag_before=move[0],
        etag_after=move[1],
        verdict=exchange.verdict.value,
        spine_code=said.spine_code,
        diagnostics=said.diagnostics,
        ms=None if exchange.elapsed is None else round(exchange.elapsed * 1000, 3),
    )


def check_rows(first: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Raise ``BadInput`` unless these are rows of a journal, numbered from ``first`` on."""
    columns = list(zip(*rows, strict=True))
    for name, types, values in zip(Row._fields, _TYPES, columns, strict=True):
        if not set(map(type, values)) <= types:
            raise BadInput(f"its column {name} holds what a journal does not write")
    seq, time, verdict = (columns[Row._fields.index(name)] for name in ("seq", "time", "verdict"))
    if seq != tuple(range(first, first + len(rows))):
        raise BadInput("its exchanges are not numbered one after another")
    if not (is_recordable(min(time)) and is_recordable(max(time))):
        raise BadInput("its column time holds what a journal does not write")
    if not set(verdict) <= _VERDICTS:
        raise BadInput("its column verdict holds what a journal does not write")


def frame(batches: Iterable[Sequence[tuple[Any, ...]]]) -> pd.DataFrame:
    """A table of rows that come in batches: texts, nullable numbers, and times in UTC to the microsecond."""
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {name: [] for name in Row._fields} | {"seq": array("q"), "time": array("q")}
    same: dict[str | None, str | None] = {}  # a word that recurs is kept once
    for batch in batches:
        for name, values in zip(Row._fields, zip(*batch, strict=True), strict=False):
            columns[name].extend(values if name in _NUMBERS else map(same.setdefault, values, values))
    time = np.array(columns["time"], dtype="int64").view("datetime64[us]")
    found: dict[str, Any] = {name: pd.array(columns[name], dtype="str") for name in Row._fields if name not in _NUMBERS}
    found["seq"] = np.array(columns["seq"], dtype="int64")
    found["time"] = pd.DatetimeIndex(time).tz_localize("UTC")
    found["status"] = pd.array(columns["status"], dtype="Int64")
    found["ms"] = pd.array(columns["ms"], dtype="Float64")
    return pd.DataFrame({name: found[name] for name in Row._fields})
