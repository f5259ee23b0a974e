"""The endpoint, reached in both ways: every contract test runs over a socket and in process."""

from collections.abc import Iterator

import pytest
from spinekit import Held, Service, plain_session

from workbench import Endpoint
from workbench.endpoint.application import build_application
from workbench.endpoint.in_process import BASE_URL, InProcessAdapter
from workbench.endpoint.settings import Settings


@pytest.fixture(scope="session")
def over_socket(spine: Endpoint) -> Iterator[Service]:
    """The running endpoint, spoken to over TCP."""
    with plain_session() as session:
        yield Service(spine.base_url, session)


@pytest.fixture(scope="session")
def in_process(lesson_clock: str) -> Iterator[Service]:
    """An application in this process, spoken to through the adapter."""
    with plain_session(InProcessAdapter(build_application(Settings(clock=lesson_clock), BASE_URL))) as session:
        yield Service(BASE_URL, session)


@pytest.fixture(scope="session", params=["over_socket", "in_process"], ids=["socket", "in process"])
def endpoint(request: pytest.FixtureRequest) -> Service:
    """The endpoint over a socket, then the one in process."""
    service: Service = request.getfixturevalue(request.param)
    return service


@pytest.fixture
def held(endpoint: Service) -> Held:
    """A List of this test's own, at its first version."""
    return endpoint.create()
