"""What a check found out: the findings, the report of them, and its forms as JSON, HTML, JUnit XML and in a terminal.

Findings contain what a server sent. So each form escapes it: control characters in a terminal, markup in HTML and XML.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from markupsafe import Markup

from workbench.conformance.contract import BY_ID, SECTIONS, SOURCES, Level
from workbench.conformance.exploration import Exploration, ShortestSequence
from workbench.conformance.finding import AS_PROMISED, RESULT_TONES, Finding, Result
from workbench.conformance.rules import RULES
from workbench.conformance.servers import Fit, fits
from workbench.errors import BadInput, MalformedJSON, needs
from workbench.exchange.message import Exchange
from workbench.exchange.text import reason, request_text, response_text
from workbench.fhir import json, markup
from workbench.fhir.printable import printable, printable_json
from workbench.journal.export import read_bounded, write_private
from workbench.journal.records import as_json, from_json

with needs("check"):
    from jinja2 import Environment, StrictUndefined, Template
    from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.segment import Segment
    from rich.table import Table
    from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

EXIT_KEPT: Final = 0
EXIT_DEVIATES: Final = 1
EXIT_NOT_RUN: Final = 2
EXIT_STOPPED: Final = 130

COLUMNS: Final = ("promise", "level", "probe", "result", "expected", "observed", "dialect", "why")
"""The columns of ``Report.to_frame()``, in this order."""

_FORMAT: Final = 1
"""The version of the JSON form."""


@dataclass(frozen=True, slots=True)
class FindingChange:
    """One probe with different findings in two checks; ``None`` where a check did not have the probe."""

    before: Finding | None
    after: Finding | None

    def __str__(self) -> str:
        finding = self.after or self.before
        assert finding is not None
        return f"{finding.promise} {finding.probe}: {_in_words(self.before)}, now {_in_words(self.after)}"


def _in_words(finding: Finding | None) -> str:
    if finding is None:
        return "not probed"
    answer = f" ({finding.answer})" if finding.answer not in ("", AS_PROMISED) else ""
    return f"{finding.result.value}{answer}"


@dataclass(frozen=True, slots=True)
class Report:
    """A whole check: which endpoint, when, and every finding in the contract's order.

    ``profile`` names the known server whose answers were expected; empty: the contract's. ``notes`` are sentences
    about the check itself, such as what it could not clean up. ``interrupted``: it was ended early, and the probes
    not reached are NOT_TESTED. ``exploration`` is what random sequences found, if they were asked for.
    """

    endpoint: str
    started: datetime
    findings: tuple[Finding, ...]
    profile: str = ""
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    exploration: Exploration | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", tuple(printable(note, one_line=True) for note in self.notes))

    def __getitem__(self, probe: str) -> Finding:
        """Return the finding of one probe, by its name; raises ``KeyError`` if there is none."""
        for finding in self.findings:
            if finding.probe == probe:
                return finding
        raise KeyError(probe)

    @property
    def fits(self) -> tuple[Fit, ...]:
        """How well the answers fit each known server, the best fit first."""
        return fits(self.findings)

    @property
    def counts(self) -> dict[Result, int]:
        """The number of findings by result."""
        found = Counter(finding.result for finding in self.findings)
        return {result: found[result] for result in Result}

    @property
    def deviations(self) -> tuple[Finding, ...]:
        """The findings that are broken or differ; with a profile, those that it does not predict."""
        if self.profile:
            return tuple(f for f in self.findings if f.tested and f.predicted and f.answer != f.predicted)
        return tuple(f for f in self.findings if f.result in (Result.BROKEN, Result.DIFFERS))

    @property
    def ok(self) -> bool:
        """Whether something was tested, the check was not interrupted, and nothing deviates."""
        return self.exit_code == EXIT_KEPT

    @property
    def exit_code(self) -> int:
        """0: nothing deviates; 1: something deviates; 2: nothing could be tested; 130: Ctrl-C ended the check."""
        if self.interrupted or (self.exploration and self.exploration.interrupted):
            return EXIT_STOPPED
        if self.deviations or (self.exploration and self.exploration.disagreements):
            return EXIT_DEVIATES
        return EXIT_KEPT if any(finding.tested for finding in self.findings) else EXIT_NOT_RUN

    @property
    def headline(self) -> str:
        """The result of the check in one sentence."""
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
        """Return the findings about one promise, by its id."""
        return tuple(finding for finding in self.findings if finding.promise == promise)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each finding: ``promise level probe result expected observed dialect why``."""
        with needs("tables"):
            import pandas as pd

        rows = [_fields(finding, level=finding.level.value, result=finding.result.value) for finding in self.findings]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype("str")

    def changes_since(self, before: Report) -> tuple[FindingChange, ...]:
        """Return the probes whose result or answer changed since an earlier report; those that are gone come last."""
        earlier = {finding.probe: finding for finding in before.findings}
        changes = [FindingChange(earlier.pop(finding.probe, None), finding) for finding in self.findings]
        changes += [FindingChange(finding, None) for finding in earlier.values()]
        return tuple(change for change in changes if _in_words(change.before) != _in_words(change.after))

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the report: ``.json`` (``load`` reads it), ``.html`` (one page) or ``.xml`` (JUnit).

        Raises ``BadInput`` for another ending, and if the file exists, unless ``overwrite``.
        """
        path = Path(path)
        writers = {".json": to_json, ".html": to_html, ".xml": to_junit}
        writer = writers.get(path.suffix.lower())
        if writer is None:
            raise BadInput(f"{path} does not say what to write; end its name in {', '.join(writers)}.")
        write_private(path, writer(self), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read a report that was saved as ``.json``; raises ``BadInput`` for anything else."""
        try:
            content = read_bounded(Path(path))
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from None
        try:
            found = json.parse(content)
        except MalformedJSON:
            found = None
        if isinstance(found, dict) and isinstance(found.get("format"), int) and found["format"] > _FORMAT:
            raise BadInput(f"{path} was written by a newer spine-workbench; update this one.")
        try:
            return _from_json(found)
        except (BadInput, AttributeError, KeyError, TypeError, ValueError):
            raise BadInput(f"{path} is not a report that `check --json` wrote.") from None

    def _repr_html_(self) -> str:
        """Return the counts and the headline, and a table of what deviates."""
        chips = (markup.chip(f"{number} {each.value}", RESULT_TONES[each]) for each, number in self.counts.items())
        tone = "good" if self.ok else "bad" if self.deviations else "warn"
        parts: list[object] = [Markup(" ").join(chips), Markup("<b>{}</b>").format(self.headline), *self.notes]
        if self.deviations:
            rows = [(f.promise, f.probe, f.result.value, f.expected, f.observed) for f in self.deviations]
            parts.append(markup.table(("promise", "probe", "result", "expected", "observed"), rows))
        return markup.block(tone, *parts)

    def __repr__(self) -> str:
        counted = ", ".join(f"{number} {result.value}" for result, number in self.counts.items() if number)
        return f"<Report: {counted or 'nothing probed'}>"


# --- JSON ---


def to_json(report: Report) -> str:
    """Return the whole report, with its evidence, as JSON text."""
    content = {
        "format": _FORMAT,
        "endpoint": report.endpoint,
        "started": report.started.isoformat(),
        "profile": report.profile,
        "interrupted": report.interrupted,
        "exit_code": report.exit_code,
        "counts": {result.value: number for result, number in report.counts.items()},
        "notes": list(report.notes),
        "fits": [_fields(fit, misses=list(fit.misses)) for fit in report.fits],
        "findings": [
            _fields(
                finding,
                level=finding.level.value,
                result=finding.result.value,
                evidence=[as_json(exchange) for exchange in finding.evidence],
            )
            for finding in report.findings
        ],
        "exploration": _exploration_as_json(report.exploration) if report.exploration else None,
    }
    return printable_json(json.dumps(content, indent=1))


def _exploration_as_json(exploration: Exploration) -> dict[str, Any]:
    sequences = [
        _fields(sequence, exchanges=[as_json(exchange) for exchange in sequence.exchanges])
        for sequence in exploration.disagreements
    ]
    return _fields(exploration, disagreements=sequences, notes=list(exploration.notes))


def _exploration_from_json(found: dict[str, Any]) -> Exploration:
    sequences = [
        ShortestSequence(
            rule=_known_rule(str(each["rule"])),
            expected=str(each["expected"]),
            observed=str(each["observed"]),
            exchanges=tuple(map(from_json, each["exchanges"])),
            base_url=str(each["base_url"]),
            repeats=bool(each["repeats"]),
        )
        for each in found["disagreements"]
    ]
    return Exploration(
        endpoint=str(found["endpoint"]),
        seed=int(found["seed"]),
        steps=int(found["steps"]),
        requests=int(found["requests"]),
        disagreements=tuple(sequences),
        profile=str(found["profile"]),
        notes=tuple(map(str, found["notes"])),
        interrupted=bool(found["interrupted"]),
    )


def _known_rule(rule: str) -> str:
    if rule not in RULES:
        raise BadInput(f"There is no rule {rule!r}.")
    return rule


def _fields(record: Finding | Fit | Exploration | ShortestSequence, **replaced: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)} | replaced


def _from_json(found: Any) -> Report:
    """Return the report of this parsed JSON; raises one of several errors for any other JSON."""
    return Report(
        endpoint=str(found["endpoint"]),
        started=datetime.fromisoformat(found["started"]),
        findings=tuple(map(_finding_from_json, found["findings"])),
        profile=str(found["profile"]),
        notes=tuple(map(str, found["notes"])),
        interrupted=bool(found["interrupted"]),
        exploration=_exploration_from_json(found["exploration"]) if found.get("exploration") else None,
    )


def _finding_from_json(found: dict[str, Any]) -> Finding:
    if found["promise"] not in BY_ID:
        raise BadInput(f"There is no promise {found['promise']!r}.")
    texts = ("probe", "expected", "observed", "answer", "why", "dialect", "predicted", "tries")
    return Finding(
        promise=found["promise"],
        level=Level(found["level"]),
        result=Result(found["result"]),
        evidence=tuple(map(from_json, found["evidence"])),
        **{name: str(found[name]) for name in texts},
    )


# --- HTML ---

_MOST_FITS_IN_HTML: Final = 5
_LONGEST_MESSAGE: Final = 12_000


def to_html(report: Report) -> str:
    """Return the report as one HTML page, which loads nothing from elsewhere."""
    by_section = groupby(report.findings, key=lambda finding: finding.rule.section)
    sections = [
        (SECTIONS[name], [(rule, list(found)) for rule, found in groupby(findings, key=lambda each: each.rule)])
        for name, findings in by_section
    ]
    return _template().render(
        report=report,
        deviations=report.deviations,
        deviating={finding.probe for finding in report.deviations},
        sections=sections,
        fits=report.fits[:_MOST_FITS_IN_HTML],
        headline=report.headline,
        Result=Result,
        sources=lambda rule: "; ".join(SOURCES[source] for source in rule.sources),
        messages=lambda exchange: _messages(exchange, report.endpoint),
        title_of=lambda probe: probe.replace("-", " "),
        cut=lambda text: _cut(text, _LONGEST_EVIDENCE),
    )


@cache
def _template() -> Template:
    source = resources.files("workbench.conformance").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)


def _messages(exchange: Exchange, base: str) -> dict[str, str]:
    """Return one exchange as the page shows it: a summary line, the request and the response."""
    response = exchange.response
    status = f"{response.status} {reason(response.status)}".strip() if response else "no answer"
    received = response_text(response, base=base, indent=2) if response else exchange.failure
    return {
        "line": f"{exchange.request.method} {exchange.request.url.replace(base, '', 1)} → {status}",
        "request": _cut(request_text(exchange.request, base=base, indent=2), _LONGEST_MESSAGE),
        "response": _cut(received, _LONGEST_MESSAGE),
    }


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return f"{text[:longest]}\n… cut short; {len(text):,} characters in all"


# --- JUnit XML ---

_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot contain, not even escaped."""

_LONGEST_EVIDENCE: Final = 20_000


def to_junit(report: Report) -> str:
    """Return the report as JUnit XML: a suite for each section of the contract, a test case for each probe.

    A deviation is a failure, with its evidence as text. What was not tested is skipped, with the reason.
    """
    document = JUnitXml(f"check of {report.endpoint}")
    deviating = {finding.probe for finding in report.deviations}
    for section, findings in groupby(report.findings, key=lambda finding: finding.rule.section):
        suite = TestSuite(section)
        suite.timestamp = report.started.replace(microsecond=0).isoformat()
        suite.add_property("endpoint", report.endpoint)
        if report.interrupted:
            suite.add_property("interrupted", "true")
        for finding in findings:
            suite.add_testcase(_test_case(finding, report.endpoint, deviates=finding.probe in deviating))
        document.add_testsuite(suite)
    if report.exploration:
        document.add_testsuite(_exploration_suite(report.exploration))
    document.update_statistics()
    text = document.tostring()
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)


def _test_case(finding: Finding, endpoint: str, *, deviates: bool) -> TestCase:
    seconds = sum(exchange.elapsed or 0.0 for exchange in finding.evidence)
    case = TestCase(finding.probe, f"{finding.rule.section}.{finding.promise}", round(seconds, 3))
    if deviates:
        observed = "; ".join(part for part in (finding.observed, finding.why) if part)
        failure = Failure(_for_xml(f"expected {finding.expected}; {observed}"), finding.result.value)
        promise = f"{finding.promise} ({finding.level.value}): {finding.rule.text}"
        exchanges = [exchange.as_http(base=endpoint) for exchange in finding.evidence]
        failure.text = _for_xml(_cut("\n\n".join([promise, *exchanges]), _LONGEST_EVIDENCE))
        case.result = [failure]
    elif not finding.tested:
        case.result = [Skipped(_for_xml(finding.why))]
    return case


def _exploration_suite(exploration: Exploration) -> TestSuite:
    """Return a suite with a failed case for each disagreement, or one case that passed."""
    suite = TestSuite("exploring")
    suite.add_property("seed", str(exploration.seed))
    suite.add_property("steps", str(exploration.steps))
    for sequence in exploration.disagreements:
        case = TestCase(sequence.rule, f"exploring.{sequence.promise}")
        failure = Failure(_for_xml(str(sequence)), "disagreement")
        failure.text = _for_xml(_cut(f"{sequence.as_python()}\n{sequence.as_http()}", _LONGEST_EVIDENCE))
        case.result = [failure]
        suite.add_testcase(case)
    if not exploration.disagreements:
        suite.add_testcase(TestCase("agrees-with-the-model", "exploring"))
    return suite


def _for_xml(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)


# --- the terminal ---

_STYLES: Final = {
    Result.BROKEN: "bold red",
    Result.DIFFERS: "yellow",
    Result.NOT_TESTED: "dim",
    Result.KEPT: "green",
}
"""The colour of each result, the worst first. The word itself is always printed too."""

_WIDTH_OF_A_FILE: Final = 160
_MOST_FITS: Final = 3
_MOST_MISSES: Final = 6


class SafeConsole(Console):
    """A console that prints control characters in texts as escapes, so that no text controls the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield the segments to print, with control characters in their texts escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def console_for(file: IO[str]) -> Console:
    """Return a console that prints to this file: in colour if it is a terminal (and no NO_COLOR), else long lines."""
    width = None if file.isatty() else _WIDTH_OF_A_FILE
    return SafeConsole(file=file, width=width, highlight=False, markup=False, emoji=False)


def progress_on(console: Console) -> Progress:
    """Return a progress bar, which disappears at the end. Only a terminal shows it."""
    return Progress(
        TextColumn("checking"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def print_report(report: Report, console: Console, *, since: Sequence[FindingChange] | None = None) -> None:
    """Print a row for each promise, a line for each deviation, and a summary; ``since``: the changes to add."""
    console.print(Text(f"{report.endpoint}: the promises of a Spine endpoint", style="bold"))
    console.print(_promise_table(report))

    def print_line(line: str | Text, style: str = "") -> None:
        console.print(line if isinstance(line, Text) else Text(line, style=style), soft_wrap=not console.is_terminal)

    for finding in report.deviations:
        line = Text(f"{finding.result.value.upper():7} ", style=_STYLES[finding.result])
        line.append(f"{finding.promise} {finding.probe}", style="bold")
        why = f" ({finding.why})" if finding.why else ""
        line.append(f": expected {finding.expected}; observed {finding.observed}{why}", style="default")
        print_line(line)

    untested = sorted((finding for finding in report.findings if not finding.tested), key=lambda finding: finding.why)
    for why, findings in groupby(untested, key=lambda finding: finding.why):
        names = ", ".join(f"{finding.promise} {finding.probe}" for finding in findings)
        print_line(f"not tested: {why} {names}", style="dim")

    for number, fit in enumerate(report.fits[:_MOST_FITS]):
        like = f"answers like {fit.title}" if number == 0 else f"then {fit.title}"
        misses = ", ".join(fit.misses[:_MOST_MISSES])
        more = f" and {len(fit.misses) - _MOST_MISSES} more" if len(fit.misses) > _MOST_MISSES else ""
        but = f"; not in {misses}{more}" if misses else ""
        print_line(f"{like}: {fit.met} of {fit.known} answers fit{but}")

    if since is not None:
        console.print(Text("Since the last report: " + ("nothing has changed." if not since else ""), style="bold"))
        for change in since:
            print_line(f"  {change}")

    if report.exploration:
        _print_exploration(report.exploration, print_line)
    for note in report.notes:
        console.print(Text(f"Note: {note}", style="yellow"))
    if report.interrupted:
        console.print(Text("The check was ended early; what was not reached is not tested.", style="yellow"))
    counts = ", ".join(f"{number} {result.value}" for result, number in report.counts.items() if number)
    console.print(Text(f"{counts}. {report.headline}", style="bold"))


def _print_exploration(exploration: Exploration, print_line: Callable[[str, str], None]) -> None:
    print_line(f"Exploring: {exploration.headline}", "bold")
    for sequence in exploration.disagreements:
        print_line(f"DISAGREES {sequence}", "bold red")
        for text in (sequence.diagram().text, sequence.as_python()):
            print_line("\n".join(f"    {line}" for line in text.splitlines()), "")
    for note in exploration.notes:
        print_line(f"Note: {note}", "yellow")


def _promise_table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("promise", "level", "result"):
        table.add_column(name, no_wrap=True)
    table.add_column("kept", no_wrap=True, justify="right")
    table.add_column("what is promised", overflow="fold")
    for promise, group in groupby(report.findings, key=lambda finding: finding.rule):
        results = [finding.result for finding in group]
        # A promise is as good as its worst probe, but for probes that could not be tried.
        tested = [result for result in results if result is not Result.NOT_TESTED] or results
        worst = next(result for result in _STYLES if result in tested)
        table.add_row(
            promise.id,
            promise.level.value,
            Text(worst.value, style=_STYLES[worst]),
            f"{results.count(Result.KEPT)}/{len(results)}",
            Text(promise.text),
        )
    return table
