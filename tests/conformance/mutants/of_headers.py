"""Mutants in strict mode: endpoints that do not look at a header field that a live Spine demands (HDR)."""

import time
import uuid

import jwt
from faulty import MUTANTS, Answer, Mutant, Real, accepted, with_headers

from workbench.endpoint.settings import ASID
from workbench.exchange.message import Request, Response

SENDER = "200000000115"
KIND = "List"


def reading_fields() -> dict[str, str]:
    """What a live Spine wants of a read, so that a check is heard at all."""
    now = int(time.time())
    system = f"https://fhir.nhs.uk/Id/accredited-system|{SENDER}"
    claims = {
        "iss": "https://a-test.example",
        "sub": system,
        "aud": "https://clinicals.spineservices.nhs.uk",
        "exp": now + 300,
        "iat": now,
        "reason_for_request": "directcare",
        "scope": "patient/*.read",
        "requesting_system": system,
    }
    return {
        "Authorization": f"Bearer {jwt.encode(claims, None, algorithm='none')}",
        "fromASID": SENDER,
        "toASID": ASID,
        "InteractionID": f"urn:nhs:names:services:raflags:{KIND}.read:1",
        "TraceID": str(uuid.uuid4()),
    }


def lax(name: str, meant: str, says: str, field: str) -> None:
    """A mutant that demands every field but this one, and does not look at it."""

    def make(real: Real) -> Answer:
        right = reading_fields()[field]

        def answer(request: Request) -> Response:
            response = real.answer(request)
            if accepted(response):
                return response
            return real.answer(with_headers(request, **{field: right})) if _names_all_but(request, field) else response

        return answer

    MUTANTS[name] = Mutant(name, meant, says, make, connects_with=reading_fields)


def _names_all_but(request: Request, field: str) -> bool:
    return all(request.headers.get(name) is not None for name in reading_fields() if name != field)


lax("no token needed", "authorization-demanded", "Authorization is not looked at", "Authorization")
lax("any sender", "from-asid-demanded", "fromASID is not looked at", "fromASID")
lax("any receiver", "to-asid-demanded", "toASID is not looked at", "toASID")
lax("any interaction", "interaction-id-demanded", "InteractionID is not looked at", "InteractionID")
lax("no trace", "trace-id-demanded", "TraceID is not looked at", "TraceID")
