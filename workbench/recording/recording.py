"""Record a session as a cassette, replay it offline, or run it live and compare.

In every mode a client sees the same: logical names, placeholders for personal data, and a fixed clock. In *record* and
*live* mode a second client sends each request to the endpoint, with the original names and values. *Replay* sends
nothing.
"""

from __future__ import annotations

import atexit
import os
import sys
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
from workbench.client.transport import KnownFailure
from workbench.clock import LESSON_START, LessonClock
from workbench.endpoint.adapter import build_response, read_prepared
from workbench.endpoint.endpoint import Endpoint
from workbench.errors import BadInput, NotRecorded
from workbench.exchange.hosts import is_live
from workbench.exchange.message import Exchange, Headers, Request
from workbench.fhir import json
from workbench.journal.journal import Journal
from workbench.journal.redaction import Redaction, redacted_paths
from workbench.journal.secrets import without_credentials
from workbench.recording.cassette import (
    Cassette,
    Difference,
    Drift,
    Entry,
    as_request,
    as_response,
    check_recordable,
    differences,
    request_line,
    to_exchange,
)
from workbench.recording.cleaning import CleanUp
from workbench.recording.logical import BASE_URL, LogicalNames, TypeAndId

MODES: Final = ("replay", "record", "live")
VARIABLE: Final = "WORKBENCH_CASSETTE"

EndpointLike = str | Client | Endpoint
"""A base URL, a client whose connection is used, or an endpoint."""
_CLIENT_FIELDS: Final = frozenset({"user-agent", "accept-encoding", "content-length", "connection", "host"})
"""Header fields that the HTTP library adds by itself."""


def record(
    path: str | Path,
    endpoint: EndpointLike | Callable[[], EndpointLike] | None = None,
    *,
    mode: str | None = None,
    redact: bool | Iterable[str] | None = None,
    clean_up: bool = False,
) -> Recording:
    """Return a session that is recorded as a cassette at ``path``, replayed from it, or compared with it.

    ``endpoint`` is a base URL, a client whose connection is used, an ``Endpoint``, or a function that returns one of
    these. The function is called only to record or run live, so a replay needs no endpoint, profile or secret.
    ``mode`` is ``replay``, ``record`` or ``live``. The default is the environment variable ``WORKBENCH_CASSETTE``,
    then ``replay``. ``redact`` has the same meaning as for ``Journal``, and is kept in the cassette.

    ``clean_up`` puts back what the session changed when it ends, or when Python ends before it: what it created is
    deleted, and what it updated gets the content back that its first read found. A resource that could not be put
    back is a difference in ``Recording.end()``. These requests are not recorded, and a replay makes none.

    Raises ``BadInput`` for an unknown mode, for a cassette that is missing or cannot be read, and if an endpoint is
    needed but not given.
    """
    chosen = mode or os.environ.get(VARIABLE) or "replay"
    if chosen not in MODES:
        raise BadInput(f"{chosen!r} is not a mode of a cassette ({VARIABLE}); there are replay, record and live.")
    cassette = Cassette.read(path) if chosen != "record" else Cassette()
    if chosen == "replay":
        return Recording(path, chosen, cassette, None, Redaction(cassette.redacted))
    found = endpoint() if callable(endpoint) else endpoint
    if found is None:
        raise BadInput(f"To {chosen} a session, say with which endpoint: wb.record({str(path)!r}, endpoint).")
    if chosen == "record":
        check_recordable(path)  # before anything is sent
        cassette.redacted = redacted_paths(redact, live=_is_live(found))
    return Recording(path, chosen, cassette, found, Redaction(cassette.redacted), clean_up=clean_up)


def _is_live(endpoint: EndpointLike) -> bool:
    """Return whether the endpoint is remote; behind a proxy, a loopback URL is remote too."""
    proxied = isinstance(endpoint, Client) and endpoint.connection.proxy is not None
    return proxied or is_live(_base_url(endpoint))


def _base_url(endpoint: EndpointLike) -> str:
    return endpoint if isinstance(endpoint, str) else endpoint.base_url


class Recording:
    """A session with a cassette: its clients by name, their journal, and the differences from the recording.

    It is not for races, because exchanges are matched by client in the order in which they were made.
    """

    def __init__(
        self,
        path: str | Path,
        mode: str,
        cassette: Cassette,
        endpoint: EndpointLike | None,
        redaction: Redaction,
        *,
        clean_up: bool = False,
    ) -> None:
        self.path = Path(path)
        self.mode = mode
        self.journal = Journal(redact=redaction)
        self._cassette = cassette
        self._endpoint = endpoint
        self._redaction = redaction
        self._names = LogicalNames(_base_url(endpoint) if endpoint else BASE_URL, datetime.fromisoformat(LESSON_START))
        self._clock = LessonClock()
        self._lock = threading.Lock()
        self._exchanges: list[Entry] = []
        self._requests: Counter[str] = Counter()
        """The number of requests that each client has made."""
        self._recorded: dict[str, list[Entry]] = {}
        self._drift: list[Difference] = []
        self._changed = CleanUp()
        self._cleans_up = clean_up
        if clean_up:
            atexit.register(self._clean_up_late)
        for entry in cassette.exchanges:
            self._recorded.setdefault(entry["client"], []).append(entry)
        if mode == "replay":
            redaction.reserve(json.dumps(cassette.exchanges))

    def client(self, name: str = "client") -> Client:
        """Return a client of this session with this name; it writes into this session's journal."""
        inner = None if self._endpoint is None else _endpoint_client(self._endpoint, name)
        return Client(
            BASE_URL,
            name=name,
            journal=self.journal,
            # The client that reaches the endpoint checks whether writing is allowed.
            connection=Connection(adapter=_CassetteAdapter(self, name, inner), allow_writes=True),
            clock=self._clock,
            timed=False,
            embedded=inner is None or inner.is_local,
        )

    def end(self) -> Drift:
        """End the session and return the differences from the recording.

        *Record* mode writes the cassette. With ``clean_up`` what the session changed is put back. A recorded
        request that was not made this time is a difference too.
        """
        self._clean_up()
        if self.mode == "record":
            self._cassette.exchanges = list(self._exchanges)
            self._cassette.write(self.path)
        return self.drift()

    def drift(self) -> Drift:
        """Return the differences so far, and the recorded requests not made yet.

        In *record* mode there are no differences, except what could not be put back.
        """
        if self.mode == "record":
            return Drift(len(self._exchanges), tuple(self._drift))
        left = [entry for name, recorded in self._recorded.items() for entry in recorded[self._requests[name] :]]
        absent = [Difference(0, e["client"], request_line(e), "request", "asked", "not asked") for e in left]
        return Drift(len(self._exchanges), (*self._drift, *absent))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:  # an interrupted session is not recorded
            self.end()
        else:
            self._clean_up_late()

    def __repr__(self) -> str:
        return f"<Recording {self.path.name}>"

    # --- cleaning up ---

    def _clean_up(self) -> list[str]:
        """Put back what the session changed, and return a sentence for each resource that could not be put back."""
        if not self._cleans_up or self._endpoint is None:
            return []
        left = self._changed.run(_endpoint_client(self._endpoint, "clean-up"))
        self._drift += [Difference(0, "clean-up", "", "resource", "put back", sentence) for sentence in left]
        atexit.unregister(self._clean_up_late)
        return left

    def _clean_up_late(self) -> None:
        """Clean up after a session that did not reach its end; what could not be put back is printed."""
        for sentence in self._clean_up():
            sys.stderr.write(f"{sentence}\n")

    # --- for the adapter ---

    def replayed(self, client: str, request: Request) -> Entry:
        """Return the next recorded exchange of a client; raises ``NotRecorded`` if its request is another one."""
        with self._lock:
            recorded = self._next(client)
            original = as_request(request, BASE_URL)
            if recorded is not None:
                self._redaction.learn(original, recorded["request"])
                self._redaction.learn(unquote(original["path"]), unquote(recorded["request"]["path"]))

            entry = {"client": client, "request": as_request(self._redacted(request), BASE_URL)}
            if recorded is None or any(differences(0, {"request": recorded["request"]}, entry)):
                raise NotRecorded(self._not_recorded(entry, recorded))
            self._keep(entry)
            return recorded

    def sent(self, inner: Client, client: str, request: Request) -> Entry:
        """Send a request to the endpoint, and return the exchange as a session sees it; raises as a client does."""
        with self._lock:
            restored = self._redaction.restored(request)
            own, target = self._names.request(restored, _target(restored.url))
        path = own.url.removeprefix(inner.base_url)
        exchange = inner.send(own.method, path, headers=dict(own.headers.items()), body=own.body)
        with self._lock:
            self._changed.note(exchange)
            entry: Entry = {"client": client, "request": as_request(self._redacted(request), BASE_URL)}
            entry |= self._answer(exchange, target)
            recorded = self._next(client)
            self._keep(entry)
            seq = len(self._exchanges)
            if self.mode == "live" and recorded is not None:
                self._drift += differences(seq, recorded, entry)
            elif self.mode == "live":
                self._drift.append(Difference(seq, client, request_line(entry), "request", "not asked", "asked"))
            return entry

    def _redacted(self, request: Request) -> Request:
        """Return the request without credentials and personal data, as a cassette holds it."""
        return self._redaction.request(replace(request, url=without_credentials(request.url)))

    def _answer(self, exchange: Exchange, target: TypeAndId) -> Entry:
        entry: Entry = {}
        if exchange.response is not None:
            answer = self._names.response(exchange.request.method, target, exchange.response)
            entry["answer"] = as_response(self._redaction.response(answer, foreign=True))
        if exchange.failure:
            host = urlsplit(BASE_URL).netloc
            entry["failure"] = exchange.failure.replace(urlsplit(exchange.request.url).netloc, host)
            entry["sent"] = exchange.sent
        return entry

    def _keep(self, entry: Entry) -> None:
        self._exchanges.append(entry)
        self._requests[entry["client"]] += 1

    def _next(self, client: str) -> Entry | None:
        recorded = self._recorded.get(client, [])
        count = self._requests[client]
        return recorded[count] if count < len(recorded) else None

    def _not_recorded(self, entry: Entry, recorded: Entry | None) -> str:
        asked, count = request_line(entry), self._requests[entry["client"]] + 1
        instead = "nothing" if recorded is None else request_line(recorded)
        if instead == asked:
            instead = "the same with other header fields or another body"
        return (
            f"The cassette {self.path} does not hold {asked} as request {count} of {entry['client']}, but {instead}; "
            f"restart the kernel and run all cells, or record again by {VARIABLE}=record."
        )


def _endpoint_client(endpoint: EndpointLike, name: str) -> Client:
    """Return a client of the endpoint that keeps nothing, because it sees original names and values."""
    if isinstance(endpoint, Endpoint):
        return endpoint.client(name, journal=_NoJournal())
    if isinstance(endpoint, Client):
        return endpoint.sibling(name, journal=_NoJournal())
    return Client(endpoint, name=name, journal=_NoJournal())


class _NoJournal(Journal):
    """A journal that keeps nothing."""

    def append(self, exchange: Exchange, *, live: bool = False) -> int:  # noqa: ARG002
        return 0


class _CassetteAdapter(BaseAdapter):
    """The transport of a session's clients: it answers from the cassette or through the second client."""

    def __init__(self, recording: Recording, name: str, inner: Client | None) -> None:
        super().__init__()
        self._recording = recording
        self._name = name
        self._inner = inner

    def send(self, request: requests.PreparedRequest, *_transport: object, **_options: object) -> requests.Response:
        """Answer one prepared request from the cassette or from the endpoint."""
        prepared = read_prepared(request)
        headers = Headers(field for field in prepared.headers.items() if field[0].lower() not in _CLIENT_FIELDS)
        sent = replace(prepared, headers=headers)
        if self._inner:
            entry = self._recording.sent(self._inner, self._name, sent)
        else:
            entry = self._recording.replayed(self._name, sent)
        exchange = to_exchange(entry)
        if exchange.response is None:
            raise KnownFailure(exchange.failure, sent=exchange.sent)
        # One byte fewer than promised: the body breaks off again.
        return build_response(request, exchange.response, missing=int(bool(exchange.failure)))

    def close(self) -> None:
        """Close the connection that reaches the endpoint, if there is one."""
        if self._inner is not None:
            self._inner.close()


def _target(url: str) -> TypeAndId:
    """Return the resource type and id of a recorded session's URL."""
    steps = urlsplit(url.removeprefix(BASE_URL)).path.strip("/").split("/")
    return (steps[0], steps[1] if len(steps) > 1 else "")
