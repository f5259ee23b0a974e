"""What is taken out of a URL and of an answer, and what is left as it is."""

from __future__ import annotations

import logging

import pytest

from workbench.redaction import answered_body, answered_field, guard_logs, secrets_in, without_credentials

SECRET = "planted-token-1234"
NAMES = frozenset({"authorization", "cookie"})


@pytest.mark.parametrize(
    "name", ["api_key", "API-KEY", "apikey", "token", "access_token", "api%5Fkey", "password", "sig", "client_secret"]
)
def test_a_parameter_that_carries_a_credential(name: str) -> None:
    assert without_credentials(f"/List?_count=1&{name}=abc&x=1") == f"/List?_count=1&{name}=***&x=1"
    assert without_credentials(f"/List?{name}=a;{name}=b#{name}=c") == f"/List?{name}=***;{name}=***#{name}=c"


@pytest.mark.parametrize(
    "name", ["code", "identifier", "_id", "_lastUpdated", "patient", "status", "key-word", "tokens"]
)
def test_a_parameter_of_fhir_stays(name: str) -> None:
    url = f"http://127.0.0.1/STU3/List?{name}=http%3A%2F%2Floinc.org%7C1&_count=2"
    assert without_credentials(url) == url


def test_what_an_answer_may_not_repeat() -> None:
    fields = {"Authorization": f"Bearer {SECRET}", "Cookie": "a=planted-one; b=short", "Accept": "planted-accept"}
    found = secrets_in(fields.items(), NAMES, "http://h/List?token=planted%20query&code=planted-code")
    assert {SECRET, "planted-one", "planted query"} <= found
    assert not {"short", "planted-accept", "planted-code"} & found


def test_a_resource_is_left_as_it_is_and_a_refusal_is_not() -> None:
    secrets = frozenset({SECRET})
    body = f'{{"resourceType": "List", "note": [{{"text": "{SECRET}"}}]}}'.encode()
    assert answered_body(200, body, secrets, "http://h/List/1") == body
    assert SECRET.encode() not in answered_body(403, body, secrets, "http://h/List/1")
    assert answered_field("X-Echo", f"you sent {SECRET}", secrets) == "you sent ***"
    assert answered_field("Location", "http://h/List/1?token=of-theirs", frozenset()) == "http://h/List/1?token=***"


def test_the_log_of_the_http_library(caplog: pytest.LogCaptureFixture) -> None:
    guard_logs()
    guard_logs()
    caplog.set_level(logging.DEBUG)
    logger = logging.getLogger("urllib3.connectionpool")
    logger.debug('%s "%s"', "GET", "/List?api_key=planted")
    try:
        raise ValueError("planted")
    except ValueError as error:
        logger.warning("it failed: %s", error, exc_info=True)
    assert "planted" not in caplog.text
    assert "it failed: ValueError" in caplog.text
    assert len(logger.filters) == len(set(map(id, logger.filters)))
