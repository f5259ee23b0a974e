"""The CapabilityStatement and what it promises, version ids, and formats (CAP-1, VER-1, FMT-1 to FMT-3)."""

import gzip
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from fhir.resources.STU3.capabilitystatement import CapabilityStatement
from spinekit import FHIR_JSON, LIMIT, WRITTEN_TYPE, Held, Service, a_list, assert_refused

SUBJECT = {"reference": "Patient/1"}
ONE_OF_EACH: dict[str, dict[str, Any]] = {
    "Condition": {"subject": SUBJECT},
    "Consent": {"status": "active", "patient": SUBJECT, "policyRule": "https://example.org/rule"},
    "Flag": {"status": "active", "code": {"text": "a"}, "subject": SUBJECT},
    "List": {"status": "current", "mode": "working"},
    "Subscription": {
        "status": "requested",
        "reason": "a",
        "criteria": "Flag?",
        "channel": {"type": "message", "endpoint": "a"},
    },
}


def statement(endpoint: Service) -> dict[str, Any]:
    stated: dict[str, Any] = endpoint.get("metadata").json()
    return stated


@pytest.mark.promise("CAP-1")
@pytest.mark.parametrize(("method", "path"), [("GET", "metadata"), ("OPTIONS", "")])
def test_the_capability_statement(endpoint: Service, method: str, path: str) -> None:
    answer = endpoint.send(method, path)
    stated = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, WRITTEN_TYPE)
    CapabilityStatement.model_validate(stated)
    assert stated["resourceType"] == "CapabilityStatement"
    assert re.fullmatch(r"3\.0\.[1-9]", stated["fhirVersion"])
    assert stated["implementation"]["url"] == endpoint.base_url
    assert not [word for word in stated["format"] if "xml" in word]


@pytest.mark.promise("CAP-1")
def test_options_at_the_base_without_a_slash(endpoint: Service) -> None:
    answer = endpoint.session.options(endpoint.base_url, timeout=30)
    assert answer.json() == statement(endpoint)


@pytest.mark.promise("CAP-1")
def test_what_it_says_of_each_type(endpoint: Service) -> None:
    (rest,) = statement(endpoint)["rest"]
    assert rest["mode"] == "server"
    assert [listed["type"] for listed in rest["resource"]] == ["Condition", "Consent", "Flag", "List", "Subscription"]
    for listed in rest["resource"]:
        codes = [interaction["code"] for interaction in listed["interaction"]]
        assert sorted(codes) == ["create", "delete", "read", "search-type", "update"]
        assert listed["versioning"] == "versioned-update"
        assert (listed["updateCreate"], listed["readHistory"], listed["conditionalUpdate"]) == (False, False, False)
        assert {parameter["name"] for parameter in listed["searchParam"]} >= {"_id", "_lastUpdated"}


@pytest.mark.promise("CAP-1")
@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_each_type_keeps_what_it_says(endpoint: Service, kind: str) -> None:
    held = endpoint.create({"resourceType": kind, **ONE_OF_EACH[kind]})
    assert endpoint.get(held.path).json()["resourceType"] == kind
    assert endpoint.get(f"{kind}?_id={held.logical_id}").json()["total"] == 1
    body = {"resourceType": kind, "id": held.logical_id, **ONE_OF_EACH[kind], "language": "en-GB"}
    update = endpoint.put(held.path, body, held.etag)
    assert update.status_code == 200
    assert endpoint.delete(held.path, update.headers["ETag"]).status_code == 204
    assert endpoint.get(held.path).status_code == 404


@pytest.mark.promise("VER-1")
def test_the_shape_of_an_etag(endpoint: Service, held: Held) -> None:
    etags = [held.etag]
    for number in range(20):
        etags.append(endpoint.put(held.path, held.body(title=str(number)), etags[-1]).headers["ETag"])
    assert all(re.fullmatch(r'W/"[0-9a-f]{8}-[0-9a-f]{4}"', etag) for etag in etags)
    assert etags != sorted(etags)
    assert etags != sorted(etags, reverse=True)


@pytest.mark.promise("FMT-1")
@pytest.mark.parametrize(
    "media_type",
    [
        "application/fhir+json",
        "application/json+fhir",
        "application/json",
        "application/fhir+json;charset=utf-8",
        "application/fhir+json; charset=UTF-8",
        "Application/FHIR+JSON",
        "application/json ; fhirVersion=3.0",
    ],
)
def test_what_is_read(endpoint: Service, held: Held, media_type: str) -> None:
    assert endpoint.put(held.path, held.body(title="x"), held.etag, content_type=media_type).status_code == 200
    assert endpoint.post("List", held.body() | {"id": "x"}, content_type=media_type).status_code == 405
    assert endpoint.get(held.path).headers["Content-Type"] == WRITTEN_TYPE


@pytest.mark.promise("FMT-1")
@pytest.mark.parametrize(
    "media_type",
    [
        "application/fhir+xml",
        "application/xml",
        "text/xml",
        "text/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/merge-patch+json",
        "application/jsonx",
        "json",
        "*/*",
        "application/json, application/xml",
        "",
        None,
    ],
)
def test_what_is_not_read(endpoint: Service, held: Held, media_type: str | None) -> None:
    before = endpoint.get("List?_count=0").json()["total"]
    with endpoint.unchanged(held.path):
        update = endpoint.put(held.path, held.body(title="x"), held.etag, content_type=media_type)
        create = endpoint.post("List", {"resourceType": "List"}, content_type=media_type)
    assert_refused(update, 415, "not-supported", "UNSUPPORTED_MEDIA_TYPE")
    assert_refused(create, 415, "not-supported", "UNSUPPORTED_MEDIA_TYPE")
    assert endpoint.get("List?_count=0").json()["total"] == before


ACCEPTED = [
    (None, 200),
    ("*/*", 200),
    ("application/*", 200),
    ("application/fhir+json", 200),
    ("application/json+fhir", 200),
    ("application/json", 200),
    ("application/fhir+json;charset=utf-8", 200),
    ("APPLICATION/JSON", 200),
    ("application/fhir+xml, application/fhir+json;q=0.1", 200),
    ("text/html, */*;q=0.8", 200),
    ("application/fhir+xml", 406),
    ("application/xml", 406),
    ("text/html", 406),
    ("text/*", 406),
    ("application/fhir+json;q=0", 406),
]


@pytest.mark.promise("FMT-1", "FMT-2")
@pytest.mark.parametrize(("accept", "status"), ACCEPTED)
@pytest.mark.parametrize("path", ["{path}", "List?_id={id}", "metadata"])
def test_what_is_written(endpoint: Service, held: Held, path: str, accept: str | None, status: int) -> None:
    answer = endpoint.get(path.format(path=held.path, id=held.logical_id), accept=accept)
    if status == 406:
        assert_refused(answer, 406, "not-supported", "UNSUPPORTED_MEDIA_TYPE")
    else:
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, WRITTEN_TYPE)


@pytest.mark.promise("FMT-1")
def test_an_update_whose_answer_cannot_be_written_changes_nothing(endpoint: Service, held: Held) -> None:
    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, held.body(title="x"), held.etag, accept="application/fhir+xml")
    assert_refused(answer, 406, "not-supported", "UNSUPPORTED_MEDIA_TYPE")


XML = "application/fhir+xml"
WINNERS = [
    ("json", XML, None, 200),
    ("application/json", XML, None, 200),
    ("application/fhir%2Bjson", XML, XML, 200),
    ("application/fhir+json", XML, XML, 200),
    ("application/json%2Bfhir", None, None, 200),
    ("xml", FHIR_JSON, None, 406),
    ("application/fhir%2Bxml", FHIR_JSON, FHIR_JSON, 406),
    ("", FHIR_JSON, None, 406),
    (None, XML, FHIR_JSON, 406),
    (None, FHIR_JSON, XML, 200),
    (None, None, XML, 406),
    (None, None, FHIR_JSON, 200),
    (None, None, None, 200),
]


@pytest.mark.promise("FMT-2")
@pytest.mark.parametrize(("wanted", "accept", "content_type", "status"), WINNERS)
def test_format_then_accept_then_content_type(
    endpoint: Service, held: Held, wanted: str | None, accept: str | None, content_type: str | None, status: int
) -> None:
    query = "" if wanted is None else f"?_format={wanted}"
    answer = endpoint.get(held.path + query, accept=accept, content_type=content_type)
    assert answer.status_code == status


@pytest.mark.promise("FMT-2")
@pytest.mark.parametrize(("wanted", "status"), [("json", 200), ("xml", 406)])
def test_format_on_an_update(endpoint: Service, held: Held, wanted: str, status: int) -> None:
    answer = endpoint.put(f"{held.path}?_format={wanted}", held.body(title="x"), held.etag)
    assert answer.status_code == status
    assert (endpoint.get(held.path).headers["ETag"] == held.etag) == (status == 406)


GZIP = [
    ("gzip", True),
    ("deflate, gzip", True),
    ("gzip;q=0.5", True),
    ("GZIP", True),
    (None, False),
    ("identity", False),
    ("gzip;q=0", False),
    ("br", False),
]


@pytest.mark.promise("FMT-3")
@pytest.mark.parametrize(("accept_encoding", "gzipped"), GZIP)
def test_gzip_for_whoever_asks(endpoint: Service, held: Held, accept_encoding: str | None, gzipped: bool) -> None:
    endpoint.put(held.path, held.body(title="x" * 1000), held.etag)
    plain = endpoint.get(held.path, accept_encoding="identity").content
    fields = {"Accept-Encoding": accept_encoding}
    asked = requests.Request("GET", f"{endpoint.base_url}/{held.path}", headers=fields)
    request = endpoint.session.prepare_request(asked)
    with endpoint.session.send(request, stream=True, timeout=30) as answer:
        sent = answer.raw.read(decode_content=False)
    assert answer.headers.get("Content-Encoding") == ("gzip" if gzipped else None)
    assert int(answer.headers["Content-Length"]) == len(sent)
    assert (gzip.decompress(sent) if gzipped else sent) == plain


@pytest.mark.promise("FMT-3")
def test_an_error_is_gzipped_too(endpoint: Service) -> None:
    answer = endpoint.get("Patient/1", accept_encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert_refused(answer, 501, "not-supported", "NOT_IMPLEMENTED")


@pytest.mark.promise("FMT-3")
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
def test_a_gzipped_request_body(endpoint: Service, held: Held, coding: str) -> None:
    headers = {"Content-Type": FHIR_JSON, "If-Match": held.etag, "Content-Encoding": coding}
    content = json.dumps(held.body(title="packed é")).encode()
    # As large as a body may be, once it is unpacked.
    packed = gzip.compress(content + b" " * (LIMIT - len(content)))
    answer = endpoint.session.put(f"{endpoint.base_url}/{held.path}", data=packed, headers=headers, timeout=30)
    assert answer.status_code == 200
    assert endpoint.get(held.path).json()["title"] == "packed é"


@pytest.mark.promise("FMT-3")
def test_a_gzipped_create_and_search(endpoint: Service) -> None:
    headers: dict[str, str | None] = {"Content-Type": FHIR_JSON, "Content-Encoding": "gzip"}
    made = endpoint.send("POST", "List", headers=headers, body=gzip.compress(json.dumps(a_list()).encode()))
    assert made.status_code == 201
    logical_id = made.headers["Location"].rpartition("/")[2]
    form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    found = endpoint.send("POST", "List/_search", headers=form, body=gzip.compress(f"_id={logical_id}".encode()))
    assert found.json()["total"] == 1
    bomb = endpoint.send("POST", "List/_search", headers=form, body=gzip.compress(b"a" * 10_000_000))
    assert_refused(bomb, 413, "too-long", "BAD_REQUEST")
    unread = endpoint.send("POST", "List/_search", headers=form | {"Content-Encoding": "br"}, body=b"_id=a")
    assert_refused(unread, 415, "not-supported", "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.promise("FMT-3")
def test_a_content_coding_that_codes_nothing(endpoint: Service, held: Held) -> None:
    headers = {"Content-Type": FHIR_JSON, "If-Match": held.etag, "Content-Encoding": "identity"}
    assert endpoint.send("PUT", held.path, headers=headers, body=held.body()).status_code == 200


@pytest.mark.promise("FMT-3")
def test_a_chunked_request_body(endpoint: Service, held: Held) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"resourceType":"List","id":"'
        yield held.logical_id.encode()
        yield b'","status":"current","mode":"working","title":"in pieces"}'

    assert endpoint.put(held.path, pieces(), held.etag).status_code == 200
    assert endpoint.get(held.path).json()["title"] == "in pieces"
