"""The update decision: a request and what is stored, in; what to answer, out.

Owns: the order of checks on a PUT and a DELETE (the contract's *Order of checks*), and the policies
that say which state of the lock lets a write through. A policy is a table, never a branch: SPINE is
the contract; R4 and OPTIONAL are what other servers do; UNPROTECTED has no lock at all and exists for the
lesson that shows what is then lost.

The last three checks (exists, not deleted, version matches) cannot be made here: they are one atomic
step of the store. ``Refusal`` for them comes from ``Policy.refusal`` once the store has said no.
"""

from __future__ import annotations

import enum
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from workbench.errors import BadInput
from workbench.fhir import json
from workbench.fhir.etag import Precondition, read_if_match
from workbench.fhir.outcome import Issue
from workbench.fhir.printable import quoted as quoted
from workbench.fhir.resource import LOGICAL_ID, without_version

BODY_LIMIT: Final = 5 * 1024 * 1024
"""Bytes of a request body; over it the answer is 413."""

MOST_VALUES: Final = 50_000
"""Values in a body (objects, lists, texts, numbers); over it the answer is 413 too. Looking at one costs some 10 µs."""

MEDIA_TYPES: Final = frozenset({"application/fhir+json", "application/json+fhir", "application/json"})
"""What a body may be written in (FMT-1)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is turned down: the status, and the issues that its OperationOutcome carries."""

    status: int
    issues: tuple[Issue, ...]

    @classmethod
    def because(
        cls, status: int, code: str, spine_code: str, diagnostics: str, *, expression: tuple[str, ...] = ()
    ) -> Refusal:
        """A refusal with one issue of severity error (ERR-2)."""
        return cls(status, (Issue("error", code, spine_code, "", diagnostics, expression),))


class Lock(enum.Enum):
    """The state of the lock that a write meets."""

    MISSING = "no If-Match was sent"
    MALFORMED = 'the If-Match sent is not of the form W/"<version id>"'
    STALE = "If-Match names another version than the current one"


_TOKENS: Final = re.compile(rb'"(?:[^"\\]+|\\.?)*+"?|[,\[{]', re.DOTALL)
"""The strings of a JSON text, and what stands before its values. Each character is looked at once."""

Answer = tuple[int, str, str]
"""Status, issue type, Spine code: one row of the contract's error table."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Which states of the lock refuse a write, and with what. A state that is not listed lets it through."""

    name: str
    refuses: Mapping[Lock, Answer]

    @property
    def locks(self) -> bool:
        """Whether no write passes without the version it replaces: FHIR's ``versioned-update``."""
        return Lock.MISSING in self.refuses

    def in_words(self) -> str:
        """What it answers, for the CapabilityStatement: ``A missing If-Match answers 412. …``."""
        words = {
            lock: f"is answered {self.refuses[lock][0]}" if lock in self.refuses else "is accepted" for lock in Lock
        }
        return (
            f"Update and delete: a missing If-Match {words[Lock.MISSING]}, a malformed one {words[Lock.MALFORMED]}, "
            f"one that names another version than the current {words[Lock.STALE]}."
        )

    def refusal(self, lock: Lock, diagnostics: str) -> Refusal | None:
        """The refusal for this state of the lock; ``None`` where the policy lets the write through."""
        answer = self.refuses.get(lock)
        return Refusal.because(*answer, diagnostics) if answer else None


SPINE: Final = Policy(
    "SPINE",
    {
        Lock.MISSING: (412, "structure", "PRECONDITION_FAILED"),
        Lock.MALFORMED: (412, "structure", "PRECONDITION_FAILED"),
        Lock.STALE: (409, "conflict", "RESOURCE_VERSION_MISMATCH"),
    },
)
"""The guide's own rules (UPD-6, UPD-7, UPD-8): the STU3 pair 409 and 412."""

R4: Final = Policy(
    "R4",
    {
        Lock.MISSING: (400, "required", "MISSING_OR_INVALID_HEADER"),
        Lock.MALFORMED: (400, "invalid", "MISSING_OR_INVALID_HEADER"),
        Lock.STALE: (412, "conflict", "RESOURCE_VERSION_MISMATCH"),
    },
)
"""What FHIR R4 made of the pair: a stale ``If-Match`` is 412 there, a missing one 400 (see *Dialects*)."""

OPTIONAL: Final = Policy("OPTIONAL", {lock: SPINE.refuses[lock] for lock in (Lock.MALFORMED, Lock.STALE)})
"""A lock for those who use it: ``If-Match`` is kept to where it is sent, and none is accepted, as many servers do."""

UNPROTECTED: Final = Policy("UNPROTECTED", {})
"""No lock: ``If-Match`` is never looked at and the last writer wins. Not a Spine endpoint; a warning."""

POLICIES: Final = {policy.name: policy for policy in (SPINE, R4, OPTIONAL, UNPROTECTED)}


@dataclass(frozen=True, slots=True)
class Submission:
    """A body that may be stored, if the stored version is ``expected`` (``None``: whatever it is)."""

    resource: dict[str, Any]
    expected: str | None


Validator = Callable[[str, dict[str, Any]], "tuple[Issue, ...]"]
"""``(resource type, resource) -> issues``; none where it is a valid resource of that type (VAL-1)."""


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
    """Everything about a PUT that can be judged without the stored resource, in the contract's order.

    The type and the interaction (501) have been checked before: they are routing.
    """
    return (
        check_id(logical_id)
        or check_body_headers(content_type, body)
        or _check_update_body(resource_type, logical_id, check_lock(if_match, policy), body, validate)
    )


def _check_update_body(
    resource_type: str, logical_id: str, lock: str | Refusal | None, body: bytes, validate: Validator
) -> Submission | Refusal:
    if isinstance(lock, Refusal):
        return lock
    resource = check_body(resource_type, body)
    if isinstance(resource, Refusal):
        return resource
    if resource.get("id") != logical_id:
        return _disagrees("id", resource.get("id"), logical_id, resource_type)
    issues = validate(resource_type, without_version(resource))
    return Refusal(422, issues) if issues else Submission(resource, lock)


def check_create(
    resource_type: str, content_type: str | None, body: bytes, *, validate: Validator
) -> Submission | Refusal:
    """Everything about a POST (CR-1, CR-2); there is nothing stored to compare with."""
    refused = check_body_headers(content_type, body)
    if refused:
        return refused
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
    """400 where the id in the URL is not a FHIR id."""
    if LOGICAL_ID.fullmatch(logical_id):
        return None
    return bad_request(f"{quoted(logical_id)} is not a FHIR id: 1 to 64 letters, digits, hyphens and dots.")


def check_body_headers(content_type: str | None, body: bytes) -> Refusal | None:
    """415 for a body that is not FHIR JSON (FMT-1), 413 for one over ``BODY_LIMIT`` or ``MOST_VALUES``."""
    if media_type(content_type) not in MEDIA_TYPES:
        sent = f"Content-Type {quoted(content_type)}" if content_type else "no Content-Type"
        return unsupported(415, f"the request has {sent}; send application/fhir+json.")
    if len(body) > BODY_LIMIT:
        return too_long(f"the body is over the limit of {BODY_LIMIT} bytes.")
    if _holds_too_much(body):
        return too_long(f"the body is over the limit of {MOST_VALUES} values.")
    return None


def _holds_too_much(body: bytes) -> bool:
    """Whether this JSON has more than ``MOST_VALUES``, without reading more of it than shows that."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") < MOST_VALUES:
        return False
    # A value needs a comma or a bracket before it, and has a name and a text at most.
    most = 3 * MOST_VALUES
    tokens = [body[token.start()] for token in itertools.islice(_TOKENS.finditer(body), most)]
    return len(tokens) == most or len(tokens) - tokens.count(ord('"')) >= MOST_VALUES


def check_lock(if_match: str | None, policy: Policy) -> str | Refusal | None:
    """The version id a write may replace, ``None`` for any version, or the refusal (UPD-7, UPD-8, DL-2)."""
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
    """The body as a resource of the URL's type, or 400 (ERR-3, UPD-9)."""
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


def stale(policy: Policy, expected: str, current: str) -> Refusal | None:
    """The refusal once the store has said that ``expected`` is not current (UPD-6, DL-2)."""
    return policy.refusal(
        Lock.STALE, f'If-Match names version {expected}, but the current version is W/"{current}"; nothing was changed.'
    )


def deleted(resource_type: str, logical_id: str) -> Refusal:
    """404 for a resource that has been deleted: it stays deleted (UPD-11)."""
    return no_record(f"{resource_type}/{logical_id} has been deleted.")


def no_record(diagnostics: str) -> Refusal:
    """404: no such resource."""
    return Refusal.because(404, "not-found", "NO_RECORD_FOUND", diagnostics)


def invalid_headers(problems: Iterable[str]) -> Refusal:
    """400: required Spine header fields are missing or malformed, one issue each (HDR-1 to HDR-5)."""
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
    """503: it cannot be done now, and nothing was (W: Spine's own table has no such row)."""
    return Refusal.because(503, "transient", "INTERNAL_SERVER_ERROR", diagnostics)


def too_long(diagnostics: str) -> Refusal:
    """413: more than this endpoint takes in one request."""
    return Refusal.because(413, "too-long", "BAD_REQUEST", diagnostics)


def bad_request(diagnostics: str, *, expression: tuple[str, ...] = ()) -> Refusal:
    """400: ids or types that disagree, an unusable parameter or id."""
    return Refusal.because(400, "invalid", "BAD_REQUEST", diagnostics, expression=expression)


def misdirected(host: str) -> Refusal:
    """421: the request was meant for another server (RFC 9110, 15.5.20)."""
    return Refusal.because(
        421,
        "processing",
        "BAD_REQUEST",
        f"Host is {quoted(host)}, which is neither this machine nor the base URL of this endpoint; "
        "the endpoint's --base-url makes a name known.",
    )


def unsupported(status: int, diagnostics: str) -> Refusal:
    """415 for what was sent, 406 for what was asked for."""
    return Refusal.because(status, "not-supported", "UNSUPPORTED_MEDIA_TYPE", diagnostics)


def media_type(value: str | None) -> str:
    """The media type of a Content-Type or ``_format``, in small letters, its parameters left out."""
    return (value or "").partition(";")[0].strip().lower()


def _disagrees(element: str, sent: object, wanted: str, resource_type: str) -> Refusal:
    has = f"no {element}" if sent is None else f"the {element} {quoted(sent)}"
    return bad_request(f"the body has {has}, but the URL says {wanted!r}.", expression=(f"{resource_type}.{element}",))
