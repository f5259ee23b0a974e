"""What a request did: the verdict, and the paragraph that explains it.

Both follow from what was sent and what came back, never from a server's name. Spine answers a stale
``If-Match`` with 409 and R4 servers answer it with 412; both are ``STALE``. The section *Dialects* of
the contract lists what real servers answer.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.fhir.etag import ETag, Precondition, read_if_match
from workbench.fhir.printable import printable

if TYPE_CHECKING:
    from workbench.exchange.message import Exchange

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that ask for no change (RFC 9110, 9.2.1)."""

GUARDED: Final = frozenset({"update", "patch", "delete"})
"""The interactions that need ``If-Match`` (UPD-7, DL-2; the NHS PDS API also patches)."""


class Verdict(enum.Enum):
    """What a request did. The value is the word that a table shows."""

    READ = "read"
    NOT_MODIFIED = "not modified"
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    STALE = "stale"
    """The ``If-Match`` names a version that is no longer current; nothing changed."""
    UNGUARDED = "unguarded"
    """The server requires a usable ``If-Match`` and got none; nothing changed."""
    NOT_FOUND = "not found"
    REFUSED = "refused"
    """The server rejected the request for another reason than the version."""
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    """It was not sent, the server reports an error of its own, or a read returned no resource."""
    UNKNOWN = "unknown"
    """It was sent and no answer came, or the answer leaves open whether it was carried out."""

    def __repr__(self) -> str:
        return f"Verdict.{self.name}"


DONE: Final = frozenset({Verdict.READ, Verdict.NOT_MODIFIED, Verdict.CREATED, Verdict.UPDATED, Verdict.DELETED})
"""The verdicts of a request that did what it asked for."""


# --- the verdict ---

_BY_METHOD: Final = {
    "GET": Verdict.READ,
    "HEAD": Verdict.READ,
    "OPTIONS": Verdict.READ,
    "POST": Verdict.CREATED,
    "PUT": Verdict.UPDATED,
    "PATCH": Verdict.UPDATED,
    "DELETE": Verdict.DELETED,
}
"""The verdict on a 2xx response."""

_BY_STATUS: Final = {
    304: Verdict.NOT_MODIFIED,
    404: Verdict.NOT_FOUND,
    410: Verdict.NOT_FOUND,
    501: Verdict.UNSUPPORTED,
}

_OPEN_STATUSES: Final = frozenset({202, 502, 504})
"""Statuses that leave a write open: accepted for later, or a gateway that got no answer from the server."""


def judge(exchange: Exchange) -> Verdict:
    """Return the verdict on an exchange, from what was sent and what came back."""
    if exchange.response is None:
        return Verdict.UNKNOWN if exchange.sent else Verdict.FAILED

    status, method = exchange.response.status, exchange.request.method
    if method not in SAFE_METHODS and status in _OPEN_STATUSES:
        return Verdict.UNKNOWN

    if 200 <= status < 300:
        if exchange.interaction == "read" and method == "GET" and _has_no_resource(exchange):
            return Verdict.FAILED
        if method not in SAFE_METHODS and _is_not_fhir(exchange):
            return Verdict.UNKNOWN
        return Verdict.CREATED if status == 201 else _BY_METHOD.get(method, Verdict.READ)

    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return Verdict.FAILED
    if exchange.interaction in GUARDED and (verdict := _judge_precondition(exchange, status)):
        return verdict
    if status == 405:
        # Spine answers 405 when a client assigns an id (UPD-10); other servers when they do not offer the method.
        found = exchange.outcome
        assigns_id = found is not None and found.spine_code == "MSG_RESOURCE_ID_FAIL"
        return Verdict.REFUSED if assigns_id else Verdict.UNSUPPORTED
    return Verdict.REFUSED


def left_open(exchange: Exchange) -> bool:
    """Return whether it is a write that may have been carried out although no answer confirms it."""
    if exchange.request.method in SAFE_METHODS:
        return False
    # A server's own error can come before or after the write.
    return exchange.verdict is Verdict.UNKNOWN or (exchange.verdict is Verdict.FAILED and exchange.response is not None)


def _has_no_resource(exchange: Exchange) -> bool:
    """Return whether the body is broken off or not a JSON object, such as a web page."""
    body = exchange.response.body if exchange.response else b""
    return bool(exchange.failure) or (bool(body) and not isinstance(exchange.resource, dict))


def _is_not_fhir(exchange: Exchange) -> bool:
    """Return whether a proxy may have answered a write: no ETag, and a body that is broken off or not JSON."""
    response = exchange.response
    has_body = bool(response and (response.body or exchange.failure))
    return has_body and exchange.etag is None and exchange.resource is None


def _judge_precondition(exchange: Exchange, status: int) -> Verdict | None:
    """Return whether a write was refused because of its version; ``None`` if for another reason."""
    sent, _ = read_if_match(exchange.if_match)
    found = exchange.outcome
    diagnostics = found.diagnostics.lower() if found else ""

    if status == 428:
        return Verdict.UNGUARDED
    if status == 400 and sent is not Precondition.VERSION and ("if-match" in diagnostics or "etag" in diagnostics):
        # R4 servers answer 400 to a missing If-Match and to other faults; only the text tells which.
        return Verdict.UNGUARDED
    if status == 409 and sent is not Precondition.MISSING:
        return Verdict.STALE
    if status == 412 and sent is Precondition.VERSION:
        return Verdict.STALE
    if status == 412:
        # Blaze and Helios accept other forms of If-Match, and say "conflict" where the version is another one.
        # Helios also says "conflict" of a form that it cannot read, and calls that form malformed.
        was_read = found is not None and found.has_code("conflict") and "malformed" not in diagnostics
        return Verdict.STALE if was_read and sent is Precondition.MALFORMED else Verdict.UNGUARDED
    return None


# --- the explanation ---


class _Paragraph(NamedTuple):
    """One row of the table: the text for a verdict, and the exchanges of that verdict it is for."""

    verdict: Verdict
    text: str
    applies: Callable[[Exchange], bool] = lambda _: True


def _names_etag(exchange: Exchange) -> bool:
    """Return whether the ``If-Match`` names the same version as the ETag of the response."""
    sent, came = ETag.read(exchange.if_match), exchange.etag
    return sent is not None and came is not None and sent.names_same_version(came)


_PARAGRAPHS: Final = (
    _Paragraph(
        Verdict.READ,
        "{whose} {interaction} was answered {status}.",
        lambda exchange: not exchange.logical_id,
    ),
    _Paragraph(
        Verdict.READ,
        "{client} read {target}. The response has no ETag.",
        lambda exchange: exchange.etag is None,
    ),
    _Paragraph(
        Verdict.READ,
        "{client} read {target}{at_version}. To update it, send this version in If-Match.",
    ),
    _Paragraph(
        Verdict.NOT_MODIFIED,
        "{target} has not changed since the version held by {client}. "
        "The endpoint answered {status}, so the response has no body.",
    ),
    _Paragraph(
        Verdict.CREATED,
        "{client} created {target}{at_version}. The endpoint assigned the id.",
        lambda exchange: exchange.interaction == "create",
    ),
    _Paragraph(
        Verdict.CREATED,
        "{whose} {interaction} created {target}{at_version}. {client} chose the id.",
        lambda exchange: exchange.interaction == "update",
    ),
    _Paragraph(
        Verdict.CREATED,
        "{client} created {target}{at_version}.",
    ),
    _Paragraph(
        Verdict.UPDATED,
        "{whose} {interaction} of {target} was accepted. The response has no ETag. Read the resource for its version.",
        lambda exchange: exchange.etag is None,
    ),
    _Paragraph(
        Verdict.UPDATED,
        "{whose} {interaction} of {target} was accepted, but its version did not change. Its ETag is still {etag}.",
        _names_etag,
    ),
    _Paragraph(
        Verdict.UPDATED,
        "{whose} {interaction} of {target} was accepted. Its ETag changed{came_from} to {etag}. "
        "A conforming Spine endpoint now rejects an update that names an older version.",
    ),
    _Paragraph(
        Verdict.DELETED,
        "{client} deleted {target}. A conforming Spine endpoint now answers 404 to a read of it.",
    ),
    _Paragraph(
        Verdict.STALE,
        "{whose} {interaction} of {target} was rejected ({status}). If-Match {if_match} is not its current version: "
        "the resource changed after that version was read. Nothing was changed. "
        "Read it again, compare, and send your changes with the new version.",
    ),
    _Paragraph(
        Verdict.UNGUARDED,
        "{whose} {interaction} of {target} was rejected ({status}), because it was sent without If-Match. "
        "Nothing was changed. Read the resource and send its ETag in If-Match.",
        lambda exchange: exchange.if_match is None,
    ),
    _Paragraph(
        Verdict.UNGUARDED,
        "{whose} {interaction} of {target} was rejected ({status}). Its If-Match is not usable: {if_match}. "
        "Nothing was changed. Read the resource and send its ETag in If-Match.",
    ),
    _Paragraph(
        Verdict.NOT_FOUND,
        "The endpoint has no {target} ({status}). It never existed, or it was deleted. Check the type and the id.",
    ),
    _Paragraph(
        Verdict.REFUSED,
        "The endpoint redirected the {interaction} of {target} to {location} ({status}). "
        "The client does not follow redirects. If that is your endpoint, make it the base URL.",
        lambda exchange: 300 <= (exchange.status or 0) < 400,
    ),
    _Paragraph(
        Verdict.REFUSED,
        "{whose} {interaction} of {target} was rejected ({status}): its credentials are missing or not valid. "
        "Nothing was changed. Check the token, and send the request again.",
        lambda exchange: exchange.status == 401,
    ),
    _Paragraph(
        Verdict.REFUSED,
        "{whose} {interaction} of {target} was rejected ({status}): it is not allowed. "
        "Nothing was changed. Check the credentials and the permissions behind them.",
        lambda exchange: exchange.status == 403,
    ),
    _Paragraph(
        Verdict.REFUSED,
        "{whose} {interaction} of {target} was rejected ({status}): the endpoint got too many requests. "
        "Nothing was changed. Wait, and send it again.",
        lambda exchange: exchange.status == 429,
    ),
    _Paragraph(
        Verdict.REFUSED,
        "{whose} {interaction} of {target} was rejected ({status}). Nothing was changed. "
        "Correct the request and send it again.",
    ),
    _Paragraph(
        Verdict.UNSUPPORTED,
        "The endpoint does not support {interaction} on {type} ({status}). "
        "Its CapabilityStatement lists what it supports.",
    ),
    _Paragraph(
        Verdict.FAILED,
        "{whose} {interaction} of {target} was not sent. {failure}",
        lambda exchange: exchange.response is None,
    ),
    _Paragraph(
        Verdict.FAILED,
        "The read of {target} was answered {status}, but the response is not a complete FHIR resource. "
        "Check that the base URL is that of a FHIR endpoint.",
        lambda exchange: (exchange.status or 0) < 300,
    ),
    _Paragraph(
        Verdict.FAILED,
        "{whose} {interaction} of {target} failed: the endpoint answered {status}.",
        lambda exchange: exchange.request.method in SAFE_METHODS,
    ),
    _Paragraph(
        Verdict.FAILED,
        "{whose} {interaction} of {target} failed: the endpoint answered {status}. "
        "It may have been carried out, or not. Read the resource before you send it again.",
    ),
    _Paragraph(
        Verdict.UNKNOWN,
        "The answer {status} to {client}'s {interaction} of {target} leaves open what happened. "
        "It may have been carried out, or not. Read the resource before you send it again.",
        lambda exchange: exchange.response is not None,
    ),
    _Paragraph(
        Verdict.UNKNOWN,
        "{whose} {interaction} of {target} got no answer. {failure} A read changes nothing, so send it again.",
        lambda exchange: exchange.request.method in SAFE_METHODS,
    ),
    _Paragraph(
        Verdict.UNKNOWN,
        "{whose} {interaction} of {target} was sent, but no answer came. {failure} "
        "It may have been carried out, or not. Read the resource before you send it again.",
    ),
)
"""The paragraphs, by verdict. Of the rows for one verdict, the first that applies is used."""

_INTERACTION_WORDS: Final = {"search-type": "search", "capabilities": "read of the capabilities"}


def explain(exchange: Exchange, *, diagnostics: bool = True) -> str:
    """Return one paragraph: what was asked, what happened, and what to do next.

    With ``diagnostics`` it ends with what the endpoint says in its OperationOutcome, if the request failed.
    """
    response, etag, found = exchange.response, exchange.etag, exchange.outcome

    verdict = exchange.verdict
    template = next(row.text for row in _PARAGRAPHS if row.verdict is verdict and row.applies(exchange))

    text = template.format(
        client=exchange.client,
        whose="your" if exchange.client == "you" else f"{exchange.client}'s",
        interaction=_INTERACTION_WORDS.get(exchange.interaction, exchange.interaction),
        target=exchange.target,
        type=exchange.resource_type or "the endpoint",
        status=exchange.status,
        if_match=exchange.if_match,
        etag=etag,
        at_version=f" at version {etag.version_id}" if etag else "",
        came_from=f" from {exchange.if_match}" if exchange.if_match else "",
        failure=exchange.failure or "The reason is not known.",
        location=(response.headers.get("Location") if response else None) or "an address that it did not name",
    )
    if diagnostics and found and found.diagnostics and not exchange.ok:
        text += f" The endpoint says: {found.diagnostics}"
    if exchange.failure and response:
        text += f" {exchange.failure}"
    if not exchange.is_whole:
        text += " Its bodies are no longer kept."
    return printable(text[:1].upper() + text[1:])
