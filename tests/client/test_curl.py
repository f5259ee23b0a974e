"""A curl command becomes a request that a client can send; it brings no credential and reads no file."""

from __future__ import annotations

import time
import warnings

import pytest

import workbench as wb
from workbench.client.curl import LONGEST, from_curl

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"

JSON = {"Content-Type": "application/json", "Accept": "application/json"}

POSTMAN = """curl --location --request PUT 'http://127.0.0.1:8080/STU3/List/1' \\
--header 'If-Match: W/"2"' \\
--header 'Content-Type: application/fhir+json' \\
--data '{
    "resourceType": "List", "title": "Alice'\\''s"
}'"""


def test_a_snippet_of_postman() -> None:
    request = from_curl(POSTMAN)
    assert (request.method, request.url) == ("PUT", "http://127.0.0.1:8080/STU3/List/1")
    assert dict(request.headers.items()) == {"If-Match": 'W/"2"', "Content-Type": "application/fhir+json"}
    assert request.body == b'{\n    "resourceType": "List", "title": "Alice\'s"\n}'
    assert from_curl(POSTMAN.replace("\n", "\r\n")).url == request.url


@pytest.mark.parametrize(
    ("command", "method", "fields", "body"),
    [
        ("curl http://h/x", "GET", {}, b""),
        ("curl -sSi -XDELETE http://h/x", "DELETE", {}, b""),
        ("curl -I http://h/x", "HEAD", {}, b""),
        ("curl http://h/x -d a=1 -d -b", "POST", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=1&-b"),
        ("curl --url http://h/x --json {}", "POST", JSON, b"{}"),
        ("curl http://h/x --data-raw @a -H Content-Type:", "POST", {}, b"@a"),
        ("curl http://h/x -H 'Host: other' -H 'X-Empty;' -A me", "GET", {"X-Empty": ""}, b""),
    ],
)
def test_what_curl_would_send(command: str, method: str, fields: dict[str, str], body: bytes) -> None:
    request = from_curl(command)
    assert (request.method, dict(request.headers.items()), request.body) == (method, fields, body)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("", "must begin with curl"),
        ("wget http://h/x", "must begin with curl"),
        ("curl 'http://h/x", "quotation mark"),
        ("curl", "has 0 URLs"),
        ("curl http://h/x | jq .", "has 4 URLs"),
        ("curl http://h/x -F file=@a", "option -F not recognized"),
        ("curl http://h/x -d @/etc/hostname", "from a file"),
        ("curl '{{base}}/List/1'", "{{base}}"),
        ("curl http://h/x --data-raw $'a\\nb'", "quotation"),
        ("curl $BASE/List/1", "http:// or https://"),
        ("curl file:///etc/hostname", "http:// or https://"),
        ("curl http://h/x -X 'PUT / HTTP/1.1'", "not an HTTP method"),
        ("curl http://h/x -H 'A: b\nC: d'", "cannot be sent"),
        ("curl http://h/token -d grant_type=password -d password=hunter22", "contains a credential"),
        ("curl http://h/x " + "a" * LONGEST, "too long"),
    ],
)
def test_what_cannot_be_used_says_why(command: str, says: str) -> None:
    with pytest.raises(wb.BadInput) as caught:
        from_curl(command)
    assert says in str(caught.value)
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "left_out"),
    [
        ("curl http://h/x -H 'Authorization: Bearer hunter22'", "Authorization"),
        ("curl http://h/x -H 'x-api-key: hunter22'", "x-api-key"),
        ("curl http://h/x -u me:hunter22", "curl's --user"),
        ("curl http://h/x -b session=hunter22", "curl's --cookie"),
        ("curl http://h/x --oauth2-bearer hunter22", "curl's --oauth2-bearer"),
        ("curl --cert client.pem:hunter22 http://h/x", "curl's --cert"),
        ("curl http://me:hunter22@h/x", "the user in the URL"),
        ("curl 'http://h/x?a=1&api_key=hunter22'", "api_key in the URL"),
    ],
)
def test_credentials_are_left_out_with_a_sentence(command: str, left_out: str) -> None:
    with pytest.warns(UserWarning, match="credential") as caught:
        request = from_curl(command)
    (warning,) = caught
    assert left_out in str(warning.message)
    assert warning.filename == __file__
    assert "hunter22" not in f"{request} {warning.message}"


def test_the_longest_command_is_read_in_a_moment() -> None:
    start = time.process_time()
    from_curl(f"curl http://h/x -d '{'a' * (LONGEST - 30)}'")
    assert time.process_time() - start < 10


def test_a_client_sends_what_as_curl_wrote(spine: wb.Endpoint) -> None:
    client = spine.client("alice")
    read = client.read("List", LIST)
    put = client.update(read.resource)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = client.send(from_curl(put.as_curl()))
    assert (again.interaction, again.verdict) == ("update", wb.Verdict.STALE)
    assert again.request.body == put.request.body
    assert again.request.headers["If-Match"] == put.request.headers["If-Match"]


def test_a_client_sends_no_request_for_another_endpoint(spine: wb.Endpoint) -> None:
    client = spine.client("alice")
    sent = len(client.journal)
    for url in (f"{spine.base_url}X/List/1", "http://example.invalid/STU3/List/1", f"{spine.base_url}/../List/1"):
        with pytest.raises(wb.BadInput):
            client.send(from_curl(f"curl {url}"))
    assert len(client.journal) == sent
