"""An exchange as JSON, and back: the one form in which journals and reports keep exchanges.

Credentials have been replaced before an exchange exists, so none is written here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from workbench.rules.exchange import Exchange
from workbench.rules.message import Headers, Request, Response


def as_json(exchange: Exchange) -> dict[str, Any]:
    """The exchange as plain JSON: everything in it, bodies as text where they are text."""
    request, response = exchange.request, exchange.response
    return {
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


def _content(message: Request | Response) -> dict[str, Any]:
    # A body that is no UTF-8 is kept byte for byte: surrogates would not survive the file.
    headers = [list(field) for field in message.headers.items()]
    try:
        return {"headers": headers, "body": message.body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"headers": headers, "body_hex": message.body.hex()}


def from_json(line: dict[str, Any]) -> Exchange:
    """The exchange that ``as_json`` wrote; raises KeyError, TypeError or ValueError for anything else."""
    request, response = line["request"], line["response"]
    return Exchange(
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


def _read_content(message: dict[str, Any]) -> tuple[Headers, bytes]:
    body = message["body"].encode() if "body" in message else bytes.fromhex(message["body_hex"])
    return Headers((name, value) for name, value in message["headers"]), body
