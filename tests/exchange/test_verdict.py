"""Verdicts: the contract's *Dialects*, server by server, and every other response.

Each dialect's row is what that server answers to an ``If-Match`` that is missing, stale or malformed, and to an id
it does not know; the verdict does not depend on the name of the server. The statuses and codes
are the contract's; where only the text can tell (a 400), the diagnostics are our own words.
"""

from typing import Any

import pytest
from exchangekit import NEXT, VERSION, exchange, outcome

from workbench.exchange.verdict import DONE, Verdict

CREATED, UPDATED, DELETED, READ = Verdict.CREATED, Verdict.UPDATED, Verdict.DELETED, Verdict.READ
STALE, UNGUARDED, NOT_FOUND, REFUSED = Verdict.STALE, Verdict.UNGUARDED, Verdict.NOT_FOUND, Verdict.REFUSED
UNSUPPORTED, FAILED, UNKNOWN, NOT_MODIFIED = (
    Verdict.UNSUPPORTED,
    Verdict.FAILED,
    Verdict.UNKNOWN,
    Verdict.NOT_MODIFIED,
)

BARE = "25777f7d-27bc"
STRONG = '"25777f7d-27bc"'
LIST = 'W/"24", W/"25"'

Row = tuple[str, str | None, int, dict[str, Any] | None, Verdict]

MISMATCH = outcome(code="conflict", spine_code="RESOURCE_VERSION_MISMATCH", diagnostics="not the current version")
PRECONDITION = outcome(code="structure", spine_code="PRECONDITION_FAILED", diagnostics="no usable If-Match")
NOT_THERE = outcome(code="not-found", diagnostics="no such resource")
NEEDS_IT = outcome(code="invalid", diagnostics="A valid If-Match header value is required to update this resource.")
BAD_TAG = outcome(code="invalid", diagnostics='The If-Match header must hold an ETag of the form W/"version".')
NO_MATCH = outcome(code="conflict", diagnostics="no supplied entity-tag matches the current version")
UNKNOWN_ID = outcome(code="forbidden", spine_code="MSG_RESOURCE_ID_FAIL", diagnostics="clients may not assign ids")

DIALECTS: dict[str, list[Row]] = {
    "Spine guide": [
        ("update", None, 412, PRECONDITION, UNGUARDED),
        ("update", VERSION, 409, MISMATCH, STALE),
        ("update", BARE, 412, PRECONDITION, UNGUARDED),
        ("update", STRONG, 412, PRECONDITION, UNGUARDED),
        ("update", "*", 412, PRECONDITION, UNGUARDED),
        ("update", "", 412, PRECONDITION, UNGUARDED),
        ("update", VERSION, 405, UNKNOWN_ID, REFUSED),
        ("update", VERSION, 200, None, UPDATED),
        ("delete", None, 412, PRECONDITION, UNGUARDED),
        ("delete", VERSION, 409, MISMATCH, STALE),
    ],
    "NHS PDS API": [
        ("patch", None, 412, PRECONDITION, UNGUARDED),
        ("patch", VERSION, 409, MISMATCH, STALE),
        ("patch", BARE, 412, PRECONDITION, UNGUARDED),
        ("patch", VERSION, 404, NOT_THERE, NOT_FOUND),
        ("patch", VERSION, 200, None, UPDATED),
    ],
    "Microsoft, STU3": [
        ("update", None, 412, outcome(code="required", diagnostics="If-Match is required"), UNGUARDED),
        ("update", VERSION, 409, outcome(code="conflict"), STALE),
        ("update", BARE, 400, BAD_TAG, UNGUARDED),
        ("update", VERSION, 404, NOT_THERE, NOT_FOUND),
        ("update", VERSION, 200, None, UPDATED),
    ],
    "Microsoft, R4": [
        ("update", None, 400, NEEDS_IT, UNGUARDED),
        ("update", VERSION, 412, outcome(code="required"), STALE),
        ("update", BARE, 400, BAD_TAG, UNGUARDED),
        ("update", VERSION, 404, NOT_THERE, NOT_FOUND),
        ("update", VERSION, 200, None, UPDATED),
    ],
    "HAPI FHIR JPA": [
        ("update", None, 200, None, UPDATED),
        ("update", VERSION, 409, outcome(code="processing", diagnostics="HAPI-0550: version conflict"), STALE),
        ("update", STRONG, 200, None, UPDATED),
        ("update", BARE, 200, None, UPDATED),
        ("update", BARE, 409, outcome(code="processing"), STALE),
        ("update", VERSION, 201, None, CREATED),
    ],
    "Medplum": [
        ("update", None, 200, None, UPDATED),
        ("update", VERSION, 412, outcome(code="processing", diagnostics="Precondition Failed"), STALE),
        ("update", BARE, 200, None, UPDATED),
        ("update", "*", 200, None, UPDATED),
        ("update", VERSION, 404, NOT_THERE, NOT_FOUND),
    ],
    "Blaze": [
        ("update", None, 200, None, UPDATED),
        ("update", VERSION, 412, outcome(code="conflict"), STALE),
        ("update", BARE, 412, outcome(code="invalid"), UNGUARDED),
        ("update", LIST, 412, outcome(code="conflict"), STALE),
        ("update", LIST, 200, None, UPDATED),
        ("update", VERSION, 412, outcome(code="conflict", diagnostics="Precondition on List/1"), STALE),
    ],
    "Helios": [
        ("update", None, 200, None, UPDATED),
        ("update", None, 412, outcome(code="conflict", diagnostics="If-Match header is required"), UNGUARDED),
        ("update", VERSION, 412, NO_MATCH, STALE),
        ("update", LIST, 412, NO_MATCH, STALE),
        ("update", STRONG, 412, NO_MATCH, STALE),
        ("update", BARE, 412, outcome(code="conflict", diagnostics="Malformed If-Match header"), UNGUARDED),
        ("update", "*", 200, None, UPDATED),
    ],
    "Aidbox": [
        ("update", None, 200, None, UPDATED),
        ("update", VERSION, 409, outcome(severity="fatal", code="conflict"), STALE),
        ("update", "25", 200, None, UPDATED),
        ("update", "25", 409, outcome(severity="fatal", code="conflict"), STALE),
    ],
    "FHIR R4": [
        ("update", None, 400, outcome(code="required", diagnostics="This server requires If-Match."), UNGUARDED),
        ("update", VERSION, 412, None, STALE),
    ],
    "RFC 6585": [
        ("update", None, 428, None, UNGUARDED),
        ("delete", None, 428, None, UNGUARDED),
        ("update", BARE, 428, None, UNGUARDED),
    ],
}


@pytest.mark.parametrize(
    ("interaction", "if_match", "status", "body", "verdict"),
    [
        pytest.param(*row, id=f"{server}: {row[0]} {row[1]} {row[2]}")
        for server, rows in DIALECTS.items()
        for row in rows
    ],
)
def test_a_dialect(
    interaction: str, if_match: str | None, status: int, body: dict[str, Any] | None, verdict: Verdict
) -> None:
    assert exchange(interaction, status, if_match=if_match, body=body).verdict is verdict


OTHERS: list[tuple[str, int, str | None, dict[str, Any] | None, Verdict]] = [
    ("read", 200, None, None, READ),
    ("read", 304, None, None, NOT_MODIFIED),
    ("read", 404, None, NOT_THERE, NOT_FOUND),
    ("read", 410, None, None, NOT_FOUND),
    ("read", 400, None, None, REFUSED),
    ("read", 401, None, None, REFUSED),
    ("read", 403, None, None, REFUSED),
    ("read", 406, None, None, REFUSED),
    ("read", 412, None, None, REFUSED),
    ("read", 409, None, None, REFUSED),
    ("read", 500, None, None, FAILED),
    ("read", 502, None, None, FAILED),
    ("read", 503, None, None, FAILED),
    ("read", 504, None, None, FAILED),
    ("read", 501, None, None, UNSUPPORTED),
    ("read", 301, None, None, REFUSED),
    ("search-type", 200, None, None, READ),
    ("capabilities", 200, None, None, READ),
    ("create", 201, None, None, CREATED),
    ("create", 200, None, None, CREATED),
    ("create", 405, None, UNKNOWN_ID, REFUSED),
    ("create", 405, None, None, UNSUPPORTED),
    ("create", 409, None, None, REFUSED),
    ("create", 412, None, None, REFUSED),
    ("create", 422, None, None, REFUSED),
    ("create", 502, None, None, UNKNOWN),
    ("update", 201, VERSION, None, CREATED),
    ("update", 204, VERSION, None, UPDATED),
    ("update", 202, VERSION, None, UNKNOWN),
    ("update", 400, VERSION, outcome(code="structure", diagnostics="not JSON"), REFUSED),
    ("update", 400, VERSION, outcome(code="invalid", diagnostics="an If-Match of another resource"), REFUSED),
    ("update", 400, None, outcome(code="structure", diagnostics="not JSON"), REFUSED),
    ("update", 400, None, None, REFUSED),
    ("update", 401, VERSION, None, REFUSED),
    ("update", 405, VERSION, None, UNSUPPORTED),
    ("update", 409, None, None, REFUSED),
    ("update", 410, VERSION, None, NOT_FOUND),
    ("update", 413, VERSION, None, REFUSED),
    ("update", 415, VERSION, None, REFUSED),
    ("update", 422, VERSION, None, REFUSED),
    ("update", 429, VERSION, None, REFUSED),
    ("update", 308, VERSION, None, REFUSED),
    ("update", 500, VERSION, None, FAILED),
    ("update", 501, VERSION, None, UNSUPPORTED),
    ("update", 502, VERSION, None, UNKNOWN),
    ("update", 503, VERSION, None, FAILED),
    ("update", 504, VERSION, None, UNKNOWN),
    ("delete", 200, VERSION, None, DELETED),
    ("delete", 204, VERSION, None, DELETED),
    ("delete", 404, VERSION, None, NOT_FOUND),
    ("delete", 412, VERSION, None, STALE),
    ("delete", 504, VERSION, None, UNKNOWN),
]


@pytest.mark.parametrize(
    ("interaction", "status", "if_match", "body", "verdict"),
    OTHERS,
    ids=[f"{interaction} {if_match} {status}" for interaction, status, if_match, *_ in OTHERS],
)
def test_verdicts_outside_the_dialects(
    interaction: str, status: int, if_match: str | None, body: dict[str, Any] | None, verdict: Verdict
) -> None:
    assert exchange(interaction, status, if_match=if_match, body=body).verdict is verdict


@pytest.mark.parametrize("interaction", ["read", "create", "update", "delete"])
@pytest.mark.parametrize(("sent", "verdict"), [(True, UNKNOWN), (False, FAILED)])
def test_no_answer(interaction: str, sent: bool, verdict: Verdict) -> None:
    """An unanswered PUT is neither failed nor done, unless it surely never left."""
    assert exchange(interaction, None, if_match=VERSION, sent=sent, failure="No answer.").verdict is verdict


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[]", b'{"resourceType":"OperationOutcome","issue":5}'])
def test_a_body_without_an_outcome_changes_no_verdict(body: bytes) -> None:
    assert exchange("update", 409, if_match=VERSION, body=body).verdict is STALE
    assert exchange("update", 412, if_match=None, body=body).verdict is UNGUARDED
    assert exchange("update", 412, if_match=BARE, body=body).verdict is UNGUARDED
    assert exchange("update", 400, if_match=None, body=body).verdict is REFUSED


XML = '<OperationOutcome xmlns="http://hl7.org/fhir"><issue><code value="{}"/>{}</issue></OperationOutcome>'


@pytest.mark.parametrize(
    ("status", "code", "text", "verdict"),
    [
        (409, "conflict", "Update Conflict (server current version = 3, client version referenced = 1)", STALE),
        (409, "duplicate", "", REFUSED),
        (412, "multiple-matches", "", REFUSED),
        (503, "timeout", "", UNKNOWN),
        (200, "informational", "", UPDATED),
    ],
)
def test_an_outcome_in_xml(status: int, code: str, text: str, verdict: Verdict) -> None:
    body = XML.format(code, f'<diagnostics value="{text}"/>' if text else "").encode()
    assert exchange("update", status, if_match=VERSION, body=body).verdict is verdict


def test_spine_s_own_code_is_stronger_than_a_word_in_the_text() -> None:
    said = outcome(code="conflict", spine_code="RESOURCE_VERSION_MISMATCH", diagnostics="a duplicate of List/2")
    assert exchange("update", 409, if_match=VERSION, body=said).verdict is STALE


def test_a_very_long_text_is_judged_at_once() -> None:
    said = outcome(code="invariant", diagnostics="resource version " * 60_000)
    assert exchange("update", 400, if_match=VERSION, body=said).verdict is REFUSED


@pytest.mark.parametrize("interaction", ["search-type", "create", "update"])
def test_only_the_path_makes_a_post_a_search(interaction: str) -> None:
    assert exchange(interaction, 504, method="POST", logical_id="_search").verdict is FAILED
    assert exchange(interaction, 504, method="POST", logical_id="").verdict is UNKNOWN
    assert exchange(interaction, 504, method="PUT", logical_id="_search").verdict is UNKNOWN


def test_done() -> None:
    assert {READ, NOT_MODIFIED, CREATED, UPDATED, DELETED} == DONE
    assert exchange("update", 200, etag=NEXT).ok
    assert not exchange("update", 409, if_match=VERSION).ok


def test_the_words_of_the_verdicts() -> None:
    assert [verdict.value for verdict in Verdict] == [
        *("read", "not modified", "created", "updated", "deleted", "stale", "unguarded", "not found", "refused"),
        *("unsupported", "failed", "unknown"),
    ]
    assert repr(Verdict.STALE) == "Verdict.STALE"
