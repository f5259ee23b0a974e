"""A brute-force judge of small histories, and random histories to hold the proof against.

The judge searches every interleaving of a register with compare-and-swap (Wing and Gong, 1993). It shares no code
with the proof. A write without an answer takes effect once, at any time after its start, or never.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from historykit import Line

ABSENT, GONE, UNNAMED = " absent", " gone", " unnamed"
"""States of the register beside a version id. No exchange names the version that is ``UNNAMED``."""

Names = frozenset[str]
State = tuple[str, Names]
"""What the register holds, and every version id that has been used."""


def is_possible(lines: Sequence[Line]) -> bool:
    """Whether a correct endpoint could have given all these answers about one resource."""
    return Search(lines).run()


class Search:
    """One search. It remembers which positions lead nowhere."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = [line for line in lines if line.status is not None or line.did != "read"]
        self.starts = [line.at[0] for line in self.lines if line.at]
        self.ends = [line.at[1] if line.at and line.status is not None else float("inf") for line in self.lines]
        mentioned = {name for line in lines for name in (line.etag, line.if_match) if name}
        self.names = [*sorted(mentioned), UNNAMED]
        self.dead: set[tuple[frozenset[int], State]] = set()

    def run(self) -> bool:
        """Begin with no resource, or with one at any version."""
        left = frozenset(range(len(self.lines)))
        starts = [(ABSENT, frozenset[str]()), *self.new_version(frozenset())]
        return any(self.leads_to_the_end(left, state) for state in starts)

    def leads_to_the_end(self, left: frozenset[int], state: State) -> bool:
        """Whether the exchanges that are left can take effect from this state on, in some order."""
        if all(self.lines[number].status is None for number in left):
            return True
        if (left, state) in self.dead:
            return False
        soonest = min(self.ends[number] for number in left)
        for number in left:
            if self.starts[number] <= soonest:
                for after in self.effects(self.lines[number], state):
                    if self.leads_to_the_end(left - {number}, after):
                        return True
        self.dead.add((left, state))
        return False

    def effects(self, line: Line, state: State) -> Iterator[State]:
        """The states after one exchange, if its answer is right in this one."""
        current, used = state
        is_there = current not in (ABSENT, GONE)
        matches = is_there and line.if_match in (None, current)
        if line.status == 404:
            yield from [] if is_there else [state]
        elif line.status == 409:
            yield from [] if is_there and line.if_match == current else [state]
        elif line.did == "read":
            yield from [state] if current == line.etag else []
        elif line.did == "create":
            yield from self.stored(line, used) if current == ABSENT else []
        elif matches and line.did == "delete":
            yield GONE, used
        elif matches and line.etag is not None and line.etag == line.if_match:
            yield state
        elif matches:
            yield from self.stored(line, used)

    def stored(self, line: Line, used: Names) -> Iterator[State]:
        """The version that a write makes: the one that its answer names, or any."""
        if line.etag is None:
            yield from self.new_version(used)
        elif line.etag not in used:
            yield line.etag, used | {line.etag}

    def new_version(self, used: Names) -> Iterator[State]:
        """A version whose id no answer to its write names."""
        return ((name, used if name == UNNAMED else used | {name}) for name in self.names if name not in used)


def history_of(chance: random.Random, most: int = 14) -> list[Line]:
    """A random history of one resource: what a correct endpoint did, with or without corrupted answers."""
    register = [chance.choice([ABSENT, "v0", "v0", "v0", "v0"])]
    count, width = chance.randint(2, most), chance.choice([10, 25, 60])
    moments = sorted(chance.randrange(10 * count) for _ in range(count))
    lines = [carried_out(chance, moment, width, register) for moment in moments]
    for _ in range(chance.choice([0, 0, 1, 1, 2, 3])):
        corrupt(chance, lines, register)
    return sorted(lines, key=lambda line: line.at[1] if line.at else 0)


def carried_out(chance: random.Random, moment: int, width: int, register: list[str]) -> Line:
    """One exchange that takes effect at this moment, around which it begins and ends."""
    current = register[-1]
    is_there = current not in (ABSENT, GONE)
    begun, ended = moment - chance.randrange(width), moment + chance.randrange(width)
    line = Line(f"c{chance.randrange(10**9)}", "read", at=(begun, ended))
    deed = chance.random()
    if not is_there and current == ABSENT and deed < 0.4:
        line = replace(line, did="create", status=201, etag=f"v{len(register)}")
        register.append(f"v{len(register)}")
    elif deed < 0.25:
        line = replace(line, status=200 if is_there else 404, etag=current if is_there else None)
    else:
        held = [name for name in register if name.startswith("v")] or ["v0"]
        named = chance.choice([current if is_there else held[-1], held[-1], chance.choice(held), "v77"])
        line = replace(line, did="delete" if deed > 0.94 else "update", if_match=named)
        line = swapped(line, register, f"v{len(register)}")
    if line.did in ("update", "delete", "create") and chance.random() < 0.25:
        line = replace(line, status=None, etag=None)
    elif line.did == "update" and line.status == 200 and chance.random() < 0.05:
        line = replace(line, etag=None)
    return line


def swapped(line: Line, register: list[str], new: str) -> Line:
    """Compare and swap."""
    if line.if_match != register[-1]:
        return replace(line, status=404 if register[-1] in (ABSENT, GONE) else 409)
    if line.did == "delete":
        register.append(GONE)
        return replace(line, status=204)
    register.append(new)
    return replace(line, status=200, etag=new)


def corrupt(chance: random.Random, lines: list[Line], register: list[str]) -> None:
    """Change one answer, request or time."""
    number = chance.randrange(len(lines))
    line = lines[number]
    name = chance.choice([*[each for each in register if each.startswith("v")], "v77", "v78"])
    begun, ended = line.at or (0, 0)
    kind = chance.randrange(7)
    if kind == 0 and line.etag is not None:
        line = replace(line, etag=name)
    elif kind == 1 and line.if_match is not None:
        line = replace(line, if_match=name)
    elif kind == 2:
        moved = chance.randint(-40, 40)
        line = replace(line, at=(begun + moved, ended + moved))
    elif kind == 3:
        middle = (begun + ended) / 2
        line = replace(line, at=(int(middle), int(middle) + 1))
    elif line.did == "update" and line.status == 409:
        line = replace(line, status=200, etag=name) if kind == 4 else replace(line, if_match=name)
    elif line.did in ("update", "delete") and line.status in (200, 204):
        line = replace(line, status=409, etag=None) if kind < 6 else replace(line, status=None, etag=None)
    elif line.did == "read":
        line = replace(line, status=404, etag=None) if line.etag else replace(line, status=200, etag=name)
    lines[number] = line
