"""HTTP messages as plain frozen records: header fields, a request, a response (RFC 9110, sections 5 and 6).

Owns: how a message is held. What one means stands in the modules above; the endpoint answers with the
same records that the client keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that ask for no change (RFC 9110, section 9.2.1)."""


class Headers:
    """Header fields in the order sent, found by name without regard to case; cannot be changed.

    Kept as one flat tuple: a journal holds a great many of these.
    """

    __slots__ = ("_flat",)

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        self._flat: tuple[str, ...] = tuple(part for pair in pairs for part in pair)

    def items(self) -> Iterator[tuple[str, str]]:
        """The fields, in order, as ``(name, value)``."""
        return zip(self._flat[::2], self._flat[1::2], strict=True)

    def get(self, name: str) -> str | None:
        """The field's value, or ``None``; several of one name are joined by a comma (RFC 9110, 5.3)."""
        wanted = name.lower()
        values = [value for field, value in self.items() if field.lower() == wanted]
        return ", ".join(values) if values else None

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __len__(self) -> int:
        return len(self._flat) // 2

    def __eq__(self, other: object) -> bool:
        return self._flat == other._flat if isinstance(other, Headers) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._flat)

    def __repr__(self) -> str:
        return f"Headers({dict(self.items())!r})"


NO_HEADERS: Final = Headers()


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was sent, credentials already replaced. ``body`` is ``b""`` where there is none."""

    method: str
    url: str
    headers: Headers = NO_HEADERS
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as it came, content codings undone."""

    status: int
    headers: Headers = NO_HEADERS
    body: bytes = b""
