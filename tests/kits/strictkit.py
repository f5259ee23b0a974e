"""The header fields of a client that does as a live Spine wants, with a token just made."""

import time
import uuid
from typing import Any

import jwt

SENDER = "200000000115"
SYSTEM = f"https://fhir.nhs.uk/Id/accredited-system|{SENDER}"


def spine_fields(name: str, *, at: float | None = None, **claims: Any) -> dict[str, str]:
    """Everything right for an interaction, written ``List.write``."""
    now = int(time.time() if at is None else at)
    said = {
        "iss": "https://client.example",
        "sub": SYSTEM,
        "aud": "https://spine.example/STU3",
        "exp": now + 300,
        "iat": now,
        "reason_for_request": "directcare",
        "scope": "patient/*.read patient/*.write",
        "requesting_system": SYSTEM,
    }
    return {
        "Authorization": f"Bearer {jwt.encode(said | claims, key=None, algorithm='none')}",
        "fromASID": SENDER,
        "toASID": "999999999999",
        "InteractionID": f"urn:nhs:names:services:raflags:{name}:1",
        "TraceID": str(uuid.uuid4()),
    }
