"""When no answer comes: whether the request can have been sent, and a sentence for the person waiting.

The line between FAILED and UNKNOWN is drawn here. Only what fails before a byte of the request leaves (no
address, no connection, no TLS) surely was not sent; everything else may have been carried out.
"""

from __future__ import annotations

import ssl
from typing import Final

from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import RequestException
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProxyError
from urllib3.exceptions import SSLError as TLSError


def surely_not_sent(error: RequestException) -> bool:
    """Whether the failure came before any of the request left: no address, no connection, no TLS."""
    cause: object = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(reason, ProxyError):
        reason = reason.original_error
    if isinstance(reason, TLSError):
        # A TLS error can come after the request too; only one about the handshake came before it.
        cause = reason.args[0] if reason.args else None
        return isinstance(cause, ssl.SSLCertVerificationError) or any(sign in str(reason) for sign in _HANDSHAKE)
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


_HANDSHAKE: Final = (
    "HANDSHAKE_FAILURE",
    "HTTP_REQUEST",
    "PROTOCOL_VERSION",
    "UNKNOWN_CA",
    "UNKNOWN_PROTOCOL",
    "_CERTIFICATE",
)


def sentence(error: RequestException, base_url: str) -> str:
    """What went wrong on the way, in words that hold no header, no credential and no address of memory."""
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
