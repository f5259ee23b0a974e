"""A probe: what it tests, what it expects to the letter, what it needs, and the function that tries it.

Owns: the record, the decorator that makes one, and the three ways in which a probe ends early.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.conformance.contract import BY_ID, Promise

if TYPE_CHECKING:
    from workbench.conformance.trial import Trial


class Deviation(Exception):
    """The promise is broken. ``observed`` says what came instead, ``answer`` the same in a few words."""

    def __init__(self, observed: str, answer: str) -> None:
        super().__init__(observed)
        self.observed = observed
        self.answer = answer


class Untestable(Exception):
    """Nothing can be said about the promise here; the message says why."""


class Stopped(Exception):
    """The check was ended from outside."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe of one promise.

    ``writes``: it sends something that is no read. ``alone``: no other probe runs beside it. ``run`` returns what
    was observed, if there is more to say than that it was as expected; it raises ``Deviation`` or ``Untestable``.
    """

    promise: str
    name: str
    expected: str
    run: Callable[[Trial], str | None]
    writes: bool = True
    alone: bool = False

    @property
    def rule(self) -> Promise:
        """The promise itself."""
        return BY_ID[self.promise]

    @property
    def tries(self) -> str:
        """What it tries, in a sentence: the first line of its function's docstring, without its markup."""
        return (self.run.__doc__ or "").partition("\n")[0].replace("``", "")

    def __repr__(self) -> str:
        return f"<Probe {self.promise} {self.name}>"


def probe(
    promise: str, name: str, expected: str, *, writes: bool = True, alone: bool = False
) -> Callable[[Callable[[Trial], str | None]], Probe]:
    """Make a probe of a function that tries an endpoint; ``name`` is stable, reports and profiles use it."""
    return lambda run: Probe(promise, name, expected, run, writes, alone)
