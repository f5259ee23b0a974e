"""The real servers, each started when a test first asks for it and stopped with the run."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from fetched import Unavailable, skipped_where_unavailable
from serverkit import STARTERS, Server, ServerNamed, running


@pytest.fixture(scope="session")
def server_named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerNamed]:
    """Give the running server of a name; skip, with its reason, where it cannot be had."""
    found: dict[str, Server | Unavailable] = {}
    with ExitStack() as stack:

        def named(name: str) -> Server:
            if name not in found:
                try:
                    start = STARTERS[name](tmp_path_factory.mktemp(name))
                    found[name] = stack.enter_context(running(start))
                except Unavailable as reason:
                    found[name] = reason
            server = found[name]
            with skipped_where_unavailable(name):
                if isinstance(server, Unavailable):
                    raise server
            assert isinstance(server, Server)
            return server

        yield named
