"""Fixtures for every test: endpoints, databases, a busy port; and the settings of Hypothesis."""

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from postgres import cluster

from workbench import Endpoint

LESSON_CLOCK = "2018-05-25T16:10:00.750Z"
"""The start of a clock that moves one second a request, so a changed date is visible.

It does not start on a full second, so rounding to a second is visible too.
"""

# The same examples in every run, and no folder of remembered ones.
settings.register_profile("workbench", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("workbench")


def pytest_configure() -> None:
    """Restore Ctrl-C. A shell makes its background jobs ignore SIGINT, and child processes inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def lesson_clock() -> str:
    """The clock of the shared endpoints."""
    return LESSON_CLOCK


@pytest.fixture(scope="session")
def spine() -> Iterator[Endpoint]:
    """A shared endpoint in a process of its own, on a real port. A test creates what it changes."""
    with Endpoint.start(clock=LESSON_CLOCK) as running:
        yield running


@pytest.fixture(scope="session")
def spine_now() -> Iterator[Endpoint]:
    """A shared endpoint with the machine's clock. A check compares ``Date`` with its own clock."""
    with Endpoint.start() as running:
        yield running


@pytest.fixture
def spine_in_process() -> Iterator[Endpoint]:
    """A new endpoint without a socket, with the same ids and times in every run."""
    with Endpoint.in_process(clock=LESSON_CLOCK, seed=1) as running:
        yield running


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port of 127.0.0.1 on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture(scope="session")
def new_database() -> Iterator[Callable[[], str]]:
    """A function that makes an empty database on a PostgreSQL server, and returns its URL."""
    with cluster() as running:
        yield running


@pytest.fixture(params=["file", "postgresql"])
def shared_db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database that several processes can share: an SQLite file, then PostgreSQL."""
    if request.param == "file":
        return str(tmp_path / "spine.db")
    made: str = request.getfixturevalue("new_database")()
    return made
