"""Entity tags, as HTTP writes them and as FHIR uses them.

RFC 9110, section 8.8.3 gives the grammar; FHIR STU3 (http.html, *versioning*) and the contract's
VER-1 say what a server puts in one: ``W/"<version id>"``.

Two comparisons exist, and the difference is the whole point of naming them:

* RFC 9110, section 13.1.1, compares ``If-Match`` *strongly*, and a weak tag never matches that way.
* FHIR compares the *version ids* inside the tags, although its tags are weak.

Read literally, the first would make every FHIR update fail; FHIR's rule is the one used here.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from workbench.errors import MalformedETag

VERSION_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
"""A FHIR id, which is what a version id must be (VER-1)."""

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
        """Read one entity tag; raises ``MalformedETag`` for anything else (a bare value, ``*``, a list)."""
        found = _ENTITY_TAG.fullmatch(text.strip(" \t"))
        if found is None:
            raise MalformedETag(f'{text!r} is not an entity tag; one looks like W/"25777f7d-27bc".')
        return cls(found["opaque"], weak=found["weak"] is not None)

    @classmethod
    def read(cls, text: str | None) -> ETag | None:
        """Return the entity tag, or ``None`` where there is no text or it is not an entity tag."""
        try:
            return cls.parse(text) if text is not None else None
        except MalformedETag:
            return None

    def names_same_version(self, other: ETag) -> bool:
        """FHIR's comparison: the version ids are the same, character for character.

        >>> ETag("a").names_same_version(ETag("a", weak=False))
        True
        """
        return self.version_id == other.version_id

    def matches_strongly(self, other: ETag) -> bool:
        """RFC 9110's strong comparison (section 8.8.3.2): a weak tag never matches, not even itself.

        >>> ETag("a").matches_strongly(ETag("a"))
        False
        """
        return not self.weak and not other.weak and self.version_id == other.version_id

    def __str__(self) -> str:
        return f'{"W/" if self.weak else ""}"{self.version_id}"'

    def __repr__(self) -> str:
        return f"ETag({str(self)!r})"


class Precondition(enum.Enum):
    """What a request's ``If-Match`` amounts to before anything stored is looked at."""

    MISSING = "missing"
    MALFORMED = "malformed"
    VERSION = "version"


def read_if_match(value: str | None) -> tuple[Precondition, str | None]:
    """Judge an ``If-Match`` field value: missing, malformed, or the version id it names (UPD-7, UPD-8).

    Only ``W/"<version id>"`` counts. A bare version id, a strong tag, a list and ``*`` are malformed:
    a server that guessed what they meant would guess about a lock.

    >>> read_if_match('W/"25777f7d-27bc"')
    (<Precondition.VERSION: 'version'>, '25777f7d-27bc')
    >>> read_if_match("25777f7d-27bc")[0], read_if_match("*")[0], read_if_match(None)[0]
    (<Precondition.MALFORMED: 'malformed'>, <Precondition.MALFORMED: 'malformed'>, <Precondition.MISSING: 'missing'>)
    """
    if value is None:
        return Precondition.MISSING, None
    try:
        tag = ETag.parse(value)
    except MalformedETag:
        return Precondition.MALFORMED, None
    if not tag.weak or VERSION_ID.fullmatch(tag.version_id) is None:
        return Precondition.MALFORMED, None
    return Precondition.VERSION, tag.version_id
