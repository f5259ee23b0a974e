"""Three-way merge of a resource: compare base, mine and theirs, and decide element by element.

The decisions are data. Where both sides changed the same element, the user decides: ``apply`` raises
``OpenConflict`` until then. The version (``meta.versionId``, ``meta.lastUpdated``) is not merged, because
the server writes it.

The case table for one element, where b, m, t are its values in base, mine and theirs, each possibly absent:

====  ==========================================  ============================================
case  found                                       outcome
====  ==========================================  ============================================
1     m = t = b                                   kept, no decision
2     all three are objects                       member by member
3     all three are lists, an absent one empty    item by item, paired as ``diff.pairs`` does
4     m = t, not b                                *same change*
5     t = b                                       *only mine*
6     m = b                                       *only theirs*
7     anything else                               *conflict*
====  ==========================================  ============================================
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from workbench.errors import BadInput, OpenConflict
from workbench.fhir import markup
from workbench.fhir.diff import ABSENT, pairs
from workbench.fhir.json import dumps, same
from workbench.fhir.resource import identity, without_version

_T = TypeVar("_T")


class Kind(enum.Enum):
    """Which side changed an element. The value is the word that a table shows."""

    ONLY_MINE = "only mine"
    ONLY_THEIRS = "only theirs"
    SAME = "same change"
    CONFLICT = "conflict"


class Side(enum.Enum):
    """The side whose value to take."""

    MINE = "mine"
    THEIRS = "theirs"


@dataclass(frozen=True, slots=True)
class Edited:
    """A value that the user wrote; ``ABSENT`` removes the element."""

    value: Any


Choice = Side | Edited

_ORDER: Final = " (order)"

_DEFAULT: Final[Mapping[Kind, Side | None]] = {
    Kind.ONLY_MINE: Side.MINE,
    Kind.ONLY_THEIRS: Side.THEIRS,
    Kind.SAME: Side.THEIRS,
    Kind.CONFLICT: None,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """One element in which the three versions differ. An open conflict has no ``choice``.

    An index in ``path`` counts in the list with all additions and no removal, so that each decision has its own
    path. A path that ends in ``(order)`` is about the order of a list only.
    """

    path: str
    kind: Kind
    base: Any
    mine: Any
    theirs: Any
    choice: Choice | None

    @property
    def is_order(self) -> bool:
        """Whether it is about the order of a list only. Then the choice is mine or theirs."""
        return self.path.endswith(_ORDER)

    @property
    def placeholder(self) -> str:
        """What a draft has in place of this element while the decision is open."""
        return f"⟪undecided: {self.path}⟫"

    @property
    def result(self) -> Any:
        """The chosen value; ``ABSENT`` for no element, and for an open conflict."""
        if isinstance(self.choice, Edited):
            return self.choice.value
        if self.choice is None:
            return ABSENT
        return self.mine if self.choice is Side.MINE else self.theirs


_Build: TypeAlias = Callable[[Sequence[Decision]], Any]
"""A function from the decisions to the merged value of one element; it returns ``ABSENT`` for no element."""


@dataclass(frozen=True, slots=True)
class Merge:
    """The decisions of a merge, in the order of the resource. Immutable: each choice returns a new merge."""

    decisions: tuple[Decision, ...]
    _build: _Build = field(repr=False, compare=False)

    @property
    def conflicts(self) -> tuple[Decision, ...]:
        """The conflicts without a choice."""
        return tuple(decision for decision in self.decisions if decision.choice is None)

    def choose(self, choices: Mapping[str, Choice]) -> Merge:
        """Set choices by path; raise ``BadInput`` for a path without a decision."""
        known = {decision.path for decision in self.decisions}
        if unknown := [path for path in choices if path not in known]:
            raise BadInput(
                f"There is nothing to decide at {unknown[0]!r}; only at {', '.join(sorted(known)) or 'no path'}."
            )
        return self.decide(choices)

    def decide(self, choices: Mapping[str, Choice | None]) -> Merge:
        """Set choices by path. ``None`` reopens a decision, and a path without a decision is ignored."""
        if any(isinstance(choices.get(each.path), Edited) and each.is_order for each in self.decisions):
            raise BadInput("The order of a list is mine or theirs; to change it otherwise, edit the merged text.")
        decided = (replace(each, choice=choices.get(each.path, each.choice)) for each in self.decisions)
        return replace(self, decisions=tuple(decided))

    def take(self, side: Side) -> Merge:
        """Decide every element for one side, also an element that only the other side changed."""
        return replace(self, decisions=tuple(replace(each, choice=side) for each in self.decisions))

    def apply(self) -> dict[str, Any]:
        """Return the merged resource, without a version; raise ``OpenConflict`` if a conflict has no choice."""
        if self.conflicts:
            raise OpenConflict([decision.path for decision in self.conflicts])
        return self.draft()

    def draft(self) -> dict[str, Any]:
        """Return the resource with a placeholder for each open decision: for display, not for sending."""
        merged = self._build(self.decisions)
        return merged if isinstance(merged, dict) else {}

    def _repr_html_(self) -> str:
        """Return the decisions as a table, open conflicts first."""
        ordered = sorted(self.decisions, key=lambda decision: decision.choice is not None)
        rows = [
            (
                markup.code(decision.path),
                markup.chip(decision.kind.value, "bad" if decision.choice is None else "neutral"),
                _written(decision.base),
                _written(decision.mine),
                _written(decision.theirs),
                _choice_word(decision.choice),
            )
            for decision in ordered
        ]
        summary = f"{_count(len(self.decisions), 'decision')}, {_count(len(self.conflicts), 'open conflict')}"
        table = markup.table(("element", "kind", "base", "mine", "theirs", "choice"), rows)
        return markup.block("bad" if self.conflicts else "good", summary, table)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _written(value: Any) -> str:
    return "(absent)" if value is ABSENT else markup.code(dumps(value))


def _choice_word(choice: Choice | None) -> str:
    if isinstance(choice, Edited):
        return _written(choice.value)
    return "open" if choice is None else choice.value


def merge(base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]) -> Merge:
    """Merge two versions of a resource, ``mine`` and ``theirs``, that were both made from ``base``.

    Raises ``BadInput`` if the three are not the same resource.
    """
    names = {"/".join(identity(each)) for each in (base, mine, theirs)}
    if len(names) > 1:
        raise BadInput(f"Only versions of one resource can be merged; these are {' and '.join(sorted(names))}.")

    decisions: list[Decision] = []
    versions = _Values(without_version(base), without_version(mine), without_version(theirs))
    build = _compare(versions, "", decisions)
    return Merge(tuple(decisions), build)


class _Values(NamedTuple):
    """The values of one element in the three versions, each possibly ``ABSENT``."""

    base: Any
    mine: Any
    theirs: Any


def _compare(values: _Values, path: str, decisions: list[Decision]) -> _Build:
    """Compare one element by the case table, add its decisions to ``decisions``, and return how to build it."""
    base, mine, theirs = values
    if _same(mine, theirs) and _same(mine, base):
        return lambda _: base  # case 1

    if all(isinstance(value, dict) for value in values):  # case 2
        names = _interleave(tuple(theirs), tuple(mine))
        names += tuple(name for name in base if name not in theirs and name not in mine)
        members = {}
        for name in names:
            held = _Values(base.get(name, ABSENT), mine.get(name, ABSENT), theirs.get(name, ABSENT))
            members[name] = _compare(held, f"{path}.{name}" if path else name, decisions)
        return partial(_build_object, members)

    if all(isinstance(value, list) or value is ABSENT for value in values):  # case 3
        lists = _Values(*([] if value is ABSENT else value for value in values))
        return _compare_lists(lists, path, decisions)

    if _same(mine, theirs):
        kind = Kind.SAME  # case 4
    elif _same(theirs, base):
        kind = Kind.ONLY_MINE  # case 5
    elif _same(mine, base):
        kind = Kind.ONLY_THEIRS  # case 6
    else:
        kind = Kind.CONFLICT  # case 7
    index = _add_decision(kind, values, path, decisions)
    return lambda made: made[index].placeholder if made[index].choice is None else made[index].result


def _same(left: Any, right: Any) -> bool:
    """Return whether two values are the same JSON, or both absent."""
    return left is right if left is ABSENT or right is ABSENT else same(left, right)


def _add_decision(kind: Kind, values: _Values, path: str, decisions: list[Decision]) -> int:
    """Add a decision with the default choice of its kind, and return its index."""
    decisions.append(Decision(path, kind, values.base, values.mine, values.theirs, _DEFAULT[kind]))
    return len(decisions) - 1


def _compare_lists(lists: _Values, path: str, decisions: list[Decision]) -> _Build:
    """Compare three lists item by item (case 3)."""
    aligned = _align(lists)
    theirs_first = _interleave(aligned.theirs, aligned.mine)
    removed = tuple(sorted(set(range(len(lists.base))) - set(theirs_first)))

    items: dict[int, _Build] = {}
    for index, number in enumerate(theirs_first + removed):
        items[number] = _compare(aligned.items[number], f"{path}[{index}]", decisions)

    kind = _reordered_by(aligned)
    order = None if kind is None else _add_decision(kind, lists, f"{path}{_ORDER}", decisions)

    def build(made: Sequence[Decision]) -> Any:
        mine_leads = order is not None and made[order].choice is Side.MINE
        numbers = _interleave(aligned.mine, aligned.theirs) if mine_leads else theirs_first
        built = (items[number](made) for number in numbers)
        values = [value for value in built if value is not ABSENT]
        if order is not None and made[order].choice is None:
            values.insert(0, made[order].placeholder)
        return values or ABSENT

    return build


def _build_object(members: Mapping[str, _Build], made: Sequence[Decision]) -> Any:
    values = ((name, build(made)) for name, build in members.items())
    return {name: value for name, value in values if value is not ABSENT} or ABSENT


class _Aligned(NamedTuple):
    """Three lists as one list of numbered items: those of base, then the additions of theirs, then those of mine.

    ``mine`` and ``theirs`` are the numbers of the items in each side's order.
    """

    items: list[_Values]
    mine: tuple[int, ...]
    theirs: tuple[int, ...]


def _align(lists: _Values) -> _Aligned:
    base, mine, theirs = lists
    theirs_number, mine_number = pairs(base, theirs), pairs(base, mine)  # index in the side's list: item number
    new_theirs = [index for index in range(len(theirs)) if index not in theirs_number]
    new_mine = [index for index in range(len(mine)) if index not in mine_number]

    # An addition that both sides made is one item. Two different additions at one place are two items, so
    # additions are not paired by their neighbours.
    shared = pairs([theirs[index] for index in new_theirs], [mine[index] for index in new_mine], gaps=False)
    added_by_both = {new_mine[left]: new_theirs[right] for left, right in shared.items()}

    theirs_number |= {index: number for number, index in enumerate(new_theirs, len(base))}
    mine_number |= {index: theirs_number[other] for index, other in added_by_both.items()}
    only_mine = [index for index in new_mine if index not in added_by_both]
    mine_number |= {index: number for number, index in enumerate(only_mine, len(base) + len(new_theirs))}

    in_mine = {mine_number[index]: item for index, item in enumerate(mine)}
    in_theirs = {theirs_number[index]: item for index, item in enumerate(theirs)}
    items = [
        _Values(
            base[number] if number < len(base) else ABSENT,
            in_mine.get(number, ABSENT),
            in_theirs.get(number, ABSENT),
        )
        for number in range(len(base) + len(new_theirs) + len(only_mine))
    ]
    return _Aligned(
        items,
        tuple(mine_number[index] for index in range(len(mine))),
        tuple(theirs_number[index] for index in range(len(theirs))),
    )


def _reordered_by(aligned: _Aligned) -> Kind | None:
    """Return who changed the order of the items that both sides have; ``None`` if their orders agree."""
    common = set(aligned.mine) & set(aligned.theirs)
    mine = [number for number in aligned.mine if number in common]
    theirs = [number for number in aligned.theirs if number in common]
    if mine == theirs:
        return None

    in_base = {number for number in common if aligned.items[number].base is not ABSENT}
    if [number for number in mine if number in in_base] == sorted(in_base):
        return Kind.ONLY_THEIRS
    if [number for number in theirs if number in in_base] == sorted(in_base):
        return Kind.ONLY_MINE
    return Kind.CONFLICT


def _interleave(first: tuple[_T, ...], second: tuple[_T, ...]) -> tuple[_T, ...]:
    """Return ``first`` in its order, with each item that only ``second`` has after its neighbour in ``second``.

    Where both add items at one place, those of ``first`` come first.
    """
    known, shared = set(first), set(first) & set(second)
    following: dict[_T | None, list[_T]] = {None: []}
    anchor: _T | None = None
    for item in second:
        if item in known:
            anchor = item
        else:
            following.setdefault(anchor, []).append(item)
    result: list[_T] = []
    waiting = following[None]
    for item in first:
        if item in shared:
            result += waiting
            waiting = following.get(item, [])
        result.append(item)
    return tuple(result + waiting)
