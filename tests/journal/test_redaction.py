"""Redaction: what is personal is gone everywhere, by the same placeholder, and everything else is exact."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import BadInput, Exchange
from workbench.exchange.message import Headers, Request, Response
from workbench.fhir import json
from workbench.fhir.resource import ElementPath
from workbench.journal.redaction import NHS_NUMBERS, NOT_JSON, PERSONAL, Redaction, is_nhs_number

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


def test_a_redacted_patient_keeps_its_shape() -> None:
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


def test_other_elements_stay_exact() -> None:
    assert b'"value":1.10' in Redaction().body(OBSERVATION)
    flag = b'{ "resourceType" : "Flag", "status": "active", "x": 1e2 }'
    assert Redaction().body(flag) == flag
    assert Redaction(()).body(OBSERVATION) == OBSERVATION


def test_known_placeholders_are_restored() -> None:
    redaction = Redaction()
    blanked = json.dumps(redaction.resource(PATIENT, foreign=True)).encode()
    url = redaction.text(f"https://x.example/Patient/{NUMBER}")
    back = redaction.restored(Request("PUT", url, body=blanked))
    assert (json.parse(back.body), back.url) == (PATIENT, f"https://x.example/Patient/{NUMBER}")
    with pytest.raises(BadInput, match=r"redacted-99 is a placeholder whose value is unknown here"):
        redaction.restored(Request("PUT", url, body=b'{"title": "redacted-99"}'))


def test_a_body_that_is_not_json_is_sent_as_it_is() -> None:
    redaction = Redaction()
    url = redaction.text(f"https://x.example/Patient/{NUMBER}")
    restored = redaction.restored(Request("PUT", url, body=b"{ redacted-1"))
    assert (restored.body, restored.url) == (b"{ redacted-1", f"https://x.example/Patient/{NUMBER}")


def test_texts_that_do_not_match_teach_no_placeholder() -> None:
    redaction = Redaction()
    redaction.learn("Ann and Bea, both", "redacted-1 or redacted-2, both")
    with pytest.raises(BadInput, match="redacted-1 is a placeholder whose value is unknown"):
        redaction.restored(Request("PUT", "https://x.example/Patient/redacted-1"))


@pytest.mark.parametrize("text", ["", "999000001", "99900000180"])
def test_another_number_of_digits_is_no_nhs_number(text: str) -> None:
    assert not is_nhs_number(text)


@given(
    st.recursive(
        st.sampled_from(
            ["redacted-1", "x redacted-2 y", f"redacted-{NUMBER}", "redacted-redacted-1", "redacted-123 456 7881"]
        )
        | st.sampled_from(
            [NUMBER, f"a-{NUMBER}_b", f"p{NUMBER}q", f"y%7C{NUMBER}", "?family=Ann&given=a", "Ann", "a", int(NUMBER)]
        )
        | st.integers()
        | st.booleans(),
        lambda kids: st.dictionaries(st.sampled_from(["family", "given", "title", NUMBER, f"x-{NUMBER}"]), kids),
        max_leaves=9,
    )
)
def test_restoring_undoes_redaction_of_texts_like_placeholders(node: Any) -> None:
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


def test_a_body_that_is_not_json_is_left_out() -> None:
    assert Redaction().body(b"<Patient><name>Ann Example</name></Patient>") == NOT_JSON
    assert Redaction().body(b'{"resourceType": "Patient", "name": "Ann') == NOT_JSON


@pytest.mark.parametrize(
    "text",
    [
        "1234567890",
        "9990000019",
        "999-000-001",
        "9990000018.5",
        "1.9990000018",
        "v1-x9990000018",
        "a1b9990000018",
        "x9990000018y1",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert Redaction([NHS_NUMBERS]).text(text) == text


@pytest.mark.parametrize(
    "gap",
    ["", " ", "-", "  ", " - ", ".", "/", "_", ",", ":", "\u00a0", "\u2009", "\u2011", "\u2013", "+", "%20", "%2D"],
)
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "List?x|{}.",
        "nhs-{}",
        "{}-v1",
        "nhs_{}",
        "urn:x:{}",
        "({})",
        "nhs{}",
        "Patient/p{}",
        "{}Z",
        "y%7C{}",
        "a%3A{}%2C",
    ],
)
def test_an_nhs_number_is_found_however_it_is_written(gap: str, around: str) -> None:
    number = gap.join(("999", "000", "0018"))
    assert Redaction([NHS_NUMBERS]).text(around.format(number)) == around.format("redacted-1")
    assert is_nhs_number(number)


def test_digits_of_every_script_are_digits() -> None:
    assert Redaction([NHS_NUMBERS]).text("９９９ ０００ ００１８") == "redacted-1"


@pytest.mark.parametrize(
    "text",
    [
        "Fri, 25 May 2018 16:09:50 GMT",
        "2018-05-25T16:09:50.000+00:00",
        'W/"25777f7d-27bc"',
        "744eec7d-8951-4722-ad74-dc34e86d4e1a",
        "1094391000000102",
        "200000000115",
        "10.9990000018",
    ],
)
def test_dates_versions_and_codes_stay(text: str) -> None:
    assert Redaction([NHS_NUMBERS]).text(text) == text


@given(st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT")) | st.uuids().map(str))
def test_dates_and_uuids_are_not_nhs_numbers(text: str) -> None:
    assert Redaction([NHS_NUMBERS]).text(text) == text


@pytest.mark.parametrize("end", ["ab9990000018", "9990000018ab", "a9990000018b"])
def test_the_end_of_a_uuid_is_not_an_nhs_number(end: str) -> None:
    assert Redaction([NHS_NUMBERS]).text(f"744eec7d-8951-4722-ad74-{end}") == f"744eec7d-8951-4722-ad74-{end}"


def test_an_nhs_number_is_found_as_a_number_and_as_a_name() -> None:
    redaction = Redaction([NHS_NUMBERS])
    content = {"n": int(NUMBER), "of": {NUMBER: [1, int(NUMBER), 19, 1234567890]}, f"_{NUMBER}": True}
    blanked = redaction.resource(content)
    assert blanked == {"n": "redacted-1", "of": {"redacted-2": [1, "redacted-1", 19, 1234567890]}, "_redacted-2": True}
    back = redaction.restored(Request("PUT", "https://x.example", body=json.dumps(blanked).encode()))
    assert json.same(json.parse(back.body), content), "numbers come back as numbers"


# --- URLs ---

SEARCH = f"https://x.example/Patient?family=Example&given=Ann&subject%3APatient.birthdate=ge1980&identifier=urn%3Ax%7C{NUMBER}"
PLACES: dict[str, Any] = {
    "Bundle.link": {"resourceType": "Bundle", "link": [{"relation": "next", "url": f"{SEARCH}&_count=2"}]},
    "fullUrl": {"resourceType": "Bundle", "entry": [{"fullUrl": f"https://x.example/Patient/{NUMBER}"}]},
    "request.url": {"resourceType": "Bundle", "entry": [{"request": {"url": SEARCH[18:]}}]},
    "ifNoneExist": {"resourceType": "Bundle", "entry": [{"request": {"ifNoneExist": SEARCH.partition("?")[2]}}]},
    "response.location": {
        "resourceType": "Bundle",
        "entry": [{"response": {"location": f"Patient/{NUMBER}/_history/1"}}],
    },
    "criteria": {"resourceType": "Subscription", "criteria": SEARCH[18:]},
    "narrative": {
        "resourceType": "List",
        "text": {"div": f'<div><a href="{SEARCH.replace("&", "&amp;")}">x</a></div>'},
    },
}
FIELDS = {
    "Location": f"https://x.example/Patient/{NUMBER}/_history/1",
    "Content-Location": SEARCH,
    "Link": f'<{SEARCH}>; rel="self", </Patient?given=Ann>; rel=next',
    "If-None-Exist": SEARCH.partition("?")[2],
    "Refresh": f"0; url={SEARCH}",
    "X-Of-Theirs": f"/Patient;family=Example?given=Ann#{NUMBER}",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_url_in_a_body_hides_whom_it_searches_for(place: str) -> None:
    redaction = Redaction(["Patient.name", NHS_NUMBERS])
    blanked = redaction.resource(PLACES[place])
    gone(redaction, json.dumps(blanked))
    back = redaction.restored(Request("PUT", "https://x.example", body=json.dumps(blanked).encode()))
    assert json.parse(back.body).keys() == PLACES[place].keys()


@pytest.mark.parametrize("name", FIELDS)
def test_a_url_in_a_field_hides_whom_it_searches_for(name: str) -> None:
    redaction = Redaction(["Patient.name", NHS_NUMBERS])
    answer = redaction.response(Response(200, Headers({name: FIELDS[name]})))
    asked = redaction.request(Request("GET", SEARCH, Headers({name: FIELDS[name]})))
    gone(redaction, answer.headers[name], asked.headers[name], asked.url)
    assert "redacted-" in answer.headers[name]
    assert asked.url.startswith("https://x.example/Patient?family=redacted-")


def test_one_person_has_one_placeholder_in_every_place() -> None:
    redaction = Redaction()
    patient = redaction.resource(PATIENT)
    family = patient["name"][0]["family"]
    asked = redaction.request(Request("GET", SEARCH, Headers({"Link": f"<{SEARCH}>"})))
    bundle = redaction.resource(PLACES["Bundle.link"])
    for text in (asked.url, asked.headers["Link"], bundle["link"][0]["url"]):
        assert f"?family={family}&given={patient['name'][0]['given'][0]}&" in text
    assert patient["id"] in redaction.resource(PLACES["fullUrl"])["entry"][0]["fullUrl"]


def test_placeholders_are_numbered_as_their_values_are_met() -> None:
    exchange = Exchange(
        *("a", "read", "Patient", NUMBER),
        Request("GET", f"https://x.example/Patient/{NUMBER}?family=Sample"),
        Response(200, Headers({"Link": "</x?given=Bea>"}), json.dumps(PATIENT).encode()),
        datetime(2018, 5, 25, tzinfo=UTC),
    )
    kept = Redaction().exchange(exchange)
    assert kept.request.url.endswith("/redacted-2?family=redacted-1")
    assert kept.logical_id == "redacted-2"
    assert kept.response is not None
    placeholders = [int(found) for found in re.findall(r"redacted-([0-9]+)", kept.response.body.decode())]
    first = list(dict.fromkeys(number for number in placeholders if number > 2))
    assert first == sorted(first)
    assert repr(Redaction().exchange(exchange)) == repr(kept)


# --- going on ---

KEY = bytes(range(32))


def test_a_resumed_redaction_gives_the_same_placeholders() -> None:
    before = Redaction()
    before.resume(KEY, {})
    first = before.resource(PATIENT)
    kept = {digest: number for number, digest in before.unkept}
    after = Redaction()
    after.resume(KEY, kept)
    assert after.resource({"resourceType": "Basic", "name": [{"family": "Other"}]})["name"][0][
        "family"
    ] not in json.dumps(first)
    assert after.resource(PATIENT) == first
    assert [number for number, _ in after.unkept] == [len(kept) + 1]
    other = Redaction()
    other.resume(KEY[::-1], {})
    other.resource(PATIENT)
    assert not kept.keys() & {digest for _, digest in other.unkept}, "another key, other digests"


def test_a_foreign_placeholder_is_replaced() -> None:
    """Two patients are never called the same, even where an endpoint calls one of them so."""
    redaction = Redaction()
    person, odd = ({"resourceType": "Patient", "id": name} for name in (NUMBER, "redacted-1"))
    written = [redaction.resource(each, foreign=True)["id"] for each in (person, odd, person)]
    assert written == ["redacted-1", "redacted-2", "redacted-1"]


# --- linear time ---


def test_sixteen_thousand_names_are_redacted_in_seconds() -> None:
    people = [
        {"resourceType": "Patient", "name": [{"family": f"Family{n}", "given": [f"Given{n}"]}]} for n in range(8000)
    ]
    issues = [{"diagnostics": f"Given{n} Family{n} is not Given{n}"} for n in range(8000)]
    content = [people, {"resourceType": "OperationOutcome", "issue": issues}]
    before = time.process_time()
    blanked = json.dumps(Redaction().resource(content))
    assert time.process_time() - before < 10, "the product of names and words took 48 s"
    assert not re.search(r"(?:Family|Given)[0-9]", blanked)


HOSTILE = {
    "many placeholders": ("a " * 60 + "b", " ".join(f"redacted-{n}" for n in range(40)) + " c"),
    "placeholders side by side": ("a" * 3000, "-".join(["redacted-1"] * 1000) + "!"),
    "the end is missing": ("ab" * 5000, "redacted-1ab" * 40 + "ab redacted-2 x"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_learning_takes_one_pass(name: str) -> None:
    clear, blanked = HOSTILE[name]
    Redaction().learn({"x": clear}, {"x": blanked})  # took for ever


@given(st.lists(st.sampled_from(["Ann", "1", "x y"]), min_size=1, max_size=4), st.sampled_from([", ", " and ", "/"]))
def test_learned_values_are_restored(values: list[str], between: str) -> None:
    redaction = Redaction(["*.family"])
    names = [f"redacted-{values.index(value) + 1}" for value in values]
    redaction.learn({"t": f"<{between.join(values)}>"}, {"t": f"<{between.join(names)}>"})
    assert [redaction.resource({"family": value})["family"] for value in values] == names


@pytest.mark.parametrize("sign", ["9", "-", "%2", "999-", "=", "&", "?a=", ";family=", "redacted-", "a.", "[", "\\"])
def test_no_text_makes_it_slow(sign: str) -> None:
    redaction = Redaction()
    before = time.process_time()
    redaction.text(sign * 100_000, foreign=True)
    redaction.text("https://x.example/" + sign * 100_000)
    assert time.process_time() - before < 5


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


def test_a_path_with_a_condition_on_a_sibling() -> None:
    redaction = Redaction(["*.identifier.value where system is urn:x"])
    assert redaction.resource(
        {"identifier": [{"system": "urn:x", "value": 1.50}, {"system": "urn:y", "value": "b"}]}
    ) == {"identifier": [{"system": "urn:x", "value": "redacted-1"}, {"system": "urn:y", "value": "b"}]}


@pytest.mark.parametrize("text", ["", "Patient", "*", "patient..name", "a.b where c", "a b", "Patient.Name"])
def test_a_malformed_path_is_rejected(text: str) -> None:
    with pytest.raises(BadInput, match="is not an element path"):
        ElementPath.read(text)


def test_the_repr_holds_no_value() -> None:
    redaction = Redaction()
    redaction.resource(PATIENT)
    assert repr(redaction) == f"<Redaction by {len(PERSONAL)} paths>"


def test_learning_takes_over_placeholders() -> None:
    redaction = Redaction()
    redaction.learn({"family": "Example", "n": json.parse("1.50")}, {"family": "redacted-7", "n": "redacted-9"})
    assert redaction.resource({"family": "Example", "given": "Ann"}) == {"family": "redacted-7", "given": "redacted-10"}
    back = json.parse(redaction.restored(Request("PUT", "https://x.example", body=b'["redacted-9"]')).body)
    assert (back, isinstance(back[0], Decimal)) == ([Decimal("1.50")], True)
