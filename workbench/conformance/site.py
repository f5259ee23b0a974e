"""The endpoint under check: what it offers, what may be done there, and the resources that probes work on.

Owns: finding out (once, before any probe) whether resources can be created and deleted; lending each probe a
resource, its own or the one there is; and leaving the endpoint as it was found. Must not know what is probed.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from workbench.client.client import Client
from workbench.conformance.answers import created_path, current_tag, holds, objects, path_to, told
from workbench.conformance.probe import Stopped, Untestable
from workbench.errors import BadInput, CannotCheck
from workbench.exchange.message import SAFE_METHODS, Exchange, can_be_sent
from workbench.fhir import json
from workbench.fhir.resource import LOGICAL_ID, RESOURCE_TYPE, without_version
from workbench.journal.journal import Journal

_MARK: Final = "made by a check"
_SUBJECT = {"reference": "https://demographics.spineservices.nhs.uk/STU3/Patient/9990000018"}

TEMPLATES: Final[dict[str, dict[str, Any]]] = {
    "List": {"resourceType": "List", "status": "current", "mode": "working", "title": _MARK},
    "Flag": {"resourceType": "Flag", "status": "active", "code": {"text": _MARK}, "subject": _SUBJECT},
}
"""What is created to work on: small, valid in STU3 and R4 alike, and about a test patient if about anybody."""

_POLL_SECONDS: Final = 0.1


class Site:
    """One endpoint during one check. Safe to use from the threads of all its probes."""

    def __init__(self, client: Client, *, resource: str | None = None, consent: bool = False) -> None:
        self.client = client
        self.may_write = client.may_write
        self.consent = consent
        self.stopped = threading.Event()
        self.notes: list[str] = []
        self.statement: dict[str, Any] = {}
        self.resource_type = "List"
        self.only: str | None = None
        """The one resource there is to work on (``Type/id``), where probes cannot have one each."""
        self.original: dict[str, Any] | None = None
        self.no_create = ""
        """Why no resource can be created; empty where one can."""
        self.no_delete = ""
        self._named = _split(resource) if resource else None
        self._turn = threading.Lock()
        self._created: set[str] = set()
        self._guard = threading.Lock()
        self._under_way: list[str] = []
        self._restored = False
        self._cleaner = client.sibling("check, cleaning up", journal=Journal())

    # --- finding out ---

    def survey(self) -> None:
        """Find out what the endpoint offers; raises ``CannotCheck`` where nothing can be probed at all."""
        answer = self._ask("GET", "metadata")
        self._expect_a_hearing(answer)
        found = answer.resource
        if isinstance(found, dict) and found.get("resourceType") == "CapabilityStatement":
            self.statement = found
        if self._named:
            self._take_named(*self._named)
        else:
            self._choose_type()
        self.check_not_stopped()
        if self.may_write:
            self._try_create()
        else:
            self.no_create = self.no_delete = self.no_write
        if self._named is None and not self.may_write:
            self._find_one()

    def _expect_a_hearing(self, answer: Exchange) -> None:
        """Raise ``CannotCheck`` where every request is refused for what it lacks: a credential, or Spine's headers."""
        if not _refused_unheard(answer):
            return
        kind, logical_id = self._named or (self.resource_type, "")
        again = self._ask("GET", f"{kind}/{logical_id}" if logical_id else kind)
        if _refused_unheard(again):
            said = f" {again.outcome.diagnostics}" if again.outcome else ""
            raise CannotCheck(
                f"The endpoint refuses every request ({told(again)}); give what it demands in a Connection.{said}"
            )

    @property
    def no_write(self) -> str:
        """Why nothing is written; empty where it may be."""
        if self.may_write:
            return ""
        return "The endpoint is not on this machine and writing to it was not allowed (allow_writes)."

    def rest_of(self, resource_type: str) -> dict[str, Any]:
        """What the CapabilityStatement says about a type; empty where it says nothing."""
        for rest in objects(self.statement.get("rest")):
            for entry in objects(rest.get("resource")):
                if entry.get("type") == resource_type:
                    return entry
        return {}

    @property
    def types(self) -> tuple[str, ...]:
        """The types that the CapabilityStatement lists."""
        listed = [entry for rest in objects(self.statement.get("rest")) for entry in objects(rest.get("resource"))]
        return tuple(str(entry.get("type")) for entry in listed)

    def lists(self, interaction: str, resource_type: str | None = None) -> bool | None:
        """Whether the CapabilityStatement lists an interaction of a type; ``None`` where there is no statement."""
        if not self.statement:
            return None
        listed = objects(self.rest_of(resource_type or self.resource_type).get("interaction"))
        return any(entry.get("code") == interaction for entry in listed)

    def _take_named(self, resource_type: str, logical_id: str) -> None:
        self.resource_type = resource_type
        self.only = f"{resource_type}/{logical_id}"
        answer = self._ask("GET", self.only)
        found = answer.resource
        if answer.status != 200 or not isinstance(found, dict):
            raise CannotCheck(
                f"{self.only} cannot be read here ({answer.status} came back); name a resource that is there."
            )
        self.original = without_version(found)

    def _choose_type(self) -> None:
        for name in TEMPLATES:
            if self.lists("create", name) and self.lists("update", name):
                self.resource_type = name
                return

    def _try_create(self) -> None:
        """Create one resource and delete it again: is there a resource for each probe, or one for all?"""
        template = TEMPLATES.get(self.resource_type)
        if template is None:
            known = " and ".join(TEMPLATES)
            self.no_create = f"A check can make {known} resources, not a {self.resource_type}."
            self.no_delete = self.no_create
            return
        if self.lists("create") is False:
            self.no_create = f"The CapabilityStatement does not list create for {self.resource_type}."
        elif self._named and self.lists("delete") is False:
            self.no_create = f"The CapabilityStatement does not list delete for {self.resource_type}, so none is made."
        if self.no_create:
            self.no_delete = self.no_create
            return
        content, mark = self.new_content()
        with self.under_way("POST", self.resource_type):
            answer = self._ask("POST", self.resource_type, body=json.dumps(content))
            path = created_path(answer)
            made = answer.status in (200, 201) and path is not None and holds(self._ask("GET", path), mark)
            if made and path is not None:
                self.keep(path)
        if not made or path is None:
            self.no_create = f"No {self.resource_type} can be created here: {told(answer)}."
            self.no_delete = self.no_create
            if answer.status is not None and answer.status < 300:
                self.notes.append(
                    f"A {self.resource_type} was created and cannot be found where the answer said it is."
                )
            return
        self.no_delete = self._delete(self._cleaner, path)
        if self.no_delete and self.only is None:
            self.only = path
            found = self._ask("GET", path).resource
            self.original = without_version(found) if isinstance(found, dict) else None

    def _find_one(self) -> None:
        """Any resource to read, where none may be written and none was named."""
        for name in dict.fromkeys((self.resource_type, *self.types[:5])):
            found = self._ask("GET", f"{name}?_count=1").resource
            for entry in objects(found.get("entry") if isinstance(found, dict) else None):
                resource = entry.get("resource")
                if isinstance(resource, dict) and (path := path_to(name, resource.get("id"))):
                    self.resource_type, self.only = name, path
                    return

    def _ask(self, method: str, path: str, *, body: str = "") -> Exchange:
        answer = self._cleaner.send(method, path, body=body)
        if answer.response is None:
            raise CannotCheck(f"The endpoint could not be checked: {answer.failure}")
        return answer

    def new_content(self, *, anyway: bool = False) -> tuple[dict[str, Any], str]:
        """A resource to create, and the mark in it by which it is known again.

        Raises ``Untestable`` where none can be created; ``anyway`` where the question is whether one can.
        """
        template = TEMPLATES.get(self.resource_type)
        if template is None or (self.no_create and not anyway):
            raise Untestable(self.no_create or f"A check cannot make a {self.resource_type}.")
        if self.no_delete and not self.no_create:
            raise Untestable(f"{self.no_delete} So no more than one is created.")
        mark = f"made by a check, {uuid.uuid4()}"
        return {name: _marked(value, mark) for name, value in template.items()}, mark

    # --- lending ---

    @contextmanager
    def lent(self, *, change: bool) -> Iterator[str]:
        """The one resource there is, for one probe at a time; raises ``Untestable`` where it may not be used so."""
        if self.only is None:
            raise Untestable(self.no_create or "There is no resource to work on; name one.")
        if change and not self.may_change:
            raise Untestable(f"{self.only} may not be changed: no consent was given. {self.no_create}".strip())
        while not self._turn.acquire(timeout=_POLL_SECONDS):
            self.check_not_stopped()
        try:
            yield self.only
        finally:
            self._turn.release()

    @property
    def shares_one(self) -> bool:
        """Whether all probes work on one resource, so that they take turns: the named one, or the only one."""
        return self.only is not None and (self.may_change or bool(self.no_create or self.no_delete))

    @property
    def may_change(self) -> bool:
        """Whether the one resource may be changed: it was named with consent, or the check made it itself."""
        return self.may_write and (self.consent if self._named else self.made_only)

    @property
    def made_only(self) -> bool:
        """Whether the one resource there is was made by this check, which could not delete it."""
        return self.only in self._created

    def check_not_stopped(self) -> None:
        """Raise ``Stopped`` once the check has been ended."""
        if self.stopped.is_set():
            raise Stopped

    @contextmanager
    def under_way(self, method: str, path: str) -> Iterator[None]:
        """While a request that may write is under way; if the check ends meanwhile, it says so."""
        request = f"{method} {path}"
        if method not in SAFE_METHODS:
            self._under_way.append(request)
        try:
            yield
        finally:
            if method not in SAFE_METHODS:
                self._under_way.remove(request)

    # --- leaving it as it was ---

    def keep(self, path: str) -> None:
        """Remember a resource that the check made, and so has to delete; only one that surely is its own."""
        with self._guard:
            self._created.add(path)

    def forget(self, path: str) -> None:
        """It is gone."""
        with self._guard:
            self._created.discard(path)

    def clean(self, client: Client, paths: set[str]) -> None:
        """Delete these by that client, as far as they are the check's own and still there."""
        for path in sorted(paths):
            if path in self._created and path != self.only:
                self._delete(client, path)

    def leave(self) -> None:
        """Delete what is left of the check's own, and put the one resource back as it was."""
        if self._may_be_changed and self.only is not None and self.original is not None:
            self._restore(self.only, self.original)
        self._restored = True
        self.clean(self._cleaner, set(self._created))
        self._cleaner.close()

    def say_what_is_left(self) -> None:
        """Note what was not deleted, not put back or not answered when the check ended."""
        if self._may_be_changed and not self._restored:
            self.notes.append(f"{self.only} may have been changed and was NOT put back: the check was ended.")
        for path in sorted(self._created):
            self.notes.append(f"{path} was made by this check and could not be deleted.")
        for request in list(self._under_way):
            self.notes.append(f"{request} was under way when the check was ended; it may have been carried out.")

    @property
    def _may_be_changed(self) -> bool:
        """Whether the one resource is somebody's own, and the check could change it."""
        return self.original is not None and self.may_change and self.only not in self._created

    def _delete(self, client: Client, path: str) -> str:
        """Delete a resource of ours at whatever version it has; why it could not be, or an empty text."""
        tag = client.last_seen(*path.split("/"))
        if can_be_sent(tag) and client.send("DELETE", path, headers={"If-Match": tag}).status == 204:
            self.forget(path)
            return ""
        read = client.send("GET", path)
        if read.status in (404, 410):
            self.forget(path)
            return ""
        answer = client.send("DELETE", path, headers={"If-Match": current_tag(read)})
        if answer.status is not None and (200 <= answer.status < 300 or answer.status in (404, 410)):
            self.forget(path)
            return ""
        return f"No {path.partition('/')[0]} can be deleted here: {told(answer)}."

    def _restore(self, path: str, original: dict[str, Any]) -> None:
        read = self._cleaner.send("GET", path)
        found = read.resource
        if isinstance(found, dict) and json.dumps(without_version(found)) == json.dumps(original):
            return
        fields = {"If-Match": current_tag(read), "Content-Type": "application/fhir+json"}
        answer = self._cleaner.send("PUT", path, headers=fields, body=json.dumps(original))
        if answer.status is not None and 200 <= answer.status < 300:
            self.notes.append(f"{path} was changed and has its content back, at a new version.")
        else:
            self.notes.append(f"{path} was changed and could NOT be put back: {told(answer)}.")


def _refused_unheard(answer: Exchange) -> bool:
    found = answer.outcome
    lacking = found is not None and found.spine_code in ("MISSING_OR_INVALID_HEADER", "ASID_CHECK_FAILED")
    return answer.status in (401, 403, 407) or lacking


def _marked(value: Any, mark: str) -> Any:
    if isinstance(value, dict):
        return {name: _marked(part, mark) for name, part in value.items()}
    return mark if value == _MARK else value


def _split(resource: str) -> tuple[str, str]:
    resource_type, _, logical_id = resource.strip("/").partition("/")
    if not RESOURCE_TYPE.fullmatch(resource_type) or not LOGICAL_ID.fullmatch(logical_id):
        raise BadInput(
            f"{resource!r} does not name a resource; write it like Flag/3f6a1c9e-7b24-4c0d-9d15-2e8b60f7a4c1."
        )
    return resource_type, logical_id
