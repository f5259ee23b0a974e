"""Strict mode: the endpoint turns away what a live Spine would, before it looks at anything else."""

from collections.abc import Iterator

import pytest
from spinekit import Service, a_list, assert_refused, outcome_issues, plain_session
from strictkit import spine_fields

from workbench import Endpoint
from workbench.endpoint.application import build_application
from workbench.endpoint.in_process import BASE_URL, InProcessAdapter
from workbench.endpoint.settings import Settings

STORY = "List/744eec7d-8951-4722-ad74-dc34e86d4e1a"


@pytest.fixture(scope="module", params=["socket", "in process"])
def strict(request: pytest.FixtureRequest) -> Iterator[Service]:
    if request.param == "socket":
        with Endpoint.start(strict=True) as spine, plain_session() as session:
            yield Service(spine.base_url, session)
    else:
        application = build_application(Settings(strict=True), BASE_URL)
        with plain_session(InProcessAdapter(application)) as session:
            yield Service(BASE_URL, session)


@pytest.mark.promise("HDR-1", "HDR-2", "HDR-3", "HDR-4", "HDR-5")
def test_a_request_with_everything_is_answered(strict: Service) -> None:
    made = strict.send(
        "POST", "List", body=a_list(), headers=spine_fields("List.write") | {"Content-Type": "application/fhir+json"}
    )
    assert made.status_code == 201
    path = "/".join(made.headers["Location"].rsplit("/", 2)[1:])
    assert strict.send("GET", path, headers=spine_fields("List.read")).status_code == 200
    assert strict.send("GET", "List", headers=spine_fields("List.read")).status_code == 200
    assert strict.send("GET", "metadata", headers=spine_fields("CapabilityStatement.read")).status_code == 200
    assert strict.send("OPTIONS", "", headers=spine_fields("CapabilityStatement.read")).status_code == 200
    fields = spine_fields("List.write") | {"If-Match": made.headers["ETag"]}
    assert strict.send("DELETE", path, headers=fields).status_code == 204


@pytest.mark.parametrize("field", ["Authorization", "fromASID", "toASID", "InteractionID", "TraceID"])
def test_without_one_of_them_nothing_is_looked_at(strict: Service, field: str) -> None:
    for method, path in (("GET", STORY), ("PUT", STORY), ("GET", "Patient/1"), ("GET", "List/no_id")):
        fields: dict[str, str | None] = {**spine_fields("List.write" if method == "PUT" else "List.read")}
        issue_type = "structure" if field == "Authorization" else "invalid"
        answer = strict.send(method, path, headers=fields | {field: None})
        issue = assert_refused(answer, 400, issue_type, "MISSING_OR_INVALID_HEADER")
        assert issue["diagnostics"].startswith(f"{field} is missing") or field == "Authorization"


def test_reading_rights_do_not_write(strict: Service) -> None:
    fields = spine_fields("List.write", scope="patient/*.read") | {"If-Match": 'W/"25777f7d-27bc"'}
    before = strict.send("GET", STORY, headers=spine_fields("List.read"))
    assert_refused(strict.send("DELETE", STORY, headers=fields), 400, "structure", "MISSING_OR_INVALID_HEADER")
    after = strict.send("GET", STORY, headers=spine_fields("List.read"))
    assert (after.headers["ETag"], after.content) == (before.headers["ETag"], before.content)


def test_each_header_has_an_issue_of_its_own_type(strict: Service) -> None:
    answer = strict.send("GET", STORY)
    issues = outcome_issues(answer.content)
    assert answer.status_code == 400
    assert [issue["code"] for issue in issues] == ["structure", *["invalid"] * 4]
    assert {issue["details"]["coding"][0]["code"] for issue in issues} == {"MISSING_OR_INVALID_HEADER"}


@pytest.mark.promise("HDR-1")
def test_a_citizen_s_token(strict: Service) -> None:
    patient = "https://fhir.nhs.uk/Id/nhs-number|9990000018"
    fields = spine_fields("List.read", sub=patient, requesting_patient=patient, reason_for_request="patientaccess")
    assert strict.send("GET", STORY, headers=fields).status_code == 200
    others = spine_fields("List.read", sub=patient)
    assert_refused(strict.send("GET", STORY, headers=others), 400, "structure", "MISSING_OR_INVALID_HEADER")


def test_somebody_else_s_asid(strict: Service) -> None:
    fields = spine_fields("List.read") | {"toASID": "200000000199"}
    assert_refused(strict.send("GET", STORY, headers=fields), 403, "forbidden", "ASID_CHECK_FAILED")


def test_a_type_or_interaction_that_is_not_offered(strict: Service) -> None:
    assert_refused(
        strict.send("GET", "Patient/1", headers=spine_fields("Patient.read")), 501, "not-supported", "NOT_IMPLEMENTED"
    )


def test_whether_it_is_well_needs_no_token() -> None:
    with Endpoint.start(strict=True) as spine, plain_session() as session:
        answer = session.get(spine.base_url.removesuffix("/STU3") + "/healthz", timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"status": "pass"})
