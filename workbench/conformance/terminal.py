"""A report in a terminal: a row a promise, a line a deviation, and what it comes to.

Colours only where they are wanted (a terminal, and no ``NO_COLOR``), and never the only sign. Whatever a server
sent is shown as text: control characters, which a terminal would obey, are written as escapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import IO, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from workbench.conformance.report import Change, Finding, Report, Result
from workbench.fhir.printable import printable

_STYLES: Final = {
    Result.KEPT: "green",
    Result.DIFFERS: "yellow",
    Result.BROKEN: "bold red",
    Result.NOT_TESTED: "dim",
}
_WORST_FIRST: Final = (Result.BROKEN, Result.DIFFERS, Result.NOT_TESTED, Result.KEPT)
_WIDTH_OF_A_FILE: Final = 160
_MOST_FITS: Final = 3
_MOST_MISSES: Final = 6


def console_for(file: IO[str]) -> Console:
    """A console that writes to this file: with colours if it is a terminal, with long lines if it is not."""
    width = None if file.isatty() else _WIDTH_OF_A_FILE
    return SafeConsole(file=file, width=width, highlight=False, markup=False, emoji=False)


class SafeConsole(Console):
    """A console that obeys nothing in a text: its own colours are all that controls the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield what is to be written, control characters in texts as escapes. Everything printed comes by here."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def show(report: Report, console: Console, *, since: Sequence[Change] | None = None) -> None:
    """Write the whole report; ``since`` are the changes since another one."""
    console.print(Text(f"{report.endpoint}: the promises of a Spine endpoint", style="bold"))
    console.print(_table(report))
    for finding in report.deviations:
        console.print(_deviation(finding), soft_wrap=not console.is_terminal)
    _show_untested(report, console)
    _show_fits(report, console)
    if since is not None:
        _show_changes(since, console)
    for note in report.notes:
        console.print(Text(f"Note: {note}", style="yellow"))
    if report.interrupted:
        console.print(Text("The check was ended early; what was not reached is not tested.", style="yellow"))
    counts = ", ".join(f"{number} {result.value}" for result, number in report.counts.items() if number)
    console.print(Text(f"{counts}. {report.headline}", style="bold"))


def progress_on(console: Console) -> Progress:
    """A bar that shows how far a check is; it leaves nothing behind."""
    columns = (
        TextColumn("checking"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("promise", no_wrap=True)
    table.add_column("level", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("kept", no_wrap=True, justify="right")
    table.add_column("what is promised", overflow="fold")
    for promise, group in groupby(report.findings, key=lambda finding: finding.rule):
        findings = list(group)
        result = _of_all(findings)
        kept = sum(finding.result is Result.KEPT for finding in findings)
        cells = (promise.id, promise.level.value, Text(result.value, style=_STYLES[result]))
        table.add_row(*cells, f"{kept}/{len(findings)}", Text(promise.text))
    return table


def _of_all(findings: Sequence[Finding]) -> Result:
    """The result of a promise: its worst probe's; kept if some were and the others could not be tried."""
    found = {finding.result for finding in findings}
    if found == {Result.KEPT, Result.NOT_TESTED}:
        return Result.KEPT
    return next(result for result in _WORST_FIRST if result in found)


def _deviation(finding: Finding) -> Text:
    line = Text(f"{finding.result.value.upper():7} ", style=_STYLES[finding.result])
    line.append(f"{finding.promise} {finding.probe}", style="bold")
    said = f": expected {finding.expected}; observed {finding.observed}"
    line.append(said + (f" ({finding.why})" if finding.why else ""), style="default")
    return line


def _show_untested(report: Report, console: Console) -> None:
    untested = sorted((f for f in report.findings if not f.tested), key=lambda finding: finding.why)
    for why, group in groupby(untested, key=lambda finding: finding.why):
        names = ", ".join(f"{finding.promise} {finding.probe}" for finding in group)
        console.print(Text(f"not tested: {why} {names}", style="dim"), soft_wrap=not console.is_terminal)


def _show_fits(report: Report, console: Console) -> None:
    for number, fit in enumerate(report.fits[:_MOST_FITS]):
        said = f"answers like {fit.title}" if number == 0 else f"then {fit.title}"
        missed = ", ".join(fit.misses[:_MOST_MISSES])
        more = f" and {len(fit.misses) - _MOST_MISSES} more" if len(fit.misses) > _MOST_MISSES else ""
        but = f"; not in {missed}{more}" if missed else ""
        line = Text(f"{said}: {fit.met} of {fit.known} answers fit{but}")
        console.print(line, soft_wrap=not console.is_terminal)


def _show_changes(since: Sequence[Change], console: Console) -> None:
    console.print(Text("Since the last report: " + ("nothing has changed." if not since else ""), style="bold"))
    for change in since:
        console.print(Text(f"  {change}"), soft_wrap=not console.is_terminal)
