"""When no answer comes: whether the request can have been sent, and a sentence for the person waiting.

The line between FAILED and UNKNOWN is drawn here. Only what fails before a byte of the request leaves (no
address, no connection, no TLS) surely was not sent; everything else may have been carried out.
"""

from __future__ import annotations

from typing import Any, Final

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import RequestException
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool


class ConnectingAdapter(HTTPAdapter):
    """An adapter for one connection that knows whether it was still connecting when it failed.

    The error alone does not tell: what a TLS library says of a failed handshake it also says of plain text
    in the middle of an answer. Nothing is ever tried a second time.
    """

    def __init__(self) -> None:
        self.connecting = False
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make a pool whose connections say when they begin to connect, and when they have."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _watched(HTTPConnectionPool, self),
            "https": _watched(HTTPSConnectionPool, self),
        }

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send one request, on the connection that is open if there is one."""
        self.connecting = False
        return super().send(*arguments, **options)


def _watched(pool: type[HTTPConnectionPool], adapter: ConnectingAdapter) -> type[HTTPConnectionPool]:
    connection: Any = pool.ConnectionCls

    class Watched(connection):  # type: ignore[misc]
        def connect(self) -> None:
            adapter.connecting = True
            super().connect()
            adapter.connecting = False

    return type(pool.__name__, (pool,), {"ConnectionCls": Watched})


class Retold(RequestException):
    """A failure that was put into words before: ``sent`` says whether the request can have arrived."""

    def __init__(self, words: str, *, sent: bool) -> None:
        super().__init__(words)
        self.words = words
        self.sent = sent


def surely_not_sent(error: RequestException, adapter: BaseAdapter) -> bool:
    """Whether the failure came before any of the request left (no address, no connection, no TLS).

    Or whether the TLS handshake failed at its other end, on account of our certificate: such an alert comes
    once the request is under way, but a server that has not finished the handshake reads no request.
    """
    if isinstance(error, Retold):
        return not error.sent
    if isinstance(adapter, ConnectingAdapter) and adapter.connecting:
        return True
    return any(alert in str(error) for alert in _CERTIFICATE_ALERTS)


_CERTIFICATE_ALERTS: Final = ("ALERT_CERTIFICATE", "ALERT_BAD_CERTIFICATE", "ALERT_UNKNOWN_CA")


def sentence(error: RequestException, base_url: str) -> str:
    """What went wrong on the way, in words that hold no header, no credential and no address of memory."""
    if isinstance(error, Retold):
        return error.words
    host = base_url.split("/")[2]
    text = str(error)
    for sign, words in _FAILURES:
        if sign in text or sign == type(error).__name__:
            return words.format(host=host)
    if isinstance(error, NoConnection):
        return f"The connection to {host} broke off before an answer came."
    return f"The exchange with {host} failed ({type(error).__name__})."


_FAILURES: Final = (
    ("NameResolutionError", "The host of {host} is not known; check the base URL and the network."),
    ("Connection refused", "Nothing listens at {host}; start the endpoint or check the port."),
    ("ConnectTimeout", "{host} did not take the connection in time; check the address and the network."),
    ("ReadTimeout", "{host} took the request but did not answer in time."),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "The certificate of {host} is not trusted; give Connection(verify=…) the CA that signed it.",
    ),
    ("SSLError", "No TLS with {host}; check whether it speaks https and which certificates it wants."),
    ("NewConnectionError", "There is no way to {host}; check the address and the network."),
)
