"""Write and read an OperationOutcome, the resource in which a server says what went wrong.

``build`` writes one as the contract requires (ERR-1, ERR-2, ERR-3, ERR-5, PRF-3). ``read`` accepts one of any FHIR
server and raises no error. Control characters in the texts that it returns are written as escapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from workbench.fhir.printable import printable

PROFILE: Final = "https://fhir.nhs.uk/STU3/StructureDefinition/Spine-OperationOutcome-1"
CODE_SYSTEM: Final = "https://fhir.nhs.uk/STU3/CodeSystem/Spine-ErrorOrWarningCode-1"

DISPLAYS: Final = {
    "ASID_CHECK_FAILED": "The sender or receiver's ASID is not authorised for this interaction",
    "BAD_REQUEST": "Bad request",
    "INTERNAL_SERVER_ERROR": "Internal server error",
    "INVALID_RESOURCE": "Invalid validation of resource",
    "MESSAGE_NOT_WELL_FORMED": "Message not well formed",
    "MISSING_OR_INVALID_HEADER": "There is a required header missing or invalid",
    "MSG_RESOURCE_ID_FAIL": "Client is not permitted to assign an id",
    "NOT_IMPLEMENTED": "Not implemented",
    "NO_RECORD_FOUND": "No record found",
    "PRECONDITION_FAILED": "Required condition was not fulfilled",
    "RESOURCE_CREATED": "New resource created",
    "RESOURCE_UPDATED": "Resource has been updated",
    "RESOURCE_VERSION_MISMATCH": "Resource version mismatch",
    "UNSUPPORTED_MEDIA_TYPE": "Unsupported media type",
}
"""The display of each Spine code."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of an OperationOutcome. A text that is missing is an empty string."""

    severity: str
    code: str
    spine_code: str = ""
    display: str = ""
    diagnostics: str = ""
    expression: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The diagnostics; if there are none, the display of the coding, else a code."""
        return self.diagnostics or self.display or self.spine_code or self.code


@dataclass(frozen=True, slots=True)
class OperationOutcome:
    """The issues of an OperationOutcome, in order."""

    issues: tuple[Issue, ...]

    @property
    def spine_code(self) -> str:
        """The first code in ``details.coding`` of an issue; empty if there is none."""
        return next((issue.spine_code for issue in self.issues if issue.spine_code), "")

    @property
    def diagnostics(self) -> str:
        """The texts of the issues, joined by semicolons."""
        return "; ".join(issue.text for issue in self.issues)

    def has_code(self, code: str) -> bool:
        """Return whether an issue has this FHIR issue-type code."""
        return any(issue.code == code for issue in self.issues)


def build(issues: Iterable[Issue], logical_id: str) -> dict[str, Any]:
    """Return the OperationOutcome resource with these issues and this id (ERR-1, ERR-2, ERR-5)."""
    return {
        "resourceType": "OperationOutcome",
        "id": logical_id,
        "meta": {"profile": [PROFILE]},
        "issue": [_build_issue(issue) for issue in issues],
    }


def _build_issue(issue: Issue) -> dict[str, Any]:
    coding = {"system": CODE_SYSTEM, "code": issue.spine_code, "display": DISPLAYS[issue.spine_code]}
    written: dict[str, Any] = {
        "severity": issue.severity,
        "code": issue.code,
        "details": {"coding": [coding]},
    }
    if issue.diagnostics:
        written["diagnostics"] = issue.diagnostics
    if issue.expression:
        written["expression"] = list(issue.expression)
    return written


def read(resource: Any) -> OperationOutcome | None:
    """Read the OperationOutcome of any server; return ``None`` if the resource is not one."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "OperationOutcome":
        return None
    return OperationOutcome(tuple(_read_issue(issue) for issue in _objects(resource.get("issue"))))


def _read_issue(issue: dict[str, Any]) -> Issue:
    details = issue.get("details")
    details = details if isinstance(details, dict) else {}
    coding = _objects(details.get("coding"))
    chosen = next((c for c in coding if c.get("system") == CODE_SYSTEM), coding[0] if coding else {})
    expression = issue.get("expression")
    return Issue(
        severity=_string(issue.get("severity")),
        code=_string(issue.get("code")),
        spine_code=_string(chosen.get("code")),
        display=_string(chosen.get("display")) or _string(details.get("text")),
        diagnostics=_string(issue.get("diagnostics")),
        expression=tuple(map(_string, expression)) if isinstance(expression, list) else (),
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _string(value: Any) -> str:
    return printable(value) if isinstance(value, str) else ""
