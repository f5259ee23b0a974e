"""An exchange as text: the HTTP messages, and a curl line that a shell takes apart into the same request."""

import json
import shlex
import shutil
import subprocess

import pytest
from exchangekit import BASE, NEXT, VERSION, exchange, outcome

from workbench import Endpoint
from workbench.exchange.message import Exchange
from workbench.exchange.text import as_curl, as_http, as_python, reason

BODY = '{"resourceType":"List","id":"1","title":"Alice\'s \\"own\\" $HOME `id` \\\\ Zoë \U0001f9d1 !"}'.encode()


def test_as_http() -> None:
    about = exchange("update", 200, if_match=VERSION, etag=NEXT, sent_body=b'{"a":1}', body={"b": 2})
    assert as_http(about) == (
        "PUT /STU3/List/1 HTTP/1.1\n"
        "Host: 127.0.0.1:8080\n"
        'If-Match: W/"25777f7d-27bc"\n'
        "\n"
        '{"a":1}\n'
        "\n"
        "HTTP/1.1 200 OK\n"
        'ETag: W/"9c01d3f2-11aa"\n'
        "\n"
        '{"b": 2}'
    )
    assert about.as_http() == as_http(about)


@pytest.mark.parametrize(
    ("about", "wanted"),
    [
        (exchange("read", 304), "GET /STU3/List/1 HTTP/1.1\nHost: 127.0.0.1:8080\n\nHTTP/1.1 304 Not Modified"),
        (exchange("read", 299), "GET /STU3/List/1 HTTP/1.1\nHost: 127.0.0.1:8080\n\nHTTP/1.1 299"),
        (
            exchange("read", None, failure="It broke off."),
            "GET /STU3/List/1 HTTP/1.1\nHost: 127.0.0.1:8080\n\n(no answer: It broke off.)",
        ),
        (
            exchange("read", 200, headers={"Host": "spine.example"}),
            "GET /STU3/List/1 HTTP/1.1\nHost: spine.example\n\nHTTP/1.1 200 OK",
        ),
    ],
)
def test_short_messages(about: Exchange, wanted: str) -> None:
    assert as_http(about).replace("\n\n\n", "\n\n") == wanted


def test_a_body_that_is_not_utf_8() -> None:
    assert "\\xff" in as_http(exchange("update", 200, sent_body=b"\xff", body=b"\xfe"))


def test_base_and_indent() -> None:
    about = exchange("update", 409, if_match=VERSION, sent_body=b'{"a":[1.10]}', body=outcome(code="conflict"))
    text = as_http(about, base=BASE, indent=2)
    assert text.startswith("PUT [base]/List/1 HTTP/1.1\n")
    assert BASE not in text
    assert '{\n  "a": [\n    1.10\n  ]\n}' in text
    assert '\n      "code": "conflict"' in text


@pytest.mark.parametrize(
    ("status", "words"), [(200, "OK"), (412, "Precondition Failed"), (428, "Precondition Required"), (799, "")]
)
def test_reason(status: int, words: str) -> None:
    assert reason(status) == words


def words_of(about: Exchange) -> list[str]:
    """The words a shell makes of the line; shlex does not know that a backslash joins lines."""
    return shlex.split(as_curl(about).replace("\\\n", ""))


def test_as_curl() -> None:
    about = exchange(
        "update",
        200,
        if_match=VERSION,
        headers={"Content-Type": "application/fhir+json", "User-Agent": "x", "Content-Length": "9", "Host": "y"},
        sent_body=BODY,
    )
    words = words_of(about)
    assert words[0] == "curl"
    assert words[words.index("-X") + 1] == "PUT"
    assert f"{BASE}/List/1" in words
    fields = [words[at + 1] for at, word in enumerate(words) if word in ("-H", "--header")]
    assert fields == [f"If-Match: {VERSION}", "Content-Type: application/fhir+json"]
    assert BODY.decode() in words
    assert about.as_curl() == as_curl(about)


def test_a_read_has_no_body() -> None:
    assert words_of(exchange("read")) == ["curl", "-i", "--globoff", "-X", "GET", "--url", f"{BASE}/List/1"]


def test_a_url_is_one_word() -> None:
    about = exchange("read", logical_id="1?_lastUpdated=ge2018&_count=1;$(id)")
    assert f"{BASE}/List/1?_lastUpdated=ge2018&_count=1;$(id)" in words_of(about)


def test_a_body_never_names_a_file() -> None:
    """After ``--data-binary`` curl takes an @ as a file to send; ``--data-raw`` has no such meaning."""
    words = words_of(exchange("update", 400, sent_body=b"@/etc/passwd"))
    assert "@/etc/passwd" in words
    assert words[words.index("@/etc/passwd") - 1] == "--data-raw"


def test_an_empty_field_is_sent_and_not_left_out() -> None:
    """``-H 'If-Match:'`` takes the field away; with a semicolon curl sends it empty."""
    assert "If-Match;" in words_of(exchange("update", 412, if_match=""))


def test_a_body_without_a_type_does_not_become_a_form() -> None:
    words = words_of(exchange("update", 415, sent_body=b"{}"))
    assert "Content-Type:" in words


def test_a_head_does_not_wait_for_a_body() -> None:
    words = words_of(exchange("read", 200, method="HEAD"))
    assert {"-I", "--head"} & set(words)
    assert "-X" not in words


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "fromASID"])
def test_replaced_credentials_stay_replaced(name: str) -> None:
    about = exchange("update", 200, headers={name: "***"})
    assert f"{name}: ***" in words_of(about)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on PATH")
def test_curl_sends_the_same_request(spine: Endpoint) -> None:
    alice = spine.client("alice")
    made = alice.create({"resourceType": "List", "status": "current", "mode": "working", "title": "a"})
    draft = alice.read("List", made.logical_id).resource
    draft["title"] = json.loads(BODY)["title"]
    first = alice.update(draft, prefer="representation")
    assert first.status == 200

    def run(about: Exchange) -> str:
        line = f"{about.as_curl()} --silent --noproxy '*'"
        ran = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True, timeout=20)
        return ran.stdout.decode()

    assert run(first).startswith("HTTP/1.1 409 ")
    again = run(alice.read("List", made.logical_id))
    assert str(first.etag) in again
    assert draft["title"] in json.loads(again.partition("\r\n\r\n")[2])["title"]


def test_the_python_code_does_what_the_request_did(spine: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    alice = spine.client("alice")
    read = alice.read("Flag", "3f6a1c9e-7b24-4c0d-9d15-2e8b60f7a4c1")
    put = alice.update(read.resource | {"status": "inactive"})
    exec(as_python(read), {})
    assert '"status":"inactive"' in capsys.readouterr().out.replace(" ", "")
    exec(as_python(put), {})
    assert capsys.readouterr().out.startswith("409"), "the same version once more is stale"
