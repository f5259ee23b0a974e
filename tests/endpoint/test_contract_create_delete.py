"""Creating and deleting (CR-1, CR-2, DL-1, DL-2)."""

import re
import uuid

import pytest
from spinekit import NO_VERSION, NOBODY, Held, Service, a_list, assert_refused


@pytest.mark.promise("CR-1")
def test_a_create(endpoint: Service) -> None:
    answer = endpoint.post("List", a_list(title="new"))
    assert (answer.status_code, answer.content) == (201, b"")
    base, _, logical_id = answer.headers["Location"].rpartition("/")
    assert base == f"{endpoint.base_url}/List"
    assert str(uuid.UUID(logical_id)) == logical_id
    read = endpoint.get(f"List/{logical_id}")
    assert read.headers["ETag"] == answer.headers["ETag"]
    assert read.headers["Last-Modified"] == answer.headers["Last-Modified"]
    assert read.json() == a_list(title="new", id=logical_id, meta=read.json()["meta"])


@pytest.mark.promise("CR-1")
def test_each_create_has_an_id_of_its_own(endpoint: Service) -> None:
    made = [endpoint.create() for _ in range(20)]
    assert len({held.logical_id for held in made}) == 20
    assert len({held.etag for held in made}) == 20


@pytest.mark.promise("CR-1")
def test_a_version_in_the_body_of_a_create_is_overwritten(endpoint: Service) -> None:
    answer = endpoint.post("List", a_list(meta={"versionId": "00000000-0000", "lastUpdated": "1999", "tag": [{}]}))
    assert_refused(answer, 422, "invalid", "INVALID_RESOURCE")
    answer = endpoint.post("List", a_list(meta={"versionId": "00000000-0000", "lastUpdated": "1999"}))
    assert answer.status_code == 201
    assert answer.headers["ETag"] != NO_VERSION


@pytest.mark.promise("CR-2")
@pytest.mark.parametrize("logical_id", [NOBODY, "x", "", None, 5], ids=repr)
def test_a_create_with_an_id(endpoint: Service, logical_id: object) -> None:
    before = endpoint.get("List?_count=0").json()["total"]
    answer = endpoint.post("List", a_list(id=logical_id))
    assert_refused(answer, 405, "forbidden", "MSG_RESOURCE_ID_FAIL")
    assert endpoint.get("List?_count=0").json()["total"] == before
    assert endpoint.get(f"List/{NOBODY}").status_code == 404


@pytest.mark.promise("CR-2")
def test_a_create_with_the_id_of_another(endpoint: Service, held: Held) -> None:
    with endpoint.unchanged(held.path):
        answer = endpoint.post("List", held.body(title="mine now"))
    assert_refused(answer, 405, "forbidden", "MSG_RESOURCE_ID_FAIL")


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"", (400, "structure", "MESSAGE_NOT_WELL_FORMED")),
        (b"[]", (400, "invalid", "BAD_REQUEST")),
        (b'{"resourceType":"Flag"}', (400, "invalid", "BAD_REQUEST")),
        (b'{"resourceType":"List"}', (422, "invalid", "INVALID_RESOURCE")),
    ],
)
@pytest.mark.promise("ERR-3", "VAL-1")
def test_a_create_that_cannot_be(endpoint: Service, body: bytes, refusal: tuple[int, str, str]) -> None:
    before = endpoint.get("List?_count=0").json()["total"]
    assert_refused(endpoint.post("List", body), *refusal)
    assert endpoint.get("List?_count=0").json()["total"] == before


@pytest.mark.promise("DL-1")
def test_a_delete(endpoint: Service, held: Held) -> None:
    answer = endpoint.delete(held.path, held.etag)
    assert (answer.status_code, answer.content) == (204, b"")
    assert_refused(endpoint.get(held.path), 404, "not-found", "NO_RECORD_FOUND")
    assert endpoint.get(f"List?_id={held.logical_id}").json()["total"] == 0


@pytest.mark.promise("DL-1")
def test_a_delete_after_an_update(endpoint: Service, held: Held) -> None:
    current = endpoint.put(held.path, held.body(title="x"), held.etag).headers["ETag"]
    with endpoint.unchanged(held.path):
        assert_refused(endpoint.delete(held.path, held.etag), 409, "conflict", "RESOURCE_VERSION_MISMATCH")
    assert endpoint.delete(held.path, current).status_code == 204


@pytest.mark.promise("DL-2")
@pytest.mark.parametrize("if_match", [NO_VERSION, 'W/"1"'])
def test_a_stale_delete(endpoint: Service, held: Held, if_match: str) -> None:
    with endpoint.unchanged(held.path):
        answer = endpoint.delete(held.path, if_match)
    issue = assert_refused(answer, 409, "conflict", "RESOURCE_VERSION_MISMATCH")
    assert held.version_id in issue["diagnostics"]


@pytest.mark.promise("DL-2")
@pytest.mark.parametrize("form", [None, "{v}", '"{v}"', "*", "", 'W/"{v}", W/"{v}"'])
def test_a_delete_without_a_usable_if_match(endpoint: Service, held: Held, form: str | None) -> None:
    with endpoint.unchanged(held.path):
        answer = endpoint.delete(held.path, form and form.format(v=held.version_id))
    assert_refused(answer, 412, "structure", "PRECONDITION_FAILED")


@pytest.mark.promise("DL-2")
def test_a_second_delete(endpoint: Service) -> None:
    gone = endpoint.gone()
    assert_refused(endpoint.delete(gone.path, gone.etag), 404, "not-found", "NO_RECORD_FOUND")


def test_a_deleted_id_never_comes_back(endpoint: Service) -> None:
    gone = endpoint.gone()
    answer = endpoint.get(gone.path)
    assert re.search("deleted", answer.json()["issue"][0]["diagnostics"])
    assert gone.logical_id not in {endpoint.create().logical_id for _ in range(5)}
