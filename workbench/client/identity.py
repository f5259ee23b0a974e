"""Who asks: the header fields that a live Spine and the NHS API Platform require of each request; and fresh ids.

* ``SpineIdentity``: contract HDR-1 to HDR-5. ``exchange.spine`` says what the fields must hold; an identity is
  checked against it when it is made. The token is an unsigned JWT (``alg: none``; RFC 7519, section 6), made for
  one request and valid for five minutes.
* ``platform_identity``: an OAuth2 bearer token (RFC 6750), and two ids that a service desk asks for.
"""

from __future__ import annotations

import string
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from workbench.client.secret import Secret, SecretText, conceal_arguments
from workbench.clock import Clock, wall_clock
from workbench.errors import BadInput
from workbench.exchange.message import Headers
from workbench.fhir.resource import RESOURCE_TYPE


def new_trace_id() -> str:
    """Return a new UUID."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class FreshId:
    """A header value that is a new id for each request, such as ``X-Request-ID``.

    All attempts of one update have the same id. It is recorded, because a service desk asks for it.

    >>> FreshId(lambda: "60e0b220-8136-4ca5-ae46-1d97ef59d068")()
    '60e0b220-8136-4ca5-ae46-1d97ef59d068'
    """

    new_id: Callable[[], str] = field(default=new_trace_id, repr=False)

    def __call__(self) -> str:
        """Return a new id."""
        return self.new_id()


@conceal_arguments
@dataclass(frozen=True, slots=True, repr=False)
class SpineIdentity:
    """The identity that a live Spine requires: who asks, and of which system.

    ``from_asid`` and ``to_asid`` (accredited-system ids) have twelve digits. ``issuer`` and ``audience`` are the
    token's ``iss`` and ``aud``. ``organization`` and ``user`` are the claims ``requesting_organization`` and
    ``requesting_user`` of a professional. ``scope`` and ``interaction_id`` are templates with
    ``{resource_type}``, ``{access}`` (read or write) and ``{interaction}`` (read, update, search-type, …).
    The default InteractionID is that of the guide's service, ``raflags``.

    Raises ``BadInput`` for an identity that a live Spine would reject.
    """

    from_asid: str
    to_asid: str
    issuer: str
    audience: str
    reason: str = "directcare"
    organization: str = ""
    user: str = ""
    scope: str = "patient/*.{access}"
    interaction_id: str = "urn:nhs:names:services:raflags:{resource_type}.{access}:1"
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
        """Return the header fields of one request, with a new token and TraceID."""
        return self._fields(interaction, resource_type, self.clock(), self.new_id())

    def interaction_id_of(self, interaction: str, resource_type: str) -> str:
        """Return the InteractionID; a request about no type is for the CapabilityStatement."""
        return self._filled(self.interaction_id, interaction, resource_type)

    def _filled(self, template: str, interaction: str, resource_type: str) -> str:
        from workbench.exchange.spine import WRITES

        access = "write" if interaction in WRITES else "read"
        about = resource_type if RESOURCE_TYPE.fullmatch(resource_type) else "CapabilityStatement"
        return template.format(resource_type=about, access=access, interaction=interaction)

    def _fields(self, interaction: str, resource_type: str, now: datetime, trace_id: str) -> dict[str, str]:
        import jwt  # slow to import (cryptography), and only a live Spine needs it

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
        if self.organization:
            claims["requesting_organization"] = self.organization
        if self.user:
            claims["requesting_user"] = self.user
        return {
            "Authorization": SecretText(f"Bearer {jwt.encode(claims, key='', algorithm='none')}"),
            "fromASID": self.from_asid,
            "toASID": self.to_asid,
            "InteractionID": self.interaction_id_of(interaction, resource_type),
            "TraceID": trace_id,
        }

    def __repr__(self) -> str:
        return f"SpineIdentity(interaction_id={str(getattr(self, 'interaction_id', ''))!r})"


def platform_identity(
    token: Secret | None = None, session_urid: Secret | None = None, *, new_id: Callable[[], str] = new_trace_id
) -> dict[str, Any]:
    """Return the settings with which a ``Connection`` meets the NHS API Platform, such as its PDS API.

    ``token`` gives the OAuth2 access token, and ``session_urid`` the role of a user (``NHSD-Session-URID``). Each is
    a function, such as a ``wb.Reference``; neither value is ever recorded. A sandbox needs no token.

    Each request has a new ``X-Request-ID`` and ``X-Correlation-ID``. Both stay the same when an update is sent again
    by ``retry=``, so that the platform recognises the repetition. Both are recorded in clear.
    """
    headers: dict[str, Any] = {"X-Request-ID": FreshId(new_id), "X-Correlation-ID": FreshId(new_id)}
    if session_urid is not None:
        headers["NHSD-Session-URID"] = session_urid
    return {"token": token, "headers": headers}


_SAMPLE: Final = datetime(2018, 5, 25, tzinfo=UTC)
_SAMPLE_ID: Final = str(uuid.UUID(int=0))
_PLACEHOLDERS: Final = frozenset({"resource_type", "access", "interaction"})


def _check_template(template: str) -> None:
    try:
        placeholders = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError:
        placeholders = {template}
    if not placeholders <= _PLACEHOLDERS:
        raise BadInput(
            f"The template {template!r} cannot be filled in; it may hold {{{'}, {'.join(sorted(_PLACEHOLDERS))}}}."
        )
