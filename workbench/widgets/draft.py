"""The draft of one resource: as it was loaded, as it is edited, and the request that would send it.

This is the state behind the ``Workbench`` widget. It uses a client, and it contains no widget.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from workbench.client.client import Client, Prefer
from workbench.client.unanswered import Resolution, holds
from workbench.errors import BadInput, WorkbenchError
from workbench.exchange.message import Exchange, Request
from workbench.exchange.verdict import Verdict, left_open
from workbench.fhir import json
from workbench.fhir.diff import Change, changes
from workbench.fhir.etag import ETag
from workbench.fhir.merge import Merge, merge
from workbench.fhir.resource import identity, version_of, without_version
from workbench.journal.journal import Transition


class Guard(enum.Enum):
    """Which ``If-Match`` to send. The value is the label that the workbench shows."""

    LOADED = "loaded version"
    NONE = "none"
    OLDER = "an older version"
    TYPED = "typed"


_SHOWS_VERSION: Final = frozenset(each.value for each in (Verdict.READ, Verdict.CREATED, Verdict.UPDATED))
_WRITES: Final = frozenset(each.value for each in (Verdict.CREATED, Verdict.UPDATED, Verdict.DELETED))


class Method(enum.Enum):
    """What to do with the resource."""

    UPDATE = "PUT"
    CREATE = "POST"
    DELETE = "DELETE"


class Outgoing(NamedTuple):
    """A request for ``Client.send``."""

    method: Method
    path: str
    headers: dict[str, str | None]
    body: str


PREFERENCES: Final[tuple[Prefer, ...]] = ("minimal", "representation", "OperationOutcome")


class Draft:
    """One resource of one client, from the read that loads it to the update that sends it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.name: tuple[str, str] | None = None
        """Type and logical id of the resource; ``None`` before a resource is loaded."""
        self.etag: str | None = None
        """The version that the draft is based on: the one loaded, or the one that the last update made."""
        self.last_modified: str | None = None
        self.stale = False
        """Whether an answer showed that ``etag`` is no longer the current version."""
        self.loaded: Exchange | None = None
        """The read that loaded the resource."""
        self.unanswered: Exchange | None = None
        """The last update, while it is unknown whether the endpoint carried it out."""
        self._base: dict[str, Any] = {}
        self._text: str | None = ""  # of the base; made when it is asked for
        self._etags_of: defaultdict[str, list[str]] = defaultdict(list)
        self._last_write: dict[str, Transition] = {}
        self._now: datetime | None = None

    @property
    def text(self) -> str:
        """The resource as loaded, as JSON text without its version, which the endpoint assigns."""
        if self._text is None:
            self._text = json.dumps(self._base, indent=2) if self._base else ""
        return self._text

    def load(self, resource_type: str, logical_id: str) -> Exchange:
        """Read a resource and make it the draft. If the read fails, the draft does not change.

        Raises ``BadInput`` if the type is missing or the id is not valid.
        """
        if not resource_type.strip():
            raise BadInput("No resource type was given. Give one, such as List.")
        exchange = self.client.read(resource_type.strip(), logical_id.strip())
        resource = exchange.resource
        if exchange.verdict is Verdict.READ and isinstance(resource, dict):
            self.loaded, self.name = exchange, (exchange.resource_type, exchange.logical_id)
            self._rebase(exchange, resource)
        return exchange

    def resource(self, text: str, method: Method = Method.UPDATE) -> dict[str, Any]:
        """Parse the text as the resource to send.

        Raises ``BadInput`` if the text is not a resource with an id, or not the resource that was loaded. A resource
        to create needs no id, and can be any.
        """
        resource = json.parse(text)
        if method is Method.CREATE and isinstance(resource, dict):
            identity(resource | {"id": "new"})
            return resource
        found = identity(resource)
        if self.name is not None and found != self.name:
            raise BadInput(
                f"This text is {'/'.join(found)}, but {'/'.join(self.name)} was loaded. "
                f"Restore its resourceType and id, or load {'/'.join(found)}."
            )
        assert isinstance(resource, dict)
        return resource

    def changes(self, resource: dict[str, Any]) -> list[Change]:
        """Return what differs from the resource as loaded; the version is not compared."""
        return list(changes(self._base, without_version(resource)))

    def has_changes(self, text: str) -> bool:
        """Whether loading another resource would discard changes made in the text."""
        if text in ("", self.text):
            return False
        try:
            return bool(self.changes(self.resource(text)))
        except WorkbenchError:
            return True  # text that cannot be parsed may still be the user's work

    def if_match(self, guard: Guard, *, older: str | None = None, typed: str = "") -> str | None:
        """Return the ``If-Match`` value to send; raise ``BadInput`` if no such version is known."""
        if guard is Guard.NONE:
            return None
        if guard is Guard.TYPED:
            if not typed.strip():
                raise BadInput("No If-Match was typed. Type a value, or choose another If-Match.")
            return typed
        etag = self.etag if guard is Guard.LOADED else older
        if etag is None:
            what = "version has been loaded" if guard is Guard.LOADED else "older version is known"
            raise BadInput(f"No {what} yet. Load a resource, or choose another If-Match.")
        return etag

    def learn(self, rows: Iterable[Transition]) -> None:
        """Take in new rows of the journal: which versions there are, and who wrote last."""
        for row in rows:
            self._now = row.time
            etags = self._etags_of[row.resource]
            if row.verdict in _SHOWS_VERSION and row.etag_after and row.etag_after not in etags:
                etags.append(row.etag_after)
            if row.verdict in _WRITES:
                self._last_write[row.resource] = row

    def learn_history(self, bundle: Any) -> None:
        """Take in the versions of a history Bundle, which lists the newest first (FHIR STU3, history)."""
        entries = bundle.get("entry") if isinstance(bundle, dict) else None
        resources = [each.get("resource") for each in entries if isinstance(each, dict)] if entries else []
        versions = [version_of(each) for each in reversed(resources)]
        listed = [str(ETag(version)) for version in versions if version]
        if self.name is not None:
            known = self._known_etags()
            self._etags_of["/".join(self.name)] = listed + [etag for etag in known if etag not in listed]

    def older_etags(self) -> list[str]:
        """Return the other versions of this resource that the journal shows, the latest first."""
        return [etag for etag in reversed(self._known_etags()) if etag != self.etag]

    @property
    def newer_etag(self) -> str | None:
        """The newest version that the journal shows, if it appeared there after the version of the draft."""
        etags = self._known_etags()
        newest = etags[-1] if etags else None
        return newest if self.etag in etags and newest != self.etag else None

    def changed_by(self, if_match: str | None) -> str:
        """Return a sentence about who changed the resource after the version ``if_match``; empty if not known."""
        write = self._last_write.get("/".join(self.name)) if self.name else None
        if write is None or write.etag_after == if_match or self._now is None:
            return ""
        if write.client == self.client.name:
            return f"You changed it yourself, in step {write.seq}."
        ago = _ago((self._now - write.time).total_seconds())
        return f"{write.client[:1].upper()}{write.client[1:]} changed it in step {write.seq}, {ago}."

    def _known_etags(self) -> list[str]:
        return self._etags_of["/".join(self.name)] if self.name else []

    def request(
        self,
        method: Method,
        resource: dict[str, Any],
        if_match: str | None,
        prefer: str,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Outgoing:
        """Return the request that creates, updates or deletes the resource; ``headers`` are further fields."""
        resource_type, logical_id = identity({"id": "new"} | resource)
        fields: dict[str, str | None] = dict(headers)
        if prefer != "minimal" and method is not Method.DELETE:  # the default is not sent (contract PRF-1)
            fields["Prefer"] = f"return={prefer}"
        if method is Method.CREATE:
            content = {name: value for name, value in without_version(resource).items() if name != "id"}
            return Outgoing(method, resource_type, fields, json.dumps(content))
        if if_match is not None:
            fields["If-Match"] = if_match
        body = "" if method is Method.DELETE else json.dumps(without_version(resource))
        return Outgoing(method, f"{resource_type}/{logical_id}", fields, body)

    def preview(self, outgoing: Outgoing) -> Request:
        """Return the request exactly as ``send`` would send it."""
        return self.client.preview(outgoing.method.value, outgoing.path, headers=outgoing.headers, body=outgoing.body)

    def send(self, outgoing: Outgoing) -> Exchange:
        """Send the request. If the endpoint accepts an update, the draft is then based on the new version."""
        exchange = self.client.send(outgoing.method.value, outgoing.path, headers=outgoing.headers, body=outgoing.body)
        # If the same update is sent again and refused, the result of the first one is still unknown.
        if left_open(exchange) and outgoing.method is not Method.CREATE:
            self.unanswered = exchange
        if outgoing.method is Method.UPDATE and exchange.verdict in (Verdict.UPDATED, Verdict.CREATED):
            resource = json.parse(outgoing.body)
            self.name = identity(resource)
            self._rebase(exchange, resource)
        elif exchange.verdict is Verdict.STALE and outgoing.headers.get("If-Match") == self.etag:
            self.stale = True
        return exchange

    def restore(self, base: str, etag: str | None) -> None:
        """Base the draft on the earlier version that a kept text began with; see ``Frame.keep_draft``."""
        parsed = json.parse(base)
        if etag is None or not isinstance(parsed, dict) or self.name != identity(parsed):
            return
        self.stale = self.stale or etag != self.etag
        self.etag, self._base, self._text = etag, without_version(parsed), None

    def find_out(self) -> Resolution:
        """Read the resource to decide whether the unanswered update was carried out.

        If it was, and is still the current version, the draft is then based on it. Raises ``BadInput`` if
        no update is unanswered.
        """
        if self.unanswered is None:
            raise BadInput("No update is without an answer, so there is nothing to find out.")
        update = self.unanswered
        found = self.client.resolve(update)
        read = found.read
        if found.settled:
            self.unanswered = None
        if read is None or read.verdict is not Verdict.READ:
            return found
        if found.landed and holds(update, read):
            self._rebase(read, read.resource)
        else:
            self.stale = self.stale or str(read.etag) != self.etag
        return found

    def compare(self, text: str) -> tuple[Exchange, Merge | None]:
        """Read the resource again and merge it with the text; base is the version that the text began with.

        The draft is then based on the version read, so the next update names that version. If the read
        fails, the merge is ``None`` and the draft does not change.
        """
        mine = self.resource(text)
        exchange = self.client.read(*identity(mine))
        theirs = exchange.resource
        if exchange.verdict is not Verdict.READ or not isinstance(theirs, dict):
            return exchange, None
        merged = merge(self._base or theirs, mine, theirs)
        self._rebase(exchange, theirs)
        return exchange, merged

    def _rebase(self, exchange: Exchange, resource: Any) -> None:
        """Base the draft on the version that this exchange read or wrote."""
        self.etag = self.client.last_seen(exchange.resource_type, exchange.logical_id)
        self.last_modified = exchange.response.headers.get("Last-Modified") if exchange.response else None
        self.stale = False
        self.unanswered = None
        self._base, self._text = without_version(resource), None


def _ago(seconds: float) -> str:
    """Return a duration in words: "just now", "20 seconds ago", "2 minutes ago"."""
    for length, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        number = int(seconds // length)
        if number:
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"
