"""Rounds: every contestant in turn, in a new order each time, so that a noisy machine is noisy for all."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping

Contestant = Callable[[], object]


def ratios(contestants: Mapping[str, Contestant], *, to: str, rounds: int = 15, calls: int = 60) -> dict[str, float]:
    """Median over the rounds of each contestant's time, divided by that of ``to`` in the same round."""
    for contestant in contestants.values():
        for _ in range(calls):
            contestant()
    found: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    shuffle = random.Random(1).shuffle
    for _ in range(rounds):
        shuffle(order)
        times = {name: _seconds(contestants[name], calls) for name in order}
        for name in order:
            found[name].append(times[name] / times[to])
    return {name: statistics.median(values) for name, values in found.items()}


def _seconds(contestant: Contestant, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        contestant()
    return time.perf_counter() - start


def best(contestant: Contestant, rounds: int = 11) -> float:
    """The shortest of several runs, in seconds: what it costs when nothing else gets in the way."""
    return min(_seconds(contestant, 1) for _ in range(rounds))
