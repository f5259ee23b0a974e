"""The version that a client sends: learnt from a search, from ``E-Tag``, from the resource; and never from a part."""

from __future__ import annotations

import json
from typing import Any

import pytest
from stranger import answers, stranger

from workbench import BadInput, Client, Connection, Endpoint, Retry, Verdict

FHIR = "Content-Type: application/fhir+json"
LIST = {"resourceType": "List", "id": "1", "status": "current", "mode": "working"}
STORY = "744eec7d-8951-4722-ad74-dc34e86d4e1a"


def stored(version_id: str, **more: Any) -> dict[str, Any]:
    return {**LIST, "meta": {"versionId": version_id, **more}}


def found(*resources: object) -> bytes:
    entries = [{"resource": resource} for resource in resources]
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries}).encode()


def body(resource: dict[str, Any]) -> bytes:
    return json.dumps(resource).encode()


def headers(request: bytes) -> dict[str, str]:
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines)


# --- a search ---


def test_a_search_then_an_update() -> None:
    with Endpoint.in_process(seed=1) as spine:
        alice = spine.client("alice")
        (entry,) = alice.search("List", _id=STORY).resource["entry"]
        put = alice.update(entry["resource"] | {"title": "Found and changed"})
    assert put.verdict is Verdict.UPDATED
    assert put.if_match == f'W/"{entry["resource"]["meta"]["versionId"]}"'


def test_a_search_does_not_replace_a_version_that_was_read() -> None:
    """Alice's draft is of the version she read. With the version that the search listed she would overwrite Bob's."""
    with Endpoint.in_process(seed=1) as spine:
        alice, bob = spine.client("alice"), spine.client("bob")
        draft = alice.read("List", STORY).resource
        bob.read("List", STORY)
        assert bob.update(draft | {"title": "Bob's"}).ok
        alice.search("List")
        assert alice.update(draft | {"title": "Alice's"}).verdict is Verdict.STALE


def test_the_last_search_counts() -> None:
    with stranger(answers(200, found(stored("1")), FHIR), answers(200, found(stored("2")), FHIR)) as server:
        client = Client(server.url)
        client.search("List")
        client.search("List")
    assert client.last_seen("List", "1") == 'W/"2"'


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(stored("1", tag=[{"code": "SUBSETTED"}]), id="a part of it"),
        pytest.param(LIST, id="no version"),
        pytest.param(stored("a\nb"), id="a version that cannot be sent"),
        pytest.param({**stored("1"), "id": 1}, id="an id that is none"),
        pytest.param({"resourceType": "List", "id": "1", "meta": []}, id="a meta that is none"),
        pytest.param("List/1", id="no resource"),
        pytest.param(None, id="null"),
    ],
)
def test_what_a_search_does_not_teach(resource: object) -> None:
    with stranger(answers(200, found(resource), FHIR)) as server:
        client = Client(server.url)
        client.search("List")
        with pytest.raises(BadInput, match="has not read List/1"):
            client.update(LIST)


@pytest.mark.parametrize("bundle", [b"[]", b'{"entry": {}}', b'{"entry": [1]}', b"{}", b"not JSON"])
def test_a_search_that_brings_no_bundle(bundle: bytes) -> None:
    with stranger(answers(200, bundle, FHIR)) as server:
        client = Client(server.url)
        client.search("List")
    assert client.last_seen("List", "1") is None


def test_a_part_of_a_resource_teaches_no_version() -> None:
    part = body(stored("1", tag=[{"code": "SUBSETTED"}]))
    with stranger(answers(200, part, FHIR, 'ETag: W/"1"')) as server:
        client = Client(server.url)
        assert client.send("GET", "List/1?_elements=title").interaction == "read"
    assert client.last_seen("List", "1") is None


# --- the same search in three ways ---


def test_a_repeated_parameter_a_list_and_a_form_ask_the_same() -> None:
    asked = "_lastUpdated=ge2018&_lastUpdated=lt2019&status=current%2Cretired"
    with stranger(answers(200, found(), FHIR)) as server:
        client = Client(server.url)
        client.search("List", [("_lastUpdated", "ge2018"), ("_lastUpdated", "lt2019"), ("status", "current,retired")])
        client.search("List", _lastUpdated=["ge2018", "lt2019"], status="current,retired")
        posted = client.search("List", _lastUpdated=["ge2018", "lt2019"], status="current,retired", by_post=True)
    first, second, third = server.requests
    assert first.startswith(f"GET /STU3/List?{asked} ".encode())
    assert first.split(b"\r\n")[0] == second.split(b"\r\n")[0]
    assert third.startswith(b"POST /STU3/List/_search ")
    assert third.endswith(b"\r\n\r\n" + asked.encode())
    assert headers(third)["Content-Type"] == "application/x-www-form-urlencoded"
    assert (posted.interaction, posted.verdict) == ("search-type", Verdict.READ)


def test_a_search_by_post_is_no_write() -> None:
    """Its failure leaves nothing open, and the guard of live endpoints lets it pass."""
    with stranger(answers(504)) as server:
        failed = Client(server.url).search("List", by_post=True)
    assert failed.verdict is Verdict.FAILED
    assert "Read the resource before" not in failed.explain()
    connection = Connection(timeout=(0.1, 0.1), deadline=0.2)
    client = Client("http://spine.invalid/STU3", connection=connection)
    assert client.search("List", by_post=True).sent is False


@pytest.mark.parametrize("path", ["List", "List#/_search", "List?x=/_search", "List/1", "List/_search/x"])
def test_the_guard_stops_every_other_post(path: str) -> None:
    client = Client("http://spine.invalid/STU3")
    with pytest.raises(Exception, match="is not this machine"):
        client.send("POST", path, interaction="search-type")


# --- E-Tag, and a header that cannot be read ---


def test_the_e_tag_of_nhs_immunisation_goes_both_ways() -> None:
    with stranger(
        answers(200, body(stored("2")), FHIR, "E-Tag: 2"),
        answers(200, b"", "E-Tag: 3"),
        answers(200, b"", "E-Tag: 4"),
        answers(204),
    ) as server:
        client = Client(server.url)
        read = client.read("List", "1")
        put = client.update(LIST)
        client.update(LIST, if_match=put.etag, retry=Retry(times=0))
        client.delete("List", "1")
    assert str(read.etag) == 'W/"2"'
    assert [headers(request).get("E-Tag") for request in server.requests] == [None, "2", "3", "4"]
    assert not any("If-Match" in headers(request) for request in server.requests)
    assert (put.verdict, put.if_match, str(put.etag)) == (Verdict.UPDATED, "2", 'W/"3"')
    frame = client.journal.transitions()
    assert frame["etag_after"].tolist()[:3] == ['W/"2"', 'W/"3"', 'W/"4"']


@pytest.mark.parametrize("field", ['ETag: W/"a”', "ETag: abc", "ETag: W/abc", 'ETag: "a", "b"'])
def test_an_etag_that_cannot_be_read_gives_way_to_the_version_in_the_body(field: str) -> None:
    """The sandbox of NHS Reasonable Adjustments closes its ETag with a typographic quotation mark."""
    sent = field.encode().decode("latin-1")
    with stranger(answers(200, body(stored("7")), FHIR, sent)) as server:
        client = Client(server.url)
        client.read("List", "1")
    assert client.last_seen("List", "1") == 'W/"7"'


def test_an_etag_that_cannot_be_read_is_sent_back_where_there_is_nothing_else() -> None:
    with stranger(answers(200, body(LIST), FHIR, "ETag: 7")) as server:
        client = Client(server.url)
        client.read("List", "1")
    assert client.last_seen("List", "1") == "7"


# --- a create that is guarded by a version ---


def test_a_create_can_name_the_version_of_another_resource() -> None:
    """The NHS PDS API guards a new Coverage by the version of its Patient."""
    with stranger(answers(201, b"", 'ETag: W/"3"'), answers(409), answers(412)) as server:
        client = Client(server.url)
        made = client.create({"resourceType": "Coverage"}, if_match='W/"2"')
        stale = client.create({"resourceType": "Coverage"}, if_match='W/"1"')
        client.create({"resourceType": "Coverage"})
    assert headers(server.requests[0])["If-Match"] == 'W/"2"'
    assert "If-Match" not in headers(server.requests[2])
    assert (made.verdict, stale.verdict) == (Verdict.CREATED, Verdict.STALE)
    assert client.last_seen("Coverage", "") is None


# --- a request that timed out ---


def test_an_update_is_sent_again_after_a_408() -> None:
    with stranger(answers(408), answers(200, b"", 'ETag: W/"2"')) as server:
        done = Client(server.url).update(LIST, if_match='W/"1"', retry=Retry(times=1, pause=0))
    assert [each.verdict for each in done.attempts] == [Verdict.UNKNOWN, Verdict.UPDATED]
