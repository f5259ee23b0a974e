"""What became of a request: the verdict, worked out from what was sent and what came back.

Never from a server's name: Spine answers a stale ``If-Match`` 409, R4 servers 412, and both are STALE.
The table of what real servers answer is the contract's *Dialects*.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from workbench.fhir.etag import Precondition, read_if_match

if TYPE_CHECKING:
    from workbench.exchange.message import Exchange

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that ask for no change (RFC 9110, section 9.2.1)."""

GUARDED: Final = frozenset({"update", "patch", "delete"})
"""The interactions that a server guards with ``If-Match`` (UPD-7, DL-2; the living NHS API patches)."""


class Verdict(enum.Enum):
    """What became of a request. The value is the word a table shows."""

    READ = "read"
    NOT_MODIFIED = "not modified"
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    STALE = "stale"
    """The ``If-Match`` sent names a version that is no longer current; nothing changed."""
    UNGUARDED = "unguarded"
    """The server insists on a usable ``If-Match`` and got none; nothing changed."""
    NOT_FOUND = "not found"
    REFUSED = "refused"
    """The server understood and said no, for another reason than the version."""
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    """It was never sent, the server says it could not carry it out, or a read brought no resource."""
    UNKNOWN = "unknown"
    """It was sent and no answer came: it may have been carried out."""

    def __repr__(self) -> str:
        return f"Verdict.{self.name}"


DONE: Final = frozenset({Verdict.READ, Verdict.NOT_MODIFIED, Verdict.CREATED, Verdict.UPDATED, Verdict.DELETED})

_SUCCESS: Final = {
    "GET": Verdict.READ,
    "HEAD": Verdict.READ,
    "OPTIONS": Verdict.READ,
    "POST": Verdict.CREATED,
    "PUT": Verdict.UPDATED,
    "PATCH": Verdict.UPDATED,
    "DELETE": Verdict.DELETED,
}

_BY_STATUS: Final = {
    304: Verdict.NOT_MODIFIED,
    404: Verdict.NOT_FOUND,
    410: Verdict.NOT_FOUND,
    501: Verdict.UNSUPPORTED,
}

_NO_WORD_FROM_BEHIND: Final = frozenset({202, 502, 504})
"""Answers that leave open whether the write was carried out: accepted for later, or a gateway that heard nothing."""


def judge(exchange: Exchange) -> Verdict:
    """The verdict on an exchange: from what was sent and what came back, whoever the server is."""
    if exchange.response is None:
        return Verdict.UNKNOWN if exchange.sent else Verdict.FAILED
    status, method = exchange.response.status, exchange.request.method
    if method not in SAFE_METHODS and status in _NO_WORD_FROM_BEHIND:
        return Verdict.UNKNOWN
    if 200 <= status < 300:
        if exchange.interaction == "read" and method == "GET" and _brought_no_resource(exchange):
            return Verdict.FAILED
        if method not in SAFE_METHODS and _is_no_word_of_fhirs(exchange):
            return Verdict.UNKNOWN
        return Verdict.CREATED if status == 201 else _SUCCESS.get(method, Verdict.READ)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return Verdict.FAILED
    if exchange.interaction in GUARDED:
        return _judge_precondition(exchange, status)
    return _judge_refusal(exchange, status)


def left_open(exchange: Exchange) -> bool:
    """Whether it is a write that may have been carried out although no answer says so."""
    if exchange.request.method in SAFE_METHODS:
        return False
    # A server's own error may come before the write or after it.
    return exchange.verdict is Verdict.UNKNOWN or (exchange.verdict is Verdict.FAILED and exchange.response is not None)


def _brought_no_resource(exchange: Exchange) -> bool:
    """Whether what came is a web page, say, or half a resource: nothing that could be updated."""
    body = exchange.response.body if exchange.response else b""
    return bool(exchange.failure) or (bool(body) and not isinstance(exchange.resource, dict))


def _is_no_word_of_fhirs(exchange: Exchange) -> bool:
    """Whether somebody else may have answered a write: no ETag, and a body that broke off or is no JSON (a page)."""
    response = exchange.response
    has_body = bool(response and (response.body or exchange.failure))
    return has_body and exchange.etag is None and exchange.resource is None


def _judge_precondition(exchange: Exchange, status: int) -> Verdict:
    """A refused update or delete: is it about the version? See the contract's *Dialects*."""
    sent, _ = read_if_match(exchange.if_match)
    if status == 428 or (status == 400 and sent is not Precondition.VERSION and _speaks_of_if_match(exchange)):
        return Verdict.UNGUARDED
    if status == 409 and sent is not Precondition.MISSING:
        return Verdict.STALE
    if status == 412 and sent is Precondition.VERSION:
        return Verdict.STALE
    if status == 412:
        return Verdict.STALE if sent is Precondition.MALFORMED and _was_understood(exchange) else Verdict.UNGUARDED
    return _judge_refusal(exchange, status)


def _was_understood(exchange: Exchange) -> bool:
    """Whether a server that takes other forms of ``If-Match`` read this one, and found the version to be another.

    It then says "conflict" (Blaze, Helios); Helios says so too where it could not read it, and calls it malformed.
    """
    found = exchange.outcome
    return bool(found and found.has_code("conflict") and "malformed" not in found.diagnostics.lower())


def _judge_refusal(exchange: Exchange, status: int) -> Verdict:
    """405 is Spine's answer to a client that assigns an id (UPD-10); from others it is the method that is refused."""
    if status != 405:
        return Verdict.REFUSED
    found = exchange.outcome
    return Verdict.REFUSED if found and found.spine_code == "MSG_RESOURCE_ID_FAIL" else Verdict.UNSUPPORTED


def _speaks_of_if_match(exchange: Exchange) -> bool:
    """R4 servers answer a missing ``If-Match`` 400, as they do much else; only the text tells them apart."""
    found = exchange.outcome
    text = found.diagnostics.lower() if found else ""
    return "if-match" in text or "etag" in text
