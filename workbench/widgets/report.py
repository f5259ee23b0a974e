"""A report as a widget: a row a probe, filtered as you like, and the evidence of the one you click.

table = CheckTable(wb.check(client))
table.show.value = "what deviates"
table.filter.value = "UPD-6"
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import ipywidgets as widgets

from workbench.conformance.report import Finding, Report
from workbench.exchange.hosts import is_loopback
from workbench.widgets import html as markup
from workbench.widgets.private import Widgets
from workbench.widgets.table import Column, LiveTable

EVERYTHING: Final = "everything"
DEVIATES: Final = "what deviates"
UNTESTED: Final = "what was not tested"

_COLUMNS: Final[list[Column]] = [
    {"key": "promise", "title": "promise", "width": 90},
    {"key": "probe", "title": "probe", "width": 210},
    {"key": "status", "title": "result", "width": 105},
    {"key": "expected", "title": "expected"},
    {"key": "observed", "title": "observed"},
]


class CheckTable(widgets.VBox):
    """A report to look through. ``show`` and ``filter`` choose the rows, ``select`` does what a click does.

    ``chosen`` is the finding whose evidence is shown; to begin with the first that deviates, if one does.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.chosen: Finding | None = None
        self.show = widgets.Dropdown(options=[EVERYTHING, DEVIATES, UNTESTED], description="Show")
        self.filter = widgets.Text(
            description="Filter", placeholder="UPD-6, stale, 412 …", continuous_update=True, layout={"width": "260px"}
        )
        self.table = LiveTable(
            _COLUMNS, label="Findings", empty="No finding is like that", height="22rem", follows=False
        )
        self._evidence = Widgets(private=not is_loopback(report.endpoint)).html()
        self._rows: list[Finding] = []
        card = widgets.VBox([self._evidence])
        card.add_class("swb-card")
        card.add_class("swb-spaced")
        bar = widgets.HBox([self.show, self.filter])
        bar.add_class("swb-bar")
        summary = widgets.HTML(markup.style() + markup.report_summary(report))
        super().__init__([summary, bar, self.table, card])
        self.add_class("swb")
        self.show.observe(self._fill, "value")
        self.filter.observe(self._fill, "value")
        self.table.on_select(self._select_row)
        self._fill()
        self.select(next(iter(report.deviations), None))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings that are shown, in order."""
        return tuple(self._rows)

    def select(self, finding: Finding | str | None) -> None:
        """Show the evidence of a finding, given itself or by its probe's name; of none to begin with."""
        self.chosen = self.report[finding] if isinstance(finding, str) else finding
        self._evidence.value = (
            markup.finding(self.chosen, self.report.endpoint)
            if self.chosen
            else markup.muted("Click a row to see what was sent and what came back.")
        )

    def _select_row(self, index: int) -> None:
        self.select(self._rows[index])

    def _fill(self, _change: object = None) -> None:
        """Fill the table with the findings that are to be shown."""
        wanted = _WANTED[self.show.value](self.report)
        words = self.filter.value.lower().split()
        self._rows = [found for found in wanted if all(word in _searchable(found) for word in words)]
        self.table.replace([_row(found) for found in self._rows])

    def __repr__(self) -> str:
        return f"CheckTable({self.report!r})"


_WANTED: Final[dict[str, Callable[[Report], tuple[Finding, ...]]]] = {
    EVERYTHING: lambda report: report.findings,
    DEVIATES: lambda report: report.deviations,
    UNTESTED: lambda report: tuple(found for found in report.findings if not found.tested),
}


def _searchable(found: Finding) -> str:
    texts = (found.promise, found.probe, found.result.value, found.expected, found.observed, found.why, found.tries)
    return " ".join(texts).lower()


def _row(found: Finding) -> dict[str, str | int | float | None]:
    observed = found.observed if found.tested else found.why
    return {
        "promise": found.promise,
        "probe": found.probe,
        "status": found.result.value,
        "expected": found.expected,
        "observed": f"{observed} ({found.why})" if found.tested and found.why else observed,
        "_tone": markup.RESULT_TONES[found.result],
    }
