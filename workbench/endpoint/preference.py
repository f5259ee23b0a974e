"""What the client would like back: ``Prefer`` (RFC 7240) and the format (FMT-1, FMT-2)."""

from __future__ import annotations

import enum
import re
from typing import Final

from workbench.endpoint.policy import MEDIA_TYPES, media_type

WRITTEN: Final = "application/fhir+json;charset=utf-8"
"""The one media type that is written."""

_FORMAT_CODES: Final = MEDIA_TYPES | {"json"}
_RANGES: Final = frozenset({"*/*", "application/*"})
_RETURN = re.compile(r'return\s*=\s*"?([A-Za-z]+)"?', re.IGNORECASE)


class Return(enum.Enum):
    """The three answers to an accepted write (PRF-1, PRF-2, PRF-3)."""

    MINIMAL = "minimal"
    REPRESENTATION = "representation"
    OPERATION_OUTCOME = "OperationOutcome"


_RETURNS: Final = {choice.value: choice for choice in Return}


def preferred_return(prefer: str | None) -> Return:
    """What ``Prefer`` asks for; anything not understood is as if it had not been sent (PRF-4).

    >>> preferred_return("respond-async, return=representation; x=1")
    <Return.REPRESENTATION: 'representation'>
    >>> preferred_return("return=everything"), preferred_return(None)
    (<Return.MINIMAL: 'minimal'>, <Return.MINIMAL: 'minimal'>)
    """
    for preference in (prefer or "").split(","):
        if found := _RETURN.fullmatch(preference.partition(";")[0].strip()):
            return _RETURNS.get(found[1], Return.MINIMAL)
    return Return.MINIMAL


def unacceptable(format_parameter: str | None, accept: str | None, content_type: str | None) -> str | None:
    """What was asked for, if it cannot be given (406); ``None`` where JSON will do.

    ``_format`` overrides ``Accept``; with neither, the request's ``Content-Type`` decides; with none of
    the three it is JSON (FMT-2).
    """
    if format_parameter is not None:
        # In a query string a plus sign reads as a space, and few clients escape it.
        wanted = media_type(format_parameter.replace(" ", "+"))
        return None if wanted in _FORMAT_CODES else f"_format={format_parameter}"
    if accept is not None:
        return None if _accepts_json(accept) else f"Accept: {accept}"
    if content_type is not None and media_type(content_type) not in MEDIA_TYPES:
        return f"Content-Type: {content_type}"
    return None


def _accepts_json(accept: str) -> bool:
    return any(_quality(part) > 0 and media_type(part) in MEDIA_TYPES | _RANGES for part in accept.split(","))


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether ``Accept-Encoding`` allows gzip (FMT-3; RFC 9110, section 12.5.3).

    >>> accepts_gzip("gzip, deflate"), accepts_gzip("gzip;q=0"), accepts_gzip(None)
    (True, False, False)
    """
    codings = (accept_encoding or "").split(",")
    return any(part.partition(";")[0].strip().lower() == "gzip" and _quality(part) > 0 for part in codings)


def _quality(part: str) -> float:
    found = re.search(r";\s*q=([01](?:\.\d{0,3})?)\s*(?:;|$)", part, re.IGNORECASE)
    return float(found[1]) if found else 1.0
