"""How a client goes on once its update was stale: the strategies of a race, one row each.

Owns: what is sent after a STALE answer, how often at most, and how long the client waits before it. Sends
nothing itself. Only STALE is ever tried again: an UNKNOWN update may have been carried out.

Waiting: *full jitter* on a bound that doubles, after Marc Brooker, "Exponential Backoff And Jitter" (2015).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from workbench.errors import BadInput
from workbench.fhir.merge import merge
from workbench.fhir.resource import without_version

Resource = dict[str, Any]
Edit = Callable[[Resource], Resource]
"""A client's own change, made to a resource; gives back a new one."""

Remake = Callable[[Resource, Resource, Resource, Edit], Resource | None]
"""Base, mine, theirs and the change, to what is sent next; ``None`` where that is a person's to decide."""


def _made_again(_base: Resource, _mine: Resource, theirs: Resource, edit: Edit) -> Resource:
    return edit(without_version(theirs))


def _merged(base: Resource, mine: Resource, theirs: Resource, _edit: Edit) -> Resource | None:
    found = merge(base, mine, theirs)
    return None if found.conflicts else found.apply()


@dataclass(frozen=True, slots=True)
class Strategy:
    """What a client does about a stale update.

    ``guarded``: whether ``If-Match`` is sent at all. ``remake``: what it sends next; none: it gives up.
    ``edits_again``: whether that repeats the work of editing, which takes ``thinking`` time each time.
    ``tries``: how often at most one update is sent. ``first_wait`` and ``longest_wait`` (seconds) bound the
    time waited before each further try, at random between nothing and the bound.
    """

    name: str
    title: str
    guarded: bool = True
    remake: Remake | None = None
    edits_again: bool = False
    tries: int = 10
    first_wait: float = 0.002
    longest_wait: float = 0.1

    def wait(self, tried: int, chance: random.Random) -> float:
        """Seconds to wait after ``tried`` tries."""
        return chance.uniform(0.0, min(self.longest_wait, self.first_wait * 2.0 ** min(tried, 30)))


GIVE_UP: Final = Strategy("give-up", "give up")
RELOAD: Final = Strategy("reload", "reload and retry", remake=_made_again, edits_again=True)
MERGE: Final = Strategy("merge", "merge and retry", remake=_merged)
BLIND: Final = Strategy("blind", "blind (no lock)", guarded=False)

STRATEGIES: Final = {row.name: row for row in (GIVE_UP, RELOAD, MERGE, BLIND)}
"""Every strategy by its name."""


def strategy_named(strategy: str | Strategy, tries: int | None = None) -> Strategy:
    """A strategy, by name or as it is, with another bound on its tries if one is given.

    Raises ``BadInput`` for a name that there is not, or a bound under 1.
    """
    if isinstance(strategy, str):
        if strategy not in STRATEGIES:
            raise BadInput(f"There is no strategy {strategy!r}; there are {', '.join(STRATEGIES)}.")
        strategy = STRATEGIES[strategy]
    if tries is None:
        return strategy
    if tries < 1:
        raise BadInput(f"tries={tries}: an update is sent at least once.")
    return replace(strategy, tries=tries)
