"""Read what a probe needs from a response: ids, versions, header fields, dates, and a summary in a few words.

Every function accepts any response, also one that is no FHIR. What is missing gives ``None`` or an empty value.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from workbench.exchange.message import Exchange, can_be_sent
from workbench.fhir import json
from workbench.fhir.resource import LOGICAL_ID, RESOURCE_TYPE


class State(NamedTuple):
    """All that a read shows of a resource."""

    status: int | None
    body: bytes
    etag: str
    last_modified: str


def state_of(read: Exchange) -> State:
    """Return what this read shows of the resource."""
    return State(read.status, body(read), header(read, "ETag"), header(read, "Last-Modified"))


def summary(exchange: Exchange) -> str:
    """Return the status and the error code, such as ``501 NOT_IMPLEMENTED``, or why no response came."""
    if exchange.response is None:
        return exchange.failure
    outcome = exchange.outcome
    codes = (outcome.spine_code or ", ".join(issue.code for issue in outcome.issues)) if outcome else ""
    return f"{exchange.status} {codes}".strip()


def header(exchange: Exchange, name: str) -> str:
    """Return a header field of the response; empty if it is missing."""
    return (exchange.response.headers.get(name) or "") if exchange.response else ""


def body(exchange: Exchange) -> bytes:
    """Return the body of the response; empty if no response came."""
    return exchange.response.body if exchange.response else b""


def contains(read: Exchange, mark: str) -> bool:
    """Return whether a read found the resource that contains this mark, which only this check writes."""
    return read.status == 200 and mark.encode() in body(read)


def created_path(created: Exchange) -> str | None:
    """Return ``Type/id`` of the resource that a POST created, from its Location or else from the body."""
    segments = header(created, "Location").partition("/_history/")[0].rstrip("/").split("/")
    if len(segments) >= 2 and (path := resource_path(segments[-2], segments[-1])):
        return path
    resource = json_object(created.resource)
    is_of_type = resource.get("resourceType") == created.resource_type
    return resource_path(created.resource_type, resource.get("id")) if is_of_type else None


def resource_path(resource_type: str, logical_id: object) -> str | None:
    """Return ``Type/id``, or ``None`` if a URL cannot contain it. ``..`` has the form of an id and is refused."""
    if not (isinstance(logical_id, str) and RESOURCE_TYPE.fullmatch(resource_type)):
        return None
    is_id = LOGICAL_ID.fullmatch(logical_id) and logical_id not in (".", "..")
    return f"{resource_type}/{logical_id}" if is_id else None


def current_etag(read: Exchange) -> str | None:
    """Return the ``If-Match`` for the version read: the ETag as received, else one made of ``meta.versionId``.

    Return ``None`` if neither can be sent in a header.
    """
    etag = read.response.headers.get("ETag") if read.response else None
    if etag is not None and can_be_sent(etag):
        return etag
    version = json_object(json_object(read.resource).get("meta")).get("versionId")
    from_meta = f'W/"{version}"'
    return from_meta if version is not None and can_be_sent(from_meta) else None


def etag_value(etag: str | None) -> str:
    """Return the text between the quotation marks of an entity tag; all of it if it has no quotation marks."""
    text = etag or ""
    return text.partition('"')[2].rpartition('"')[0] if text.count('"') >= 2 else text


def meta_text(exchange: Exchange, name: str) -> str:
    """Return a text of ``meta`` in the resource received; empty if it is missing."""
    value = json_object(json_object(exchange.resource).get("meta")).get(name)
    return value if isinstance(value, str) else ""


def version_id(exchange: Exchange) -> str:
    """Return ``meta.versionId`` of the resource received; empty if it is missing."""
    return meta_text(exchange, "versionId")


def second_of(instant: str) -> datetime | None:
    """Return a FHIR instant without the fraction of its second; ``None`` if it is missing or no instant."""
    try:
        moment = datetime.fromisoformat(instant).replace(microsecond=0)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def json_object(value: object) -> dict[str, Any]:
    """Return a JSON object as it is; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def json_objects(value: object) -> list[dict[str, Any]]:
    """Return the objects in a JSON array; an empty list for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def same_except_meta(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Return whether two resources have the same members. ``meta`` is left out: endpoints may add to it."""
    return json.same(left | {"meta": None}, right | {"meta": None})
