"""A probe (one attempt to break one promise), and the client, resource and expectations that it works with."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeAlias

from workbench.client.client import Client
from workbench.conformance.contract import BY_ID, Promise
from workbench.conformance.responses import State, current_etag, etag_value, state_of, summary, version_id
from workbench.conformance.under_check import EndpointUnderCheck, Untestable, send
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import SAFE_METHODS
from workbench.fhir import json
from workbench.fhir.resource import without_version
from workbench.journal.journal import Journal

UNUSED_ETAG: Final = 'W/"00000000-0000"'
"""A well-formed entity tag that no version has."""


_Attempt: TypeAlias = Callable[["ProbeRun"], None]


class Deviation(Exception):
    """The promise is broken. ``observed`` is a sentence, ``answer`` its short form, by which servers are compared.

    ``evidence`` holds the exchanges that show it, if they are others than those of the probe.
    """

    def __init__(self, observed: str, answer: str, evidence: tuple[Exchange, ...] = ()) -> None:
        super().__init__(observed)
        self.observed = observed
        self.answer = answer
        self.evidence = evidence


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe of one promise. Reports and known servers refer to it by ``name``, which never changes.

    ``expected`` is the expectation to the letter; ``tries`` says in a sentence what is tried. ``function`` tries it
    and raises ``Deviation`` or ``Untestable``. ``alone``: no other probe runs at the same time.
    """

    promise: str
    name: str
    expected: str
    tries: str
    function: _Attempt
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

    def probe(self, promise: str, expected: str, *, alone: bool = False) -> Callable[[_Attempt], _Attempt]:
        """Make a probe of the decorated function: its name is the probe's, its docstring says what it tries."""

        def add(function: _Attempt) -> _Attempt:
            name = function.__name__.replace("_", "-")
            tries = (function.__doc__ or "").partition("\n")[0]
            self.probes.append(Probe(promise, name, expected, tries, function, alone))
            return function

        return add

    def row(
        self, promise: str, name: str, expected: str, tries: str, function: Callable[..., None], **arguments: Any
    ) -> None:
        """Add a probe that is a row of a table: it calls the function with a ``ProbeRun`` and these arguments."""
        self.probes.append(Probe(promise, name, expected, tries, partial(function, **arguments)))


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
        self._clients: list[Client] = []
        self.client = self.another_client("check")
        self._created: set[str] = set()
        self._borrowed = ExitStack()
        self._changes = 0

    def close(self) -> None:
        """Delete what this probe created and give back the shared resource."""
        try:
            self.endpoint.delete_own(self.client, self._created)
        finally:
            self._borrowed.close()
            for client in self._clients:
                client.close()
            self.endpoint.record(self.journal)

    def another_client(self, name: str) -> Client:
        """Return a client with a connection of its own and the journal of this probe; it is closed after the probe."""
        client = self.endpoint.client.sibling(name, journal=self.journal)
        self._clients.append(client)
        return client

    # --- requests ---

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str | None] | None = None,
        body: bytes | dict[str, Any] = b"",
        chunked: bool = False,
        client: Client | None = None,
    ) -> Exchange:
        """Send a request and return the exchange. Without ``client`` the probe's own client sends it.

        Raises ``Deviation`` if no complete response comes, ``Untestable`` for a write that is not allowed, and
        ``Stopped`` once the check has ended.
        """
        self.endpoint.check_not_stopped()
        if method not in SAFE_METHODS and self.endpoint.no_write:
            raise Untestable(self.endpoint.no_write)
        content = json.dumps(body) if isinstance(body, dict) else body
        with self.endpoint.in_flight(method, path):
            exchange = send(client or self.client, method, path, headers=headers, body=content, chunked=chunked)
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
        return self.endpoint.may_change if self.endpoint.shares_one else not self.endpoint.no_create

    def resource(self, *, change: bool = True) -> HeldResource:
        """Return a resource to work on, just read: one of this probe's own, or the one that all probes share."""
        if not (self.endpoint.shares_one or self.endpoint.no_write):
            return self.created()
        path = self._borrowed.enter_context(self.endpoint.borrowed(change=change))
        held = self.read(path)
        return held if self.endpoint.original is None else replace(held, content=dict(self.endpoint.original))

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
        # Its read is sent even after the check has ended: it decides whether the resource may be deleted.
        with self.endpoint.in_flight("POST", self.endpoint.resource_type):
            read = self.endpoint.find_created(self.client, created, mark)
        if read is None:
            return None
        self._created.add(read.target)
        return HeldResource(read.target, read, without_version(read.resource))

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
        return replace(after, content=held.content if content is None else content)

    def versions(self, updates: int) -> list[HeldResource]:
        """Return a resource as it is at first, and after each of several updates."""
        versions = [self.resource()]
        for _ in range(updates):
            versions.append(self.updated(versions[-1]))
        return versions

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
        if not self.endpoint.no_write:
            self._created.add(path)
            self.endpoint.remember_own(path)
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
