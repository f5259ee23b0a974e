"""The identity for the NHS API Platform: its header fields, what is recorded of them, and its profile."""

from __future__ import annotations

import itertools
import json
import re
import uuid
from pathlib import Path

import pytest
from stranger import answers, hangs_up, stranger

from workbench import BadInput, Client, Connection, Journal, Retry, Verdict, connect, platform_identity

PATIENT = {"resourceType": "Patient", "id": "9990000001"}
RETRY = Retry(times=2, pause=0)
UPDATED = answers(200, b"", 'ETag: W/"3"')
TOKEN, ROLE = "planted-token-3f1b", "planted-role-555254240100"


def sent(requests: list[bytes], name: str) -> list[str]:
    return [re.findall(rf"(?m)^{name}: (.*?)\r$", each.decode())[0] for each in requests]


def test_its_fields_and_what_is_recorded_of_them(tmp_path: Path) -> None:
    settings = platform_identity(token=lambda: TOKEN, session_urid=lambda: ROLE)
    with stranger(hangs_up, UPDATED, UPDATED) as server:
        client = Client(server.url, connection=Connection(**settings))
        done = client.update(PATIENT, if_match='W/"2"', retry=RETRY)
        client.read("Patient", "9990000001")
    assert done.verdict is Verdict.UPDATED
    assert set(sent(server.requests, "Authorization")) == {f"Bearer {TOKEN}"}
    assert set(sent(server.requests, "NHSD-Session-URID")) == {ROLE}
    for name in ("X-Request-ID", "X-Correlation-ID"):
        first, again, read = sent(server.requests, name)
        assert first == again, "the same one when a request is sent again"
        assert read != first
        assert str(uuid.UUID(first)) == first
        assert [each.request.headers[name] for each in client.journal] == [first, again, read], "in clear"

    client.journal.save(tmp_path / "journal.sqlite")
    kept = (tmp_path / "journal.sqlite").read_bytes() + json.dumps(client.journal.to_har()).encode()
    assert sent(server.requests, "X-Request-ID")[0].encode() in kept
    assert TOKEN.encode() not in kept
    assert ROLE.encode() not in kept


def test_the_ids_stay_in_a_journal_that_redacts() -> None:
    numbers = itertools.count(1)
    settings = platform_identity(session_urid=lambda: ROLE, new_id=lambda: f"id-{next(numbers)}")
    journal = Journal(redact=True)
    with stranger(answers(404)) as server:
        Client(server.url, connection=Connection(**settings), journal=journal).read("Patient", "9990000001")
    request = journal[0].request
    assert (request.headers["X-Request-ID"], request.headers["X-Correlation-ID"]) == ("id-1", "id-2")
    assert request.headers["NHSD-Session-URID"] == "***"


def test_a_sandbox_needs_no_token() -> None:
    with stranger(answers(404)) as server:
        Client(server.url, connection=Connection(**platform_identity())).read("Patient", "9990000001")
    (request,) = server.requests
    assert b"Authorization" not in request
    assert b"NHSD-Session-URID" not in request
    assert b"X-Request-ID" in request


def test_a_preview_fetches_no_secret_and_makes_no_id() -> None:
    def never() -> str:
        raise AssertionError("a preview asked for it")

    connection = Connection(**platform_identity(token=never, session_urid=never, new_id=never))
    shown = Client("http://127.0.0.1:9/R4", connection=connection).preview_update(PATIENT, if_match=None).headers
    assert shown["X-Request-ID"] == shown["X-Correlation-ID"] == "(a new one)"
    assert shown["Authorization"] == shown["NHSD-Session-URID"] == "***"


PROFILE = """
[pds]
base_url = "{url}"
[pds.platform]
token = "env:PDS_TOKEN"
session_urid = "env:PDS_ROLE"
[pds.headers]
Accept-Language = "text:en-GB"
"""


def test_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDS_TOKEN", TOKEN)
    monkeypatch.setenv("PDS_ROLE", ROLE)
    path = tmp_path / "profiles.toml"
    with stranger(hangs_up, UPDATED) as server:
        path.write_text(PROFILE.format(url=server.url), encoding="utf-8")
        connect("pds", profiles=path).update(PATIENT, if_match='W/"2"', retry=RETRY)
    assert sent(server.requests, "Authorization") == [f"Bearer {TOKEN}"] * 2
    assert sent(server.requests, "NHSD-Session-URID") == [ROLE] * 2
    assert sent(server.requests, "Accept-Language") == ["en-GB"] * 2
    assert len(set(sent(server.requests, "X-Request-ID"))) == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('[pds.platform]\ntoken = "abc"', "token in the platform of the profile 'pds' holds a secret in clear text"),
        ('[pds.platform]\nsession_urid = "abc"', "session_urid in the platform of the profile 'pds' holds a secret"),
        ('[pds.platform]\nrole = "env:X"', "has role, which is no setting"),
        ('token = "env:X"\n[pds.platform]\ntoken = "env:Y"', "write the token in that table"),
        (
            '[pds.platform]\ntoken = "env:X"\n[pds.spine]\nfrom_asid = "200000000115"\n'
            'to_asid = "999999999999"\nissuer = "https://client.example"',
            "Only one of token, identity",
        ),
    ],
)
def test_a_profile_that_cannot_be_used(tmp_path: Path, more: str, message: str) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text(f'[pds]\nbase_url = "http://127.0.0.1:9/R4"\n{more}\n', encoding="utf-8")
    with pytest.raises(BadInput, match=message):
        connect("pds", profiles=path)


def test_a_token_is_fetched_for_each_request() -> None:
    tokens = iter(["first-token-123", "second-token-456"])
    with stranger(answers(401), answers(404)) as server:
        client = Client(server.url, connection=Connection(**platform_identity(token=lambda: next(tokens))))
        refused = client.read("Patient", "9990000001")
        client.read("Patient", "9990000001")
    assert "Check the token" in refused.explain()
    assert sent(server.requests, "Authorization") == ["Bearer first-token-123", "Bearer second-token-456"]
