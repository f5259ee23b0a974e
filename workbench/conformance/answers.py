"""What an answer says: which resource, at which version, how it looked, and the whole of it in a few words.

Reads leniently, whatever the server is: where something is missing, so is what is given back.
"""

from __future__ import annotations

from typing import Any

from workbench.exchange.message import Exchange, can_be_sent
from workbench.fhir import json
from workbench.fhir.etag import ETag
from workbench.fhir.resource import LOGICAL_ID, RESOURCE_TYPE

State = tuple[int | None, bytes, str | None, str | None]
"""All that a read shows of a resource: status, body, ETag, Last-Modified."""


def holds(read: Exchange, mark: str) -> bool:
    """Whether what was read is the resource with this mark, and so the check's own."""
    return read.status == 200 and read.response is not None and mark.encode() in read.response.body


def created_path(answer: Exchange) -> str | None:
    """``Type/id`` of what a POST made: from the Location, else from the body; ``None`` where neither says."""
    location = answer.response.headers.get("Location") or "" if answer.response else ""
    steps = location.partition("/_history/")[0].rstrip("/").split("/")
    if len(steps) >= 2 and (path := path_to(*steps[-2:])):
        return path
    made = answer.resource
    if isinstance(made, dict) and made.get("resourceType") == answer.resource_type:
        return path_to(answer.resource_type, made.get("id"))
    return None


def path_to(resource_type: str, logical_id: object) -> str | None:
    """``Type/id``, or ``None`` where that cannot be asked for: ``..`` has the form of an id and means another place."""
    if not (isinstance(logical_id, str) and RESOURCE_TYPE.fullmatch(resource_type)):
        return None
    is_id = LOGICAL_ID.fullmatch(logical_id) and logical_id not in (".", "..")
    return f"{resource_type}/{logical_id}" if is_id else None


def current_tag(read: Exchange) -> str | None:
    """The ``If-Match`` that names the version read: the ETag as the endpoint wrote it, else by ``meta.versionId``.

    ``None`` where neither can be sent.
    """
    tag = read.response.headers.get("ETag") if read.response else None
    if tag is not None and can_be_sent(tag):
        return tag
    meta = read.resource.get("meta") if isinstance(read.resource, dict) else None
    version_id = meta.get("versionId") if isinstance(meta, dict) else None
    named = f'W/"{version_id}"'
    return named if version_id is not None and can_be_sent(named) else None


def told(answer: Exchange) -> str:
    """What an answer says, in a few words: ``501 NOT_IMPLEMENTED``."""
    if answer.response is None:
        return answer.failure
    found = answer.outcome
    said = (found.spine_code or ", ".join(issue.code for issue in found.issues)) if found else ""
    return f"{answer.status} {said}".strip()


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a JSON array; none where it is no array."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def state_of(read: Exchange) -> State:
    """All that a read shows of a resource."""
    if read.response is None:
        return None, b"", None, None
    headers = read.response.headers
    return read.status, read.response.body, headers.get("ETag"), headers.get("Last-Modified")


def header(exchange: Exchange, name: str) -> str:
    """A field of the answer; empty where it is not there."""
    return (exchange.response.headers.get(name) or "") if exchange.response else ""


def body_of(exchange: Exchange) -> bytes:
    """The answer's body."""
    return exchange.response.body if exchange.response else b""


def tag_value(tag: str | None) -> str:
    """Return the version id in an entity tag, or the whole text if it is not an entity tag."""
    found = ETag.read(tag)
    return found.version_id if found else tag or ""


def version_in(exchange: Exchange) -> str:
    """``meta.versionId`` of the resource that came; empty where there is none."""
    return meta_in(exchange, "versionId")


def meta_in(exchange: Exchange, name: str) -> str:
    """A text of ``meta`` in the resource that came; empty where there is none."""
    found = exchange.resource
    meta = found.get("meta") if isinstance(found, dict) else None
    value = meta.get(name) if isinstance(meta, dict) else None
    return value if isinstance(value, str) else ""


def same_but_for_meta(left: Any, right: Any) -> bool:
    """Whether two resources have the same members; ``meta`` is left out, which endpoints may add to."""
    pair = [{name: value for name, value in each.items() if name != "meta"} for each in (left, right)]
    return json.same(*pair)
