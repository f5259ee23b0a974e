"""The update decision: what each check refuses, in what order, and what the policies let through (UPD-6 to UPD-12)."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from workbench.endpoint import policy as update
from workbench.endpoint.policy import OPTIONAL, POLICIES, R4, SPINE, UNPROTECTED, ErrorRow, Lock, Policy, Refusal
from workbench.fhir.outcome import Issue
from workbench.fhir.resource import without_version

BODY = b'{"resourceType":"List","id":"1","status":"current"}'
FHIR_JSON = "application/fhir+json"
CURRENT = 'W/"25777f7d-27bc"'

PRECONDITION = (412, "structure", "PRECONDITION_FAILED")
STALE = (409, "conflict", "RESOURCE_VERSION_MISMATCH")
MISSING_IN_R4 = (400, "required", "MISSING_OR_INVALID_HEADER")
MALFORMED_IN_R4 = (400, "invalid", "MISSING_OR_INVALID_HEADER")
STALE_IN_R4 = (412, "conflict", "RESOURCE_VERSION_MISMATCH")


def no_complaint(_type: str, _resource: dict[str, Any]) -> tuple[Issue, ...]:
    return ()


def one_complaint(_type: str, _resource: dict[str, Any]) -> tuple[Issue, ...]:
    return (Issue("error", "invalid", "INVALID_RESOURCE", "", "List.mode: field required.", ("List.mode",)),)


def check(
    *,
    logical_id: str = "1",
    if_match: str | None = CURRENT,
    content_type: str | None = FHIR_JSON,
    body: bytes = BODY,
    policy: Policy = SPINE,
    validate: update.Validator = no_complaint,
) -> tuple[dict[str, Any], str | None]:
    return update.check_update("List", logical_id, if_match, content_type, body, policy=policy, validate=validate)


def refusal_of(call: Callable[[], object]) -> tuple[int, str, str]:
    """What a check refuses with, as a row of the error table."""
    with pytest.raises(Refusal) as raised:
        call()
    (issue, *_) = raised.value.issues
    assert issue.severity == "error"
    assert issue.diagnostics.endswith(".")
    return (raised.value.status, issue.code, issue.spine_code)


def test_the_policies() -> None:
    assert set(POLICIES) == {"SPINE", "R4", "OPTIONAL", "UNPROTECTED"}
    assert SPINE.refuses == {Lock.MISSING: PRECONDITION, Lock.MALFORMED: PRECONDITION, Lock.STALE: STALE}
    assert R4.refuses == {Lock.MISSING: MISSING_IN_R4, Lock.MALFORMED: MALFORMED_IN_R4, Lock.STALE: STALE_IN_R4}
    assert OPTIONAL.refuses == {Lock.MALFORMED: PRECONDITION, Lock.STALE: STALE}
    assert UNPROTECTED.refuses == {}
    assert [policy.locks for policy in POLICIES.values()] == [True, True, False, False]


def test_what_passes_is_the_body_as_it_was_sent() -> None:
    body = BODY.replace(b'"current"', b'"current","meta":{"versionId":"x","lastUpdated":"y"},"z":1.10')
    resource, expected = check(body=body)
    assert expected == "25777f7d-27bc"
    assert list(resource) == ["resourceType", "id", "status", "meta", "z"]
    assert str(resource["z"]) == "1.10"
    assert resource["meta"] == {"versionId": "x", "lastUpdated": "y"}


def test_the_validator_does_not_see_what_the_server_writes_itself() -> None:
    seen = []

    def look(resource_type: str, resource: dict[str, Any]) -> tuple[Issue, ...]:
        seen.append((resource_type, resource))
        return ()

    check(body=BODY.replace(b'"1"', b'"1","meta":{"versionId":5,"tag":[]}'), validate=look)
    assert seen == [("List", {"resourceType": "List", "id": "1", "meta": {"tag": []}, "status": "current"})]


LOCKS = [
    (SPINE, CURRENT, "25777f7d-27bc"),
    (SPINE, None, PRECONDITION),
    (SPINE, "", PRECONDITION),
    (SPINE, "25777f7d-27bc", PRECONDITION),
    (SPINE, '"25777f7d-27bc"', PRECONDITION),
    (SPINE, "*", PRECONDITION),
    (SPINE, f"{CURRENT}, {CURRENT}", PRECONDITION),
    (R4, CURRENT, "25777f7d-27bc"),
    (R4, None, (400, "required", "MISSING_OR_INVALID_HEADER")),
    (R4, "*", (400, "invalid", "MISSING_OR_INVALID_HEADER")),
    (OPTIONAL, CURRENT, "25777f7d-27bc"),
    (OPTIONAL, None, None),
    (OPTIONAL, "*", PRECONDITION),
    (UNPROTECTED, CURRENT, None),
    (UNPROTECTED, None, None),
    (UNPROTECTED, "", None),
    (UNPROTECTED, "*", None),
    (UNPROTECTED, "nonsense", None),
]


@pytest.mark.parametrize(("policy", "if_match", "wanted"), LOCKS, ids=[f"{p.name} {sent}" for p, sent, _ in LOCKS])
def test_the_lock(policy: Policy, if_match: str | None, wanted: str | tuple[int, str, str] | None) -> None:
    if isinstance(wanted, tuple):
        assert refusal_of(lambda: update.check_lock(if_match, policy)) == wanted
    else:
        assert update.check_lock(if_match, policy) == wanted


FAULTS: list[tuple[dict[str, Any], tuple[int, str, str]]] = [
    ({"logical_id": "a_b"}, (400, "invalid", "BAD_REQUEST")),
    ({"content_type": "application/xml"}, (415, "not-supported", "UNSUPPORTED_MEDIA_TYPE")),
    ({"body": BODY + b" " * 5 * 1024 * 1024}, (413, "too-long", "BAD_REQUEST")),
    ({"if_match": None}, PRECONDITION),
    ({"body": b"{"}, (400, "structure", "MESSAGE_NOT_WELL_FORMED")),
    ({"body": BODY.replace(b'"1"', b'"2"')}, (400, "invalid", "BAD_REQUEST")),
    ({"validate": one_complaint}, (422, "invalid", "INVALID_RESOURCE")),
]


@pytest.mark.parametrize("first", range(len(FAULTS)))
@pytest.mark.parametrize("second", range(len(FAULTS)))
def test_the_earlier_fault_answers(first: int, second: int) -> None:
    early, late = sorted((first, second))
    (one, wanted), (two, _) = FAULTS[early], FAULTS[late]
    assert refusal_of(lambda: check(**(two | one))) == wanted


LIMIT = 5 * 1024 * 1024


@pytest.mark.parametrize(("size", "refused"), [(LIMIT - 1, False), (LIMIT, False), (LIMIT + 1, True)])
def test_the_limit(size: int, refused: bool) -> None:
    with pytest.raises(Refusal) if refused else nullcontext():
        update.read_body(FHIR_JSON, None, b" " * size)
    assert update.BODY_LIMIT == LIMIT


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, ""),
        ("", ""),
        ("application/json", "application/json"),
        (" Application/FHIR+JSON ; charset=utf-8", "application/fhir+json"),
        ("application/json;", "application/json"),
        (";charset=utf-8", ""),
    ],
)
def test_a_media_type(value: str | None, wanted: str) -> None:
    assert update.media_type(value) == wanted


BODIES: list[tuple[bytes, tuple[int, str, str] | None]] = [
    (BODY, None),
    (b'{"resourceType":"List"}', None),
    (b"", (400, "structure", "MESSAGE_NOT_WELL_FORMED")),
    (b"\xff", (400, "structure", "MESSAGE_NOT_WELL_FORMED")),
    (b"[]", (400, "invalid", "BAD_REQUEST")),
    (b"null", (400, "invalid", "BAD_REQUEST")),
    (b"{}", (400, "invalid", "BAD_REQUEST")),
    (b'{"resourceType":"Flag"}', (400, "invalid", "BAD_REQUEST")),
    (b'{"resourceType":null}', (400, "invalid", "BAD_REQUEST")),
    (b'{"resourceType":["List"]}', (400, "invalid", "BAD_REQUEST")),
]


@pytest.mark.parametrize(("body", "wanted"), BODIES)
def test_a_body(body: bytes, wanted: tuple[int, str, str] | None) -> None:
    if wanted:
        assert refusal_of(lambda: update.check_body("List", body)) == wanted
    else:
        assert update.check_body("List", body)["resourceType"] == "List"


CREATES: list[tuple[dict[str, Any], tuple[int, str, str] | None]] = [
    ({"body": b'{"resourceType":"List"}'}, None),
    ({"body": BODY}, (405, "forbidden", "MSG_RESOURCE_ID_FAIL")),
    ({"body": b'{"resourceType":"List","id":null}'}, (405, "forbidden", "MSG_RESOURCE_ID_FAIL")),
    ({"body": b"{"}, (400, "structure", "MESSAGE_NOT_WELL_FORMED")),
    ({"content_type": None}, (415, "not-supported", "UNSUPPORTED_MEDIA_TYPE")),
    ({"validate": one_complaint}, (422, "invalid", "INVALID_RESOURCE")),
]


@pytest.mark.parametrize(("changes", "wanted"), CREATES)
def test_a_create(changes: dict[str, Any], wanted: tuple[int, str, str] | None) -> None:
    call = {"content_type": FHIR_JSON, "body": b'{"resourceType":"List"}', "validate": no_complaint} | changes

    def create() -> dict[str, Any]:
        return update.check_create("List", call["content_type"], call["body"], validate=call["validate"])

    if wanted:
        assert refusal_of(create) == wanted
    else:
        assert create() == {"resourceType": "List"}


def test_a_refusal_has_an_issue_for_each_diagnostics() -> None:
    refusal = ErrorRow(503, "transient", "INTERNAL_SERVER_ERROR").because("a.", "b.", retry_after=0.2)
    assert [issue.diagnostics for issue in refusal.issues] == ["a.", "b."]
    assert refusal.headers == (("Retry-After", "1"),)


def test_nothing_of_the_request_is_changed() -> None:
    resource = {"meta": {"versionId": "a", "tag": [1]}, "id": "1"}
    before = repr(resource)
    without_version(resource)
    assert repr(resource) == before
