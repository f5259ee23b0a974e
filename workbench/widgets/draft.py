"""What lies on the desk: a resource as it was loaded, the text as it is edited, and what would be sent.

The state behind the ``Workbench`` widget, without a widget in it. Knows the client; draws nothing.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from typing import Any, Final

from workbench.client.client import Client, Prefer
from workbench.client.unanswered import Resolution, holds
from workbench.errors import BadInput
from workbench.exchange.message import Exchange, Request
from workbench.exchange.verdict import Verdict, left_open
from workbench.fhir import json
from workbench.fhir.diff import Change, changes
from workbench.fhir.merge import Merge, merge
from workbench.fhir.resource import identity, without_version


class Guard(enum.Enum):
    """Which ``If-Match`` to send. The value is what a script sets and a page shows."""

    LOADED = "loaded version"
    NONE = "none"
    OLDER = "an older version"
    TYPED = "typed"


PREFERENCES: Final[tuple[Prefer, ...]] = ("minimal", "representation", "OperationOutcome")


class Desk:
    """One resource of one client, between being loaded and being sent."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.etag: str | None = None
        """The version held: loaded, or the one the last accepted update made."""
        self.last_modified: str | None = None
        self.stale = False
        """Whether the endpoint has said that ``etag`` is no longer current."""
        self.loaded: Exchange | None = None
        """The read whose resource was put on the desk last."""
        self.unanswered: Exchange | None = None
        """The update sent last, if it may have been carried out and nobody has said so."""
        self._name: tuple[str, str] | None = None
        self._base: dict[str, Any] = {}
        self._seen: defaultdict[str, list[str]] = defaultdict(list)
        self._noted = 0

    @property
    def name(self) -> tuple[str, str] | None:
        """Type and id of the resource loaded; ``None`` before the first."""
        return self._name

    @property
    def text(self) -> str:
        """The resource as loaded, as text to edit: all but the version, which is the endpoint's to write."""
        return json.dumps(self._base, indent=2) if self._base else ""

    def load(self, resource_type: str, logical_id: str) -> Exchange:
        """Read a resource and put it on the desk; what lies there stays if it cannot be had."""
        if not resource_type.strip():
            raise BadInput("Which type of resource? Give one, such as List.")
        exchange = self.client.read(resource_type.strip(), logical_id.strip())
        resource = exchange.resource
        if exchange.verdict is Verdict.READ and isinstance(resource, dict):
            self.loaded, self._name = exchange, (exchange.resource_type, exchange.logical_id)
            self._hold(exchange, without_version(resource))
        return exchange

    def resource(self, text: str) -> dict[str, Any]:
        """The text as a resource that can be sent; raises ``BadInput`` that says why it cannot."""
        resource = json.parse(text)
        about = identity(resource)
        if self._name is not None and about != self._name:
            raise BadInput(
                f"This text is {'/'.join(about)}, but {'/'.join(self._name)} was loaded; "
                "put its resourceType and id back, or load the other one."
            )
        assert isinstance(resource, dict)
        return resource

    def changes(self, resource: dict[str, Any]) -> list[Change]:
        """What the user has changed since loading; the version is not theirs, so it plays no part."""
        return list(changes(self._base, without_version(resource)))

    def if_match(self, guard: Guard, *, older: str | None = None, typed: str = "") -> str | None:
        """The ``If-Match`` that a choice comes to; raises ``BadInput`` where there is no such version."""
        if guard is Guard.NONE:
            return None
        if guard is Guard.TYPED:
            return typed
        tag = self.etag if guard is Guard.LOADED else older
        if tag is None:
            kind = "version has been loaded" if guard is Guard.LOADED else "older version is known"
            raise BadInput(f"No {kind} yet; load a resource, or choose another If-Match.")
        return tag

    def older_etags(self) -> list[str]:
        """The versions of this resource that the journal has seen, but for the one held; the latest first."""
        journal = self.client.journal
        while self._noted < len(journal):
            self._note(journal[self._noted])
            self._noted += 1
        seen = self._seen["/".join(self._name)] if self._name else []
        return [tag for tag in reversed(seen) if tag != self.etag]

    def preview(self, resource: dict[str, Any], if_match: str | None, prefer: str) -> Request:
        """The request exactly as ``send`` would send it."""
        return self.client.preview_update(resource, if_match=if_match, prefer=_wanted(prefer))

    def send(self, text: str, if_match: str | None, prefer: str) -> Exchange:
        """PUT the text; if it is accepted, it and its new version are what the desk now holds."""
        resource = self.resource(text)
        exchange = self.client.update(resource, if_match=if_match, prefer=_wanted(prefer))
        # A refusal of the same request, sent again, does not say what became of the first.
        if left_open(exchange):
            self.unanswered = exchange
        if exchange.verdict in (Verdict.UPDATED, Verdict.CREATED):
            self._name = identity(resource)
            self._hold(exchange, without_version(resource))
        elif exchange.verdict is Verdict.STALE and if_match == self.etag:
            self.stale = True
        return exchange

    def find_out(self) -> Resolution:
        """What became of the update that was not answered; if it landed, it is what the desk now holds.

        Raises ``BadInput`` where there is none.
        """
        if self.unanswered is None:
            raise BadInput("No update is waiting for its answer, so there is nothing to find out.")
        found = self.client.resolve(self.unanswered)
        read = found.read
        if read is None or read.verdict is not Verdict.READ:
            return found
        if found.landed and holds(self.unanswered, read):
            self._hold(read, without_version(read.resource))
        else:
            self.stale = self.stale or str(read.etag) != self.etag
            self.unanswered = None if found.settled else self.unanswered
        return found

    def compare(self, text: str) -> tuple[Exchange, Merge | None]:
        """Read the resource again and set it beside the text: a three-way merge from the version the text began with.

        What was read becomes the version held, so what is sent next names it. The merge is ``None`` where it
        could not be read; then nothing has changed here.
        """
        mine = self.resource(text)
        exchange = self.client.read(*identity(mine))
        theirs = exchange.resource
        if exchange.verdict is not Verdict.READ or not isinstance(theirs, dict):
            return exchange, None
        merged = merge(self._base or theirs, mine, theirs)
        self._hold(exchange, without_version(theirs))
        return exchange, merged

    def _hold(self, exchange: Exchange, base: dict[str, Any]) -> None:
        headers = exchange.response.headers if exchange.response else None
        self.etag = self.client.last_seen(exchange.resource_type, exchange.logical_id)
        self.last_modified = headers.get("Last-Modified") if headers else None
        self.stale = False
        self.unanswered = None
        self._base = base

    def _note(self, exchange: Exchange) -> None:
        tags = self._seen[exchange.target]
        if exchange.etag and exchange.ok and str(exchange.etag) not in tags:
            tags.append(str(exchange.etag))


def _wanted(prefer: str) -> str | None:
    """``minimal`` is what comes back without asking, so nothing is asked (PRF-1)."""
    return None if prefer == "minimal" else prefer
