"""Exact JSON: what is read, what is refused and where, and that nothing is changed on the way through (UPD-5)."""

import copy
import json as standard
import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import BadInput, MalformedJSON
from workbench.fhir.json import MAX_DEPTH, ExactDecimal, dumps, parse, same

READ = {
    "null": None,
    "true": True,
    '""': "",
    "0": 0,
    "-5": -5,
    "[]": [],
    "{}": {},
    ' \t\r\n{ "a" : [ 1 , "b" , { } ] }\n': {"a": [1, "b", {}]},
    '"\\u00e9\\n\\/\\ud83d\\ude00"': "é\n/\U0001f600",
    '"\\\\ud800"': "\\ud800",
    '{"":1}': {"": 1},
    '{"__proto__":1}': {"__proto__": 1},
    "123456789012345678901234567890": 123456789012345678901234567890,
}


@pytest.mark.parametrize(("text", "value"), READ.items(), ids=READ.keys())
def test_parse_valid_json(text: str, value: Any) -> None:
    assert parse(text) == value == parse(text.encode())
    assert type(parse(text)) is type(value)


NUMBERS = [
    "1.10",
    "1.0",
    "0.1",
    "1e2",
    "1E2",
    "1e+2",
    "1E+400",
    "1e-400",
    "-0",
    "-0.0",
    "0e0",
    "-1.50e-0",
    "0.0000000000001",
]
LONG = ["9" * 30, "9" * 4000, "9" * 4001, "-" + "1" * 6000, "0." + "3" * 6000, "1" * 5000 + ".5e-17"]


@pytest.mark.parametrize("number", NUMBERS + LONG, ids=lambda number: number[:30])
def test_a_number_is_written_as_it_was_read(number: str) -> None:
    assert dumps(parse(number)) == number
    assert dumps(parse(f'{{"a":[{number}]}}')) == f'{{"a":[{number}]}}'


@pytest.mark.parametrize("number", NUMBERS)
def test_an_exact_decimal_is_a_decimal(number: str) -> None:
    exact = parse(number)
    assert isinstance(exact, ExactDecimal)
    assert exact == Decimal(number)
    assert hash(exact) == hash(Decimal(number))
    assert exact + 1 == Decimal(number) + 1
    assert (str(exact), repr(exact), f"{exact}") == (number, f"Decimal('{number}')", number)


@pytest.mark.parametrize("spec", [".2f", "10", "e", "+"])
def test_a_format_is_applied_as_to_any_decimal(spec: str) -> None:
    assert format(ExactDecimal("1.10"), spec) == format(Decimal("1.10"), spec)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_keeps_the_digits(again: Any) -> None:
    value = again(parse('{"a":[1.10,1e2,-0]}'))
    assert dumps(value) == '{"a":[1.10,1e2,-0]}'


REFUSED = {
    "": (1, 1, "there is no JSON"),
    "  \n ": (2, 2, "there is no JSON"),
    "{": (1, 2, ""),
    '{"a":1,}': (1, 7, ""),
    '{\n  "a": 1,\n  "b": oops\n}': (3, 8, ""),
    "[1 2]": (1, 4, ""),
    "[1] [2]": (1, 5, ""),
    "{'a':1}": (1, 2, ""),
    "NaN": (1, 1, "NaN is not a JSON number"),
    '{"a":\n NaN}': (2, 2, "NaN is not a JSON number"),
    "[Infinity]": (1, 2, "Infinity is not a JSON number"),
    "[-Infinity]": (1, 2, "-Infinity is not a JSON number"),
    "[1e99999999999999999999]": (1, 2, "too large"),
    '"a\nb"': (1, 3, "control character"),
    '"a\tb"': (1, 3, "control character"),
    '"\\x"': (1, 3, ""),
    '["a",\n "\\ud800"]': (2, 3, "surrogate"),
    '"\\udc00\\ud800"': (1, 2, "surrogate"),
    '{"a":1,"a":2}': (1, 8, 'the name "a" stands twice'),
    '{"a":1,\n "b":{"c":1,\n  "c":2}}': (3, 3, 'the name "c" stands twice'),
    '{"a":{"x":1},"b":{"x":1},"a":3}': (1, 26, 'the name "a" stands twice'),
    '{"a":"a","b":"a","b":1}': (1, 18, 'the name "b" stands twice'),
    '[{"a":1},{"a":1,"\\u0061":2}]': (1, 17, "stands twice"),
    "\ufeff{}": (1, 1, "byte order mark"),
    "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1): (1, MAX_DEPTH + 1, "deeper than 100"),
    "\n" + "[" * 100_000: (2, MAX_DEPTH + 1, ""),
    '{"a":' * 100_000: (1, 5 * MAX_DEPTH + 1, ""),
    "01": (1, 2, ""),
    "1.": (1, 2, ""),
    "+1": (1, 1, ""),
    ".5": (1, 1, ""),
    "0x10": (1, 2, ""),
    "1_000": (1, 2, ""),
    "\u0661": (1, 1, ""),
    "true false": (1, 6, ""),
    "nul": (1, 1, ""),
    "True": (1, 1, ""),
    "/* a */1": (1, 1, ""),
    "\xa01": (1, 1, ""),
}


@pytest.mark.parametrize(("text", "wanted"), REFUSED.items(), ids=[repr(text[:40]) for text in REFUSED])
def test_invalid_json_is_rejected_with_its_position(text: str, wanted: tuple[int, int, str]) -> None:
    line, column, words = wanted
    with pytest.raises(MalformedJSON) as caught:
        parse(text)
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert error.position == sum(len(each) + 1 for each in text.split("\n")[: line - 1]) + column - 1
    assert words in error.problem
    assert str(error) == f"line {line}, column {column}: {error.problem}"
    assert error.problem.endswith(".")
    assert "\n" not in error.problem


BYTES = [
    b"\xff\xfe{\x00}\x00",
    b'"\xe9"',
    b'"\xc3"',
    b'"\xed\xa0\x80"',
    b'"\xc0\xaf"',
    b"\xef\xbb\xbf{}",
    b'"\xf5\x80\x80\x80"',
]


@pytest.mark.parametrize("body", BYTES)
def test_bytes_that_are_not_utf_8(body: bytes) -> None:
    with pytest.raises(MalformedJSON):
        parse(body)


@pytest.mark.parametrize("text", ['"\ud800"', '{"\udfff":1}'], ids=ascii)
def test_a_lone_surrogate_in_the_text(text: str) -> None:
    with pytest.raises(MalformedJSON, match="surrogate"):
        parse(text)


def test_the_deepest_nesting_allowed() -> None:
    for text in ("[" * MAX_DEPTH + "]" * MAX_DEPTH, '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH):
        assert dumps(parse(text)) == text


def test_brackets_in_a_string_are_not_nesting() -> None:
    assert parse(f'"{"[" * 500}"') == "[" * 500
    with pytest.raises(MalformedJSON) as caught:
        parse(f'["{"[" * 500}",' + "[" * 150)
    assert caught.value.column > 500


def test_two_calls_share_no_object() -> None:
    text = '{"a":[1.10]}'
    first = parse(text)
    first["a"].append(2)
    assert dumps(parse(text)) == text


WRITTEN = [
    ({"b": 1, "a": [True, None, "é\U0001f600"]}, '{"b":1,"a":[true,null,"é\U0001f600"]}'),
    ({"a": Decimal("1.10")}, '{"a":1.10}'),
    ('a"\\\n\x00', '"a\\"\\\\\\n\\u0000"'),
    ((1, 2), "[1,2]"),
    ({}, "{}"),
]


@pytest.mark.parametrize(("value", "text"), WRITTEN)
def test_dumps(value: Any, text: str) -> None:
    assert dumps(value) == text


def test_dumps_with_an_indent() -> None:
    assert dumps(parse('{"a":[1.10,{}],"b":{}}'), indent=2) == '{\n  "a": [\n    1.10,\n    {}\n  ],\n  "b": {}\n}'


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), Decimal("NaN"), Decimal("-Infinity"), object(), {1, 2}, b"a", {(1, 2): 3}],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_json_does_not_have(value: Any) -> None:
    with pytest.raises(BadInput, match="cannot be written as JSON"):
        dumps({"a": [value]})


def test_a_value_inside_itself_cannot_be_written() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(BadInput, match="cannot be written as JSON"):
        dumps(value)


SAME = [
    ("1.10", "1.10", True),
    ("1.10", "1.1", False),
    ("1", "1.0", False),
    ("1e2", "100", False),
    ("1e2", "1E2", False),
    ("-0", "0", False),
    ("1", "true", False),
    ("0", "false", False),
    ("null", "false", False),
    ('"1"', "1", False),
    ('{"a":1,"b":2}', '{"b":2,"a":1}', True),
    ('{"a":1}', '{"a":1,"b":null}', False),
    ("[1,2]", "[2,1]", False),
    ("[1]", "[1,1]", False),
    ("[]", "{}", False),
    ('["\\u00e9"]', '["é"]', True),
    ('"e\u0301"', '"é"', False),
    ('{"a":[{"b":1.0}]}', '{"a":[{"b":1.00}]}', False),
]


@pytest.mark.parametrize(("left", "right", "wanted"), SAME)
def test_same(left: str, right: str, wanted: bool) -> None:
    assert same(parse(left), parse(right)) is same(parse(right), parse(left)) is wanted


DIGITS = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = st.one_of(
    st.sampled_from(["null", "true", "false"]), DIGITS, TEXT.map(lambda text: standard.dumps(text, ensure_ascii=False))
)


def written_list(items: list[str]) -> str:
    return f"[{','.join(items)}]"


def written_object(members: dict[str, str]) -> str:
    return f"{{{','.join(f'{standard.dumps(name, ensure_ascii=False)}:{value}' for name, value in members.items())}}}"


TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5).map(written_list), st.dictionaries(TEXT, inner, max_size=5).map(written_object)
    ),
    max_leaves=25,
)


def digits_kept(text: str) -> Any:
    """The standard library's reading, each number as the text it was."""
    return standard.loads(
        text, parse_int=lambda number: ["number", number], parse_float=lambda number: ["number", number]
    )


@given(TREES)
def test_parse_and_dumps_are_a_round_trip(text: str) -> None:
    out = dumps(parse(text))
    assert digits_kept(out) == digits_kept(text)
    assert dumps(parse(out)) == out
    assert dumps(parse(dumps(parse(text), indent=2))) == out
    assert same(parse(text), parse(out))


def refusal(text: str | bytes) -> MalformedJSON | None:
    """Why this is no JSON; ``None`` where it is, and then it is written and read again the same."""
    try:
        value = parse(text)
    except MalformedJSON as error:
        return error
    assert same(parse(dumps(value)), value)
    return None


@given(st.text() | st.binary())
def test_any_text_is_parsed_or_rejected(text: str | bytes) -> None:
    error = refusal(text)
    assert error is None or (error.line >= 1 and error.column >= 1 and error.problem.endswith("."))


@given(TREES, st.integers(0, 200), st.characters(exclude_categories=["Cs"]))
def test_a_changed_character_is_parsed_or_rejected_with_its_position(text: str, at: int, letter: str) -> None:
    slipped = text[:at] + letter + text[at + 1 :]
    error = refusal(slipped)
    assert error is None or 0 <= error.position <= len(slipped)
