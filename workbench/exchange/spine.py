"""The request headers that a live Spine endpoint requires (HDR-1 to HDR-5): their names, formats and claims.

The client makes these headers, and strict mode of the endpoint checks them, both by the rules below.

Spine's token is an unsigned JWT (``alg: none``; RFC 7519, section 6). Mutual TLS authenticates the sender;
the token only states who the sender is. A problem sentence never quotes a claim of the token, because
responses are stored in journals and a token is a credential.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import jwt

from workbench.exchange.message import Headers
from workbench.fhir.printable import quoted

TOKEN_SECONDS: Final = 300
"""The longest lifetime of a token, from ``iat`` to ``exp``, in seconds."""

SKEW_SECONDS: Final = 60
"""How far the sender's clock may be ahead, in seconds (our own choice)."""

ASID_SYSTEM: Final = "https://fhir.nhs.uk/Id/accredited-system|"
"""The prefix of the ASID (accredited system id) in the claim ``requesting_system``."""

REASONS: Final = ("directcare", "secondaryuses", "patientaccess")
"""The values that ``reason_for_request`` may have."""

WRITES: Final = frozenset({"create", "update", "delete", "patch"})
"""The interactions whose scope and InteractionID say ``write``. Spine has no patch; the NHS API Platform has."""

_CLAIMS: Final = ("iss", "sub", "aud", "exp", "iat", "reason_for_request", "scope", "requesting_system")
_ASID = re.compile(r"[0-9]{12}")
_INTERACTION_ID = re.compile(r"urn:nhs:names:services:[A-Za-z0-9]+:(?P<type>[A-Za-z]+)\.(?P<access>read|write):[0-9]+")
_SCOPE = re.compile(r"(?:patient|user)/(?P<type>[A-Za-z]+|\*)\.(?P<access>read|write|\*)")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def header_problems(headers: Headers, interaction: str | None, resource_type: str, now: datetime) -> list[str]:
    """Return one sentence for each header that a live Spine endpoint would reject; an empty list if there is none.

    ``interaction`` is ``None`` for one that the endpoint does not offer. ``resource_type`` is empty for a
    request about no type, such as a read of the CapabilityStatement. ``now`` decides which tokens have expired.
    """
    token = authorization_problems(headers, interaction, resource_type, now)
    return [*token, *field_problems(headers, interaction, resource_type)]


def field_problems(headers: Headers, interaction: str | None, resource_type: str) -> Iterator[str]:
    """Return the problems of all headers but ``Authorization`` (HDR-2 to HDR-5)."""
    yield from _asid_problems(headers)
    yield from _interaction_id_problems(headers, interaction, resource_type, _access(interaction))
    yield from _trace_id_problems(headers)


def _access(interaction: str | None) -> str:
    return "write" if interaction in WRITES else "read"


def authorization_problems(
    headers: Headers, interaction: str | None, resource_type: str, now: datetime
) -> Iterator[str]:
    """Return the problems of ``Authorization`` and its token (HDR-1)."""
    access = _access(interaction)
    scheme, _, token = (headers.get("Authorization") or "").partition(" ")
    if not token:
        yield "Authorization is missing; send Bearer and a token." if not scheme else "Authorization is not of Bearer."
        return

    try:
        decoded = jwt.decode_complete(token.strip(), options={"verify_signature": False})
    except (jwt.InvalidTokenError, RecursionError):
        yield "Authorization does not carry a JWT: three parts in base64url, joined by dots."
        return

    if scheme.lower() != "bearer":
        yield "Authorization is not of Bearer."
    if decoded["header"].get("alg") != "none" or decoded["signature"]:
        yield 'the token in Authorization is signed; Spine takes an unsigned one, "alg": "none".'

    claims = decoded["payload"]
    missing = [name for name in _CLAIMS if claims.get(name) in (None, "")]
    if missing:
        yield f"the token in Authorization lacks {', '.join(missing)}."
        return

    yield from _lifetime_problems(claims, now)

    system, sender = claims["requesting_system"], headers.get("fromASID")
    if _ASID.fullmatch(sender or "") and system != f"{ASID_SYSTEM}{sender}":
        yield f"requesting_system of the token does not agree with fromASID; it is to be {ASID_SYSTEM}{sender}."
    # The guide contradicts itself on the token of a citizen, whose sub is the requesting_patient; it is accepted (W).
    if claims["sub"] not in (claims.get("requesting_user", system), claims.get("requesting_patient")):
        yield (
            "sub of the token is not its requesting_user (without one, its requesting_system), "
            "nor its requesting_patient."
        )
    if claims["reason_for_request"] not in REASONS:
        yield f"reason_for_request of the token is none of {', '.join(REASONS)}."
    # An interaction that is not offered needs no scope: it is answered 501.
    if interaction and not _scope_allows(claims["scope"], resource_type, access):
        yield f"scope of the token does not allow to {access} here; patient/*.{access} would."


def _lifetime_problems(claims: dict[str, Any], now: datetime) -> Iterator[str]:
    issued, expires = claims["iat"], claims["exp"]
    if not all(isinstance(moment, int) and not isinstance(moment, bool) for moment in (issued, expires)):
        yield "iat and exp of the token in Authorization are not whole seconds."
    elif expires <= now.timestamp():
        yield "the token in Authorization has expired."
    elif issued > now.timestamp() + SKEW_SECONDS:
        yield "the token in Authorization was issued in the future."
    elif not 0 < expires - issued <= TOKEN_SECONDS:
        yield f"the token in Authorization is good for {expires - issued} s; it may be {TOKEN_SECONDS} at most."


def _scope_allows(scope: object, resource_type: str, access: str) -> bool:
    grants = map(_SCOPE.fullmatch, scope.split()) if isinstance(scope, str) else ()
    return any(
        grant and grant["access"] in (access, "*") and (grant["type"] in ("*", resource_type) or not resource_type)
        for grant in grants
    )


def _asid_problems(headers: Headers) -> Iterator[str]:
    for name in ("fromASID", "toASID"):
        value = headers.get(name)
        if value is None:
            yield f"{name} is missing; send the twelve digits of an accredited system."
        elif not _ASID.fullmatch(value):
            yield f"{name} is {quoted(value)}, which is not the twelve digits of an accredited system."


def _interaction_id_problems(
    headers: Headers, interaction: str | None, resource_type: str, access: str
) -> Iterator[str]:
    value = headers.get("InteractionID")
    parts = _INTERACTION_ID.fullmatch(value or "")
    example = f"urn:nhs:names:services:raflags:{resource_type or 'Flag'}.{access}:1"

    if value is None:
        yield f"InteractionID is missing; send one such as {example}."
    elif parts is None:
        yield f"InteractionID is {quoted(value)}; it has the form {example}."
    elif interaction and parts["access"] != access:
        yield f"InteractionID is {value}, but this request is a {access}."
    elif interaction and resource_type and parts["type"] != resource_type:
        yield f"InteractionID is {value}, but the resource is a {resource_type}."


def _trace_id_problems(headers: Headers) -> Iterator[str]:
    value = headers.get("TraceID")
    if value is None:
        yield "TraceID is missing; send a new UUID with every request."
    elif not _UUID.fullmatch(value):
        yield f"TraceID is {quoted(value)}, which is not a UUID."
