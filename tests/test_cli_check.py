"""The command ``check``: exit codes, files, and what it says."""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from interrupted import Ended, interrupt
from junitparser import JUnitXml
from silent import silent
from tlskit import make, strict_endpoint

from workbench import Endpoint, Report
from workbench.cli import main


@pytest.fixture
def no_lock():
    with Endpoint.start(policy="OPTIONAL") as running:
        yield running


def test_the_embedded_endpoint(spine_now: Endpoint, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = [f"--{kind}={tmp_path / f'r.{kind}'}" for kind in ("json", "html")] + [f"--junit={tmp_path / 'r.xml'}"]
    assert main(["check", spine_now.base_url, *files]) == 0
    out, err = capsys.readouterr()
    assert " probes that could be tried agree with the contract." in out
    assert "\x1b" not in out
    assert err == ""
    assert Report.load(tmp_path / "r.json").ok
    assert JUnitXml.fromfile(str(tmp_path / "r.xml")).failures == 0
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_one_that_deviates(no_lock: Endpoint, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    last = tmp_path / "last.json"
    assert main(["check", no_lock.base_url, "--json", str(last)]) == 1
    assert "DIFFERS UPD-7 missing: expected 412" in capsys.readouterr().out
    assert main(["check", no_lock.base_url, "--against", str(last)]) == 1
    assert "Since the last report: nothing has changed." in capsys.readouterr().out
    found = json.loads(last.read_text(encoding="utf-8"))
    for finding in found["findings"]:
        if finding["probe"] == "missing":
            finding |= {"result": "kept", "answer": "as promised"}
    last.write_text(json.dumps(found), encoding="utf-8")
    assert main(["check", no_lock.base_url, "--against", str(last)]) == 1
    assert "UPD-7 missing: kept, now differs (200)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["http://127.0.0.1:1/STU3"], "Nothing listens at 127.0.0.1:1"),
        (["nonsense"], "There is no profile 'nonsense'"),
        (["http://not a host/STU3"], "is not a base URL"),
        (["http://127.0.0.1:1/STU3", "--profile", "oracle"], "There is no profile 'oracle'"),
        (["http://127.0.0.1:1/STU3", "--resource", "Flag"], "does not name a resource"),
        (["http://127.0.0.1:1/STU3", "--header", "Bearer"], "A header is written"),
        (["http://127.0.0.1:1/STU3", "--header", "X: $NO_SUCH_NAME"], "X needs NO_SUCH_NAME, which is not set"),
        (["http://127.0.0.1:1/STU3", "--ca", "no.pem"], "There is no certificate file no.pem"),
        (["https://127.0.0.1:1/STU3", "--key", "mine.key"], "--key needs its certificate"),
        (["http://127.0.0.1:1/STU3", "--against", "no.json"], "no.json cannot be read"),
        (["http://127.0.0.1:1/STU3", "--html", "no/such/r.html"], "There is no folder no/such"),
        (["http://127.0.0.1:1/STU3", "--side-by-side", "0"], "At least one probe"),
    ],
)
def test_what_cannot_be_run_is_one_sentence_and_two(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *arguments]) == 2
    out, err = capsys.readouterr()
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""


def test_a_header_s_value_is_taken_from_the_environment(
    spine_now: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_TOKEN", "Bearer swordfish")
    report = tmp_path / "r.json"
    assert main(["check", spine_now.base_url, "--header", "Authorization: $MY_TOKEN", "--json", str(report)]) == 0
    assert "swordfish" not in report.read_text(encoding="utf-8")
    assert '"Authorization"' in report.read_text(encoding="utf-8")


def test_a_client_certificate_and_its_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    certificates = make(tmp_path)
    cert, key = certificates.client
    with strict_endpoint(certificates, strict=False) as base_url:
        assert main(["check", base_url, "--ca", certificates.ca, "--cert", cert, "--key", key]) == 0
        assert " probes that could be tried agree" in capsys.readouterr().out
        assert main(["check", base_url]) == 2
    out, err = capsys.readouterr()
    assert "--ca on the command line" in out + err


def test_the_stories_own_flag_with_consent(capsys: pytest.CaptureFixture[str]) -> None:
    flag = "Flag/3f6a1c9e-7b24-4c0d-9d15-2e8b60f7a4c1"
    with Endpoint.start() as running:
        assert main(["check", running.base_url, "--resource", flag, "--consent"]) == 0
    assert f"Note: {flag} was changed and has its content back" in capsys.readouterr().out


@dataclass(frozen=True)
class Interrupted(Ended):
    """A check that Ctrl-C ended, and its report."""

    report: Report


def interrupted(base_url: str, folder: Path, when: Callable[[], object]) -> Interrupted:
    """Run the command, press Ctrl-C when ``when`` returns, and read its files."""
    files = [f"--json={folder / 'r.json'}", f"--html={folder / 'r.html'}", f"--junit={folder / 'r.xml'}"]
    ended = interrupt("check", base_url, *files, when=when)
    assert "The check was ended early" in ended.output
    report = Report.load(folder / "r.json")
    assert report.interrupted
    assert (folder / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    cases = [case for suite in JUnitXml.fromfile(str(folder / "r.xml")) for case in suite]
    assert len(cases) == len(report.findings)
    return Interrupted(**vars(ended), report=report)


AT_ONCE = 8
"""How many probes run side by side."""


def until_there_are(lists: int, running: Endpoint) -> Callable[[], None]:
    """Wait until the check has made so many; one is there before."""
    client = running.client("looking", journal=None)

    def wait() -> None:
        while client.search("List").resource["total"] < 1 + lists:
            pass

    return wait


def test_ctrl_c_deletes_what_was_made_and_reports(tmp_path: Path) -> None:
    with Endpoint.start(faults=["latency:update:seconds=0.1", "latency:read:seconds=0.1"]) as running:
        ended = interrupted(running.base_url, tmp_path, until_there_are(2, running))
        assert (ended.code, ended.report.notes) == (130, ())
        assert running.client("looking", journal=None).search("List").resource["total"] == 1


def test_ctrl_c_ends_it_where_nothing_is_ever_answered(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked: list[socket.socket] = []
        ended = interrupted(
            f"http://127.0.0.1:{silent.getsockname()[1]}/STU3", tmp_path, lambda: asked.append(silent.accept()[0])
        )
        asked[0].close()
    assert ended.code == 130
    assert not any(finding.tested for finding in ended.report.findings)


def test_ctrl_c_names_what_was_left_undone_where_no_write_is_answered(spine_now: Endpoint, tmp_path: Path) -> None:
    def lists() -> set[str]:
        found = spine_now.client("looking", journal=None).search("List", _count=1000).resource["entry"]
        return {f"List/{each['resource']['id']}" for each in found}

    before = lists()
    with silent(spine_now) as endpoint:
        ended = interrupted(endpoint.base_url, tmp_path, lambda: endpoint.wait_for(AT_ONCE))
    notes = ended.report.notes
    left = {note.split()[0] for note in notes if "was made by this check and could not be deleted" in note}
    assert left == lists() - before
    unanswered = [note for note in notes if note.startswith("PUT List/") and "was under way" in note]
    assert unanswered
    assert unanswered[0] in ended.output
    assert ended.code == 130
