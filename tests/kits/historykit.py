"""Histories as data: the compact form of tests/history/recorded, and a model endpoint that makes sound ones.

The model endpoint shares no code with the proof.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from workbench.exchange.message import Exchange, Headers, Request, Response

BASE = "http://127.0.0.1:8080/STU3"
START = datetime(2018, 5, 25, 16, 10, tzinfo=UTC)
METHODS = {"read": "GET", "update": "PUT", "create": "POST", "delete": "DELETE", "patch": "PATCH"}
FOLDER = Path(__file__).parents[1] / "history" / "recorded"


@dataclass
class Line:
    """One exchange of a history. ``at`` is its start and end in milliseconds; ``status`` ``None``: no answer."""

    who: str
    did: str
    status: int | None = 200
    etag: str | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    at: tuple[float, float] | None = None
    id: str = "1"
    sent: dict[str, Any] | None = None
    got: dict[str, Any] | None = None
    reached: bool = True
    """Whether the request can have arrived."""

    def exchange(self) -> Exchange:
        """The exchange it stands for; version ids are written as weak ETags."""
        asked = {"If-Match": _tag(self.if_match), "If-None-Match": _tag(self.if_none_match)}
        url = f"{BASE}/List" + ("" if self.did == "create" else f"/{self.id}")
        request = Request(METHODS[self.did], url, _fields(asked), _body(self.sent, self.id, None))
        response = None
        if self.status is not None:
            got = _body(self.got, self.id, self.etag)
            response = Response(self.status, _fields({"ETag": _tag(self.etag)}), got)
        logical_id = "" if self.did == "create" and self.status != 201 else self.id
        begun, ended = self.at or (0.0, 0.0)
        return Exchange(
            client=self.who,
            interaction=self.did,
            resource_type="List",
            logical_id=logical_id,
            request=request,
            response=response,
            sent_at=START + timedelta(milliseconds=begun),
            elapsed=(ended - begun) / 1000 if self.at else None,
            failure="" if response else "No answer came.",
            sent=self.reached,
        )


def _tag(version: str | None) -> str | None:
    return version if version is None or version[:1] in ('"', "*", "=") else f'W/"{version}"'


def _fields(named: dict[str, str | None]) -> Headers:
    return Headers((name, value.removeprefix("=")) for name, value in named.items() if value is not None)


def _body(content: dict[str, Any] | None, logical_id: str, version: str | None) -> bytes:
    if content is None:
        return b""
    meta = {"meta": {"versionId": version}} if version else {}
    return json.dumps({"resourceType": "List", "id": logical_id, **meta, **content}).encode()


@dataclass
class Recorded:
    """A history of tests/history/recorded, with what is to be found in it."""

    name: str
    about: str
    expect: dict[str, Any]
    lines: list[Line]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def exchanges(self) -> list[Exchange]:
        """Its exchanges."""
        return [line.exchange() for line in self.lines]


def recorded(kind: str) -> list[Recorded]:
    """The histories of a folder; a member that is not known is an error."""
    found = []
    for path in sorted((FOLDER / kind).glob("*.json")):
        whole = json.loads(path.read_text(encoding="utf-8"))
        lines = [Line(**{**each, "at": tuple(each["at"]) if "at" in each else None}) for each in whole.pop("exchanges")]
        found.append(Recorded(path.stem, whole.pop("about"), whole.pop("expect"), lines, whole))
    return found


# --- a model endpoint, and clients whose requests overlap ---


@dataclass
class Stored:
    """What the model endpoint holds of one resource: no version, and it is not there."""

    version: str | None = None
    content: dict[str, Any] = field(default_factory=dict)
    deleted: bool = False


@dataclass
class Pending:
    """A request under way: begun, then carried out, then answered; an unanswered one may be late, or never be."""

    line: Line
    fate: str
    done: bool = False
    landed: bool = False


class Model:
    """An endpoint that is right by construction: each request takes effect at one moment, in one place.

    Driven by numbers, so that Hypothesis can choose them: each step lets one client begin, be carried out, or end.
    A millisecond passes between any two steps.
    """

    def __init__(self, resources: int, *, there: bool, optional: bool = False) -> None:
        self._optional = optional
        self.overwritten = False
        """Whether an answered update replaced what another client was told it had stored, without having seen it."""
        self._chain: dict[str, list[Pending]] = {}
        self.lines: list[Line] = []
        self.now = 0
        self._stored = {str(number): Stored() for number in range(1, resources + 1)}
        self._seen: dict[tuple[str, str], list[str]] = {}
        self._pending: dict[str, Pending] = {}
        self._late: list[Pending] = []
        self._made = 0
        self._unanswered: dict[int, Pending] = {}
        if there:
            for logical_id, stored in self._stored.items():
                self._write(stored, {"title": f"first of {logical_id}"})

    def _write(self, stored: Stored, content: dict[str, Any]) -> None:
        self._made += 1
        stored.version, stored.content = f"v{self._made}", content

    def step(self, client: str, logical_id: str, deed: int, fate: str) -> None:
        """Move one client on by one step: ``deed`` and ``fate`` choose what it begins, if it begins something."""
        self.now += 1
        if self._late and deed % 3 == 0:
            self._carry_out(self._late.pop(0))
        pending = self._pending.get(client)
        if pending is None:
            self._begin(client, logical_id, deed, fate)
        elif not pending.done and pending.fate in ("answered", "lost after"):
            self._carry_out(pending)
        else:
            self._end(client, pending)

    def finish(self) -> list[Line]:
        """End everything under way; the exchanges in the order in which they ended."""
        for client, pending in list(self._pending.items()):
            self.now += 1
            if not pending.done and pending.fate in ("answered", "lost after"):
                self._carry_out(pending)
            self.now += 1
            self._end(client, pending)
        return self.lines

    @property
    def landed(self) -> dict[int, bool]:
        """Of each unanswered update and delete, by its number in the history: whether it took effect."""
        return {number: pending.landed for number, pending in self._unanswered.items()}

    def _begin(self, client: str, logical_id: str, deed: int, fate: str) -> None:
        seen = self._seen.get((client, logical_id), [])
        line = Line(client, "read", id=logical_id, at=(self.now, self.now))
        if not seen and deed % 5 == 4:
            line = replace(line, did="create", sent={"title": f"created by {client} at {self.now}"})
        elif seen and deed % 10 < 5:
            line = replace(line, did="update", if_match=seen[-1], sent={"title": f"{client} at {self.now}"})
        elif seen and deed % 10 == 5:
            line = replace(line, did="update", if_match=seen[0], sent={"title": f"{client} at {self.now}"})
        elif seen and deed % 20 == 6:
            line = replace(line, did="delete", if_match=seen[-1])
        elif seen and deed % 10 == 7:
            line = replace(line, if_none_match=seen[-1])
        elif seen and deed % 10 == 8:
            line = replace(line, did="update", sent={"title": f"{client} at {self.now}"})
        self._pending[client] = Pending(line, fate)

    def _carry_out(self, pending: Pending) -> None:
        pending.done = True
        line, stored = pending.line, self._stored[pending.line.id]
        if line.did == "create":
            # The model has one id to give: whoever comes first gets it.
            fresh = stored.version is None and not stored.deleted and pending.fate == "answered"
            line.status = 201 if fresh else 422
            if fresh:
                self._write(stored, line.sent or {})
                line.etag = stored.version
                self._chain.setdefault(line.id, []).append(pending)
        elif stored.version is None:
            line.status = 404
        elif line.did == "read":
            line.status, line.etag = (304 if line.if_none_match == stored.version else 200), stored.version
            line.got = stored.content if line.status == 200 else None
        elif line.if_match is None and not self._optional:
            line.status = 412
        elif line.if_match not in (None, stored.version):
            line.status = 409
        elif line.did == "delete":
            line.status, stored.version, stored.deleted = 204, None, True
            pending.landed = True
        else:
            self._write(stored, line.sent or {})
            line.status, line.etag = 200, stored.version
            pending.landed = True
            self._note_overwritten(pending)

    def _note_overwritten(self, pending: Pending) -> None:
        line = pending.line
        chain = self._chain.setdefault(line.id, [])
        seen = self._seen.get((line.who, line.id), [""])[-1]
        unseen = chain[next((n + 1 for n, each in enumerate(chain) if each.line.etag == seen), 0) :]
        told = [each for each in unseen if each.line.who != line.who and each.fate == "answered"]
        self.overwritten |= bool(told) and pending.fate == "answered"
        chain.append(pending)

    def _end(self, client: str, pending: Pending) -> None:
        del self._pending[client]
        line = pending.line
        if not pending.done and pending.fate == "late":
            pending = replace(pending, line=replace(line))
            self._late.append(pending)
        if pending.fate != "answered":
            line = replace(line, status=None, etag=None, got=None)
        line.at = (line.at[0] if line.at else 0, self.now)
        self.lines.append(line)
        if line.status is None and line.did in ("update", "delete"):
            self._unanswered[len(self.lines)] = pending
        if line.etag and line.status in (200, 201):
            self._seen.setdefault((client, line.id), []).append(line.etag)


def untimed(lines: Iterable[Line]) -> list[Line]:
    """The same as a lesson's clock has it: nothing says how long it took."""
    return [replace(line, at=None) for line in lines]
