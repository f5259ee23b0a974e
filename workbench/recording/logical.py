"""Logical names: stable names for what an endpoint writes differently in every run.

``LogicalNames`` translates responses to logical names, and requests back to the endpoint's own.

* A version of a resource is ``v1``, ``v2`` and so on, in the order in which the session met it.
* A resource that the session created is ``list-1``.
* The endpoint's base URL is ``BASE_URL``.
* Dates of the endpoint (``Date``, ``Last-Modified``, ``meta.lastUpdated``) count seconds from a given start.

Everything else stays unchanged. Each name stands for one value, so a request with logical names can be translated.
Only header fields that matter for an update are passed on (``RESPONSE_FIELDS``), not cookies or request ids.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

from workbench.errors import MalformedJSON
from workbench.exchange.message import Headers, Request, Response, http_date
from workbench.fhir import json
from workbench.fhir.resource import instant
from workbench.journal.redaction import Phrases

BASE_URL: Final = "http://recorded.invalid/fhir"
"""The base URL of every recorded session; no such host can exist (RFC 2606, *.invalid*)."""

RESPONSE_FIELDS: Final = frozenset(
    {"allow", "content-location", "content-type", "date", "etag", "last-modified", "location"}
    | {"preference-applied", "retry-after"}
)

_TAG = re.compile(r'"([^"]*)"')
_REFERENCE = re.compile(r"\b([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?")
_LONG_ID: Final = 8
"""Shorter ids, such as HAPI's numbers, are replaced only after a resource type or as a version."""

TypeAndId = tuple[str, str]
"""A resource type and a logical id; the id of a search or create is empty."""


class LogicalNames:
    """The names of one session. For one thread at a time."""

    def __init__(self, base_url: str, start: datetime) -> None:
        """Take the endpoint's own base URL, and the instant from which its dates are counted."""
        self._base_url = base_url
        self._start = start
        self._versions: dict[tuple[TypeAndId, str], str] = {}
        self._own_versions: dict[tuple[TypeAndId, str], str] = {}
        self._counted: Counter[TypeAndId] = Counter()
        self._ids: dict[TypeAndId, str] = {}
        self._own_ids: dict[TypeAndId, str] = {}
        self._created: Counter[str] = Counter()
        self._dates: dict[tuple[TypeAndId, str, datetime], datetime] = {}
        self._own_dates: dict[tuple[TypeAndId, str], datetime] = {}
        self._quotable = Phrases(r"[\w-]")
        self._quoted_names: dict[str, str] = {}
        """The latest name of each id and version that an OperationOutcome may quote."""
        self._responses = 0
        self._about: TypeAndId = ("", "")

    # --- responses: to logical names ---

    def response(self, method: str, target: TypeAndId, response: Response) -> Response:
        """Return a response in logical names; ``target`` is what the request to the endpoint was about."""
        self._responses += 1
        location = response.headers.get("Location") or ""
        found = list(_REFERENCE.finditer(location))
        if method == "POST" and response.status == 201 and found:
            target = (found[-1][1], found[-1][2])
            self._name_id(target)
        self._about = target
        tag = _TAG.search(response.headers.get("ETag") or "")
        body = self._body(response.body)
        fields = (
            (name, self._field(name.lower(), value, target, tag[1] if tag else ""))
            for name, value in response.headers.items()
            if name.lower() in RESPONSE_FIELDS
        )
        return Response(response.status, Headers(sorted(fields, key=lambda field: field[0].lower())), body)

    def _field(self, name: str, value: str, target: TypeAndId, version: str) -> str:
        match name:
            case "etag":
                return _TAG.sub(lambda found: f'"{self._version(target, found[1])}"', value)
            case "date":
                return format_datetime(self._start + timedelta(seconds=self._responses), usegmt=True)
            case "last-modified":
                moment = http_date(value)
                return value if moment is None else format_datetime(self._date(target, version, moment), usegmt=True)
            case "location" | "content-location":
                return self._text(value)
        return value

    def _body(self, body: bytes) -> bytes:
        try:
            resource = self._walk(json.parse(body), "", ()) if body else None
        except MalformedJSON:
            return body
        if isinstance(resource, dict) and resource.get("resourceType") == "OperationOutcome":
            resource.pop("id", None)  # a server may give each OperationOutcome a new id, and none refers to it
        return json.dumps(resource).encode() if body else body

    def _walk(self, node: Any, kind: str, target: TypeAndId | tuple[()]) -> Any:
        if isinstance(node, list):
            return [self._walk(item, kind, target) for item in node]
        if isinstance(node, str):
            return self._outcome_text(self._text(node)) if kind == "OperationOutcome" else self._text(node)
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("resourceType"), str):
            kind = node["resourceType"]
            target = (kind, node["id"]) if isinstance(node.get("id"), str) else ()
            meta = node.get("meta")
            walked = {name: self._walk(value, kind, ()) for name, value in node.items()}
            if target:
                walked["id"] = self._ids.get(target, node["id"])
            if target and isinstance(meta, dict):
                walked["meta"] = self._meta(walked["meta"], meta, target)
            return walked
        return {name: self._walk(value, kind, ()) for name, value in node.items()}

    def _meta(self, walked: dict[str, Any], meta: dict[str, Any], target: TypeAndId) -> dict[str, Any]:
        version, updated = meta.get("versionId"), meta.get("lastUpdated")
        if isinstance(version, str):
            walked["versionId"] = self._version(target, version)
        if isinstance(updated, str):
            with suppress(ValueError, OverflowError):  # what is no date, or too late to be written in UTC, stays
                moment = datetime.fromisoformat(updated)
                walked["lastUpdated"] = instant(self._date(target, str(version), moment))
        return walked

    def _version(self, target: TypeAndId, version: str) -> str:
        key = (target, version)
        if key not in self._versions:
            self._counted[target] += 1
            name = f"v{self._counted[target]}"
            self._versions[key] = name
            self._own_versions[(target, name)] = version
            self._add_quotable(version, name)
        return self._versions[key]

    def _name_id(self, target: TypeAndId) -> None:
        if target not in self._ids:
            kind = target[0]
            self._created[kind] += 1
            name = f"{kind.lower()}-{self._created[kind]}"
            self._ids[target] = name
            self._own_ids[(kind, name)] = target[1]
            self._add_quotable(target[1], name)

    def _add_quotable(self, real: str, name: str) -> None:
        if len(real) >= _LONG_ID:
            self._quotable.add(real, real)
            self._quoted_names[real] = name

    def _date(self, target: TypeAndId, version: str, moment: datetime) -> datetime:
        """Return the logical date of a version; the endpoint's speed within a second does not matter."""
        second = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
        named = self._dates.setdefault((target, version, second), self._start + timedelta(seconds=len(self._dates)))
        self._own_dates.setdefault((target, format_datetime(named, usegmt=True)), second)
        return named

    def _text(self, text: str) -> str:
        """Return a text with the base URL, and the ids and versions of references, in logical names."""
        return _REFERENCE.sub(self._reference, text.replace(self._base_url, BASE_URL))

    def _reference(self, found: re.Match[str]) -> str:
        target = (found[1], found[2])
        named = f"{found[1]}/{self._ids.get(target, found[2])}"
        return f"{named}/_history/{self._version(target, found[3])}" if found[3] else named

    def _outcome_text(self, text: str) -> str:
        """Return a text of an OperationOutcome in logical names; versions of the requested resource come first."""
        return self._quotable.replace(
            text, lambda real: self._versions.get((self._about, real), self._quoted_names[real])
        )

    # --- requests: to the endpoint's names ---

    def request(self, request: Request, target: TypeAndId) -> tuple[Request, TypeAndId]:
        """Return a request in the endpoint's own names, and the type and id it is about there."""
        real = (target[0], self._own_ids.get(target, target[1]))

        def own_reference(found: re.Match[str]) -> str:
            about = (found[1], self._own_ids.get((found[1], found[2]), found[2]))
            own = f"{about[0]}/{about[1]}"
            return f"{own}/_history/{self._own_version(about, found[3])}" if found[3] else own

        def text(value: str) -> str:
            return _REFERENCE.sub(own_reference, value.replace(BASE_URL, self._base_url))

        headers = Headers((name, self._own_field(name, value, real)) for name, value in request.headers.items())
        return Request(request.method, text(request.url), headers, self._own_body(request.body, text)), real

    def _own_field(self, name: str, value: str, target: TypeAndId) -> str:
        if name.lower() in ("if-match", "if-none-match"):
            return _TAG.sub(lambda found: f'"{self._own_version(target, found[1])}"', value)
        if name.lower() == "if-modified-since" and (target, value) in self._own_dates:
            return format_datetime(self._own_dates[(target, value)], usegmt=True)
        return value

    def _own_version(self, target: TypeAndId, name: str) -> str:
        return self._own_versions.get((target, name), name)

    def _own_body(self, body: bytes, text: Callable[[str], str]) -> bytes:
        """Return the body with the endpoint's own references; without references it stays byte for byte the same."""
        try:
            content = json.parse(body) if body else None
        except MalformedJSON:
            return body
        own = _own_names(content, text, self._own_ids)
        return body if json.same(own, content) else json.dumps(own).encode()


def _own_names(node: Any, text: Callable[[str], str], ids: dict[TypeAndId, str]) -> Any:
    if isinstance(node, list):
        return [_own_names(item, text, ids) for item in node]
    if not isinstance(node, dict):
        return text(node) if isinstance(node, str) else node
    own = {name: _own_names(value, text, ids) for name, value in node.items()}
    about = (node.get("resourceType"), node.get("id"))
    return own | {"id": ids[about]} if about in ids else own
