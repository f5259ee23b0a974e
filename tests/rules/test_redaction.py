"""Redaction: what is personal is gone everywhere, by the same placeholder, and everything else is exact."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import BadInput, Exchange
from workbench.rules import json
from workbench.rules.element_path import ElementPath
from workbench.rules.message import Headers, Request, Response
from workbench.rules.redaction import NHS_NUMBERS, NOT_JSON, PERSONAL, Redaction, is_nhs_number

NUMBER = "9990000018"
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": NUMBER,
    "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": NUMBER}],
    "text": {"status": "generated", "div": "<div>Ann Example</div>"},
    "name": [
        {"family": "Example", "given": ["Ann", "Bea"], "_family": {"extension": [{"valueString": "van Example"}]}}
    ],
    "address": [{"line": ["1 High Street"], "postalCode": "LS1 4AP"}],
    "birthDate": "1980-02-29",
    "multipleBirthInteger": 2,
    "active": True,
}
OBSERVATION = b"""{"resourceType": "Observation", "id": "o-1", "valueQuantity": {"value": 1.10},
 "subject": {"reference": "Patient/9990000018", "display": "Ann Example"}}"""


def gone(redaction: Redaction, *texts: str) -> None:
    """None of what was planted is left."""
    for secret in (NUMBER, "Example", "Ann", "High Street", "LS1", "1980"):
        assert not [text for text in texts if secret in text], secret


def test_a_patient_keeps_its_shape_and_nothing_personal() -> None:
    redaction = Redaction()
    blanked = redaction.resource(PATIENT)
    gone(redaction, json.dumps(blanked))
    assert list(blanked) == list(PATIENT)
    assert blanked["id"] == blanked["identifier"][0]["value"]
    assert (blanked["active"], blanked["multipleBirthInteger"]) == (True, 2)
    assert (blanked["text"]["status"], blanked["identifier"][0]["system"]) == (
        "generated",
        PATIENT["identifier"][0]["system"],
    )
    assert len({*blanked["name"][0]["given"], blanked["name"][0]["family"]}) == 3


def test_the_same_value_has_the_same_placeholder_in_bodies_urls_and_references() -> None:
    redaction = Redaction()
    patient = redaction.resource(PATIENT)
    observed = json.parse(redaction.body(OBSERVATION))
    assert observed["subject"]["reference"] == f"Patient/{patient['id']}"
    assert redaction.text(f"https://x.example/Patient/{NUMBER}") == f"https://x.example/Patient/{patient['id']}"
    assert redaction.text(f"https://x.example/List?subject=https%3A%2F%2Fy%7C{NUMBER}&family=Example").endswith(
        f"{patient['id']}&family={patient['name'][0]['family']}"
    )


def test_what_is_not_personal_stays_digit_for_digit() -> None:
    assert b'"value":1.10' in Redaction().body(OBSERVATION)
    flag = b'{ "resourceType" : "Flag", "status": "active", "x": 1e2 }'
    assert Redaction().body(flag) == flag
    assert Redaction(()).body(OBSERVATION) == OBSERVATION


def test_it_can_be_put_back_and_only_what_is_known() -> None:
    redaction = Redaction()
    blanked = json.dumps(redaction.resource(PATIENT, foreign=True)).encode()
    url = redaction.text(f"https://x.example/Patient/{NUMBER}")
    back = redaction.restored(Request("PUT", url, body=blanked))
    assert (json.parse(back.body), back.url) == (PATIENT, f"https://x.example/Patient/{NUMBER}")
    with pytest.raises(BadInput, match=r"redacted-99 stands for something that was blanked elsewhere"):
        redaction.restored(Request("PUT", url, body=b'{"title": "redacted-99"}'))


@given(
    st.recursive(
        st.sampled_from(["redacted-1", "x redacted-2 y", NUMBER, "Ann", "a"]) | st.integers() | st.booleans(),
        lambda kids: st.dictionaries(st.sampled_from(["family", "given", "title", "note"]), kids),
        max_leaves=9,
    )
)
def test_putting_back_undoes_blanking_even_where_an_endpoint_sends_what_looks_like_a_placeholder(node: Any) -> None:
    redaction = Redaction(["*.family", "*.given", NHS_NUMBERS])
    blanked = redaction.resource({"resourceType": "Basic", "x": node}, foreign=True)
    back = redaction.restored(Request("PUT", "https://x.example/Basic/1", body=json.dumps(blanked).encode()))
    assert json.same(json.parse(back.body), {"resourceType": "Basic", "x": node})


def test_an_outcome_that_quotes_what_was_sent_quotes_the_placeholder() -> None:
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [
            {"severity": "error", "code": "invalid", "diagnostics": f"Patient {NUMBER}: Example is no Anniversary"}
        ],
    }
    exchange = Exchange(
        "a",
        "create",
        "Patient",
        "",
        Request("POST", "https://x.example/Patient", body=json.dumps(PATIENT).encode()),
        Response(422, Headers({"Location": f"/Patient/{NUMBER}"}), json.dumps(outcome).encode()),
        datetime(2018, 5, 25, tzinfo=UTC),
        failure=f"Patient {NUMBER} broke off",
    )
    kept = Redaction().exchange(exchange)
    assert kept.outcome is not None
    gone(Redaction(), repr(kept).replace("Anniversary", ""), kept.failure)
    assert "Anniversary" in kept.outcome.diagnostics
    assert (kept.status, kept.verdict) == (exchange.status, exchange.verdict)


def test_a_body_no_path_leads_into_is_left_out_whole() -> None:
    assert Redaction().body(b"<Patient><name>Ann Example</name></Patient>") == NOT_JSON
    assert Redaction().body(b'{"resourceType": "Patient", "name": "Ann') == NOT_JSON


@pytest.mark.parametrize(
    "text", ["1234567890", "9990000019", "999-000-001", "9990000018.5", "1.9990000018", "v9990000018", "9990000018Z"]
)
def test_what_is_no_nhs_number_stays(text: str) -> None:
    assert Redaction([NHS_NUMBERS]).text(text) == text


@pytest.mark.parametrize("text", [NUMBER, "999 000 0018", "999-000-0018", f"List?x|{NUMBER}."])
def test_an_nhs_number_is_found_however_it_is_written(text: str) -> None:
    assert "redacted-1" in Redaction([NHS_NUMBERS]).text(text)
    assert is_nhs_number(NUMBER)


def test_a_contained_resource_has_its_own_type() -> None:
    holder = {
        "resourceType": "List",
        "name": "kept",
        "contained": [{"resourceType": "Patient", "name": [{"text": "Ann"}]}],
    }
    assert Redaction(["Patient.name"]).resource(holder) == {
        "resourceType": "List",
        "name": "kept",
        "contained": [{"resourceType": "Patient", "name": [{"text": "redacted-1"}]}],
    }


def test_a_path_can_ask_what_stands_beside() -> None:
    redaction = Redaction(["*.identifier.value where system is urn:x"])
    assert redaction.resource(
        {"identifier": [{"system": "urn:x", "value": 1.50}, {"system": "urn:y", "value": "b"}]}
    ) == {"identifier": [{"system": "urn:x", "value": "redacted-1"}, {"system": "urn:y", "value": "b"}]}


@pytest.mark.parametrize("text", ["", "Patient", "*", "patient..name", "a.b where c", "a b", "Patient.Name"])
def test_what_is_no_path_is_said_so(text: str) -> None:
    with pytest.raises(BadInput, match="is not an element path"):
        ElementPath.read(text)


def test_its_own_words_hold_nothing_of_what_it_hides() -> None:
    redaction = Redaction()
    redaction.resource(PATIENT)
    assert repr(redaction) == f"<Redaction by {len(PERSONAL)} paths>"


def test_learning_takes_over_placeholders() -> None:
    redaction = Redaction()
    redaction.learn({"family": "Example", "n": json.parse("1.50")}, {"family": "redacted-7", "n": "redacted-9"})
    assert redaction.resource({"family": "Example", "given": "Ann"}) == {"family": "redacted-7", "given": "redacted-10"}
    back = json.parse(redaction.restored(Request("PUT", "https://x.example", body=b'["redacted-9"]')).body)
    assert (back, isinstance(back[0], Decimal)) == ([Decimal("1.50")], True)
