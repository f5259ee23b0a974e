"""What one probe works with: a client and a journal of its own, a resource, and words for what it expects.

Owns: sending (until the check is ended), the resource a probe works on as it was last seen, and the
expectations that raise ``Deviation``. Must not know any promise.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from workbench.conformance.answers import State, created_path, current_tag, holds, state_of, tag_value, told, version_in
from workbench.conformance.probe import Deviation, Untestable
from workbench.conformance.site import Site
from workbench.exchange.message import Exchange
from workbench.fhir import json
from workbench.fhir.resource import without_version
from workbench.journal.journal import Journal

FHIR_JSON: Final = "application/fhir+json"
MADE_UP_VERSION: Final = 'W/"00000000-0000"'
"""The right form, and nobody's version."""


@dataclass(frozen=True, slots=True)
class Held:
    """A resource as a probe last saw it. ``content`` is what to send back, without its version."""

    path: str
    read: Exchange
    content: dict[str, Any]

    @property
    def logical_id(self) -> str:
        """Its id."""
        return self.path.partition("/")[2]

    @property
    def resource_type(self) -> str:
        """Its type."""
        return self.path.partition("/")[0]

    @property
    def tag(self) -> str | None:
        """The ``If-Match`` that names this version."""
        return current_tag(self.read)

    @property
    def version_id(self) -> str:
        """``meta.versionId``, or what stands in the ETag; empty where neither is there."""
        return version_in(self.read) or tag_value(self.tag)

    @property
    def state(self) -> State:
        """All that the read showed."""
        return state_of(self.read)

    def with_changes(self, number: int = 0, **members: Any) -> dict[str, Any]:
        """The content with something about it changed, otherwise for each number, or with these members."""
        if members:
            return self.content | members
        if self.resource_type == "List":
            return self.content | {"title": f"changed by a check, {number}"}
        return self.content | {"language": f"en-x-c{number}"}  # a private variant of English (BCP 47)


class Trial:
    """One run of one probe."""

    def __init__(self, site: Site, name: str = "check") -> None:
        self.site = site
        self.journal = Journal()
        self.client = site.client.sibling(name, journal=self.journal)
        self._made: set[str] = set()
        self._leases = ExitStack()
        self._numbers = 0

    def close(self) -> None:
        """Delete what this probe made, give back what it was lent."""
        try:
            self.site.clean(self.client, self._made)
        finally:
            self._leases.close()
            self.client.close()

    # --- sending ---

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str | None] | None = None,
        body: bytes | str | dict[str, Any] = b"",
        chunked: bool = False,
    ) -> Exchange:
        """Send a request; raises ``Deviation`` where no whole answer comes, ``Stopped`` once the check has ended."""
        self.site.check_not_stopped()
        content = json.dumps(body) if isinstance(body, dict) else body
        with self.site.under_way(method, path):
            exchange = self.client.send(method, path, headers=headers, body=content, chunked=chunked)
        if exchange.response is None and exchange.sent and method == "POST":
            self.site.notes.append(f"POST {path} was not answered; what it may have created was not deleted.")
        if exchange.response is None or exchange.failure:
            raise Deviation(f"no answer to {method} {path}: {exchange.failure}", "no answer")
        return exchange

    def get(self, path: str, **headers: str | None) -> Exchange:
        """GET, with header fields as keywords: ``if_none_match``."""
        return self.send("GET", path, headers=_fields(headers))

    def put(
        self, held: Held, content: dict[str, Any] | bytes | None = None, *, if_match: str | None, **headers: str | None
    ) -> Exchange:
        """PUT the resource with this ``If-Match`` (``None``: without one), changed unless content is given."""
        body = self.changed(held) if content is None else content
        return self.send("PUT", held.path, headers={"If-Match": if_match, **_fields(headers)}, body=body)

    def changed(self, held: Held) -> dict[str, Any]:
        """The resource's content, changed in another way each time."""
        self._numbers += 1
        return held.with_changes(self._numbers)

    # --- resources ---

    @property
    def may_change(self) -> bool:
        """Whether there is a resource that this probe may change."""
        site = self.site
        return site.may_write and (site.may_change if site.shares_one else not site.no_create)

    def resource(self, *, change: bool = True) -> Held:
        """A resource to work on: this probe's own, or the one there is for all; it is read to begin with."""
        if not self.site.shares_one and self.site.may_write:
            return self.created()
        path = self._leases.enter_context(self.site.lent(change=change))
        held = self.look(path)
        if self.site.original is None:
            return held
        return Held(path, held.read, dict(self.site.original))

    def created(self) -> Held:
        """A resource that this probe creates for itself."""
        content, mark = self.site.new_content()
        answer = self.send("POST", self.site.resource_type, body=content)
        held = self.own(answer, mark)
        if held is None:
            raise Untestable(f"It needs a resource of its own, and creating one was answered {told(answer)}.")
        return held

    def own(self, answer: Exchange, mark: str) -> Held | None:
        """The resource that this answer says was created, once it is known to be there; it is deleted later."""
        path = created_path(answer) if answer.status in (200, 201) else None
        if path is None:
            return None
        # Also once the check has been ended: what was made has to be known to be deleted.
        with self.site.under_way("POST", self.site.resource_type):
            read = self.client.send("GET", path)
            if not holds(read, mark):
                return None
            self.made(path)
        return Held(path, read, without_version(read.resource))

    def made(self, path: str) -> None:
        """Have this deleted when the probe is over, if it is there: it can only be this probe's own."""
        self._made.add(path)
        self.site.keep(path)

    def deletable(self) -> Held:
        """A resource that may be deleted for good: one of this probe's own, whatever the others work on."""
        return self.created()

    def deleted(self) -> Held:
        """A resource that was there and has been deleted, as it was last seen."""
        held = self.deletable()
        answer = self.send("DELETE", held.path, headers={"If-Match": held.tag})
        if answer.status not in (200, 202, 204):
            raise Untestable(f"It needs a deleted resource, and deleting one was answered {told(answer)}.")
        return held

    def look(self, path: str) -> Held:
        """Read a resource; raises ``Untestable`` where that brings none."""
        read = self.send("GET", path)
        content = read.resource
        if read.status != 200 or not isinstance(content, dict):
            raise Untestable(f"It needs to read {path}, and that was answered {told(read)}.")
        return Held(path, read, without_version(content))

    def updated(self, held: Held, content: dict[str, Any] | None = None, **headers: str | None) -> Held:
        """Update the resource as it should be done, and read it again."""
        answer = self.put(held, content, if_match=held.tag, **headers)
        if answer.status not in (200, 201):
            raise Untestable(f"It needs an accepted update, and one with the current ETag was answered {told(answer)}.")
        after = self.look(held.path)
        return Held(held.path, after.read, held.content if content is None else content)

    def overtaken(self) -> tuple[Held, str | None]:
        """A resource that was updated, and the ``If-Match`` that names the version from before."""
        before = self.resource()
        return self.updated(before), before.tag

    def unknown_id(self) -> str:
        """An id that was never assigned."""
        return str(uuid.uuid4())

    def unknown_path(self) -> str:
        """``Type/id`` of a resource that was never there; if one appears there after all it is deleted again."""
        path = f"{self.site.resource_type}/{self.unknown_id()}"
        if self.site.may_write:
            self.made(path)
        return path

    # --- expecting ---

    def expect(self, holds: bool, observed: str, answer: str) -> None:
        """Raise ``Deviation`` with what was observed, unless it holds."""
        if not holds:
            raise Deviation(observed, answer)

    def expect_status(self, answer: Exchange, *wanted: int) -> None:
        """The status is one of these."""
        if answer.status not in wanted:
            raise Deviation(f"{told(answer)} to {_asked(answer)}", str(answer.status))

    def expect_refused(self, answer: Exchange, held: Held, *wanted: int) -> None:
        """The status is one of these, and a read shows the resource as it was before."""
        after = self.send("GET", held.path)
        same = state_of(after) == held.state
        if answer.status not in wanted:
            rest = "nothing changed" if same else "the resource changed"
            raise Deviation(f"{told(answer)} to {_asked(answer)}; {rest}", str(answer.status))
        self.expect(same, f"{answer.status}, but the resource is not as it was: {_moved(held.read, after)}", "changed")

    def expect_codes(self, answer: Exchange, status: int, issue_type: str, spine_code: str) -> None:
        """Status, issue type and Spine code are these."""
        self.expect_status(answer, status)
        found = answer.outcome
        codes = f"{', '.join(issue.code for issue in found.issues) or 'no issue'}/{found.spine_code}" if found else ""
        shown = f"{status} with {codes or 'no OperationOutcome'} to {_asked(answer)}"
        right = found is not None and {(issue.code, issue.spine_code) for issue in found.issues} == {
            (issue_type, spine_code)
        }
        self.expect(right, shown, f"{status}, other codes")


def _fields(keywords: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-").title(): value for name, value in keywords.items()}


def _asked(answer: Exchange) -> str:
    about = answer.resource_type + ("/[id]" if answer.logical_id else "")
    return f"{answer.request.method} {about}".strip()


def _moved(before: Exchange, after: Exchange) -> str:
    """Which of the four things that a read shows is another one now."""
    names = ("status", "body", "ETag", "Last-Modified")
    pairs = zip(names, state_of(before), state_of(after), strict=True)
    return ", ".join(name for name, old, new in pairs if old != new)
