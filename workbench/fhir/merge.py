"""Three-way merge of a resource: what base, mine and theirs say of each element, decided one by one.

Owns: the decisions as data, and putting a resource together from them. Nothing is decided for the user
where both sides changed the same element: ``apply`` refuses while such a conflict is open. The version
(``meta.versionId``, ``meta.lastUpdated``) plays no part, being the endpoint's.

The case table, for one element; b, m, t are what base, mine and theirs hold, each possibly absent:

====  ==========================================  ============================================
case  found                                       outcome
====  ==========================================  ============================================
1     m = t = b                                   kept, no decision
2     all three are objects                       member by member
3     all three are lists, an absent one empty    item by item, aligned as ``compare.pairs`` does
4     m = t, not b                                *same change*
5     t = b                                       *only mine*
6     m = b                                       *only theirs*
7     anything else                               *conflict*
====  ==========================================  ============================================
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, TypeVar

from workbench.errors import BadInput, OpenConflict
from workbench.fhir.diff import ABSENT, pairs
from workbench.fhir.json import same
from workbench.fhir.resource import identity, without_version

_T = TypeVar("_T")


class Kind(enum.Enum):
    """Who changed an element. The value is the word a table shows."""

    ONLY_MINE = "only mine"
    ONLY_THEIRS = "only theirs"
    SAME = "same change"
    CONFLICT = "conflict"


class Side(enum.Enum):
    """Whose value to take."""

    MINE = "mine"
    THEIRS = "theirs"


@dataclass(frozen=True, slots=True)
class Edited:
    """A value that is neither side's but the user's own; ``ABSENT`` removes the element."""

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
    """One element on which the three differ, and what is to become of it; no ``choice``: an open conflict.

    An index in ``path`` counts in the list as it is with every addition and no removal, so that each
    decision has a path of its own. A path that ends in ``(order)`` is about the order of a list alone.
    """

    path: str
    kind: Kind
    base: Any
    mine: Any
    theirs: Any
    choice: Choice | None

    @property
    def is_order(self) -> bool:
        """Whether it is about the order of a list alone, which is mine or theirs and nothing else."""
        return self.path.endswith(_ORDER)

    @property
    def result(self) -> Any:
        """What the choice comes to; ``ABSENT`` for no element, and while no choice is made."""
        if isinstance(self.choice, Edited):
            return self.choice.value
        return {Side.MINE: self.mine, Side.THEIRS: self.theirs}.get(self.choice, ABSENT) if self.choice else ABSENT


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Any


@dataclass(frozen=True, slots=True)
class _Chosen:
    decision: int


@dataclass(frozen=True, slots=True)
class _Object:
    members: tuple[tuple[str, _Node], ...]


@dataclass(frozen=True, slots=True)
class _List:
    """Items by number, and in which order each side has which. ``order`` is a decision, if there is one."""

    items: tuple[_Node, ...]
    mine: tuple[int, ...]
    theirs: tuple[int, ...]
    order: int | None


_Node: TypeAlias = _Kept | _Chosen | _Object | _List


@dataclass(frozen=True, slots=True)
class Merge:
    """A merge: its decisions, in the resource's order. Choosing gives a new one; this one never changes."""

    decisions: tuple[Decision, ...]
    _root: _Node

    @property
    def conflicts(self) -> tuple[Decision, ...]:
        """The conflicts that nobody has decided yet."""
        return tuple(decision for decision in self.decisions if decision.choice is None)

    def choose(self, choices: Mapping[str, Choice]) -> Merge:
        """Decide by path; raises ``BadInput`` for a path that has no decision."""
        known = {decision.path for decision in self.decisions}
        if unknown := [path for path in choices if path not in known]:
            raise BadInput(
                f"There is nothing to decide at {unknown[0]!r}; only at {', '.join(sorted(known)) or 'no path'}."
            )
        return self.decide(choices)

    def decide(self, choices: Mapping[str, Choice | None]) -> Merge:
        """As ``choose``, but ``None`` opens a decision again and a path without one is left out."""
        if any(isinstance(choices.get(each.path), Edited) and each.is_order for each in self.decisions):
            raise BadInput("The order of a list is mine or theirs; to change it otherwise, edit the merged text.")
        return self._with(replace(each, choice=choices.get(each.path, each.choice)) for each in self.decisions)

    def take(self, side: Side) -> Merge:
        """Decide everything for one side, the changes of the other alone included."""
        return self._with(replace(each, choice=side) for each in self.decisions)

    def _with(self, decisions: Iterable[Decision]) -> Merge:
        return replace(self, decisions=tuple(decisions))

    def apply(self) -> dict[str, Any]:
        """The merged resource, without a version; raises ``OpenConflict`` while a conflict is undecided."""
        if self.conflicts:
            raise OpenConflict([decision.path for decision in self.conflicts])
        merged = _built(self._root, self.decisions)
        return merged if isinstance(merged, dict) else {}

    def draft(self) -> dict[str, Any]:
        """The resource as it would be with theirs at every open conflict: to look at, not to send."""
        open_ones = {decision.path: Side.THEIRS for decision in self.conflicts}
        return self.choose(open_ones).apply()


def merge(base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]) -> Merge:
    """Compare two later versions of a resource with the one they both come from.

    Raises ``BadInput`` if the three are not the same resource.
    """
    names = {"/".join(identity(each)) for each in (base, mine, theirs)}
    if len(names) > 1:
        raise BadInput(f"Only versions of one resource can be merged; these are {' and '.join(sorted(names))}.")
    decisions: list[Decision] = []
    root = _compare(*(without_version(each) for each in (base, mine, theirs)), path="", decisions=decisions)
    return Merge(tuple(decisions), root)


def _compare(base: Any, mine: Any, theirs: Any, *, path: str, decisions: list[Decision]) -> _Node:
    """One element by the case table; new decisions are added to ``decisions``."""
    three = (base, mine, theirs)
    if same_or_absent(mine, theirs) and same_or_absent(mine, base):
        return _Kept(base)  # case 1
    if all(isinstance(each, dict) for each in three):
        names = _interleaved(tuple(theirs), tuple(mine)) + tuple(n for n in base if n not in theirs and n not in mine)
        return _Object(tuple((name, _member(three, name, path, decisions)) for name in names))  # case 2
    if all(isinstance(each, list) or each is ABSENT for each in three):
        return _compare_lists(*([] if each is ABSENT else each for each in three), path=path, decisions=decisions)
    return _decide(_kind(*three), *three, path=path, decisions=decisions)


def _member(three: tuple[Any, Any, Any], name: str, path: str, decisions: list[Decision]) -> _Node:
    held = (each.get(name, ABSENT) for each in three)
    return _compare(*held, path=f"{path}.{name}" if path else name, decisions=decisions)


def _kind(base: Any, mine: Any, theirs: Any) -> Kind:
    if same_or_absent(mine, theirs):
        return Kind.SAME  # case 4
    if same_or_absent(theirs, base):
        return Kind.ONLY_MINE  # case 5
    return Kind.ONLY_THEIRS if same_or_absent(mine, base) else Kind.CONFLICT  # cases 6 and 7


def _decide(kind: Kind, base: Any, mine: Any, theirs: Any, *, path: str, decisions: list[Decision]) -> _Chosen:
    decisions.append(Decision(path, kind, base, mine, theirs, _DEFAULT[kind]))
    return _Chosen(len(decisions) - 1)


def _compare_lists(
    base: list[Any], mine: list[Any], theirs: list[Any], *, path: str, decisions: list[Decision]
) -> _List:
    """Case 3. Items are numbered: those of base first, then what theirs adds, then what mine adds alone."""
    sides = _Sides.of(base, mine, theirs)
    shown = _interleaved(sides.theirs, sides.mine)
    kept = set(shown)
    shown += tuple(number for number in range(len(base)) if number not in kept)
    items: dict[int, _Node] = {}
    for index, number in enumerate(shown):
        items[number] = _compare(*sides.held[number], path=f"{path}[{index}]", decisions=decisions)
    order = None
    if (kind := sides.reordered()) is not None:
        chosen = _decide(kind, base, mine, theirs, path=f"{path}{_ORDER}", decisions=decisions)
        order = chosen.decision
    return _List(tuple(items[number] for number in range(len(items))), sides.mine, sides.theirs, order)


@dataclass(frozen=True, slots=True)
class _Sides:
    """Three lists as sequences of numbered items, and what base, mine and theirs hold for each number."""

    held: list[tuple[Any, Any, Any]]
    mine: tuple[int, ...]
    theirs: tuple[int, ...]

    @classmethod
    def of(cls, base: list[Any], mine: list[Any], theirs: list[Any]) -> _Sides:
        of_theirs, of_mine = pairs(base, theirs), pairs(base, mine)
        new_theirs = [index for index in range(len(theirs)) if index not in of_theirs]
        new_mine = [index for index in range(len(mine)) if index not in of_mine]
        # An addition both sides made is one item; one that stands alone in its place is not taken for the other's.
        both = {
            new_mine[left]: new_theirs[right]
            for left, right in pairs([theirs[i] for i in new_theirs], [mine[i] for i in new_mine], gaps=False).items()
        }
        held: list[list[Any]] = [[item, ABSENT, ABSENT] for item in base]
        for index in new_theirs:
            of_theirs[index] = len(held)
            held.append([ABSENT, ABSENT, ABSENT])
        for index in new_mine:
            of_mine[index] = of_theirs[both[index]] if index in both else len(held)
            if index not in both:
                held.append([ABSENT, ABSENT, ABSENT])
        for index, item in enumerate(mine):
            held[of_mine[index]][1] = item
        for index, item in enumerate(theirs):
            held[of_theirs[index]][2] = item
        sequences = (tuple(of[index] for index in range(len(of))) for of in (of_mine, of_theirs))
        return cls([(b, m, t) for b, m, t in held], *sequences)

    def reordered(self) -> Kind | None:
        """Who put the items both sides still have into another order."""
        common = set(self.mine) & set(self.theirs)
        mine, theirs = ([number for number in side if number in common] for side in (self.mine, self.theirs))
        if mine == theirs:
            return None
        before = {number for number in common if self.held[number][0] is not ABSENT}
        if [number for number in mine if number in before] == sorted(before):
            return Kind.ONLY_THEIRS
        return Kind.ONLY_MINE if [number for number in theirs if number in before] == sorted(before) else Kind.CONFLICT


def _interleaved(first: tuple[_T, ...], second: tuple[_T, ...]) -> tuple[_T, ...]:
    """All of ``first`` in its order, with what only ``second`` has put in after its neighbour there.

    Where both add at one place, ``first``'s additions stand in front: what is stored stays before what is new.
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


def _built(node: _Node, decisions: tuple[Decision, ...]) -> Any:
    match node:
        case _Kept(value):
            return value
        case _Chosen(number):
            return decisions[number].result
        case _Object(members):
            built = ((name, _built(member, decisions)) for name, member in members)
            return {name: value for name, value in built if value is not ABSENT} or ABSENT
        case _List(items, mine, theirs, order):
            mine_leads = order is not None and decisions[order].choice is Side.MINE
            sequence = _interleaved(mine, theirs) if mine_leads else _interleaved(theirs, mine)
            made = (_built(items[number], decisions) for number in sequence)
            return [value for value in made if value is not ABSENT] or ABSENT


def same_or_absent(left: Any, right: Any) -> bool:
    """Whether two values are the same JSON, or both absent."""
    return left is right if left is ABSENT or right is ABSENT else same(left, right)
