"""A model of a Spine endpoint: a policy, and a dictionary of resources. ``explore`` compares endpoints with it.

``Model.check`` takes each exchange in the order of sending. It works out which answers the contract allows, compares
the answer, and remembers what the endpoint now stores. The endpoint chooses ids, versions and dates; the model
learns them from the first answer that shows them, and expects them from then on.

The model shares no code with the embedded endpoint, so a mistake in one does not hide the same mistake in the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from workbench.conformance.comparison import Comparison, Disagreement
from workbench.conformance.responses import created_path, header, json_object, json_objects, summary
from workbench.conformance.rules import Policy
from workbench.exchange.message import Exchange, http_date
from workbench.fhir import json
from workbench.fhir.resource import version_of, without_version

_TAG: Final = re.compile(r'W/"([A-Za-z0-9\-.]{1,64})"')
_MALFORMED: Final = {
    "bare": re.compile(r"[A-Za-z0-9\-.]+"),
    "strong": re.compile(r'"[^"]*"'),
    "unquoted": re.compile(r'W/[^"]+'),
    "small-letter": re.compile(r'w/"[^"]*"'),
    "star": re.compile(r"\*"),
    "empty": re.compile(""),
}
"""The forms of an ``If-Match`` that is malformed (UPD-8); any other is a list."""


@dataclass(slots=True)
class Known:
    """What the model knows about one resource. ``content`` is ``None`` once it is deleted.

    ``etags`` are all that it ever had; the last is the current one, empty until an answer shows it. ``exact``:
    whether ``content`` is known. ``refused``: whether the last write about it was refused.
    """

    content: dict[str, Any] | None
    etags: list[str] = field(default_factory=list)
    last_modified: str = ""
    exact: bool = True
    refused: bool = False


class Model:
    """What an endpoint that keeps the policy stores, by ``Type/id``, after the exchanges checked so far."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._compare = Comparison(policy)
        self.known: dict[str, Known] = {}

    def check(self, exchange: Exchange, fault: str = "") -> None:
        """Compare one exchange with what is allowed, and learn from it; raises ``Disagreement``.

        ``fault`` names the rule that its body breaks; empty for a valid body.
        """
        if exchange.response is None or exchange.failure:
            raise Disagreement("answered", "an answer", exchange.failure)
        method, path = exchange.request.method, exchange.request.url.partition("?")[0]
        if method == "GET" and path.endswith("/_history"):
            self._check_status(exchange, ["history-of-a-resource"], "history-of-a-resource")
        elif method == "GET" and not exchange.logical_id:
            self._check_search(exchange)
        elif method == "GET":
            self._check_read(exchange)
        elif method == "DELETE":
            self._check_delete(exchange)
        elif method == "PUT":
            self._check_update(exchange, fault)
        else:
            self._check_create(exchange, fault)

    # --- the four interactions with a resource, and the search ---

    def _check_update(self, exchange: Exchange, fault: str) -> None:
        known = self.known.get(exchange.target)
        broken, late = self._broken_by_lock(exchange, known)
        if fault == "codes-415":
            broken.insert(0, fault)
        elif fault:
            broken.append(fault)
        if exchange.request.headers.get("If-None-Match") == "*" and known and known.content is not None:
            broken.append("if-none-match-star")
        if known is None:
            broken.append("unknown-id")
        elif known.content is None:
            broken.append("deleted")
        if self._check_status(exchange, [*broken, *late], "update"):
            self._learn(exchange, exchange.target, fault)
        elif known:
            known.refused = True

    def _check_delete(self, exchange: Exchange) -> None:
        known = self.known.get(exchange.target)
        broken, late = self._broken_by_lock(exchange, known)
        broken = ["delete-missing"] if broken else []
        if known is None or known.content is None:
            broken.append("delete-deleted" if known else "read-unknown")
        if self._check_status(exchange, [*broken, *(["delete-stale"] if late else [])], "delete"):
            if known:
                known.content = None
        elif known:
            known.refused = True

    def _check_create(self, exchange: Exchange, fault: str) -> None:
        if self._check_status(exchange, [fault] if fault else [], "create"):
            path = created_path(exchange)
            self._compare.agree("create-headers", path is not None, "a Location", "none that names the resource")
            if path:
                self._learn(exchange, path, fault)

    def _check_read(self, exchange: Exchange) -> None:
        known, fields = self.known.get(exchange.target), exchange.request.headers
        if known is None or known.content is None:
            self._check_status(exchange, ["read-deleted" if known else "read-unknown"], "read")
            return
        current = known.etags[-1]
        if (if_match := fields.get("If-Match")) not in (None, current):
            self._check_status(exchange, ["if-match-on-read"], "read")
            return
        since, tags = http_date(fields.get("If-Modified-Since")), fields.get("If-None-Match")
        last = http_date(known.last_modified)
        expected = "read" if since or "If-Modified-Since" not in fields else "unusable-date"
        if tags is not None:
            is_same = tags == "*" or re.sub("^W/", "", current) in re.findall(r'"[^"]*"', tags)
            expected = "if-none-match" if is_same else "read"
        elif since and last and last <= since:
            expected = "if-modified-since"
        self._check_status(exchange, [], expected)
        if exchange.status == 304:
            self._compare.agree(expected, not exchange.response.body, "no body", "a body")  # type: ignore[union-attr]
            self._compare.agree(
                expected, (etag := header(exchange, "ETag")) == current, f"the ETag {current}", etag or "no ETag"
            )
        elif exchange.status == 200:
            self._check_shown(exchange, known, "a read")
        if exchange.status in (200, 304) and if_match is None:
            self._compare.readable(exchange)

    def _check_search(self, exchange: Exchange) -> None:
        path = f"{exchange.resource_type}/{exchange.request.url.rpartition('=')[2]}"
        known = self.known.get(path)
        self._check_status(exchange, [], "search-by-id")
        if exchange.status != 200:
            return
        found = [
            json_object(entry.get("resource")) for entry in json_objects(json_object(exchange.resource).get("entry"))
        ]
        versions = [f'W/"{version_of(resource)}"' for resource in found]
        expected = [known.etags[-1]] if known and known.content is not None else []
        self._compare.agree("search-after-update", versions == expected, f"the versions {expected}", str(versions))
        self._compare.readable(exchange)

    # --- what may be answered ---

    def _broken_by_lock(self, exchange: Exchange, known: Known | None) -> tuple[list[str], list[str]]:
        """Return the rules that ``If-Match`` breaks: those judged before the body, and the stale version after it."""
        value = exchange.if_match
        if value is None:
            return ["missing"], []
        found, etags = _TAG.fullmatch(value), known.etags if known else []
        form = next((name for name, shape in _MALFORMED.items() if shape.fullmatch(value)), "list")
        early = [] if found else [f"malformed-{form}"]
        if form == "star" or (
            etags and etags[-1].partition('"')[2].rstrip('"') in re.findall(r"[A-Za-z0-9\-.]+", value)
        ):
            return early, []
        elsewhere = any(value in other.etags for other in self.known.values())
        stale = "stale-previous" if value in etags else "stale-foreign" if elsewhere else "stale-made-up"
        return early, [stale]

    def _check_status(self, exchange: Exchange, broken: Sequence[str], success: str) -> bool:
        """Compare the status and what a refusal carries; return whether the request was accepted."""
        rules = broken[:1] if self.policy.in_order else broken
        status, wanted = exchange.status or 0, {rule: self.policy.status(rule) for rule in rules or [success]}
        if None not in wanted.values():
            allowed = {number for number in wanted.values() if number}
            if any(number < 300 for number in allowed):  # this server accepts what breaks the rule
                allowed |= {self.policy.status(success) or status}
            if status not in allowed:
                names = " or ".join(map(str, sorted(allowed)))
                raise Disagreement(next(iter(wanted)), names, summary(exchange))
        if status >= 400:
            self._compare.refusal(exchange)
        return 200 <= status < 300

    # --- what an accepted write and a read show ---

    def _learn(self, exchange: Exchange, path: str, fault: str) -> None:
        """Compare the headers and the body of an accepted write, and remember what is stored now."""
        sent = without_version(json_object(_parsed(exchange.request.body)))
        known = self.known.setdefault(path, Known(None))
        created = exchange.request.method == "POST"
        etag, modified = header(exchange, "ETag"), header(exchange, "Last-Modified")
        location = header(exchange, "Location")
        for name, is_right, observed in (
            ("etag", bool(_TAG.fullmatch(etag)), etag),
            ("last-modified", http_date(modified) is not None, modified),
            ("location", location.startswith("http") and location.endswith(f"/{path}"), location),
        ):
            rule = "create-headers" if created else f"update-{name}"
            self._compare.agree(rule, is_right, f"a usable {name}", observed or f"no {name}")
        is_same = _stored(sent, known.content or {}) if known.exact else True
        if etag and not (is_same and not self.policy.holds("identical-content")):
            self._compare.agree("versions-are-new", etag not in known.etags, "a new version", f"{etag} again")
        if etag not in known.etags[-1:]:
            known.etags.append(etag)
        # A faulty body that was accepted may be stored with or without its fault.
        known.content, known.last_modified, known.exact, known.refused = sent, modified, not fault, False
        if created:
            known.content = sent | {"id": path.partition("/")[2]}
        self._compare.accepted_body(exchange)
        if json_object(exchange.resource).get("resourceType") == exchange.resource_type:
            self._check_shown(exchange, known, "the representation")

    def _check_shown(self, exchange: Exchange, known: Known, where: str) -> None:
        """Compare a resource with what is known about it: its version, its date and its content."""
        resource, etag = json_object(exchange.resource), header(exchange, "ETag")
        modified, rule = header(exchange, "Last-Modified"), "refusal-makes-no-version" if known.refused else ""
        known.etags[-1] = known.etags[-1] or etag
        known.last_modified = known.last_modified or modified
        current, version = known.etags[-1], f'W/"{version_of(resource)}"'
        after = " after a refusal" if known.refused else ""
        shown = f"in {where}{after}"
        self._compare.agree(rule or "read", etag == current, f"the ETag {current}", f"{etag or 'none'} {shown}")
        self._compare.agree("read", version == etag, f"meta.versionId as in {etag}", version)
        kept, last = modified == known.last_modified, known.last_modified
        self._compare.agree(rule or "read-last-modified", kept, last, f"{modified} {shown}")
        if known.exact and known.content is not None:
            self._compare.content(without_version(resource), known.content, rule, f"{where}{after}")
        known.refused = False


def _stored(sent: dict[str, Any], content: dict[str, Any]) -> bool:
    return json.dumps(sent | {"id": ""}) == json.dumps(content | {"id": ""})


def _parsed(body: bytes) -> Any:
    try:
        return json.parse(body)
    except ValueError:
        return None
