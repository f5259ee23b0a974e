"""The update decision: everything about a write that can be judged without the stored resource.

The checks run in the contract's *Order of checks*, and each raises its ``Refusal``. The last three (exists, not
deleted, version matches) are one atomic step of the store; when it fails, the application looks for the reason.

A policy is a table from the state of ``If-Match`` to an error row, never a branch. ``SPINE`` is the contract. ``R4``
and ``OPTIONAL`` are what other servers do. ``UNPROTECTED`` has no lock and shows what is then lost.
"""

from __future__ import annotations

import enum
import itertools
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from workbench.errors import BadInput
from workbench.fhir import json
from workbench.fhir.etag import Precondition, read_if_match
from workbench.fhir.outcome import Issue
from workbench.fhir.printable import quoted
from workbench.fhir.resource import LOGICAL_ID, without_version

BODY_LIMIT: Final = 5 * 1024 * 1024
"""Bytes of a request body; a larger one is answered 413."""

MOST_VALUES: Final = 50_000
"""Values in a body (objects, lists, texts, numbers); more are answered 413. Validating one value takes some 10 µs."""

MEDIA_TYPES: Final = frozenset({"application/fhir+json", "application/json+fhir", "application/json"})
"""The media types of a request body (FMT-1)."""

_GZIP: Final = 31
"""``wbits`` of zlib for the gzip format, with its checksum."""

_TOKENS: Final = re.compile(rb'"(?:[^"\\]+|\\.?)*+"?|[,\[{]', re.DOTALL)
"""The strings of a JSON text, and the characters that precede its values. Scans each character once."""


# --- refusals ---


@dataclass(eq=False)
class Refusal(Exception):  # it is an answer, not a failure of the endpoint
    """A refused request: the status, the issues of its OperationOutcome, and further header fields."""

    status: int
    issues: tuple[Issue, ...]
    headers: tuple[tuple[str, str], ...] = ()


class ErrorRow(NamedTuple):
    """One row of the contract's error table (ERR-3)."""

    status: int
    issue_type: str
    spine_code: str

    def because(
        self,
        *diagnostics: str,
        expression: tuple[str, ...] = (),
        retry_after: float | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Refusal:
        """Return the refusal with one issue for each diagnostics (ERR-2); a ``retry_after`` is in seconds."""
        issues = [Issue("error", self.issue_type, self.spine_code, "", text, expression) for text in diagnostics]
        if retry_after is not None:
            headers += (("Retry-After", str(max(1, round(retry_after)))),)
        return Refusal(self.status, tuple(issues), headers)


NOT_WELL_FORMED: Final = ErrorRow(400, "structure", "MESSAGE_NOT_WELL_FORMED")
BAD_REQUEST: Final = ErrorRow(400, "invalid", "BAD_REQUEST")
INVALID_HEADER: Final = ErrorRow(400, "invalid", "MISSING_OR_INVALID_HEADER")
INVALID_TOKEN: Final = ErrorRow(400, "structure", "MISSING_OR_INVALID_HEADER")
OTHER_ASID: Final = ErrorRow(403, "forbidden", "ASID_CHECK_FAILED")
NO_RECORD: Final = ErrorRow(404, "not-found", "NO_RECORD_FOUND")
MAY_NOT_ASSIGN: Final = ErrorRow(405, "forbidden", "MSG_RESOURCE_ID_FAIL")
NOT_ACCEPTABLE: Final = ErrorRow(406, "not-supported", "UNSUPPORTED_MEDIA_TYPE")
TOO_SLOW: Final = ErrorRow(408, "processing", "BAD_REQUEST")
STALE: Final = ErrorRow(409, "conflict", "RESOURCE_VERSION_MISMATCH")
NO_PRECONDITION: Final = ErrorRow(412, "structure", "PRECONDITION_FAILED")
TOO_LONG: Final = ErrorRow(413, "too-long", "BAD_REQUEST")
LONG_TARGET: Final = ErrorRow(414, "processing", "BAD_REQUEST")
UNSUPPORTED: Final = ErrorRow(415, "not-supported", "UNSUPPORTED_MEDIA_TYPE")
MISDIRECTED: Final = ErrorRow(421, "processing", "BAD_REQUEST")
INVALID: Final = ErrorRow(422, "invalid", "INVALID_RESOURCE")
LONG_HEAD: Final = ErrorRow(431, "processing", "BAD_REQUEST")
UNFORESEEN: Final = ErrorRow(500, "processing", "INTERNAL_SERVER_ERROR")
NOT_IMPLEMENTED: Final = ErrorRow(501, "not-supported", "NOT_IMPLEMENTED")
UNAVAILABLE: Final = ErrorRow(503, "transient", "INTERNAL_SERVER_ERROR")


# --- policies ---


class Lock(enum.Enum):
    """The states of ``If-Match`` that a policy can refuse."""

    MISSING = "no If-Match was sent"
    MALFORMED = 'the If-Match sent is not of the form W/"<version id>"'
    STALE = "If-Match names another version than the current one"


@dataclass(frozen=True, slots=True)
class Policy:
    """Which states of ``If-Match`` refuse a write, and with which error. A state not listed is accepted."""

    name: str
    refuses: Mapping[Lock, ErrorRow]

    @property
    def locks(self) -> bool:
        """Whether every write must name the version it replaces: FHIR's ``versioned-update``."""
        return Lock.MISSING in self.refuses

    def in_words(self) -> str:
        """Describe the policy for the CapabilityStatement: ``A missing If-Match is answered 412. …``."""
        words = {
            lock: f"is answered {self.refuses[lock].status}" if lock in self.refuses else "is accepted" for lock in Lock
        }
        return (
            f"Update and delete: a missing If-Match {words[Lock.MISSING]}, a malformed one {words[Lock.MALFORMED]}, "
            f"one that names another version than the current {words[Lock.STALE]}."
        )

    def check(self, lock: Lock, diagnostics: str) -> None:
        """Refuse a write in this state, unless the policy accepts it."""
        if row := self.refuses.get(lock):
            raise row.because(diagnostics)


SPINE: Final = Policy("SPINE", {Lock.MISSING: NO_PRECONDITION, Lock.MALFORMED: NO_PRECONDITION, Lock.STALE: STALE})
"""The guide's own rules (UPD-6, UPD-7, UPD-8), with STU3's pair 409 and 412."""

R4: Final = Policy(
    "R4",
    {
        Lock.MISSING: ErrorRow(400, "required", "MISSING_OR_INVALID_HEADER"),
        Lock.MALFORMED: INVALID_HEADER,
        Lock.STALE: ErrorRow(412, "conflict", "RESOURCE_VERSION_MISMATCH"),
    },
)
"""FHIR R4's reversed pair: a stale ``If-Match`` is 412, a missing one 400 (contract, *Dialects*)."""

OPTIONAL: Final = Policy("OPTIONAL", {lock: SPINE.refuses[lock] for lock in (Lock.MALFORMED, Lock.STALE)})
"""An optional lock: the endpoint checks ``If-Match`` where it is sent, and accepts a write without it."""

UNPROTECTED: Final = Policy("UNPROTECTED", {})
"""No lock: a write's ``If-Match`` is ignored, and the last write wins. Not a Spine endpoint; a warning."""

POLICIES: Final = {policy.name: policy for policy in (SPINE, R4, OPTIONAL, UNPROTECTED)}


# --- the decision ---


Validator = Callable[[str, dict[str, Any]], "tuple[Issue, ...]"]
"""``(resource type, resource) -> issues``; no issues if the resource is valid (VAL-1)."""


def check_update(
    resource_type: str,
    logical_id: str,
    if_match: str | None,
    content_type: str | None,
    body: bytes,
    *,
    policy: Policy,
    validate: Validator,
    content_encoding: str | None = None,
) -> tuple[dict[str, Any], str | None]:
    """Check a PUT in the contract's order, apart from routing (501) before and the store after.

    Return the valid resource, and the version id that it may replace: ``None`` for any.
    """
    check_id(logical_id)
    text = read_body(content_type, content_encoding, body)
    expected = check_lock(if_match, policy)
    resource = check_body(resource_type, text)
    _check_agrees(resource, resource_type, "id", logical_id)
    _check_valid(resource, resource_type, validate)
    return resource, expected


def check_create(
    resource_type: str,
    content_type: str | None,
    body: bytes,
    *,
    validate: Validator,
    content_encoding: str | None = None,
) -> dict[str, Any]:
    """Check a POST, and return its resource (CR-1, CR-2)."""
    resource = check_body(resource_type, read_body(content_type, content_encoding, body))
    if "id" in resource:
        raise MAY_NOT_ASSIGN.because(
            f"the body carries the id {quoted(resource['id'])}; leave it out, the endpoint assigns one."
        )
    _check_valid(resource, resource_type, validate)
    return resource


def check_id(logical_id: str) -> None:
    """Refuse with 400 an id in the URL that is not a FHIR id."""
    if not LOGICAL_ID.fullmatch(logical_id):
        raise BAD_REQUEST.because(f"{quoted(logical_id)} is not a FHIR id: 1 to 64 letters, digits, hyphens and dots.")


def read_body(content_type: str | None, content_encoding: str | None, body: bytes) -> bytes:
    """Return the text of a body, unpacked if it is gzipped.

    Refuse with 415 a body that is not FHIR JSON (FMT-1), with 413 one beyond ``BODY_LIMIT`` or ``MOST_VALUES``.
    """
    if media_type(content_type) not in MEDIA_TYPES:
        sent = f"Content-Type {quoted(content_type)}" if content_type else "no Content-Type"
        raise UNSUPPORTED.because(f"the request has {sent}; send application/fhir+json.")
    text = unpack(body, content_encoding)
    if _has_too_many_values(text):
        raise TOO_LONG.because(f"the body is over the limit of {MOST_VALUES} values.")
    return text


def unpack(body: bytes, content_encoding: str | None) -> bytes:
    """Return a body without its content coding; refuse it if it is over ``BODY_LIMIT``, packed or not (FMT-3).

    Unpacking stops at the limit, so the few bytes of a gzip bomb cost no more than a large body.
    """
    coding = (content_encoding or "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip"):
        raise UNSUPPORTED.because(
            f"the request has Content-Encoding {quoted(content_encoding)}; send gzip, or no coding.",
            headers=(("Accept-Encoding", "gzip"),),
        )
    text, complete = body, True
    if coding != "identity" and len(body) <= BODY_LIMIT:
        unpacking = zlib.decompressobj(wbits=_GZIP)
        try:
            text = unpacking.decompress(body, BODY_LIMIT + 1)
        except zlib.error:
            raise NOT_WELL_FORMED.because("Content-Encoding is gzip, but the body is not.") from None
        complete = unpacking.eof and not unpacking.unused_data
    if len(text) > BODY_LIMIT:
        raise TOO_LONG.because(f"the body is over the limit of {BODY_LIMIT} bytes.")
    if not complete:
        raise NOT_WELL_FORMED.because("the body is not one whole gzip stream: it breaks off, or more bytes follow.")
    return text


def _has_too_many_values(body: bytes) -> bool:
    """Return whether a JSON text has more than ``MOST_VALUES`` values; stop reading once that is certain."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") < MOST_VALUES:
        return False
    # Each value has a comma or a bracket before it, and at most two strings: its name and its text.
    most = 3 * MOST_VALUES
    tokens = [body[token.start()] for token in itertools.islice(_TOKENS.finditer(body), most)]
    return len(tokens) == most or len(tokens) - tokens.count(ord('"')) >= MOST_VALUES


def check_lock(if_match: str | None, policy: Policy) -> str | None:
    """Return the version id that a write may replace, ``None`` for any (UPD-7, UPD-8, DL-2)."""
    found, version_id = read_if_match(if_match)
    if found is Precondition.VERSION:
        return version_id if Lock.STALE in policy.refuses else None
    if found is Precondition.MISSING:
        policy.check(Lock.MISSING, "the request has no If-Match; send the ETag that you read.")
    else:
        policy.check(
            Lock.MALFORMED,
            f'If-Match is {quoted(if_match)}, which is not of the form W/"<version id>"; send the ETag as you read it.',
        )
    return None


def check_body(resource_type: str, body: bytes) -> dict[str, Any]:
    """Return the body as a resource of the URL's type, or refuse it with 400 (ERR-3, UPD-9)."""
    try:
        resource = json.parse(body)
    except BadInput as error:
        raise NOT_WELL_FORMED.because(f"the body is not well-formed JSON: {error}") from None
    if not isinstance(resource, dict):
        raise BAD_REQUEST.because("the body is JSON but not an object; a resource is an object.")
    _check_agrees(resource, resource_type, "resourceType", resource_type)
    return resource


def media_type(value: str | None) -> str:
    """Return the media type of a Content-Type or ``_format`` in lower case, without its parameters."""
    return (value or "").partition(";")[0].strip().lower()


def _check_agrees(resource: dict[str, Any], resource_type: str, element: str, wanted: str) -> None:
    sent = resource.get(element)
    if sent == wanted:
        return
    has = f"no {element}" if sent is None else f"the {element} {quoted(sent)}"
    raise BAD_REQUEST.because(
        f"the body has {has}, but the URL says {wanted!r}.", expression=(f"{resource_type}.{element}",)
    )


def _check_valid(resource: dict[str, Any], resource_type: str, validate: Validator) -> None:
    _check_whole(resource, resource_type)
    if issues := validate(resource_type, without_version(resource)):
        raise Refusal(INVALID.status, issues)


def _check_whole(resource: dict[str, Any], resource_type: str) -> None:
    """Refuse a resource that is marked as partial: storing it would lose the elements left out (UPD-16)."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    for index, tag in enumerate(tags if isinstance(tags, list) else ()):
        if isinstance(tag, dict) and tag.get("code") == "SUBSETTED":
            path = f"{resource_type}.meta.tag[{index}]"
            raise INVALID.because(
                f"{path}: the tag SUBSETTED marks an incomplete resource, and the elements it lacks would be lost. "
                "Read the resource, change it, and send it whole.",
                expression=(path,),
            )
