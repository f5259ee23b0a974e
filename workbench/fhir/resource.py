"""The identity, version and element paths of a resource (UPD-4, UPD-5, RD-1).

A function that returns a resource returns a new one and keeps the order of its members.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from workbench.errors import BadInput

LOGICAL_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
"""A FHIR id: the last part of a resource's URL."""

RESOURCE_TYPE: Final = re.compile(r"[A-Z][A-Za-z]{1,63}")

_SERVER_OWNED: Final = ("versionId", "lastUpdated")
"""The members of ``meta`` that the server writes."""


def identity(resource: Any) -> tuple[str, str]:
    """Return the resource type and the id; raise ``BadInput`` if either is missing or malformed."""
    if not isinstance(resource, dict):
        raise BadInput("A resource is a JSON object, with a resourceType and an id.")
    kind, logical_id = resource.get("resourceType"), resource.get("id")
    if not isinstance(kind, str) or not RESOURCE_TYPE.fullmatch(kind):
        raise BadInput('This resource has no usable resourceType; an update needs one, such as "List".')
    if logical_id is None:
        raise BadInput(f"This {kind} has no id; only a resource that was read from the endpoint can be updated.")
    if not isinstance(logical_id, str) or not LOGICAL_ID.fullmatch(logical_id):
        raise BadInput(f"{logical_id!r} is not a FHIR id: 1 to 64 letters, digits, hyphens and dots.")
    return kind, logical_id


def version_of(resource: Any) -> str | None:
    """Return ``meta.versionId``, or ``None`` if there is none."""
    meta = resource.get("meta") if isinstance(resource, dict) else None
    version_id = meta.get("versionId") if isinstance(meta, dict) else None
    return version_id if isinstance(version_id, str) else None


def without_version(resource: dict[str, Any]) -> dict[str, Any]:
    """Return the resource without ``meta.versionId`` and ``meta.lastUpdated``, which the server writes.

    A ``meta`` that is then empty is removed, because FHIR does not allow an empty object.

    >>> without_version({"id": "1", "meta": {"versionId": "a", "profile": ["p"]}, "title": "t"})
    {'id': '1', 'meta': {'profile': ['p']}, 'title': 't'}
    """
    meta = resource.get("meta")
    if not isinstance(meta, dict) or not any(name in meta for name in _SERVER_OWNED):
        return dict(resource)
    kept = {name: value for name, value in meta.items() if name not in _SERVER_OWNED}
    return {name: (kept if name == "meta" else value) for name, value in resource.items() if name != "meta" or kept}


def stamped(resource: dict[str, Any], version_id: str, last_updated: datetime, *, logical_id: str) -> dict[str, Any]:
    """Return the resource as a server stores it: as sent, with its id, version and date (UPD-4, UPD-5).

    >>> at = datetime(2018, 5, 25, 16, 9, 50, tzinfo=UTC)
    >>> stamped({"resourceType": "Flag", "status": "active"}, "1-a", at, logical_id="x")["meta"]
    {'versionId': '1-a', 'lastUpdated': '2018-05-25T16:09:50.000+00:00'}
    """
    written = {"versionId": version_id, "lastUpdated": instant(last_updated)}
    sent = resource.get("meta")
    meta = {**written, **sent, **written} if isinstance(sent, dict) else written
    whole: dict[str, Any] = {}
    for name, value in resource.items():
        whole[name] = meta if name == "meta" else value
        # A member that was not sent goes where FHIR puts it: the id after the type, the meta after the id.
        if name == "resourceType" and "id" not in resource:
            whole["id"] = logical_id
        if "meta" not in resource and name == ("id" if "id" in resource else "resourceType"):
            whole["meta"] = meta
    return whole


def instant(moment: datetime) -> str:
    """Return a FHIR instant in UTC, to the millisecond. Its width is fixed, so texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


_ELEMENT_PATH = re.compile(
    r"(?:\*\.|(?P<type>[A-Z][A-Za-z]*)\.)?(?P<steps>[a-z]\w*(?:\.[a-z]\w*)*)"
    r"(?: where (?P<beside>[a-z]\w*) is (?P<value>\S.*))?"
)


@dataclass(frozen=True, slots=True)
class ElementPath:
    """The path of an element in resources of one type, or without a type at any depth in any resource.

    A path goes through lists, and includes everything inside its element::

        Patient.name       the name of each Patient, and of each contained Patient
        subject.display    in any resource, at any depth; the same as *.subject.display
        *.identifier.value where system is https://fhir.nhs.uk/Id/nhs-number
                           only where the sibling element has this value
    """

    steps: tuple[str, ...]
    resource_type: str = ""
    beside: str = ""
    value: str = ""

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse a path; raise ``BadInput`` for any other text.

        >>> ElementPath.read("Patient.name")
        ElementPath(steps=('name',), resource_type='Patient', beside='', value='')
        """
        found = _ELEMENT_PATH.fullmatch(text.strip())
        if found is None:
            raise BadInput(
                f"{text!r} is not an element path; write it like Patient.name, subject.display, "
                "or *.identifier.value where system is https://fhir.nhs.uk/Id/nhs-number."
            )
        return cls(
            tuple(found["steps"].split(".")), found["type"] or "", found["beside"] or "", (found["value"] or "").strip()
        )

    def leads_to(self, at: tuple[str, ...], resource_type: str, parent: dict[str, Any]) -> bool:
        """Return whether this path names the element ``at`` these steps below its resource, a member of ``parent``."""
        if self.resource_type:
            if (self.resource_type, self.steps) != (resource_type, at):
                return False
        elif at[-len(self.steps) :] != self.steps:
            return False
        return not self.beside or parent.get(self.beside) == self.value
