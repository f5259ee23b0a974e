"""One client of an endpoint: sends a request, records the exchange, gives it back.

A status never raises: 409 is an answer. What cannot be sent at all because of what it was given raises
``BadInput`` (or ``WriteNotAllowed``) before anything leaves. Nothing is retried unless ``retry=`` says so, no
redirect is followed, and a failure on the way is an exchange too, whatever failed: FAILED if the request surely was
not sent, UNKNOWN otherwise; ``resolve`` then finds out. Only Ctrl-C and the end of the program go on, once the
exchange is in the journal.

A client belongs to one thread (it holds one ``requests.Session``); give each thread its own.
"""

from __future__ import annotations

import enum
import re
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from string import punctuation
from typing import Any, Final, Literal, overload
from urllib.parse import quote, unquote, urlencode

import requests
from requests.exceptions import RequestException

from workbench.client import transport as sending
from workbench.client import unanswered as resolution
from workbench.client.connection import Connection, check_base_url
from workbench.client.failure import ConnectingAdapter
from workbench.client.request import FHIR_JSON, INTERACTIONS, Call, encoded, given, preference, whole
from workbench.client.retry import Retried, Retry, check_names_one_version, send_until_answered
from workbench.client.secret import conceal
from workbench.client.unanswered import Resolution
from workbench.clock import Clock, wall_clock
from workbench.errors import BadInput, WorkbenchError
from workbench.exchange.hosts import is_live
from workbench.exchange.message import Exchange, Request, Response, can_be_sent, check_field, check_method
from workbench.exchange.verdict import Verdict
from workbench.fhir import json
from workbench.fhir.etag import ETag
from workbench.fhir.resource import LOGICAL_ID, RESOURCE_TYPE, identity, version_of, without_version
from workbench.journal.journal import Journal
from workbench.journal.secrets import without_named_credentials

Prefer = Literal["minimal", "representation", "OperationOutcome"]


class _LastRead(enum.Enum):
    LAST_READ = "the version this client last saw"


LAST_READ: Final = _LastRead.LAST_READ
"""The default of ``if_match``: the version at which this client last read or wrote the resource."""

IfMatch = str | ETag | None | Literal[_LastRead.LAST_READ]


class Client:
    """Somebody who talks to an endpoint, by name.

    ``clock`` says when an exchange took place. ``timed=False`` leaves out how long it took, for lessons
    whose output is compared to the letter. ``embedded`` marks the endpoint as the one this package brings; raises
    ``BadInput`` where the base URL leads to another machine.
    """

    def __init__(
        self,
        base_url: str,
        *,
        name: str = "client",
        journal: Journal | None = None,
        connection: Connection | None = None,
        clock: Clock = wall_clock,
        timed: bool = True,
        embedded: bool = False,
    ) -> None:
        self.name = name
        base_url = conceal(base_url)  # until it is known to hold no password
        self.base_url = check_base_url(base_url)
        self.journal = journal if journal is not None else Journal()
        self.connection = connection or Connection()
        # By way of a proxy, loopback is another machine too: what comes from there may be about real people.
        self._proxied = self.connection.proxy is not None
        if embedded and (self._proxied or is_live(self.base_url)):
            raise BadInput(
                f"{self.base_url} is not this machine, so it is not an embedded endpoint; leave embedded= out."
            )
        self.embedded = embedded
        self._clock = clock
        self._timed = timed
        self._session = self.connection.session()
        self._versions: dict[tuple[str, str], str] = {}
        self.last_seq = 0
        """The journal's number of this client's last exchange; what stands there may be redacted."""

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is on this machine, so that writing needs no further yes."""
        return self.embedded or self.connection.leads_here(self.base_url)

    @property
    def may_write(self) -> bool:
        """Whether this client sends writes: to this machine always, elsewhere if its connection allows them."""
        return self.is_local or self.connection.allow_writes

    def url(self, resource_type: str, logical_id: str = "") -> str:
        """The URL of a type or of a resource; raises ``BadInput`` for what cannot stand in one."""
        if not RESOURCE_TYPE.fullmatch(resource_type):
            raise BadInput(f"{resource_type!r} is not a resource type; one is written like List or Flag.")
        if logical_id and not LOGICAL_ID.fullmatch(logical_id):
            raise BadInput(f"{logical_id!r} is not a FHIR id: 1 to 64 letters, digits, hyphens and dots.")
        if logical_id in (".", ".."):
            raise BadInput(f"The id {logical_id!r} cannot stand in a URL, where it would mean another place.")
        return f"{self.base_url}/{resource_type}" + (f"/{logical_id}" if logical_id else "")

    def last_seen(self, resource_type: str, logical_id: str) -> str | None:
        """The ETag at which this client last read or wrote the resource; ``None`` if it never did."""
        return self._versions.get((resource_type, logical_id))

    def read(
        self,
        resource_type: str,
        logical_id: str,
        *,
        if_none_match: str | ETag | None = None,
        if_modified_since: str | None = None,
    ) -> Exchange:
        """``GET base/Type/id`` (RD-1); with ``if_none_match`` or ``if_modified_since`` 304 is possible (RD-2, RD-3)."""
        headers = given({"If-None-Match": if_none_match, "If-Modified-Since": if_modified_since})
        return self._exchange(self._call("read", "GET", resource_type, logical_id or "", headers))

    @overload
    def update(
        self,
        resource: Mapping[str, Any] | str | bytes,
        *,
        if_match: IfMatch = LAST_READ,
        prefer: Prefer | str | None = None,
        keep_meta: bool = False,
        retry: None = None,
    ) -> Exchange: ...

    @overload
    def update(
        self,
        resource: Mapping[str, Any] | str | bytes,
        *,
        if_match: IfMatch = LAST_READ,
        prefer: Prefer | str | None = None,
        keep_meta: bool = False,
        retry: Retry,
    ) -> Retried: ...

    def update(
        self,
        resource: Mapping[str, Any] | str | bytes,
        *,
        if_match: IfMatch = LAST_READ,
        prefer: Prefer | str | None = None,
        keep_meta: bool = False,
        retry: Retry | None = None,
    ) -> Exchange | Retried:
        """Send ``PUT base/Type/id``, the version-aware update (contract UPD-1 and following).

        ``resource`` is plain JSON, or JSON text. ``if_match`` defaults to the version that this client last saw;
        ``None`` sends no ``If-Match``, and any string is sent as it is. ``meta.versionId`` and ``meta.lastUpdated``
        are left out, because the server writes them, unless ``keep_meta`` is true.

        With ``retry`` the update is sent again, with the same ``If-Match``, while no answer comes. A server that
        keeps to its lock accepts one attempt at most. Each attempt is an exchange in the journal. The result is
        then a ``workbench.client.retry.Retried``: ``.exchange`` is the last attempt, ``.attempts`` all of them,
        ``.stopped`` why it was not sent once more, ``.resolution`` what became of an earlier attempt without an
        answer, ``.verdict`` the last attempt's, and ``.explain()`` says it all in one paragraph.

        Raises ``BadInput`` for a resource without type or id, for a version never seen, and for ``retry`` without
        an ``If-Match`` that names one version.
        """
        call = self._update_call(resource, if_match, prefer, keep_meta=keep_meta)
        if retry is None:
            return self._exchange(call)
        check_names_one_version(call.headers.get("If-Match"))
        kept: dict[str, str] = {}
        return send_until_answered(lambda: self._exchange(call, kept=kept), retry, self.resolve)

    def preview_update(
        self,
        resource: Mapping[str, Any] | str | bytes,
        *,
        if_match: IfMatch = LAST_READ,
        prefer: Prefer | str | None = None,
    ) -> Request:
        """The request that ``update`` would send, credentials replaced; nothing is sent. Raises as ``update`` does."""
        call = self._update_call(resource, if_match, prefer)
        return self._prepare(call, self.connection.foretold(call.interaction, call.resource_type))[1]

    def create(self, resource: Mapping[str, Any] | str | bytes, *, prefer: Prefer | str | None = None) -> Exchange:
        """``POST base/Type`` (CR-1): the endpoint assigns the id, so the resource must not have one (CR-2)."""
        content = whole(resource)
        kind = content.get("resourceType")
        headers = given({"Prefer": preference(prefer)})
        body = encoded(json.dumps(content))
        return self._exchange(self._call("create", "POST", kind if isinstance(kind, str) else "", None, headers, body))

    def delete(self, resource_type: str, logical_id: str, *, if_match: IfMatch = LAST_READ) -> Exchange:
        """``DELETE base/Type/id`` with ``If-Match`` as in ``update`` (DL-1, DL-2)."""
        headers = given({"If-Match": self._if_match(if_match, resource_type, logical_id)})
        return self._exchange(self._call("delete", "DELETE", resource_type, logical_id or "", headers))

    def resolve(self, exchange: Exchange) -> Resolution:
        """Find out what became of a write that was not answered, by a read; nothing is written.

        The more clients share this client's journal, the more can be known. What is read counts as seen only where
        it is what was sent: an update that follows must not write over what nobody has looked at.
        Raises ``BadInput`` for an exchange that leaves nothing to find out, or of another endpoint.
        """
        resolution.check_open(exchange)
        if unreadable := resolution.unreadable(exchange):
            return unreadable
        about = (exchange.resource_type, exchange.logical_id)
        if exchange.request.url.partition("?")[0] != self.connection.recorded_url(self.url(*about)):
            raise BadInput(f"{exchange.target} was sent to another endpoint; ask a client of that one.")
        read = self._exchange(self._call("read", "GET", *about), seen=False)
        kept, shown = (self.journal.redacted(each, live=self._proxied) for each in (exchange, read))
        found = resolution.resolve(kept, shown, self.journal)
        if resolution.holds(kept, shown):
            self._versions.pop(about, None)
            self._remember(read)
        elif read.verdict is Verdict.NOT_FOUND:
            self._versions.pop(about, None)
        return replace(found, read=read)

    def search(
        self,
        resource_type: str,
        pairs: Iterable[tuple[str, Parameter]] = (),
        /,
        **parameters: Parameter | Iterable[Parameter],
    ) -> Exchange:
        """``GET base/Type?…`` (SR-1): ``search("List", _lastUpdated=["ge2018", "lt2019"], _count=10)``.

        A parameter that has several values is sent once with each. ``pairs`` are sent first, as they are: they may
        repeat a name, and may have names that Python cannot write, such as ``("code:in", "…")``.
        """
        call = self._call("search-type", "GET", resource_type)
        asked = [*pairs, *((name, each) for name, value in parameters.items() for each in _each(value))]
        asked = [(name, conceal(value)) for name, value in asked]
        del pairs, parameters  # a traceback would show the credential that they may hold
        return self._exchange(
            call._replace(url=f"{call.url}?{urlencode(asked, quote_via=quote)}" if asked else call.url)
        )

    def capabilities(self) -> Exchange:
        """``GET base/metadata``: the CapabilityStatement (CAP-1)."""
        return self._exchange(Call("capabilities", "GET", f"{self.base_url}/metadata"))

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str | None] | None = None,
        body: bytes | str = b"",
        interaction: str = "",
        chunked: bool = False,
    ) -> Exchange:
        """Any request at all, below the base URL and exactly as given: for what no well-behaved client sends.

        A header field that is ``None`` is left out, where this client or its connection would add it.
        ``chunked`` sends the body in chunks, its length not told beforehand.

        Raises ``BadInput`` for a path that some server would read as one outside of the base URL.
        """
        path, headers = conceal(path), self.connection.concealed(headers or {})
        method = method.upper()  # as requests sends it
        check_method(method)
        _check_below(path)
        steps = path.partition("?")[0].strip("/").split("/")
        capabilities = (method, steps) == ("GET", ["metadata"])
        about = ("", "") if capabilities else (steps[0], steps[1] if len(steps) == 2 else "")
        kind = interaction or (
            "capabilities" if capabilities else INTERACTIONS.get((method, len(steps)), method.lower())
        )
        content = encoded(body) if isinstance(body, str) else body
        return self._exchange(
            Call(kind, method, f"{self.base_url}/{path.lstrip('/')}", headers, content, *about, chunked)
        )

    def sibling(self, name: str, *, journal: Journal | None = None) -> Client:
        """Another client of the same endpoint, by the same connection, that has seen nothing yet.

        Its journal is its own unless one is given. For work beside this client: in another thread, or unrecorded here.
        """
        return Client(
            self.base_url,
            name=name,
            journal=journal,
            connection=self.connection,
            clock=self._clock,
            timed=self._timed,
            embedded=self.embedded,
        )

    def close(self) -> None:
        """Close the connection; the journal stays."""
        self._session.close()

    def abort(self) -> None:
        """End the request under way in another thread, and every later one: they are recorded as not answered."""
        for adapter in self._session.adapters.values():
            if isinstance(adapter, ConnectingAdapter):
                adapter.abort()

    def _if_match(self, if_match: IfMatch, resource_type: str, logical_id: str) -> str | None:
        if if_match is not LAST_READ:
            return None if if_match is None else str(if_match)
        version = self.last_seen(resource_type, logical_id)
        if version is None:
            name = f"{resource_type}/{logical_id}"
            raise BadInput(
                f"{self.name} has not read {name}, so there is no version to send; read it first or give if_match=."
            )
        return version

    def _call(
        self,
        interaction: str,
        method: str,
        resource_type: str,
        logical_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Call:
        """A request about a type, or about a resource of it if there is a ``logical_id``."""
        if logical_id == "":
            raise BadInput(f"Which {resource_type}? Give its id.")
        url = self.url(resource_type, logical_id or "")
        return Call(interaction, method, url, headers or {}, body, resource_type, logical_id or "")

    def _update_call(
        self,
        resource: Mapping[str, Any] | str | bytes,
        if_match: IfMatch,
        prefer: str | None,
        *,
        keep_meta: bool = False,
    ) -> Call:
        content = whole(resource)
        about = identity(content)
        headers = given({"If-Match": self._if_match(if_match, *about), "Prefer": preference(prefer)})
        body = encoded(json.dumps(content if keep_meta else without_version(content)))
        return self._call("update", "PUT", *about, headers, body)

    def _exchange(self, call: Call, *, kept: dict[str, str] | None = None, seen: bool = True) -> Exchange:
        """Send a request and record the exchange; ``seen``: whether its version counts as seen by this client."""
        self.connection.guard(call.method, self.base_url)
        self.connection.keep_pace()  # before a token is made, whose minutes would pass while waiting
        added = self.connection.fresh(call.interaction, call.resource_type, kept)
        prepared, request = self._prepare(call, added)
        # In this order, so that what lies between the two can only make an exchange seem longer: a proof relies on it.
        started, sent_at = time.perf_counter(), self._clock()
        outcome: sending.Outcome | None = _INTERRUPTED  # unless more becomes known
        try:
            outcome = sending.send(prepared, self._session, self.connection, self.base_url)
        except WorkbenchError:
            outcome = None  # an adapter of this package raised it and sent nothing
            raise
        finally:
            elapsed = time.perf_counter() - started if self._timed else None
            if outcome is not None:
                with _without_interruption():
                    exchange = self._record(call, request, outcome, sent_at, elapsed, seen=seen)
        if outcome.stop is not None:
            # Without the frames of the HTTP libraries, whose variables hold credentials.
            raise outcome.stop.with_traceback(None) from None
        return exchange

    def _record(
        self,
        call: Call,
        request: Request,
        outcome: sending.Outcome,
        sent_at: datetime,
        elapsed: float | None,
        *,
        seen: bool,
    ) -> Exchange:
        response, logical_id = outcome.response, call.logical_id
        if call.interaction == "create" and response and response.status == 201:
            logical_id = _created_id(response)
        about = (self.name, call.interaction, call.resource_type, logical_id)
        exchange = Exchange(*about, request, response, sent_at, elapsed, outcome.failure, outcome.sent)
        if seen:
            self._remember(exchange)
        self.last_seq = self.journal.append(exchange, live=self._proxied)
        return exchange

    def _prepare(self, call: Call, added: Mapping[str, str]) -> tuple[requests.PreparedRequest, Request]:
        """The request as it will go out, with what the connection added, and as an exchange may hold it."""
        usual = {"Accept": FHIR_JSON, **({"Content-Type": FHIR_JSON} if call.body else {})}
        fields = {**usual, **added, **call.headers}
        for name, value in fields.items():
            if value is not None:  # None leaves a field out, also one that the session would add
                check_field(name, value)
        body = iter([call.body]) if call.chunked and call.body else call.body or None
        asked = requests.Request(call.method, call.url, headers=fields, data=body)
        try:
            prepared = self._session.prepare_request(asked)
        except (RequestException, UnicodeError, ValueError) as error:
            raise BadInput(f"This request cannot be sent: {self.connection.recorded_url(str(error))}.") from None
        headers = self.connection.recorded((name, str(value)) for name, value in prepared.headers.items())
        if "Cookie" in prepared.headers:  # which the session added
            prepared.headers["Cookie"] = conceal(prepared.headers["Cookie"])
        url = quote(call.url, safe=punctuation)  # as it goes out: in printable ASCII
        body_kept = without_named_credentials(call.body)
        return prepared, Request(call.method, self.connection.recorded_url(url), headers, body_kept)

    def _remember(self, exchange: Exchange) -> None:
        """Keep the version that this client has now seen; its own accepted update counts as seen."""
        about = (exchange.resource_type, exchange.logical_id)
        verdict = exchange.verdict
        if verdict is Verdict.DELETED:
            self._versions.pop(about, None)
        elif verdict in _SEEN and exchange.logical_id and not (exchange.interaction == "read" and not _body(exchange)):
            seen = exchange.response.headers.get("ETag") if exchange.response else None
            if not can_be_sent(seen) and (version_id := version_of(exchange.resource)):
                seen = str(ETag(version_id))
            if seen is not None:
                self._versions[about] = seen

    def __repr__(self) -> str:
        return f"<Client {self.name}>"


Parameter = str | int
"""A value of a search parameter."""


def _each(value: Parameter | Iterable[Parameter]) -> Iterable[Parameter]:
    return (value,) if isinstance(value, str | int) else value


def _check_below(path: str) -> None:
    r"""Raise ``BadInput`` for a path that leads out of the base URL as any server on the way may read it.

    Some servers undo ``%2e`` before they look for ``..``, some twice; some read ``\`` as ``/``, some leave out ``;x``.
    Of what stands between two slashes, every step up that can be found counts, and one step down at most.
    """
    depth = 0
    for part in path.partition("?")[0].split("/"):
        steps = [step.partition(";")[0] for step in re.split(r"[/\\?#]", _undone(part)) if step]
        depth += bool(steps) and steps[0] not in (".", "..")
        depth -= steps.count("..")
        if depth < 0 or _SCHEME.match(_undone(path)):
            raise BadInput("This request cannot be sent: its path must stay below the base URL, and not be a URL.")


def _undone(text: str) -> str:
    """A part of a URL with every percent-encoding undone, also that of others; less white space and control codes."""
    while (undone := unquote(text)) != text:
        text = undone
    return re.sub(r"[\x00-\x20]", "", text)


_SCHEME = re.compile(r"/*[A-Za-z][A-Za-z0-9+.-]*:[/\\]{2}")

_INTERRUPTED: Final = sending.Outcome(None, "The exchange was interrupted.", sent=True)


@contextmanager
def _without_interruption() -> Iterator[None]:
    """Put Ctrl-C off until this is over. Python delivers it to the main thread only."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            signal.raise_signal(signal.SIGINT)


_SEEN: Final = frozenset({Verdict.READ, Verdict.UPDATED, Verdict.CREATED})


def _body(exchange: Exchange) -> bytes:
    return exchange.response.body if exchange.response else b""


def _created_id(response: Response) -> str:
    """The id that the endpoint assigned: the last step of the Location, less a version some servers add."""
    location = response.headers.get("Location") or ""
    return location.partition("/_history/")[0].rstrip("/").rpartition("/")[2]
