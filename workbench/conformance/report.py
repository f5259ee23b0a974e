"""What a check found: a finding a probe, and the report that holds them all.

Owns: the frozen records, what counts as a deviation, and the exit code. Must not know how anything is
probed or shown. The promises themselves stand in ``rules.contract``.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.conformance.contract import BY_ID, Level, Promise
from workbench.conformance.servers import AS_PROMISED
from workbench.exchange.message import Exchange
from workbench.fhir.printable import printable

if TYPE_CHECKING:
    import pandas as pd


class Result(enum.Enum):
    """How a promise fared. The value is the word a table shows."""

    KEPT = "kept"
    BROKEN = "broken"
    DIFFERS = "differs"
    """Not as Spine promises, but as another known server does; the finding names it."""
    NOT_TESTED = "not tested"

    def __repr__(self) -> str:
        return f"Result.{self.name}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found out about one promise.

    ``tries`` says in a sentence what is tried, ``expected`` is the expectation to the letter, ``observed`` what came
    instead of it or the same. ``answer`` is the short form of it that dialects are compared by: ``"as promised"``,
    ``"412"``, ``"200, same version"``; empty where nothing was tested. ``why`` says why it was not tested, or why it
    counts as a deviation. ``dialect`` names the known server that answers so. ``predicted`` is the answer that the
    profile compared with leads to expect, empty where it is not known or none was named.
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
        """Whether the probe came to a result."""
        return self.result is not Result.NOT_TESTED

    def __repr__(self) -> str:
        return f"<{self.promise} {self.probe}: {self.result.value}>"


@dataclass(frozen=True, slots=True)
class Fit:
    """How well the answers fit one known server: of ``known`` predictions tested, ``met`` came true."""

    profile: str
    title: str
    met: int
    known: int
    misses: tuple[str, ...] = ()
    """The probes whose answer was another."""

    @property
    def score(self) -> float:
        """From 0 to 1; the rule of succession, so that five of five is worth less than eighty of eighty."""
        return (self.met + 1) / (self.known + 2)


@dataclass(frozen=True, slots=True)
class Change:
    """One probe that two checks found different things by; ``None`` where a check did not have it."""

    before: Finding | None
    after: Finding | None

    def __str__(self) -> str:
        finding = self.after or self.before
        assert finding is not None
        return f"{finding.promise} {finding.probe}: {_in_words(self.before)}, now {_in_words(self.after)}"


def _alike(before: Finding | None, after: Finding | None) -> bool:
    if before is None or after is None:
        return before is after
    return (before.result, before.answer) == (after.result, after.answer)


def _in_words(finding: Finding | None) -> str:
    if finding is None:
        return "not probed"
    said = f" ({finding.answer})" if finding.answer not in ("", AS_PROMISED) else ""
    return f"{finding.result.value}{said}"


EXIT_KEPT: Final = 0
EXIT_DEVIATES: Final = 1
EXIT_NOT_RUN: Final = 2
EXIT_STOPPED: Final = 130


@dataclass(frozen=True, slots=True)
class Report:
    """A whole check: of which endpoint, when, and every finding in the contract's order.

    ``profile`` names the known server whose predictions counted (empty: the contract alone). ``fits`` holds the
    known servers, the one that fits best first. ``notes`` are sentences about the check itself, such as what it
    could not clean up. ``interrupted`` says that it was ended early; what was not reached is NOT_TESTED.
    """

    endpoint: str
    started: datetime
    findings: tuple[Finding, ...]
    profile: str = ""
    fits: tuple[Fit, ...] = ()
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", tuple(printable(note, one_line=True) for note in self.notes))

    def __getitem__(self, probe: str) -> Finding:
        """The finding of one probe, by its name."""
        for finding in self.findings:
            if finding.probe == probe:
                return finding
        raise KeyError(probe)

    @property
    def counts(self) -> dict[Result, int]:
        """How many findings there are of each result."""
        found = Counter(finding.result for finding in self.findings)
        return {result: found[result] for result in Result}

    @property
    def deviations(self) -> tuple[Finding, ...]:
        """The findings that were not as they should be.

        Without a profile: what is broken or differs. With one: what is not as the profile predicts.
        """
        if self.profile:
            return tuple(f for f in self.findings if f.tested and f.predicted and f.answer != f.predicted)
        return tuple(f for f in self.findings if f.result in (Result.BROKEN, Result.DIFFERS))

    @property
    def ok(self) -> bool:
        """Whether something was tested, to the end, and nothing deviates."""
        return self.exit_code == EXIT_KEPT

    @property
    def exit_code(self) -> int:
        """0: all is as it should be; 1: something deviates; 2: the check could not be run; 130: Ctrl-C ended it."""
        if self.interrupted:
            return EXIT_STOPPED
        if self.deviations:
            return EXIT_DEVIATES
        return EXIT_KEPT if any(finding.tested for finding in self.findings) else EXIT_NOT_RUN

    @property
    def headline(self) -> str:
        """What the check comes to, in one sentence."""
        tested = sum(finding.tested for finding in self.findings)
        if not tested:
            return "Nothing could be tested."
        number = len(self.deviations)
        against = "what its profile leads to expect" if self.profile else "the contract"
        if not number:
            return f"All {tested} probes that could be tried agree with {against}."
        verb = "deviates" if number == 1 else "deviate"
        return f"{number} of the {tested} probes that could be tried {verb} from {against}."

    def of(self, promise: str) -> tuple[Finding, ...]:
        """The findings about one promise, by its id."""
        return tuple(finding for finding in self.findings if finding.promise == promise)

    def to_frame(self) -> pd.DataFrame:
        """One row a finding: ``promise level probe result expected observed dialect why``."""
        import pandas as pd

        rows = [(f.promise, f.level.value, f.probe, f.result.value, *_texts(f)) for f in self.findings]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype("str")

    def changes_since(self, before: Report) -> tuple[Change, ...]:
        """What another check, made before, found otherwise; in this one's order, what is gone last."""
        earlier = {finding.probe: finding for finding in before.findings}
        here = {finding.probe for finding in self.findings}
        pairs = [(earlier.get(finding.probe), finding) for finding in self.findings]
        gone: list[tuple[Finding | None, Finding | None]] = [(f, None) for f in before.findings if f.probe not in here]
        return tuple(Change(*pair) for pair in [*pairs, *gone] if not _alike(*pair))

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the report: ``.json`` (``load`` reads it), ``.html`` (one page) or ``.xml`` (JUnit).

        Raises ``BadInput`` for a name that ends otherwise, and where there is a file already, unless ``overwrite``.
        """
        from workbench.conformance.files import write

        write(self, Path(path), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read a report that was saved as ``.json``; raises ``BadInput`` for anything else."""
        from workbench.conformance.saved import read

        return read(Path(path))

    def __repr__(self) -> str:
        counted = ", ".join(f"{number} {result.value}" for result, number in self.counts.items() if number)
        return f"<Report: {counted or 'nothing probed'}>"


COLUMNS: Final = ("promise", "level", "probe", "result", "expected", "observed", "dialect", "why")
"""The columns of ``Report.to_frame()``, in this order."""


def _texts(finding: Finding) -> tuple[str, str, str, str]:
    return finding.expected, finding.observed, finding.dialect, finding.why
