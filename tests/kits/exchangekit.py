"""Exchanges as they are needed in a table: what was sent, what came back, in a few words."""

import json
from datetime import UTC, datetime
from typing import Any

from workbench.exchange.message import Exchange, Headers, Request, Response

BASE = "http://127.0.0.1:8080/STU3"
VERSION = 'W/"25777f7d-27bc"'
NEXT = 'W/"9c01d3f2-11aa"'

METHODS = {
    "read": "GET",
    "search-type": "GET",
    "capabilities": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}


def outcome(*, code: str = "", spine_code: str = "", diagnostics: str = "", severity: str = "error") -> dict[str, Any]:
    """An OperationOutcome with one issue, as any server might write it."""
    issue: dict[str, Any] = {"severity": severity, "code": code}
    if spine_code:
        system = "https://fhir.nhs.uk/STU3/CodeSystem/Spine-ErrorOrWarningCode-1"
        issue["details"] = {"coding": [{"system": system, "code": spine_code, "display": "A display"}]}
    if diagnostics:
        issue["diagnostics"] = diagnostics
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def exchange(
    interaction: str = "update",
    status: int | None = 200,
    *,
    if_match: str | None = None,
    body: Any = None,
    etag: str | None = None,
    location: str | None = None,
    logical_id: str = "1",
    headers: dict[str, str] | None = None,
    sent_body: bytes = b"",
    method: str | None = None,
    failure: str = "",
    sent: bool = True,
    answered: dict[str, str] | None = None,
) -> Exchange:
    """An exchange of alice's about ``List/1``; ``status`` ``None``: no answer came."""
    fields = {**({"If-Match": if_match} if if_match is not None else {}), **(headers or {})}
    url = f"{BASE}/List/{logical_id}" if logical_id else f"{BASE}/List"
    request = Request(method or METHODS[interaction], url, Headers(fields), sent_body)
    answer = None
    if status is not None:
        named = {"ETag": etag, "Location": location, **(answered or {})}
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        answer = Response(status, Headers({name: value for name, value in named.items() if value is not None}), content)
    return Exchange(
        client="alice",
        interaction=interaction,
        resource_type="List",
        logical_id=logical_id,
        request=request,
        response=answer,
        sent_at=datetime(2018, 5, 25, 16, 10, tzinfo=UTC),
        failure=failure,
        sent=sent,
    )
