"""What a request did: the verdict, and the paragraph that explains it.

Both follow from what was sent and what came back, never from a server's name. Spine answers a stale
``If-Match`` with 409 and R4 servers answer it with 412; both are ``STALE``. The section *Dialects* of
the contract lists what real servers answer.
"""

from __future__ import annotations

import enum
import re
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

E_TAG: Final = "E-Tag"
"""The header in which NHS Immunisation names a version, in requests and responses: a bare number."""


def changes_nothing(method: str, url: str) -> bool:
    """Return whether a request asks for no change: its method is safe, or it is a search by POST (FHIR, *search*).

    >>> changes_nothing("POST", "https://spine.example/STU3/List/_search")
    True
    >>> changes_nothing("POST", "https://spine.example/STU3/List#/_search")
    False
    """
    return method in SAFE_METHODS or (method == "POST" and re.split(r"[?#]", url)[0].endswith("/_search"))


class Verdict(enum.Enum):
    """What a request did. The value is the word that a table shows."""

    READ = "read"
    NOT_MODIFIED = "not modified"
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    STALE = "stale"
    """The version that the request names, in ``If-Match`` or ``E-Tag``, is not the current one."""
    UNGUARDED = "unguarded"
    """The server requires a version that it can read, and got none."""
    NOT_FOUND = "not found"
    REFUSED = "refused"
    """The server rejected the request for another reason than the version, such as a duplicate or the token."""
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    """It was not sent, the server reports an error of its own, or a read returned no resource."""
    UNKNOWN = "unknown"
    """It was sent and no answer came, or the answer leaves open whether it was carried out."""

    def __repr__(self) -> str:
        return f"Verdict.{self.name}"


DONE: Final = frozenset({Verdict.READ, Verdict.NOT_MODIFIED, Verdict.CREATED, Verdict.UPDATED, Verdict.DELETED})
"""The verdicts of a request that did what it asked for."""

TONES: Final = {
    Verdict.READ: "neutral",
    Verdict.NOT_MODIFIED: "neutral",
    Verdict.CREATED: "good",
    Verdict.UPDATED: "good",
    Verdict.DELETED: "good",
    Verdict.STALE: "bad",
    Verdict.UNGUARDED: "warn",
    Verdict.NOT_FOUND: "warn",
    Verdict.REFUSED: "warn",
    Verdict.UNSUPPORTED: "warn",
    Verdict.FAILED: "bad",
    Verdict.UNKNOWN: "bad",
}
"""The colour of each verdict. Its text is always shown as well."""


# --- the verdict ---

_BY_METHOD: Final = {
    "POST": Verdict.CREATED,
    "PUT": Verdict.UPDATED,
    "PATCH": Verdict.UPDATED,
    "DELETE": Verdict.DELETED,
}
"""The verdict on a 2xx response to a write."""

_BY_STATUS: Final = {
    304: Verdict.NOT_MODIFIED,
    404: Verdict.NOT_FOUND,
    410: Verdict.NOT_FOUND,
    501: Verdict.UNSUPPORTED,
}

_OPEN_STATUSES: Final = frozenset({202, 408, 502, 504})
"""Statuses that leave a write open: accepted for later, timed out, or a gateway that got no answer from the server."""

_OPEN_CODES: Final = ("timeout", "transient")
"""Issue types of a 503 that leaves a write open. The NHS PDS API: "does not imply the request has failed"."""


def judge(exchange: Exchange) -> Verdict:
    """Return the verdict on an exchange, from what was sent and what came back."""
    if exchange.response is None:
        return Verdict.UNKNOWN if exchange.sent else Verdict.FAILED

    status, method = exchange.response.status, exchange.request.method
    is_write = not changes_nothing(method, exchange.request.url)
    if is_write and _leaves_open(exchange, status):
        return Verdict.UNKNOWN

    if 200 <= status < 300:
        return _judge_accepted(exchange, status, is_write=is_write)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500 or status == 408:
        return Verdict.FAILED
    if is_write and (verdict := _judge_precondition(exchange, status)):
        return verdict
    if status == 405:
        # Spine answers 405 when a client assigns an id (UPD-10); other servers when they do not offer the method.
        found = exchange.outcome
        assigns_id = found is not None and found.spine_code == "MSG_RESOURCE_ID_FAIL"
        return Verdict.REFUSED if assigns_id else Verdict.UNSUPPORTED
    return Verdict.REFUSED


def _judge_accepted(exchange: Exchange, status: int, *, is_write: bool) -> Verdict:
    """Judge a 2xx response, which a proxy or a login page may also have given."""
    method = exchange.request.method
    if not is_write:
        lost = exchange.interaction == "read" and method == "GET" and _has_no_resource(exchange)
        return Verdict.FAILED if lost else Verdict.READ
    if _is_not_fhir(exchange):
        return Verdict.UNKNOWN
    return Verdict.CREATED if status == 201 else _BY_METHOD.get(method, Verdict.READ)


def left_open(exchange: Exchange) -> bool:
    """Return whether it is a write that may have been carried out although no answer confirms it."""
    if changes_nothing(exchange.request.method, exchange.request.url):
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
    return has_body and exchange.etag is None and exchange.resource is None and exchange.outcome is None


def _leaves_open(exchange: Exchange, status: int) -> bool:
    """Return whether this response to a write does not say whether it was carried out."""
    if status == 503:
        found = exchange.outcome
        return found is not None and found.has_code(*_OPEN_CODES)
    return status in _OPEN_STATUSES


def _judge_precondition(exchange: Exchange, status: int) -> Verdict | None:
    """Return whether a write was refused because of its version; ``None`` if for another reason."""
    sent = _sent_precondition(exchange)
    said = _said(exchange)

    if status == 428:
        return Verdict.UNGUARDED
    if _names_another_reason(exchange):
        return None
    if status == 400:
        return _judge_bad_request(sent, said)
    if status == 409 and sent is not Precondition.MISSING:
        return Verdict.STALE
    if status == 412:
        return _judge_failed_precondition(exchange, sent, said)
    return None


def _said(exchange: Exchange) -> str:
    """Return the start of what the OperationOutcome says, in lower case."""
    found = exchange.outcome
    return found.diagnostics[:_SAID_LIMIT].lower() if found else ""


def _names_another_reason(exchange: Exchange) -> bool:
    """Return whether the OperationOutcome of a 400, 409 or 412 names another reason than the version."""
    found = exchange.outcome
    if found is None or found.spine_code in _STALE_CODES:
        return False
    return found.has_code(*_OTHER_REASONS) or _OTHER_TEXTS.search(_said(exchange)) is not None


def _judge_bad_request(sent: Precondition, said: str) -> Verdict | None:
    """Judge a 400. Servers answer it to every kind of fault, so only the text says whether it is the version."""
    if sent is Precondition.VERSION and _STALE_TEXTS.search(said):
        return Verdict.STALE
    if _UNGUARDED_TEXTS.search(said) or (sent is not Precondition.VERSION and _NAMES_HEADER.search(said)):
        return Verdict.UNGUARDED
    return None


def _judge_failed_precondition(exchange: Exchange, sent: Precondition, said: str) -> Verdict | None:
    """Judge a 412. It is about ``If-Match``, unless it is about another header or a search criterion."""
    about_version = _NAMES_HEADER.search(said) is not None
    if not about_version and _is_about_another_header(exchange, said):
        return None
    if sent is Precondition.VERSION:
        return Verdict.STALE
    if sent is Precondition.MALFORMED:
        # Blaze and Helios accept other forms of If-Match, and say "conflict" where the version is another one.
        # They also say "conflict" of a value without quotation marks, which they cannot read.
        found = exchange.outcome
        is_quoted = '"' in (exchange.if_match or "")
        was_read = is_quoted and found is not None and found.has_code("conflict") and "malformed" not in said
        return Verdict.STALE if was_read else Verdict.UNGUARDED
    return Verdict.UNGUARDED if about_version or exchange.interaction in GUARDED else None


def _is_about_another_header(exchange: Exchange, said: str) -> bool:
    """Return whether a 412 is about another header than ``If-Match``: the text names it, or only it was sent."""
    if _ANOTHER_HEADER.search(said):
        return True
    others = any(name in exchange.request.headers for name in _OTHER_PRECONDITIONS)
    return others and exchange.if_match is None


def _sent_precondition(exchange: Exchange) -> Precondition:
    """Return what kind of version the request names, in ``If-Match`` or in ``E-Tag``."""
    if_match = exchange.request.headers.get("If-Match")
    e_tag = exchange.request.headers.get(E_TAG)
    if if_match is None and e_tag is not None:
        return Precondition.VERSION if ETag.read_bare(e_tag) else Precondition.MALFORMED
    return read_if_match(if_match)[0]


_SAID_LIMIT: Final = 2000
"""How many characters of a server's text are searched, as some patterns need more than linear time."""

_STALE_CODES: Final = frozenset({"RESOURCE_VERSION_MISMATCH", "MSG_VERSION_AWARE_CONFLICT"})
"""Codes in ``details`` that name a stale version: Spine's, and FHIR's own."""

_OTHER_REASONS: Final = (
    "business-rule",
    "deleted",
    "duplicate",
    "exception",
    "lock-error",
    "multiple-matches",
    "security",
    "throttled",
)
"""Issue types of a 409 or 412 that is not about the version of the resource."""

_OTHER_TEXTS: Final = re.compile(
    r"referential integrity|\bha(?:s|ve) a reference to\b|\breferenced? (?:from|by)\b|\bmultiple[_ -]matche?s\b"
    r"|\bmatched \d+ resources\b|\bnot selective enough\b|\bduplicate\b|\bread-only\b"
    r"|\bunique (?:index )?constraint\b|\bidempotency\b"
)
"""The same reasons in words: Blaze, HAPI and Microsoft give such a refusal the issue type of a version conflict."""

_NAMES_HEADER: Final = re.compile(r"\bif-match\b|\be-?tag\b")

_ANOTHER_HEADER: Final = re.compile(
    r"\b(?:x|nhsd)-[a-z-]+ header\b|\bheader '(?:x|nhsd)-"
    r"|\bif-(?:none-match|none-exist|unmodified-since|modified-since)\b"
)
"""Headers that a 412 can be about instead."""

_OTHER_PRECONDITIONS: Final = ("If-None-Match", "If-None-Exist", "If-Unmodified-Since")

_STALE_TEXTS: Final = re.compile(r"changed since the last retrieve|version is inconsistent with the existing version")
"""NHS Immunisation says so with status 400."""

_UNGUARDED_TEXTS: Final = re.compile(
    r"\bif-match is missing or invalid\b|\bresource version not specified\b|\bresource version\b.*\bis invalid\b"
)
"""The gateway of NHS Reasonable Adjustments and NHS Immunisation say so with status 400."""


# --- the explanation ---


class _Paragraph(NamedTuple):
    """The text for a verdict, and the exchanges of that verdict it is for."""

    text: str
    applies: Callable[[Exchange], bool] = lambda _: True


def _names_etag(exchange: Exchange) -> bool:
    """Return whether the request names the same version as the response."""
    sent = ETag.read(exchange.if_match) or ETag.read_bare(exchange.if_match)
    came = exchange.etag
    return sent is not None and came is not None and sent.names_same_version(came)


def _version_field(exchange: Exchange) -> str:
    """Return the name of the header in which this endpoint wants the version."""
    if exchange.if_match is not None:
        return "If-Match" if "If-Match" in exchange.request.headers else E_TAG
    headers = exchange.response.headers if exchange.response else ()
    return E_TAG if E_TAG in headers and "ETag" not in headers else "If-Match"


_NOT_CARRIED_OUT: Final = frozenset({400, 401, 403, 405, 409, 412, 413, 415, 422, 428})
"""Statuses by whose definition the request was not carried out (RFC 9110, 15.5; RFC 6585, 3)."""

_DOUBTS: Final = ("exception", "incomplete", "timeout", "transient")
"""Issue types with which a server takes back what the status says."""


def _is_surely_unchanged(exchange: Exchange) -> bool:
    """Return whether the response says that nothing was changed. Its status must promise that."""
    found = exchange.outcome
    return exchange.status in _NOT_CARRIED_OUT and not (found is not None and found.has_code(*_DOUBTS))


def _is_lost_race(exchange: Exchange) -> bool:
    """Return whether a write of one resource without a version was refused with 409, and not for another reason."""
    is_blind = exchange.if_match is None and exchange.interaction in GUARDED
    return exchange.status == 409 and is_blind and not _names_another_reason(exchange)


_WRITE: Final = "{whose} {interaction} of {target}"
_REJECTED: Final = _WRITE + " was rejected ({status})"
_SEND_ETAG: Final = "{unchanged}Read the resource and send its ETag in If-Match."
_OPEN: Final = "It may have been carried out, or not. Read the resource before you send it again."

_PARAGRAPHS: Final = {
    Verdict.READ: (
        _Paragraph("{whose} {interaction} was answered {status}.", lambda exchange: not exchange.logical_id),
        _Paragraph("{client} read {target}. The response has no ETag.", lambda exchange: exchange.etag is None),
        _Paragraph("{client} read {target}{at_version}. To update it, send this version in {field}."),
    ),
    Verdict.NOT_MODIFIED: (
        _Paragraph(
            "{target} has not changed since the version held by {client}. "
            "The endpoint answered {status}, so the response has no body."
        ),
    ),
    Verdict.CREATED: (
        _Paragraph(
            "{whose} {interaction} was accepted ({status}). The response does not say that a resource was created.",
            lambda exchange: exchange.status != 201,
        ),
        _Paragraph(
            "{client} created {target}{at_version}. The endpoint assigned the id.",
            lambda exchange: exchange.interaction == "create" and bool(exchange.logical_id),
        ),
        _Paragraph(
            "{whose} {interaction} created {target}{at_version}. {client} chose the id.",
            lambda exchange: exchange.interaction == "update",
        ),
        _Paragraph("{client} created {target}{at_version}."),
    ),
    Verdict.UPDATED: (
        _Paragraph(
            _WRITE + " was accepted. The response has no ETag. Read the resource for its version.",
            lambda exchange: exchange.etag is None,
        ),
        _Paragraph(
            _WRITE + " was accepted, but its version did not change. Its ETag is still {etag}.",
            _names_etag,
        ),
        _Paragraph(
            _WRITE + " was accepted without a version: it may have overwritten a change that was not seen. "
            "The ETag is now {etag}.",
            lambda exchange: exchange.if_match is None,
        ),
        _Paragraph(
            _WRITE + " with {field} {if_match} was accepted. The ETag is now {etag}. "
            "To update it again, send this version in {field}."
        ),
    ),
    Verdict.DELETED: (_Paragraph("{whose} delete of {target} was accepted ({status})."),),
    Verdict.STALE: (
        _Paragraph(
            _REJECTED + ". {field} {if_match} is not its current version. {unchanged}"
            "Read it again, compare, and send your changes with the new version."
        ),
    ),
    Verdict.UNGUARDED: (
        _Paragraph(
            _REJECTED + ", because it was sent without If-Match. " + _SEND_ETAG,
            lambda exchange: exchange.if_match is None,
        ),
        _Paragraph(
            _REJECTED + ", which means that no precondition arrived, although {field} {if_match} was sent. "
            "{unchanged}Check what stands between you and the endpoint, and in which header it wants the version.",
            lambda exchange: exchange.status == 428,
        ),
        _Paragraph(_REJECTED + ". Its {field} is not usable: {if_match}. " + _SEND_ETAG),
    ),
    Verdict.NOT_FOUND: (
        _Paragraph(
            "The endpoint has no {target} ({status}). It never existed, or it was deleted. Check the type and the id."
        ),
    ),
    Verdict.REFUSED: (
        _Paragraph(
            "The endpoint redirected the {interaction} of {target} to {location} ({status}). "
            "The client does not follow redirects. If that is your endpoint, make it the base URL.",
            lambda exchange: 300 <= (exchange.status or 0) < 400,
        ),
        _Paragraph(
            _REJECTED + ": its credentials are missing or not valid. "
            "{unchanged}Check the token, and send the request again.",
            lambda exchange: exchange.status == 401,
        ),
        _Paragraph(
            _REJECTED + ": it is not allowed. {unchanged}Check the credentials and the permissions behind them.",
            lambda exchange: exchange.status == 403,
        ),
        _Paragraph(
            _REJECTED + ": the endpoint got too many requests. {wait}, and send it again.",
            lambda exchange: exchange.status == 429,
        ),
        _Paragraph(
            _REJECTED + ": the endpoint has locked the resource. Wait, read it, and send your changes again.",
            lambda exchange: exchange.status == 423,
        ),
        _Paragraph(
            _REJECTED + ": it conflicts with the current state of the resource. No version was sent with it. "
            "{unchanged}Read the resource, compare, and send your changes with its version in If-Match.",
            _is_lost_race,
        ),
        _Paragraph(_REJECTED + ". {unchanged}Correct the request and send it again."),
    ),
    Verdict.UNSUPPORTED: (
        _Paragraph(
            "The endpoint does not support {interaction} on {type} ({status}). "
            "Its CapabilityStatement lists what it supports."
        ),
    ),
    Verdict.FAILED: (
        _Paragraph(_WRITE + " was not sent. {failure}", lambda exchange: exchange.response is None),
        _Paragraph(
            "The read of {target} was answered {status}, but the response is not a complete FHIR resource. "
            "Check that the base URL is that of a FHIR endpoint.",
            lambda exchange: (exchange.status or 0) < 300,
        ),
        _Paragraph(
            _WRITE + " failed: the endpoint answered {status}.",
            lambda exchange: changes_nothing(exchange.request.method, exchange.request.url),
        ),
        _Paragraph(_WRITE + " failed: the endpoint answered {status}. " + _OPEN),
    ),
    Verdict.UNKNOWN: (
        _Paragraph(
            "The answer {status} to " + _WRITE + " leaves open what happened. " + _OPEN,
            lambda exchange: exchange.response is not None,
        ),
        _Paragraph(
            _WRITE + " got no answer. {failure} A read changes nothing, so send it again.",
            lambda exchange: changes_nothing(exchange.request.method, exchange.request.url),
        ),
        _Paragraph(_WRITE + " was sent, but no answer came. {failure} " + _OPEN),
    ),
}
"""The paragraphs for each verdict; the first that applies is used."""

_INTERACTION_WORDS: Final = {"search-type": "search", "capabilities": "read of the capabilities"}


def whose(client: str) -> str:
    """Return the possessive of a client's name; the client of the app is called "you"."""
    return "your" if client == "you" else f"{client}'s"


def explain(exchange: Exchange, *, diagnostics: bool = True) -> str:
    """Return one paragraph: the request, what happened, and what to do next.

    With ``diagnostics`` it ends with what the endpoint says in its OperationOutcome, if the request failed.
    """
    response, etag, found = exchange.response, exchange.etag, exchange.outcome
    retry_after, location = (response.headers.get(name) if response else None for name in ("Retry-After", "Location"))

    paragraph = next(each for each in _PARAGRAPHS[exchange.verdict] if each.applies(exchange))
    text = paragraph.text.format(
        client=exchange.client,
        whose=whose(exchange.client),
        interaction=_INTERACTION_WORDS.get(exchange.interaction, exchange.interaction),
        target=exchange.target,
        type=exchange.resource_type or "the endpoint",
        status=exchange.status,
        if_match=exchange.if_match,
        etag=etag,
        at_version=f" at version {etag.version_id}" if etag else "",
        field=_version_field(exchange),
        unchanged="Nothing was changed. " if _is_surely_unchanged(exchange) else "",
        wait=f"Wait {retry_after} s" if retry_after and retry_after.isdecimal() else "Wait",
        failure=exchange.failure or "The reason is not known.",
        location=location or "an address that it did not name",
    )
    if diagnostics and found and found.diagnostics and not exchange.ok:
        text += f" The endpoint says: {found.diagnostics}"
    if exchange.failure and response:
        text += f" {exchange.failure}"
    if not exchange.is_whole:
        text += " Its bodies are no longer kept."
    return printable(text[:1].upper() + text[1:])
