"""The endpoint itself: a request in, an answer out, and nothing of the transport in between.

Decides with ``rules.update``, changes what is stored with one compare-and-swap. Holds no state of its
own, so any number of threads and processes may share a database. The clock, the ids of created resources
and what the headers must say are handed in.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode

from workbench.clock import Clock
from workbench.endpoint import examples, search
from workbench.endpoint import policy as update
from workbench.endpoint.capability import statement
from workbench.endpoint.policy import Policy, Refusal
from workbench.endpoint.preference import WRITTEN, Return, preferred_return, unacceptable
from workbench.endpoint.request import BASE_PATH, CAPABILITIES, SEARCH, Call, is_form, taken_apart
from workbench.endpoint.store import Page, Store, Stored
from workbench.endpoint.validation import validate
from workbench.endpoint.versions import SHAPE
from workbench.exchange.message import Headers, Request, Response
from workbench.fhir import json, outcome
from workbench.fhir.outcome import Issue
from workbench.fhir.resource import instant, stamped

_log = logging.getLogger(__name__)

Gate = Callable[[Call], Refusal | None]
"""What a call must pass before anything else is looked at: strict mode's headers, or nothing."""


def open_gate(_call: Call) -> None:
    """Let every call through."""


class Application:
    """One endpoint: where it is, what it stores, by which policy."""

    def __init__(
        self,
        store: Store,
        *,
        base_url: str,
        policy: Policy,
        clock: Clock,
        new_id: Callable[[], str],
        gate: Gate = open_gate,
    ) -> None:
        self._store = store
        self._base_url = base_url.rstrip("/")
        self._policy = policy
        self._clock = clock
        self._new_id = new_id
        self._gate = gate

    def close(self) -> None:
        """Let go of the database."""
        self._store.close()

    def answer(self, request: Request) -> Response:
        """The answer to any request whatever; never raises, never shows its insides (ERR-4)."""
        now = self._clock()
        try:
            answer = self._route(taken_apart(request, now))
        except Exception:  # noqa: BLE001  # whatever it is, the client gets an OperationOutcome
            _log.exception("unforeseen error on %s", request.method)
            words = "something unforeseen went wrong in the endpoint; the request may not have been carried out."
            answer = Refusal.because(500, "processing", "INTERNAL_SERVER_ERROR", words)
        return refused(answer, now) if isinstance(answer, Refusal) else answer

    def health(self) -> Response:
        """200 while the database answers, 503 when it does not; for whoever watches over the service."""
        try:
            self._store.ping()
        except Exception:  # noqa: BLE001  # that it fails is the answer
            _log.exception("the database does not answer")
            return refused(update.unavailable("the database does not answer."), self._clock())
        return Response(200, Headers([("Content-Type", "application/json")]), b'{"status":"pass"}')

    def reset(self) -> None:
        """Return to the start: the stories as they are told, and nothing else (their ids and versions included)."""
        self._store.reset(examples.rows())

    def _route(self, call: Call) -> Response | Refusal:
        refusal = self._gate(call)
        if refusal:
            return refusal
        if call.steps is None:
            return update.no_record(f"there is nothing here; resources are under {BASE_PATH}/.")
        if call.interaction is None:
            path = call.request.url.partition("?")[0]
            return update.not_implemented(f"{call.request.method} {path[:200]} is not in the CapabilityStatement.")
        if call.refusal:
            return call.refusal
        if call.interaction == CAPABILITIES:
            return _not_acceptable(call) or self._capabilities(call)
        return _not_understood(call) or _SERVES[call.interaction](self, call)

    def _capabilities(self, call: Call) -> Response:
        return _respond(200, call.now, body=_written(statement(self._base_url, self._policy)))

    def _read(self, call: Call) -> Response | Refusal:
        stored = self._store.read(call.resource_type, call.logical_id)
        if stored is None:
            return update.no_record(f"there is no {call.resource_type} with the id {call.logical_id}.")
        if stored.body is None:
            return update.deleted(call.resource_type, call.logical_id)
        if _not_modified(call, stored):
            return _respond(304, call.now, stored)
        return _respond(200, call.now, stored, body=stored.body)

    def _search(self, call: Call) -> Response | Refusal:
        if call.request.method == "POST" and not is_form(call.request):
            return update.unsupported(415, "a search that is sent by POST is application/x-www-form-urlencoded.")
        query = search.read_query(call.parameters)
        if isinstance(query, Refusal):
            return query
        page = self._store.search(call.resource_type, query)
        base = f"{self._base_url}/{call.resource_type}"
        links = [("self", call.parameters)]
        if page.more and page.found:
            last_id, last = page.found[-1]
            begins = search.place(last.last_updated, last_id)
            links.append(("next", [(name, value) for name, value in call.parameters if name != begins[0]] + [begins]))
        return _respond(200, call.now, body=_searchset(base, links, page))

    def _create(self, call: Call) -> Response | Refusal:
        checked = update.check_create(
            call.resource_type, call.header("Content-Type"), call.request.body, validate=validate
        )
        if isinstance(checked, Refusal):
            return checked
        while True:
            logical_id = self._new_id()
            version_id = self._store.versions.first(f"{call.resource_type}/{logical_id}")
            new = _stored(checked.resource, logical_id, version_id, call.now)
            if self._store.insert(call.resource_type, logical_id, new):
                return self._accepted(201, call, f"{call.resource_type}/{logical_id}", new)

    def _update(self, call: Call) -> Response | Refusal:
        checked = update.check_update(
            call.resource_type,
            call.logical_id,
            if_match=call.header("If-Match"),
            content_type=call.header("Content-Type"),
            body=call.request.body,
            policy=self._policy,
            validate=validate,
        )
        if isinstance(checked, Refusal):
            return checked
        resource = checked.resource
        new = self._swap(call, checked.expected, lambda version: _stored(resource, call.logical_id, version, call.now))
        if new is None:
            return update.may_not_assign(
                f"{call.logical_id} is not the id of a {call.resource_type} here, and clients may not assign ids; "
                "create it with POST."
            )
        return new if isinstance(new, Refusal) else self._accepted(200, call, call.name, new)

    def _delete(self, call: Call) -> Response | Refusal:
        lock = update.check_lock(call.header("If-Match"), self._policy)
        if isinstance(lock, Refusal):
            return lock
        gone = self._swap(call, lock, lambda version: Stored(version, instant(call.now), None))
        if gone is None:
            return update.no_record(f"there is no {call.resource_type} with the id {call.logical_id}.")
        return gone if isinstance(gone, Refusal) else _respond(204, call.now)

    def _swap(self, call: Call, expected: str | None, made: Callable[[str], Stored]) -> Stored | Refusal | None:
        """Replace version ``expected`` by what ``made`` makes of the next version id; ``None``: never assigned.

        Without a lock (``expected`` is ``None``) the current version is looked up and replaced whatever
        it is, and if somebody is quicker, again: what they wrote is overwritten, and that is the point.
        """
        target = (call.resource_type, call.logical_id)
        locked = expected is not None
        while True:
            if expected is not None and SHAPE.fullmatch(expected):
                new = made(self._store.versions.after(call.name, expected))
                if self._store.swap(*target, expected, new):
                    return new
            found = self._store.read(*target)
            if found is None:
                return None
            if found.body is None:
                return update.deleted(*target)
            if locked and expected is not None and (refusal := update.stale(self._policy, expected, found.version_id)):
                return refusal
            expected = found.version_id

    def _accepted(self, status: int, call: Call, name: str, new: Stored) -> Response:
        """The answer to an accepted write, as ``Prefer`` would have it (PRF-1 to PRF-4)."""
        wanted = preferred_return(call.header("Prefer"))
        body = new.body or b"" if wanted is Return.REPRESENTATION else b""
        if wanted is Return.OPERATION_OUTCOME:
            code = "RESOURCE_CREATED" if status == 201 else "RESOURCE_UPDATED"
            done = f"{name} is now at version {new.version_id}."
            body = _written(outcome.build([Issue("information", "informational", code, "", done)]))
        return _respond(status, call.now, new, body=body, location=f"{self._base_url}/{name}")


_SERVES: Final[Mapping[str, Callable[[Application, Call], Response | Refusal]]] = {
    SEARCH: Application._search,
    "create": Application._create,
    "read": Application._read,
    "update": Application._update,
    "delete": Application._delete,
}
"""The interactions of the CapabilityStatement, to what serves them."""


def refused(refusal: Refusal, now: datetime) -> Response:
    """A refusal as an answer: its status and its OperationOutcome (ERR-1)."""
    return _respond(refusal.status, now, body=_written(outcome.build(refusal.issues)))


def _not_understood(call: Call) -> Refusal | None:
    """What every interaction refuses: an id that is none, a format, a parameter or a condition not offered."""
    if call.header("If-None-Exist") is not None:
        return update.not_implemented("If-None-Exist asks for a conditional create, which is not offered.")
    searching = call.interaction == SEARCH
    stray = [name for name, _ in call.parameters if name != "_format" and not searching]
    return (
        (update.check_id(call.logical_id) if len(call.steps or ()) == 2 and not searching else None)
        or _not_acceptable(call)
        or (update.bad_request(f"the parameter {update.quoted(stray[0])} means nothing here.") if stray else None)
    )


def _not_acceptable(call: Call) -> Refusal | None:
    # What a body is written in is judged with the body (415); here only what may come back.
    content_type = None if call.request.method in ("PUT", "POST") else call.header("Content-Type")
    asked = unacceptable(dict(call.parameters).get("_format"), call.header("Accept"), content_type)
    return update.unsupported(406, f"{asked[:200]} was asked for; this endpoint writes FHIR JSON.") if asked else None


def _not_modified(call: Call, stored: Stored) -> bool:
    """Whether the client holds this version: ``If-None-Match`` wins over ``If-Modified-Since`` (RD-2, RD-3)."""
    tags = call.header("If-None-Match")
    if tags is not None:
        return tags.strip() == "*" or stored.version_id in re.findall(r'"([^"]*)"', tags)
    try:
        held = parsedate_to_datetime(call.header("If-Modified-Since") or "")
    except (ValueError, OverflowError):
        return False  # a date that is none is no condition (RFC 9110, 13.1.3)
    last = datetime.fromisoformat(stored.last_updated).replace(microsecond=0)
    return last <= (held if held.tzinfo else held.replace(tzinfo=UTC))


def _respond(
    status: int, now: datetime, stored: Stored | None = None, *, body: bytes = b"", location: str = ""
) -> Response:
    fields = [("Date", _http_date(now))]
    if stored:
        fields.append(("Last-Modified", _http_date(datetime.fromisoformat(stored.last_updated))))
        fields.append(("ETag", f'W/"{stored.version_id}"'))
    if location:
        fields.append(("Location", location))
    if body:
        fields.append(("Content-Type", WRITTEN))
    return Response(status, Headers(fields), body)


def _stored(resource: dict[str, Any], logical_id: str, version_id: str, now: datetime) -> Stored:
    return Stored(version_id, instant(now), _written(stamped(resource, version_id, now, logical_id=logical_id)))


def _searchset(base: str, links: Sequence[tuple[str, Sequence[tuple[str, str]]]], page: Page) -> bytes:
    """A searchset Bundle (SR-1); the resources go in as the bytes they are stored in, so nothing can change."""
    head: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": page.total}
    head["link"] = [
        {"relation": relation, "url": f"{base}?{urlencode(parameters)}" if parameters else base}
        for relation, parameters in links
    ]
    entries = [
        f'{{"fullUrl":{json.dumps(f"{base}/{logical_id}")},"resource":'.encode()
        + (stored.body or b"null")
        + b',"search":{"mode":"match"}}'
        for logical_id, stored in page.found
    ]
    return _written(head)[:-1] + (b',"entry":[' + b",".join(entries) + b"]" if entries else b"") + b"}"


def _written(resource: dict[str, Any]) -> bytes:
    return json.dumps(resource).encode()


def _http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)
