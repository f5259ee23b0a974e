"""A report as a table, as files, and beside an earlier one."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from junitparser import Failure, JUnitXml, Skipped

from workbench import BadInput, Endpoint, Exchange, Finding, Report, Result, check
from workbench.conformance.contract import BY_ID, PROMISES, SOURCES, Level
from workbench.conformance.probes import PROBES
from workbench.conformance.report import COLUMNS, console_for, print_report
from workbench.exchange.message import Headers, Request, Response

EVIL = "<script>alert(1)</script>\"'&\x1b[31m\x00\u202e"
BASE = "http://fhir.example/STU3"


@pytest.fixture(scope="module")
def faithful() -> Iterator[Report]:
    with Endpoint.in_process() as spine:
        yield check(spine.client())


@pytest.fixture(scope="module")
def r4() -> Iterator[Report]:
    with Endpoint.in_process(policy="R4") as spine:
        yield check(spine.client())


def evil() -> Report:
    """A report in which every text is what an attacker would have a server send."""
    headers = Headers({"Content-Type": EVIL.replace("\x00", ""), "Set-Cookie": "***"})
    response = Response(500, headers, EVIL.encode())
    request = Request("PUT", f"{BASE}/List/1", Headers({"If-Match": EVIL}), EVIL.encode())
    exchange = Exchange("check", "update", "List", "1", request, response, datetime(2018, 5, 25, tzinfo=UTC), 0.1)
    broken = Finding(
        "UPD-6", Level.MUST, "stale-previous", Result.BROKEN, "409", EVIL, "500", EVIL, evidence=(exchange,)
    )
    untested = Finding("UPD-7", Level.MUST, "missing", Result.NOT_TESTED, "412", why=EVIL)
    return Report(BASE, datetime(2018, 5, 25, tzinfo=UTC), (broken, untested), notes=(EVIL,))


# --- the report itself ---


def test_the_frame_has_a_row_for_each_probe(r4: Report) -> None:
    frame = r4.to_frame()
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == len(PROBES)
    row = frame[frame["probe"] == "missing"].iloc[0]
    assert (row["promise"], row["level"], row["result"], row["dialect"]) == (
        "UPD-7",
        "MUST",
        "differs",
        "the R4 specification",
    )


def test_counts_and_lookups(r4: Report) -> None:
    assert sum(r4.counts.values()) == len(PROBES)
    assert r4.counts[Result.BROKEN] + r4.counts[Result.DIFFERS] == len(r4.deviations)
    assert [finding.probe for finding in r4.of("UPD-7")] == ["missing", "missing-with-other-conditions"]
    with pytest.raises(KeyError):
        r4["no-such-probe"]
    assert re.fullmatch(r"<Report: \d+ kept, \d+ broken, \d+ differs, 5 not tested>", repr(r4))


def test_exit_codes(faithful: Report, r4: Report) -> None:
    assert (faithful.exit_code, r4.exit_code) == (0, 1)
    untested = tuple(replace(finding, result=Result.NOT_TESTED) for finding in faithful.findings)
    assert replace(faithful, findings=untested).exit_code == 2
    assert replace(faithful, interrupted=True).exit_code == 130
    assert replace(faithful, findings=()).exit_code == 2


def test_every_source_of_a_promise_has_a_description() -> None:
    assert {source for promise in PROMISES for source in promise.sources} <= SOURCES.keys()


# --- JSON, and what changed ---


def test_json_reads_back_the_same(r4: Report, tmp_path: Path) -> None:
    r4.save(tmp_path / "r.json")
    assert Report.load(tmp_path / "r.json") == r4
    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert found["exit_code"] == 1
    assert found["counts"]["kept"] == r4.counts[Result.KEPT]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', '{"format": 1, "findings": [1]}', "<html>"])
def test_a_file_that_is_no_report_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="is not a report that"):
        Report.load(tmp_path / "r.json")


def test_a_report_of_a_newer_version_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(BadInput, match="newer spine-workbench"):
        Report.load(tmp_path / "r.json")
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        Report.load(tmp_path / "none.json")


def test_changes_since_an_earlier_report(faithful: Report, r4: Report) -> None:
    assert faithful.changes_since(faithful) == ()
    changed = r4.changes_since(faithful)
    assert {change.after.probe for change in changed if change.after} == {finding.probe for finding in r4.deviations}
    assert "UPD-6 stale-previous: kept, now differs (412)" in map(str, changed)
    back = faithful.changes_since(r4)
    assert "UPD-6 stale-previous: differs (412), now kept" in map(str, back)


def test_a_probe_that_is_new_or_gone_is_a_change(faithful: Report) -> None:
    without = replace(faithful, findings=faithful.findings[1:])
    assert list(map(str, faithful.changes_since(without))) == ["UPD-1 update: not probed, now kept"]
    assert list(map(str, without.changes_since(faithful))) == ["UPD-1 update: kept, now not probed"]


# --- JUnit ---


def junit(report: Report, path: Path) -> JUnitXml:
    report.save(path)
    return JUnitXml.fromfile(str(path))


def test_a_junit_parser_reads_it(r4: Report, tmp_path: Path) -> None:
    found = junit(r4, tmp_path / "r.xml")
    assert (found.tests, found.errors) == (len(PROBES), 0)
    assert found.failures == len(r4.deviations)
    assert found.skipped == r4.counts[Result.NOT_TESTED]
    cases = {case.name: case for suite in found for case in suite}
    assert cases.keys() == {probe.name for probe in PROBES}
    (failure,) = cases["missing"].result
    assert isinstance(failure, Failure)
    assert failure.type == "differs"
    assert "expected 412" in failure.message
    assert "PUT [base]/List/" in failure.text
    (skipped,) = cases["trace-id-demanded"].result
    assert isinstance(skipped, Skipped)
    assert cases["update"].result == []
    assert cases["update"].classname == "UPD.UPD-1"


def test_junit_failures_are_the_answers_that_the_profile_does_not_predict(tmp_path: Path) -> None:
    with Endpoint.in_process(policy="R4") as spine:
        found = junit(check(spine.client(), profile="r4"), tmp_path / "r.xml")
    assert found.failures == 1


def test_characters_that_xml_cannot_contain_are_replaced(tmp_path: Path) -> None:
    found = junit(evil(), tmp_path / "r.xml")
    (failure,) = next(case for suite in found for case in suite if case.name == "stale-previous").result
    assert "<script>alert(1)</script>" in failure.message
    assert "\x00" not in failure.message


# --- HTML ---


class Outline(HTMLParser):
    """What a page is made of: its tags, where it would load things from, its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "srcset", "action", "data", "style")]
        self.loads += [value or "" for name, value in attrs if name == "href" and not (value or "").startswith("#")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_every_promise_its_source_and_the_evidence(r4: Report, tmp_path: Path) -> None:
    r4.save(tmp_path / "r.html")
    page = Outline((tmp_path / "r.html").read_text(encoding="utf-8"))
    for promise in PROMISES:
        assert promise.text in page.text
        assert f"Source: {'; '.join(SOURCES[source] for source in promise.sources)}" in page.text
    for finding in r4.findings:
        assert finding.expected in page.text
        assert finding.tries in page.text
    assert page.text.count("HTTP/1.1 412 Precondition Failed") > 5
    assert "answers 412, as the R4 specification does" in page.text


def test_the_page_loads_nothing(r4: Report, tmp_path: Path) -> None:
    r4.save(tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Outline(text)
    assert page.loads == []
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert "url(" not in text
    assert "@import" not in text


def test_the_page_escapes_a_script_that_a_server_sent(tmp_path: Path) -> None:
    evil().save(tmp_path / "r.html")
    page = Outline((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert page.tags.count("script") == 1
    assert "<script>alert(1)</script>" in page.text


def test_an_unknown_ending_and_a_missing_folder_are_refused(faithful: Report, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"end its name in \.json, \.html, \.xml"):
        faithful.save(tmp_path / "report.pdf")
    with pytest.raises(BadInput, match="cannot be written: No such file"):
        faithful.save(tmp_path / "none" / "report.html")


# --- the terminal ---


class Terminal(StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(report: Report, file: StringIO | None = None, **options: object) -> str:
    written = file or StringIO()
    print_report(report, console_for(written), **options)  # type: ignore[arg-type]
    return written.getvalue()


def test_the_terminal_shows_a_row_for_each_promise_and_a_line_for_each_deviation(r4: Report) -> None:
    lines = shown(r4).splitlines()
    for promise in PROMISES:
        assert sum(line.startswith(f"{promise.id} ") for line in lines) == 1
    for finding in r4.deviations:
        (line,) = [
            line for line in lines if line.startswith(finding.result.value.upper()) and f" {finding.probe}:" in line
        ]
        assert finding.observed in line
    assert "UPD-7    MUST    differs       0/2  No If-Match answers 412; nothing changes." in map(str.rstrip, lines)
    tried = sum(finding.tested for finding in r4.findings)
    assert lines[-1].endswith(
        f"{len(r4.deviations)} of the {tried} probes that could be tried deviate from the contract."
    )


def test_colours_are_for_terminals_without_no_color(r4: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" not in shown(r4)
    assert "\x1b[33m" in shown(r4, Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[33m" not in shown(r4, Terminal())


def test_control_characters_of_a_server_do_not_reach_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(evil())
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "\u202e" not in text
    assert "<script>alert(1)</script>" in text


def test_the_terminal_shows_changes_since_the_last_report(faithful: Report, r4: Report) -> None:
    assert "Since the last report: nothing has changed." in shown(faithful, since=())
    text = shown(r4, since=r4.changes_since(faithful))
    assert "  UPD-6 stale-previous: kept, now differs (412)" in text.splitlines()


def test_the_row_of_a_promise_shows_its_worst_result(faithful: Report) -> None:
    worse = [replace(f, result=Result.BROKEN) if f.probe == "stale-foreign" else f for f in faithful.findings]
    text = shown(replace(faithful, findings=tuple(worse)))
    probes = len(faithful.of("UPD-6"))
    assert re.search(rf"UPD-6 +MUST +broken +{probes - 1}/{probes}", text)
    assert BY_ID["UPD-6"].text in text
