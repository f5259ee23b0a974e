"""Telling a client why its certificate was not accepted: the alert of TLS, which asyncio would throw away.

When a handshake fails, OpenSSL has written an alert (RFC 8446, section 6.2) into its outgoing bytes, and asyncio's
transport is aborted before they leave; the client would see a connection that broke off.
"""

from __future__ import annotations

import ssl
from typing import Final

_NO_TLS: Final = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER"})
"""OpenSSL's reasons for: this client does not speak TLS, so that no alert would be read."""


class AlertingSSLObject(ssl.SSLObject):
    """One handshake. A failure is put off by one step, at which asyncio sends what is to go out: the alert.

    The client ends the connection when it has read it; one that does not meets asyncio's handshake timeout.
    """

    _failed: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """Go on with the handshake; raises what made it fail the second time it is asked."""
        if self._failed is not None:
            raise self._failed
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLSyscallError):
            raise
        except ssl.SSLError as error:
            if error.reason in _NO_TLS:
                raise
            self._failed = error
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "an alert is on its way out") from None
