"""How connect, check and race find an endpoint: a base URL or a profile, a token, certificates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tlskit import make, strict_endpoint

from workbench import Endpoint, Journal
from workbench.cli import main

COMMANDS = {"connect": [], "check": [], "race": ["--clients=1", "--updates=1"]}
each_command = pytest.mark.parametrize("command", COMMANDS)
not_check = pytest.mark.parametrize("command", ["connect", "race"])  # tests/test_cli_check.py has check


def run(command: str, *arguments: str) -> int:
    return main([command, *arguments, *COMMANDS[command]])


@pytest.fixture
def profiles(spine_now: Endpoint, tmp_path: Path) -> str:
    path = tmp_path / "profiles.toml"
    path.write_text(f'[here]\nbase_url = "{spine_now.base_url}"\n', encoding="utf-8")
    return str(path)


@each_command
def test_the_name_of_a_profile_in_place_of_a_base_url(profiles: str, command: str) -> None:
    assert run(command, "here", "--profiles", profiles) == 0


@each_command
def test_a_profile_by_the_option_connection(profiles: str, command: str) -> None:
    assert run(command, "--connection", "here", "--profiles", profiles) == 0


@not_check
def test_a_header_takes_its_value_from_the_environment(
    spine_now: Endpoint, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    header = ["--header", "Authorization: $A_TOKEN"]
    monkeypatch.setenv("A_TOKEN", "Bearer swordfish")
    assert run(command, spine_now.base_url, *header) == 0
    monkeypatch.delenv("A_TOKEN")
    assert run(command, spine_now.base_url, *header) == 2


def test_a_race_sends_the_header_and_records_no_token(
    spine_now: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("A_TOKEN", "Bearer swordfish")
    kept = tmp_path / "race.jsonl"
    header = ["--header", "Authorization: $A_TOKEN"]
    assert run("race", spine_now.base_url, *header, "--journal", str(kept)) == 0
    assert "swordfish" not in kept.read_text(encoding="utf-8")
    exchanges = list(Journal.load(kept))
    assert exchanges
    assert all(exchange.request.headers.get("Authorization") for exchange in exchanges)


@dataclass(frozen=True)
class Guarded:
    """An endpoint that requires a client certificate, and the options that present one."""

    base_url: str
    options: list[str]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    certificates = make(tmp_path_factory.mktemp("certificates"))
    cert, key = certificates.client
    with strict_endpoint(certificates, strict=False) as base_url:
        yield Guarded(base_url, ["--ca", certificates.ca, "--cert", cert, "--key", key])


@not_check
def test_a_client_certificate_and_its_key(guarded: Guarded, command: str) -> None:
    assert run(command, guarded.base_url, *guarded.options) == 0
    assert run(command, guarded.base_url) != 0


@each_command
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--connection", "here", "http://127.0.0.1:1/STU3"], "give one of them"),
        (["--connection", "http://127.0.0.1:1/STU3"], "--connection takes the name of a profile"),
        (["--connection", "here", "--ca", "a.pem", "--allow-writes"], "Leave out --ca, --allow-writes, or give a base"),
        (["here", "--header", "A: b"], "The profile 'here' holds all connection settings. Leave out --header"),
        (["absent"], "There is no profile 'absent'"),
        (["http://127.0.0.1:1/STU3", "--key", "mine.key"], "--key needs its certificate"),
        (["http://127.0.0.1:1/STU3", "--header", "Bearer"], "A header is written 'Name: value'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_contradict_each_other(
    profiles: str, command: str, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, *arguments, "--profiles", profiles) == 2
    out, err = capsys.readouterr()
    assert sentence in err
    assert (out, err.count("\n")) == ("", 1)


@pytest.mark.parametrize("command", ["connect", "check"])
def test_without_an_endpoint_it_asks_for_one(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 2
    assert "Which endpoint?" in capsys.readouterr().err
