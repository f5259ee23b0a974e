"""Searching by patient, subject, status, category and code (SR-1; FHIR STU3 search.html, *token* and *reference*)."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from spinekit import Service, assert_refused

from workbench.endpoint.request import read_query
from workbench.endpoint.search import MOST_VALUES, PARAMETERS, index, read_criterion
from workbench.endpoint.store import Store, Stored

BASE = "http://127.0.0.1:8080/STU3"
SPINE_PATIENT = "https://demographics.spineservices.nhs.uk/STU3/Patient/9990000018"
SNOMED = "http://snomed.info/sct"
RA = "1094391000000102"


def a_list(**members: Any) -> dict[str, Any]:
    return {"resourceType": "List", "status": "current", "mode": "working", **members}


def concept(*codings: dict[str, str], **members: str) -> dict[str, Any]:
    return {"coding": list(codings), **members}


def matches(resource: dict[str, Any], name: str, value: str) -> bool | None:
    """Whether the resource matches the parameter; ``None`` if the value is refused."""
    criterion = read_criterion(name, PARAMETERS[resource["resourceType"]][name], value, BASE)
    if criterion is None:
        return None
    keys = index(resource)
    by_value = any(key in keys.values.split() for key in criterion.values)
    return by_value and (criterion.subjects is None or keys.subject in criterion.subjects)


ADJUSTMENTS = a_list(
    code=concept(
        {"system": SNOMED, "code": RA},
        {"code": "Plain"},
        {"system": "urn:s|t", "code": "a,b$c\\d"},
        {"system": "urn:only-a-system"},
        text="written",
    ),
)

TOKENS: list[tuple[dict[str, Any], str, str, bool | None]] = [
    (ADJUSTMENTS, "code", f"{SNOMED}|{RA}", True),
    (ADJUSTMENTS, "code", RA, True),
    (ADJUSTMENTS, "code", f"|{RA}", False),
    (ADJUSTMENTS, "code", f"http://SNOMED.info/sct|{RA}", False),
    (ADJUSTMENTS, "code", RA[:-1], False),
    (ADJUSTMENTS, "code", f"{SNOMED}|Plain", False),
    (ADJUSTMENTS, "code", "plain", True),
    (ADJUSTMENTS, "code", "|PLAIN", True),
    (ADJUSTMENTS, "code", f"{SNOMED}|", True),
    (ADJUSTMENTS, "code", "urn:only-a-system|", True),
    (ADJUSTMENTS, "code", "urn:unknown|", False),
    (ADJUSTMENTS, "code", r"urn:s\|t|a\,b\$c\\d", True),
    (ADJUSTMENTS, "code", r"a\,b\$c\\d", True),
    (ADJUSTMENTS, "code", f"nothing,{RA}", True),
    (ADJUSTMENTS, "code", "nothing,neither", False),
    (ADJUSTMENTS, "code", "written", False),
    (ADJUSTMENTS, "code", "urn:s|t|a", None),
    (ADJUSTMENTS, "code", "|", None),
    (ADJUSTMENTS, "code", "", None),
    (ADJUSTMENTS, "code", f"{RA},", None),
    (ADJUSTMENTS, "status", "current", True),
    (ADJUSTMENTS, "status", "Current", True),
    (ADJUSTMENTS, "status", "http://hl7.org/fhir/list-status|current", True),
    (ADJUSTMENTS, "status", "http://hl7.org/fhir/flag-status|current", False),
    (ADJUSTMENTS, "status", "|current", True),
    (ADJUSTMENTS, "status", "retired,current", True),
    (ADJUSTMENTS, "status", RA, False),
    (a_list(), "code", RA, False),
    (a_list(code={"text": "written"}), "code", "written", False),
    ({"resourceType": "Condition", "category": [{}, concept({"code": "issue"})]}, "category", "issue", True),
]


@pytest.mark.promise("SR-1")
@pytest.mark.parametrize(("resource", "name", "value", "expected"), TOKENS, ids=[f"{n}={v}" for _, n, v, _ in TOKENS])
def test_a_token(resource: dict[str, Any], name: str, value: str, expected: bool | None) -> None:
    assert matches(resource, name, value) is expected


REFERENCES = [
    ("Patient/1", "patient", "1", True),
    ("Patient/1", "subject", "1", True),
    ("Patient/1", "patient", "Patient/1", True),
    ("Patient/1", "patient", f"{BASE}/Patient/1", True),
    ("Patient/1", "patient", "https://example.org/Patient/1", False),
    ("Patient/1", "patient", "2,Patient/1", True),
    ("Patient/1", "patient", "patient/1", None),
    ("Patient/1/_history/7", "patient", "Patient/1", True),
    ("Patient/1", "subject", "Patient/1/_history/7", True),
    ("Patient/11", "patient", "1", False),
    ("Patient/A", "patient", "a", False),
    (f"{BASE}/Patient/1", "patient", f"{BASE}/Patient/1", True),
    (SPINE_PATIENT, "patient", "9990000018", True),
    (SPINE_PATIENT, "patient", "Patient/9990000018", True),
    (SPINE_PATIENT, "patient", SPINE_PATIENT, True),
    (SPINE_PATIENT, "subject", SPINE_PATIENT, True),
    (SPINE_PATIENT, "patient", "https://example.org/Patient/9990000018", False),
    (SPINE_PATIENT, "patient", f"{BASE}/Patient/9990000018", False),
    ("Group/1", "subject", "1", True),
    ("Group/1", "subject", "Group/1", True),
    ("Group/1", "subject", "Patient/1", False),
    ("Group/1", "patient", "1", False),
    ("Group/1", "patient", "Group/1", False),
    ("urn:uuid:5b0bf2ca", "subject", "urn:uuid:5b0bf2ca", True),
    ("urn:uuid:5b0bf2ca", "patient", "urn:uuid:5b0bf2ca", False),
    ("Patient/1", "patient", "", None),
    ("Patient/1", "patient", "1,", None),
    ("Patient/1", "patient", "not an id", None),
    ("Patient/1", "patient", "x" * 65, None),
]


@pytest.mark.promise("SR-1")
@pytest.mark.parametrize(("reference", "name", "value", "expected"), REFERENCES)
def test_a_reference(reference: str, name: str, value: str, expected: bool | None) -> None:
    assert matches(a_list(subject={"reference": reference}), name, value) is expected


@pytest.mark.promise("SR-1")
def test_a_reference_by_identifier_alone_has_no_reference_to_find() -> None:
    resource = a_list(subject={"identifier": {"value": "9990000018"}})
    assert matches(resource, "patient", "9990000018") is False


def test_keys_are_short_whatever_a_code_holds() -> None:
    keys = index(a_list(code=concept({"system": "s" * 100_000, "code": "\x00\ud800é" * 100_000})))
    assert {len(key) for key in keys.values.split(" ")} == {16}


ALL = {
    "Condition": ["patient", "subject", "category", "code"],
    "Consent": ["patient", "status", "category"],
    "Flag": ["patient", "subject", "status", "category", "code"],
    "List": ["patient", "subject", "status", "code"],
    "Subscription": ["status"],
}


@pytest.mark.promise("SR-1", "CAP-1")
@pytest.mark.parametrize("kind", ALL)
def test_the_parameters_of_each_type_are_listed_understood_and_all(endpoint: Service, kind: str) -> None:
    (rest,) = endpoint.get("metadata").json()["rest"]
    (listed,) = [entry["searchParam"] for entry in rest["resource"] if entry["type"] == kind]
    kinds = {entry["name"]: entry["type"] for entry in listed}
    expected = {name: "reference" if name in ("patient", "subject") else "token" for name in ALL[kind]}
    assert kinds == {"_id": "token", "_lastUpdated": "date", **expected}
    for name in ("patient", "subject", "status", "category", "code"):
        answer = endpoint.get(f"{kind}?{name}=nothing")
        if name in ALL[kind]:
            assert (answer.status_code, answer.json()["total"]) == (200, 0)
        else:
            assert name in assert_refused(answer, 400, "invalid", "BAD_REQUEST")["diagnostics"]


@pytest.mark.promise("SR-1")
def test_as_the_reasonable_adjustments_service_is_read(endpoint: Service) -> None:
    """The requests of NHS's own description: a patient by NHS number, a status, and the code that marks a record."""
    patient = {"reference": "https://demographics.spineservices.nhs.uk/STU3/Patient/9990000026"}
    other = {"reference": "https://demographics.spineservices.nhs.uk/STU3/Patient/9990000034"}
    code = concept({"system": SNOMED, "code": RA})
    wanted = endpoint.create(a_list(subject=patient, code=code))
    endpoint.create(a_list(subject=other, code=code))
    endpoint.create(a_list(subject=patient))
    endpoint.create(a_list(subject=patient, code=code) | {"status": "retired"})
    params = {"patient": "9990000026", "status": "current", "code": f"{SNOMED}|{RA}"}
    for answer in (
        endpoint.send("GET", "List", params=params),
        endpoint.send(
            "POST",
            "List/_search",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body="&".join(f"{name}={value}" for name, value in params.items()),
        ),
    ):
        bundle = answer.json()
        assert [entry["resource"]["id"] for entry in bundle["entry"]] == [wanted.logical_id]
        assert bundle["total"] == 1


@pytest.mark.promise("SR-1")
def test_a_comma_is_or_and_a_repeated_parameter_is_and(endpoint: Service) -> None:
    one, two, both = (
        endpoint.create(a_list(code=concept(*({"system": "urn:or", "code": code} for code in codes))))
        for codes in ("A", "B", "AB")
    )

    def found(query: str) -> set[str]:
        return {entry["resource"]["id"] for entry in endpoint.get(f"List?{query}").json().get("entry", [])}

    assert found("code=urn:or|A,urn:or|B") == {one.logical_id, two.logical_id, both.logical_id}
    assert found("code=urn:or|A&code=urn:or|B") == {both.logical_id}
    assert found(f"code=urn:or|&_id={one.logical_id}") == {one.logical_id}


@pytest.mark.promise("SR-1")
def test_what_is_found_follows_each_update_and_delete(endpoint: Service) -> None:
    held = endpoint.create(a_list(code=concept({"code": "before"}), subject={"reference": "Patient/before"}))

    def finds(query: str) -> bool:
        return endpoint.get(f"List?_id={held.logical_id}&{query}").json()["total"] == 1

    assert finds("code=before&patient=before")
    body = {"id": held.logical_id, "subject": {"reference": "Patient/after"}}
    answer = endpoint.put(held.path, a_list(code=concept({"code": "after"})) | body, held.etag)
    assert finds("code=after&patient=after")
    assert not finds("code=before")
    assert not finds("patient=before")
    endpoint.delete(held.path, answer.headers["ETag"])
    assert not finds("code=after")


@pytest.mark.promise("SR-1")
def test_pages_of_a_search_by_content(endpoint: Service) -> None:
    made = [endpoint.create(a_list(code=concept({"system": "urn:pages", "code": "x"}))) for _ in range(5)]
    seen, path = [], "List?code=urn:pages|x&_count=2"
    while path:
        bundle = endpoint.get(path).json()
        assert bundle["total"] == 5
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        path = following[0].removeprefix(f"{endpoint.base_url}/") if following else ""
    assert seen == [held.logical_id for held in reversed(made)]


@pytest.mark.promise("SR-1")
def test_more_values_than_a_search_takes(endpoint: Service) -> None:
    def query(count: int) -> str:
        return "status=current&code=" + ",".join(f"c{number}" for number in range(count - 1))

    assert endpoint.get(f"List?{query(MOST_VALUES)}").status_code == 200
    issue = assert_refused(endpoint.get(f"List?{query(MOST_VALUES + 1)}"), 400, "invalid", "BAD_REQUEST")
    assert str(MOST_VALUES) in issue["diagnostics"]


@pytest.mark.promise("SR-1")
@pytest.mark.parametrize("query", ["code=", "code=|", "patient=", "patient=a,,b", "code:text=x", "subject:Patient=1"])
def test_a_value_or_a_modifier_that_cannot_be_used(endpoint: Service, query: str) -> None:
    issue = assert_refused(endpoint.get(f"List?{query}"), 400, "invalid", "BAD_REQUEST")
    assert query.partition("=")[0] in issue["diagnostics"]


AT = "2018-05-25T16:09:50.000+00:00"


def test_a_store_finds_by_content_in_each_database(shared_db: str) -> None:
    store = Store(shared_db)
    for number in range(3):
        resource = a_list(subject={"reference": f"Patient/{number}"}, code={"coding": [{"code": f"c{number % 2}"}]})
        store.insert("List", f"l{number}", Stored("1", AT, b"{}", index(resource)))
    for text, found in {"patient=1": ["l1"], "code=c0": ["l0", "l2"], "patient=0,1&code=c0": ["l0"]}.items():
        query = read_query([tuple(part.split("=")) for part in text.split("&")], "List", BASE)
        page = store.search("List", query)
        assert ([logical_id for logical_id, _ in page.found], page.total) == (found, len(found))


def test_a_search_by_patient_reads_no_other_patients_resources(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "spine.db"))
    asked: list[tuple[str, Any]] = []
    sa.event.listen(store._engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
    store.search("List", read_query([("patient", "1"), ("status", "current")], "List", BASE))
    count, page = asked
    with sqlite3.connect(tmp_path / "spine.db") as connection:
        for statement, parameters in (count, page):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            assert "resource_subjects (type=? AND subject_key=?)" in str(plan)
    connection.close()
