"""Hosts: loopback, unspecified (``.invalid``) or remote."""

import pytest

from workbench.exchange.hosts import is_live, is_loopback


@pytest.mark.parametrize(
    ("host", "loopback", "live"),
    [
        ("localhost", True, False),
        ("127.0.0.1:8080", True, False),
        ("[::1]:8080", True, False),
        ("0.0.0.0", False, True),
        ("192.168.1.1", False, True),
        ("int.spine.example", False, True),
        ("localhost.example", False, True),
        ("invalid", False, False),
        ("recorded.invalid", False, False),
        ("recorded.invalid.", False, False),
        ("invalid.example", False, True),
    ],
)
def test_a_host_is_classified(host: str, loopback: bool, live: bool) -> None:
    url = f"http://{host}/STU3"
    assert (is_loopback(url), is_live(url)) == (loopback, live)
