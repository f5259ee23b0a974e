"""``spine-workbench race``: what it prints, what it writes, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from interrupted import interrupt
from silent import silent

from workbench import Endpoint, Journal, Race, Verdict, race
from workbench.cli import main, race_exit_code
from workbench.history.check import Proof


def test_a_race_at_an_endpoint_that_runs(spine: Endpoint, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = ["--journal", str(tmp_path / "race.jsonl"), "--charts", str(tmp_path / "charts")]
    assert main(["race", spine.base_url, "--clients", "2", "--updates", "3", "--strategy", "merge", *files]) == 0
    printed = capsys.readouterr().out
    assert "6 updates of 2 clients (merge and retry): 6 accepted" in printed
    assert "whole update" in printed
    journal = Journal.load(tmp_path / "race.jsonl")
    assert sum(each.interaction == "update" and each.status == 200 for each in journal) == 6
    assert {path.name for path in (tmp_path / "charts").iterdir()} == {"tries.svg", "latency.svg", "chain.svg"}


def test_without_a_url_it_starts_an_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["race", "--clients", "1", "--updates", "2", "--policy", "UNPROTECTED", "--strategy", "blind"]
    assert main(arguments) == 0
    assert "2 accepted" in capsys.readouterr().out


def test_a_race_at_another_host_needs_allow_writes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["race", "http://192.0.2.1/STU3"]) == 2
    err = capsys.readouterr().err
    assert "192.0.2.1 is not this machine" in err
    assert "--allow-writes" in err


@pytest.mark.parametrize("arguments", [["--clients", "0"], ["--policy", "NONE"], ["ftp://host/"]], ids=" ".join)
def test_what_cannot_be_raced_is_one_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["race", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_exit_code_of_a_race() -> None:
    with Endpoint.in_process() as endpoint:
        done: Race = race(endpoint, clients=1, updates=2, progress=False)
    before = next(each for each in done.journal if each.interaction == "read")
    emptied = replace(done, final=dict.fromkeys(done.final, before))
    assert (race_exit_code(done), race_exit_code(emptied)) == (0, 1)
    assert race_exit_code(replace(done, updates=3)) == 130
    undecided = replace(done)
    vars(undecided)["proof"] = Proof(2, 1, (), {}, (), undecided=("List/1",))
    assert race_exit_code(undecided) == 1
    assert undecided.row["proof"] == "undecided"


@pytest.mark.parametrize("spread", [[], ["--processes", "2"]], ids=["threads", "processes"])
def test_ctrl_c_ends_it_at_once_and_keeps_what_was_sent(spine: Endpoint, tmp_path: Path, spread: list[str]) -> None:
    """No update is answered. Each is recorded as unanswered, so the proof still holds."""
    kept = tmp_path / "race.jsonl"
    with silent(spine) as endpoint:
        arguments = ["race", endpoint.base_url, "--clients=3", f"--journal={kept}", *spread]
        ended = interrupt(*arguments, when=lambda: endpoint.wait_for(3))
    assert ended.code == 130
    assert "The race was stopped early." in ended.output
    assert "Consistent" in ended.output
    updates = [each for each in Journal.load(kept) if each.interaction == "update"]
    assert [each.verdict for each in updates] == [Verdict.UNKNOWN] * 3
