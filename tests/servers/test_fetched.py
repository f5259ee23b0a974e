"""Where a program cannot be had, one clear word says so; where it was asked for, that is a failure."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from fetched import Unavailable, fetched, is_fetched, program, skipped_where_unavailable

UNREACHABLE = "Could not transfer artifact org.example:thing:pom:1 from/to the registry"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_SERVERS_CACHE", str(tmp_path))
    monkeypatch.setenv("WORKBENCH_SERVERS", "one, two")
    return tmp_path


def saying(words: str, code: int) -> list[list[str]]:
    return [[sys.executable, "-c", f"print({words!r}); raise SystemExit({code})"]]


def test_what_was_fetched_is_not_fetched_again() -> None:
    asked: list[Path] = []

    def commands(folder: Path) -> Sequence[Sequence[str]]:
        asked.append(folder)
        return saying("done", 0)

    assert not is_fetched("thing")
    assert fetched("thing", commands) == fetched("thing", commands)
    assert is_fetched("thing")
    assert len(asked) == 1


def test_what_was_not_finished_is_fetched_again() -> None:
    with pytest.raises(AssertionError, match="no such artifact"):
        fetched("thing", lambda _: saying("no such artifact", 1))
    assert not is_fetched("thing")


def test_a_registry_out_of_reach_is_no_failure_of_ours() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        fetched("thing", lambda _: saying(UNREACHABLE, 1))


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(Unavailable, match="no-such-program is not installed"):
        program("no-such-program")


@pytest.mark.parametrize(
    ("name", "becomes"), [("three", pytest.skip.Exception), ("two", pytest.fail.Exception)], ids=["skip", "failure"]
)
def test_the_word(name: str, becomes: type[BaseException]) -> None:
    with pytest.raises(becomes, match=f"no {name}: java is not installed"), skipped_where_unavailable(name):
        raise Unavailable("java is not installed")
