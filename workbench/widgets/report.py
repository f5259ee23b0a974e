"""A check report as a widget: one row a probe, filters, and the evidence of the finding selected.

table = CheckTable(wb.check(client))
table.show.value = "what deviates"
table.filter.value = "UPD-6"
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import ipywidgets as widgets

from workbench.conformance.finding import RESULT_TONES, Finding
from workbench.conformance.report import Report
from workbench.exchange.hosts import is_loopback
from workbench.widgets import html
from workbench.widgets.frame import Frame
from workbench.widgets.private import Widgets
from workbench.widgets.table import Column, LiveTable, Row

_COLUMNS: Final[list[Column]] = [
    {"key": "promise", "title": "promise", "width": 90},
    {"key": "probe", "title": "probe", "width": 210},
    {"key": "status", "title": "result", "width": 105},
    {"key": "expected", "title": "expected"},
    {"key": "observed", "title": "observed"},
]

_FILTERS: Final[dict[str, Callable[[Report], tuple[Finding, ...]]]] = {
    "everything": lambda report: report.findings,
    "what deviates": lambda report: report.deviations,
    "what was not tested": lambda report: tuple(found for found in report.findings if not found.tested),
}
"""The choices of ``show``, each with the findings it shows."""


class CheckTable(widgets.VBox):
    """A report to browse. ``show`` and ``filter`` select the rows; ``select`` does what a click does.

    ``chosen`` is the finding whose evidence is shown; at first, the first deviation if there is one.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.chosen: Finding | None = None
        self.show = widgets.Dropdown(options=list(_FILTERS), description="Show")
        self.filter = widgets.Text(
            description="Filter", placeholder="UPD-6, stale, 412 …", continuous_update=True, layout={"width": "260px"}
        )
        self.table = LiveTable(_COLUMNS, label="Findings", empty="No finding matches", height="22rem", follows=False)
        self._evidence = Widgets(private=not is_loopback(report.endpoint)).html()
        self._rows: list[Finding] = []
        bar = widgets.HBox([self.show, self.filter])
        bar.add_class("swb-bar")
        card = widgets.VBox([self._evidence])
        card.add_class("swb-card")
        card.add_class("swb-spaced")
        summary = widgets.HTML(html.report_summary(report))
        super().__init__([summary, bar, self.table, card, Frame()])
        self.add_class("swb")
        self.show.observe(self._fill, "value")
        self.filter.observe(self._fill, "value")
        self.table.on_select(lambda index: self.select(self._rows[index]))
        self._fill()
        self.select(next(iter(report.deviations), None))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings shown, in order."""
        return tuple(self._rows)

    def select(self, finding: Finding | str | None) -> None:
        """Show the evidence of a finding, given as such or by the name of its probe; ``None`` shows none."""
        self.chosen = self.report[finding] if isinstance(finding, str) else finding
        if self.chosen is None:
            self._evidence.value = html.muted("Click a row to see its requests and responses.")
        else:
            self._evidence.value = html.finding(self.chosen, self.report.endpoint)

    def __repr__(self) -> str:
        return f"CheckTable({self.report!r})"

    def _fill(self, _change: object = None) -> None:
        words = self.filter.value.lower().split()
        findings = _FILTERS[self.show.value](self.report)
        self._rows = [found for found in findings if all(word in _searchable(found) for word in words)]
        self.table.replace([_row(found) for found in self._rows])


def _searchable(found: Finding) -> str:
    texts = (found.promise, found.probe, found.result.value, found.expected, found.observed, found.why, found.tries)
    return " ".join(texts).lower()


def _row(found: Finding) -> Row:
    observed = found.observed if found.tested else found.why
    return {
        "promise": found.promise,
        "probe": found.probe,
        "status": found.result.value,
        "expected": found.expected,
        "observed": f"{observed} ({found.why})" if found.tested and found.why else observed,
        "_tone": RESULT_TONES[found.result],
    }
