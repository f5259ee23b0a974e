"""The client: what it sends, what it remembers, and what it says when no proper answer comes.

Owns: the interactions (over a socket and in process), the choice of ``If-Match``, what is refused before
anything is sent, and the line between FAILED and UNKNOWN. Where the embedded endpoint would behave too well, a
``Stranger`` answers: a real server on loopback that does as its script says and keeps what it heard, so that
"nothing was sent" and "nothing was sent twice" are counted on the other side.
"""

from __future__ import annotations

import gzip
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from stranger import After, Script, answers, forgets_tls, hangs_up, never_answers, says, stranger

from workbench import LAST_READ, BadInput, Client, Connection, Endpoint, ETag, Exchange, Journal, MalformedJSON, Verdict
from workbench.fhir import json

LOGICAL_ID = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
LIST: dict[str, Any] = {"resourceType": "List", "status": "current", "mode": "working"}
HELD: dict[str, Any] = {"id": LOGICAL_ID} | LIST
QUICK = Connection(timeout=(0.5, 0.2))

SENTENCE = re.compile(r"[A-Z0-9][^\n]*\.")
LEAKED = ("Traceback", "HTTPConnectionPool", "urllib3", "requests.", "codec", " object at ", "0x")
"""What a sentence for a person never holds."""


FHIR = "Content-Type: application/fhir+json"
HTML = b"<html><body><h1>Sign in to the hospital's Wi-Fi</h1></body></html>"


def stored(version_id: str, **members: Any) -> bytes:
    """The List as a server would send it."""
    return json.dumps(HELD | {"meta": {"versionId": version_id}} | members).encode()


# --- endpoints ---


@pytest.fixture(params=["spine", "spine_in_process"], ids=["socket", "in process"])
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    """The embedded endpoint, reached in both ways."""
    running: Endpoint = request.getfixturevalue(request.param)
    return running


@pytest.fixture
def alice(endpoint: Endpoint) -> Client:
    return endpoint.client("alice")


def made(client: Client, **members: Any) -> str:
    """The id of a List that this client has just created."""
    return client.create(LIST | members).raise_for_verdict(Verdict.CREATED).logical_id


def sent_body(exchange: Exchange) -> dict[str, Any]:
    body: dict[str, Any] = json.parse(exchange.request.body)
    return body


# --- the interactions ---


def test_each_interaction_is_one_request_and_one_exchange(alice: Client) -> None:
    started = len(alice.journal)
    created = alice.create(LIST)
    logical_id = created.logical_id
    base, name = alice.base_url, f"List/{logical_id}"
    exchanges = [
        created,
        alice.read("List", logical_id),
        alice.update(LIST | {"id": logical_id, "title": "second"}),
        alice.search("List", _id=logical_id, _count=5),
        alice.capabilities(),
        alice.send("PATCH", name, body="[]"),
        alice.delete("List", logical_id),
        alice.read("List", logical_id),
    ]
    seen = [(x.interaction, x.request.method, x.request.url, x.target, x.status, x.verdict) for x in exchanges]
    assert seen == [
        ("create", "POST", f"{base}/List", name, 201, Verdict.CREATED),
        ("read", "GET", f"{base}/{name}", name, 200, Verdict.READ),
        ("update", "PUT", f"{base}/{name}", name, 200, Verdict.UPDATED),
        ("search-type", "GET", f"{base}/List?_id={logical_id}&_count=5", "List", 200, Verdict.READ),
        ("capabilities", "GET", f"{base}/metadata", "(the endpoint)", 200, Verdict.READ),
        ("patch", "PATCH", f"{base}/{name}", name, 501, Verdict.UNSUPPORTED),
        ("delete", "DELETE", f"{base}/{name}", name, 204, Verdict.DELETED),
        ("read", "GET", f"{base}/{name}", name, 404, Verdict.NOT_FOUND),
    ]
    assert list(alice.journal)[started:] == exchanges
    assert {x.client for x in exchanges} == {"alice"}


def test_a_conditional_read_is_not_modified(alice: Client) -> None:
    logical_id = made(alice)
    read = alice.read("List", logical_id)
    assert read.response is not None
    for again in (
        alice.read("List", logical_id, if_none_match=read.etag),
        alice.read("List", logical_id, if_none_match=str(read.etag)),
        alice.read("List", logical_id, if_modified_since=read.response.headers["Last-Modified"]),
    ):
        assert (again.status, again.verdict) == (304, Verdict.NOT_MODIFIED)
    assert alice.last_seen("List", logical_id) == str(read.etag)


SEARCHES: list[Any] = [
    pytest.param(lambda c: c.search("List"), b"", id="none"),
    pytest.param(lambda c: c.search("List", _id="1"), b"?_id=1", id="one"),
    pytest.param(
        lambda c: c.search("List", _lastUpdated=["ge2018", "lt2019"], _count=2),
        b"?_lastUpdated=ge2018&_lastUpdated=lt2019&_count=2",
        id="a list",
    ),
    pytest.param(lambda c: c.search("List", code=(x for x in ("a", "b"))), b"?code=a&code=b", id="an iterator"),
    pytest.param(lambda c: c.search("List", code=[]), b"", id="an empty list"),
    pytest.param(
        lambda c: c.search("List", [("code:in", "a b"), ("date", "x"), ("code:in", "c")], date=1),
        b"?code%3Ain=a%20b&date=x&code%3Ain=c&date=1",
        id="pairs",
    ),
    pytest.param(lambda c: c.search("List", resource_type="x", pairs="y"), b"?resource_type=x&pairs=y", id="names"),
]


@pytest.mark.parametrize(("search", "query"), SEARCHES)
def test_a_search_parameter_can_be_repeated(search: Callable[[Client], Exchange], query: bytes) -> None:
    with stranger(answers(200)) as server:
        exchange = search(Client(server.url))
    assert server.requests[0].startswith(b"GET /STU3/List" + query + b" HTTP/1.1")
    assert exchange.request.url.endswith(query.decode())


OUTSIDE = [
    *("../x", "../../x", "List/../../x", "List/../..", "/../x", "//../x", "../", "x//../../y", "List/./../../x"),
    *("%2e%2e/x", "%2E%2E/x", ".%2e/x", "List/%2e%2e/%2e%2e/x", "%252e%252e/x", "%25252e%252e/x", "..%2fx", "..%2Fx"),
    *("..\\x", "List\\..\\..\\x", "..%5cx", "%2e%2e%5cx", "..;/x", "..;a=b/x", "%2e%2e;/x"),
    *("a%2fb/../../x", "a\\b/../../x", "a%252Fb%2F..%2F..", "%2f../x", "List/a%2f..%2f..%2f..%2fx", "./../x"),
    *("..?x", "..#x", ".\t./x", "..\n/x", " ../x", "%2e%2e%3fx", "..%00/x", "List/../..%23"),
    *("http://evil.example/x", "HTTP://evil.example", "/http://evil.example", "http:\\\\evil.example", "file:///etc"),
    *("http%3a%2f%2fevil.example", " http://evil.example"),
]
"""Each is above or beside the base URL by the reading of some server."""


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_that_leads_out_of_the_base_url_is_refused(path: str) -> None:
    with stranger(answers(200)) as server:
        client = Client(server.url)
        for method in ("GET", "PUT"):
            with pytest.raises(BadInput, match="its path must stay below the base URL"):
                client.send(method, path)
    assert (server.requests, len(client.journal)) == ([], 0)


INSIDE = {
    "": b"/STU3/",
    "List/1": b"/STU3/List/1",
    "/List/1": b"/STU3/List/1",
    "//evil.example/x": b"/STU3/evil.example/x",
    "///evil.example/x": b"/STU3/evil.example/x",
    "@evil.example/x": b"/STU3/@evil.example/x",
    "List/...": b"/STU3/List/...",
    "List/../Flag": b"/STU3/Flag",
    "List/a%2F..%2F..%2Fetc": b"/STU3/List/a%2F..%2F..%2Fetc",
    "List/a..b": b"/STU3/List/a..b",
    "List/..a": b"/STU3/List/..a",
    "List?_id=../..&url=http://x/..": b"/STU3/List?_id=../..&url=http://x/..",
    "List/1/_history/2": b"/STU3/List/1/_history/2",
    "$convert": b"/STU3/$convert",
    "List//1": b"/STU3/List//1",
}


@pytest.mark.parametrize("path", INSIDE)
def test_any_other_path_is_sent_below_the_base_url(path: str) -> None:
    with stranger(answers(200)) as server:
        Client(server.url).send("GET", path)
    assert server.requests[0].split(b" ")[1] == INSIDE[path]


UNSENDABLE = [b'ETag: W/"a\x01b"', b'ETag: W/"\x7f"', b'ETag: W/"a\x1b[31m"']


@pytest.mark.parametrize("field", UNSENDABLE)
def test_an_etag_that_cannot_be_sent_back_gives_way_to_the_version_in_the_body(field: bytes) -> None:
    body = stored("in-the-body")
    answer = b"HTTP/1.1 200 OK\r\n%s\r\n%s\r\nContent-Length: %d\r\n\r\n%s"
    with stranger(says(answer % (field, FHIR.encode(), len(body), body)), answers(200)) as server:
        client = Client(server.url)
        client.read("List", LOGICAL_ID)
        assert client.update(HELD).if_match == 'W/"in-the-body"'


def test_search_parameters_are_escaped() -> None:
    with stranger(answers(200, b"{}", FHIR)) as server:
        Client(server.url).search("List", title="a&b=c d é+", _count=3)
    assert server.requests[0].split(b"\r\n")[0] == b"GET /STU3/List?title=a%26b%3Dc%20d%20%C3%A9%2B&_count=3 HTTP/1.1"


@pytest.mark.parametrize(
    ("method", "path", "interaction", "target"),
    [
        ("GET", "List", "search-type", "List"),
        ("GET", "/List/", "search-type", "List"),
        ("GET", "List?_count=1", "search-type", "List"),
        ("POST", "List", "create", "List"),
        ("GET", "List/1", "read", "List/1"),
        ("PUT", "List/1", "update", "List/1"),
        ("put", "List/1", "update", "List/1"),
        ("DELETE", "List/1", "delete", "List/1"),
        ("PATCH", "List/1", "patch", "List/1"),
        ("GET", "List/1/_history/2", "get", "List"),
        ("OPTIONS", "", "options", "(the endpoint)"),
        ("GET", "metadata", "capabilities", "(the endpoint)"),
    ],
)
def test_send_names_what_it_sends(
    spine_in_process: Endpoint, method: str, path: str, interaction: str, target: str
) -> None:
    exchange = spine_in_process.client().send(method, path)
    assert (exchange.interaction, exchange.target) == (interaction, target)


def test_send_takes_another_name_for_the_interaction(spine_in_process: Endpoint) -> None:
    assert spine_in_process.client().send("GET", "List/1/_history/2", interaction="vread").interaction == "vread"


@pytest.mark.parametrize("body", ['{"a": "é"}', '{"a": "é"}'.encode(), b"\xff\x00", ""])
def test_send_sends_the_body_as_it_is_given(body: str | bytes) -> None:
    with stranger(answers(200)) as server:
        exchange = Client(server.url).send("POST", "List", headers={"Content-Type": "text/plain"}, body=body)
    content = body.encode() if isinstance(body, str) else body
    assert server.requests[0].partition(b"\r\n\r\n")[2] == content == exchange.request.body
    assert exchange.request.headers["Content-Type"] == "text/plain"


def test_the_method_recorded_is_the_method_sent() -> None:
    with stranger(answers(200)) as server:
        exchange = Client(server.url).send("put", "List/1")
    assert server.requests[0].split(b" ")[0].decode() == exchange.request.method
    assert exchange.verdict is Verdict.UPDATED


# --- which version is sent ---


def test_without_if_match_the_version_last_seen_is_sent(alice: Client, endpoint: Endpoint) -> None:
    logical_id = made(alice)
    draft = LIST | {"id": logical_id}
    created = alice.last_seen("List", logical_id)
    first = alice.update(draft)
    second = alice.update(draft)
    assert (first.if_match, first.verdict) == (created, Verdict.UPDATED)
    assert (second.if_match, second.verdict) == (str(first.etag), Verdict.UPDATED)

    bob = endpoint.client("bob")
    bob.read("List", logical_id)
    assert bob.update(draft).verdict is Verdict.UPDATED
    late = alice.update(draft)
    assert (late.if_match, late.verdict) == (str(second.etag), Verdict.STALE)
    assert alice.last_seen("List", logical_id) == str(second.etag), "a refusal is not a look at the resource"

    read = alice.read("List", logical_id)
    assert alice.update(draft).if_match == str(read.etag)
    assert alice.delete("List", logical_id).verdict is Verdict.DELETED
    assert alice.last_seen("List", logical_id) is None


def test_last_seen_is_of_one_resource_and_one_client(alice: Client, endpoint: Endpoint) -> None:
    logical_id = made(alice)
    assert alice.last_seen("Flag", logical_id) is None
    assert alice.last_seen("List", "another") is None
    assert endpoint.client("bob").last_seen("List", logical_id) is None


IF_MATCHES = [
    pytest.param(None, None, id="none on purpose"),
    pytest.param('W/"a"', 'W/"a"', id="string"),
    pytest.param("*", "*", id="asterisk"),
    pytest.param("a, b", "a, b", id="not an entity tag"),
    pytest.param("", "", id="empty"),
    pytest.param(ETag("a-1"), 'W/"a-1"', id="ETag"),
    pytest.param(ETag("a", weak=False), '"a"', id="strong ETag"),
    pytest.param(LAST_READ, 'W/"seen"', id="last read"),
]


@pytest.mark.parametrize(("if_match", "field"), IF_MATCHES)
@pytest.mark.parametrize("interaction", ["update", "delete"])
def test_if_match_goes_out_as_it_was_given(interaction: str, if_match: Any, field: str | None) -> None:
    with stranger(answers(200, stored("seen"), FHIR, 'ETag: W/"seen"')) as server:
        client = Client(server.url)
        client.read("List", LOGICAL_ID)
        if interaction == "update":
            exchange = client.update(HELD, if_match=if_match)
        else:
            exchange = client.delete("List", LOGICAL_ID, if_match=if_match)
    heard = re.findall(rb"(?im)^if-match:[ ]?(.*?)\r$", server.requests[1])
    assert [value.decode() for value in heard] == ([] if field is None else [field])
    assert exchange.if_match == field


def test_a_version_without_an_etag_is_taken_from_the_resource() -> None:
    with stranger(answers(200, stored("in-the-body"), FHIR), answers(200)) as server:
        client = Client(server.url)
        client.read("List", LOGICAL_ID)
        assert client.update(HELD).if_match == 'W/"in-the-body"'


NO_RESOURCE = [
    pytest.param(answers(200, stored("v2")[:40], FHIR, 'ETag: W/"v2"', length=900), id="body broke off"),
    pytest.param(answers(200, HTML, "Content-Type: text/html", 'ETag: W/"v2"'), id="a web page"),
    pytest.param(answers(200, b"not JSON at all", FHIR, 'ETag: W/"v2"'), id="not JSON"),
]


@pytest.mark.parametrize("script", NO_RESOURCE)
def test_a_version_whose_content_never_came_is_not_sent(script: Script) -> None:
    """Or the next update would overwrite, with the lock's blessing, an unseen version."""
    with stranger(answers(200, stored("v1"), FHIR, 'ETag: W/"v1"'), script, answers(409)) as server:
        client = Client(server.url)
        client.read("List", LOGICAL_ID)
        again = client.read("List", LOGICAL_ID)
        assert again.resource is None
        assert client.update(HELD).if_match == 'W/"v1"'


@pytest.mark.parametrize("script", NO_RESOURCE)
def test_a_read_without_a_resource_is_not_read(script: Script) -> None:
    with stranger(script) as server:
        exchange = Client(server.url).read("List", LOGICAL_ID)
    assert exchange.resource is None
    assert exchange.verdict is not Verdict.READ
    assert not exchange.ok


# --- what is sent ---


@pytest.mark.parametrize(
    ("keep_meta", "meta"),
    [(False, {"profile": ["p"]}), (True, {"versionId": "mine", "lastUpdated": "2018-01-01", "profile": ["p"]})],
)
def test_the_version_is_left_out_unless_asked_for(keep_meta: bool, meta: dict[str, Any]) -> None:
    resource = HELD | {"meta": {"versionId": "mine", "lastUpdated": "2018-01-01", "profile": ["p"]}}
    with stranger(answers(200)) as server:
        exchange = Client(server.url).update(resource, if_match=None, keep_meta=keep_meta)
    assert sent_body(exchange)["meta"] == meta
    assert resource["meta"] == {"versionId": "mine", "lastUpdated": "2018-01-01", "profile": ["p"]}, "the caller's own"


@pytest.mark.parametrize(
    ("prefer", "field"),
    [
        (None, None),
        ("minimal", "return=minimal"),
        ("representation", "return=representation"),
        ("OperationOutcome", "return=OperationOutcome"),
        ("return=representation", "return=representation"),
        ("respond-async, return=minimal; x=1", "respond-async, return=minimal; x=1"),
        ("everything", "return=everything"),
    ],
)
def test_prefer(prefer: str | None, field: str | None) -> None:
    with stranger(answers(200)) as server:
        client = Client(server.url)
        update = client.update(HELD, if_match=None, prefer=prefer)
        create = client.create(LIST, prefer=prefer)
    assert update.request.headers.get("Prefer") == create.request.headers.get("Prefer") == field
    assert all((b"\r\nPrefer: " + (field or "").encode() in heard) == (field is not None) for heard in server.requests)


@pytest.mark.parametrize(("if_match", "field"), IF_MATCHES)
@pytest.mark.parametrize("prefer", [None, "representation"])
def test_a_preview_is_what_update_then_sends(if_match: Any, field: str | None, prefer: str | None) -> None:
    resource = HELD | {"title": "é 🩺", "meta": {"versionId": "old", "profile": ["p"]}}
    cookie = "Set-Cookie: session=planted; Path=/"
    with stranger(answers(200, stored("seen"), FHIR, 'ETag: W/"seen"', cookie), answers(409)) as server:
        client = Client(server.url, connection=Connection(headers={"Authorization": "Bearer planted"}))
        client.read("List", LOGICAL_ID)
        preview = client.preview_update(resource, if_match=if_match, prefer=prefer)
        assert (len(client.journal), len(server.requests)) == (1, 1), "a preview sends nothing"
        exchange = client.update(resource, if_match=if_match, prefer=prefer)
    assert preview == exchange.request
    assert preview.headers.get("If-Match") == field
    assert preview.body == server.requests[1].partition(b"\r\n\r\n")[2]


def test_the_request_recorded_is_the_request_on_the_wire() -> None:
    with stranger(answers(200)) as server:
        request = Client(server.url).update(HELD | {"title": "é"}, if_match='W/"a"', prefer="minimal").request
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    start, *lines = head.decode("latin-1").split("\r\n")
    fields = [tuple(line.split(": ", 1)) for line in lines if not line.startswith("Host: ")]
    assert f"{request.method} {request.url.removeprefix(f'http://127.0.0.1:{server.port}')} HTTP/1.1" == start
    assert list(request.headers.items()) == fields
    assert request.body == body
    assert ("Content-Type", "application/fhir+json") in fields
    assert ("Accept", "application/fhir+json") in fields


EXACT = (
    '{"resourceType":"List","id":"%s","mode":"working","status":"current",'
    '"title":"naïve \u202eRTL\u202c 🩺 e\u0301 \\"quoted\\" \\\\ \\n tab\\t \u2028","extension":['
    '{"valueDecimal":1.10,"url":"https://example.org/a"},{"url":"https://example.org/b","valueDecimal":1e2},'
    '{"url":"https://example.org/c","valueDecimal":0.1000000000000000000000000001},'
    '{"url":"https://example.org/d","valueDecimal":-0.0},{"url":"https://example.org/e","valueDecimal":1E+2},'
    '{"url":"https://example.org/f","valueInteger":2147483647}],'
    '"date":"2018-05-25T16:09:50+00:00"}'
)
"""Order, decimals and characters that a careless JSON library changes."""

_META = re.compile(r'"meta":\{[^}]*\},')


@pytest.mark.parametrize("form", ["text", "bytes", "parsed"])
def test_a_resource_survives_two_round_trips(alice: Client, form: str) -> None:
    text = EXACT % made(alice)
    given: Any = {"text": text, "bytes": text.encode(), "parsed": json.parse(text)}[form]
    put = alice.update(given).raise_for_verdict()
    assert put.request.body.decode() == text
    for _ in range(2):
        read = alice.read("List", put.logical_id)
        assert read.response is not None
        assert _META.sub("", read.response.body.decode(), count=1) == text
        put = alice.update(read.resource).raise_for_verdict()
        assert put.request.body.decode() == text


def test_the_resource_of_an_exchange_is_a_copy(alice: Client) -> None:
    read = alice.read("List", made(alice))
    read.resource["status"] = "retired"
    assert read.resource["status"] == "current"


# --- refused before anything is sent ---

Call = Callable[[Client], object]

REFUSED: list[tuple[str, Call, str]] = [
    ("no type", lambda c: c.update({"id": "1"}), "no usable resourceType"),
    ("no type to create", lambda c: c.create({"status": "current"}), "'' is not a resource type"),
    ("type in small letters", lambda c: c.read("list", "1"), "'list' is not a resource type"),
    ("type with a slash", lambda c: c.search("List/.."), "'List/..' is not a resource type"),
    ("no id", lambda c: c.update(LIST), "This List has no id"),
    ("an id that is no text", lambda c: c.update(LIST | {"id": 5}), "5 is not a FHIR id"),
    ("an id with a slash", lambda c: c.update(LIST | {"id": "a/b"}, if_match=None), "'a/b' is not a FHIR id"),
    ("an id too long", lambda c: c.read("List", "a" * 65), "is not a FHIR id"),
    ("an id with a newline", lambda c: c.read("List", "a\n"), "is not a FHIR id"),
    ("an id that climbs to the type's parent", lambda c: c.read("List", ".."), "in a URL it means another path"),
    ("an id that climbs, deleted", lambda c: c.delete("List", "..", if_match="*"), "in a URL it means another path"),
    ("an id that is here", lambda c: c.update(LIST | {"id": "."}, if_match=None), "in a URL it means another path"),
    ("empty id in the resource", lambda c: c.update(LIST | {"id": ""}), "'' is not a FHIR id"),
    ("empty id to read", lambda c: c.read("List", ""), "Which List\\? Give its id"),
    ("empty id to delete", lambda c: c.delete("List", "", if_match=None), "Which List\\? Give its id"),
    ("not read yet", lambda c: c.update(HELD), "has not|not been read|read"),
    ("not read yet, to delete", lambda c: c.delete("List", LOGICAL_ID), "has not|not been read|read"),
    ("a JSON list", lambda c: c.update([HELD]), "A resource is a JSON object"),  # type: ignore[arg-type]
    ("a JSON list as text", lambda c: c.update("[]"), "A resource is a JSON object"),
    ("a number as text", lambda c: c.create("1"), "A resource is a JSON object"),
    ("malformed text", lambda c: c.update('{"resourceType": "List",\n "id": }'), "line 2, column 8"),
    ("empty text", lambda c: c.update(""), "there is no JSON here"),
    ("bytes that are no UTF-8", lambda c: c.update(b'{"a": "\xff"}'), "is not UTF-8"),
    ("the same name twice", lambda c: c.create('{"a": 1, "a": 2}'), 'the name "a" stands twice'),
    ("not a number", lambda c: c.update(HELD | {"x": float("nan")}, if_match=None), "cannot be written as JSON"),
    ("an object of some class", lambda c: c.create(LIST | {"x": object()}), "cannot be written as JSON"),
    ("half a character", lambda c: c.update(HELD | {"x": "\ud800"}, if_match=None), "surrogate|character"),
    ("half a character to send", lambda c: c.send("POST", "List", body="\ud800"), "surrogate|character"),
    ("If-Match with a newline", lambda c: c.update(HELD, if_match='W/"a"\nX: y'), "cannot be sent"),
    ("If-Match beyond Latin-1", lambda c: c.update(HELD, if_match='W/"…"'), "cannot be sent"),
    ("Prefer with a newline", lambda c: c.update(HELD, if_match=None, prefer="a=b\r\nX: y"), "cannot be sent"),
    ("a field with a newline", lambda c: c.send("GET", "List", headers={"X": "a\r\nY: b"}), "cannot be sent"),
    ("a field name beyond ASCII", lambda c: c.send("GET", "List", headers={"é": "a"}), "cannot be sent"),
    ("a field name with a colon", lambda c: c.send("GET", "List", headers={"X: y\nZ": "a"}), "cannot be sent"),
    ("a method with a newline", lambda c: c.send("GET\r\nX: y", "List"), "cannot be sent"),
    ("a preview is refused alike", lambda c: c.preview_update(HELD), "has not|not been read|read"),
]


@pytest.mark.parametrize(("call", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_cannot_be_sent_is_refused_in_a_sentence_and_nothing_is_sent(call: Call, words: str) -> None:
    with stranger(answers(200)) as server:
        client = Client(server.url)
        with pytest.raises(BadInput, match=words) as refused:
            call(client)
    text = str(refused.value)
    assert text.endswith((".", "?"))
    assert "\n" not in text
    assert not [sign for sign in LEAKED if sign in text]
    assert (len(client.journal), server.connections) == (0, 0)


def test_malformed_text_names_the_line() -> None:
    with pytest.raises(MalformedJSON) as refused:
        Client("http://127.0.0.1:9/STU3").update('{"a": 1,\n  "b": oops}')
    assert (refused.value.line, refused.value.column, refused.value.position) == (2, 8, 16)


# --- redirects ---


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("interaction", ["read", "update", "create", "delete"])
def test_no_redirect_is_followed(status: int, interaction: str) -> None:
    calls: dict[str, Callable[[Client], Exchange]] = {
        "read": lambda c: c.read("List", LOGICAL_ID),
        "update": lambda c: c.update(HELD, if_match='W/"a"'),
        "create": lambda c: c.create(LIST),
        "delete": lambda c: c.delete("List", LOGICAL_ID, if_match='W/"a"'),
    }
    with stranger(answers(200)) as elsewhere, stranger(answers(status, b"", f"Location: {elsewhere.url}")) as server:
        exchange = calls[interaction](Client(server.url))
    assert (exchange.status, exchange.verdict) == (status, Verdict.REFUSED)
    assert elsewhere.url in exchange.explain()
    assert (elsewhere.connections, len(server.requests)) == (0, 1)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answers(307, b"", "Location: http://[::1"), id="half an address"),
        pytest.param(answers(307, b"", "Location: http://[nonsense]/"), id="no address"),
        pytest.param(answers(307, b"", "Location: http://h:99999/"), id="no port"),
        pytest.param(answers(307, b"", "Location: "), id="empty"),
        pytest.param(answers(307, b"", "Location: /\xff\xfe"), id="not UTF-8"),
        pytest.param(answers(307, b""), id="none"),
        pytest.param(answers(307, b"gone", "Location: /x", length=900), id="body broke off"),
        pytest.param(answers(307, b"gone", "Location: /x", "Content-Encoding: gzip"), id="body garbled"),
    ],
)
def test_a_malformed_redirect_is_an_answer(script: Script) -> None:
    with stranger(script) as server:
        client = Client(server.url)
        exchange = client.update(HELD, if_match='W/"a"')
    assert (exchange.status, exchange.verdict) == (307, Verdict.REFUSED)
    assert list(client.journal) == [exchange]
    assert len(server.requests) == 1


# --- no answer, or not all of it ---


def assert_told_in_a_sentence(exchange: Exchange) -> None:
    assert SENTENCE.fullmatch(exchange.failure)
    assert ". " not in exchange.failure
    shown = exchange.failure + exchange.explain() + repr(exchange) + exchange.as_http() + exchange.as_curl()
    assert not [sign for sign in LEAKED if sign in shown]
    assert exchange.failure.rstrip(".") in exchange.explain()


def free_port() -> int:
    """A port of loopback without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        pytest.param("http://nosuch.invalid/STU3", "nosuch.invalid is not known", id="unknown host"),
        pytest.param("https://nosuch.invalid/STU3", "nosuch.invalid is not known", id="unknown host, TLS"),
        pytest.param("http://127.0.0.1:{free}/STU3", "Nothing listens at 127.0.0.1:{free}", id="refused port"),
        pytest.param("https://127.0.0.1:{free}/STU3", "Nothing listens at 127.0.0.1:{free}", id="refused port, TLS"),
    ],
)
@pytest.mark.parametrize("interaction", ["read", "update"])
def test_an_unsent_request_has_failed(base_url: str, words: str, interaction: str) -> None:
    free = free_port()
    client = Client(base_url.format(free=free), connection=Connection(allow_writes=True))
    exchange = client.read("List", "1") if interaction == "read" else client.update(HELD, if_match='W/"a"')
    assert (exchange.verdict, exchange.sent, exchange.response) == (Verdict.FAILED, False, None)
    assert words.format(free=free) in exchange.failure
    assert_told_in_a_sentence(exchange)
    assert list(client.journal) == [exchange]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param(hangs_up, "broke off before an answer came", id="hangs up"),
        pytest.param(never_answers, "did not answer in time", id="never answers"),
        pytest.param(says(b"\x00\x01 nonsense\r\n\r\n"), "before an answer came", id="not HTTP"),
        pytest.param(says(b"HTTP/1.1 two hundred\r\n\r\n"), "before an answer came", id="no status"),
        pytest.param(says(b"HTTP/1.1 100 Continue\r\n\r\n"), "before an answer came", id="only 100 Continue"),
    ],
)
@pytest.mark.parametrize("interaction", ["read", "update", "create", "delete"])
def test_what_was_sent_and_not_answered_is_unknown_and_not_sent_again(
    script: Script, words: str, interaction: str
) -> None:
    with stranger(script) as server:
        client = Client(server.url, connection=QUICK)
        exchange = {
            "read": lambda: client.read("List", "1"),
            "update": lambda: client.update(HELD, if_match='W/"a"'),
            "create": lambda: client.create(LIST),
            "delete": lambda: client.delete("List", "1", if_match='W/"a"'),
        }[interaction]()
    assert (exchange.verdict, exchange.sent, exchange.response) == (Verdict.UNKNOWN, True, None)
    assert words in exchange.failure
    assert_told_in_a_sentence(exchange)
    assert (server.connections, len(server.requests)) == (1, 1)


def test_a_kept_connection_that_closes_on_the_next_request_is_not_tried_again() -> None:
    first = answers(200, stored("a"), FHIR, 'ETag: W/"a"', after=After.NEXT)
    with stranger(first, hangs_up) as server:
        client = Client(server.url)
        assert client.read("List", LOGICAL_ID).verdict is Verdict.READ
        assert client.update(HELD).verdict is Verdict.UNKNOWN
    assert (server.connections, len(server.requests)) == (1, 2)


class Answered(NamedTuple):
    """What a status says although its body is no FHIR: of a read, and of an update."""

    script: Script
    read: Verdict
    update: Verdict


PAGE = "Content-Type: text/html"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Answered(answers(502, HTML, PAGE), Verdict.FAILED, Verdict.UNKNOWN), id="502"),
        pytest.param(Answered(answers(504, HTML, PAGE), Verdict.FAILED, Verdict.UNKNOWN), id="504"),
        pytest.param(Answered(answers(503, HTML, PAGE), Verdict.FAILED, Verdict.FAILED), id="503"),
        pytest.param(Answered(answers(404, HTML, PAGE), Verdict.NOT_FOUND, Verdict.NOT_FOUND), id="404"),
        pytest.param(Answered(answers(403, HTML, PAGE), Verdict.REFUSED, Verdict.REFUSED), id="403"),
        pytest.param(Answered(answers(405, HTML, PAGE), Verdict.UNSUPPORTED, Verdict.UNSUPPORTED), id="405"),
        pytest.param(Answered(answers(409, HTML, PAGE), Verdict.REFUSED, Verdict.STALE), id="409"),
        pytest.param(Answered(answers(412, b"{", FHIR), Verdict.REFUSED, Verdict.STALE), id="412, half a JSON"),
        pytest.param(Answered(answers(404, b"[1]", FHIR), Verdict.NOT_FOUND, Verdict.NOT_FOUND), id="JSON, no object"),
        pytest.param(
            Answered(answers(500, b"half", FHIR, length=900), Verdict.FAILED, Verdict.FAILED), id="500, broke off"
        ),
    ],
)
def test_an_answer_that_is_no_fhir_is_judged_by_its_status(case: Answered) -> None:
    with stranger(case.script) as server:
        client = Client(server.url)
        read, update = client.read("List", "1"), client.update(HELD, if_match='W/"a"')
    assert (read.verdict, update.verdict) == (case.read, case.update)
    for exchange in (read, update):
        assert (exchange.outcome, exchange.etag) == (None, None)
        assert exchange.explain()
        assert exchange.as_http()
    assert len(server.requests) == 2


def test_an_update_whose_answer_breaks_off_after_its_status_was_carried_out() -> None:
    script = answers(200, b'{"resource', FHIR, 'ETag: W/"b"', length=900)
    with stranger(script) as server:
        exchange = Client(server.url).update(HELD, if_match='W/"a"', prefer="representation")
    assert (exchange.status, exchange.verdict, exchange.etag) == (200, Verdict.UPDATED, ETag("b"))
    assert exchange.failure == "The answer's body broke off."
    assert len(server.requests) == 1


def test_an_incomplete_answer_is_reported() -> None:
    with stranger(answers(200, b'{"resource', FHIR, length=900)) as server:
        exchange = Client(server.url).read("List", "1")
    assert "broke off" in exchange.explain()


def test_a_compressed_answer_is_undone_and_repeated_fields_are_kept() -> None:
    body = gzip.compress(stored("a"))
    with stranger(answers(200, body, FHIR, "Content-Encoding: gzip", "Warning: 199 a", "Warning: 199 b")) as server:
        exchange = Client(server.url).read("List", LOGICAL_ID)
    assert exchange.response is not None
    assert exchange.response.body == stored("a")
    assert [value for name, value in exchange.response.headers.items() if name == "Warning"] == ["199 a", "199 b"]


# --- TLS ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on PATH to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=spine"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(made), "-keyout", str(key)]
    subprocess.run([openssl, *words], check=True, capture_output=True)
    return made, key


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def test_an_untrusted_certificate_stops_the_request(
    tls: ssl.SSLContext, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # named in the environment, but not to us
        monkeypatch.setenv(name, str(certificate[0]))
    with stranger(answers(200), tls=tls) as server:
        exchange = Client(server.url).update(HELD, if_match='W/"a"')
    assert (exchange.verdict, exchange.sent) == (Verdict.FAILED, False)
    assert "certificate of 127.0.0.1" in exchange.failure
    assert_told_in_a_sentence(exchange)
    assert server.requests == []


def test_a_named_certificate_is_trusted(tls: ssl.SSLContext, certificate: tuple[Path, Path]) -> None:
    with stranger(answers(200), tls=tls) as server:
        client = Client(server.url, connection=Connection(verify=str(certificate[0])))
        assert client.update(HELD, if_match='W/"a"').verdict is Verdict.UPDATED


def test_https_to_a_server_without_tls_has_failed() -> None:
    with stranger(answers(200)) as server:
        exchange = Client(server.url.replace("http:", "https:")).update(HELD, if_match='W/"a"')
    assert (exchange.verdict, exchange.sent) == (Verdict.FAILED, False)
    assert "No TLS with 127.0.0.1" in exchange.failure
    assert server.requests == []


@pytest.mark.parametrize("script", [forgets_tls, hangs_up, never_answers])
def test_a_tls_connection_that_ends_after_the_request_leaves_it_unknown(
    tls: ssl.SSLContext, certificate: tuple[Path, Path], script: Script
) -> None:
    connection = Connection(verify=str(certificate[0]), timeout=(5, 0.5))
    with stranger(script, tls=tls) as server:
        exchange = Client(server.url, connection=connection).update(HELD, if_match='W/"a"')
    assert len(server.requests) == 1, "the whole request arrived, so it may have been carried out"
    assert (exchange.verdict, exchange.sent) == (Verdict.UNKNOWN, True)
    assert_told_in_a_sentence(exchange)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda each: each.name)
def test_a_server_that_wants_our_certificate_has_read_nothing(
    tls: ssl.SSLContext, certificate: tuple[Path, Path], version: ssl.TLSVersion
) -> None:
    tls.minimum_version = tls.maximum_version = version
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(certificate[0])
    trusting = Connection(verify=str(certificate[0]))
    with stranger(answers(200), tls=tls) as server:
        exchange = Client(server.url, connection=trusting).update(HELD, if_match='W/"a"')
    assert server.requests == []
    assert (exchange.verdict, exchange.sent) == (Verdict.FAILED, False)
    assert_told_in_a_sentence(exchange)
    named = Connection(verify=str(certificate[0]), cert=(str(certificate[0]), str(certificate[1])))
    with stranger(answers(200), tls=tls) as server:
        assert Client(server.url, connection=named).update(HELD, if_match='W/"a"').verdict is Verdict.UPDATED


@pytest.mark.parametrize("option", ["verify", "cert"])
def test_a_certificate_file_that_is_not_there_is_reported(option: str, tmp_path: Path) -> None:
    missing: dict[str, Any] = {option: str(tmp_path / "absent.pem")}

    def try_it() -> Exchange:  # whether it is noticed when the connection is described or when it is first used
        return Client("https://127.0.0.1:9/STU3", connection=Connection(**missing)).read("List", "1")

    with pytest.raises(BadInput, match=r"absent\.pem"):
        try_it()


# --- the environment ---


def test_a_proxy_in_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with stranger(answers(200, stored("a"), FHIR)) as server:
        with pytest.raises(requests.exceptions.ProxyError):
            requests.get(server.url, timeout=5)  # so the trap is a trap
        assert Client(server.url).read("List", LOGICAL_ID).verdict is Verdict.READ


def test_a_netrc_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login planted password planted\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with stranger(answers(200, stored("a"), FHIR)) as server:
        requests.get(server.url, timeout=5)
        Client(server.url).read("List", LOGICAL_ID)
    assert [b"Authorization: Basic" in heard for heard in server.requests] == [True, False]


# --- the client itself ---


def test_an_exchange_says_when_it_took_place_and_how_long_it_took() -> None:
    at = datetime(2018, 5, 25, 16, 10, tzinfo=UTC)
    with stranger(answers(200)) as server:
        timed = Client(server.url, clock=lambda: at).read("List", "1")
        untimed = Client(server.url, timed=False).read("List", "1")
    assert timed.sent_at == at
    assert timed.elapsed is not None
    assert 0 < timed.elapsed < 60
    assert untimed.elapsed is None


def test_clients_may_share_a_journal_or_have_their_own() -> None:
    journal = Journal()
    with stranger(answers(404)) as server:
        clients: Sequence[Client] = [Client(server.url, name=name, journal=journal) for name in ("alice", "bob")]
        for client in clients:
            client.read("List", "1")
        alone = Client(server.url)
    assert [exchange.client for exchange in journal] == ["alice", "bob"]
    assert alone.journal is not journal


def test_a_closed_client_keeps_its_journal() -> None:
    with stranger(answers(404)) as server:
        client = Client(server.url, name="alice")
        client.read("List", "1")
        client.close()
    assert len(client.journal) == 1
    assert repr(client) == "<Client alice>"
