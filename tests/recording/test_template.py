"""The template of a regression test: it replays, runs live, can be recorded anew, and fails where it should."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workbench import Endpoint

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "notebooks" / "templates" / "my-regression-test.ipynb"
CASSETTE = TEMPLATE.with_suffix(".json")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A copy of the template with its cassette, as a user has one."""
    for each in (TEMPLATE, CASSETTE):
        shutil.copy(each, tmp_path)
    return tmp_path / TEMPLATE.name


def nbval(notebook: Path, mode: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "WORKBENCH_CASSETTE"}
    environment |= {"PYTHONPATH": str(ROOT)} | ({"WORKBENCH_CASSETTE": mode} if mode else {})
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "-p",
        "no:cacheprovider",
        f"--rootdir={notebook.parent}",
        str(notebook),
    ]
    return subprocess.run(command, cwd=notebook.parent, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("mode", ["replay", "live"])
def test_it_passes_offline_and_live(mine: Path, mode: str | None) -> None:
    done = nbval(mine, mode)
    assert (done.returncode, "9 passed" in done.stdout) == (0, True), done.stdout


def test_recorded_anew_it_is_the_same_to_the_byte(mine: Path) -> None:
    cassette = mine.with_suffix(".json")
    cassette.unlink()
    done = nbval(mine, "record")
    assert done.returncode == 0, done.stdout
    assert cassette.read_bytes() == CASSETTE.read_bytes()


def test_a_replay_without_its_cassette_says_how_to_make_one(mine: Path) -> None:
    mine.with_suffix(".json").unlink()
    done = nbval(mine, None)
    assert done.returncode == 1
    assert "There is no cassette my-regression-test.json; record one by WORKBENCH_CASSETTE=record." in done.stdout


def test_an_endpoint_that_answers_otherwise_fails_with_the_table(mine: Path) -> None:
    text = mine.read_text(encoding="utf-8")
    assert text.count("wb.Endpoint.start(),") == 1
    mine.write_text(text.replace("wb.Endpoint.start(),", "wb.Endpoint.start(policy='R4'),"), encoding="utf-8")
    done = nbval(mine, "live")
    assert done.returncode == 1
    assert "differences:" in done.stdout
    assert "412" in done.stdout
    assert nbval(mine, "replay").returncode == 0


@pytest.mark.parametrize("broken", [None, "read.status, str(read.etag)"], ids=["it passes", "a cell fails"])
def test_its_list_is_gone_from_the_endpoint_however_the_notebook_ends(
    mine: Path, spine: Endpoint, broken: str | None
) -> None:
    """Run it as ``nbconvert`` does: the first cell that fails ends the run."""
    before = spine.client().search("List").resource["total"]
    text = mine.read_text(encoding="utf-8").replace("wb.Endpoint.start()", repr(spine.base_url).replace("'", r"\""))
    mine.write_text(text.replace(broken, f"1 / 0, {broken}") if broken else text, encoding="utf-8")
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--execute", "--to=notebook", "--output=ran", mine.name]
    environment = os.environ | {"WORKBENCH_CASSETTE": "live", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=mine.parent, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0, "ZeroDivisionError" in done.stderr) == (not broken, bool(broken)), done.stderr
    assert spine.client().search("List").resource["total"] == before
