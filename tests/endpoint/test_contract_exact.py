"""UPD-5: what is sent is stored as sent, digit for digit, letter for letter, in order."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spinekit import Held, Service

pytestmark = pytest.mark.promise("UPD-5")

HEAD = '{{"resourceType":"List","id":"{id}","meta":{{"versionId":"{v}","lastUpdated":"{t}","profile":["http://p"]}},'


def stored(endpoint: Service, held: Held, rest: str, etag: str | None = None) -> tuple[bytes, bytes, str]:
    """PUT a List whose text ends in ``rest``; what a read must then show, what it shows, and the new ETag."""
    sent = HEAD.format(id=held.logical_id, v="00000000-0000", t="1999-12-31T23:59:59Z") + rest
    answer = endpoint.put(held.path, sent.encode(), etag or held.etag)
    assert answer.status_code == 200, answer.text
    read = endpoint.get(held.path)
    new = answer.headers["ETag"]
    updated = read.text.partition('"lastUpdated":"')[2].partition('"')[0]
    wanted = HEAD.format(id=held.logical_id, v=new.removeprefix('W/"').removesuffix('"'), t=updated) + rest
    return wanted.encode(), read.content, new


def with_number(number: str) -> str:
    return f'"extension":[{{"url":"http://a","valueDecimal":{number}}}],"status":"current","mode":"working"}}'


NUMBERS = [
    "1.10",
    "1.1",
    "1",
    "0.123456789012345678901234567890",
    "123456789012345678901234567890.10",
    "0.1000000000000000055511151231257827",
    "1e2",
    "1E2",
    "1e+2",
    "1E+400",
    "1.0E-400",
    "-0",
    "-0.0",
    "0.0",
    "0e0",
    "0.00",
    "1e0",
    "-1.50",
    "9007199254740993",
    "9" * 30,
    "-" + "9" * 400,
    "1" + "0" * 4998 + "1",
    "3." + "1" * 5000,
]


@pytest.mark.parametrize("number", NUMBERS, ids=[number[:40] for number in NUMBERS])
def test_a_decimal_keeps_every_digit(endpoint: Service, held: Held, number: str) -> None:
    wanted, found, _ = stored(endpoint, held, with_number(number))
    assert found == wanted


def test_numbers_stay_exact_over_many_updates(endpoint: Service, held: Held) -> None:
    etag = held.etag
    for number in NUMBERS[:10]:
        wanted, found, etag = stored(endpoint, held, with_number(number), etag)
        assert found == wanted


TEXTS = {
    "accents": "Zoë Łukasz Ngũgĩ",
    "combining": "Zoe\u0308 e\u0301\u0323",
    "composed beside combining": "é e\u0301",
    "astral": "\U0001f9d1\u200d\U0001f9bd \U0001d11e \U0002070e",
    "right to left": "משה أحمد \u202e reversed \u202c",
    "joiners": "नमस्ते ක්‍ෂ",
    "no characters": "\ufffe \uffff \U0010ffff",
    "line separators": "a\u2028b\u2029c",
    "a byte order mark inside": "a\ufeffb",
    "markup": "<script>alert(1)</script> & </b>",
    "quotes and backslashes": 'say \\"no\\" \\\\ and / or',
    "control characters": "a\\tb\\nc\\rd\\u0000e\\u001ff",
    "blanks": "  two before, two after  ",
    "delete": "a\x7fb\x85c",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_text_keeps_every_letter(endpoint: Service, held: Held, text: str) -> None:
    wanted, found, _ = stored(endpoint, held, f'"status":"current","mode":"working","title":"{text}"}}')
    assert json.loads(found) == json.loads(wanted)
    if "\\u" not in text:
        assert found == wanted


def test_an_escape_is_the_letter_it_stands_for(endpoint: Service, held: Held) -> None:
    rest = '"status":"current","mode":"working","title":"caf\\u00e9 \\ud83d\\ude00 \\/"}'
    _, found, _ = stored(endpoint, held, rest)
    assert json.loads(found)["title"] == "café \U0001f600 /"


RESTS = {
    "members in another order": '"title":"z","mode":"working","status":"current","date":"2018","code":{"text":"a"}}',
    "order inside": '"status":"current","mode":"working","code":{"text":"t","coding":[{"display":"d","code":"c"}]}}',
    "extension of a primitive": (
        '"status":"current","_title":{"extension":[{"url":"http://a","valueString":"b"}]},"mode":"working"}'
    ),
    "extension beside a value": (
        '"_title":{"id":"x","extension":[{"url":"http://a","valueDecimal":1.10}]},"title":"t",'
        '"status":"current","mode":"working"}'
    ),
    "extensions of a repeating primitive": (
        '"contained":[{"resourceType":"Patient","id":"p","name":[{"given":["A",null,"C"],'
        '"_given":[null,{"extension":[{"url":"http://a","valueCode":"unknown"}]},null]}]}],'
        '"status":"current","mode":"working"}'
    ),
    "contained": (
        '"contained":[{"resourceType":"Patient","id":"p","name":[{"family":"Żak"}]},'
        '{"resourceType":"Observation","id":"o","status":"final","code":{"text":"a"},'
        '"valueQuantity":{"value":1.10,"unit":"kg"}}],"status":"current","mode":"working"}'
    ),
    "text": (
        '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">'
        'A &amp; <b>B</b></div>"},"status":"current","mode":"working"}'
    ),
    "nested extensions": (
        '"extension":[{"url":"http://a","extension":[{"url":"b","valueInteger":0},{"url":"c","valueBoolean":false}]}],'
        '"status":"current","mode":"working"}'
    ),
    "entries in order, twice the same": (
        '"entry":[{"item":{"reference":"Flag/2"}},{"item":{"reference":"Flag/1"}},{"item":{"reference":"Flag/2"}}],'
        '"status":"current","mode":"working"}'
    ),
}


@pytest.mark.parametrize("rest", RESTS.values(), ids=RESTS.keys())
def test_everything_else_is_stored_as_sent(endpoint: Service, held: Held, rest: str) -> None:
    wanted, found, _ = stored(endpoint, held, rest)
    assert found == wanted


@pytest.mark.parametrize(
    "order",
    [
        ["resourceType", "id", "status", "mode"],
        ["id", "resourceType", "status", "mode"],
        ["mode", "status", "id", "resourceType"],
        ["status", "resourceType", "mode", "id"],
    ],
    ids=", ".join,
)
@pytest.mark.parametrize("meta", [{}, {"meta": {"tag": [{"code": "a"}], "profile": ["http://p"]}}], ids=["", "meta"])
def test_members_keep_their_order(endpoint: Service, held: Held, order: list[str], meta: dict[str, Any]) -> None:
    body = held.body()
    sent = {name: body[name] for name in order} | meta
    assert endpoint.put(held.path, sent, held.etag).status_code == 200
    found = endpoint.get(held.path).json()
    assert [name for name in found if name in sent] == list(sent)
    if meta:
        assert [name for name in found["meta"] if name in meta["meta"]] == ["tag", "profile"]


def test_a_meta_of_its_own_keeps_everything_but_version_and_date(endpoint: Service, held: Held) -> None:
    meta = {
        "_versionId": {"extension": [{"url": "http://a", "valueCode": "b"}]},
        "security": [{"system": "http://s", "code": "R"}],
        "extension": [{"url": "http://e", "valueString": "x"}],
    }
    endpoint.put(held.path, held.body(meta=meta), held.etag)
    found = endpoint.get(held.path).json()["meta"]
    assert {name: found[name] for name in meta} == meta


DIGITS = st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
# FHIR's strings: no empty ones, and no half characters.
STRINGS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(str.strip)


@settings(max_examples=25)
@given(numbers=st.lists(DIGITS, min_size=1, max_size=6), strings=st.lists(STRINGS, min_size=1, max_size=6))
def test_whatever_is_generated_comes_back(endpoint: Service, numbers: list[str], strings: list[str]) -> None:
    held = endpoint.create()
    items = [f'{{"url":"http://n","valueDecimal":{number}}}' for number in numbers]
    items += [f'{{"url":"http://s","valueString":{json.dumps(text, ensure_ascii=False)}}}' for text in strings]
    wanted, found, _ = stored(endpoint, held, f'"extension":[{",".join(items)}],"status":"current","mode":"working"}}')
    assert json.loads(found, parse_float=str, parse_int=str) == json.loads(wanted, parse_float=str, parse_int=str)
    sent = [Decimal(number).as_tuple() for number in numbers]
    came = [
        item["valueDecimal"]
        for item in json.loads(found, parse_float=Decimal, parse_int=Decimal)["extension"][: len(sent)]
    ]
    assert [number.as_tuple() for number in came] == sent
