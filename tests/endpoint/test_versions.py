"""Version ids: their shape, that none comes twice, and that they follow from the key alone (UPD-3, VER-1)."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.endpoint.store import Store, VersionIds

SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}")
KEYS = st.binary(min_size=1, max_size=16)
NUMBERS = st.integers(0, 2**48 - 1)


def written(number: int) -> str:
    text = f"{number:012x}"
    return f"{text[:8]}-{text[8:]}"


def walk(ids: VersionIds, resource: str, steps: int, start: str | None = None) -> list[str]:
    found = [start or ids.first(resource)]
    for _ in range(steps):
        found.append(ids.after(resource, found[-1]))
    return found


def test_no_version_id_comes_twice_in_a_hundred_thousand_updates() -> None:
    found = walk(VersionIds(b"key"), "List/x", 100_000)
    assert len(set(found)) == 100_001
    assert all(map(SHAPE.fullmatch, found))


def test_version_ids_are_not_in_order() -> None:
    numbers = [int(version.replace("-", ""), 16) for version in walk(VersionIds(b"key"), "List/x", 200)]
    rises = sum(later > earlier for earlier, later in pairwise(numbers))
    assert 60 < rises < 140
    assert len({later - earlier for earlier, later in pairwise(numbers)}) == 200


@given(key=KEYS, resource=st.text(min_size=1, max_size=80), one=NUMBERS, two=NUMBERS)
def test_two_versions_never_have_the_same_successor(key: bytes, resource: str, one: int, two: int) -> None:
    ids = VersionIds(key)
    same = ids.after(resource, written(one)) == ids.after(resource, written(two))
    assert same == (one == two)


@given(key=KEYS, resource=st.text(min_size=1, max_size=80), number=NUMBERS)
def test_a_successor_is_another_version_in_shape(key: bytes, resource: str, number: int) -> None:
    version = written(number)
    after = VersionIds(key).after(resource, version)
    assert SHAPE.fullmatch(after)
    assert after != version


def test_it_goes_on_from_a_version_that_it_did_not_make() -> None:
    found = walk(VersionIds(b"key"), "List/x", 1000, start="25777f7d-27bc")
    assert len(set(found)) == 1001


def test_resources_go_ways_of_their_own() -> None:
    ids = VersionIds(b"key")
    one, two = walk(ids, "List/x", 500, "25777f7d-27bc"), walk(ids, "List/y", 500, "25777f7d-27bc")
    assert one[0] == two[0]
    assert not set(one[1:]) & set(two[1:])
    assert ids.first("List/x") != ids.first("List/y") != ids.first("Flag/x")


def test_the_key_is_all_there_is_to_it() -> None:
    assert walk(VersionIds(b"key"), "List/x", 50) == walk(VersionIds(b"key"), "List/x", 50)
    assert not set(walk(VersionIds(b"key"), "List/x", 50)) & set(walk(VersionIds(b"yek"), "List/x", 50))


@pytest.mark.parametrize(
    "foreign",
    ["", "1", "25777f7d27bc", "25777F7D-27BC", "25777f7d-27bg", "25777f7d-27bc0", " 25777f7d-27bc", "25777f7d-27bc\n"],
    ids=repr,
)
def test_a_version_id_of_somebody_else_is_refused(foreign: str) -> None:
    with pytest.raises(ValueError, match="not a version id of this endpoint"):
        VersionIds(b"key").after("List/x", foreign)


@pytest.mark.parametrize(("seeds", "alike"), [(("1", "1"), True), (("1", "2"), False), ((None, None), False)])
def test_a_seed_fixes_the_version_ids(seeds: tuple[str | None, str | None], alike: bool) -> None:
    stores = [Store(seed=seed) for seed in seeds]
    one, two = (store.versions.first("List/x") for store in stores)
    for store in stores:
        store.close()
    assert (one == two) is alike
