"""The command ``check``: exit codes, files, and what it says."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from junitparser import JUnitXml
from tlskit import make, strict_endpoint

from workbench import Endpoint, Report
from workbench.cli import main


@pytest.fixture
def no_lock():
    with Endpoint.start(policy="OPTIONAL") as running:
        yield running


def test_the_embedded_endpoint(spine: Endpoint, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = [f"--{kind}={tmp_path / f'r.{kind}'}" for kind in ("json", "html")] + [f"--junit={tmp_path / 'r.xml'}"]
    assert main(["check", spine.base_url, *files]) == 0
    out, err = capsys.readouterr()
    assert "All 132 probes that could be tried agree with the contract." in out
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
        (["nonsense"], "is not a base URL"),
        (["http://127.0.0.1:1/STU3", "--profile", "oracle"], "There is no profile 'oracle'"),
        (["http://127.0.0.1:1/STU3", "--resource", "Flag"], "does not name a resource"),
        (["http://127.0.0.1:1/STU3", "--header", "Bearer"], "A header is written"),
        (["http://127.0.0.1:1/STU3", "--header", "X: $NO_SUCH_NAME"], "There is no NO_SUCH_NAME in the environment"),
        (["http://127.0.0.1:1/STU3", "--ca", "no.pem"], "There is no certificate file no.pem"),
        (["https://127.0.0.1:1/STU3", "--key", "mine.key"], "A key alone identifies nobody"),
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
    spine: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_TOKEN", "Bearer swordfish")
    report = tmp_path / "r.json"
    assert main(["check", spine.base_url, "--header", "Authorization: $MY_TOKEN", "--json", str(report)]) == 0
    assert "swordfish" not in report.read_text(encoding="utf-8")
    assert '"Authorization"' in report.read_text(encoding="utf-8")


def test_a_client_certificate_and_its_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    certificates = make(tmp_path)
    cert, key = certificates.client
    with strict_endpoint(certificates, strict=False) as base_url:
        assert main(["check", base_url, "--ca", certificates.ca, "--cert", cert, "--key", key]) == 0
        assert "All 132 probes that could be tried agree" in capsys.readouterr().out
        assert main(["check", base_url]) == 2
    out, err = capsys.readouterr()
    assert "--ca on the command line" in out + err


def test_the_stories_own_flag_with_consent(capsys: pytest.CaptureFixture[str]) -> None:
    flag = "Flag/3f6a1c9e-7b24-4c0d-9d15-2e8b60f7a4c1"
    with Endpoint.start() as running:
        assert main(["check", running.base_url, "--resource", flag, "--consent"]) == 0
    assert f"Note: {flag} was changed and has its content back" in capsys.readouterr().out


def test_ctrl_c_leaves_a_report_and_two(tmp_path: Path) -> None:
    """The endpoint is slow, so that the check is still under way; the signal follows the first line of its log."""
    with Endpoint.start(faults=["latency:seconds=0.3"]) as running:
        command = [sys.executable, "-m", "workbench", "check", running.base_url, f"--json={tmp_path / 'r.json'}"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_as_here()
        ) as process:
            _wait_until_something_was_created(running)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert process.returncode in (1, 2), err
        assert "The check was ended early" in out
        report = Report.load(tmp_path / "r.json")
        assert report.interrupted
        assert report.notes == ()
        left = running.client("looking", journal=None).search("List").resource
        assert left["total"] == 1


def _as_here() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def _wait_until_something_was_created(running: Endpoint) -> None:
    client = running.client("looking", journal=None)
    while client.search("List").resource["total"] < 3:
        pass


def test_a_profile_in_the_place_of_an_address(
    spine: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(f'[here]\nbase_url = "{spine.base_url}"\n', encoding="utf-8")
    words = ["check", "--connection", "here", "--profiles", str(profiles)]
    assert main([*words, "--json", str(tmp_path / "report.json")]) == 0
    assert (tmp_path / "report.json").exists()
    assert main([*words, spine.base_url]) == 2
    assert "A profile says all about its connection" in capsys.readouterr().err
    assert main(["check"]) == 2
    assert "Which endpoint?" in capsys.readouterr().err
