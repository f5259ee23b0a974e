"""An id that a header field carries: one for each request, the same for all attempts of one update, shown in clear."""

from __future__ import annotations

import itertools
import pickle
import re
import uuid
from pathlib import Path

import pytest
from stranger import answers, hangs_up, stranger

from workbench import Client, Connection, FreshId, Retry, Verdict, connect

LIST = {"resourceType": "List", "id": "1", "status": "current", "mode": "working"}
RETRY = Retry(times=2, pause=0)


def numbered(prefix: str) -> FreshId:
    numbers = itertools.count(1)
    return FreshId(lambda: f"{prefix}-{next(numbers)}")


def sent(requests: list[bytes], name: str) -> list[str]:
    """The values of a header field, request by request."""
    return [re.findall(rf"(?m)^{name}: (.*?)\r$", each.decode())[0] for each in requests]


def test_all_attempts_of_one_update_have_one_id() -> None:
    headers = {"X-Request-ID": numbered("request"), "X-Correlation-ID": numbered("correlation")}
    with stranger(hangs_up, hangs_up, answers(200, b"", 'ETag: W/"b"')) as server:
        client = Client(server.url, connection=Connection(headers=headers))
        assert client.update(LIST, if_match='W/"a"', retry=RETRY).verdict is Verdict.UPDATED
        client.update(LIST)
        client.read("List", "1")
    assert sent(server.requests, "X-Request-ID") == ["request-1"] * 3 + ["request-2", "request-3"]
    assert sent(server.requests, "X-Correlation-ID") == ["correlation-1"] * 3 + ["correlation-2", "correlation-3"]
    assert [each.request.headers["X-Request-ID"] for each in client.journal] == sent(server.requests, "X-Request-ID")


def test_a_function_is_asked_once_for_an_update_and_a_token_for_each_attempt() -> None:
    made, tokens = numbered("made"), numbered("token-number")
    with stranger(hangs_up, answers(200, b"", 'ETag: W/"b"')) as server:
        connection = Connection(headers={"X-Request-ID": lambda: made()}, token=lambda: tokens())
        client = Client(server.url, connection=connection)
        client.update(LIST, if_match='W/"a"', retry=RETRY)
    assert sent(server.requests, "X-Request-ID") == ["made-1"] * 2
    assert sent(server.requests, "Authorization") == ["Bearer token-number-1", "Bearer token-number-2"]
    assert {each.request.headers["X-Request-ID"] for each in client.journal} == {"***"}, "it may be a credential"


def test_an_id_that_comes_back_is_shown() -> None:
    said = b'{"resourceType": "OperationOutcome", "issue": [{"diagnostics": "quote request-1"}]}'
    with stranger(answers(400, said, "X-Request-ID: request-1")) as server:
        connection = Connection(headers={"X-Request-ID": numbered("request")})
        exchange = Client(server.url, connection=connection).update(LIST, if_match='W/"a"')
    assert exchange.response is not None
    assert exchange.response.headers["X-Request-ID"] == "request-1"
    assert exchange.response.body == said


def test_a_credential_is_hidden_whatever_gives_it() -> None:
    with stranger(answers(404)) as server:
        client = Client(server.url, connection=Connection(headers={"X-Api-Key": numbered("key-number")}))
        assert client.read("List", "1").request.headers["X-Api-Key"] == "***"


def test_a_preview_makes_none() -> None:
    ids = numbered("request")
    client = Client("http://127.0.0.1:9/STU3", connection=Connection(headers={"X-Request-ID": ids}))
    assert client.preview_update(LIST, if_match=None).headers["X-Request-ID"] == "(a new one)"
    assert ids() == "request-1"


def test_a_profile_says_uuid(tmp_path: Path) -> None:
    with stranger(hangs_up, answers(200, b"", 'ETag: W/"b"')) as server:
        text = f'[i]\nbase_url = "{server.url}"\n[i.headers]\nX-Request-ID = "uuid"\n'
        (tmp_path / "profiles.toml").write_text(text, encoding="utf-8")
        client = connect("i", profiles=tmp_path / "profiles.toml")
        client.update(LIST, if_match='W/"a"', retry=RETRY)
    (one,) = set(sent(server.requests, "X-Request-ID"))
    assert str(uuid.UUID(one)) == one
    assert {each.request.headers["X-Request-ID"] for each in client.journal} == {one}


def test_it_travels_to_another_process() -> None:
    connection = pickle.loads(pickle.dumps(Connection(headers={"X-Request-ID": FreshId(), "X-Key": "planted"})))
    made = connection.new_fields("read", "List")
    assert uuid.UUID(made["X-Request-ID"])
    assert connection.headers["X-Key"] == "planted"
    assert "planted" not in repr(dict(connection.headers))


@pytest.mark.parametrize("retry", [None, RETRY])
def test_the_guard_is_asked_before_any_function_is(retry: Retry | None) -> None:
    ids = numbered("request")
    client = Client("http://spine.example/STU3", connection=Connection(headers={"X-Request-ID": ids}))
    with pytest.raises(Exception, match="not this machine"):
        client.update(LIST, if_match='W/"a"', retry=retry)
    assert ids() == "request-1"
