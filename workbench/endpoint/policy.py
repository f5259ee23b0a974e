"""The update decision: everything about a write that can be judged without the stored resource.

The checks run in the contract's *Order of checks*. The last three (exists, not deleted, version matches) are one
atomic step of the store; when it fails, the application asks the policy here for the refusal.

A policy is a table from the state of ``If-Match`` to an error row, never a branch. ``SPINE`` is the contract. ``R4``
and ``OPTIONAL`` are what other servers do. ``UNPROTECTED`` has no lock and shows what is then lost.
"""

from __future__ import annotations

import enum
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
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

_TOKENS: Final = re.compile(rb'"(?:[^"\\]+|\\.?)*+"?|[,\[{]', re.DOTALL)
"""The strings of a JSON text, and the characters that precede its values. Scans each character once."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused request: the status, and the issues of its OperationOutcome."""

    status: int
    issues: tuple[Issue, ...]

    @classmethod
    def because(
        cls, status: int, code: str, spine_code: str, diagnostics: str, *, expression: tuple[str, ...] = ()
    ) -> Refusal:
        """Return a refusal with one issue of severity error (ERR-2)."""
        return cls(status, (Issue("error", code, spine_code, "", diagnostics, expression),))


# --- policies ---


class Lock(enum.Enum):
    """The states of ``If-Match`` that a policy can refuse."""

    MISSING = "no If-Match was sent"
    MALFORMED = 'the If-Match sent is not of the form W/"<version id>"'
    STALE = "If-Match names another version than the current one"


class ErrorRow(NamedTuple):
    """One row of the contract's error table."""

    status: int
    issue_type: str
    spine_code: str


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

    def refusal(self, lock: Lock, diagnostics: str) -> Refusal | None:
        """Return the refusal for this state; ``None`` if the policy accepts the write."""
        row = self.refuses.get(lock)
        return Refusal.because(row.status, row.issue_type, row.spine_code, diagnostics) if row else None


SPINE: Final = Policy(
    "SPINE",
    {
        Lock.MISSING: ErrorRow(412, "structure", "PRECONDITION_FAILED"),
        Lock.MALFORMED: ErrorRow(412, "structure", "PRECONDITION_FAILED"),
        Lock.STALE: ErrorRow(409, "conflict", "RESOURCE_VERSION_MISMATCH"),
    },
)
"""The guide's own rules (UPD-6, UPD-7, UPD-8), with STU3's pair 409 and 412."""

R4: Final = Policy(
    "R4",
    {
        Lock.MISSING: ErrorRow(400, "required", "MISSING_OR_INVALID_HEADER"),
        Lock.MALFORMED: ErrorRow(400, "invalid", "MISSING_OR_INVALID_HEADER"),
        Lock.STALE: ErrorRow(412, "conflict", "RESOURCE_VERSION_MISMATCH"),
    },
)
"""FHIR R4's reversed pair: a stale ``If-Match`` is 412, a missing one 400 (contract, *Dialects*)."""

OPTIONAL: Final = Policy("OPTIONAL", {lock: SPINE.refuses[lock] for lock in (Lock.MALFORMED, Lock.STALE)})
"""An optional lock: the endpoint checks ``If-Match`` where it is sent, and accepts a write without it."""

UNPROTECTED: Final = Policy("UNPROTECTED", {})
"""No lock: the endpoint ignores ``If-Match``, and the last write wins. Not a Spine endpoint; a warning."""

POLICIES: Final = {policy.name: policy for policy in (SPINE, R4, OPTIONAL, UNPROTECTED)}


# --- the decision ---


@dataclass(frozen=True, slots=True)
class Submission:
    """A valid body that replaces version ``expected``; ``None`` replaces any version."""

    resource: dict[str, Any]
    expected: str | None


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
) -> Submission | Refusal:
    """Check a PUT in the contract's order, apart from routing (501) before and the store after."""
    refusal = check_id(logical_id) or check_body_headers(content_type, body)
    if refusal:
        return refusal

    expected = check_lock(if_match, policy)
    if isinstance(expected, Refusal):
        return expected

    resource = check_body(resource_type, body)
    if isinstance(resource, Refusal):
        return resource
    if resource.get("id") != logical_id:
        return _disagrees("id", resource.get("id"), logical_id, resource_type)

    issues = validate(resource_type, without_version(resource))
    return Refusal(422, issues) if issues else Submission(resource, expected)


def check_create(
    resource_type: str, content_type: str | None, body: bytes, *, validate: Validator
) -> Submission | Refusal:
    """Check a POST (CR-1, CR-2)."""
    refusal = check_body_headers(content_type, body)
    if refusal:
        return refusal

    resource = check_body(resource_type, body)
    if isinstance(resource, Refusal):
        return resource
    if "id" in resource:
        return may_not_assign(
            f"the body carries the id {quoted(resource['id'])}; leave it out, the endpoint assigns one."
        )

    issues = validate(resource_type, without_version(resource))
    return Refusal(422, issues) if issues else Submission(resource, None)


def check_id(logical_id: str) -> Refusal | None:
    """Refuse with 400 an id in the URL that is not a FHIR id."""
    if LOGICAL_ID.fullmatch(logical_id):
        return None
    return bad_request(f"{quoted(logical_id)} is not a FHIR id: 1 to 64 letters, digits, hyphens and dots.")


def check_body_headers(content_type: str | None, body: bytes) -> Refusal | None:
    """Refuse with 415 a body that is not FHIR JSON (FMT-1), with 413 one beyond ``BODY_LIMIT`` or ``MOST_VALUES``."""
    if media_type(content_type) not in MEDIA_TYPES:
        sent = f"Content-Type {quoted(content_type)}" if content_type else "no Content-Type"
        return unsupported(415, f"the request has {sent}; send application/fhir+json.")
    if len(body) > BODY_LIMIT:
        return too_long(f"the body is over the limit of {BODY_LIMIT} bytes.")
    if _has_too_many_values(body):
        return too_long(f"the body is over the limit of {MOST_VALUES} values.")
    return None


def _has_too_many_values(body: bytes) -> bool:
    """Return whether a JSON text has more than ``MOST_VALUES`` values; stop reading once that is certain."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") < MOST_VALUES:
        return False
    # Each value has a comma or a bracket before it, and at most two strings: its name and its text.
    most = 3 * MOST_VALUES
    tokens = [body[token.start()] for token in itertools.islice(_TOKENS.finditer(body), most)]
    return len(tokens) == most or len(tokens) - tokens.count(ord('"')) >= MOST_VALUES


def check_lock(if_match: str | None, policy: Policy) -> str | Refusal | None:
    """Return the version id that a write may replace, ``None`` for any, or the refusal (UPD-7, UPD-8, DL-2)."""
    found, version_id = read_if_match(if_match)
    if found is Precondition.VERSION:
        return version_id if Lock.STALE in policy.refuses else None
    if found is Precondition.MISSING:
        return policy.refusal(Lock.MISSING, "the request has no If-Match; send the ETag that you read.")
    return policy.refusal(
        Lock.MALFORMED,
        f'If-Match is {quoted(if_match)}, which is not of the form W/"<version id>"; send the ETag as you read it.',
    )


def check_body(resource_type: str, body: bytes) -> dict[str, Any] | Refusal:
    """Return the body as a resource of the URL's type, or refuse it with 400 (ERR-3, UPD-9)."""
    try:
        resource = json.parse(body)
    except BadInput as error:
        return Refusal.because(
            400, "structure", "MESSAGE_NOT_WELL_FORMED", f"the body is not well-formed JSON: {error}"
        )
    if not isinstance(resource, dict):
        return bad_request("the body is JSON but not an object; a resource is an object.")
    if resource.get("resourceType") != resource_type:
        return _disagrees("resourceType", resource.get("resourceType"), resource_type, resource_type)
    return resource


def media_type(value: str | None) -> str:
    """Return the media type of a Content-Type or ``_format`` in lower case, without its parameters."""
    return (value or "").partition(";")[0].strip().lower()


def _disagrees(element: str, sent: object, wanted: str, resource_type: str) -> Refusal:
    has = f"no {element}" if sent is None else f"the {element} {quoted(sent)}"
    return bad_request(f"the body has {has}, but the URL says {wanted!r}.", expression=(f"{resource_type}.{element}",))


# --- the contract's error table: one function a row ---


def stale(policy: Policy, expected: str, current: str) -> Refusal | None:
    """Refuse a write whose ``If-Match`` is not current (UPD-6, DL-2)."""
    return policy.refusal(
        Lock.STALE, f'If-Match names version {expected}, but the current version is W/"{current}"; nothing was changed.'
    )


def deleted(resource_type: str, logical_id: str) -> Refusal:
    """404 for a deleted resource; it stays deleted (UPD-11)."""
    return no_record(f"{resource_type}/{logical_id} has been deleted.")


def no_record(diagnostics: str) -> Refusal:
    """404: no such resource."""
    return Refusal.because(404, "not-found", "NO_RECORD_FOUND", diagnostics)


def invalid_headers(problems: Iterable[str]) -> Refusal:
    """400: required Spine headers are missing or malformed, one issue for each (HDR-1 to HDR-5)."""
    return Refusal(
        400, tuple(Issue("error", "invalid", "MISSING_OR_INVALID_HEADER", "", problem) for problem in problems)
    )


def other_asid(diagnostics: str) -> Refusal:
    """403: the request names another accredited system than this endpoint."""
    return Refusal.because(403, "forbidden", "ASID_CHECK_FAILED", diagnostics)


def may_not_assign(diagnostics: str) -> Refusal:
    """405: the client tried to assign an id (UPD-10, CR-2)."""
    return Refusal.because(405, "forbidden", "MSG_RESOURCE_ID_FAIL", diagnostics)


def not_implemented(diagnostics: str) -> Refusal:
    """501: a type or an interaction that the CapabilityStatement does not list (UPD-12)."""
    return Refusal.because(501, "not-supported", "NOT_IMPLEMENTED", diagnostics)


def unavailable(diagnostics: str) -> Refusal:
    """503: the endpoint cannot serve the request now, and did nothing (W: the guide's table has no such row)."""
    return Refusal.because(503, "transient", "INTERNAL_SERVER_ERROR", diagnostics)


def too_long(diagnostics: str) -> Refusal:
    """413: the request is over a limit."""
    return Refusal.because(413, "too-long", "BAD_REQUEST", diagnostics)


def bad_request(diagnostics: str, *, expression: tuple[str, ...] = ()) -> Refusal:
    """400: ids or types that disagree, an unusable parameter or id."""
    return Refusal.because(400, "invalid", "BAD_REQUEST", diagnostics, expression=expression)


def misdirected(host: str) -> Refusal:
    """421: the request names another host (RFC 9110, 15.5.20)."""
    return Refusal.because(
        421,
        "processing",
        "BAD_REQUEST",
        f"Host is {quoted(host)}, which is neither this machine nor the base URL of this endpoint; "
        "the endpoint's --base-url makes a name known.",
    )


def unsupported(status: int, diagnostics: str) -> Refusal:
    """415 for the format of a request body, 406 for the format of the response."""
    return Refusal.because(status, "not-supported", "UNSUPPORTED_MEDIA_TYPE", diagnostics)
