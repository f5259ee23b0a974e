"""Searching (SR-1)."""

from datetime import datetime, timedelta

import pytest
from fhir.resources.STU3.bundle import Bundle
from spinekit import WRITTEN_TYPE, Held, Service, a_list, assert_refused


def found(endpoint: Service, **parameters: str) -> list[str]:
    """The ids that a search of Lists finds, in the order given."""
    answer = endpoint.send("GET", "List", params=parameters)
    assert answer.status_code == 200, answer.text
    return [entry["resource"]["id"] for entry in answer.json().get("entry", [])]


def updated(endpoint: Service, held: Held) -> datetime:
    return datetime.fromisoformat(endpoint.get(held.path).json()["meta"]["lastUpdated"])


@pytest.mark.promise("SR-1")
def test_a_search_is_a_searchset_bundle(endpoint: Service, held: Held) -> None:
    answer = endpoint.get(f"List?_id={held.logical_id}")
    bundle = answer.json()
    Bundle.model_validate(bundle)
    assert answer.headers["Content-Type"] == WRITTEN_TYPE
    assert (bundle["resourceType"], bundle["type"], bundle["total"]) == ("Bundle", "searchset", 1)
    (entry,) = bundle["entry"]
    assert entry["fullUrl"] == f"{endpoint.base_url}/{held.path}"
    assert (entry["resource"]["id"], entry["resource"]["meta"]["versionId"]) == (held.logical_id, held.version_id)
    assert {"relation": "self", "url": f"{endpoint.base_url}/List?_id={held.logical_id}"} in bundle["link"]


@pytest.mark.promise("SR-1", "UPD-5")
def test_a_search_shows_a_resource_as_a_read_does(endpoint: Service, held: Held) -> None:
    endpoint.put(held.path, held.body(extension=[{"url": "http://a", "valueDecimal": 1}]), held.etag)
    text = endpoint.get(held.path).content.replace(b":1}", b":1.10}")
    endpoint.put(held.path, text, endpoint.get(held.path).headers["ETag"])
    assert endpoint.get(held.path).content in endpoint.get(f"List?_id={held.logical_id}").content


@pytest.mark.promise("SR-1")
def test_by_id(endpoint: Service) -> None:
    one, two = endpoint.create(), endpoint.create()
    assert found(endpoint, _id=one.logical_id) == [one.logical_id]
    assert set(found(endpoint, _id=f"{one.logical_id},{two.logical_id}")) == {one.logical_id, two.logical_id}
    assert found(endpoint, _id="nobody") == []
    both = endpoint.get(f"List?_id={one.logical_id}&_id={two.logical_id}").json()
    assert (both["total"], "entry" in both) == (0, False)


@pytest.mark.promise("SR-1")
def test_a_search_stays_within_its_type(endpoint: Service, held: Held) -> None:
    assert endpoint.get(f"Flag?_id={held.logical_id}").json()["total"] == 0


AROUND = [
    ("", 0, True),
    ("", 1, False),
    ("eq", 0, True),
    ("ge", 0, True),
    ("ge", 1, False),
    ("gt", 0, False),
    ("gt", -1, True),
    ("le", 0, True),
    ("le", -1, False),
    ("lt", 0, False),
    ("lt", 1, True),
    ("sa", -1, True),
    ("sa", 0, False),
    ("eb", 1, True),
    ("eb", 0, False),
]


@pytest.mark.promise("SR-1")
@pytest.mark.parametrize(("prefix", "seconds", "hit"), AROUND)
def test_by_last_updated(endpoint: Service, held: Held, prefix: str, seconds: int, hit: bool) -> None:
    moment = updated(endpoint, held) + timedelta(seconds=seconds)
    value = f"{prefix}{moment.isoformat(timespec='milliseconds')}"
    assert found(endpoint, _id=held.logical_id, _lastUpdated=value) == ([held.logical_id] if hit else [])


@pytest.mark.promise("SR-1")
def test_by_a_span_of_last_updated(endpoint: Service, held: Held) -> None:
    moment = updated(endpoint, held)
    low, high = (f"{sign}{(moment + timedelta(seconds=s)).isoformat()}" for sign, s in (("ge", -1), ("lt", 1)))
    params = {"_id": held.logical_id, "_lastUpdated": [low, high]}
    answer = endpoint.send("GET", "List", params=params)  # type: ignore[arg-type]
    assert answer.json()["total"] == 1


@pytest.mark.promise("SR-1")
@pytest.mark.parametrize(
    "value", ["2018", "2018-05", "2018-05-25", "ge2018-05-25", "lt2018-05-26", "ge2018-05-25T16:00Z"]
)
def test_by_a_day(endpoint: Service, held: Held, value: str) -> None:
    assert found(endpoint, _id=held.logical_id, _lastUpdated=value) == [held.logical_id]


@pytest.mark.promise("SR-1")
def test_an_unescaped_plus_sign_is_understood(endpoint: Service, held: Held) -> None:
    answer = endpoint.get(f"List?_id={held.logical_id}&_lastUpdated=ge2018-05-25T17:00:00+01:00")
    assert answer.json()["total"] == 1


@pytest.mark.promise("SR-1")
def test_count_limits_what_comes_back_but_not_the_total(endpoint: Service) -> None:
    ids = ",".join(endpoint.create().logical_id for _ in range(3))
    for count in (0, 1, 2, 3, 50):
        bundle = endpoint.get(f"List?_id={ids}&_count={count}").json()
        assert (bundle["total"], len(bundle.get("entry", []))) == (3, min(count, 3))


@pytest.mark.promise("SR-1")
def test_the_last_updated_comes_first(endpoint: Service) -> None:
    made = [endpoint.create() for _ in range(3)]
    endpoint.put(made[0].path, made[0].body(title="touched"), made[0].etag)
    ids = ",".join(held.logical_id for held in made)
    assert found(endpoint, _id=ids) == [made[n].logical_id for n in (0, 2, 1)]


REFUSED = [
    "title=x",
    "_lastupdated=2018",
    "_ID=x",
    "_sort=",
    "_sort=status",
    "_sort=_lastUpdated,_id",
    "_page=",
    "_page=2",
    "_page=2018-05-25T16:09:50.000%2B00:00",
    "_include=List:item",
    "_id:exact=x",
    "_id=no_id",
    "_id=",
    "_id=a,,b",
    "_lastUpdated=",
    "_lastUpdated=yesterday",
    "_lastUpdated=2018-13",
    "_lastUpdated=2018-02-30",
    "_lastUpdated=ne2018",
    "_lastUpdated=2018-05-25T25:00:00Z",
    "_lastUpdated=20180525",
    "_count=",
    "_count=-1",
    "_count=all",
    "_count=1.5",
    "_count=%D9%A3",
    "_count=99999999999999999999",
    "_id=x&category=a",
    "=",
    "x",
]


@pytest.mark.promise("SR-1", "ERR-3")
@pytest.mark.parametrize("query", REFUSED)
def test_a_parameter_that_cannot_be_used(endpoint: Service, query: str) -> None:
    issue = assert_refused(endpoint.get(f"List?{query}"), 400, "invalid", "BAD_REQUEST")
    named = query.rpartition("&")[2].partition("=")[0]
    assert named in issue["diagnostics"]


@pytest.mark.promise("SR-1")
@pytest.mark.parametrize(("query", "hit"), [("le9999-12-31", True), ("lt9999", True), ("ge0001-01-01", True)])
def test_the_ends_of_the_calendar(endpoint: Service, held: Held, query: str, hit: bool) -> None:
    assert found(endpoint, _id=held.logical_id, _lastUpdated=query) == ([held.logical_id] if hit else [])


def test_a_search_by_more_ids_than_a_statement_takes(in_process: Service) -> None:
    held = in_process.create(a_list(title="one of many"))
    many = ",".join([*(f"a{number}" for number in range(300_000)), held.logical_id])
    answer = in_process.get(f"List?_id={many}")
    assert answer.status_code in (200, 400)
