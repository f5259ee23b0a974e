"""What a live Spine wants in a request's head: every field right, and then each of them wrong in every way."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from workbench.exchange.message import Headers
from workbench.exchange.spine import header_problems

NOW = datetime(2018, 5, 25, 16, 10, tzinfo=UTC)
ISSUED = int(NOW.timestamp())
ASID = "999999999999"
SENDER = "200000000115"
SYSTEM = f"https://fhir.nhs.uk/Id/accredited-system|{SENDER}"
USER = "https://fhir.nhs.uk/Id/sds-role-profile-id|999999999999"
PATIENT = "https://fhir.nhs.uk/Id/nhs-number|9990000018"
Purpose = tuple[str | None, str, datetime]
"""Interaction, resource type, and the time now."""

UPDATE: Purpose = ("update", "List", NOW)

CLAIMS: dict[str, Any] = {
    "iss": "https://client.example",
    "sub": SYSTEM,
    "aud": "https://spine.example/STU3",
    "exp": ISSUED + 300,
    "iat": ISSUED,
    "reason_for_request": "directcare",
    "scope": "patient/*.write",
    "requesting_system": SYSTEM,
}


def token(key: str | None = None, **changed: Any) -> str:
    """A token with these claims changed; ``...`` leaves one out."""
    claims = {name: value for name, value in (CLAIMS | changed).items() if value is not ...}
    return jwt.encode(claims, key=key, algorithm="HS256" if key else "none")


def headers(**changed: str | None) -> Headers:
    """A head with everything right but what is given; ``None`` leaves a field out."""
    fields: dict[str, str | None] = {
        "Authorization": f"Bearer {token()}",
        "fromASID": SENDER,
        "toASID": ASID,
        "InteractionID": "urn:nhs:names:services:raflags:List.write:1",
        "TraceID": "629ea9ba-a077-4d99-b289-7a9b19fd4e03",
    }
    return Headers({name: value for name, value in (fields | changed).items() if value is not None})


RIGHT = [
    (headers(), UPDATE),
    (headers(), ("create", "List", NOW)),
    (headers(), ("delete", "List", NOW)),
    (headers(Authorization=f"bearer {token()}"), UPDATE),
    (headers(Authorization=f"Bearer {token(sub=USER, requesting_user=USER)}"), UPDATE),
    # A citizen's token: the subject is the patient.
    (headers(Authorization=f"Bearer {token(sub=PATIENT, requesting_patient=PATIENT)}"), UPDATE),
    (headers(Authorization=f"Bearer {token(sub=PATIENT, requesting_patient=PATIENT, requesting_user=USER)}"), UPDATE),
    (headers(Authorization=f"Bearer {token(requesting_patient=PATIENT)}"), UPDATE),
    (headers(Authorization=f"Bearer {token(scope='user/Flag.read patient/List.*')}"), UPDATE),
    (headers(Authorization=f"Bearer {token(iat=ISSUED - 200, exp=ISSUED + 1)}"), UPDATE),
    (headers(Authorization=f"Bearer {token(iat=ISSUED + 60, exp=ISSUED + 360)}"), UPDATE),
    (headers(TraceID="629EA9BA-A077-4D99-B289-7A9B19FD4E03"), UPDATE),
    (headers(), (None, "", NOW)),
    (
        headers(
            Authorization=f"Bearer {token(scope='patient/*.read')}",
            InteractionID="urn:nhs:names:services:raflags:Anything.read:1",
        ),
        ("capabilities", "", NOW),
    ),
]


@pytest.mark.parametrize(("given", "asked"), RIGHT)
def test_valid_headers_have_no_problem(given: Headers, asked: Purpose) -> None:
    assert header_problems(given, *asked) == []


def problems(given: Headers, asked: Purpose = UPDATE) -> str:
    found = header_problems(given, *asked)
    assert found
    return " ".join(found)


NESTED = "e30." + base64.urlsafe_b64encode(b"[" * 30_000).decode().rstrip("=") + "."

WRONG = {
    "no Authorization": (headers(Authorization=None), "Authorization is missing"),
    "another scheme": (headers(Authorization=f"Basic {token()}"), "Authorization is not of Bearer"),
    "no token": (headers(Authorization="Bearer"), "Authorization is not of Bearer"),
    "not a token": (headers(Authorization="Bearer abc"), "does not carry a JWT"),
    "not base64": (headers(Authorization="Bearer a!.b!."), "does not carry a JWT"),
    "a list": (headers(Authorization="Bearer e30.W10."), "does not carry a JWT"),
    "nested deep": (headers(Authorization=f"Bearer {NESTED}"), "does not carry a JWT"),
    "signed": (headers(Authorization=f"Bearer {token(key='k' * 32)}"), "is signed"),
    "signed in name only": (headers(Authorization=f"Bearer {token()}AAAA"), "is signed"),
    "expired": (headers(Authorization=f"Bearer {token(iat=ISSUED - 300, exp=ISSUED)}"), "has expired"),
    "from the future": (headers(Authorization=f"Bearer {token(iat=ISSUED + 61, exp=ISSUED + 361)}"), "in the future"),
    "too long": (headers(Authorization=f"Bearer {token(exp=ISSUED + 301)}"), "good for 301 s"),
    "expires before it is issued": (
        headers(Authorization=f"Bearer {token(iat=ISSUED + 30, exp=ISSUED + 20)}"),
        "good for -10 s",
    ),
    "times in words": (headers(Authorization=f"Bearer {token(exp=True)}"), "not whole seconds"),
    "a fraction": (headers(Authorization=f"Bearer {token(exp=ISSUED + 1.5)}"), "not whole seconds"),
    "another system": (headers(fromASID="200000000116"), "requesting_system"),
    "another subject": (headers(Authorization=f"Bearer {token(sub='somebody')}"), "sub of the token"),
    "a user who is not the subject": (headers(Authorization=f"Bearer {token(requesting_user=USER)}"), "sub of"),
    "a patient who is not the subject": (
        headers(Authorization=f"Bearer {token(sub=USER, requesting_patient=PATIENT)}"),
        "nor its requesting_patient",
    ),
    "another reason": (headers(Authorization=f"Bearer {token(reason_for_request='curiosity')}"), "reason_for_request"),
    "may only read": (headers(Authorization=f"Bearer {token(scope='patient/*.read')}"), "scope"),
    "may write another type": (headers(Authorization=f"Bearer {token(scope='patient/Flag.write')}"), "scope"),
    "not a scope": (headers(Authorization=f"Bearer {token(scope='everything')}"), "scope"),
    "a scope that is no text": (headers(Authorization=f"Bearer {token(scope=['patient/*.write'])}"), "scope"),
    "no fromASID": (headers(fromASID=None), "fromASID is missing"),
    "a short fromASID": (headers(fromASID="20000000011"), "fromASID is '20000000011'"),
    "no toASID": (headers(toASID=None), "toASID is missing"),
    "a toASID in letters": (headers(toASID="spine"), "toASID is 'spine'"),
    "other digits": (headers(toASID="٩" * 12), "toASID"),
    "no InteractionID": (headers(InteractionID=None), "InteractionID is missing"),
    "not an InteractionID": (headers(InteractionID="List.write"), "it has the form"),
    "an InteractionID to read": (
        headers(InteractionID="urn:nhs:names:services:raflags:List.read:1"),
        "but this request is a write",
    ),
    "an InteractionID of another type": (
        headers(InteractionID="urn:nhs:names:services:raflags:Flag.write:1"),
        "but the resource is a List",
    ),
    "no TraceID": (headers(TraceID=None), "TraceID is missing"),
    "not a TraceID": (headers(TraceID="1"), "TraceID is '1'"),
    "two TraceIDs": (Headers([*headers().items(), ("TraceID", "629ea9ba-a077-4d99-b289-7a9b19fd4e03")]), "TraceID is"),
}


@pytest.mark.parametrize(("given", "words"), WRONG.values(), ids=WRONG)
def test_each_problem_has_a_sentence(given: Headers, words: str) -> None:
    assert words in problems(given)


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("value", [..., ""])
def test_every_claim_is_needed(claim: str, value: Any) -> None:
    assert f"lacks {claim}." in problems(headers(Authorization=f"Bearer {token(**{claim: value})}"))


def test_each_wrong_field_has_its_own_issue() -> None:
    named = [problem.split()[0] for problem in header_problems(Headers(), *UPDATE)]
    assert named == ["Authorization", "fromASID", "toASID", "InteractionID", "TraceID"]


def test_no_claim_of_a_token_is_quoted() -> None:
    planted = "planted-secret"
    for claim in CLAIMS:
        given = headers(Authorization=f"Bearer {token(**{claim: planted})}")
        assert planted not in str(header_problems(given, *UPDATE))


def test_time_is_an_argument() -> None:
    later = ("update", "List", NOW + timedelta(seconds=301))
    assert "has expired" in problems(headers(), later)
