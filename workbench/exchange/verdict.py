"""What a request did: the verdict, and the paragraph that explains it.

Both follow from what was sent and what came back, never from a server's name. Spine answers a stale
``If-Match`` with 409 and R4 servers answer it with 412; both are ``STALE``. The section *Dialects* of
the contract lists what real servers answer.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from workbench.fhir.etag import Precondition, read_if_match
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

_PARAGRAPHS: Final[dict[Verdict | str, str]] = {
    Verdict.READ: "{client} read {target}{at_version}. Send this version in If-Match to update it.",
    "read of no resource": "{client}'s {interaction} was answered {status}.",
    Verdict.NOT_MODIFIED: "{target} has not changed since the version {client} holds: no body was sent (304).",
    Verdict.CREATED: "{client} created {target}{at_version}. The endpoint chose the id.",
    Verdict.UPDATED: (
        "{client}'s update of {target} was accepted{etag_change}. "
        "Whoever still holds an older version will now be refused."
    ),
    Verdict.DELETED: "{client} deleted {target}. Reads now answer 404, and an update cannot bring it back.",
    Verdict.STALE: (
        "{client} sent the {interaction} of {target} with If-Match {if_match}, and that is not the current version: "
        "somebody has changed it since it was read. The endpoint answered {status} and nothing was changed. "
        "Read it again, compare, and send what you still want with the new version."
    ),
    Verdict.UNGUARDED: (
        "{client} sent the {interaction} of {target} {without}, and the endpoint insists on one: it answered {status} "
        "and nothing was changed. Read the resource and send its ETag in If-Match."
    ),
    Verdict.NOT_FOUND: (
        "The endpoint has no {target} ({status}): it was never there or it has been deleted. Check the type and the id."
    ),
    Verdict.REFUSED: (
        "The endpoint refused the {interaction} of {target} ({status}) and nothing was changed. "
        "Mend what it names and send again."
    ),
    "redirect": (
        "The endpoint sent the {interaction} of {target} on to {location} ({status}). "
        "Redirects are not followed: if that is your endpoint, make it the base URL."
    ),
    Verdict.UNSUPPORTED: (
        "This endpoint does not offer {interaction} on {type} ({status}). "
        "Its CapabilityStatement lists what it does offer."
    ),
    Verdict.FAILED: "The endpoint could not carry out the {interaction} of {target} ({status}).",
    "failed write": (
        "The endpoint could not carry out the {interaction} of {target} ({status}). "
        "Read the resource before sending again."
    ),
    "no resource": (
        "The read of {target} was answered {status}, but brought no whole FHIR resource. "
        "Check that the base URL is that of a FHIR endpoint."
    ),
    "not sent": "{client}'s {interaction} of {target} was never sent: {failure}",
    Verdict.UNKNOWN: (
        "{client}'s {interaction} of {target} was answered {status}, which leaves it open. "
        "It may have been carried out, or not. Read the resource and look before anything is sent again."
    ),
    "write without an answer": (
        "{client}'s {interaction} of {target} was sent and no answer came: {failure_clause}. "
        "It may have been carried out, or not. Read the resource and look before anything is sent again."
    ),
    "read without an answer": (
        "No answer came to {client}'s {interaction} of {target}: {failure} A read changes nothing; send it again."
    ),
}
"""A paragraph for each verdict, and for each case in which a verdict needs other words."""

_INTERACTION_WORDS: Final = {"search-type": "search", "capabilities": "read of the capabilities"}


def explain(exchange: Exchange, *, diagnostics: bool = True) -> str:
    """Return one paragraph: what was asked, what happened, and what to do next.

    With ``diagnostics`` it ends with what the endpoint says in its OperationOutcome, if the request failed.
    """
    response, etag, found = exchange.response, exchange.etag, exchange.outcome
    came_from = f" from {exchange.if_match}" if exchange.if_match else ""
    no_if_match, bad_if_match = "without If-Match", f"with an If-Match it cannot use, {exchange.if_match}"

    text = _PARAGRAPHS[_case(exchange)].format(
        client=exchange.client,
        interaction=_INTERACTION_WORDS.get(exchange.interaction, exchange.interaction),
        target=exchange.target,
        type=exchange.resource_type or "the endpoint",
        status=exchange.status,
        if_match=exchange.if_match,
        at_version=f" at version {etag.version_id}" if etag else "",
        etag_change=f": its ETag went{came_from} to {etag}" if etag else "",
        without=no_if_match if exchange.if_match is None else bad_if_match,
        failure=exchange.failure,
        failure_clause=exchange.failure.rstrip("."),
        location=(response.headers.get("Location") if response else None) or "an address it did not name",
    )
    if diagnostics and found and found.diagnostics and not exchange.ok:
        text += f" The endpoint says: {found.diagnostics}"
    if exchange.failure and response:
        text += f" {exchange.failure}"
    if not exchange.is_whole:
        text += " Its bodies are no longer kept."
    return printable(text[:1].upper() + text[1:])


def _case(exchange: Exchange) -> Verdict | str:
    """Return the key of the exchange's paragraph."""
    verdict, status = exchange.verdict, exchange.status
    is_read = exchange.request.method in SAFE_METHODS

    if verdict is Verdict.UNKNOWN and status is None:
        return "read without an answer" if is_read else "write without an answer"
    if verdict is Verdict.FAILED and status is None:
        return "not sent"
    if verdict is Verdict.FAILED and status is not None and status < 300:
        return "no resource"
    if verdict is Verdict.FAILED and not is_read:
        return "failed write"
    if verdict is Verdict.READ and not exchange.logical_id:
        return "read of no resource"
    if verdict is Verdict.REFUSED and status is not None and 300 <= status < 400:
        return "redirect"
    return verdict
