"""A resource's identity and version: where they stand in its JSON, and how they are put there.

Owns: reading ``resourceType``, ``id`` and ``meta.versionId``; leaving a version out of what a client
sends; stamping one onto what a server stores (UPD-4, UPD-5, RD-1). Every function returns a new
resource and keeps the order of its members.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from workbench.errors import BadInput

LOGICAL_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
"""A FHIR id: what may stand for a resource in a URL."""

RESOURCE_TYPE: Final = re.compile(r"[A-Z][A-Za-z]{1,63}")

_SERVER_OWNED: Final = ("versionId", "lastUpdated")


def identity(resource: Any) -> tuple[str, str]:
    """``(resource type, id)``; raises ``BadInput`` that says which is missing or unusable."""
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
    """``meta.versionId``, or ``None`` where there is none."""
    meta = resource.get("meta") if isinstance(resource, dict) else None
    version_id = meta.get("versionId") if isinstance(meta, dict) else None
    return version_id if isinstance(version_id, str) else None


def without_version(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource as a client sends it: ``meta.versionId`` and ``meta.lastUpdated`` are the server's to write.

    A ``meta`` that held nothing else goes too: FHIR has no empty objects.

    >>> without_version({"id": "1", "meta": {"versionId": "a", "profile": ["p"]}, "title": "t"})
    {'id': '1', 'meta': {'profile': ['p']}, 'title': 't'}
    """
    meta = resource.get("meta")
    if not isinstance(meta, dict) or not any(name in meta for name in _SERVER_OWNED):
        return dict(resource)
    kept = {name: value for name, value in meta.items() if name not in _SERVER_OWNED}
    return {name: (kept if name == "meta" else value) for name, value in resource.items() if name != "meta" or kept}


def stamped(resource: dict[str, Any], version_id: str, last_updated: datetime, *, logical_id: str) -> dict[str, Any]:
    """The resource as it is stored: with its id, version and date; all else as sent (UPD-4, UPD-5).

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
        # What was not sent stands where FHIR has it: the id after the type, the meta after the id.
        if name == "resourceType" and "id" not in resource:
            whole["id"] = logical_id
        if "meta" not in resource and name == ("id" if "id" in resource else "resourceType"):
            whole["meta"] = meta
    return whole


def instant(moment: datetime) -> str:
    """A FHIR instant in UTC, to the millisecond and of fixed width, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


_WRITTEN = re.compile(
    r"(?:\*\.|(?P<type>[A-Z][A-Za-z]*)\.)?(?P<steps>[a-z]\w*(?:\.[a-z]\w*)*)"
    r"(?: where (?P<beside>[a-z]\w*) is (?P<value>\S.*))?"
)


@dataclass(frozen=True, slots=True)
class ElementPath:
    """The path of an element, from a resource of one type or (without a type) from anywhere.

    A path leads through lists, down to an element and everything in it::

        Patient.name       the name of each Patient, contained ones too
        subject.display    in any resource, at any depth; the same as *.subject.display
        *.identifier.value where system is https://fhir.nhs.uk/Id/nhs-number
                           only beside an element of that value
    """

    steps: tuple[str, ...]
    resource_type: str = ""
    beside: str = ""
    value: str = ""

    @classmethod
    def read(cls, text: str) -> Self:
        """The path that a text writes; raises ``BadInput`` for another text.

        >>> ElementPath.read("Patient.name")
        ElementPath(steps=('name',), resource_type='Patient', beside='', value='')
        """
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            raise BadInput(
                f"{text!r} is not an element path; write it like Patient.name, subject.display, "
                "or *.identifier.value where system is https://fhir.nhs.uk/Id/nhs-number."
            )
        return cls(
            tuple(found["steps"].split(".")), found["type"] or "", found["beside"] or "", (found["value"] or "").strip()
        )

    def leads_to(self, at: tuple[str, ...], resource_type: str, parent: dict[str, Any]) -> bool:
        """Whether the element at these steps below its resource, a member of ``parent``, is one that is meant."""
        if self.resource_type:
            if (self.resource_type, self.steps) != (resource_type, at):
                return False
        elif at[-len(self.steps) :] != self.steps:
            return False
        return not self.beside or parent.get(self.beside) == self.value
