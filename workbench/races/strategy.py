"""The strategies of a race: what a client does after a conflict.

A client sends an update again only after a conflict. An update without an answer may have been carried out.

The wait before a try is *full jitter*: random, up to a bound that doubles each time (Marc Brooker, "Exponential Backoff
And Jitter", 2015).
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
TypeAndId = tuple[str, str]
"""The type and the id of a resource."""

Edit = Callable[[Resource], Resource]
"""The client's own change: from a resource to a new one."""

Remake = Callable[[Resource, Resource, Resource, Edit], Resource | None]
"""From base, mine, theirs and the edit to the next draft; ``None`` where a person must decide."""


def _edit_again(_base: Resource, _mine: Resource, theirs: Resource, edit: Edit) -> Resource:
    return edit(without_version(theirs))


def _merge_again(base: Resource, mine: Resource, theirs: Resource, _edit: Edit) -> Resource | None:
    found = merge(base, mine, theirs)
    return None if found.conflicts else found.apply()


@dataclass(frozen=True, slots=True)
class Strategy:
    """What a client does after a conflict.

    ``guarded`` says whether it sends ``If-Match`` at all. ``remake`` makes the next draft; without it the client gives
    up. ``edits_again`` says whether that takes the time of a new edit. ``tries`` limits how often one update is sent.
    The wait before the second try is up to ``first_wait`` × 2 seconds. Each next one is up to twice as long, but never
    longer than ``longest_wait`` seconds.
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
        """Return the seconds to wait after ``tried`` tries."""
        return chance.uniform(0.0, min(self.longest_wait, self.first_wait * 2.0 ** min(tried, 30)))


GIVE_UP: Final = Strategy("give-up", "give up")
RELOAD: Final = Strategy("reload", "reload and retry", remake=_edit_again, edits_again=True)
MERGE: Final = Strategy("merge", "merge and retry", remake=_merge_again)
BLIND: Final = Strategy("blind", "blind (no lock)", guarded=False)

STRATEGIES: Final = {row.name: row for row in (GIVE_UP, RELOAD, MERGE, BLIND)}
"""Every strategy, by its name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What every client of a race does. ``thinking`` is the mean duration of an edit in seconds."""

    resources: tuple[TypeAndId, ...]
    strategy: Strategy
    tag: str
    seed: int | str = 0
    thinking: float = 0.0


def strategy_named(strategy: str | Strategy, tries: int | None = None) -> Strategy:
    """Return a strategy by its name, with another limit on its tries if one is given.

    Raises ``BadInput`` for an unknown name, or a limit below 1.
    """
    if isinstance(strategy, str):
        if strategy not in STRATEGIES:
            raise BadInput(f"There is no strategy {strategy!r}. Use one of {', '.join(STRATEGIES)}.")
        strategy = STRATEGIES[strategy]
    if tries is None:
        return strategy
    if tries < 1:
        raise BadInput(f"tries={tries}: an update is sent at least once. Give 1 or more.")
    return replace(strategy, tries=tries)
