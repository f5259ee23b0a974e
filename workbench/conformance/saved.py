"""A report as JSON, and back: what ``check --json`` writes and ``check --against`` reads."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final

from workbench.conformance.contract import BY_ID, Level
from workbench.conformance.report import Finding, Fit, Report, Result
from workbench.errors import BadInput, MalformedJSON
from workbench.fhir import json
from workbench.fhir.printable import printable_json
from workbench.journal.export import read_bounded
from workbench.journal.records import as_json, from_json

FORMAT: Final = 1


def as_text(report: Report) -> str:
    """The whole report as JSON text, its evidence with it."""
    text = json.dumps(
        {
            "format": FORMAT,
            "endpoint": report.endpoint,
            "started": report.started.isoformat(),
            "profile": report.profile,
            "interrupted": report.interrupted,
            "exit_code": report.exit_code,
            "counts": {result.value: number for result, number in report.counts.items()},
            "notes": list(report.notes),
            "fits": [_fit(fit) for fit in report.fits],
            "findings": [_finding(finding) for finding in report.findings],
        },
        indent=1,
    )
    return printable_json(text)


def _fit(fit: Fit) -> dict[str, Any]:
    names = {"profile": fit.profile, "title": fit.title}
    return names | {"met": fit.met, "known": fit.known, "misses": list(fit.misses)}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "promise": finding.promise,
        "level": finding.level.value,
        "probe": finding.probe,
        "result": finding.result.value,
        "expected": finding.expected,
        "observed": finding.observed,
        "answer": finding.answer,
        "why": finding.why,
        "dialect": finding.dialect,
        "predicted": finding.predicted,
        "tries": finding.tries,
        "evidence": [as_json(exchange) for exchange in finding.evidence],
    }


def read(path: Path) -> Report:
    """Read a report; raises ``BadInput`` for a file that is none."""
    try:
        content = read_bounded(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        found = json.parse(content)
    except MalformedJSON:
        found = None
    if isinstance(found, dict) and isinstance(found.get("format"), int) and found["format"] > FORMAT:
        raise BadInput(f"{path} was written by a newer spine-workbench; update this one.")
    try:
        return _report(found)
    except (BadInput, AttributeError, KeyError, TypeError, ValueError):
        raise BadInput(f"{path} is not a report that `check --json` wrote.") from None


def _report(found: Any) -> Report:
    return Report(
        endpoint=str(found["endpoint"]),
        started=datetime.fromisoformat(found["started"]),
        findings=tuple(map(_read_finding, found["findings"])),
        profile=str(found["profile"]),
        fits=tuple(_read_fit(fit) for fit in found["fits"]),
        notes=tuple(map(str, found["notes"])),
        interrupted=bool(found["interrupted"]),
    )


def _read_fit(found: dict[str, Any]) -> Fit:
    names = (str(found["profile"]), str(found["title"]))
    return Fit(*names, int(found["met"]), int(found["known"]), tuple(map(str, found["misses"])))


def _read_finding(found: dict[str, Any]) -> Finding:
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
