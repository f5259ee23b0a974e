"""As whom a live Spine is spoken to: what is minted is what strict mode's own rules take, and nothing longer-lived."""

from __future__ import annotations

import pickle
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import BadInput, Client, Connection, Endpoint, SpineIdentity, Verdict
from workbench.client.connection import RateLimit
from workbench.exchange.message import Headers
from workbench.exchange.spine import header_problems

NOW = datetime(2026, 3, 1, 12, 0, 0, 900_000, tzinfo=UTC)
WHO = {
    "from_asid": "200000000115",
    "to_asid": "999999999999",
    "issuer": "https://client.example",
    "audience": "https://spine.example/STU3",
}
PERSON = "https://fhir.nhs.uk/Id/sds-role-profile-id|4387293874928"
LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"


def identity(**more: Any) -> SpineIdentity:
    return SpineIdentity(**WHO | {"clock": lambda: NOW} | more)


@given(
    interaction=st.sampled_from(["read", "search-type", "create", "update", "delete", "capabilities"]),
    resource_type=st.sampled_from(["List", "Flag", "Patient", "AllergyIntolerance"]),
    user=st.sampled_from(["", PERSON]),
    now=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),
    late=st.integers(-59, 299),
)
def test_the_header_fields_are_valid_for_a_live_spine(
    interaction: str, resource_type: str, user: str, now: datetime, late: int
) -> None:
    moment = now.replace(tzinfo=UTC)
    about = "" if interaction == "capabilities" else resource_type
    fields = Headers(identity(user=user, clock=lambda: moment).fields(interaction, about))
    there = moment.replace(microsecond=0) + timedelta(seconds=late)
    assert header_problems(fields, interaction, about, there) == []
    over = moment.replace(microsecond=0) + timedelta(seconds=300)
    assert header_problems(fields, interaction, about, over) != [], "good for five minutes"


def test_the_token_to_the_letter() -> None:
    fields = identity(user=PERSON, organization="https://fhir.nhs.uk/Id/ods-organization-code|X26").fields(
        "update", "Flag"
    )
    token = fields["Authorization"].removeprefix("Bearer ")
    assert token.endswith("."), "no signature"
    assert jwt.get_unverified_header(token) == {"alg": "none", "typ": "JWT"}
    system = "https://fhir.nhs.uk/Id/accredited-system|200000000115"
    assert jwt.decode(token, options={"verify_signature": False}) == {
        "iss": "https://client.example",
        "sub": PERSON,
        "aud": "https://spine.example/STU3",
        "iat": 1772366400,
        "exp": 1772366700,
        "reason_for_request": "directcare",
        "scope": "patient/*.write",
        "requesting_system": system,
        "requesting_organization": "https://fhir.nhs.uk/Id/ods-organization-code|X26",
        "requesting_user": PERSON,
    }
    assert fields["InteractionID"] == "urn:nhs:names:services:raflags:Flag.write:1"
    assert (fields["fromASID"], fields["toASID"]) == ("200000000115", "999999999999")


def test_every_request_has_its_own_trace_id() -> None:
    who = identity()
    assert len({who.fields("read", "List")["TraceID"] for _ in range(50)}) == 50
    assert identity(new_id=lambda: "0" * 8 + "-0000" * 3 + "-" + "0" * 12).fields("read", "List")["TraceID"][0] == "0"


WRONG = {
    "an ASID too short": ({"from_asid": "2000"}, "fromASID"),
    "the other ASID too short": ({"to_asid": ""}, "toASID"),
    "no issuer": ({"issuer": ""}, "lacks iss"),
    "a reason of their own": ({"reason": "curiosity"}, "reason_for_request"),
    "a scope that does not write": ({"scope": "patient/*.read"}, "scope"),
    "an InteractionID of no form": ({"interaction_id": "urn:mine"}, "InteractionID"),
    "a place that is not known": ({"interaction_id": "urn:{planet}"}, "may hold {access}, {interaction}"),
    "half a place": ({"interaction_id": "urn:{access"}, "cannot be filled in"),
}


@pytest.mark.parametrize(("more", "words"), WRONG.values(), ids=WRONG)
def test_an_identity_that_a_live_spine_would_refuse(more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        identity(**more)
    assert words in str(refused.value)


def test_it_speaks_to_a_strict_endpoint_and_travels_to_another_process() -> None:
    with Endpoint.start(strict=True) as spine:
        connection = Connection(identity=SpineIdentity(**WHO))
        there = pickle.loads(pickle.dumps(connection))
        assert there == connection
        client = Client(spine.base_url, connection=there)
        read = client.read("List", LIST)
        assert (read.verdict, client.update(read.resource).verdict) == (Verdict.READ, Verdict.UPDATED)
        assert client.capabilities().status == client.search("List").status == 200
        assert Client(spine.base_url).read("List", LIST).status == 400
    assert read.request.headers["InteractionID"] == "urn:nhs:names:services:raflags:List.read:1"
    shown = {name: read.request.headers[name] for name in ("Authorization", "fromASID", "toASID")}
    assert set(shown.values()) == {"***"}


def test_a_preview_makes_no_token_and_asks_for_no_secret() -> None:
    def never() -> str:
        raise AssertionError("asked for a preview")

    resource = {"resourceType": "List", "id": "1"}
    minted = Client("http://127.0.0.1:9/STU3", connection=Connection(identity=identity(clock=lambda: never())))  # type: ignore[arg-type, return-value]
    preview = minted.preview_update(resource, if_match=None).headers
    assert (preview["Authorization"], preview["TraceID"]) == ("***", "(a new one)")
    assert preview["InteractionID"] == "urn:nhs:names:services:raflags:List.write:1"
    asked = Client("http://127.0.0.1:9/STU3", connection=Connection(token=never, headers={"X-Pass": never}))
    preview = asked.preview_update(resource, if_match=None).headers
    assert (preview["Authorization"], preview["X-Pass"]) == ("***", "***")


BOTH = {
    "token and identity": {"token": lambda: "t", "identity": identity()},
    "token and header": {"token": lambda: "t", "headers": {"authorization": "x"}},
    "a token that is text": {"token": "planted-token"},
    "a passphrase that is text": {"passphrase": "planted-pass"},
    "a password without a proxy": {"proxy_auth": ("me", lambda: "p")},
    "a password that is text": {"proxy": "http://h:1", "proxy_auth": ("me", "planted")},
    "a proxy with its password": {"proxy": "http://me:planted@h:1"},
    "a proxy of another kind": {"proxy": "socks5://h:1"},
    "no rate": {"rate_limit": 0},
    "a rate that is not a number": {"rate_limit": float("nan")},
}


@pytest.mark.parametrize("settings", BOTH.values(), ids=BOTH)
def test_contradicting_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as refused:
        Connection(**settings)
    assert str(refused.value).endswith(".")
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("token", ["", None, 7])
def test_a_missing_token_is_reported(token: Any) -> None:
    client = Client("http://127.0.0.1:9/STU3", connection=Connection(token=lambda: token))
    with pytest.raises(BadInput, match="gave none"):
        client.read("List", "1")
    assert len(client.journal) == 0


# --- the rate limit ---


def test_the_rate_limit_lets_one_through_each_interval() -> None:
    now, waits = [100.0], []

    def wait(seconds: float) -> None:
        waits.append(round(seconds, 6))
        now[0] += seconds

    limit = RateLimit(4, clock=lambda: now[0], wait=wait)
    for _ in range(3):
        limit.wait()
    now[0] += 10
    limit.wait()
    assert waits == [0.25, 0.25], "the first goes at once, and so does a late one"


def test_the_rate_limit_is_shared_by_all_clients_of_a_connection(spine: Endpoint) -> None:
    waits: list[float] = []
    turn = threading.Lock()

    def wait(seconds: float) -> None:
        with turn:
            waits.append(seconds)

    connection = Connection(rate_limit=RateLimit(1, clock=lambda: 0.0, wait=wait))
    clients = [Client(spine.base_url, connection=connection) for _ in range(4)]
    threads = [threading.Thread(target=client.read, args=("List", LIST)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [1.0, 2.0, 3.0]
    assert isinstance(pickle.loads(pickle.dumps(connection)).rate_limit, RateLimit)
