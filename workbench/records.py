"""An exchange as JSON, and back: the one form in which journals and reports keep exchanges. And as a row of a file.

Owns: both forms and the way back. Credentials have been replaced before an exchange exists, so none is written. A
body that is no UTF-8 is kept byte for byte; of one that is no longer kept its digest is, and then also what had been
made of it: the verdict, and what the OperationOutcome said.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from workbench.rules import json
from workbench.rules.exchange import Exchange
from workbench.rules.message import Digest, Headers, Request, Response
from workbench.rules.verdict import Verdict

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Told(NamedTuple):
    """What an answer that is no success said of itself, or why there is none."""

    spine_code: str
    diagnostics: str


def told(exchange: Exchange) -> Told:
    """Read it off an exchange whose bodies are still kept."""
    found = None if exchange.ok else exchange.outcome
    return Told(found.spine_code, found.diagnostics) if found else Told("", exchange.failure)


def microseconds(moment: datetime) -> int:
    """A time as whole microseconds since 1970."""
    return (moment - EPOCH) // _MICROSECOND


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


def from_json(line: dict[str, Any]) -> Exchange:
    """The exchange that ``as_json`` wrote; raises KeyError, TypeError or ValueError for anything else."""
    request, response = line["request"], line["response"]
    exchange = Exchange(
        client=line["client"],
        interaction=line["interaction"],
        resource_type=line["resource_type"],
        logical_id=line["logical_id"],
        request=Request(request["method"], request["url"], *_read_content(request)),
        response=Response(response["status"], *_read_content(response)) if response else None,
        sent_at=datetime.fromisoformat(line["sent_at"]),
        elapsed=None if line["elapsed"] is None else float(line["elapsed"]),
        failure=line["failure"],
        sent=line["sent"],
    )
    return exchange if exchange.is_whole else exchange.judged(Verdict(line["verdict"]))


def as_line(exchange: Exchange, said: Told) -> str:
    """One line of a saved journal: the exchange, and what its answer said where its body cannot tell any more."""
    line = as_json(exchange)
    return json.dumps(line if exchange.is_whole else line | {"told": list(said)})


def from_line(text: bytes) -> tuple[Exchange, Told]:
    """An exchange from its line; raises one of many errors for a line that is none."""
    line = json.parse(text)
    exchange = from_json(line)
    return exchange, told(exchange) if exchange.is_whole else Told(*line["told"])


def _content(message: Request | Response) -> dict[str, Any]:
    headers = [list(field) for field in message.headers.items()]
    if message.dropped:
        return {"headers": headers, "body_size": message.dropped.size, "body_sha256": message.dropped.sha256}
    try:
        return {"headers": headers, "body": message.body.decode("utf-8")}
    except UnicodeDecodeError:  # surrogates would not survive the file
        return {"headers": headers, "body_hex": message.body.hex()}


def _read_content(message: dict[str, Any]) -> tuple[Headers, bytes, Digest | None]:
    headers = Headers((name, value) for name, value in message["headers"])
    if "body_sha256" in message:
        return headers, b"", Digest(int(message["body_size"]), str(message["body_sha256"]))
    return headers, message["body"].encode() if "body" in message else bytes.fromhex(message["body_hex"]), None


COLUMNS: Final = (
    *("time", "elapsed", "client", "interaction", "resource_type", "logical_id", "verdict", "failure", "sent"),
    *("method", "url", "status", "request_dropped", "response_dropped"),
    *("request_headers", "response_headers", "request_body", "response_body"),
)
"""What a journal's file holds of an exchange, so that every one of them can be asked for in SQL; what is long, last.

Times are microseconds since 1970, durations seconds, header fields lines of name and value in turn, bodies bytes; a
body that is not kept is its size and digest.
"""


def as_row(exchange: Exchange) -> tuple[Any, ...]:
    """An exchange as values for ``COLUMNS``."""
    request, response = exchange.request, exchange.response
    answered = (
        (None, None, None, None)
        if response is None
        else (
            *(response.status, _digest(response.dropped)),
            *(_lines(response.headers), response.body),
        )
    )
    return (
        *(microseconds(exchange.sent_at), exchange.elapsed, exchange.client, exchange.interaction),
        *(exchange.resource_type, exchange.logical_id, exchange.verdict.value, exchange.failure, exchange.sent),
        *(request.method, request.url, answered[0], _digest(request.dropped), answered[1]),
        *(_lines(request.headers), answered[2], request.body, answered[3]),
    )


def from_row(row: tuple[Any, ...]) -> Exchange:
    """The exchange of such a row."""
    time, elapsed, client, interaction, resource_type, logical_id, verdict, failure, sent = row[:9]
    method, url, status, dropped, gone, asked, answered, body, came = row[9:]
    request = Request(method, url, _fields(asked), body, _from_digest(dropped))
    response = None if status is None else Response(status, _fields(answered), came, _from_digest(gone))
    moment = EPOCH + timedelta(microseconds=time)
    about = (client, interaction, resource_type, logical_id)
    exchange = Exchange(*about, request, response, moment, elapsed, failure, bool(sent))
    return exchange if exchange.is_whole else exchange.judged(Verdict(verdict))


def _lines(headers: Headers) -> str:
    """One part a line; as JSON where a part has a line break of its own, which HTTP does not allow."""
    parts = [part for field in headers.items() for part in field]
    text = "\n".join(parts)
    return text if text.count("\n") == max(len(parts) - 1, 0) and text[:1] != "[" else json.dumps(parts)


def _fields(text: str) -> Headers:
    parts = json.parse(text) if text[:1] == "[" else text.split("\n") if text else []
    return Headers(zip(parts[::2], parts[1::2], strict=True))


def _digest(dropped: Digest | None) -> str | None:
    return f"{dropped.size} {dropped.sha256}" if dropped else None


def _from_digest(text: str | None) -> Digest | None:
    if text is None:
        return None
    size, _, sha256 = text.partition(" ")
    return Digest(int(size), sha256)
