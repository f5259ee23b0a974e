"""Compare two versions of a resource, element by element.

A path is written as in FHIRPath: ``entry[2].item.reference``. The items of two lists are paired by their key, then
by equal content, then by equal neighbours. ``_KEYS`` lists the members that are a key.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench.fhir.json import dumps, same


class _Absent:
    """The absence of a value, which differs from ``null`` in JSON."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Change:
    """One element that differs. ``before`` is ``ABSENT`` if it was added, ``after`` if it was removed.

    The index of an added or changed item is that in the later list; of a removed item, that in the earlier list.
    """

    path: str
    before: Any
    after: Any

    @property
    def kind(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        if self.before is ABSENT:
            return "added"
        return "removed" if self.after is ABSENT else "changed"


def changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Yield each element in which two resources differ, in the order of the later resource.

    >>> [(c.kind, c.path) for c in changes({"a": 1, "b": [1, 2]}, {"a": 2, "b": [2]})]
    [('changed', 'a'), ('removed', 'b[0]')]
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*after, *(name for name in before if name not in after)]:
            yield from changes(before.get(name, ABSENT), after.get(name, ABSENT), f"{path}.{name}" if path else name)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _list_changes(before, after, path)
    elif before is ABSENT or after is ABSENT or not same(before, after):
        yield Change(path, before, after)


def _list_changes(before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    partner = pairs(before, after)
    for index, item in enumerate(after):
        earlier = partner.get(index)
        yield from changes(ABSENT if earlier is None else before[earlier], item, f"{path}[{index}]")
    kept = set(partner.values())
    for index, item in enumerate(before):
        if index not in kept:
            yield Change(f"{path}[{index}]", item, ABSENT)
    order = [partner[index] for index in sorted(partner)]
    if order != sorted(order):
        yield Change(path, before, after)


def pairs(before: list[Any], after: list[Any], *, gaps: bool = True) -> dict[int, int]:
    """Pair the items of two lists: return the index in ``before`` for each index in ``after`` that has a partner.

    Items are paired by a key that no other item of their list has, then by equal content, then by any key. Of
    the rest, a run of items is paired with a run of the same length between the same two neighbours, unless
    ``gaps`` is false. Items are never paired by index alone. Linear in the number of items.
    """
    partner: dict[int, int] = {}
    keys_before, keys_after = [item_key(item) for item in before], [item_key(item) for item in after]

    # Unique keys first: most items have one, and comparing keys is faster than writing each item as JSON.
    repeated = {key for keys in (keys_before, keys_after) for key, count in Counter(keys).items() if count > 1}
    _pair_by(
        [None if key in repeated else key for key in keys_before],
        [None if key in repeated else key for key in keys_after],
        partner,
    )

    taken = set(partner.values())
    _pair_by(
        [None if index in taken else dumps(item) for index, item in enumerate(before)],
        [None if index in partner else dumps(item) for index, item in enumerate(after)],
        partner,
    )

    _pair_by(keys_before, keys_after, partner)
    if gaps:
        _pair_within_gaps(before, after, partner)
    return partner


def _pair_within_gaps(before: list[Any], after: list[Any], partner: dict[int, int]) -> None:
    """Pair each run of items without a partner with the run between the same neighbours, if it is as long."""
    free = deque(index for index in range(len(after)) if index not in partner)
    taken = set(partner.values())
    while free:
        start = end = free.popleft()
        while free and free[0] == end + 1:
            end = free.popleft()
        low = partner[start - 1] + 1 if start else 0
        high = partner[end + 1] if end + 1 < len(after) else len(before)
        if high - low == end - start + 1 and not any(index in taken for index in range(low, high)):
            for left, right in zip(range(low, high), range(start, end + 1), strict=True):
                one, other = before[left], after[right]
                if type(one) is type(other) and item_key(one) == item_key(other):
                    partner[right] = left


def _pair_by(before: Sequence[Hashable], after: Sequence[Hashable], partner: dict[int, int]) -> None:
    """Pair items that have the same key and no partner yet, in order; ``None`` is not a key."""
    taken = set(partner.values())
    free: defaultdict[Hashable, deque[int]] = defaultdict(deque)
    for index, key in enumerate(before):
        if key is not None and index not in taken:
            free[key].append(index)
    for index, key in enumerate(after):
        if key is not None and index not in partner and free.get(key):
            partner[index] = free[key].popleft()


_KEYS: Final = (("id",), ("url",), ("system", "code"), ("system", "value"), ("reference",), ("fullUrl",))
"""The members that can identify an item of a list, in order of preference."""


def item_key(item: Any) -> Hashable | None:
    """Return the key of a list item: the names and values of the members that identify it, or ``None``.

    >>> item_key({"item": {"reference": "Condition/1"}, "deleted": True})
    ('item', ('reference', 'Condition/1'))
    """
    if not isinstance(item, dict):
        return None
    for names in _KEYS:
        if names[0] in item:
            values = [item.get(name) for name in names]
            if all(isinstance(value, str) for value in values):
                return (*names, *values)
    found = item_key(item.get("item"))
    return ("item", found) if found is not None else None
