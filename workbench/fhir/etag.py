"""Entity tags, as HTTP defines them and as FHIR uses them.

RFC 9110, 8.8.3 defines the grammar. FHIR STU3 (http.html, *versioning*) and the contract (VER-1) define
the content: ``W/"<version id>"``.

There are two ways to compare two tags:

* RFC 9110, 13.1.1 compares ``If-Match`` *strongly*: a weak tag never matches.
* FHIR compares the *version ids* inside the tags, although its tags are weak.

By the first rule every FHIR update would fail, so this package uses FHIR's rule.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from workbench.errors import MalformedETag

VERSION_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
"""A version id is a FHIR id (VER-1)."""

_ENTITY_TAG = re.compile(r'(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"')


@dataclass(frozen=True, slots=True)
class ETag:
    """An entity tag: an opaque value, weak or strong.

    >>> tag = ETag.parse('W/"25777f7d-27bc"')
    >>> tag.version_id, tag.weak
    ('25777f7d-27bc', True)
    >>> str(ETag("25777f7d-27bc"))
    'W/"25777f7d-27bc"'
    """

    version_id: str
    weak: bool = True

    @classmethod
    def parse(cls, text: str) -> ETag:
        """Parse one entity tag; raise ``MalformedETag`` for any other text (a bare value, ``*``, a list)."""
        found = _ENTITY_TAG.fullmatch(text.strip(" \t"))
        if found is None:
            raise MalformedETag(f'{text!r} is not an entity tag; one looks like W/"25777f7d-27bc".')
        return cls(found["opaque"], weak=found["weak"] is not None)

    @classmethod
    def read(cls, text: str | None) -> ETag | None:
        """Parse one entity tag; return ``None`` if there is no text or it is not an entity tag."""
        try:
            return cls.parse(text) if text is not None else None
        except MalformedETag:
            return None

    @classmethod
    def read_bare(cls, text: str | None) -> ETag | None:
        """Return the weak tag of a version id without quotes; ``None`` for any other text.

        >>> str(ETag.read_bare("2"))
        'W/"2"'
        """
        return cls(text) if text is not None and VERSION_ID.fullmatch(text) else None

    def names_same_version(self, other: ETag) -> bool:
        """Compare as FHIR does: return whether the version ids are identical.

        >>> ETag("a").names_same_version(ETag("a", weak=False))
        True
        """
        return self.version_id == other.version_id

    def matches_strongly(self, other: ETag) -> bool:
        """Compare strongly (RFC 9110, 8.8.3.2): a weak tag never matches, not even itself.

        >>> ETag("a").matches_strongly(ETag("a"))
        False
        """
        return not self.weak and not other.weak and self.version_id == other.version_id

    def __str__(self) -> str:
        return f'{"W/" if self.weak else ""}"{self.version_id}"'

    def __repr__(self) -> str:
        return f"ETag({str(self)!r})"


class Precondition(enum.Enum):
    """What kind of ``If-Match`` a request has, before it is compared with a stored version."""

    MISSING = "missing"
    MALFORMED = "malformed"
    VERSION = "version"


def read_if_match(value: str | None) -> tuple[Precondition, str | None]:
    """Parse the value of ``If-Match``; return its kind, and the version id it names (UPD-7, UPD-8).

    Only ``W/"<version id>"`` names a version. A bare version id, a strong tag, a list and ``*`` are malformed:
    a server that guesses their meaning can lose an update.

    >>> read_if_match('W/"25777f7d-27bc"')
    (<Precondition.VERSION: 'version'>, '25777f7d-27bc')
    >>> read_if_match("25777f7d-27bc")[0], read_if_match("*")[0], read_if_match(None)[0]
    (<Precondition.MALFORMED: 'malformed'>, <Precondition.MALFORMED: 'malformed'>, <Precondition.MISSING: 'missing'>)
    """
    if value is None:
        return Precondition.MISSING, None
    tag = ETag.read(value)
    if tag is None or not tag.weak or VERSION_ID.fullmatch(tag.version_id) is None:
        return Precondition.MALFORMED, None
    return Precondition.VERSION, tag.version_id
