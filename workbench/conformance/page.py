"""A report as one page of HTML that needs nothing else: promise, source, expectation, and the evidence.

Written by a Jinja template with escaping always on, because evidence is whatever some server sent. The page loads
nothing from anywhere and keeps its few lines of script and style to itself.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from itertools import groupby
from typing import Any, Final

from jinja2 import Environment, StrictUndefined, Template

from workbench.conformance.contract import SOURCES, Promise
from workbench.conformance.report import Finding, Report, Result
from workbench.exchange.message import Exchange
from workbench.exchange.text import reason, request_text, response_text

SECTIONS: Final = {
    "UPD": "Update",
    "VAL": "Validation",
    "PRF": "Response preference",
    "ERR": "Errors",
    "RD": "Read",
    "CR": "Create",
    "DL": "Delete",
    "SR": "Search",
    "CAP": "Capability",
    "VER": "Versions",
    "FMT": "Formats",
    "HDR": "Headers of a live Spine",
}
"""The sections of the contract, by the letters of their promises."""

_MOST_FITS: Final = 5
_LONGEST_MESSAGE: Final = 12_000


def page(report: Report) -> str:
    """The report as an HTML document."""
    deviations = report.deviations
    return _template().render(
        report=report,
        deviations=deviations,
        deviating={finding.probe for finding in deviations},
        sections=_sections(report),
        fits=report.fits[:_MOST_FITS],
        headline=report.headline,
        Result=Result,
        sources=_sources,
        messages=lambda exchange: _messages(exchange, report.endpoint),
        title_of=_title_of,
    )


@cache
def _template() -> Template:
    source = resources.files("workbench.conformance").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)


def _sections(report: Report) -> list[tuple[str, list[tuple[Promise, list[Finding]]]]]:
    """The findings by section and promise, in the contract's order."""
    by_section = groupby(report.findings, key=lambda finding: finding.rule.section)
    return [
        (SECTIONS.get(name, name), [(rule, list(found)) for rule, found in groupby(group, key=lambda each: each.rule)])
        for name, group in by_section
    ]


def _sources(rule: Promise) -> str:
    return "; ".join(SOURCES.get(source, source) for source in rule.sources)


def _messages(exchange: Exchange, base: str) -> dict[str, Any]:
    """One exchange as the page shows it: a line that says what it was, and both messages as text."""
    answer = exchange.response
    status = f"{answer.status} {reason(answer.status)}".strip() if answer else "no answer"
    path = exchange.request.url.replace(base, "", 1)
    return {
        "line": f"{exchange.request.method} {path} → {status}",
        "client": exchange.client,
        "asked": _cut(request_text(exchange.request, base=base, indent=2)),
        "answered": _cut(response_text(answer, base=base, indent=2)) if answer else exchange.failure,
    }


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_MESSAGE:
        return text
    return f"{text[:_LONGEST_MESSAGE]}\n… cut short; {len(text):,} characters in all"


def _title_of(probe: str) -> str:
    return probe.replace("-", " ")
