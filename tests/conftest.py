"""What every test may use: a running endpoint, one without a socket, and how Hypothesis behaves here."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from postgres import cluster

from workbench import Endpoint

LESSON_CLOCK = "2018-05-25T16:10:00.750Z"
"""A clock that moves a second a request, so that a date which should have stayed shows if it moved.

It does not start on a full second, so that "to the second" means something.
"""

# The same examples in every run, and no folder of remembered ones.
settings.register_profile("workbench", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("workbench")


def pytest_configure() -> None:
    """Let Ctrl-C be pressed: what a shell starts in its background ignores it, and so would all that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def lesson_clock() -> str:
    """The clock of the endpoints that tests share."""
    return LESSON_CLOCK


@pytest.fixture(scope="session")
def spine() -> Iterator[Endpoint]:
    """An endpoint in a process of its own, on a real port: one for all tests, so each creates what it changes."""
    with Endpoint.start(clock=LESSON_CLOCK) as running:
        yield running


@pytest.fixture
def spine_in_process() -> Iterator[Endpoint]:
    """An endpoint without a socket, fresh for each test, with the same ids and times every time."""
    with Endpoint.in_process(clock=LESSON_CLOCK, seed=1) as running:
        yield running


@pytest.fixture(scope="session")
def new_database() -> Iterator[Callable[[], str]]:
    """Make an empty database on a real PostgreSQL server of the tests' own, and give its address."""
    with cluster() as running:
        yield running


@pytest.fixture(params=["file", "postgresql"])
def shared_db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database that several processes can share: each kind there is."""
    if request.param == "file":
        return str(tmp_path / "spine.db")
    made: str = request.getfixturevalue("new_database")()
    return made
