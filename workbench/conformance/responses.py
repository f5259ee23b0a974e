"""Read what a probe needs from a response: ids, versions, header fields, and a summary in a few words.

Every function accepts any response, also one that is no FHIR. What is missing gives ``None`` or an empty value.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from workbench.exchange.message import Exchange, can_be_sent
from workbench.fhir import json
from workbench.fhir.resource import LOGICAL_ID, RESOURCE_TYPE


class State(NamedTuple):
    """All that a read shows of a resource."""

    status: int | None
    body: bytes
    etag: str | None
    last_modified: str | None


def state_of(read: Exchange) -> State:
    """Return what this read shows of the resource."""
    if read.response is None:
        return State(None, b"", None, None)
    headers = read.response.headers
    return State(read.status, read.response.body, headers.get("ETag"), headers.get("Last-Modified"))


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
    resource = created.resource
    if isinstance(resource, dict) and resource.get("resourceType") == created.resource_type:
        return resource_path(created.resource_type, resource.get("id"))
    return None


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
    meta = read.resource.get("meta") if isinstance(read.resource, dict) else None
    version_id = meta.get("versionId") if isinstance(meta, dict) else None
    from_meta = f'W/"{version_id}"'
    return from_meta if version_id is not None and can_be_sent(from_meta) else None


def etag_value(etag: str | None) -> str:
    """Return the text between the quotation marks of an entity tag; all of it if there are none."""
    text = etag or ""
    return text.partition('"')[2].rpartition('"')[0] if text.count('"') >= 2 else text


def meta_text(exchange: Exchange, name: str) -> str:
    """Return a text of ``meta`` in the resource received; empty if it is missing."""
    resource = exchange.resource
    meta = resource.get("meta") if isinstance(resource, dict) else None
    value = meta.get(name) if isinstance(meta, dict) else None
    return value if isinstance(value, str) else ""


def version_id(exchange: Exchange) -> str:
    """Return ``meta.versionId`` of the resource received; empty if it is missing."""
    return meta_text(exchange, "versionId")


def json_objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a JSON array; an empty list for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def same_except_meta(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Return whether two resources have the same members. ``meta`` is left out: endpoints may add to it."""
    first, second = ({name: value for name, value in resource.items() if name != "meta"} for resource in (left, right))
    return json.same(first, second)
