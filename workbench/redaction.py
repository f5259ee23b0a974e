"""What is taken out of an exchange before anybody can keep it: the values of credentials.

Owns: which header fields and query parameters carry one, wherever they come from, and how a value is
replaced in a URL, in an answer that repeats it, and in what the HTTP library logs. Knows no connection:
what is secret on one is handed in.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus, unquote_plus

REDACTED: Final = "***"

CREDENTIAL_FIELDS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "apikey", "www-authenticate"}
)
"""Header fields whose values are never recorded, whoever sent them."""

_PARAMETERS: Final = frozenset(
    {
        *("accesstoken", "idtoken", "refreshtoken", "token", "jwt", "apikey", "xapikey", "subscriptionkey", "auth"),
        *("authorization", "clientsecret", "secret", "password", "passwd", "pwd", "sig", "signature", "sessionid"),
    }
)
"""Query parameters that carry a credential, without hyphens and underscores; none is a search parameter of FHIR."""

_SHORTEST: Final = 8
"""Shorter values are not looked for in an answer: they would be found where they mean something else."""

_PARAMETER = re.compile(r"(?<=[?&;])([^=&#;\s\"]*)=([^&#;\s\"]*)")
_LINKS: Final = frozenset({"location", "content-location", "link", "refresh"})


def without_credentials(text: str) -> str:
    """A URL, or a text that holds URLs, with the values of the parameters that carry a credential replaced.

    >>> without_credentials("https://h/STU3/List?_count=1&api_key=abc")
    'https://h/STU3/List?_count=1&api_key=***'
    """
    return _PARAMETER.sub(lambda found: f"{found[1]}={REDACTED}" if _is_credential(found[1]) else found[0], text)


def _is_credential(name: str) -> bool:
    return re.sub(r"[-_]", "", unquote_plus(name)).lower() in _PARAMETERS


def secrets_in(fields: Iterable[tuple[str, str]], secret_names: frozenset[str], url: str) -> frozenset[str]:
    """What an answer may not repeat: the values of a request's secret fields, and of its URL's credentials."""
    values = {unquote_plus(value) for name, value in _PARAMETER.findall(url) if _is_credential(name)}
    for name, value in fields:
        if name.lower() in secret_names:
            values |= _parts(value)
    return frozenset(value for value in values if len(value) >= _SHORTEST)


def _parts(value: str) -> set[str]:
    """A field's value, and what a server might take from it: the token, a cookie's value, user and password."""
    parts = {value, *(crumb.partition("=")[2] for crumb in value.split("; "))}
    scheme, _, rest = value.partition(" ")
    parts.add(rest)
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):  # then there is nothing further in it
            parts.add(base64.b64decode(rest, validate=True).decode().partition(":")[2])
    return parts


def answered_field(name: str, value: str, secrets: frozenset[str]) -> str:
    """A header field's value of an answer, without the credentials that it repeats."""
    for secret in secrets:
        value = value.replace(secret, REDACTED)
    return without_credentials(value) if name.lower() in _LINKS else value


def answered_body(status: int, body: bytes, secrets: frozenset[str], url: str) -> bytes:
    """An answer's body, without the credentials that it repeats.

    Of a resource nothing is taken away, whatever it holds: only what refuses (a status from 300 on) is searched
    for secrets, and any answer for the URL's own parameters as they stood there (a Bundle's links).
    """
    if status >= 300:
        for secret in secrets:
            for form in {secret, quote(secret, safe=""), quote_plus(secret)}:
                body = body.replace(form.encode(), REDACTED.encode())
    for name, value in _PARAMETER.findall(url):
        if value and _is_credential(name):
            body = body.replace(f"{name}={value}".encode(), f"{name}={REDACTED}".encode())
    return body


class _LogFilter(logging.Filter):
    """Takes credentials out of what the HTTP library logs: it writes URLs, and header fields that it cannot read."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_logged(each) for each in record.args)
        record.exc_info = None
        return True


def _logged(value: object) -> object:
    if isinstance(value, BaseException):
        return type(value).__name__
    return without_credentials(value) if isinstance(value, str) else value


_FILTER: Final = _LogFilter()


def guard_logs() -> None:
    """See to it that the HTTP library's loggers write no credential; calling it again changes nothing."""
    for name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry", "urllib3.response"):
        logging.getLogger(name).addFilter(_FILTER)
