"""The endpoint as a function: a request in, a response out, without any transport.

``policy`` decides, and one compare-and-swap of the store changes a resource. The application keeps no state of its
own, so any number of threads and processes may share a database. ``build_application`` makes one from settings.
"""

from __future__ import annotations

import functools
import gzip
import logging
import random
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode

from workbench.clock import Clock, LessonClock, wall_clock
from workbench.endpoint import examples, policy
from workbench.endpoint.faults import Faults
from workbench.endpoint.policy import POLICIES, Lock, Policy, Refusal
from workbench.endpoint.request import (
    BASE_PATH,
    CAPABILITIES,
    SEARCH,
    TYPES,
    WRITTEN,
    Return,
    RoutedRequest,
    accepts_gzip,
    allowed_methods,
    is_form,
    next_page,
    preferred_return,
    read_query,
    route,
    search_parameters,
    unacceptable,
)
from workbench.endpoint.search import index
from workbench.endpoint.settings import ASID, Settings
from workbench.endpoint.store import VERSION_ID, Page, Store, Stored
from workbench.errors import BadInput
from workbench.exchange.message import Headers, Request, Response
from workbench.fhir import json, outcome
from workbench.fhir.outcome import Issue
from workbench.fhir.printable import quoted
from workbench.fhir.resource import instant, stamped

FHIR_VERSION: Final = "3.0.2"

_WRITES: Final = ("create", "update", "delete")

_REVALIDATION: Final = (("Cache-Control", "no-cache"), ("Vary", "Accept, Accept-Encoding"))
"""The fields that make a cache ask again before each use (RD-5; RFC 9111, 5.2.2.4).

A client that reads again after a 409 must not get the stale version from a cache. ``Vary`` is the same on every
response to a URL (RFC 9110, 12.5.5).
"""

_HEALTH_SECONDS: Final = 5
"""``Retry-After`` while the database does not answer."""

_SMALLEST_GZIP: Final = 256
"""Bytes below which compression costs more than it saves."""

_log = logging.getLogger(__name__)


class Application:
    """One endpoint: its base URL, its store and its policy. The clock and the sources of ids are arguments.

    ``new_id`` makes the ids of resources, and ``new_outcome_id`` those of OperationOutcomes. ``strict`` checks Spine's
    headers before anything else.
    """

    def __init__(
        self,
        store: Store,
        *,
        base_url: str,
        policy: Policy,
        clock: Clock,
        new_id: Callable[[], str],
        new_outcome_id: Callable[[], str],
        strict: bool = False,
    ) -> None:
        self._store = store
        self._base_url = base_url.rstrip("/")
        self._policy = policy
        self._clock = clock
        self._new_id = new_id
        self._new_outcome_id = new_outcome_id
        self._strict = strict

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def answer(self, request: Request) -> Response:
        """Return the response to any request; never raises, and never shows internals (ERR-4)."""
        routed = route(request, self._clock())
        try:
            response = self._handle(routed)
        except Refusal as refusal:
            response = self.refuse(refusal, routed.now)
        except Exception:  # noqa: BLE001  # every request gets an OperationOutcome
            _log.exception("unforeseen error on %s", request.method)
            words = "something unforeseen went wrong in the endpoint; the request may not have been carried out."
            response = self.refuse(policy.UNFORESEEN.because(words), routed.now)
        if response.status == 405:
            response = _with_fields(response, ("Allow", allowed_methods(routed)))
        return response if routed.interaction in _WRITES else _with_fields(response, *_REVALIDATION)

    def refuse(self, refusal: Refusal, now: datetime) -> Response:
        """Return a refusal as a response, with an id of this endpoint's source (ERR-5)."""
        return refused(refusal, now, self._new_outcome_id())

    def out_of_service(self, seconds: float) -> Response:
        """Return the response of the fault ``refuse``: 503 with ``Retry-After``."""
        refusal = policy.UNAVAILABLE.because("a fault was switched on; nothing was done.", retry_after=seconds)
        return self.refuse(refusal, wall_clock())

    def health(self) -> Response:
        """Return 200 while the database responds, else 503; for the monitoring of a service."""
        try:
            self._store.ping()
        except Exception:  # noqa: BLE001  # any error means that the database does not respond
            _log.exception("the database does not answer")
            refusal = policy.UNAVAILABLE.because("the database does not answer.", retry_after=_HEALTH_SECONDS)
            return self.refuse(refusal, wall_clock())
        # Not the clock of a lesson: a check of its health does not change the times of a lesson.
        fields = [
            ("Date", _http_date(wall_clock())),
            ("Cache-Control", "no-cache"),
            ("Content-Type", "application/json"),
        ]
        return Response(200, Headers(fields), b'{"status":"pass"}')

    def reset(self) -> None:
        """Restore the example resources at their first versions, and delete everything else."""
        self._store.reset(examples.rows())

    def _handle(self, request: RoutedRequest) -> Response:
        if self._strict:
            _check_spine_headers(request)
        if request.segments is None:
            raise policy.NO_RECORD.because(f"there is nothing here; resources are under {BASE_PATH}/.")
        if request.interaction is None:
            path = request.request.url.partition("?")[0]
            raise policy.NOT_IMPLEMENTED.because(
                f"{request.request.method} {path[:200]} is not in the CapabilityStatement."
            )
        _check_options(request)
        return _HANDLERS[request.interaction](self, request)

    def _capabilities(self, request: RoutedRequest) -> Response:
        return _respond(200, request.now, body=_dump(capability_statement(self._base_url, self._policy)))

    def _read(self, request: RoutedRequest) -> Response:
        stored = self._store.read(request.resource_type, request.logical_id)
        if stored is None:
            raise _not_found(request)
        if stored.body is None:
            raise _deleted(request)
        tags = request.header("If-Match")
        if tags is not None and not _names_version(tags, stored.version_id):
            raise policy.NO_PRECONDITION.because(
                f'If-Match is {quoted(tags)}, but the current version is W/"{stored.version_id}".'
            )
        if _not_modified(request, stored):
            return _respond(304, request.now, stored)
        return _respond(200, request.now, stored, body=stored.body)

    def _search(self, request: RoutedRequest) -> Response:
        if request.request.method == "POST" and not is_form(request.request):
            raise policy.UNSUPPORTED.because("a search that is sent by POST is application/x-www-form-urlencoded.")
        query = read_query(request.parameters, request.resource_type, self._base_url)
        page = self._store.search(request.resource_type, query)
        links = {"self": request.parameters}
        if page.more and page.found:
            last_id, last = page.found[-1]
            links["next"] = next_page(request.parameters, last.last_updated, last_id)
        return _respond(200, request.now, body=_searchset(f"{self._base_url}/{request.resource_type}", links, page))

    def _create(self, request: RoutedRequest) -> Response:
        resource = policy.check_create(
            request.resource_type,
            content_type=request.header("Content-Type"),
            content_encoding=request.header("Content-Encoding"),
            body=request.request.body,
            validate=_validate,
        )
        while True:
            logical_id = self._new_id()
            name = f"{request.resource_type}/{logical_id}"
            new = _stored(resource, logical_id, self._store.versions.first(name), request.now)
            if self._store.insert(request.resource_type, logical_id, new):
                return self._accepted(201, request, name, new)

    def _update(self, request: RoutedRequest) -> Response:
        resource, expected = policy.check_update(
            request.resource_type,
            request.logical_id,
            if_match=request.header("If-Match"),
            content_type=request.header("Content-Type"),
            content_encoding=request.header("Content-Encoding"),
            body=request.request.body,
            policy=self._policy,
            validate=_validate,
        )

        def build(version_id: str) -> Stored:
            return _stored(resource, request.logical_id, version_id, request.now)

        new = self._swap(request, expected, build)
        if new is None:
            raise policy.MAY_NOT_ASSIGN.because(
                f"{request.logical_id} is not the id of a {request.resource_type} here, and clients may not assign "
                "ids; create it with POST."
            )
        return self._accepted(200, request, request.name, new)

    def _delete(self, request: RoutedRequest) -> Response:
        expected = policy.check_lock(request.header("If-Match"), self._policy)
        if self._swap(request, expected, lambda version_id: Stored(version_id, instant(request.now), None)) is None:
            raise _not_found(request)
        return _respond(204, request.now)

    def _swap(self, request: RoutedRequest, expected: str | None, build: Callable[[str], Stored]) -> Stored | None:
        """Replace version ``expected`` by what ``build`` makes of the next version id.

        Return ``None`` if the id was never assigned. Without a lock (``expected`` is ``None``) replace the current
        version, and try again if another write comes between: the last write wins. A version that ``If-None-Match``
        names is not replaced; ``*`` names each (UPD-15).
        """
        target = (request.resource_type, request.logical_id)
        excluded = request.header("If-None-Match") or ""
        locked = expected
        while True:
            if expected is not None and VERSION_ID.fullmatch(expected) and not _names_version(excluded, expected):
                new = build(self._store.versions.after(request.name, expected))
                if self._store.swap(*target, expected, new):
                    return new
            found = self._store.read(*target)
            if found is None:
                return None
            if found.body is None:
                raise _deleted(request)
            if _names_version(excluded, found.version_id):
                raise policy.NO_PRECONDITION.because(
                    f"If-None-Match is {quoted(excluded)}, but {request.name} exists, at version "
                    f'W/"{found.version_id}"; nothing was changed.'
                )
            if locked is not None:
                self._policy.check(
                    Lock.STALE,
                    f'If-Match names version {locked}, but the current version is W/"{found.version_id}"; '
                    "nothing was changed.",
                )
            expected = found.version_id

    def _accepted(self, status: int, request: RoutedRequest, name: str, new: Stored) -> Response:
        """Return the response to an accepted write, with the body that ``Prefer`` asks for (PRF-1 to PRF-4)."""
        wanted = preferred_return(request.header("Prefer"))
        body = b""
        if wanted is Return.REPRESENTATION:
            body = new.body or b""
        elif wanted is Return.OPERATION_OUTCOME:
            code = "RESOURCE_CREATED" if status == 201 else "RESOURCE_UPDATED"
            done = f"{name} is now at version {new.version_id}."
            issue = Issue("information", "informational", code, "", done)
            body = _dump(outcome.build([issue], self._new_outcome_id()))
        return _respond(status, request.now, new, body=body, location=f"{self._base_url}/{name}")


_HANDLERS: Final[Mapping[str, Callable[[Application, RoutedRequest], Response]]] = {
    CAPABILITIES: Application._capabilities,
    SEARCH: Application._search,
    "create": Application._create,
    "read": Application._read,
    "update": Application._update,
    "delete": Application._delete,
}
"""The interactions of the CapabilityStatement, and the method for each."""


def run_command(application: Application, faults: Faults, command: str, arguments: Iterable[str]) -> None:
    """Run a command from outside HTTP: ``reset``, or ``faults`` with the faults to switch on instead of all others.

    Raises ``BadInput`` for another command or an unknown fault.
    """
    if command == "reset":
        application.reset()
    elif command == "faults":
        faults.switch(arguments)
    else:
        raise BadInput(f"There is no command {command!r}; there are reset and faults.")


# --- building one ---


def build_application(settings: Settings, base_url: str) -> Application:
    """Return the application with these settings, with the example resources stored.

    An example that was changed or deleted stays so, unless ``settings.reset`` is set. Raises ``EndpointError`` or
    ``BadInput`` for a database that cannot be used.
    """
    store = Store(settings.db, seed=settings.seed, synchronous=settings.synchronous)
    for resource_type, logical_id, example in examples.rows():
        if store.read(resource_type, logical_id) is None:
            store.insert(resource_type, logical_id, example)
    clock: Clock = LessonClock(settings.clock) if settings.clock is not None else wall_clock
    application = Application(
        store,
        base_url=base_url,
        policy=POLICIES[settings.policy],
        clock=clock,
        new_id=_new_ids(settings.seed),
        # A separate source, so that an error does not change the ids of the resources created after it.
        new_outcome_id=_new_ids(None if settings.seed is None else f"outcomes/{settings.seed}"),
        strict=settings.strict,
    )
    if settings.reset:
        application.reset()
    return application


def _new_ids(seed: str | None) -> Callable[[], str]:
    """Return a source of ids: random UUIDs, or with a seed the same ones every time."""
    if seed is None:
        return lambda: str(uuid.uuid4())
    numbers = random.Random(seed)  # noqa: S311  # a seed must give the same ids every time
    return lambda: str(uuid.UUID(int=numbers.getrandbits(128), version=4))


# --- refusing ---


def refused(refusal: Refusal, now: datetime, outcome_id: str) -> Response:
    """Return a refusal as a response: its status and its OperationOutcome with this id (ERR-1, ERR-5)."""
    return _respond(refusal.status, now, body=_dump(outcome.build(refusal.issues, outcome_id)), more=refusal.headers)


def _not_found(request: RoutedRequest) -> Refusal:
    return policy.NO_RECORD.because(f"there is no {request.resource_type} with the id {request.logical_id}.")


def _deleted(request: RoutedRequest) -> Refusal:
    return policy.NO_RECORD.because(f"{request.name} has been deleted.")


def _check_spine_headers(request: RoutedRequest) -> None:
    """Refuse a request without Spine's headers (HDR-1 to HDR-5), or one to another accredited system."""
    # Imported here: reading tokens loads a cryptography library, which only strict mode needs.
    from workbench.exchange.spine import authorization_problems, field_problems

    resource_type = "" if request.interaction in (None, CAPABILITIES) else request.resource_type
    purpose = (request.request.headers, request.interaction, resource_type)
    bad_token = policy.INVALID_TOKEN.because(*authorization_problems(*purpose, request.now))
    bad_fields = policy.INVALID_HEADER.because(*field_problems(*purpose))
    if issues := bad_token.issues + bad_fields.issues:
        raise Refusal(policy.INVALID_HEADER.status, issues)
    to_asid = request.header("toASID")
    if to_asid != ASID:
        raise policy.OTHER_ASID.because(f"toASID is {to_asid}, but this endpoint's is {ASID}.")


def _check_options(request: RoutedRequest) -> None:
    """Refuse what no interaction offers: a malformed id, a format, a parameter or a condition."""
    parameters = request.parameters
    if request.header("If-None-Exist") is not None:
        raise policy.NOT_IMPLEMENTED.because("If-None-Exist asks for a conditional create, which is not offered.")
    if request.interaction in ("read", "update", "delete"):
        policy.check_id(request.logical_id)

    # The Content-Type of a PUT or POST is about its own body, and is checked with it (415).
    content_type = None if request.request.method in ("PUT", "POST") else request.header("Content-Type")
    asked = unacceptable(dict(parameters).get("_format"), request.header("Accept"), content_type)
    if asked is not None:
        raise policy.NOT_ACCEPTABLE.because(f"{asked[:200]} was asked for; this endpoint writes FHIR JSON.")

    if request.interaction in (SEARCH, CAPABILITIES):
        return
    for name, _ in parameters:
        if name != "_format":
            raise policy.BAD_REQUEST.because(f"the parameter {quoted(name)} means nothing here.")


# --- responding ---


def compress(response: Response, request_headers: Headers) -> Response:
    """Return the response with its body gzipped, if the request allows that and the body is large enough (FMT-3)."""
    if len(response.body) < _SMALLEST_GZIP or not accepts_gzip(request_headers.get("Accept-Encoding")):
        return response
    fields = [*response.headers.items(), ("Content-Encoding", "gzip")]
    # A fixed time in the gzip header makes equal responses equal bytes.
    return Response(response.status, Headers(fields), gzip.compress(response.body, compresslevel=4, mtime=0))


def _respond(
    status: int,
    now: datetime,
    stored: Stored | None = None,
    *,
    body: bytes = b"",
    location: str = "",
    more: Iterable[tuple[str, str]] = (),
) -> Response:
    fields = [("Date", _http_date(now)), *more]
    if stored:
        fields.append(("Last-Modified", _http_date(datetime.fromisoformat(stored.last_updated))))
        fields.append(("ETag", f'W/"{stored.version_id}"'))
    if location:
        fields.append(("Location", location))
    if body:
        fields.append(("Content-Type", WRITTEN))
    return Response(status, Headers(fields), body)


def _not_modified(request: RoutedRequest, stored: Stored) -> bool:
    """Whether the client holds this version: ``If-None-Match`` overrides ``If-Modified-Since`` (RD-2, RD-3)."""
    tags = request.header("If-None-Match")
    if tags is not None:
        return _names_version(tags, stored.version_id)
    try:
        held = parsedate_to_datetime(request.header("If-Modified-Since") or "")
    except (ValueError, OverflowError):
        return False  # an invalid date is ignored (RFC 9110, 13.1.3)
    last = datetime.fromisoformat(stored.last_updated).replace(microsecond=0)
    return last <= (held if held.tzinfo else held.replace(tzinfo=UTC))


def _names_version(tags: str, version_id: str) -> bool:
    """Whether the entity tags of an ``If-Match`` or ``If-None-Match`` name this version, as FHIR compares them."""
    return tags.strip() == "*" or version_id in re.findall(r'"([^"]*)"', tags)


def _with_fields(response: Response, *fields: tuple[str, str]) -> Response:
    return replace(response, headers=Headers([*response.headers.items(), *fields]))


def _validate(resource_type: str, resource: dict[str, Any]) -> tuple[Issue, ...]:
    # Imported here: reading needs no validation, whose library is half of what an endpoint loads.
    from workbench.endpoint.validation import validate

    return validate(resource_type, resource)


def _stored(resource: dict[str, Any], logical_id: str, version_id: str, now: datetime) -> Stored:
    body = _dump(stamped(resource, version_id, now, logical_id=logical_id))
    return Stored(version_id, instant(now), body, index(resource))


def _searchset(base: str, links: Mapping[str, Sequence[tuple[str, str]]], page: Page) -> bytes:
    """Return a searchset Bundle (SR-1) that contains the resources as the bytes they are stored in."""
    head: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": page.total}
    head["link"] = [
        {"relation": relation, "url": f"{base}?{urlencode(parameters)}" if parameters else base}
        for relation, parameters in links.items()
    ]
    bundle = _dump(head)
    if not page.found:
        return bundle
    entries = [
        f'{{"fullUrl":{json.dumps(f"{base}/{logical_id}")},"resource":'.encode()
        + (stored.body or b"null")
        + b',"search":{"mode":"match"}}'
        for logical_id, stored in page.found
    ]
    return bundle[:-1] + b',"entry":[' + b",".join(entries) + b"]}"


def _dump(resource: dict[str, Any]) -> bytes:
    return json.dumps(resource).encode()


def _http_date(moment: datetime) -> str:
    return _http_second(moment.astimezone(UTC).replace(microsecond=0))


@functools.lru_cache(maxsize=256)
def _http_second(second: datetime) -> str:
    """Format a date of HTTP, once a second instead of twice a response."""
    return format_datetime(second, usegmt=True)


# --- the CapabilityStatement ---


def capability_statement(base_url: str, policy: Policy) -> dict[str, Any]:
    """Return the CapabilityStatement (CAP-1). Routing serves the same ``TYPES``, so it promises nothing else."""
    resource = {
        "interaction": [{"code": code} for code in ("read", "create", "update", "delete", "search-type")],
        # FHIR's versioned-update means that every update must name the version it replaces.
        "versioning": "versioned-update" if policy.locks else "versioned",
        "readHistory": False,
        "updateCreate": False,
        "conditionalCreate": False,
        "conditionalRead": "full-support",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
    }
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2019-01-01",
        "publisher": "spine-workbench",
        "kind": "instance",
        "software": {"name": "spine-workbench, embedded endpoint"},
        "implementation": {"description": f"Embedded Spine, policy {policy.name}", "url": base_url},
        "fhirVersion": FHIR_VERSION,
        "acceptUnknown": "no",
        "format": ["application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "documentation": policy.in_words(),
                "resource": [{"type": name} | resource | _search_capability(name) for name in TYPES],
            }
        ],
    }


def _search_capability(resource_type: str) -> dict[str, Any]:
    parameters = search_parameters(resource_type)
    return {"searchParam": [{"name": name, "type": kind} for name, kind in parameters.items()]}
