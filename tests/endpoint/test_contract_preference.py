"""The section *Response preference* of the contract: what comes back from an accepted write, and from a refused one."""

import pytest
import requests
from spinekit import CODE_SYSTEM, NO_VERSION, PROFILE, WRITTEN_TYPE, Held, Service, a_list, assert_refused

WRITES = ["update", "create"]


def write(endpoint: Service, kind: str, held: Held, prefer: str | None) -> requests.Response:
    """An update of ``held`` or a create, with this ``Prefer``."""
    if kind == "create":
        return endpoint.send("POST", "List", headers=fields(prefer), body=a_list(title="new"))
    return endpoint.send("PUT", held.path, headers=fields(prefer) | {"If-Match": held.etag}, body=held.body(title="x"))


def fields(prefer: str | None) -> dict[str, str | None]:
    return {"Content-Type": "application/fhir+json", "Prefer": prefer}


def path_of(answer: requests.Response) -> str:
    return "/".join(answer.headers["Location"].split("/")[-2:])


@pytest.mark.promise("PRF-1", "PRF-4")
@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize(
    "prefer",
    [
        None,
        "return=minimal",
        "return=minimal, respond-async",
        "return=everything",
        "return=",
        "representation",
        "returns=representation",
        "handling=strict",
        "=",
        ",;,",
        "",
    ],
)
def test_headers_only(endpoint: Service, held: Held, kind: str, prefer: str | None) -> None:
    answer = write(endpoint, kind, held, prefer)
    assert answer.status_code == (201 if kind == "create" else 200)
    assert answer.content == b""
    assert "Content-Type" not in answer.headers
    assert all(name in answer.headers for name in ("ETag", "Last-Modified", "Location", "Date"))


@pytest.mark.promise("PRF-2")
@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize(
    "prefer",
    [
        "return=representation",
        'return="representation"',
        "respond-async, return=representation",
        "Return=representation",
    ],
)
def test_the_stored_resource(endpoint: Service, held: Held, kind: str, prefer: str) -> None:
    answer = write(endpoint, kind, held, prefer)
    read = endpoint.get(path_of(answer))
    assert answer.headers["Content-Type"] == WRITTEN_TYPE
    assert answer.content == read.content
    stored = answer.json()
    assert stored["id"] == path_of(answer).partition("/")[2]
    assert answer.headers["ETag"] == read.headers["ETag"] == f'W/"{stored["meta"]["versionId"]}"'
    assert stored["meta"]["versionId"] != held.version_id
    assert stored["meta"]["lastUpdated"].startswith("2018-05-25T1")


@pytest.mark.promise("PRF-3")
@pytest.mark.parametrize(("kind", "code"), [("update", "RESOURCE_UPDATED"), ("create", "RESOURCE_CREATED")])
def test_an_operation_outcome(endpoint: Service, held: Held, kind: str, code: str) -> None:
    answer = write(endpoint, kind, held, "return=OperationOutcome")
    outcome = answer.json()
    assert answer.headers["Content-Type"] == WRITTEN_TYPE
    assert (outcome["resourceType"], outcome["meta"]["profile"]) == ("OperationOutcome", [PROFILE])
    (issue,) = outcome["issue"]
    assert (issue["severity"], issue["code"]) == ("information", "informational")
    (coding,) = issue["details"]["coding"]
    assert (coding["system"], coding["code"]) == (CODE_SYSTEM, code)
    assert answer.headers["ETag"] == endpoint.get(path_of(answer)).headers["ETag"]


@pytest.mark.promise("PRF-5")
@pytest.mark.parametrize("prefer", [None, "return=minimal", "return=representation", "return=OperationOutcome"])
def test_an_error_answers_the_same_whatever_was_preferred(endpoint: Service, held: Held, prefer: str | None) -> None:
    headers = fields(prefer) | {"If-Match": NO_VERSION}
    with endpoint.unchanged(held.path):
        answer = endpoint.send("PUT", held.path, headers=headers, body=held.body())
    assert_refused(answer, 409, "conflict", "RESOURCE_VERSION_MISMATCH")
