"""Element paths: which elements of a resource are meant, wherever they stand.

Owns: reading a path and finding its elements. A path is written as FHIR writes one, from a resource type or from
anywhere, through lists, down to an element and all that is in it::

    Patient.name       the name of each Patient, contained ones too
    subject.display    in any resource, at any depth; the same as *.subject.display
    *.identifier.value where system is https://fhir.nhs.uk/Id/nhs-number
                       only beside an element of that value
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

from workbench.errors import BadInput

_WRITTEN = re.compile(
    r"(?:\*\.|(?P<type>[A-Z][A-Za-z]*)\.)?(?P<steps>[a-z]\w*(?:\.[a-z]\w*)*)"
    r"(?: where (?P<beside>[a-z]\w*) is (?P<value>\S.*))?"
)


@dataclass(frozen=True, slots=True)
class ElementPath:
    """One path, read: the steps down to the element, from a resource of that type or (without one) from anywhere."""

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
