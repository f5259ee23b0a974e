"""Every file that is written: for its owner only, never through a symbolic link, never over another unasked."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_journal import READ_A, journal_of

from workbench import BadInput, Endpoint, Journal, Report, check
from workbench.cli import main
from workbench.journal.export import open_private, read_bounded, write_private
from workbench.recording.cassette import Cassette

SUFFIXES = ("har", "csv", "jsonl", "svg")
REPORTS = ("json", "html", "xml")

Write = Callable[[Path, bool], None]


@pytest.fixture(scope="module")
def report() -> Iterator[Report]:
    with Endpoint.in_process() as spine:
        yield check(spine.client())


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Where nothing but the writer keeps others out."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[*SUFFIXES, *(f"report.{suffix}" for suffix in REPORTS), "save", "to_csv"])
def writer(request: pytest.FixtureRequest, report: Report) -> tuple[str, Write]:
    """A name's suffix, and what writes such a file when Python asks for it."""
    journal, kind = journal_of(READ_A), str(request.param)
    writers: dict[str, Callable[..., None]] = {"save": journal.save, "to_csv": journal.to_csv}
    write = writers.get(kind) or (report.save if kind.startswith("report") else journal.export)
    return kind.removeprefix("report."), lambda path, overwrite: write(path, overwrite=overwrite)


def test_a_file_is_private_and_the_only_one_left(writer: tuple[str, Write], tmp_path: Path) -> None:
    suffix, write = writer
    write(tmp_path / f"x.{suffix}", False)
    assert [path.name for path in tmp_path.iterdir()] == [f"x.{suffix}"]
    assert mode_of(tmp_path / f"x.{suffix}") == 0o600


def test_an_existing_file_is_replaced_only_on_request(writer: tuple[str, Write], tmp_path: Path) -> None:
    suffix, write = writer
    path = tmp_path / f"x.{suffix}"
    path.write_text("precious")
    with pytest.raises(BadInput, match="exists already; choose another name, or give overwrite=True"):
        write(path, False)
    assert path.read_text() == "precious"
    write(path, True)
    assert path.stat().st_size > 20
    assert (mode_of(path), len(list(tmp_path.iterdir()))) == (0o600, 1)


@pytest.mark.parametrize("overwrite", [True, False])
def test_nothing_is_written_through_a_link_or_onto_a_device(
    writer: tuple[str, Write], overwrite: bool, tmp_path: Path
) -> None:
    suffix, write = writer
    precious = tmp_path / "precious"
    precious.write_text("precious")
    dangling, link, pipe = (tmp_path / f"{name}.{suffix}" for name in ("dangling", "link", "pipe"))
    link.symlink_to(precious)
    dangling.symlink_to(tmp_path / "none")
    os.mkfifo(pipe)
    for path, problem in ((link, "symbolic link"), (dangling, "symbolic link"), (pipe, "is not a file")):
        with pytest.raises(BadInput, match=problem):
            write(path, overwrite)
    assert precious.read_text() == "precious"
    assert not (tmp_path / "none").exists()
    assert pipe.is_fifo()


def test_a_failed_write_keeps_the_earlier_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("precious")
    for name, overwrite in (("x", True), ("y", False)):
        with pytest.raises(UnicodeEncodeError):
            write_private(tmp_path / name, "half\ud800", overwrite=overwrite)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x": "precious"}


def test_of_two_writers_at_once_one_is_rejected(tmp_path: Path) -> None:
    late = open_private(tmp_path / "x")
    late.__enter__().write("late")
    write_private(tmp_path / "x", "early")
    with pytest.raises(BadInput, match="exists already"):
        late.__exit__(None, None, None)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x": "early"}


# --- files that flags name ---


def test_a_flag_that_names_a_file_asks_for_that_file(tmp_path: Path, spine_now: Endpoint) -> None:
    flags = [f"--{kind}={tmp_path / f'r.{kind}'}" for kind in ("html", "json", "junit")]
    race = ["race", spine_now.base_url, "--clients", "1", "--updates", "1", "--journal", str(tmp_path / "j.jsonl")]
    for _ in range(2):
        assert main(["check", spine_now.base_url, *flags]) == 0
        assert main([*race, "--charts", str(tmp_path / "charts")]) == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 7
    assert {mode_of(path) for path in written} == {0o600}


@pytest.mark.parametrize("command", [["check", "--html"], ["race", "--journal"]], ids=" ".join)
def test_a_flag_that_names_a_link_is_refused_before_anything_is_sent(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.html").symlink_to(tmp_path / "precious")
    assert main([command[0], "http://127.0.0.1:9/STU3", command[1], str(tmp_path / "r.html")]) == 2
    assert "symbolic link" in capsys.readouterr().err
    assert not (tmp_path / "precious").exists()


# --- cassettes ---


def test_a_cassette_replaces_a_cassette_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lesson.json"
    for paths in (("Patient.name",), ()):
        Cassette(paths).write(path)
        assert Cassette.read(path).redacted == paths
        assert mode_of(path) == 0o600
    path.write_text('{"precious": 1}')
    with pytest.raises(BadInput, match="is not a cassette, so nothing is recorded over it"):
        Cassette().write(path)
    path.unlink()
    path.symlink_to(tmp_path / "precious")
    with pytest.raises(BadInput, match="symbolic link"):
        Cassette().write(path)
    assert not (tmp_path / "precious").exists()


# --- a journal's own file ---


def test_a_journals_file_is_private(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.append(READ_A)
    assert {mode_of(path) for path in tmp_path.iterdir()} == {0o600}
    journal.close()
    assert [path.name for path in tmp_path.iterdir()] == ["journal.db"]


@pytest.mark.parametrize("suffix", ["", "-wal", "-journal"])
def test_a_journal_is_not_kept_through_a_link(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"journal.db{suffix}").symlink_to(tmp_path / "precious")
    with pytest.raises(BadInput, match="symbolic link"):
        Journal(tmp_path / "journal.db")
    assert not (tmp_path / "precious").exists()


def test_a_journal_is_not_kept_in_a_pipe_or_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(BadInput, match="is not a file"):
            Journal(path)
        with pytest.raises(BadInput, match="There is no journal"):
            Journal.load(path)


@pytest.mark.parametrize("size", [1, 2, 511, 512, 9000])
def test_a_file_that_is_no_journal_is_not_overwritten(size: int, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"x" * size)
    with pytest.raises(BadInput, match=r"hoose another file\.$"):
        Journal(tmp_path / "precious")
    assert (tmp_path / "precious").read_bytes() == b"x" * size


def test_a_special_name_of_sqlite_is_a_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Journal(":memory:")
    journal.append(READ_A)
    journal.close()
    assert len(Journal.load(":memory:")) == 1


OTHER_PROCESS = """
import sys
import workbench as wb
try:
    wb.Journal(sys.argv[1])
except wb.BadInput as error:
    print(error)
"""


def test_a_second_journal_on_one_file_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first = Journal(path)
    first.append(READ_A)
    refusal = f"{path} is in use by another journal; close that one or choose another file."
    for opening in (Journal, Journal.load):
        with pytest.raises(BadInput) as refused:
            opening(path)
        assert str(refused.value) == refusal
    # And by another process, although this one has looked at the file since.
    child = subprocess.run([sys.executable, "-c", OTHER_PROCESS, path], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == refusal
    assert first.append(READ_A) == 2
    first.close()
    again = Journal.load(path)
    assert len(again) == 2
    again.close()


# --- reading ---


def test_a_collected_journal_releases_its_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for length in (1, 2):
        assert Journal(path).append(READ_A) == length


def test_a_file_over_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.journal.export.MOST_BYTES", 1000)
    (tmp_path / "large").write_bytes(b"x" * 1001)
    with pytest.raises(BadInput, match="is larger than"):
        read_bounded(tmp_path / "large")
    os.mkfifo(tmp_path / "pipe")
    for read in (Cassette.read, Report.load):
        with pytest.raises(BadInput, match="is larger than"):
            read(tmp_path / "large")
        with pytest.raises(BadInput, match="is not a file"):
            read(tmp_path / "pipe")
