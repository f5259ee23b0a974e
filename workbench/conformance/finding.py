"""What one probe found out about one promise."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from workbench.conformance.contract import BY_ID, Level, Promise
from workbench.exchange.message import Exchange
from workbench.fhir.printable import printable

AS_PROMISED: Final = "as promised"
"""The ``Finding.answer`` of a promise that was kept."""


class Result(enum.Enum):
    """What a check found out about a promise. The value is the word that tables show."""

    KEPT = "kept"
    BROKEN = "broken"
    DIFFERS = "differs"
    """Broken in the way of a known server, which the finding names."""
    NOT_TESTED = "not tested"

    def __repr__(self) -> str:
        return f"Result.{self.name}"


RESULT_TONES: Final = {
    Result.KEPT: "good",
    Result.BROKEN: "bad",
    Result.DIFFERS: "warn",
    Result.NOT_TESTED: "neutral",
}
"""The colour of each result of a probe. Its text is always shown as well."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found out about one promise.

    ``tries`` says in a sentence what was tried, ``expected`` the expectation to the letter, ``observed`` what came.
    ``answer`` is the short form of ``observed`` by which servers are compared: ``"as promised"``, ``"412"``; empty if
    nothing was tested. ``why`` says why nothing was tested, or why this is a deviation. ``dialect`` names the known
    server that breaks the promise in the same way. ``predicted`` is the answer that the profile predicts; empty if
    there is no profile or its answer is unknown. ``evidence`` holds the exchanges.
    """

    promise: str
    level: Level
    probe: str
    result: Result
    expected: str
    observed: str = ""
    answer: str = ""
    why: str = ""
    dialect: str = ""
    predicted: str = ""
    tries: str = ""
    evidence: tuple[Exchange, ...] = ()

    def __post_init__(self) -> None:
        for name in ("observed", "answer", "why"):
            object.__setattr__(self, name, printable(getattr(self, name), one_line=True))

    @property
    def rule(self) -> Promise:
        """The promise itself, with its text and its sources."""
        return BY_ID[self.promise]

    @property
    def tested(self) -> bool:
        """Whether the probe could be tried."""
        return self.result is not Result.NOT_TESTED

    def __repr__(self) -> str:
        return f"<{self.promise} {self.probe}: {self.result.value}>"
