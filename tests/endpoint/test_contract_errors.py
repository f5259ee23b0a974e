"""The section *Errors* of the contract: the table of statuses, issue types and Spine codes, and what no answer shows.

The rows of strict mode (MISSING_OR_INVALID_HEADER, ASID_CHECK_FAILED) are in ``test_contract_strict``, those of the
transport (408, 414, 431) in ``test_refused``.
"""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
import sqlalchemy
from spinekit import LIMIT, NO_VERSION, NOBODY, Held, Service, a_list, assert_refused, plain_session

from workbench.clock import wall_clock
from workbench.endpoint.application import Application, build_application
from workbench.endpoint.in_process import BASE_URL, InProcessAdapter
from workbench.endpoint.policy import SPINE
from workbench.endpoint.settings import Settings
from workbench.endpoint.store import Store

Ask = Callable[[Service, Held], requests.Response]

TABLE: dict[str, tuple[tuple[int, str, str], Ask]] = {
    "body is not JSON": (
        (400, "structure", "MESSAGE_NOT_WELL_FORMED"),
        lambda endpoint, held: endpoint.put(held.path, b"<List/>", held.etag),
    ),
    "ids disagree": (
        (400, "invalid", "BAD_REQUEST"),
        lambda endpoint, held: endpoint.put(held.path, a_list(id=NOBODY), held.etag),
    ),
    "an unusable parameter": (
        (400, "invalid", "BAD_REQUEST"),
        lambda endpoint, _: endpoint.get("List?title=x"),
    ),
    "an unusable id": (
        (400, "invalid", "BAD_REQUEST"),
        lambda endpoint, _: endpoint.get("List/no_id"),
    ),
    "no such resource": (
        (404, "not-found", "NO_RECORD_FOUND"),
        lambda endpoint, _: endpoint.get(f"List/{NOBODY}"),
    ),
    "PUT of an id never assigned": (
        (405, "forbidden", "MSG_RESOURCE_ID_FAIL"),
        lambda endpoint, _: endpoint.put(f"List/{NOBODY}", a_list(id=NOBODY), NO_VERSION),
    ),
    "POST with an id": (
        (405, "forbidden", "MSG_RESOURCE_ID_FAIL"),
        lambda endpoint, _: endpoint.post("List", a_list(id=NOBODY)),
    ),
    "stale": (
        (409, "conflict", "RESOURCE_VERSION_MISMATCH"),
        lambda endpoint, held: endpoint.put(held.path, held.body(), NO_VERSION),
    ),
    "no If-Match": (
        (412, "structure", "PRECONDITION_FAILED"),
        lambda endpoint, held: endpoint.put(held.path, held.body(), None),
    ),
    "no If-Match on a delete": (
        (412, "structure", "PRECONDITION_FAILED"),
        lambda endpoint, held: endpoint.delete(held.path, None),
    ),
    "stale on a delete": (
        (409, "conflict", "RESOURCE_VERSION_MISMATCH"),
        lambda endpoint, held: endpoint.delete(held.path, NO_VERSION),
    ),
    "it must not exist": (
        (412, "structure", "PRECONDITION_FAILED"),
        lambda endpoint, held: endpoint.put(held.path, held.body(title="x"), held.etag, if_none_match="*"),
    ),
    "it must not exist, on a delete": (
        (412, "structure", "PRECONDITION_FAILED"),
        lambda endpoint, held: endpoint.send(
            "DELETE", held.path, headers={"If-Match": held.etag, "If-None-Match": "*"}
        ),
    ),
    "a read of another version": (
        (412, "structure", "PRECONDITION_FAILED"),
        lambda endpoint, held: endpoint.get(held.path, if_match=NO_VERSION),
    ),
    "a format that is not written": (
        (406, "not-supported", "UNSUPPORTED_MEDIA_TYPE"),
        lambda endpoint, held: endpoint.put(held.path, held.body(title="x"), held.etag, accept="application/fhir+xml"),
    ),
    "body over the limit": (
        (413, "too-long", "BAD_REQUEST"),
        lambda endpoint, held: endpoint.put(held.path, b" " * (LIMIT + 1), held.etag),
    ),
    "not FHIR JSON": (
        (415, "not-supported", "UNSUPPORTED_MEDIA_TYPE"),
        lambda endpoint, held: endpoint.put(held.path, held.body(), held.etag, content_type="text/plain"),
    ),
    "a content coding that is not read": (
        (415, "not-supported", "UNSUPPORTED_MEDIA_TYPE"),
        lambda endpoint, held: endpoint.put(held.path, held.body(title="x"), held.etag, content_encoding="br"),
    ),
    "not the gzip it says": (
        (400, "structure", "MESSAGE_NOT_WELL_FORMED"),
        lambda endpoint, held: endpoint.put(held.path, held.body(title="x"), held.etag, content_encoding="gzip"),
    ),
    "part of a resource": (
        (422, "invalid", "INVALID_RESOURCE"),
        lambda endpoint, held: endpoint.put(
            held.path, held.body(meta={"tag": [{"code": "SUBSETTED"}]}, title="x"), held.etag
        ),
    ),
    "a conditional create": (
        (501, "not-supported", "NOT_IMPLEMENTED"),
        lambda endpoint, _: endpoint.post("List", a_list(), if_none_exist="title=x"),
    ),
    "not a valid resource": (
        (422, "invalid", "INVALID_RESOURCE"),
        lambda endpoint, held: endpoint.put(held.path, held.body(colour="red"), held.etag),
    ),
    "not in the CapabilityStatement": (
        (501, "not-supported", "NOT_IMPLEMENTED"),
        lambda endpoint, _: endpoint.get("Patient/1"),
    ),
}


@pytest.mark.promise("ERR-1", "ERR-2", "ERR-3", "ERR-4", "UPD-17")
@pytest.mark.parametrize(("refusal", "ask"), TABLE.values(), ids=TABLE.keys())
def test_the_error_table(endpoint: Service, held: Held, refusal: tuple[int, str, str], ask: Ask) -> None:
    total = endpoint.get("List?_count=0").json()["total"]
    with endpoint.unchanged(held.path):
        answer = ask(endpoint, held)
    assert endpoint.get("List?_count=0").json()["total"] == total
    assert_refused(answer, *refusal)
    assert not any(name in answer.headers for name in ("ETag", "Last-Modified", "Location"))
    assert ("Allow" in answer.headers) == (answer.status_code == 405)


@pytest.mark.promise("ERR-3")
def test_a_405_says_what_is_offered(endpoint: Service) -> None:
    """The header is mandatory (RFC 9110, 15.5.6); the display is the guide's."""
    update = endpoint.put(f"List/{NOBODY}", a_list(id=NOBODY), NO_VERSION)
    create = endpoint.post("List", a_list(id=NOBODY))
    assert update.headers["Allow"] == "GET, HEAD, PUT, DELETE"
    assert create.headers["Allow"] == "GET, HEAD, POST"
    for answer in (update, create):
        issue = assert_refused(answer, 405, "forbidden", "MSG_RESOURCE_ID_FAIL")
        assert issue["details"]["coding"][0]["display"] == "Client is not permitted to assign an id"


@pytest.mark.promise("ERR-1")
def test_outside_the_base_too(endpoint: Service) -> None:
    answer = endpoint.send("GET", "../elsewhere")
    assert_refused(answer, 404, "not-found", "NO_RECORD_FOUND")


@pytest.mark.promise("ERR-2")
def test_the_diagnostics_are_about_this_request(endpoint: Service, held: Held) -> None:
    for media_type, named in (("text/turtle", "text/turtle"), (None, "Content-Type")):
        answer = endpoint.put(held.path, b"x", held.etag, content_type=media_type)
        issue = assert_refused(answer, 415, "not-supported", "UNSUPPORTED_MEDIA_TYPE")
        assert named in issue["diagnostics"]
    answer = endpoint.put(held.path, b'{"resourceType":\n "List",}', held.etag)
    issue = assert_refused(answer, 400, "structure", "MESSAGE_NOT_WELL_FORMED")
    assert "line 2" in issue["diagnostics"]


@pytest.mark.promise("ERR-5")
def test_every_outcome_has_an_id_of_its_own(endpoint: Service, held: Held) -> None:
    answers = [endpoint.get(f"List/{NOBODY}") for _ in range(3)]
    answers.append(endpoint.put(held.path, held.body(), held.etag, prefer="return=OperationOutcome"))
    ids = {answer.json()["id"] for answer in answers}
    assert len(ids) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", found) for found in ids)


@pytest.mark.promise("ERR-5")
def test_a_seed_fixes_the_ids_of_outcomes() -> None:
    """And an error does not change the id of the resource that is created after it."""
    one, two, three = with_seed(), with_seed(), with_seed()
    first, second = (endpoint.get(f"List/{NOBODY}").json()["id"] for endpoint in (one, two))
    assert first == second
    assert one.create().logical_id == three.create().logical_id != first


@pytest.mark.promise("ERR-2")
def test_an_answer_does_not_give_back_a_body_at_length(endpoint: Service, held: Held) -> None:
    answer = endpoint.put(held.path, held.body() | {"id": "a" * 1_000_000}, held.etag)
    assert_refused(answer, 400, "invalid", "BAD_REQUEST")
    assert len(answer.content) < 10_000


def with_seed() -> Service:
    return Service(BASE_URL, plain_session(InProcessAdapter(build_application(Settings(seed="7"), BASE_URL))))


def broken(*, new_id: Callable[[], str], store: Store) -> Service:
    """An endpoint in which something unforeseen is bound to happen."""
    application = Application(
        store, base_url=BASE_URL, policy=SPINE, clock=wall_clock, new_id=new_id, new_outcome_id=lambda: "outcome"
    )
    return Service(BASE_URL, plain_session(InProcessAdapter(application)))


@pytest.mark.promise("ERR-1", "ERR-3", "ERR-4")
def test_the_unforeseen_shows_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    def no_ids() -> str:
        raise RuntimeError("SELECT secret FROM /srv/workbench/endpoint/store.py")

    with caplog.at_level(logging.CRITICAL, logger="workbench"):
        answer = broken(new_id=no_ids, store=Store()).post("List", a_list())
    assert_refused(answer, 500, "processing", "INTERNAL_SERVER_ERROR")


@pytest.mark.promise("ERR-4")
def test_a_database_that_breaks_shows_no_sql(tmp_path: Path) -> None:
    path = tmp_path / "spine.db"
    store = Store(str(path))
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE resource"))
    engine.dispose()
    answer = broken(new_id=str, store=store).get(f"List/{NOBODY}")
    store.close()
    assert_refused(answer, 500, "processing", "INTERNAL_SERVER_ERROR")
