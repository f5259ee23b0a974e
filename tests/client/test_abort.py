"""A request that waits for its answer is ended from another thread, and recorded as what it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from silent import Silent, silent
from tlskit import make, strict_endpoint

from workbench import Client, Connection, Endpoint, Exchange, Verdict

LIST = ("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")


@pytest.fixture
def hanging(spine: Endpoint) -> Iterator[Silent]:
    with silent(spine) as endpoint:
        yield endpoint


def test_the_write_under_way_is_unknown_and_nothing_is_sent_afterwards(hanging: Silent) -> None:
    client = Client(hanging.base_url)
    draft = client.read(*LIST).resource
    found: list[Exchange] = []
    waiting = threading.Thread(target=lambda: found.append(client.update(draft)))
    waiting.start()
    hanging.wait_for(1)
    client.abort()
    waiting.join(10)
    assert [exchange.verdict for exchange in found] == [Verdict.UNKNOWN]
    assert client.journal[-1].verdict is Verdict.UNKNOWN
    later = client.update(draft)
    assert (later.verdict, later.sent) == (Verdict.FAILED, False)


def test_over_tls_too(tmp_path: Path) -> None:
    certificates = make(tmp_path)
    with strict_endpoint(certificates, strict=False) as base_url:
        client = Client(base_url, connection=Connection(verify=certificates.ca, cert=certificates.client))
        assert client.read(*LIST).status == 200
        client.abort()
        assert client.read(*LIST).verdict in (Verdict.UNKNOWN, Verdict.FAILED)


def test_one_that_has_not_connected_yet_sends_nothing(hanging: Silent) -> None:
    client = Client(hanging.base_url)
    client.abort()
    assert client.read(*LIST).sent is False
