"""The command line: its help, exit codes, the one sentence on standard error, and what ``lab`` passes on.

``tests/endpoint`` tests that ``serve`` serves.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from loopback import free_port

from workbench import Endpoint
from workbench.cli import _parser, main


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of every command."""
    (found,) = (action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    parsers: dict[str, argparse.ArgumentParser] = found.choices
    return parsers


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """``serve`` takes SIGTERM for itself, ``lab`` takes SIGHUP too."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command run here."""
    try:
        code = main(arguments)
    except SystemExit as end:  # argparse ends so
        code = end.code if isinstance(end.code, int) else 1
    out, err = capsys.readouterr()
    return code, out, err


def test_there_are_commands_to_test() -> None:
    assert {"serve", "lab"} <= commands().keys()


@pytest.mark.parametrize("command", commands())
def test_help_describes_every_option_and_holds_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, err = said(capsys, command, "--help")
    assert (code, err) == (0, "")
    assert f"Example: spine-workbench {command} " in " ".join(out.split())
    assert commands()[command].description
    undescribed = [action.dest for action in commands()[command]._actions if not action.help]
    assert undescribed == []


@pytest.mark.parametrize("command", commands())
def test_the_example_in_the_help_can_be_parsed(command: str) -> None:
    examples = [line for line in (commands()[command].epilog or "").splitlines() if line.startswith("Example: ")]
    assert examples
    for example in examples:
        assert _parser().parse_args(shlex.split(example.removeprefix("Example: spine-workbench "))).run


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version") == (0, f"spine-workbench {metadata.version('spine-workbench')}\n", "")


def test_bash_completes_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    code, script, _ = said(capsys, "completion", "bash")
    assert code == 0
    complete = "COMP_WORDS=(spine-workbench {}); COMP_CWORD=1; _shtab_spine_workbench; echo ${{COMPREPLY[@]}}"
    asked = complete.format("ch") + "\n" + complete.replace("COMP_CWORD=1", "COMP_CWORD=2").format("race --str")
    done = subprocess.run(["bash"], input=f"{script}\n{asked}", capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["check", "--strategy"]


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_a_script_too(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    code, script, _ = said(capsys, "completion", shell)
    assert (code, "--strategy" in script) == (0, True)


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "--help")
    assert code == 0
    for command in commands():
        assert re.search(rf"^\s+{command}\s+\S", out, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments", [[], ["frobnicate"], ["serve", "--frobnicate"], ["serve", "--port", "eighty"]], ids=" ".join
)
def test_what_it_does_not_know_is_exit_code_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: spine-workbench")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--policy", "NOPE"], "There is no policy 'NOPE'; there are NHS_GATEWAY, OPTIONAL, R4, SPINE, UNPROTECTED."),
        (["--clock", "yesterday"], "The clock cannot start at 'yesterday'"),
        (["--clock", "2018-05-25T16:10:00"], "has no time zone"),
        (["--port", "{busy}"], "Port {busy} of 127.0.0.1 cannot be used"),
        (["--port", "99999"], "Port 99999 of 127.0.0.1 cannot be used"),
        (["--host", "nosuch.invalid"], "nosuch.invalid is open to other machines: give --tls-cert"),
        (["--host", "0.0.0.0"], "or --insecure if that is meant."),
        (["--host", "nosuch.invalid", "--insecure"], "of nosuch.invalid cannot be used"),
        (["--db", "{folder}/absent/spine.db"], "The database {folder}/absent/spine.db cannot be used"),
        (["--db", "{folder}/text.db"], "The database {folder}/text.db cannot be used"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_one_sentence_on_standard_error(
    capsys: pytest.CaptureFixture[str], busy_port: int, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "text.db").write_text("This is no database. " * 100)
    places = {"busy": busy_port, "folder": tmp_path}
    code, out, err = said(capsys, "serve", *(word.format(**places) for word in arguments))
    assert (code, out) == (2, "")
    assert words.format(**places) in err
    assert re.fullmatch(r"spine-workbench: [^\n]+\.\n", err)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "handed_on"),
    [
        ([], "notebooks/00-start-here.ipynb {}/00-start-here.ipynb"),
        (["my own.ipynb"], "my own.ipynb {}/my%20own.ipynb"),
        (["my.ipynb", "--", "--no-browser", "--port=1"], "my.ipynb {}/my.ipynb --no-browser --port=1"),
        (["--", "--no-browser"], "notebooks/00-start-here.ipynb {}/00-start-here.ipynb --no-browser"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_lab_hands_on_the_notebook_and_the_options(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], handed_on: str
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("echo"))  # shows what would be run
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    assert main(["lab", *arguments]) == 0
    assert capfd.readouterr().out == f"-m jupyterlab {handed_on}\n".format("--LabApp.default_url=/lab/tree")


def test_lab_starts_for_root_too(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("echo"))
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert main(["lab"]) == 0
    assert "--allow-root" in capfd.readouterr().out


def test_labs_exit_code_is_jupyters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    assert main(["lab"]) == 1


@pytest.mark.parametrize(("way", "code"), [(signal.SIGHUP, 0), (signal.SIGINT, 130)])
def test_what_ends_lab_ends_jupyterlab(tmp_path: Path, way: signal.Signals, code: int) -> None:
    port = free_port()
    (tmp_path / "nothing.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    command = [sys.executable, "-m", "workbench", "lab", str(tmp_path / "nothing.ipynb")]
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    private = {name: str(tmp_path / name.lower()) for name in names} | {"PYTHONPATH": str(Path(__file__).parents[1])}
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    with (tmp_path / "log").open("wb") as log:
        lab = subprocess.Popen(
            [*command, "--", *options], env=os.environ | private, stdout=log, stderr=log, start_new_session=True
        )
    until = time.monotonic() + 90
    while not listens(port):
        assert lab.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < until, (tmp_path / "log").read_text()
    if way is signal.SIGINT:
        os.killpg(lab.pid, way)  # a terminal signals the whole group
    else:
        lab.send_signal(way)
    assert lab.wait(30) == code
    assert not listens(port)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("option", ["--host", "--port"])
def test_the_module_runs_as_the_command_does(option: str) -> None:
    words = {"--host": "nosuch.invalid", "--port": "99999"}[option]
    command = [sys.executable, "-m", "workbench", "serve", option, words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"spine-workbench: [^\n]+\.\n", done.stderr)


def test_connect_says_whether_it_works(spine: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(f'[here]\nbase_url = "{spine.base_url}"\n[gone]\nbase_url = "http://nosuch.invalid/STU3"\n')
    assert main(["connect", "here", "--profiles", str(profiles)]) == 0
    assert "It works" in capsys.readouterr().out
    assert main(["connect", "gone", "--profiles", str(profiles)]) == 1
    assert capsys.readouterr().out.startswith("Failed at: DNS. ")
    assert main(["connect", "absent", "--profiles", str(profiles)]) == 2
    assert "there is: here, gone" in capsys.readouterr().err
