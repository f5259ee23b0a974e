"""A lesson as a regression test: a session kept as a cassette, replayed offline, compared when it is run live again.

Owns: the three modes and the adapter that stands between a client and the endpoint in each of them. In every mode a
client sees the same: logical names, placeholders for what is personal, a lesson's clock. *Record* and *live* call both
back before a request leaves, through a client of the endpoint that nobody else sees; *replay* never sends anything.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import BaseAdapter

from workbench.client.client import Client
from workbench.client.connection import Connection
from workbench.client.failure import Retold
from workbench.clock import LESSON_START, LessonClock
from workbench.endpoint.adapter import build_response, read_prepared
from workbench.endpoint.endpoint import Endpoint
from workbench.errors import BadInput, NotRecorded
from workbench.exchange.hosts import is_live
from workbench.exchange.message import Exchange, Headers, Request
from workbench.fhir import json
from workbench.journal.journal import Journal
from workbench.journal.personal import PERSONAL, Redaction
from workbench.journal.secrets import without_credentials
from workbench.recording.cassette import (
    Cassette,
    Difference,
    Drift,
    Entry,
    as_answer,
    as_request,
    check_recordable,
    differences,
    to_response,
)
from workbench.recording.logical import BASE_URL, LogicalNames, Target

MODES: Final = ("replay", "record", "live")
VARIABLE: Final = "WORKBENCH_CASSETTE"

Reachable = str | Client | Endpoint
_OURS: Final = frozenset({"user-agent", "accept-encoding", "content-length", "connection", "host"})
"""Header fields that each client adds by itself."""


def record(
    path: str | Path,
    endpoint: Reachable | Callable[[], Reachable] | None = None,
    *,
    mode: str | None = None,
    redact: bool | Iterable[str] | None = None,
) -> Recording:
    """A session that is kept as a cassette at ``path``, replayed from it, or compared with it.

    ``endpoint`` is a base URL, a client whose connection is used, an ``Endpoint``, or what gives one of these: a
    callable is asked only when something is sent, so that a replay needs no endpoint, no profile and no secret.
    ``mode`` is ``replay``, ``record`` or ``live``; without it the environment's ``WORKBENCH_CASSETTE`` decides, and
    without that it is ``replay``. ``redact`` is as ``Journal`` takes it, and is kept in the cassette.

    Raises ``BadInput`` for an unknown mode, for a cassette that is missing or cannot be read, and without an endpoint
    where one is needed.
    """
    chosen = mode or os.environ.get(VARIABLE) or "replay"
    if chosen not in MODES:
        raise BadInput(f"{chosen!r} is not a mode of a cassette ({VARIABLE}); there are replay, record and live.")
    tape = Cassette.read(path) if chosen != "record" else Cassette()
    if chosen == "replay":
        return Recording(path, chosen, tape, None, Redaction(tape.redacted))
    found = endpoint() if callable(endpoint) else endpoint
    if found is None:
        raise BadInput(f"To {chosen} a session, say with which endpoint: wb.record({str(path)!r}, endpoint).")
    if chosen == "record":
        check_recordable(path)  # before anything is sent
        tape.redacted = _paths(redact, live=_is_live(found))
    return Recording(path, chosen, tape, found, Redaction(tape.redacted))


def _is_live(endpoint: Reachable) -> bool:
    """Whether it is another machine; through a proxy, loopback is one too."""
    proxied = isinstance(endpoint, Client) and endpoint.connection.proxy is not None
    return proxied or is_live(_base_url(endpoint))


def _paths(redact: bool | Iterable[str] | None, *, live: bool) -> tuple[str, ...]:
    if isinstance(redact, str):
        raise BadInput(f"redact= takes a list of paths, so write [{redact!r}].")
    wanted = live if redact is None else redact
    return (PERSONAL if wanted else ()) if isinstance(wanted, bool) else tuple(wanted)


def _base_url(endpoint: Reachable) -> str:
    return endpoint if isinstance(endpoint, str) else endpoint.base_url


class Recording:
    """A session with a cassette: clients by name, their journal, and at its end what is different from the recording.

    Not for races: exchanges are matched client by client in the order in which they were made.
    """

    def __init__(
        self, path: str | Path, mode: str, tape: Cassette, endpoint: Reachable | None, redaction: Redaction
    ) -> None:
        self.path = Path(path)
        self.mode = mode
        self.journal = Journal(redact=redaction)
        self._tape = tape
        self._endpoint = endpoint
        self._redaction = redaction
        self._names = LogicalNames(_base_url(endpoint) if endpoint else BASE_URL, datetime.fromisoformat(LESSON_START))
        self._clock = LessonClock()
        self._turn = threading.Lock()
        self._now: list[Entry] = []
        self._asked: Counter[str] = Counter()
        """How many requests each client has made."""
        self._then: dict[str, list[Entry]] = {}
        self._drift: list[Difference] = []
        for entry in tape.exchanges:
            self._then.setdefault(entry["client"], []).append(entry)
        if mode == "replay":
            redaction.reserve(json.dumps(tape.exchanges))

    def client(self, name: str = "client") -> Client:
        """A client of this session, by that name; it writes into this session's journal."""
        inner = None if self._endpoint is None else _reaching(self._endpoint, name)
        return Client(
            BASE_URL,
            name=name,
            journal=self.journal,
            # Whether writing is allowed is asked where the request leaves: by the client that reaches the endpoint.
            connection=Connection(adapter=_TapeAdapter(self, name, inner), allow_writes=True),
            clock=self._clock,
            timed=False,
            embedded=inner is None or inner.is_local,
        )

    def end(self) -> Drift:
        """End the session: write the cassette if this records, and tell what is different from what was recorded.

        What was recorded and not asked this time is a difference too.
        """
        if self.mode == "record":
            self._tape.exchanges = list(self._now)
            self._tape.write(self.path)
        return self.drift()

    def drift(self) -> Drift:
        """What is different so far, and what was recorded and has not been asked; nothing while recording."""
        if self.mode == "record":
            return Drift(len(self._now), ())
        left = [entry for name, then in self._then.items() for entry in then[self._asked[name] :]]
        absent = [Difference(0, e["client"], _named(e["request"]), "request", "asked", "not asked") for e in left]
        return Drift(len(self._now), (*self._drift, *absent))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:  # half a session is no recording
            self.end()

    def __repr__(self) -> str:
        return f"<Recording {self.path.name}>"

    # --- what the adapter asks ---

    def replayed(self, client: str, request: Request) -> Entry:
        """The recorded exchange that is next for this client; raises ``NotRecorded`` if it is about another request."""
        with self._turn:
            then = self._next(client)
            asked = as_request(request, BASE_URL)
            if then is not None:
                self._redaction.learn(asked, then["request"])
                self._redaction.learn(unquote(asked["path"]), unquote(then["request"]["path"]))
            asked = as_request(self._blanked(request), BASE_URL)
            entry = {"client": client, "request": asked}
            if then is None or _differ(entry, then):
                raise NotRecorded(self._not_held(entry, then))
            self._keep(entry)
            return then

    def sent(self, inner: Client, client: str, request: Request) -> Entry:
        """The exchange as a session sees it, asked of the endpoint now; raises as a client does before it sends."""
        with self._turn:
            restored = self._redaction.restored(request)
            own, target = self._names.request(restored, _target(restored.url))
        path = own.url.removeprefix(inner.base_url)
        exchange = inner.send(own.method, path, headers=dict(own.headers.items()), body=own.body)
        with self._turn:
            entry: Entry = {"client": client, "request": as_request(self._blanked(request), BASE_URL)}
            entry |= self._told(exchange, target)
            then = self._next(client)
            self._keep(entry)
            if self.mode == "live":
                self._compare(then, entry)
            return entry

    def _blanked(self, request: Request) -> Request:
        """The request as a cassette holds it: without credentials, and without what is personal."""
        return self._redaction.request(replace(request, url=without_credentials(request.url)))

    def _told(self, exchange: Exchange, target: Target) -> Entry:
        told: Entry = {}
        if exchange.response is not None:
            answer = self._names.answer(exchange.request.method, target, exchange.response)
            told["answer"] = as_answer(self._redaction.response(answer, foreign=True))
        if exchange.failure:
            host = urlsplit(BASE_URL).netloc
            told["failure"] = exchange.failure.replace(urlsplit(exchange.request.url).netloc, host)
            told["sent"] = exchange.sent
        return told

    def _compare(self, then: Entry | None, entry: Entry) -> None:
        seq = len(self._now)
        if then is None:
            request = entry["request"]
            self._drift.append(Difference(seq, entry["client"], _named(request), "request", "not asked", "asked"))
        else:
            self._drift.extend(differences(seq, then, entry))

    def _keep(self, entry: Entry) -> None:
        self._now.append(entry)
        self._asked[entry["client"]] += 1

    def _next(self, client: str) -> Entry | None:
        then = self._then.get(client, [])
        count = self._asked[client]
        return then[count] if count < len(then) else None

    def _not_held(self, entry: Entry, then: Entry | None) -> str:
        asked, count = _named(entry["request"]), self._asked[entry["client"]] + 1
        instead = "nothing" if then is None else _named(then["request"])
        if instead == asked:
            instead = "the same with other header fields or another body"
        return (
            f"The cassette {self.path} does not hold {asked} as request {count} of {entry['client']}, but {instead}; "
            f"restart the kernel and run all cells, or record again by {VARIABLE}=record."
        )


def _reaching(endpoint: Reachable, name: str) -> Client:
    """A client that reaches the endpoint and keeps nothing: what it sees has neither been redacted nor made logical."""
    if isinstance(endpoint, Endpoint):
        return endpoint.client(name, journal=_Unkept())
    if isinstance(endpoint, Client):
        return endpoint.sibling(name, journal=_Unkept())
    return Client(endpoint, name=name, journal=_Unkept())


class _Unkept(Journal):
    """A journal that keeps nothing."""

    def append(self, exchange: Exchange, *, live: bool = False) -> int:  # noqa: ARG002  # this journal forgets
        return 0


class _TapeAdapter(BaseAdapter):
    """What a session is given in place of a connection; see ``endpoint.in_process`` for another of this shape."""

    def __init__(self, recording: Recording, name: str, inner: Client | None) -> None:
        super().__init__()
        self._recording = recording
        self._name = name
        self._inner = inner

    def send(self, request: requests.PreparedRequest, *_transport: object, **_options: object) -> requests.Response:
        """Answer one prepared request, from the cassette or from the endpoint."""
        prepared = read_prepared(request)
        headers = Headers(field for field in prepared.headers.items() if field[0].lower() not in _OURS)
        asked = replace(prepared, headers=headers)
        recording = self._recording
        told = recording.sent(self._inner, self._name, asked) if self._inner else recording.replayed(self._name, asked)
        if told.get("answer") is None:
            raise Retold(told["failure"], sent=bool(told.get("sent", True)))
        # One byte fewer than promised: the body breaks off again.
        return build_response(request, to_response(told["answer"]), missing=int("failure" in told))

    def close(self) -> None:
        """Close the connection that reaches the endpoint, if there is one."""
        if self._inner is not None:
            self._inner.close()


def _target(url: str) -> Target:
    """The type and id that a URL of a recorded session is about."""
    steps = urlsplit(url.removeprefix(BASE_URL)).path.strip("/").split("/")
    return (steps[0], steps[1] if len(steps) > 1 else "")


def _named(request: Entry) -> str:
    return f"{request['method']} {request['path']}"


def _differ(entry: Entry, then: Entry) -> bool:
    return any(differences(0, {"request": then["request"]}, entry))
