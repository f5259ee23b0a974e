"""What differs between two versions: the paths people read, and which item of a list is which."""

import json as standard
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.fhir.diff import ABSENT, changes, item_key, pairs
from workbench.fhir.json import parse, same

CASES: list[tuple[str, str, list[str]]] = [
    ('{"a":1}', '{"a":1}', []),
    ('{"a":1,"b":2}', '{"b":2,"a":1}', []),
    ('{"a":1}', '{"a":2}', ["changed a: 1 → 2"]),
    ('{"a":1}', '{"b":1}', ["added b: (absent) → 1", "removed a: 1 → (absent)"]),
    ('{"a":1.10}', '{"a":1.1}', ["changed a: Decimal('1.10') → Decimal('1.1')"]),
    ('{"a":1}', '{"a":true}', ["changed a: 1 → True"]),
    ('{"a":null}', "{}", ["removed a: None → (absent)"]),
    ('{"a":{"b":{"c":1}}}', '{"a":{"b":{"c":2}}}', ["changed a.b.c: 1 → 2"]),
    ('{"a":{"b":1}}', '{"a":5}', ["changed a: {'b': 1} → 5"]),
    ('{"a":[1]}', '{"a":{"0":1}}', ["changed a: [1] → {'0': 1}"]),
    ('{"a":[1,2,3]}', '{"a":[1,3]}', ["removed a[1]: 2 → (absent)"]),
    ('{"a":[1,3]}', '{"a":[1,2,3]}', ["added a[1]: (absent) → 2"]),
    ('{"a":["x"]}', '{"a":["y"]}', ["changed a[0]: 'x' → 'y'"]),
    ('{"a":[1,2]}', '{"a":[2,1]}', ["changed a: [1, 2] → [2, 1]"]),
    ('{"a":[1,1]}', '{"a":[1]}', ["removed a[1]: 1 → (absent)"]),
    ('{"a":[]}', "{}", ["removed a: [] → (absent)"]),
    ('{"a":[[1]]}', '{"a":[[2]]}', ["changed a[0][0]: 1 → 2"]),
    (
        '{"e":[{"id":"1","t":"a"},{"id":"2","t":"b"}]}',
        '{"e":[{"id":"2","t":"c"}]}',
        ["changed e[0].t: 'b' → 'c'", "removed e[0]: {'id': '1', 't': 'a'} → (absent)"],
    ),
    (
        '{"e":[{"item":{"reference":"C/1"}},{"item":{"reference":"C/2"}}]}',
        '{"e":[{"item":{"reference":"C/0"}},{"item":{"reference":"C/1"}},{"item":{"reference":"C/2"},"deleted":true}]}',
        ["added e[0]: (absent) → {'item': {'reference': 'C/0'}}", "added e[2].deleted: (absent) → True"],
    ),
    (
        '{"x":[{"url":"u","valueString":"a"}]}',
        '{"x":[{"url":"v","valueString":"a"}]}',
        [
            "added x[0]: (absent) → {'url': 'v', 'valueString': 'a'}",
            "removed x[0]: {'url': 'u', 'valueString': 'a'} → (absent)",
        ],
    ),
    ('{"n":[{"t":"a"}]}', '{"n":[{"t":"b"}]}', ["changed n[0].t: 'a' → 'b'"]),
]


def described(before: Any, after: Any) -> list[str]:
    return [f"{c.kind} {c.path}: {c.before!r} → {c.after!r}" for c in changes(before, after)]


@pytest.mark.parametrize(("before", "after", "wanted"), CASES, ids=[f"{a} {b}"[:60] for a, b, _ in CASES])
def test_changes(before: str, after: str, wanted: list[str]) -> None:
    assert described(parse(before), parse(after)) == wanted


IDENTITIES = [
    ({"id": "1", "url": "u"}, ("id", "1")),
    ({"url": "u", "valueString": "x"}, ("url", "u")),
    ({"system": "s", "code": "c", "display": "d"}, ("system", "code", "s", "c")),
    ({"system": "s", "value": "v"}, ("system", "value", "s", "v")),
    ({"reference": "Flag/1"}, ("reference", "Flag/1")),
    ({"fullUrl": "u"}, ("fullUrl", "u")),
    ({"item": {"reference": "Flag/1"}}, ("item", ("reference", "Flag/1"))),
    ({"system": "s"}, None),
    ({"code": "c"}, None),
    ({"id": 5}, None),
    ({"item": {}}, None),
    ({}, None),
    ("id", None),
    (5, None),
    (None, None),
    ([], None),
]


@pytest.mark.parametrize(("item", "wanted"), IDENTITIES, ids=str)
def test_item_key(item: Any, wanted: Any) -> None:
    assert item_key(item) == wanted


PAIRS: list[tuple[list[Any], list[Any], dict[int, int]]] = [
    ([], [1], {}),
    ([1, 2, 3], [3, 1], {0: 2, 1: 0}),
    ([1, 1], [1, 1], {0: 0, 1: 1}),
    (["a"], ["b"], {0: 0}),
    ([1], ["1"], {}),
    ([{"id": "a"}], [{"id": "b"}], {}),
    ([{"id": "a", "x": 1}, {"id": "a", "x": 2}], [{"id": "a", "x": 2}, {"id": "a", "x": 3}], {0: 1, 1: 0}),
    ([{"x": 1}], [{"x": 2}], {0: 0}),
    ([{"x": 1}], [{"id": "a"}], {}),
    ([1, 2, 3], [1, 9, 3], {0: 0, 1: 1, 2: 2}),
    ([1, 2, 3, 4], [1, 8, 9, 4], {0: 0, 1: 1, 2: 2, 3: 3}),
    ([1, 2, 3], [1, 8, 9, 3], {0: 0, 3: 2}),
    ([1, 2], [9, 1, 2], {1: 0, 2: 1}),
    ([1, 2], [2, 9], {0: 1}),
    ([{"x": 1}, {"id": "a"}], [{"id": "a"}, {"x": 2}], {0: 1}),
]


@pytest.mark.parametrize(("before", "after", "wanted"), PAIRS, ids=str)
def test_pairs(before: list[Any], after: list[Any], wanted: dict[int, int]) -> None:
    assert pairs(before, after) == wanted


def test_pairing_a_long_list_is_linear() -> None:
    """Ten thousand entries, the first one gone: a square number of comparisons would not end in this test's time."""
    before = [{"item": {"reference": f"Condition/{number}"}, "n": number} for number in range(10_000)]
    after = [entry | {"n": -1} for entry in before[1:]]
    found = list(changes({"entry": before}, {"entry": after}))
    assert len(found) == 10_000
    assert found[-1].path == "entry[0]"
    assert found[-1].after is ABSENT


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "b", ""]))
NAMES = st.sampled_from(["id", "url", "system", "code", "a", "item"])
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=15,
)
RESOURCES = st.dictionaries(NAMES, TREES, max_size=4)


@given(RESOURCES)
def test_a_value_has_no_changes_from_itself(resource: dict[str, Any]) -> None:
    assert list(changes(resource, parse(standard.dumps(resource)))) == []


@given(RESOURCES, RESOURCES)
def test_there_is_a_change_where_there_is_a_difference(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = list(changes(before, after))
    assert (not found) == same(before, after)
    assert all(change.before is not change.after for change in found)
    assert all(not same(change.before, change.after) for change in found)


@given(st.lists(TREES, max_size=6), st.lists(TREES, max_size=6))
def test_no_item_has_two_partners(before: list[Any], after: list[Any]) -> None:
    found = pairs(before, after)
    assert len(set(found.values())) == len(found)
    assert all(0 <= later < len(after) and 0 <= earlier < len(before) for later, earlier in found.items())
