"""The contract's *Order of checks*: a request that is wrong in two ways gets the earlier one's answer.

Each fault below spoils one thing about a valid PUT or DELETE. They are in the contract's order, and every pair
of them is tried.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from urllib.parse import quote

import pytest
import requests
from spinekit import FHIR_JSON, LIMIT, NO_VERSION, NOBODY, Held, Service, assert_refused


@dataclass
class Draft:
    """A request that can still be spoilt; ``spoil`` has the last word on the body's text."""

    resource_type: str
    logical_id: str
    body: dict[str, Any]
    if_match: str | None
    content_type: str = FHIR_JSON
    text_end: str = "}"
    padding: int = 0

    def send(self, endpoint: Service, method: str) -> requests.Response:
        path = f"{self.resource_type}/{quote(self.logical_id)}"
        if method == "DELETE":
            return endpoint.delete(path, self.if_match)
        text = json.dumps(self.body)[:-1] + self.text_end + " " * self.padding
        return endpoint.put(path, text, self.if_match, content_type=self.content_type)


def of_unknown_type(draft: Draft, _: Service) -> None:
    draft.resource_type = "Patient"


def with_an_id_that_is_none(draft: Draft, _: Service) -> None:
    draft.logical_id = "not_an_id"


def as_xml(draft: Draft, _: Service) -> None:
    draft.content_type = "application/fhir+xml"


def too_large(draft: Draft, _: Service) -> None:
    draft.padding = LIMIT


def without_if_match(draft: Draft, _: Service) -> None:
    draft.if_match = None


def with_a_bare_if_match(draft: Draft, _: Service) -> None:
    draft.if_match = "25777f7d-27bc"


def not_json(draft: Draft, _: Service) -> None:
    draft.text_end = ",}"


def with_another_id_in_the_body(draft: Draft, _: Service) -> None:
    draft.body["id"] = "another"


def invalid(draft: Draft, _: Service) -> None:
    draft.body["colour"] = "red"


def of_an_unknown_id(draft: Draft, _: Service) -> None:
    draft.logical_id = draft.body["id"] = NOBODY


def deleted(draft: Draft, endpoint: Service) -> None:
    draft.logical_id = draft.body["id"] = endpoint.gone().logical_id


def stale(draft: Draft, _: Service) -> None:
    draft.if_match = NO_VERSION


Fault = Callable[[Draft, Service], None]
Row = tuple[int, Fault, tuple[int, str, str]]

PUT_FAULTS: list[Row] = [
    (1, of_unknown_type, (501, "not-supported", "NOT_IMPLEMENTED")),
    (2, with_an_id_that_is_none, (400, "invalid", "BAD_REQUEST")),
    (3, as_xml, (415, "not-supported", "UNSUPPORTED_MEDIA_TYPE")),
    (4, too_large, (413, "too-long", "BAD_REQUEST")),
    (5, without_if_match, (412, "structure", "PRECONDITION_FAILED")),
    (5, with_a_bare_if_match, (412, "structure", "PRECONDITION_FAILED")),
    (6, not_json, (400, "structure", "MESSAGE_NOT_WELL_FORMED")),
    (7, with_another_id_in_the_body, (400, "invalid", "BAD_REQUEST")),
    (8, invalid, (422, "invalid", "INVALID_RESOURCE")),
    (9, of_an_unknown_id, (405, "forbidden", "MSG_RESOURCE_ID_FAIL")),
    (9, deleted, (404, "not-found", "NO_RECORD_FOUND")),
    (10, stale, (409, "conflict", "RESOURCE_VERSION_MISMATCH")),
]
DELETE_FAULTS: list[Row] = [
    (1, of_unknown_type, (501, "not-supported", "NOT_IMPLEMENTED")),
    (2, with_an_id_that_is_none, (400, "invalid", "BAD_REQUEST")),
    (5, without_if_match, (412, "structure", "PRECONDITION_FAILED")),
    (5, with_a_bare_if_match, (412, "structure", "PRECONDITION_FAILED")),
    (9, of_an_unknown_id, (404, "not-found", "NO_RECORD_FOUND")),
    (9, deleted, (404, "not-found", "NO_RECORD_FOUND")),
    (10, stale, (409, "conflict", "RESOURCE_VERSION_MISMATCH")),
]


def words(fault: Fault) -> str:
    return fault.__name__.replace("_", " ")


def pairs(rows: list[Row]) -> list[Any]:
    """Every two faults that one request can have at once, the earlier first."""
    return [
        pytest.param(first, second, refusal, id=f"{words(first)}, {words(second)}")
        for (rank, first, refusal), (later, second, _) in combinations(rows, 2)
        if rank < later
    ]


def draft_of(held: Held) -> Draft:
    return Draft("List", held.logical_id, held.body(title="changed"), held.etag)


def test_unspoilt_the_draft_is_accepted(endpoint: Service, held: Held) -> None:
    assert draft_of(held).send(endpoint, "PUT").status_code == 200
    fresh = endpoint.create()
    assert draft_of(fresh).send(endpoint, "DELETE").status_code == 204


@pytest.mark.promise("UPD-6", "UPD-7", "UPD-8", "UPD-9", "UPD-10", "UPD-11", "UPD-12", "VAL-1", "ERR-3")
@pytest.mark.parametrize(("fault", "refusal"), [pytest.param(f, r, id=words(f)) for _, f, r in PUT_FAULTS])
def test_one_fault_in_a_put(endpoint: Service, held: Held, fault: Fault, refusal: tuple[int, str, str]) -> None:
    draft = draft_of(held)
    fault(draft, endpoint)
    with endpoint.unchanged(held.path):
        answer = draft.send(endpoint, "PUT")
    assert_refused(answer, *refusal)


@pytest.mark.promise("ERR-3")
@pytest.mark.parametrize(("first", "second", "refusal"), pairs(PUT_FAULTS))
def test_two_faults_in_a_put(
    endpoint: Service, held: Held, first: Fault, second: Fault, refusal: tuple[int, str, str]
) -> None:
    draft = draft_of(held)
    second(draft, endpoint)
    first(draft, endpoint)
    with endpoint.unchanged(held.path):
        answer = draft.send(endpoint, "PUT")
    assert_refused(answer, *refusal)


@pytest.mark.promise("DL-2")
@pytest.mark.parametrize(("first", "second", "refusal"), pairs(DELETE_FAULTS))
def test_two_faults_in_a_delete(
    endpoint: Service, held: Held, first: Fault, second: Fault, refusal: tuple[int, str, str]
) -> None:
    draft = draft_of(held)
    second(draft, endpoint)
    first(draft, endpoint)
    with endpoint.unchanged(held.path):
        answer = draft.send(endpoint, "DELETE")
    assert_refused(answer, *refusal)
