"""The endpoint under check: what it offers, the resources that probes may work on, and leaving it as it was found."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from workbench.client.client import Client
from workbench.conformance.responses import (
    contains,
    created_path,
    current_etag,
    json_object,
    json_objects,
    resource_path,
    summary,
)
from workbench.errors import BadInput, CannotCheck
from workbench.exchange.message import Exchange, can_be_sent, kept_bytes
from workbench.exchange.verdict import SAFE_METHODS
from workbench.fhir import json
from workbench.fhir.resource import without_version
from workbench.journal.journal import Journal

_MARK: Final = "made by a check"
_SUBJECT = {"reference": "https://demographics.spineservices.nhs.uk/STU3/Patient/9990000018"}

TEMPLATES: Final[dict[str, dict[str, Any]]] = {
    "List": {"resourceType": "List", "status": "current", "mode": "working", "title": _MARK},
    "Flag": {"resourceType": "Flag", "status": "active", "code": {"text": _MARK}, "subject": _SUBJECT},
}
"""The resources that a check can create: small, valid in STU3 and R4, about a test patient or about none."""

_POLL_SECONDS: Final = 0.1

_LARGE_BODIES: Final = 200_000
"""Bytes; of larger exchanges the check keeps digests."""


def send(
    client: Client,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str | None] | None = None,
    body: bytes | str = b"",
    chunked: bool = False,
) -> Exchange:
    """Send a request; after a refused write end the connection, so that the next request opens a new one.

    A server may close a connection whose request body it did not read. The next request on it would get no response.
    A read over another connection also shows a change that one connection alone hides.
    """
    exchange = client.send(method, path, headers=headers, body=body, chunked=chunked)
    if method not in SAFE_METHODS and not exchange.ok:
        client.close()
    return exchange


class Untestable(Exception):
    """The probe cannot be tried at this endpoint; the message says why."""


class Stopped(Exception):
    """The check has ended."""


class EndpointUnderCheck:
    """One endpoint during one check. The threads of all probes use it at the same time.

    Each probe creates a resource, works on it and deletes it. If that is not possible, all probes share one resource
    and take turns. It is the one named by the user, or the one that the check created and cannot delete.
    """

    def __init__(self, client: Client, *, resource: str | None = None, consent: bool = False) -> None:
        self.client = client
        self.stopped = threading.Event()
        self.notes: list[str] = []
        self.statement: dict[str, Any] = {}
        """The CapabilityStatement; empty if the endpoint has none."""
        self.capabilities: dict[str, dict[str, Any]] = {}
        """What the CapabilityStatement says about each resource type."""
        self.resource_type = "List"
        self.shared: str | None = None
        """The resource that all probes share (``Type/id``)."""
        self.original: dict[str, Any] | None = None
        """The content of the shared resource before the check, without its version."""
        not_allowed = "The endpoint is not on this machine and writing to it was not allowed (allow_writes)."
        self.no_write = "" if client.may_write else not_allowed
        """Why nothing is written; empty if writing is allowed."""
        self.no_create = self.no_delete = self.no_write
        """Why no resource can be created, and why none can be deleted; empty if it can."""
        self._consent = consent
        self._named = _named_path(resource) if resource else None
        self._turn = threading.Lock()
        self._own: set[str] = set()
        """The resources that this check created and has not deleted yet."""
        self._own_lock = threading.Lock()
        self._in_flight: list[str] = []
        self._made: set[str] = set()
        self._recorded: list[Exchange] = []
        self._restored = False
        self._client = client.sibling("check, cleaning up", journal=Journal())

    # --- before the probes ---

    def survey(self) -> None:
        """Find out what the endpoint offers; raises ``CannotCheck`` if nothing can be probed."""
        response = self._ask("GET", "metadata")
        if _lacks_authorization(response) and _lacks_authorization(
            refused := self._ask("GET", self._named or self.resource_type)
        ):
            diagnostics = f" {refused.outcome.diagnostics}" if refused.outcome else ""
            raise CannotCheck(
                f"The endpoint refuses every request ({summary(refused)}); "
                f"give what it demands in a Connection.{diagnostics}"
            )

        statement = json_object(response.resource)
        if statement.get("resourceType") == "CapabilityStatement":
            self.statement = statement
        for rest in json_objects(self.statement.get("rest")):
            for entry in json_objects(rest.get("resource")):
                self.capabilities.setdefault(str(entry.get("type")), entry)

        if self._named:
            self._share_named_resource(self._named)
        else:
            offered = (name for name in TEMPLATES if self.lists("create", name) and self.lists("update", name))
            self.resource_type = next(offered, self.resource_type)

        self.check_not_stopped()
        if not self.no_write:
            self._try_create_and_delete()
        elif not self._named:
            self._find_readable_resource()

    def _ask(self, method: str, path: str, *, body: str = "") -> Exchange:
        exchange = send(self._client, method, path, body=body)
        if exchange.response is None:
            raise CannotCheck(f"The endpoint could not be checked: {exchange.failure}")
        return exchange

    def _share_named_resource(self, path: str) -> None:
        self.resource_type, self.shared = path.partition("/")[0], path
        read = self._ask("GET", path)
        if read.status != 200 or not isinstance(read.resource, dict):
            raise CannotCheck(f"{path} cannot be read here ({read.status} came back); name a resource that is there.")
        self.original = without_version(read.resource)

    def _reason_not_to_create(self) -> str:
        if self.resource_type not in TEMPLATES:
            return f"A check can make {' and '.join(TEMPLATES)} resources, not a {self.resource_type}."
        if self.lists("create") is False:
            return f"The CapabilityStatement does not list create for {self.resource_type}."
        if self._named and self.lists("delete") is False:
            return f"The CapabilityStatement does not list delete for {self.resource_type}, so none is made."
        return ""

    def _try_create_and_delete(self) -> None:
        """Create one resource and delete it. If it cannot be deleted, all probes share it."""
        self.no_create = self.no_delete = self._reason_not_to_create()
        if self.no_create:
            return
        kind = self.resource_type
        content, mark = self.new_content()
        with self.in_flight("POST", kind):
            response = self._ask("POST", kind, body=json.dumps(content))
            created = self.find_created(self._client, response, mark)

        if created is None:
            self.no_create = self.no_delete = f"No {kind} can be created here: {summary(response)}."
            if response.status is not None and response.status < 300:
                self.notes.append(f"A {kind} was created and cannot be found where the answer said it is.")
            return

        self.no_delete = self._delete(self._client, created.target)
        if self.no_delete and self.shared is None:
            self.shared, self.original = created.target, without_version(created.resource)

    def _find_readable_resource(self) -> None:
        """Share any resource that a search finds, to read it only."""
        for name in dict.fromkeys((self.resource_type, *list(self.capabilities)[:5])):
            bundle = json_object(self._ask("GET", f"{name}?_count=1").resource)
            for entry in json_objects(bundle.get("entry")):
                if path := resource_path(name, json_object(entry.get("resource")).get("id")):
                    self.resource_type, self.shared = name, path
                    return

    def lists(self, interaction: str, resource_type: str | None = None) -> bool | None:
        """Return whether the CapabilityStatement lists an interaction of a type; ``None`` without a statement."""
        if not self.statement:
            return None
        capabilities = self.capabilities.get(resource_type or self.resource_type, {})
        return any(entry.get("code") == interaction for entry in json_objects(capabilities.get("interaction")))

    # --- what probes may do ---

    @property
    def shares_one(self) -> bool:
        """Whether all probes share one resource and take turns."""
        return self.shared is not None and (self.may_change or bool(self.no_create or self.no_delete))

    @property
    def may_change(self) -> bool:
        """Whether the shared resource may be changed: the user consented, or the check created it."""
        return not self.no_write and (self._consent if self._named else self.shares_own)

    @property
    def shares_own(self) -> bool:
        """Whether the check created the shared resource and could not delete it."""
        return self.shared in self._own

    def new_content(self, *, even_if_refused: bool = False) -> tuple[dict[str, Any], str]:
        """Return a resource to create, and the mark in it by which the check recognises it.

        Raises ``Untestable`` if none can be created or deleted. ``even_if_refused`` is for probes of create itself.
        """
        template = TEMPLATES.get(self.resource_type)
        if template is None or (self.no_create and not even_if_refused):
            raise Untestable(self.no_create or f"A check cannot make a {self.resource_type}.")
        if self.no_delete and not self.no_create:
            raise Untestable(f"{self.no_delete} So no more than one is created.")
        mark = f"{_MARK}, {uuid.uuid4()}"
        content: dict[str, Any] = json.parse(json.dumps(template).replace(_MARK, mark))
        return content, mark

    @contextmanager
    def borrowed(self, *, change: bool) -> Iterator[str]:
        """Yield the path of the shared resource, to one probe at a time; raises ``Untestable`` if that may not be."""
        if change and self.no_write:
            raise Untestable(self.no_write)
        if self.shared is None:
            raise Untestable(self.no_create or "There is no resource to work on; name one.")
        if change and not self.may_change:
            raise Untestable(f"{self.shared} may not be changed: no consent was given. {self.no_create}".strip())
        while not self._turn.acquire(timeout=_POLL_SECONDS):
            self.check_not_stopped()
        try:
            yield self.shared
        finally:
            self._turn.release()

    def check_not_stopped(self) -> None:
        """Raise ``Stopped`` once the check has ended."""
        if self.stopped.is_set():
            raise Stopped

    @contextmanager
    def in_flight(self, method: str, path: str) -> Iterator[None]:
        """Record that a write is in flight. If the check ends meanwhile, its notes name the write."""
        if method in SAFE_METHODS:
            yield
            return
        request = f"{method} {path}"
        self._in_flight.append(request)
        try:
            yield
        finally:
            self._in_flight.remove(request)

    # --- the exchanges of the whole check ---

    def record(self, exchanges: Iterable[Exchange]) -> None:
        """Keep the exchanges of a probe that has ended, the large ones without their bodies."""
        kept = [each.without_bodies() if kept_bytes(each) > _LARGE_BODIES else each for each in exchanges]
        with self._own_lock:
            self._recorded += kept

    def recorded(self, running: Iterable[Exchange]) -> list[Exchange]:
        """Return the exchanges of the probes that have ended and of a running one, in the order in which they ended.

        Only exchanges about resources that the check may change are returned. The check sent all writes to those that
        it created, and takes it that nothing else writes to a resource named by the user meanwhile.
        """
        with self._own_lock:
            paths = self._made | ({self.shared} if self.may_change else set())
            every = [*self._client.journal, *self._recorded, *running]
        return sorted((each for each in every if each.target in paths), key=_ended)

    # --- leaving the endpoint as it was ---

    def find_created(self, client: Client, created: Exchange, mark: str) -> Exchange | None:
        """Read the resource that a POST created. If it contains the mark, record that the check has to delete it."""
        path = created_path(created) if created.status in (200, 201) else None
        read = client.send("GET", path) if path else None
        if read is None or not contains(read, mark):
            return None
        self.remember_own(read.target)
        return read

    def remember_own(self, path: str) -> None:
        """Record that the check created this resource, and so has to delete it."""
        with self._own_lock:
            self._own.add(path)
            self._made.add(path)

    def delete_own(self, client: Client, paths: set[str]) -> None:
        """Delete those of these resources that the check created, except the shared one."""
        for path in sorted(paths):
            if path in self._own and path != self.shared:
                self._delete(client, path)

    def leave(self) -> None:
        """Put the shared resource back as it was, and delete what the check created."""
        if self._may_have_changed_original:
            self._restore()
        self._restored = True
        self.delete_own(self._client, set(self._own))
        self._client.close()

    def note_what_is_left(self) -> None:
        """Add notes about what was not deleted, not put back, or still in flight when the check ended."""
        if self._may_have_changed_original and not self._restored:
            self.notes.append(f"{self.shared} may have been changed and was NOT put back: the check was ended.")
        for path in sorted(self._own):
            self.notes.append(f"{path} was made by this check and could not be deleted.")
        for request in list(self._in_flight):
            self.notes.append(f"{request} was under way when the check was ended; it may have been carried out.")

    @property
    def _may_have_changed_original(self) -> bool:
        """Whether the shared resource existed before the check, which may have changed it."""
        return self.original is not None and self.may_change and not self.shares_own

    def _delete(self, client: Client, path: str) -> str:
        """Delete one of the check's own resources at its current version. Return why that failed, or nothing."""
        etag = client.last_seen(*path.split("/"))
        deleted = can_be_sent(etag) and send(client, "DELETE", path, headers={"If-Match": etag}).status == 204
        if not deleted and (read := send(client, "GET", path)).status not in (404, 410):
            response = send(client, "DELETE", path, headers={"If-Match": current_etag(read)})
            if not (response.ok or response.status in (202, 404, 410)):
                return f"No {path.partition('/')[0]} can be deleted here: {summary(response)}."
        with self._own_lock:
            self._own.discard(path)
        return ""

    def _restore(self) -> None:
        path, original = self.shared, json.dumps(self.original)
        assert path is not None
        read = send(self._client, "GET", path)
        if json.dumps(without_version(json_object(read.resource))) == original:
            return
        headers = {"If-Match": current_etag(read), "Content-Type": "application/fhir+json"}
        response = send(self._client, "PUT", path, headers=headers, body=original)
        if response.status is not None and 200 <= response.status < 300:
            self.notes.append(f"{path} was changed and has its content back, at a new version.")
        else:
            self.notes.append(f"{path} was changed and could NOT be put back: {summary(response)}.")


def _ended(exchange: Exchange) -> datetime:
    return exchange.sent_at + timedelta(seconds=exchange.elapsed or 0)


def _lacks_authorization(exchange: Exchange) -> bool:
    code = exchange.outcome.spine_code if exchange.outcome else ""
    return exchange.status in (401, 403, 407) or code in ("MISSING_OR_INVALID_HEADER", "ASID_CHECK_FAILED")


def _named_path(resource: str) -> str:
    resource_type, _, logical_id = resource.strip("/").partition("/")
    path = resource_path(resource_type, logical_id)
    if path is None:
        raise BadInput(
            f"{resource!r} does not name a resource; write it like Flag/3f6a1c9e-7b24-4c0d-9d15-2e8b60f7a4c1."
        )
    return path
