"""What differs between two versions of a resource, element by element.

Owns: the paths people read (FHIRPath-like, ``entry[2].item.reference``), and how items of two lists
are paired: by what they say they are (``id``, ``url``, ``system`` with ``code`` or ``value``,
``reference``), by being the same, and only last by standing between the same neighbours.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench.fhir.json import dumps, same


class _Absent:
    """No value at all, which in JSON is not the same as null."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Change:
    """One element that differs: ``before`` or ``after`` is ``ABSENT`` where it was added or removed.

    The path of an added or changed item counts in the later list, that of a removed one in the earlier.
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
    """Every element in which two resources differ, in the order of the later one.

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
    """Which item of ``after`` is which of ``before``: index to index. Linear in the number of items.

    By what an item says it is, if no other says the same; then by being the same. Of the rest, as many items as
    were there before between the same two neighbours are those, changed (unless ``gaps`` is off); never by index alone.
    """
    partner: dict[int, int] = {}
    names = [identity(item) for item in before], [identity(item) for item in after]
    often = {name for side in names for name, count in Counter(side).items() if count > 1}
    # Most items have a name of their own, and to go by it costs less than to write each one out.
    alone = [[None if name in often else name for name in side] for side in names]
    _pair_by(alone[0], alone[1], partner)
    taken = set(partner.values())
    written = (
        [None if index in taken else dumps(item) for index, item in enumerate(before)],
        [None if index in partner else dumps(item) for index, item in enumerate(after)],
    )
    _pair_by(*written, partner)
    _pair_by(*names, partner)
    if gaps:
        _pair_within_gaps(before, after, partner)
    return partner


def _pair_within_gaps(before: list[Any], after: list[Any], partner: dict[int, int]) -> None:
    free = deque(index for index in range(len(after)) if index not in partner)
    taken = set(partner.values())
    while free:
        start = end = free.popleft()
        while free and free[0] == end + 1:
            end = free.popleft()
        low = partner[start - 1] + 1 if start else 0
        high = partner[end + 1] if end + 1 < len(after) else len(before)
        if high - low == end - start + 1 and not any(index in taken for index in range(low, high)):
            partner |= {
                right: left
                for left, right in zip(range(low, high), range(start, end + 1), strict=True)
                if type(before[left]) is type(after[right]) and identity(before[left]) == identity(after[right])
            }


def _pair_by(before: Sequence[Hashable], after: Sequence[Hashable], partner: dict[int, int]) -> None:
    """Pair what has the same key and no partner yet, in order; ``None`` is no key."""
    taken = set(partner.values())
    free: defaultdict[Hashable, deque[int]] = defaultdict(deque)
    for index, key in enumerate(before):
        if key is not None and index not in taken:
            free[key].append(index)
    for index, key in enumerate(after):
        if key is not None and index not in partner and free.get(key):
            partner[index] = free[key].popleft()


_NAMED_BY: Final = (("id",), ("url",), ("system", "code"), ("system", "value"), ("reference",), ("fullUrl",))


def identity(item: Any) -> Hashable | None:
    """What an item of a list says it is, or ``None`` where it does not say.

    >>> identity({"item": {"reference": "Condition/1"}, "deleted": True})
    ('item', ('reference', 'Condition/1'))
    """
    if not isinstance(item, dict):
        return None
    for names in _NAMED_BY:
        if names[0] in item:
            values = [item.get(name) for name in names]
            if all(isinstance(value, str) for value in values):
                return (*names, *values)
    found = identity(item.get("item"))
    return ("item", found) if found is not None else None
