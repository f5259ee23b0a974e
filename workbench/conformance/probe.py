"""A probe (one attempt to break one promise), and the client, resource and expectations that it works with."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from workbench.conformance.contract import BY_ID, Promise
from workbench.conformance.responses import (
    State,
    contains,
    created_path,
    current_etag,
    etag_value,
    state_of,
    summary,
    version_id,
)
from workbench.conformance.under_check import EndpointUnderCheck, Untestable, send
from workbench.exchange.message import Exchange
from workbench.fhir import json
from workbench.fhir.resource import without_version
from workbench.journal.journal import Journal

UNUSED_ETAG: Final = 'W/"00000000-0000"'
"""A well-formed entity tag that no version has."""


class Deviation(Exception):
    """The promise is broken. ``observed`` is a sentence, ``answer`` its short form, by which servers are compared."""

    def __init__(self, observed: str, answer: str) -> None:
        super().__init__(observed)
        self.observed = observed
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe of one promise. Reports and known servers refer to it by ``name``, which never changes.

    ``expected`` is the expectation to the letter; ``tries`` says in a sentence what is tried. ``function`` tries it
    and raises ``Deviation`` or ``Untestable``. ``writes``: it sends requests other than reads. ``alone``: no other
    probe runs at the same time.
    """

    promise: str
    name: str
    expected: str
    tries: str
    function: Callable[[ProbeRun], None]
    writes: bool = True
    alone: bool = False

    @property
    def rule(self) -> Promise:
        """The promise itself."""
        return BY_ID[self.promise]

    def __repr__(self) -> str:
        return f"<Probe {self.promise} {self.name}>"


class Chapter:
    """The probes of one module, in the order in which they are defined."""

    def __init__(self) -> None:
        self.probes: list[Probe] = []

    def probe(
        self, promise: str, name: str, expected: str, *, writes: bool = True, alone: bool = False
    ) -> Callable[[Callable[[ProbeRun], None]], Callable[[ProbeRun], None]]:
        """Make a probe of the decorated function. The first line of its docstring says what it tries."""

        def add(function: Callable[[ProbeRun], None]) -> Callable[[ProbeRun], None]:
            tries = (function.__doc__ or "").partition("\n")[0].replace("``", "")
            self.probes.append(Probe(promise, name, expected, tries, function, writes, alone))
            return function

        return add

    def row(
        self,
        promise: str,
        name: str,
        expected: str,
        tries: str,
        function: Callable[[ProbeRun], None],
        *,
        writes: bool = True,
    ) -> None:
        """Add a probe that is a row of a table: ``function`` is shared with the other rows."""
        self.probes.append(Probe(promise, name, expected, tries, function, writes))


@dataclass(frozen=True, slots=True)
class HeldResource:
    """A resource as the probe last read it. ``content`` is what to send back, without the version in ``meta``."""

    path: str
    read: Exchange
    content: dict[str, Any]

    @property
    def resource_type(self) -> str:
        """The type, such as ``List``."""
        return self.path.partition("/")[0]

    @property
    def logical_id(self) -> str:
        """The id, without the type."""
        return self.path.partition("/")[2]

    @property
    def etag(self) -> str | None:
        """The ``If-Match`` that names this version."""
        return current_etag(self.read)

    @property
    def version_id(self) -> str:
        """``meta.versionId``, or the value of the ETag; empty if both are missing."""
        return version_id(self.read) or etag_value(self.etag)

    @property
    def state(self) -> State:
        """All that the read showed."""
        return state_of(self.read)

    def changed(self, number: int) -> dict[str, Any]:
        """Return the content with one element changed, to a different value for each number."""
        if self.resource_type == "List":
            return self.content | {"title": f"changed by a check, {number}"}
        return self.content | {"language": f"en-x-c{number}"}  # a private variant of English (BCP 47)


class ProbeRun:
    """One run of one probe: a client and a journal of its own, a resource, and the expectations."""

    def __init__(self, endpoint: EndpointUnderCheck) -> None:
        self.endpoint = endpoint
        self.journal = Journal()
        self.client = endpoint.client.sibling("check", journal=self.journal)
        self._created: set[str] = set()
        self._borrowed = ExitStack()
        self._changes = 0

    def close(self) -> None:
        """Delete what this probe created and give back the shared resource."""
        try:
            self.endpoint.delete_own(self.client, self._created)
        finally:
            self._borrowed.close()
            self.client.close()

    # --- requests ---

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str | None] | None = None,
        body: bytes | dict[str, Any] = b"",
        chunked: bool = False,
    ) -> Exchange:
        """Send a request and return the exchange.

        Raises ``Deviation`` if no complete response comes, ``Stopped`` once the check has ended.
        """
        self.endpoint.check_not_stopped()
        content = json.dumps(body) if isinstance(body, dict) else body
        with self.endpoint.in_flight(method, path):
            exchange = send(self.client, method, path, headers=headers, body=content, chunked=chunked)
        if exchange.response is None and exchange.sent and method == "POST":
            self.endpoint.notes.append(f"POST {path} was not answered; what it may have created was not deleted.")
        if exchange.response is None or exchange.failure:
            raise Deviation(f"no answer to {method} {path}: {exchange.failure}", "no answer")
        return exchange

    def get(self, path: str, **headers: str | None) -> Exchange:
        """Send a GET, with header fields as keywords: ``if_none_match=…``."""
        return self.send("GET", path, headers=_header_fields(headers))

    def put(
        self,
        held: HeldResource,
        content: dict[str, Any] | bytes | None = None,
        *,
        if_match: str | None,
        **headers: str | None,
    ) -> Exchange:
        """Send a PUT with this ``If-Match`` (``None``: without one). Without ``content`` it changes one element."""
        body = self.changed(held) if content is None else content
        return self.send("PUT", held.path, headers={"If-Match": if_match, **_header_fields(headers)}, body=body)

    def changed(self, held: HeldResource) -> dict[str, Any]:
        """Return the content with one element changed, to a different value each time."""
        self._changes += 1
        return held.changed(self._changes)

    # --- resources ---

    @property
    def may_change(self) -> bool:
        """Whether this probe can get a resource that it may change."""
        endpoint = self.endpoint
        return endpoint.may_write and (endpoint.may_change if endpoint.shares_one else not endpoint.no_create)

    def resource(self, *, change: bool = True) -> HeldResource:
        """Return a resource to work on, just read: one of this probe's own, or the one that all probes share."""
        if not self.endpoint.shares_one and self.endpoint.may_write:
            return self.created()
        path = self._borrowed.enter_context(self.endpoint.borrowed(change=change))
        held = self.read(path)
        if self.endpoint.original is None:
            return held
        return HeldResource(path, held.read, dict(self.endpoint.original))

    def created(self) -> HeldResource:
        """Create a resource for this probe alone; raises ``Untestable`` if that is refused."""
        content, mark = self.endpoint.new_content()
        response = self.send("POST", self.endpoint.resource_type, body=content)
        held = self.own(response, mark)
        if held is None:
            raise Untestable(f"It needs a resource of its own, and creating one was answered {summary(response)}.")
        return held

    def own(self, created: Exchange, mark: str) -> HeldResource | None:
        """Read the resource that a POST created. If it contains the mark, it is deleted after the probe."""
        path = created_path(created) if created.status in (200, 201) else None
        if path is None:
            return None
        # This read is sent even after the check has ended: it decides whether the resource may be deleted.
        with self.endpoint.in_flight("POST", self.endpoint.resource_type):
            read = self.client.send("GET", path)
            if not contains(read, mark):
                return None
            self.delete_later(path)
        return HeldResource(path, read, without_version(read.resource))

    def delete_later(self, path: str) -> None:
        """Have this resource deleted after the probe, if it exists. Only this check can have created it."""
        self._created.add(path)
        self.endpoint.remember_own(path)

    def deleted(self) -> HeldResource:
        """Create and delete a resource; return it as it was last read."""
        held = self.created()
        response = self.send("DELETE", held.path, headers={"If-Match": held.etag})
        if response.status not in (200, 202, 204):
            raise Untestable(f"It needs a deleted resource, and deleting one was answered {summary(response)}.")
        return held

    def read(self, path: str) -> HeldResource:
        """Read a resource; raises ``Untestable`` if that fails."""
        read = self.send("GET", path)
        content = read.resource
        if read.status != 200 or not isinstance(content, dict):
            raise Untestable(f"It needs to read {path}, and that was answered {summary(read)}.")
        return HeldResource(path, read, without_version(content))

    def updated(self, held: HeldResource, content: dict[str, Any] | None = None) -> HeldResource:
        """Update a resource with its current ETag and read it again."""
        response = self.put(held, content, if_match=held.etag)
        if response.status not in (200, 201):
            raise Untestable(
                f"It needs an accepted update, and one with the current ETag was answered {summary(response)}."
            )
        after = self.read(held.path)
        return HeldResource(held.path, after.read, held.content if content is None else content)

    def accepted_update(self, **headers: str | None) -> tuple[Exchange, HeldResource, dict[str, Any]]:
        """Update a resource; return the exchange, the resource before it, and the content sent."""
        held = self.resource()
        sent = self.changed(held)
        response = self.put(held, sent, if_match=held.etag, **headers)
        self.expect_status(response, 200)
        return response, held, sent

    def resource_and_stale_etag(self) -> tuple[HeldResource, str | None]:
        """Return a resource after an update, and the ``If-Match`` that names the version before it."""
        before = self.resource()
        return self.updated(before), before.etag

    def unused_id(self) -> str:
        """Return an id that was never assigned."""
        return str(uuid.uuid4())

    def unused_path(self) -> str:
        """Return ``Type/id`` that was never assigned. If a resource appears there, it is deleted after the probe."""
        path = f"{self.endpoint.resource_type}/{self.unused_id()}"
        if self.endpoint.may_write:
            self.delete_later(path)
        return path

    # --- expectations ---

    def expect(self, condition: bool, observed: str, answer: str) -> None:
        """Raise ``Deviation`` with what was observed, unless the condition holds."""
        if not condition:
            raise Deviation(observed, answer)

    def expect_status(self, response: Exchange, status: int) -> None:
        """Expect this status."""
        if response.status != status:
            raise Deviation(f"{summary(response)} to {_request_line(response)}", str(response.status))

    def expect_refused(self, response: Exchange, held: HeldResource, status: int) -> None:
        """Expect this status, and a read over a new connection that shows the resource as before."""
        after = state_of(self.send("GET", held.path))
        unchanged = after == held.state
        if response.status != status:
            rest = "nothing changed" if unchanged else "the resource changed"
            raise Deviation(f"{summary(response)} to {_request_line(response)}; {rest}", str(response.status))
        names = ("status", "body", "ETag", "Last-Modified")
        pairs = zip(names, held.state, after, strict=True)
        differing = ", ".join(name for name, earlier, later in pairs if earlier != later)
        self.expect(unchanged, f"{status}, but a read shows another {differing}", "changed")

    def expect_codes(self, response: Exchange, status: int, issue_type: str, spine_code: str) -> None:
        """Expect this status, and only issues of this issue type and Spine code."""
        self.expect_status(response, status)
        issues = response.outcome.issues if response.outcome else ()
        found = {(issue.code, issue.spine_code) for issue in issues}
        codes = ", ".join(f"{issue.code}/{issue.spine_code}" for issue in issues)
        observed = f"{status} with {codes or 'no OperationOutcome'} to {_request_line(response)}"
        self.expect(found == {(issue_type, spine_code)}, observed, f"{status}, other codes")


def _header_fields(keywords: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-").title(): value for name, value in keywords.items()}


def _request_line(exchange: Exchange) -> str:
    path = exchange.resource_type + ("/[id]" if exchange.logical_id else "")
    return f"{exchange.request.method} {path}".strip()
