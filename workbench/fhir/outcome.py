"""Write and read an OperationOutcome, the resource in which a server says what went wrong.

``build`` writes one as the contract requires (ERR-1, ERR-2, ERR-3, ERR-5, PRF-3). ``read`` and ``read_xml`` accept
one of any FHIR server and raise no error. Control characters in the texts that they return are written as escapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from xml.parsers import expat

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

    def has_code(self, *codes: str) -> bool:
        """Return whether an issue has one of these FHIR issue-type codes."""
        return any(issue.code in codes for issue in self.issues)


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


XML_LIMIT: Final = 2**20
"""The longest OperationOutcome in XML that is read, in bytes."""


def read_xml(body: bytes) -> OperationOutcome | None:
    """Read an OperationOutcome in FHIR's XML format; return ``None`` for any other body.

    A document type is refused, so that no entity is expanded and nothing is fetched. So are a body over
    ``XML_LIMIT`` and elements nested deeper than a resource needs.
    """
    if len(body) > XML_LIMIT or not body.lstrip(_XML_START).startswith(b"<"):
        return None
    reader = _XMLReader()
    try:
        reader.parser.Parse(body, True)
    except (expat.ExpatError, _NotAnOutcome, ValueError, LookupError):  # the last two: an unknown encoding
        return None
    return read({"resourceType": "OperationOutcome", "issue": reader.issues})


class _NotAnOutcome(Exception):
    """The XML is not an OperationOutcome, or has a document type, or is nested too deep."""


class _XMLReader:
    """Collect the issues of an OperationOutcome in XML, as they would be in JSON."""

    def __init__(self) -> None:
        self.issues: list[dict[str, Any]] = []
        self._path: list[str] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _refuse(self, *_: object) -> None:
        raise _NotAnOutcome

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name.removeprefix(_XML_NAMESPACE))
        if self._path[0] != "OperationOutcome" or len(self._path) > _XML_DEPTH:
            raise _NotAnOutcome

        below, value = ".".join(self._path[1:]), attributes.get("value", "")
        if below == "issue":
            self.issues.append({"details": {"coding": []}, "expression": []})
        elif below in ("issue.severity", "issue.code", "issue.diagnostics"):
            self.issues[-1][self._path[-1]] = value
        elif below == "issue.expression":
            self.issues[-1]["expression"].append(value)
        elif below == "issue.details.text":
            self.issues[-1]["details"]["text"] = value
        elif below == "issue.details.coding":
            self.issues[-1]["details"]["coding"].append({})
        elif below.startswith("issue.details.coding."):
            self.issues[-1]["details"]["coding"][-1][self._path[-1]] = value

    def _end(self, _: str) -> None:
        self._path.pop()


_XML_NAMESPACE: Final = "http://hl7.org/fhir "
_XML_START: Final = b"\xef\xbb\xbf \t\r\n"
_XML_DEPTH: Final = 32


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
