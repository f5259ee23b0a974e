"""A request before it is sent: what it is about, its header fields, its body as bytes.

Takes what a user gives (a resource as JSON or as text, a preference in a word) and raises ``BadInput`` for
what cannot be sent. Sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from workbench.errors import BadInput
from workbench.fhir import json

FHIR_JSON: Final = "application/fhir+json"

INTERACTIONS: Final = {
    ("GET", 1): "search-type",
    ("POST", 1): "create",
    ("GET", 2): "read",
    ("PUT", 2): "update",
    ("DELETE", 2): "delete",
}
"""Method and number of steps below the base URL, to FHIR's name for the interaction."""


class Call(NamedTuple):
    """A request before it is sent, and what it is about."""

    interaction: str
    method: str
    url: str
    headers: Mapping[str, str | None] = MappingProxyType({})
    body: bytes = b""
    resource_type: str = ""
    logical_id: str = ""
    chunked: bool = False
    """Whether the body goes out in chunks, its length not told beforehand (RFC 9112, section 7.1)."""

    def __repr__(self) -> str:
        return f"<Call: {self.interaction} {self.resource_type}/{self.logical_id}>"  # no URL, no header field


def whole(resource: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
    """A resource as a plain dict, whether it was given as JSON or as its text."""
    whole = json.parse(resource) if isinstance(resource, str | bytes) else resource
    if not isinstance(whole, Mapping):
        raise BadInput("A resource is a JSON object, with a resourceType and an id.")
    return dict(whole)


def given(headers: Mapping[str, object]) -> dict[str, str]:
    """The header fields that have a value."""
    return {name: str(value) for name, value in headers.items() if value is not None}


def preference(prefer: str | None) -> str | None:
    """``representation`` stands for ``return=representation``; anything with an equals sign is sent as it is."""
    return prefer if prefer is None or "=" in prefer else f"return={prefer}"


def encoded(text: str) -> bytes:
    """A body as UTF-8."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BadInput("The text holds half a surrogate pair, which is not a character; remove it.") from None
