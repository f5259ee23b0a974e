"""Send a request to an endpoint, record the exchange in a journal, and return it.

* An HTTP status never raises: a 409 is an exchange with a verdict.
* A request that cannot be sent raises ``BadInput`` or ``WriteNotAllowed`` before anything leaves.
* A request without an answer is an exchange too: FAILED if it surely was not sent, else UNKNOWN.
* Nothing is sent again without ``retry=``, and no redirect is followed.
* Ctrl-C and the end of the program are raised again once the exchange is in the journal.
"""

from __future__ import annotations

import enum
import re
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from string import punctuation
from typing import Any, Final, Literal, overload
from urllib.parse import quote, unquote, urlencode

import requests
from requests.exceptions import RequestException

from workbench.client import transport, unanswered
from workbench.client.adapter import ConnectingAdapter
from workbench.client.connection import Connection, check_base_url
from workbench.client.retry import Retried, Retry, send_until_answered
from workbench.client.secret import conceal
from workbench.client.unanswered import Resolution
from workbench.clock import Clock, wall_clock
from workbench.errors import BadInput, WorkbenchError
from workbench.exchange.hosts import is_live
from workbench.exchange.message import Exchange, Request, can_be_sent, check_field, check_method
from workbench.exchange.verdict import E_TAG, Verdict, changes_nothing
from workbench.fhir import json
from workbench.fhir.etag import ETag
from workbench.fhir.resource import LOGICAL_ID, RESOURCE_TYPE, identity, version_of, without_version
from workbench.journal.journal import Journal
from workbench.journal.secrets import without_credentials, without_named_credentials

FHIR_JSON: Final = "application/fhir+json"

INTERACTIONS: Final = {
    ("GET", 1): "search-type",
    ("POST", 1): "create",
    ("GET", 2): "read",
    ("PUT", 2): "update",
    ("DELETE", 2): "delete",
}
"""FHIR's name of an interaction, by method and number of path segments below the base URL."""

Prefer = Literal["minimal", "representation", "OperationOutcome"]

Content = Mapping[str, Any] | str | bytes
"""A resource as plain JSON, or as JSON text."""

Parameter = str | int
"""A value of a search parameter."""


class _LastRead(enum.Enum):
    LAST_READ = "the version this client last saw"


LAST_READ: Final = _LastRead.LAST_READ
"""The default of ``if_match``: the version at which this client last read or wrote the resource."""

IfMatch = str | ETag | None | Literal[_LastRead.LAST_READ]


@dataclass(frozen=True, slots=True, repr=False)
class _Outgoing:
    """A request before it is sent, and what it is about."""

    interaction: str
    method: str
    url: str
    headers: Mapping[str, str | None]
    body: bytes = b""
    resource_type: str = ""
    logical_id: str = ""
    chunked: bool = False
    """Whether the body is sent in chunks, without ``Content-Length`` (RFC 9112, 7.1)."""

    def __repr__(self) -> str:
        # Without URL and header fields: a traceback may show this, and they may hold credentials.
        return f"<Outgoing: {self.interaction} {self.resource_type}/{self.logical_id}>"


class Client:
    """A client of one endpoint. Use a client in one thread only; ``sibling`` makes one for another.

    ``name`` appears in the journal. ``clock`` gives the time of each exchange. ``timed=False`` records
    no durations, so that a lesson's output is always the same. ``embedded`` marks the endpoint that
    this package includes.

    Raises ``BadInput`` for a base URL that cannot be used, and for ``embedded`` on another machine.
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
        base_url = conceal(base_url)  # it may hold a password
        self.base_url = check_base_url(base_url)
        self.journal = journal if journal is not None else Journal()
        self.connection = connection or Connection()
        # Through a proxy, loopback is another machine, so its data may be about real people.
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
        self._found: dict[tuple[str, str], str] = {}  # by a search; what was read or written goes before it
        self._names_versions_in = "If-Match"
        self.last_seq = 0
        """The journal's number of this client's last exchange."""

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is on this machine, where writes are always allowed."""
        return self.embedded or self.connection.is_local(self.base_url)

    @property
    def may_write(self) -> bool:
        """Whether this client sends writes: always to this machine, elsewhere if its connection allows them."""
        return self.is_local or self.connection.allow_writes

    def url(self, resource_type: str, logical_id: str = "") -> str:
        """Return the URL of a type or a resource; raise ``BadInput`` for a malformed type or id."""
        if not RESOURCE_TYPE.fullmatch(resource_type):
            raise BadInput(f"{resource_type!r} is not a resource type; one is written like List or Flag.")
        if logical_id and not LOGICAL_ID.fullmatch(logical_id):
            raise BadInput(f"{logical_id!r} is not a FHIR id: 1 to 64 letters, digits, hyphens and dots.")
        if logical_id in (".", ".."):
            raise BadInput(f"The id {logical_id!r} cannot be used: in a URL it means another path.")
        return f"{self.base_url}/{resource_type}" + (f"/{logical_id}" if logical_id else "")

    def last_seen(self, resource_type: str, logical_id: str) -> str | None:
        """Return the ETag at which this client last read or wrote the resource, or ``None``.

        If it did neither, this is the version that its last search found. A search does not replace a version that
        was read: a draft made from that one would overwrite what the search only listed.
        """
        about = (resource_type, logical_id)
        return self._versions.get(about) or self._found.get(about)

    def read(
        self,
        resource_type: str,
        logical_id: str,
        *,
        if_none_match: str | ETag | None = None,
        if_modified_since: str | None = None,
    ) -> Exchange:
        """Send ``GET base/Type/id`` (contract RD-1).

        With ``if_none_match`` or ``if_modified_since`` the answer may be 304 (RD-2, RD-3).
        """
        headers = _present({"If-None-Match": if_none_match, "If-Modified-Since": if_modified_since})
        return self._exchange(self._outgoing("read", "GET", resource_type, logical_id or "", headers))

    @overload
    def update(
        self, resource: Content, *, if_match: IfMatch = ..., prefer: str | None = ..., keep_meta: bool = ...
    ) -> Exchange: ...

    @overload
    def update(
        self,
        resource: Content,
        *,
        if_match: IfMatch = ...,
        prefer: str | None = ...,
        keep_meta: bool = ...,
        retry: Retry,
    ) -> Retried: ...

    def update(
        self,
        resource: Content,
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
        then a ``workbench.client.retry.Retried``, with ``.exchange`` (the last attempt), ``.attempts``,
        ``.stopped`` (why it was not sent once more), ``.resolution``, ``.verdict`` and ``.explain()``.

        Raises ``BadInput`` for a resource without type or id, for a version never seen, and for ``retry`` without
        an ``If-Match`` that names one version.
        """
        outgoing = self._outgoing_update(resource, if_match, prefer, keep_meta=keep_meta)
        if retry is None:
            return self._exchange(outgoing)
        if ETag.read(outgoing.headers.get("If-Match")) is None and E_TAG not in outgoing.headers:
            raise BadInput(
                "retry= needs an If-Match that names one version. Without it the update could be "
                "written twice, over another client's. Give if_match=, or leave retry= out."
            )
        kept: dict[str, str] = {}  # all attempts have the same X-Request-ID
        return send_until_answered(lambda: self._exchange(outgoing, kept=kept), retry, self.resolve)

    def preview_update(
        self, resource: Content, *, if_match: IfMatch = LAST_READ, prefer: Prefer | str | None = None
    ) -> Request:
        """Return the request that ``update`` would send, credentials replaced; send nothing. Raises as ``update``."""
        outgoing = self._outgoing_update(resource, if_match, prefer)
        fields = self.connection.preview_fields(outgoing.interaction, outgoing.resource_type)
        return self._prepare(outgoing, fields)[1]

    def create(
        self, resource: Content, *, if_match: str | ETag | None = None, prefer: Prefer | str | None = None
    ) -> Exchange:
        """Send ``POST base/Type`` (contract CR-1).

        The endpoint assigns the id, so the resource must not have one (CR-2). ``if_match`` is for an endpoint that
        guards a create by the version of another resource. The NHS PDS API does so for Coverage and its Patient.
        """
        content = _as_dict(resource)
        resource_type = content.get("resourceType")
        return self._exchange(
            self._outgoing(
                "create",
                "POST",
                resource_type if isinstance(resource_type, str) else "",
                headers=self._precondition(if_match) | _present({"Prefer": _preference(prefer)}),
                body=_encoded(json.dumps(content)),
            )
        )

    def delete(self, resource_type: str, logical_id: str, *, if_match: IfMatch = LAST_READ) -> Exchange:
        """Send ``DELETE base/Type/id`` with ``If-Match`` as in ``update`` (contract DL-1, DL-2)."""
        headers = self._precondition(self._if_match(if_match, resource_type, logical_id))
        return self._exchange(self._outgoing("delete", "DELETE", resource_type, logical_id or "", headers))

    def resolve(self, exchange: Exchange) -> Resolution:
        """Find out, by a read, what became of a write without an answer. Nothing is written.

        The more clients share this client's journal, the more can be known. The version that was read
        counts as seen only if it holds what was sent: the next update must not overwrite unseen data.

        Raises ``BadInput`` for an exchange that was answered, never sent, or sent to another endpoint.
        """
        unanswered.check_open(exchange)
        if unreadable := unanswered.unreadable(exchange):
            return unreadable
        about = (exchange.resource_type, exchange.logical_id)
        if exchange.request.url.partition("?")[0] != without_credentials(self.url(*about)):
            raise BadInput(f"{exchange.target} was sent to another endpoint; use a client of that one.")
        read = self._exchange(self._outgoing("read", "GET", *about), seen=False)

        # The journal may hold redacted exchanges, so both are compared as it keeps them.
        kept = self.journal.redacted(exchange, live=self._proxied)
        shown = self.journal.redacted(read, live=self._proxied)
        found = unanswered.resolve(kept, shown, self.journal)
        if unanswered.holds(kept, shown):
            self._forget(about)
            self._remember(read)
        elif read.verdict is Verdict.NOT_FOUND:
            self._forget(about)
        return replace(found, read=read)

    def search(
        self,
        resource_type: str,
        pairs: Iterable[tuple[str, Parameter]] = (),
        /,
        *,
        by_post: bool = False,
        **parameters: Parameter | Iterable[Parameter],
    ) -> Exchange:
        """Send ``GET base/Type?…`` (contract SR-1).

        For example ``search("List", _lastUpdated=["ge2018", "lt2019"], _count=10)``. A parameter with several
        values is sent once with each, so all must match; ``status="current,retired"`` asks for any of two.
        ``pairs`` are sent first: their names may repeat, and need not be Python names, such as ``("code:in", "…")``.

        ``by_post`` sends the same parameters as a form to ``POST base/Type/_search``, which keeps them out of the
        URL and so out of logs. The client then knows the version of each resource found (see ``last_seen``).
        """
        outgoing = self._outgoing("search-type", "GET", resource_type)
        query = conceal(urlencode(_query(pairs, parameters), quote_via=quote))
        del pairs, parameters  # they may hold a credential, which a traceback would show
        if by_post:
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            outgoing = replace(
                outgoing, method="POST", url=f"{outgoing.url}/_search", headers=form, body=query.encode()
            )
        elif query:
            outgoing = replace(outgoing, url=f"{outgoing.url}?{query}")
        return self._exchange(outgoing)

    def capabilities(self) -> Exchange:
        """Send ``GET base/metadata``: read the CapabilityStatement (contract CAP-1)."""
        return self._exchange(_Outgoing("capabilities", "GET", f"{self.base_url}/metadata", {}))

    def send(
        self,
        method: str | Request,
        path: str = "",
        *,
        headers: Mapping[str, str | None] | None = None,
        body: bytes | str = b"",
        interaction: str = "",
        chunked: bool = False,
    ) -> Exchange:
        """Send any request below the base URL, exactly as given.

        A header field that is ``None`` is left out, also where the connection would add it. ``chunked``
        sends the body in chunks. ``interaction`` is its name in the journal.

        ``client.send(request)`` sends a whole request, such as ``wb.from_curl(…)`` returns.

        Raises ``BadInput`` for a path that some server could resolve to one outside of the base URL, and for a
        request to another URL.
        """
        if isinstance(method, Request):
            if not method.url.startswith(f"{self.base_url}/"):
                raise BadInput(
                    f"This request is not for {self.base_url}. Use a client of the endpoint that it names, or change "
                    "its URL."
                )
            path = method.url.removeprefix(f"{self.base_url}/")
            headers = {name: method.headers[name] for name, _ in method.headers.items()}
            body, method = method.body, method.method
        path, headers = conceal(path), self.connection.concealed(headers or {})  # no secret in a traceback's variables
        return self._exchange(self._outgoing_any(method, path, headers, body, interaction, chunked=chunked))

    def preview(
        self, method: str, path: str, *, headers: Mapping[str, str | None] | None = None, body: bytes | str = b""
    ) -> Request:
        """Return the request that ``send`` would send, credentials replaced; send nothing. Raises as ``send``."""
        path, headers = conceal(path), self.connection.concealed(headers or {})
        outgoing = self._outgoing_any(method, path, headers, body)
        fields = self.connection.preview_fields(outgoing.interaction, outgoing.resource_type)
        return self._prepare(outgoing, fields)[1]

    def sibling(self, name: str, *, journal: Journal | None = None) -> Client:
        """Return another client of the same endpoint, for another thread or an unrecorded request.

        It has the same connection, has seen no version yet, and has its own journal unless one is given.
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
        """End the request that another thread waits for, and every later one. They are recorded without an answer."""
        for adapter in self._session.adapters.values():
            if isinstance(adapter, ConnectingAdapter):
                adapter.abort()

    def cancel(self) -> None:
        """End the request that another thread waits for; it is recorded without an answer. Later ones are sent."""
        adapter = self._session.get_adapter(self.base_url)
        if isinstance(adapter, ConnectingAdapter):
            adapter.cancel()

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

    def _precondition(self, if_match: str | ETag | None) -> dict[str, str]:
        """Return the header that names a version, as this endpoint names its own: ``If-Match``, or a bare ``E-Tag``."""
        if if_match is None:
            return {}
        if self._names_versions_in == E_TAG and (tag := ETag.read(str(if_match))):
            return {E_TAG: tag.version_id}
        return {self._names_versions_in: str(if_match)}

    def _outgoing(
        self,
        interaction: str,
        method: str,
        resource_type: str,
        logical_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> _Outgoing:
        """Return a request about a type, or about one of its resources if there is a ``logical_id``."""
        if logical_id == "":
            raise BadInput(f"Which {resource_type}? Give its id.")
        url = self.url(resource_type, logical_id or "")
        return _Outgoing(interaction, method, url, headers or {}, body, resource_type, logical_id or "")

    def _outgoing_any(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | None],
        body: bytes | str,
        interaction: str = "",
        *,
        chunked: bool = False,
    ) -> _Outgoing:
        """Return the request of ``send``."""
        method = method.upper()  # requests does the same
        check_method(method)
        _check_below(path)

        segments = path.partition("?")[0].strip("/").split("/")
        if method == "GET" and segments == ["metadata"]:
            name, resource_type, logical_id = "capabilities", "", ""
        elif method == "POST" and len(segments) == 2 and segments[1] == "_search":
            name, resource_type, logical_id = "search-type", segments[0], ""
        else:
            name = INTERACTIONS.get((method, len(segments)), method.lower())
            resource_type, logical_id = segments[0], segments[1] if len(segments) == 2 else ""
        return _Outgoing(
            interaction or name,
            method,
            f"{self.base_url}/{path.lstrip('/')}",
            headers,
            _encoded(body) if isinstance(body, str) else body,
            resource_type,
            logical_id,
            chunked,
        )

    def _outgoing_update(
        self, resource: Content, if_match: IfMatch, prefer: str | None, *, keep_meta: bool = False
    ) -> _Outgoing:
        content = _as_dict(resource)
        resource_type, logical_id = identity(content)
        if_match = self._if_match(if_match, resource_type, logical_id)
        headers = self._precondition(if_match) | _present({"Prefer": _preference(prefer)})
        body = _encoded(json.dumps(content if keep_meta else without_version(content)))
        return self._outgoing("update", "PUT", resource_type, logical_id, headers, body)

    def _exchange(self, outgoing: _Outgoing, *, kept: dict[str, str] | None = None, seen: bool = True) -> Exchange:
        """Send a request and record the exchange. ``seen``: whether its version counts as seen by this client."""
        if not changes_nothing(outgoing.method, outgoing.url):
            self.connection.guard(outgoing.method, self.base_url)
        self.connection.wait_for_rate_limit()  # before a token is made, which would expire meanwhile
        added = self.connection.new_fields(outgoing.interaction, outgoing.resource_type, kept)
        prepared, request = self._prepare(outgoing, added)

        # In this order an exchange can only seem longer than it was; a check of the history relies on it.
        started, sent_at = time.perf_counter(), self._clock()
        outcome: transport.Outcome | None = _INTERRUPTED  # unless more becomes known
        try:
            outcome = transport.send(prepared, self._session, self.connection, self.base_url)
        except WorkbenchError:
            outcome = None  # an adapter of this package raised it and sent nothing
            raise
        finally:
            elapsed = time.perf_counter() - started if self._timed else None
            if outcome is not None:
                with _without_interruption():
                    exchange = self._record(outgoing, request, outcome, sent_at, elapsed, seen=seen)
        if outcome.interruption is not None:
            # Without the frames of the HTTP libraries, whose variables hold credentials.
            raise outcome.interruption.with_traceback(None) from None
        return exchange

    def _record(
        self,
        outgoing: _Outgoing,
        request: Request,
        outcome: transport.Outcome,
        sent_at: datetime,
        elapsed: float | None,
        *,
        seen: bool,
    ) -> Exchange:
        response, logical_id = outcome.response, outgoing.logical_id
        if outgoing.interaction == "create" and response and response.status == 201:
            location = response.headers.get("Location") or ""  # some servers add the version
            logical_id = location.partition("/_history/")[0].rstrip("/").rpartition("/")[2]
        exchange = Exchange(
            client=self.name,
            interaction=outgoing.interaction,
            resource_type=outgoing.resource_type,
            logical_id=logical_id,
            request=request,
            response=response,
            sent_at=sent_at,
            elapsed=elapsed,
            failure=outcome.failure,
            sent=outcome.sent,
        )
        if seen:
            self._remember(exchange)
        self.last_seq = self.journal.append(exchange, live=self._proxied)
        return exchange

    def _prepare(self, outgoing: _Outgoing, added: Mapping[str, str]) -> tuple[requests.PreparedRequest, Request]:
        """Return the request as it goes out, and as an exchange holds it. ``added``: the connection's fields."""
        fields: dict[str, str | None] = {"Accept": FHIR_JSON}
        if outgoing.body:
            fields["Content-Type"] = FHIR_JSON
        fields |= {**added, **outgoing.headers}
        for name, value in fields.items():
            if value is not None:  # None leaves a field out, also one that the session would add
                check_field(name, value)

        body = iter([outgoing.body]) if outgoing.chunked and outgoing.body else outgoing.body or None
        unprepared = requests.Request(outgoing.method, outgoing.url, headers=fields, data=body)
        try:
            prepared = self._session.prepare_request(unprepared)
        except (RequestException, UnicodeError, ValueError) as error:
            raise BadInput(f"This request cannot be sent: {without_credentials(str(error))}.") from None

        headers = self.connection.recorded((name, str(value)) for name, value in prepared.headers.items())
        if "Cookie" in prepared.headers:  # the session added it
            prepared.headers["Cookie"] = conceal(prepared.headers["Cookie"])
        url = without_credentials(quote(outgoing.url, safe=punctuation))  # printable ASCII, as it goes out
        return prepared, Request(outgoing.method, url, headers, without_named_credentials(outgoing.body))

    def _remember(self, exchange: Exchange) -> None:
        """Keep the version that this client has now seen. A version it wrote counts as seen."""
        about = (exchange.resource_type, exchange.logical_id)
        response = exchange.response
        if exchange.verdict is Verdict.DELETED:
            self._forget(about)
        if exchange.verdict not in _SEEN or response is None:
            return
        if exchange.interaction == "search-type":
            self._found.update(_versions_found(exchange.resource))
            return
        if not exchange.logical_id or (exchange.interaction == "read" and not response.body):
            return
        if "?" in exchange.request.url and _is_partial(exchange.resource):
            return

        etag = response.headers.get("ETag")
        if etag is None and E_TAG in response.headers:
            self._names_versions_in = E_TAG
        if not can_be_sent(etag) or ETag.read(etag) is None:
            version_id = exchange.etag.version_id if exchange.etag else version_of(exchange.resource)
            etag = str(ETag(version_id)) if version_id else etag
        if etag is not None and can_be_sent(etag):
            self._versions[about] = etag

    def _forget(self, about: tuple[str, str]) -> None:
        self._versions.pop(about, None)
        self._found.pop(about, None)

    def __repr__(self) -> str:
        return f"<Client {self.name}>"


def _versions_found(bundle: Any) -> Iterator[tuple[tuple[str, str], str]]:
    """Return type, id and ETag of each whole resource in the result of a search."""
    entries = bundle.get("entry") if isinstance(bundle, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        version_id = version_of(resource)
        if not isinstance(resource, dict) or version_id is None or _is_partial(resource):
            continue
        resource_type, logical_id = resource.get("resourceType"), resource.get("id")
        etag = str(ETag(version_id))
        if isinstance(resource_type, str) and isinstance(logical_id, str) and can_be_sent(etag):
            yield (resource_type, logical_id), etag


def _is_partial(resource: Any) -> bool:
    """Return whether a resource is marked as incomplete (``SUBSETTED``): an update with it would lose elements."""
    meta = resource.get("meta") if isinstance(resource, dict) else None
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return isinstance(tags, list) and any(isinstance(tag, dict) and tag.get("code") == "SUBSETTED" for tag in tags)


_SEEN: Final = frozenset({Verdict.READ, Verdict.UPDATED, Verdict.CREATED})


def _as_dict(resource: Content) -> dict[str, Any]:
    """Return a resource as a dict; raise ``BadInput`` for text or a value that is not a JSON object."""
    parsed = json.parse(resource) if isinstance(resource, str | bytes) else resource
    if not isinstance(parsed, Mapping):
        raise BadInput("A resource is a JSON object, with a resourceType and an id.")
    return dict(parsed)


def _present(headers: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in headers.items() if value is not None}


def _preference(prefer: str | None) -> str | None:
    """Expand ``representation`` to ``return=representation``; keep a value with an equals sign."""
    return prefer if prefer is None or "=" in prefer else f"return={prefer}"


def _query(
    pairs: Iterable[tuple[str, Parameter]], parameters: Mapping[str, Parameter | Iterable[Parameter]]
) -> list[tuple[str, Parameter]]:
    """Return the parameters of a search as pairs, values concealed."""
    query = [(name, conceal(value)) for name, value in pairs]
    for name, value in parameters.items():
        values = (value,) if isinstance(value, str | int) else value
        query += [(name, conceal(each)) for each in values]
    return query


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BadInput("The text holds half a surrogate pair, which is not a character; remove it.") from None


def _check_below(path: str) -> None:
    r"""Raise ``BadInput`` for a path that any server could resolve to one outside of the base URL.

    Some servers decode ``%2e`` before they look for ``..``, some twice. Some read ``\`` as ``/``, some
    drop ``;x``. Between two slashes, every possible ``..`` counts, but at most one segment down.
    """
    depth = 0
    for part in path.partition("?")[0].split("/"):
        segments = [each.partition(";")[0] for each in re.split(r"[/\\?#]", _decoded(part)) if each]
        depth += bool(segments) and segments[0] not in (".", "..")
        depth -= segments.count("..")
        if depth < 0 or _ABSOLUTE_URL.match(_decoded(path)):
            raise BadInput("This request cannot be sent: its path must stay below the base URL, and not be a URL.")


def _decoded(text: str) -> str:
    """Return a URL part with percent-encoding undone, however often applied, and without control characters."""
    while (decoded := unquote(text)) != text:
        text = decoded
    return re.sub(r"[\x00-\x20]", "", text)


_ABSOLUTE_URL: Final = re.compile(r"/*[A-Za-z][A-Za-z0-9+.-]*:[/\\]{2}")

_INTERRUPTED: Final = transport.Outcome(None, "The exchange was interrupted.", sent=True)


@contextmanager
def _without_interruption() -> Iterator[None]:
    """Delay Ctrl-C until the block ends. Python delivers it to the main thread only."""
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
