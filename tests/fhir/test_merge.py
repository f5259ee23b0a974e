"""Three-way merge: the case table row by row, the two practitioners, and what holds for any three versions."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput, OpenConflict
from workbench.fhir.diff import ABSENT
from workbench.fhir.json import dumps, parse, same
from workbench.fhir.merge import Edited, Kind, Side, merge

HEAD = {"resourceType": "List", "id": "1"}


def resource(**members: Any) -> dict[str, Any]:
    return {**HEAD, **{name: value for name, value in members.items() if value is not ABSENT}}


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {"item": {"reference": f"Condition/{number}"}, **more}


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "kind", "result"),
    [
        ("a", "a", "a", None, "a"),
        ("a", "b", "b", Kind.SAME, "b"),
        ("a", "b", "a", Kind.ONLY_MINE, "b"),
        ("a", "a", "b", Kind.ONLY_THEIRS, "b"),
        ("a", "b", "c", Kind.CONFLICT, None),
        (ABSENT, "b", ABSENT, Kind.ONLY_MINE, "b"),
        (ABSENT, ABSENT, "b", Kind.ONLY_THEIRS, "b"),
        (ABSENT, "b", "b", Kind.SAME, "b"),
        (ABSENT, "b", "c", Kind.CONFLICT, None),
        ("a", ABSENT, "a", Kind.ONLY_MINE, ABSENT),
        ("a", "a", ABSENT, Kind.ONLY_THEIRS, ABSENT),
        ("a", ABSENT, ABSENT, Kind.SAME, ABSENT),
        ("a", ABSENT, "b", Kind.CONFLICT, None),
        (1, True, 1, Kind.ONLY_MINE, True),
        (parse("1.1"), parse("1.10"), parse("1.1"), Kind.ONLY_MINE, parse("1.10")),
        (parse("1.1"), parse("1.10"), parse("1.100"), Kind.CONFLICT, None),
        ({"x": 1}, "b", {"x": 2}, Kind.CONFLICT, None),
    ],
)
def test_one_element_by_the_case_table(base: Any, mine: Any, theirs: Any, kind: Kind | None, result: Any) -> None:
    merged = merge(resource(title=base), resource(title=mine), resource(title=theirs))
    assert [(each.path, each.kind) for each in merged.decisions] == ([("title", kind)] if kind else [])
    if result is None:
        with pytest.raises(OpenConflict, match="title"):
            merged.apply()
    else:
        assert same(merged.apply(), resource(title=result))


def test_objects_are_merged_member_by_member() -> None:
    merged = merge(
        resource(subject={"reference": "Patient/1", "display": "A"}),
        resource(subject={"reference": "Patient/1", "display": "B"}),
        resource(subject={"reference": "Patient/2", "display": "A"}),
    )
    assert [(each.path, each.kind) for each in merged.decisions] == [
        ("subject.reference", Kind.ONLY_THEIRS),
        ("subject.display", Kind.ONLY_MINE),
    ]
    assert merged.apply()["subject"] == {"reference": "Patient/2", "display": "B"}


@pytest.mark.parametrize("base", [[entry(1)], ABSENT], ids=["to a list", "to no list yet"])
def test_two_practitioners_who_each_append_make_two_additions_and_no_conflict(base: Any) -> None:
    before = [] if base is ABSENT else base
    merged = merge(resource(entry=base), resource(entry=[*before, entry(2)]), resource(entry=[*before, entry(3)]))
    assert {each.kind for each in merged.decisions} == {Kind.ONLY_MINE, Kind.ONLY_THEIRS}
    assert merged.apply()["entry"] == [*before, entry(3), entry(2)], "what is stored stays in front of what is new"
    assert len({each.path for each in merged.decisions}) == len(merged.decisions)


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "expected"),
    [
        ([1, 2, 3], [1, 3], [1, 2, 3, 4], [1, 3, 4]),
        ([1, 2, 3], [2, 3], [1, 2], [2]),
        ([1, 2], [5, 1, 2], [1, 6, 2], [5, 1, 6, 2]),
        ([1, 2], [1, 2, 7], [1, 2, 7], [1, 2, 7]),
        ([1, 2, 3], [3, 1, 2], [1, 2, 3, 4], [3, 4, 1, 2]),
        ([1], ABSENT, [1, 2], [2]),
    ],
    ids=[
        "mine removes, theirs adds",
        "each removes",
        "each inserts",
        "both add the same",
        "mine reorders",
        "mine empties",
    ],
)
def test_lists_of_references(base: Any, mine: Any, theirs: Any, expected: list[int]) -> None:
    base, mine, theirs = (each if each is ABSENT else [entry(n) for n in each] for each in (base, mine, theirs))
    merged = merge(resource(entry=base), resource(entry=mine), resource(entry=theirs))
    assert merged.conflicts == ()
    assert merged.apply()["entry"] == [entry(number) for number in expected]


def test_the_same_entry_changed_by_both_is_a_conflict_inside_it() -> None:
    merged = merge(
        resource(entry=[entry(1), entry(2)]),
        resource(entry=[entry(1), entry(2, deleted=True)]),
        resource(entry=[entry(1), entry(2, deleted=False)]),
    )
    assert [each.path for each in merged.conflicts] == ["entry[1].deleted"]


def test_an_entry_one_side_removed_and_the_other_changed_is_a_conflict() -> None:
    merged = merge(
        resource(entry=[entry(1), entry(2)]),
        resource(entry=[entry(1)]),
        resource(entry=[entry(1), entry(2, deleted=True)]),
    )
    assert [each.path for each in merged.conflicts] == ["entry[1]"]


def test_an_item_without_a_key_is_paired_by_its_neighbours() -> None:
    notes = [{"text": "a"}, {"text": "b"}, {"text": "c"}]
    mine, theirs = copy.deepcopy(notes), copy.deepcopy(notes)
    mine[1]["text"], theirs[1]["text"] = "mine", "theirs"
    merged = merge(resource(note=notes), resource(note=mine), resource(note=theirs))
    assert [each.path for each in merged.conflicts] == ["note[1].text"]


def test_both_reordering_is_a_conflict_about_the_order() -> None:
    lists = ([1, 2, 3], [3, 2, 1], [2, 1, 3])
    merged = merge(*(resource(entry=[entry(n) for n in each]) for each in lists))
    assert [each.path for each in merged.conflicts] == ["entry (order)"]
    assert merged.choose({"entry (order)": Side.MINE}).apply() == resource(entry=[entry(n) for n in lists[1]])
    with pytest.raises(BadInput, match="order"):
        merged.choose({"entry (order)": Edited([])})


def test_one_side_reordering_is_no_conflict() -> None:
    lists = ([1, 2, 3], [1, 2, 3], [3, 2, 1])
    base, same_order, reordered = (resource(entry=[entry(number) for number in each]) for each in lists)
    for mine, theirs, kind in [
        (reordered, same_order, Kind.ONLY_MINE),
        (same_order, reordered, Kind.ONLY_THEIRS),
        (reordered, reordered, None),
    ]:
        merged = merge(base, mine, theirs)
        assert [(each.path, each.kind) for each in merged.decisions] == ([("entry (order)", kind)] if kind else [])
        assert same(merged.apply(), reordered)


def test_an_open_conflict_has_no_result() -> None:
    (conflict,) = merge(resource(title="a"), resource(title="b"), resource(title="c")).conflicts
    assert conflict.result is ABSENT
    assert not conflict.is_order


def test_a_conflict_can_be_decided_for_either_side_or_otherwise() -> None:
    merged = merge(resource(title="a"), resource(title="b"), resource(title="c"))
    assert merged.choose({"title": Side.MINE}).apply()["title"] == "b"
    assert merged.choose({"title": Side.THEIRS}).apply()["title"] == "c"
    assert merged.choose({"title": Edited("d")}).apply()["title"] == "d"
    assert "title" not in merged.choose({"title": Edited(ABSENT)}).apply()
    assert merged.conflicts, "choosing gives a new merge"
    assert merged.draft()["title"] == "⟪undecided: title⟫"
    assert merged.choose({"title": Side.MINE}).draft()["title"] == "b"


def test_an_open_order_has_a_placeholder_in_its_list() -> None:
    one, two, three = ({"item": {"reference": f"Condition/{n}"}} for n in (1, 2, 3))
    merged = merge(
        resource(entry=[one, two, three]), resource(entry=[two, one, three]), resource(entry=[three, two, one])
    )
    (order,) = merged.conflicts
    assert merged.draft()["entry"][0] == order.placeholder
    assert len(merged.choose({order.path: Side.MINE}).apply()["entry"]) == 3


def test_a_change_of_one_side_can_be_rejected() -> None:
    merged = merge(resource(title="a"), resource(title="b"), resource(title="a"))
    assert merged.choose({"title": Side.THEIRS}).apply()["title"] == "a"


def test_the_version_is_not_merged() -> None:
    versions = [{"versionId": text, "lastUpdated": text, "profile": ["p"]} for text in "abc"]
    merged = merge(*(resource(meta=meta, title="t") for meta in versions))
    assert merged.decisions == ()
    assert merged.apply() == resource(meta={"profile": ["p"]}, title="t")


def test_different_resources_are_rejected() -> None:
    with pytest.raises(BadInput, match=r"these are List/1 and List/2\.$"):
        merge(resource(), resource(), {**HEAD, "id": "2"})
    with pytest.raises(BadInput, match="nothing to decide at 'nowhere'"):
        merge(resource(), resource(), resource()).choose({"nowhere": Side.MINE})


_scalars = st.one_of(st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "b", "c"]), st.just(parse("1.10")))
_items = st.one_of(
    _scalars,
    st.builds(
        lambda number, deleted: entry(number, **({"deleted": deleted} if deleted else {})),
        st.integers(1, 4),
        st.booleans(),
    ),
)
_values: st.SearchStrategy[Any] = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(st.one_of(inner, _items), min_size=1, max_size=4),
        st.dictionaries(st.sampled_from("pqrs"), inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)
_resources = st.dictionaries(st.sampled_from("uvwxyz"), _values, max_size=4).map(lambda members: {**HEAD, **members})


@given(_resources, _resources)
def test_merging_with_an_unchanged_side_gives_the_other(base: dict[str, Any], changed: dict[str, Any]) -> None:
    assert same(merge(base, changed, base).apply(), changed)
    assert same(merge(base, base, changed).apply(), changed)


@given(_resources, _resources, _resources)
@settings(max_examples=300)
def test_taking_one_side_throughout_gives_that_side(base: Any, mine: Any, theirs: Any) -> None:
    merged = merge(base, mine, theirs)
    assert same(merged.take(Side.MINE).apply(), mine)
    assert same(merged.take(Side.THEIRS).apply(), theirs)


_MIRRORED = {Kind.ONLY_MINE: Kind.ONLY_THEIRS, Kind.ONLY_THEIRS: Kind.ONLY_MINE}


@given(_resources, _resources, _resources)
def test_the_order_of_mine_and_theirs_changes_only_their_names(base: Any, mine: Any, theirs: Any) -> None:
    one = merge(base, mine, theirs).decisions
    other = merge(base, theirs, mine).decisions
    # An addition's index depends on whose come first, so paths are compared without their last index.
    decided = sorted((each.kind.value, dumps(_held(each.mine)), dumps(_held(each.theirs))) for each in one)
    mirrored = sorted(
        (_MIRRORED.get(each.kind, each.kind).value, dumps(_held(each.theirs)), dumps(_held(each.mine)))
        for each in other
    )
    assert decided == mirrored


def _held(value: Any) -> list[Any]:
    return [] if value is ABSENT else [value]


@given(_resources, _resources, _resources)
def test_every_leaf_of_the_result_comes_from_one_of_the_three(base: Any, mine: Any, theirs: Any) -> None:
    known = {leaf for each in (base, mine, theirs) for leaf in _leaves(each)}
    merged = merge(base, mine, theirs)
    placeholders = {dumps(decision.placeholder) for decision in merged.conflicts}
    assert set(_leaves(merged.draft())) <= known | placeholders
    assert placeholders <= set(_leaves(merged.draft())), "no open conflict looks decided"


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [dumps(value)]
