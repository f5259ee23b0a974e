"""Classify the host of a URL: loopback, unspecified or remote.

Loopback is this machine (RFC 6761, 6.3; RFC 1122, 3.2.1.3; RFC 4291, 2.5.3). An unspecified host is a name under
``.invalid``, which no machine can have (RFC 6761, 6.4); a recording uses one. Every other host is remote.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit


@lru_cache(maxsize=1024)
def is_loopback(url: str) -> bool:
    """Return whether the URL's host is ``localhost``, in 127.0.0.0/8, or ::1."""
    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Return whether a host name or address is ``localhost``, in 127.0.0.0/8, or ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=1024)
def is_live(url: str) -> bool:
    """Return whether the URL's host is remote, so that its records may be about real people.

    >>> is_live("https://int.spine.example/STU3"), is_live("http://[::1]:8080/STU3"), is_live("http://recorded.invalid")
    (True, False, False)
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    is_unspecified = host == "invalid" or host.endswith(".invalid")
    return not is_loopback(url) and not is_unspecified
