"""The header fields a live Spine demands of every request (HDR-1 to HDR-5): who asks, of whom, and for what.

Owns: what each field must say and how they must agree with one another. Spine's token is an unsigned JWT
(``alg: none``; RFC 7519, section 6): mutual TLS vouches for the sender, the token only says who they are.
Must not know the time: it is handed in, so that a lesson's clock decides what has expired. What a token
says is never quoted: an answer ends up in journals, and a token is a credential.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import jwt

from workbench.exchange.message import Headers
from workbench.fhir.printable import quoted

TOKEN_SECONDS: Final = 300
"""How long a token may be good for, from ``iat`` to ``exp``."""

SKEW_SECONDS: Final = 60
"""How far ahead the sender's clock may be (W)."""

ASID_SYSTEM: Final = "https://fhir.nhs.uk/Id/accredited-system|"
"""What stands before the ASID in a token's ``requesting_system``."""

REASONS: Final = ("directcare", "secondaryuses", "patientaccess")

_CLAIMS: Final = ("iss", "sub", "aud", "exp", "iat", "reason_for_request", "scope", "requesting_system")
_ASID = re.compile(r"[0-9]{12}")
_INTERACTION = re.compile(r"urn:nhs:names:services:[A-Za-z0-9]+:([A-Za-z]+)\.(read|write):[0-9]+")
_SCOPE = re.compile(r"(?:patient|user)/([A-Za-z]+|\*)\.(read|write|\*)")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_WRITES: Final = frozenset({"create", "update", "delete"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is for: the interaction (``None``: none that is offered), the type, and the time now."""

    interaction: str | None
    resource_type: str
    now: datetime

    @property
    def access(self) -> str:
        """``read`` or ``write``."""
        return "write" if self.interaction in _WRITES else "read"


def header_problems(headers: Headers, asked: Asked) -> list[str]:
    """Return one sentence for each header field that a live Spine would refuse; empty where it would refuse none."""
    return [problem for check in _CHECKS for problem in check(headers, asked)]


def _authorization(headers: Headers, asked: Asked) -> Iterator[str]:
    scheme, _, token = (headers.get("Authorization") or "").partition(" ")
    if not token:
        yield "Authorization is missing; send Bearer and a token." if not scheme else "Authorization is not of Bearer."
        return
    try:
        read = jwt.decode_complete(token.strip(), options={"verify_signature": False})
    except (jwt.InvalidTokenError, RecursionError):
        yield "Authorization does not carry a JWT: three parts in base64url, joined by dots."
        return
    if scheme.lower() != "bearer":
        yield "Authorization is not of Bearer."
    if read["header"].get("alg") != "none" or read["signature"]:
        yield 'the token in Authorization is signed; Spine takes an unsigned one, "alg": "none".'
    claims = read["payload"]
    absent = [name for name in _CLAIMS if claims.get(name) in (None, "")]
    if absent:
        yield f"the token in Authorization lacks {', '.join(absent)}."
        return
    yield from _lifetime(claims, asked.now)
    yield from _agreement(claims, headers, asked)


def _lifetime(claims: dict[str, Any], now: datetime) -> Iterator[str]:
    issued, expires = claims["iat"], claims["exp"]
    if not all(isinstance(moment, int) and not isinstance(moment, bool) for moment in (issued, expires)):
        yield "iat and exp of the token in Authorization are not whole seconds."
    elif expires <= now.timestamp():
        yield "the token in Authorization has expired."
    elif issued > now.timestamp() + SKEW_SECONDS:
        yield "the token in Authorization was issued in the future."
    elif not 0 < expires - issued <= TOKEN_SECONDS:
        yield f"the token in Authorization is good for {expires - issued} s; it may be {TOKEN_SECONDS} at most."


def _agreement(claims: dict[str, Any], headers: Headers, asked: Asked) -> Iterator[str]:
    system, sender = claims["requesting_system"], headers.get("fromASID")
    if _ASID.fullmatch(sender or "") and system != f"{ASID_SYSTEM}{sender}":
        yield f"requesting_system of the token does not agree with fromASID; it is to be {ASID_SYSTEM}{sender}."
    if claims["sub"] != claims.get("requesting_user", system):
        yield "sub of the token is neither its requesting_user nor, without one, its requesting_system."
    if claims["reason_for_request"] not in REASONS:
        yield f"reason_for_request of the token is none of {', '.join(REASONS)}."
    # What is not offered needs no right: it is answered 501.
    if asked.interaction and not _allows(claims["scope"], asked):
        yield f"scope of the token does not allow to {asked.access} here; patient/*.{asked.access} would."


def _allows(scope: object, asked: Asked) -> bool:
    granted = map(_SCOPE.fullmatch, scope.split()) if isinstance(scope, str) else ()
    return any(
        found
        and found[2] in (asked.access, "*")
        and (found[1] in ("*", asked.resource_type) or not asked.resource_type)
        for found in granted
    )


def _asids(headers: Headers, _asked: Asked) -> Iterator[str]:
    for name in ("fromASID", "toASID"):
        value = headers.get(name)
        if value is None:
            yield f"{name} is missing; send the twelve digits of an accredited system."
        elif not _ASID.fullmatch(value):
            yield f"{name} is {quoted(value)}, which is not the twelve digits of an accredited system."


def _interaction_id(headers: Headers, asked: Asked) -> Iterator[str]:
    value = headers.get("InteractionID")
    found = _INTERACTION.fullmatch(value or "")
    shape = f"urn:nhs:names:services:raflags:{asked.resource_type or 'Flag'}.{asked.access}:1"
    if value is None:
        yield f"InteractionID is missing; send one such as {shape}."
    elif found is None:
        yield f"InteractionID is {quoted(value)}; it has the form {shape}."
    elif asked.interaction and found[2] != asked.access:
        yield f"InteractionID is {value}, but this request is a {asked.access}."
    elif asked.interaction and asked.resource_type and found[1] != asked.resource_type:
        yield f"InteractionID is {value}, but the resource is a {asked.resource_type}."


def _trace_id(headers: Headers, _asked: Asked) -> Iterator[str]:
    value = headers.get("TraceID")
    if value is None:
        yield "TraceID is missing; send a new UUID with every request."
    elif not _UUID.fullmatch(value):
        yield f"TraceID is {quoted(value)}, which is not a UUID."


_CHECKS: Final[tuple[Callable[[Headers, Asked], Iterator[str]], ...]] = (
    _authorization,
    _asids,
    _interaction_id,
    _trace_id,
)
