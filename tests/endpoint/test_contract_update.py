"""The section *Update* of the contract, promise by promise (UPD-13, the race, has its own module)."""

import re
from email.utils import parsedate_to_datetime

import pytest
from spinekit import (
    FHIR_JSON,
    NO_VERSION,
    NOBODY,
    Held,
    Service,
    a_list,
    assert_refused,
    outcome_issues,
    raw_exchange,
    raw_request,
)


@pytest.mark.promise("UPD-1")
def test_update_with_the_current_version(endpoint: Service, held: Held) -> None:
    answer = endpoint.put(held.path, held.body(title="reviewed"), held.etag)
    assert answer.status_code == 200
    assert endpoint.get(held.path).json()["title"] == "reviewed"


@pytest.mark.promise("UPD-2")
def test_what_an_accepted_update_carries(endpoint: Service, held: Held) -> None:
    answer = endpoint.put(held.path, held.body(title="reviewed"), held.etag)
    read = endpoint.get(held.path)
    assert answer.headers["ETag"] == read.headers["ETag"] != held.etag
    assert answer.headers["Last-Modified"] == read.headers["Last-Modified"]
    assert answer.headers["Location"] == f"{endpoint.base_url}/{held.path}"
    assert answer.headers["Date"].endswith(" GMT")
    assert parsedate_to_datetime(answer.headers["Date"]) >= parsedate_to_datetime(answer.headers["Last-Modified"])


@pytest.mark.promise("UPD-3")
def test_every_update_has_a_version_never_used_before(endpoint: Service, held: Held) -> None:
    etags = [held.etag]
    for number in range(30):
        answer = endpoint.put(held.path, held.body(title=f"take {number}"), etags[-1])
        etags.append(answer.headers["ETag"])
        assert endpoint.get(held.path).json()["id"] == held.logical_id
    assert len(set(etags)) == 31


@pytest.mark.promise("UPD-3")
def test_a_content_that_comes_back_is_a_new_version(endpoint: Service, held: Held) -> None:
    first = endpoint.put(held.path, held.body(title="one"), held.etag).headers["ETag"]
    second = endpoint.put(held.path, held.body(title="two"), first).headers["ETag"]
    third = endpoint.put(held.path, held.body(title="one"), second).headers["ETag"]
    assert len({held.etag, first, second, third}) == 4


@pytest.mark.promise("UPD-4")
@pytest.mark.parametrize(
    "meta",
    [
        {"versionId": "00000000-0000"},
        {"versionId": "not at all a FHIR id"},
        {"versionId": 5, "lastUpdated": "yesterday"},
        {"lastUpdated": "1999-12-31T23:59:59Z"},
        {"versionId": None, "lastUpdated": {}},
    ],
    ids=str,
)
def test_version_and_date_in_the_body_are_overwritten(endpoint: Service, held: Held, meta: dict[str, object]) -> None:
    answer = endpoint.put(held.path, held.body(meta=meta | {"profile": ["https://example.org/p"]}), held.etag)
    assert answer.status_code == 200, answer.text
    stored = endpoint.get(held.path).json()["meta"]
    assert answer.headers["ETag"] == f'W/"{stored["versionId"]}"' != held.etag
    assert stored["lastUpdated"].startswith("2018-05-25T1")
    assert stored["profile"] == ["https://example.org/p"]


@pytest.mark.promise("UPD-6")
def test_the_version_before_is_stale(endpoint: Service, held: Held) -> None:
    current = endpoint.put(held.path, held.body(title="mine"), held.etag).headers["ETag"]
    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, held.body(title="theirs"), held.etag)
    issue = assert_refused(answer, 409, "conflict", "RESOURCE_VERSION_MISMATCH")
    assert held.version_id in issue["diagnostics"]
    assert current in issue["diagnostics"]


@pytest.mark.promise("UPD-6")
@pytest.mark.parametrize("version_id", ["00000000-0000", "ffffffff-ffff", "1", "v2.0-beta", "a" * 64])
def test_a_version_that_never_was_is_stale(endpoint: Service, held: Held, version_id: str) -> None:
    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, held.body(title="x"), f'W/"{version_id}"')
    assert_refused(answer, 409, "conflict", "RESOURCE_VERSION_MISMATCH")


@pytest.mark.promise("UPD-6")
def test_the_version_of_another_resource_is_stale(endpoint: Service, held: Held) -> None:
    other = endpoint.create()
    with endpoint.unchanged(held.path), endpoint.unchanged(other.path):
        answer = endpoint.put(held.path, held.body(title="x"), other.etag)
    assert_refused(answer, 409, "conflict", "RESOURCE_VERSION_MISMATCH")


@pytest.mark.promise("UPD-6")
def test_version_ids_are_compared_to_the_letter(endpoint: Service) -> None:
    held = endpoint.create()
    while held.version_id.isdecimal() or held.version_id.upper() == held.version_id:
        held = endpoint.create()
    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, held.body(title="x"), f'W/"{held.version_id.upper()}"')
    assert_refused(answer, 409, "conflict", "RESOURCE_VERSION_MISMATCH")


@pytest.mark.promise("UPD-7")
def test_no_if_match(endpoint: Service, held: Held) -> None:
    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, held.body(title="x"), None)
    issue = assert_refused(answer, 412, "structure", "PRECONDITION_FAILED")
    assert "If-Match" in issue["diagnostics"]


WRONG_FORMS = {
    "bare": "{v}",
    "strong": '"{v}"',
    "any": "*",
    "empty": "",
    "list": 'W/"{v}", W/"00000000-0000"',
    "list of the same": 'W/"{v}", W/"{v}"',
    "small w": 'w/"{v}"',
    "space": 'W/ "{v}"',
    "single quotes": "W/'{v}'",
    "open": 'W/"{v}',
    "not opened": 'W/{v}"',
    "no version": 'W/""',
    "words after": 'W/"{v}" please',
    "comma after": 'W/"{v}",',
    "no id: underscore": 'W/"a_b"',
    "no id: space": 'W/"{v} "',
    "no id: too long": f'W/"{"a" * 65}"',
    "twice weak": 'W/W/"{v}"',
}
"""Each holds the current version where it can, so that a server which reads it kindly is found out."""


@pytest.mark.promise("UPD-8")
@pytest.mark.parametrize("form", WRONG_FORMS.values(), ids=WRONG_FORMS.keys())
def test_if_match_of_another_form(endpoint: Service, held: Held, form: str) -> None:
    sent = form.format(v=held.version_id)
    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, held.body(title="x"), sent)
    issue = assert_refused(answer, 412, "structure", "PRECONDITION_FAILED")
    assert sent in issue["diagnostics"]


@pytest.mark.promise("UPD-8")
@pytest.mark.parametrize("second", ['W/"{v}"', NO_VERSION], ids=["the same", "another"])
def test_two_if_match_lines_are_a_list(over_socket: Service, second: str) -> None:
    held = over_socket.create()
    lines = [f"If-Match: {held.etag}", f"If-Match: {second.format(v=held.version_id)}", f"Content-Type: {FHIR_JSON}"]
    body = f'{{"resourceType":"List","id":"{held.logical_id}","status":"current","mode":"working"}}'.encode()
    with over_socket.unchanged(held.path):
        answer = raw_exchange(over_socket.base_url, raw_request("PUT", f"/STU3/{held.path}", *lines, body=body))
    assert answer.status == 412
    assert outcome_issues(answer.body)[0]["details"]["coding"][0]["code"] == "PRECONDITION_FAILED"


ELSEWHERE = {
    "no id": {"id": ...},
    "another id": {"id": NOBODY},
    "id null": {"id": None},
    "id a number": {"id": 5},
    "id a list": {"id": []},
    "no resourceType": {"resourceType": ...},
    "another type": {"resourceType": "Flag"},
    "a type that is none": {"resourceType": "Liszt"},
    "small letters": {"resourceType": "list"},
    "resourceType null": {"resourceType": None},
    "resourceType a list": {"resourceType": ["List"]},
}


@pytest.mark.promise("UPD-9")
@pytest.mark.parametrize("changes", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_a_body_that_does_not_agree_with_the_url(endpoint: Service, held: Held, changes: dict[str, object]) -> None:
    body = {name: value for name, value in (held.body(title="x") | changes).items() if value is not ...}
    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, body, held.etag)
    assert_refused(answer, 400, "invalid", "BAD_REQUEST")


@pytest.mark.promise("UPD-9")
def test_an_id_in_other_letters_is_another_id(endpoint: Service) -> None:
    held = endpoint.create()
    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, held.body() | {"id": held.logical_id.swapcase() + "A"}, held.etag)
    assert_refused(answer, 400, "invalid", "BAD_REQUEST")


@pytest.mark.promise("UPD-10")
@pytest.mark.parametrize("if_match", [NO_VERSION, 'W/"1"'])
def test_an_id_that_was_never_assigned(endpoint: Service, if_match: str) -> None:
    before = endpoint.get("List?_count=0").json()["total"]
    answer = endpoint.put(f"List/{NOBODY}", a_list(id=NOBODY), if_match)
    issue = assert_refused(answer, 405, "forbidden", "MSG_RESOURCE_ID_FAIL")
    assert NOBODY in issue["diagnostics"]
    assert endpoint.get(f"List/{NOBODY}").status_code == 404
    assert endpoint.get("List?_count=0").json()["total"] == before


@pytest.mark.promise("UPD-10")
def test_an_id_is_assigned_within_its_type(endpoint: Service, held: Held) -> None:
    flag = {"resourceType": "Flag", "id": held.logical_id, "status": "active", "code": {"text": "a"}}
    answer = endpoint.put(f"Flag/{held.logical_id}", flag | {"subject": {"reference": "Patient/1"}}, held.etag)
    assert_refused(answer, 405, "forbidden", "MSG_RESOURCE_ID_FAIL")


@pytest.mark.promise("UPD-11")
@pytest.mark.parametrize("if_match", ["the last", NO_VERSION])
def test_a_deleted_resource_stays_deleted(endpoint: Service, if_match: str) -> None:
    gone = endpoint.gone()
    answer = endpoint.put(gone.path, gone.body(title="back"), gone.etag if if_match == "the last" else if_match)
    issue = assert_refused(answer, 404, "not-found", "NO_RECORD_FOUND")
    assert gone.logical_id in issue["diagnostics"]
    assert endpoint.get(gone.path).status_code == 404
    assert endpoint.get(f"List?_id={gone.logical_id}").json()["total"] == 0


UNLISTED = [
    ("PUT", "Patient/{id}"),
    ("GET", "Patient/{id}"),
    ("DELETE", "Patient/{id}"),
    ("POST", "Patient"),
    ("GET", "Patient"),
    ("PUT", "list/{id}"),
    ("PUT", "Bundle/{id}"),
    ("PUT", "OperationOutcome/{id}"),
    ("PATCH", "List/{id}"),
    ("POST", "List/{id}"),
    ("PUT", "List"),
    ("PUT", "List?_id={id}"),
    ("DELETE", "List?_id={id}"),
    ("PATCH", "List"),
    ("PUT", "List/_search"),
    ("POST", ""),
    ("GET", ""),
    ("GET", "?_type=List"),
    ("PUT", "metadata"),
    ("POST", "List/$validate"),
    ("GET", "List/$find"),
    ("POST", "List/{id}/$validate"),
    ("GET", "List/{id}/entry"),
]


@pytest.mark.promise("UPD-12")
@pytest.mark.parametrize(("method", "path"), UNLISTED, ids=[f"{method} {path}" for method, path in UNLISTED])
def test_what_the_capability_statement_does_not_list(endpoint: Service, held: Held, method: str, path: str) -> None:
    body = held.body(title="x") if method in ("PUT", "POST", "PATCH") else None
    headers = {"If-Match": held.etag, "Content-Type": FHIR_JSON}
    with endpoint.unchanged(held.path):
        answer = endpoint.send(method, path.format(id=held.logical_id), headers=headers, body=body)
    assert_refused(answer, 501, "not-supported", "NOT_IMPLEMENTED")


@pytest.mark.promise("UPD-14")
def test_identical_content_is_an_update_too(endpoint: Service, held: Held) -> None:
    body = held.body(title="the same")
    first = endpoint.put(held.path, body, held.etag)
    before = endpoint.get(held.path)
    second = endpoint.put(held.path, body, first.headers["ETag"])
    after = endpoint.get(held.path)
    assert second.status_code == 200
    assert before.headers["ETag"] != after.headers["ETag"] == second.headers["ETag"]
    assert before.headers["Last-Modified"] != after.headers["Last-Modified"]


@pytest.mark.promise("UPD-14")
def test_a_resource_put_back_as_it_was_read(endpoint: Service, held: Held) -> None:
    read = endpoint.get(held.path)
    answer = endpoint.put(held.path, read.content, read.headers["ETag"])
    assert answer.status_code == 200
    masked = re.compile(rb'"(versionId|lastUpdated)":"[^"]*"')
    assert masked.sub(b"", endpoint.get(held.path).content) == masked.sub(b"", read.content)


@pytest.mark.promise("UPD-15")
@pytest.mark.parametrize("tags", ["*", 'W/"{v}"', '"{v}"', 'W/"00000000-0000", W/"{v}"'])
@pytest.mark.parametrize("if_match", ["current", "stale", "missing", "malformed"])
def test_an_update_of_what_must_not_exist(endpoint: Service, held: Held, if_match: str, tags: str) -> None:
    """``If-None-Match: *`` means that the resource must not exist (RFC 9110, 13.1.2); a tag excludes its version."""
    sent = {"current": held.etag, "stale": NO_VERSION, "missing": None, "malformed": "*"}[if_match]
    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, held.body(title="x"), sent, if_none_match=tags.format(v=held.version_id))
    assert_refused(answer, 412, "structure", "PRECONDITION_FAILED")


@pytest.mark.promise("UPD-15")
def test_if_none_match_of_another_version_excludes_nothing(endpoint: Service, held: Held) -> None:
    assert endpoint.put(held.path, held.body(title="x"), held.etag, if_none_match=NO_VERSION).status_code == 200


@pytest.mark.promise("UPD-15", "UPD-10", "UPD-11")
def test_what_does_not_exist_is_not_created_by_if_none_match(endpoint: Service) -> None:
    unknown = endpoint.put(f"List/{NOBODY}", a_list(id=NOBODY), NO_VERSION, if_none_match="*")
    assert_refused(unknown, 405, "forbidden", "MSG_RESOURCE_ID_FAIL")
    gone = endpoint.gone()
    deleted = endpoint.put(gone.path, gone.body(), gone.etag, if_none_match="*")
    assert_refused(deleted, 404, "not-found", "NO_RECORD_FOUND")


SUBSETTED = {"system": "http://hl7.org/fhir/v3/ObservationValue", "code": "SUBSETTED"}


@pytest.mark.promise("UPD-16")
@pytest.mark.parametrize("tags", [[SUBSETTED], [{"code": "a"}, SUBSETTED], [{"code": "SUBSETTED"}]])
def test_a_partial_resource(endpoint: Service, held: Held, tags: list[dict[str, str]]) -> None:
    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, held.body(meta={"tag": tags}), held.etag)
    issue = assert_refused(answer, 422, "invalid", "INVALID_RESOURCE")
    assert issue["expression"] == [f"List.meta.tag[{len(tags) - 1}]"]
    assert "SUBSETTED" in issue["diagnostics"]


@pytest.mark.promise("UPD-16")
def test_a_partial_resource_is_not_created_either(endpoint: Service) -> None:
    """Once stored, no update of it as read could be accepted."""
    before = endpoint.get("List?_count=0").json()["total"]
    answer = endpoint.post("List", a_list(meta={"tag": [SUBSETTED]}))
    assert_refused(answer, 422, "invalid", "INVALID_RESOURCE")
    assert endpoint.get("List?_count=0").json()["total"] == before


@pytest.mark.promise("UPD-16", "VAL-1")
@pytest.mark.parametrize("meta", ["SUBSETTED", [], {"tag": "SUBSETTED"}, {"tag": ["SUBSETTED"]}, {"tag": None}])
def test_a_meta_that_is_no_meta(endpoint: Service, held: Held, meta: object) -> None:
    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, held.body(meta=meta), held.etag)
    assert_refused(answer, 422, "invalid", "INVALID_RESOURCE")


INVALID = {
    "required element missing": ({"status": ...}, "List.status"),
    "unknown element": ({"colour": "red"}, "List.colour"),
    "wrong type: a number": ({"title": 5}, "List.title"),
    "wrong type: text for boolean": (
        {"entry": [{"item": {"reference": "Flag/1"}, "deleted": "true"}]},
        "List.entry[0].deleted",
    ),
    "wrong type: one for many": ({"entry": {"item": {"reference": "Flag/1"}}}, "List.entry"),
    "code outside its binding": ({"mode": "idle"}, "List.mode"),
    "null without a sibling": ({"meta": {"profile": ["http://p", None]}}, "List.meta.profile[1]"),
    "siblings longer than the array": (
        {"meta": {"profile": ["http://p"], "_profile": [None, {"id": "a"}]}},
        "List.meta._profile",
    ),
    "narrative not closed": ({"text": {"status": "generated", "div": "<div>unclosed"}}, "List.text.div"),
    "narrative without its namespace": ({"text": {"status": "generated", "div": "<div>x</div>"}}, "List.text.div"),
    "blank in a URI": ({"code": {"coding": [{"system": "http://a b"}]}}, "List.code.coding[0].system"),
    "comments of DSTU2": ({"fhir_comments": ["a"]}, "List.fhir_comments"),
    "inside": ({"entry": [{"item": {"reference": "Flag/1"}}, {"flag": {"text": "x"}}]}, "List.entry[1].item"),
}


@pytest.mark.promise("VAL-1")
@pytest.mark.parametrize(("changes", "element"), INVALID.values(), ids=INVALID.keys())
def test_json_that_is_not_a_valid_resource(
    endpoint: Service, held: Held, changes: dict[str, object], element: str
) -> None:
    body = {name: value for name, value in (held.body() | changes).items() if value is not ...}
    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, body, held.etag)
    issue = assert_refused(answer, 422, "invalid", "INVALID_RESOURCE")
    assert issue["expression"] == [element]
    assert element in issue["diagnostics"]


@pytest.mark.promise("VAL-1")
def test_several_faults_are_all_named(endpoint: Service, held: Held) -> None:
    answer = endpoint.put(held.path, held.body(colour="red", title=5, mode="idle"), held.etag)
    assert_refused(answer, 422, "invalid", "INVALID_RESOURCE")
    named = {issue["expression"][0] for issue in answer.json()["issue"]}
    assert named == {"List.colour", "List.title", "List.mode"}
