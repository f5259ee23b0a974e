"""Logical names: the same in every run, and each leads back to what the endpoint calls it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from workbench.exchange.message import Headers, Request, Response
from workbench.fhir import json
from workbench.recording.logical import BASE_URL, LogicalNames

BASE = "https://hapi.example:8443/fhir"
START = datetime(2018, 5, 25, 16, 10, tzinfo=UTC)
ABOUT = ("List", "1")


def body(**members: object) -> bytes:
    return json.dumps({"resourceType": "List", **members}).encode()


def read(names: LogicalNames, version: str, updated: str, logical_id: str = "1") -> Response:
    headers = Headers({"ETag": f'W/"{version}"', "Date": "Mon, 23 Nov 2026 10:00:00 GMT", "X-Request-Id": "8f0e"})
    content = body(id=logical_id, meta={"versionId": version, "lastUpdated": updated})
    return names.response("GET", ("List", logical_id), Response(200, headers, content))


def test_versions_are_counted_for_each_resource_and_called_back() -> None:
    names = LogicalNames(BASE, START)
    received = [read(names, version, "2026-11-23T10:00:00.123Z").headers["ETag"] for version in ("7", "9", "7")]
    assert received == ['W/"v1"', 'W/"v2"', 'W/"v1"']
    assert read(names, "9", "2026-11-23T10:00:00Z", "2").headers["ETag"] == 'W/"v1"'
    for target, own in ((ABOUT, "7"), (("List", "2"), "9")):
        asked = Request("PUT", f"{BASE_URL}/List/{target[1]}", Headers({"If-Match": 'W/"v1"'}), body(id=target[1]))
        sent, about = names.request(asked, target)
        assert (sent.headers["If-Match"], sent.url, about) == (f'W/"{own}"', f"{BASE}/List/{target[1]}", target)
    strange, _ = names.request(Request("PUT", f"{BASE_URL}/List/1", Headers({"If-Match": 'W/"v9", "x"'})), ABOUT)
    assert strange.headers["If-Match"] == 'W/"v9", "x"'


def test_a_created_resource_has_a_logical_name_everywhere() -> None:
    names = LogicalNames(BASE, START)
    headers = Headers({"Location": f"{BASE}/List/1042/_history/1", "ETag": 'W/"1"'})
    made = names.response("POST", ("List", ""), Response(201, headers, body(id="1042", meta={"versionId": "1"})))
    assert made.headers["Location"] == f"{BASE_URL}/List/list-1/_history/v1"
    assert json.parse(made.body) == {"resourceType": "List", "id": "list-1", "meta": {"versionId": "v1"}}
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"fullUrl": f"{BASE}/List/1042", "resource": {"reference": "List/1042"}}],
    }
    found = json.parse(names.response("GET", ("List", ""), Response(200, body=json.dumps(bundle).encode())).body)
    assert found["entry"] == [{"fullUrl": f"{BASE_URL}/List/list-1", "resource": {"reference": "List/list-1"}}]
    asked = Request("PUT", f"{BASE_URL}/List/list-1", body=body(id="list-1", source={"reference": "List/list-1"}))
    sent, about = names.request(asked, ("List", "list-1"))
    assert (sent.url, about) == (f"{BASE}/List/1042", ("List", "1042"))
    assert json.parse(sent.body) == {"resourceType": "List", "id": "1042", "source": {"reference": "List/1042"}}


def test_dates_depend_on_versions_not_on_speed() -> None:
    slow, quick = LogicalNames(BASE, START), LogicalNames(BASE, START)
    received = [
        [read(names, version, updated).body for version, updated in zip(("7", "8"), dates, strict=True)]
        for names, dates in (
            (slow, ("2026-11-23T10:00:00Z", "2026-11-23T10:05:00Z")),
            (quick, ("2026-11-23T10:00:00.1Z", "2026-11-23T10:00:00.2Z")),
        )
    ]
    assert received[0] == received[1]
    assert json.parse(received[0][1])["meta"]["lastUpdated"] == "2018-05-25T16:10:01.000+00:00"


def test_a_condition_by_date_is_called_back() -> None:
    names = LogicalNames(BASE, START)
    headers = Headers({"ETag": 'W/"7"', "Last-Modified": "Mon, 23 Nov 2026 10:00:00 GMT"})
    received = names.response("GET", ABOUT, Response(200, headers)).headers["Last-Modified"]
    assert received == "Fri, 25 May 2018 16:10:00 GMT"
    sent, _ = names.request(Request("GET", f"{BASE_URL}/List/1", Headers({"If-Modified-Since": received})), ABOUT)
    assert sent.headers["If-Modified-Since"] == "Mon, 23 Nov 2026 10:00:00 GMT"


def test_only_listed_header_fields_are_passed_on() -> None:
    names = LogicalNames(BASE, START)
    headers = Headers({"Set-Cookie": "a=secret", "X-Request-Id": "8f0e", "Server": "x", "Content-Type": "text/html"})
    assert list(names.response("GET", ABOUT, Response(500, headers, b"<b>")).headers.items()) == [
        ("Content-Type", "text/html")
    ]


def test_unknown_values_are_passed_on_unchanged() -> None:
    names = LogicalNames(BASE, START)
    odd = b'{"resourceType":"List","id":"1","meta":{"lastUpdated":"yesterday"},"value":1.10,"n":[1e2,null]}'
    assert names.response("GET", ABOUT, Response(200, body=odd)).body == odd
    for untouched in (b"{ not json", b'{ "resourceType" : "List" }', b""):
        assert names.request(Request("PUT", f"{BASE_URL}/List/1", body=untouched), ABOUT)[0].body == untouched
    too_late = b'{"resourceType":"List","id":"1","meta":{"lastUpdated":"9999-12-31T23:59:59-01:00"}}'
    assert names.response("GET", ABOUT, Response(200, body=too_late)).body == too_late
    for text in ("yesterday", "Fri, 31 Dec 9999 23:59:59 -0100", f"Mon, 01 Jan {10**20} 00:00:00 GMT"):
        fields = Headers({"Last-Modified": text})
        assert names.response("GET", ABOUT, Response(200, fields)).headers["Last-Modified"] == text


def test_an_outcome_quotes_the_logical_names_of_its_resource() -> None:
    """Two resources have versions that are written the same; what was asked about comes first."""
    names = LogicalNames(BASE, START)
    for logical_id, versions in (("1", ("aaaa-0001", "shared-0001")), ("2", ("shared-0001",))):
        for version in versions:
            read(names, version, "2026-11-23T10:00:00Z", logical_id)
    said = {
        "issue": [{"diagnostics": "You named shared-0001, not xshared-0001 or shared-0001-b; aaaa-0001 was first."}]
    }
    refused = Response(409, body=json.dumps({"resourceType": "OperationOutcome"} | said).encode())
    for logical_id, name in (("1", "v2"), ("2", "v1")):
        received = json.parse(names.response("PUT", ("List", logical_id), refused).body)["issue"][0]["diagnostics"]
        assert received == f"You named {name}, not xshared-0001 or shared-0001-b; v1 was first."


def test_the_id_of_an_outcome_is_left_out() -> None:
    """A server may give each outcome a new one. The id of a resource inside is content, and kept."""
    names = LogicalNames("http://one/STU3", START)
    said = {"resourceType": "OperationOutcome", "id": "6f1c", "contained": [{"resourceType": "Flag", "id": "a"}]}
    named = names.response("GET", ("List", "1"), Response(404, body=json.dumps(said).encode()))
    assert json.parse(named.body) == {name: value for name, value in said.items() if name != "id"}


def test_a_long_session_takes_no_longer_for_each_answer() -> None:
    names = LogicalNames(BASE, START)
    issues = [{"diagnostics": f"the version is version-{number}"} for number in range(4000)]
    refused = Response(409, body=json.dumps({"resourceType": "OperationOutcome", "issue": issues}).encode())
    before = time.process_time()
    for number in range(4000):
        read(names, f"version-{number}", "2026-11-23T10:00:00Z")
        names.request(Request("PUT", f"{BASE_URL}/List/1", Headers({"If-Match": f'W/"v{number + 1}"'})), ABOUT)
    received = names.response("PUT", ABOUT, refused)
    assert time.process_time() - before < 10, "the product of versions and texts took minutes"
    assert json.parse(received.body)["issue"][-1]["diagnostics"] == "the version is v4000"
