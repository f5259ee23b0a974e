"""Where an endpoint is, as far as its URL tells: on this machine, nowhere, or with others.

Sources: RFC 6761, section 6.3 (localhost); RFC 2606 (``.invalid`` names no host).
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit


@lru_cache(maxsize=1024)
def is_loopback(base_url: str) -> bool:
    """Whether the URL's host is this machine and nothing else: ``localhost``, 127.0.0.0/8 or ::1."""
    return is_loopback_host(urlsplit(base_url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Whether a host name or address is ``localhost``, in 127.0.0.0/8, or ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=1024)
def is_live(url: str) -> bool:
    """Whether the URL leads to another machine, so that real people's records may come from there.

    >>> is_live("https://int.spine.example/STU3"), is_live("http://[::1]:8080/STU3"), is_live("http://recorded.invalid")
    (True, False, False)
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    return not (is_loopback(url) or host == "invalid" or host.endswith(".invalid"))
