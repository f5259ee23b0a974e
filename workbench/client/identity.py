"""As whom a live Spine is spoken to: the five header fields of each request, the token among them (HDR-1 to HDR-5).

Owns: making them. What they must say stands in ``rules.spine_headers``, and what is made here is checked
against it. The token is an unsigned JWT (``alg: none``; RFC 7519, section 6), minted for one request and good for
five minutes. Time and ids are handed in.
"""

from __future__ import annotations

import string
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from workbench.client.secret import SecretText, concealing
from workbench.clock import Clock, wall_clock
from workbench.errors import BadInput
from workbench.exchange.message import Headers
from workbench.fhir.resource import RESOURCE_TYPE

WRITES: Final = frozenset({"create", "update", "delete", "patch"})

TEMPLATE: Final = "urn:nhs:names:services:raflags:{resource_type}.{access}:1"
"""The InteractionID of the guide's own service; another service has its own name in the place of ``raflags``."""

SHOWN: Final = frozenset({"InteractionID", "TraceID"})
"""What a record keeps of the fields: which interaction it was, and what a service desk finds a request by."""


def new_trace_id() -> str:
    """A fresh UUID."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class FreshId:
    """The value of a header field that is a new id for each request, such as ``X-Request-ID`` and ``X-Correlation-ID``.

    All attempts of one update have the same id, and it is recorded, since a service desk asks for it.

    >>> FreshId(lambda: "60e0b220-8136-4ca5-ae46-1d97ef59d068")()
    '60e0b220-8136-4ca5-ae46-1d97ef59d068'
    """

    new_id: Callable[[], str] = field(default=new_trace_id, repr=False)

    def __call__(self) -> str:
        """Make an id."""
        return self.new_id()


@concealing
@dataclass(frozen=True, slots=True, repr=False)
class SpineIdentity:
    """Who asks a live Spine, and of whom.

    ``from_asid`` and ``to_asid``: twelve digits each. ``issuer`` (``iss``) is who makes the tokens, ``audience``
    (``aud``) whom they are for. ``organization`` and ``user`` are the claims of a professional, written out as the
    token carries them. ``scope`` and ``interaction_id`` are templates of ``{resource_type}``, ``{access}`` (read
    or write) and ``{interaction}`` (read, update, search-type, …).

    Raises ``BadInput`` for what a live Spine would refuse.
    """

    from_asid: str
    to_asid: str
    issuer: str
    audience: str
    reason: str = "directcare"
    organization: str = ""
    user: str = ""
    scope: str = "patient/*.{access}"
    interaction_id: str = TEMPLATE
    clock: Clock = wall_clock
    new_id: Callable[[], str] = new_trace_id

    def __post_init__(self) -> None:
        from workbench.exchange.spine import header_problems

        for name in ("scope", "interaction_id"):  # no secrets
            object.__setattr__(self, name, str(getattr(self, name)))
        for template in (self.scope, self.interaction_id):
            _check_template(template)
        for interaction, resource_type in (("read", "List"), ("update", "Flag")):
            sample = self._fields(interaction, resource_type, _SAMPLE, _SAMPLE_ID)
            if problems := header_problems(Headers(sample), interaction, resource_type, _SAMPLE):
                raise BadInput(f"A live Spine would refuse this identity: {problems[0]}")

    def fields(self, interaction: str, resource_type: str) -> dict[str, str]:
        """The fields of one request, freshly made: they serve this request and no other."""
        return self._fields(interaction, resource_type, self.clock(), self.new_id())

    def interaction_id_of(self, interaction: str, resource_type: str) -> str:
        """The InteractionID; what is about no type (the CapabilityStatement) has one of its own."""
        return self._filled(self.interaction_id, interaction, resource_type)

    def _filled(self, template: str, interaction: str, resource_type: str) -> str:
        access = "write" if interaction in WRITES else "read"
        about = resource_type if RESOURCE_TYPE.fullmatch(resource_type) else "CapabilityStatement"
        return template.format(resource_type=about, access=access, interaction=interaction)

    def _fields(self, interaction: str, resource_type: str, now: datetime, trace_id: str) -> dict[str, str]:
        import jwt  # brings a cryptography library along, which only a live Spine is to wait for

        claims = self._claims(interaction, resource_type, now)
        return {
            "Authorization": SecretText(f"Bearer {jwt.encode(claims, key='', algorithm='none')}"),
            "fromASID": self.from_asid,
            "toASID": self.to_asid,
            "InteractionID": self.interaction_id_of(interaction, resource_type),
            "TraceID": trace_id,
        }

    def _claims(self, interaction: str, resource_type: str, now: datetime) -> dict[str, Any]:
        from workbench.exchange.spine import ASID_SYSTEM, TOKEN_SECONDS

        issued, system = int(now.timestamp()), SecretText(f"{ASID_SYSTEM}{self.from_asid}")
        claims = {
            "iss": self.issuer,
            "sub": self.user or system,
            "aud": self.audience,
            "exp": issued + TOKEN_SECONDS,
            "iat": issued,
            "reason_for_request": self.reason,
            "scope": self._filled(self.scope, interaction, resource_type),
            "requesting_system": system,
        }
        further = {"requesting_organization": self.organization, "requesting_user": self.user}
        return claims | {name: value for name, value in further.items() if value}

    def __repr__(self) -> str:
        return f"SpineIdentity(interaction_id={str(getattr(self, 'interaction_id', ''))!r})"


_SAMPLE: Final = datetime(2018, 5, 25, tzinfo=UTC)
_SAMPLE_ID: Final = str(uuid.UUID(int=0))
_PLACES: Final = frozenset({"resource_type", "access", "interaction"})


def _check_template(template: str) -> None:
    try:
        places = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError:
        places = {template}
    if not places <= _PLACES:
        raise BadInput(
            f"The template {template!r} cannot be filled in; it may hold {{{'}, {'.join(sorted(_PLACES))}}}."
        )
