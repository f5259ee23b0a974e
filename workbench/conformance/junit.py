"""A report as JUnit XML, as build servers read it: a suite a section of the contract, a test case a probe.

A deviation is a failure, with its evidence in the text; what was not tested is skipped, with the reason.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from workbench.conformance.report import Finding, Report

_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry, not even escaped."""

_LONGEST_EVIDENCE: Final = 20_000


def junit(report: Report) -> str:
    """The report as an XML document."""
    document = JUnitXml(f"check of {report.endpoint}")
    deviations = {finding.probe for finding in report.deviations}
    for section, findings in groupby(report.findings, key=lambda finding: finding.rule.section):
        suite = TestSuite(section)
        suite.timestamp = report.started.replace(microsecond=0).isoformat()
        suite.add_property("endpoint", report.endpoint)
        if report.interrupted:
            suite.add_property("interrupted", "true")
        for finding in findings:
            suite.add_testcase(_case(finding, report, deviates=finding.probe in deviations))
        document.add_testsuite(suite)
    document.update_statistics()
    text = document.tostring()
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)


def _case(finding: Finding, report: Report, *, deviates: bool) -> TestCase:
    seconds = sum(exchange.elapsed or 0.0 for exchange in finding.evidence)
    case = TestCase(finding.probe, f"{finding.rule.section}.{finding.promise}", round(seconds, 3))
    if deviates:
        said = "; ".join(part for part in (finding.observed, finding.why) if part)
        failure = Failure(_clean(f"expected {finding.expected}; {said}"), finding.result.value)
        failure.text = _clean(_evidence(finding, report))
        case.result = [failure]
    elif not finding.tested:
        case.result = [Skipped(_clean(finding.why))]
    return case


def _evidence(finding: Finding, report: Report) -> str:
    told = [exchange.as_http(base=report.endpoint) for exchange in finding.evidence]
    text = "\n\n".join([f"{finding.promise} ({finding.level.value}): {finding.rule.text}", *told])
    return text if len(text) <= _LONGEST_EVIDENCE else f"{text[:_LONGEST_EVIDENCE]}\n… cut short"


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
