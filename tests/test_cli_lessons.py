"""``lab`` and ``app`` outside a checkout: they copy the lessons to a folder, and open them there."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from workbench.cli import copy_lessons, main

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
FIRST = "00-start-here.ipynb"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty folder, with `echo` in place of Python: it prints the command that would run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", shutil.which("echo"))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("arguments", "opened"),
    [
        ([], "spine-workbench-lessons/00-start-here.ipynb"),
        (["--lessons", "mine/here"], "mine/here/00-start-here.ipynb"),
        (["02-two-practitioners.ipynb", "--lessons", "mine"], "mine/02-two-practitioners.ipynb"),
    ],
    ids=" ".join,
)
def test_lab_copies_the_lessons_and_opens_one(
    arguments: list[str], opened: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", *arguments]) == 0
    out, err = capfd.readouterr()
    assert f"-m jupyterlab {opened} " in out
    assert err == ""
    copied = Path(opened).parent
    assert (copied / FIRST).read_bytes() == (NOTEBOOKS / FIRST).read_bytes()
    assert {path.name for path in (copied / "templates").iterdir()} == {
        "my-regression-test.ipynb",
        "my-regression-test.json",
    }


def test_a_notebook_that_is_named_is_opened_as_it_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "my.ipynb"]) == 0
    assert "-m jupyterlab my.ipynb " in capfd.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_changed_lesson_is_kept_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy_lessons(tmp_path)
    assert capsys.readouterr().err == ""
    (tmp_path / FIRST).write_text("mine", encoding="utf-8")
    (tmp_path / "app.ipynb").unlink()
    copy_lessons(tmp_path)
    assert (tmp_path / FIRST).read_text(encoding="utf-8") == "mine"
    assert (tmp_path / "app.ipynb").is_file()
    assert f"Kept as they are in {tmp_path}: {FIRST}. Delete a file" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["lab", "--lessons", "file"]) == 2
    err = capsys.readouterr().err
    assert "The lessons cannot be copied to file:" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("command", "package"), [("lab", "jupyterlab"), ("app", "voila")])
def test_without_the_extra_it_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, package: str
) -> None:
    def absent(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    assert main([command]) == 2
    sentence = f"This needs {package}, which is not installed; run: pip install 'spine-workbench[lab]'."
    assert capsys.readouterr().err == f"spine-workbench: {sentence}\n"
    assert list(tmp_path.iterdir()) == []
