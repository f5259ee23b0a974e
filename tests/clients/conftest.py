"""A Flag for each test to read and update with somebody else's client."""

import pytest
from clientkit import FLAG, Shared

from workbench import Endpoint


@pytest.fixture
def shared(spine: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Shared:
    """A fresh Flag; the clients, which use the environment's proxy, are kept from doing so on loopback."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    witness = spine.client("witness")
    return Shared(spine.base_url, witness.create(FLAG).logical_id, witness)
