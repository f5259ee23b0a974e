"""Version ids: opaque, not sequential, in the guide's shape, and never used twice (UPD-3, VER-1).

A version id is 48 bits. Drawn at random, two of a resource's first million would be equal about once in
six hundred resources, and a version id that returns is a lock that opens for the wrong key. So they are
not drawn: the next id is a keyed permutation of a counter, read back out of the present id. Every id
comes round once in 2⁴⁸ updates, no counter is stored, and nobody without the key can tell the next one.

The permutation is a four-round Feistel network over two 24-bit halves (Luby and Rackoff), the rounds
keyed BLAKE2. It hides order; it guards no secret.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

SHAPE: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}")

_HALF: Final = 24
_MASK: Final = (1 << _HALF) - 1
_ALL: Final = (1 << 2 * _HALF) - 1
_ROUNDS: Final = 4


class VersionIds:
    """The version ids of one endpoint; the same key gives the same ids."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def first(self, resource: str) -> str:
        """The version id of a resource (``Type/id``) that has just been created."""
        start = hashlib.blake2b(resource.encode(), key=self._key, digest_size=6).digest()
        return _written(int.from_bytes(start, "big"))

    def after(self, resource: str, version_id: str) -> str:
        """The version id that follows ``version_id``; raises ``ValueError`` for one that is not of the shape."""
        if SHAPE.fullmatch(version_id) is None:
            raise ValueError(f"{version_id!r} is not a version id of this endpoint.")
        count = self._unscramble(resource, int(version_id.replace("-", ""), 16))
        return _written(self._scramble(resource, (count + 1) & _ALL))

    def _scramble(self, resource: str, number: int) -> int:
        left, right = number >> _HALF, number & _MASK
        for step in range(_ROUNDS):
            left, right = right, left ^ self._round(resource, step, right)
        return left << _HALF | right

    def _unscramble(self, resource: str, number: int) -> int:
        left, right = number >> _HALF, number & _MASK
        for step in reversed(range(_ROUNDS)):
            left, right = right ^ self._round(resource, step, left), left
        return left << _HALF | right

    def _round(self, resource: str, step: int, half: int) -> int:
        text = f"{resource}|{step}|{half}".encode()
        return int.from_bytes(hashlib.blake2b(text, key=self._key, digest_size=3).digest(), "big")


def _written(number: int) -> str:
    text = f"{number:012x}"
    return f"{text[:8]}-{text[8:]}"
