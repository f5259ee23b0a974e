"""The report as a widget, without a browser: which rows stand in it, and what a click shows."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from workbench import CheckTable, Endpoint, Exchange, Finding, Report, Result, check
from workbench.conformance.contract import Level
from workbench.exchange.message import Headers, Request, Response


@pytest.fixture(scope="module")
def report() -> Iterator[Report]:
    with Endpoint.in_process(policy="R4") as spine:
        yield check(spine.client())


def click(table: CheckTable, index: int) -> None:
    for callback in table.table._select_callbacks:
        callback(index)


def test_a_row_a_probe_in_the_contract_s_order(report: Report) -> None:
    table = CheckTable(report)
    assert table.findings == report.findings
    assert [row["probe"] for row in table.table.rows] == [finding.probe for finding in report.findings]
    tones = {finding.result: row["_tone"] for finding, row in zip(report.findings, table.table.rows, strict=True)}
    assert tones == {
        Result.KEPT: "good",
        Result.BROKEN: "bad",
        Result.DIFFERS: "warn",
        Result.NOT_TESTED: "neutral",
    }


def test_what_deviates_and_what_was_not_tested(report: Report) -> None:
    table = CheckTable(report)
    table.show.value = "what deviates"
    assert table.findings == report.deviations
    table.show.value = "what was not tested"
    assert {finding.promise for finding in table.findings} == {f"HDR-{number}" for number in range(1, 6)}
    assert "does not demand" in str(table.table.rows[0]["observed"])


@pytest.mark.parametrize(
    ("words", "probes"),
    [
        ("upd-7", ["missing", "missing-with-other-conditions"]),
        ("UPD-7 other", ["missing-with-other-conditions"]),
        ("nothing is like this", []),
    ],
)
def test_the_filter_looks_everywhere(report: Report, words: str, probes: list[str]) -> None:
    table = CheckTable(report)
    table.filter.value = words
    assert [finding.probe for finding in table.findings] == probes


def test_the_first_that_deviates_is_shown_and_then_what_is_clicked(report: Report) -> None:
    table = CheckTable(report)
    assert table.chosen is report["stale-previous"]
    table.filter.value = "PRF-1"
    click(table, 1)
    assert table.chosen is report["prefer-minimal"]
    assert "return=minimal: headers only, empty body." in table._evidence.value
    assert "Prefer: return=minimal" in table._evidence.value
    assert "Spine Core guide, Updating Resources; Spine Core guide, Creating Resources" in table._evidence.value
    table.select("race")
    assert table._evidence.value.count("<details") == len(report["race"].evidence)


def test_where_nothing_deviates_it_asks_for_a_click() -> None:
    with Endpoint.in_process() as spine:
        report = check(spine.client())
    table = CheckTable(report)
    assert table.chosen is None
    assert "Click a row" in table._evidence.value
    assert f"{report.counts[Result.KEPT]} kept" in table.children[0].value


def test_nothing_that_was_sent_is_html() -> None:
    evil = "<img src=x onerror=alert(1)>"
    response = Response(500, Headers({"ETag": evil}), evil.encode())
    request = Request("PUT", f"http://h/{evil}", Headers({"If-Match": evil}), evil.encode())
    exchange = Exchange("c", "update", "List", "1", request, response, datetime(2018, 5, 25, tzinfo=UTC))
    about = ("UPD-6", Level.MUST, "stale-previous")
    finding = Finding(*about, Result.BROKEN, evil, evil, evil, evil, evil, evil, evil, (exchange,))
    table = CheckTable(Report("http://h", datetime(2018, 5, 25, tzinfo=UTC), (finding,), notes=(evil,)))
    shown = table._evidence.value + table.children[0].value
    assert "<img" not in shown
    assert shown.count("&lt;img") > 8


def test_it_says_what_it_is(report: Report) -> None:
    assert repr(CheckTable(report)) == f"CheckTable({report!r})"
