"""OperationOutcome: written to the letter of the contract, read from any server (ERR-1 to ERR-3)."""

from typing import Any

import pytest
from fhir.resources.STU3.operationoutcome import OperationOutcome as Model

from workbench.fhir.outcome import DISPLAYS, Issue, OperationOutcome, build, read

SYSTEM = "https://fhir.nhs.uk/STU3/CodeSystem/Spine-ErrorOrWarningCode-1"
PROFILE = "https://fhir.nhs.uk/STU3/StructureDefinition/Spine-OperationOutcome-1"

CODES = {
    "ASID_CHECK_FAILED",
    "BAD_REQUEST",
    "INTERNAL_SERVER_ERROR",
    "INVALID_RESOURCE",
    "MESSAGE_NOT_WELL_FORMED",
    "MISSING_OR_INVALID_HEADER",
    "MSG_RESOURCE_ID_FAIL",
    "NOT_IMPLEMENTED",
    "NO_RECORD_FOUND",
    "PRECONDITION_FAILED",
    "RESOURCE_CREATED",
    "RESOURCE_UPDATED",
    "RESOURCE_VERSION_MISMATCH",
    "UNSUPPORTED_MEDIA_TYPE",
}


def test_every_code_of_the_contract_has_a_display() -> None:
    assert set(DISPLAYS) == CODES
    assert all(display and display != code for code, display in DISPLAYS.items())


def test_build() -> None:
    issue = Issue("error", "invalid", "INVALID_RESOURCE", "", "List.title: must be a string.", ("List.title",))
    assert build([issue], "one") == {
        "resourceType": "OperationOutcome",
        "id": "one",
        "meta": {"profile": [PROFILE]},
        "issue": [
            {
                "severity": "error",
                "code": "invalid",
                "details": {
                    "coding": [
                        {
                            "system": SYSTEM,
                            "code": "INVALID_RESOURCE",
                            "display": DISPLAYS["INVALID_RESOURCE"],
                        }
                    ]
                },
                "diagnostics": "List.title: must be a string.",
                "expression": ["List.title"],
            }
        ],
    }


@pytest.mark.parametrize("code", sorted(CODES))
def test_build_and_read_are_a_round_trip(code: str) -> None:
    issues = (
        Issue("error", "invalid", code, DISPLAYS[code], "a", ("List.a", "List.b")),
        Issue("error", "invalid", code),
    )
    built = build(issues, "one")
    Model.model_validate(built)
    found = read(built)
    assert found is not None
    assert found.issues[0] == issues[0]
    assert "diagnostics" not in built["issue"][1]
    assert "expression" not in built["issue"][1]


@pytest.mark.parametrize(
    "resource",
    [None, [], "OperationOutcome", 5, True, {}, {"resourceType": "List"}, {"resourceType": ["OperationOutcome"]}, b"x"],
    ids=repr,
)
def test_read_returns_none_for_another_resource(resource: Any) -> None:
    assert read(resource) is None


def one(**issue: Any) -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def coded(*codings: Any) -> dict[str, Any]:
    return {"details": {"coding": list(codings)}}


OTHERS = {
    "no issue": ({"resourceType": "OperationOutcome"}, "", ""),
    "issue null": ({"resourceType": "OperationOutcome", "issue": None}, "", ""),
    "issue an object": ({"resourceType": "OperationOutcome", "issue": {"code": "x"}}, "", ""),
    "not an issue": ({"resourceType": "OperationOutcome", "issue": [None, "x", 5, []]}, "", ""),
    "empty": (one(), "", ""),
    "codes only": (one(severity="error", code="conflict"), "", "conflict"),
    "diagnostics": (one(code="conflict", diagnostics="d"), "", "d"),
    "text of the details": (one(code="conflict", details={"text": "t"}), "", "t"),
    "display": (one(code="x", **coded({"code": "C", "display": "D"})), "C", "D"),
    "display before the text": (one(details={"text": "t", "coding": [{"code": "C", "display": "D"}]}), "C", "D"),
    "code without a display": (one(code="x", **coded({"code": "C"})), "C", "C"),
    "the Spine coding among others": (
        one(**coded({"system": "urn:x", "code": "X"}, {"system": SYSTEM, "code": "NO_RECORD_FOUND"})),
        "NO_RECORD_FOUND",
        "NO_RECORD_FOUND",
    ),
    "not codings": (one(code="x", **coded(None, "a", {"code": 5})), "", "x"),
    "not details": (one(code="x", details="t"), "", "x"),
    "wrong types": (one(severity=1, code=[], diagnostics={"a": 1}, expression="a"), "", ""),
}


@pytest.mark.parametrize(("resource", "spine_code", "diagnostics"), OTHERS.values(), ids=OTHERS.keys())
def test_read_accepts_any_content(resource: dict[str, Any], spine_code: str, diagnostics: str) -> None:
    found = read(resource)
    assert found is not None
    assert (found.spine_code, found.diagnostics) == (spine_code, diagnostics)


def test_several_issues() -> None:
    found = OperationOutcome((Issue("error", "invalid", "", "", "one"), Issue("error", "conflict", "C", "", "two")))
    assert (found.spine_code, found.diagnostics) == ("C", "one; two")
    assert found.has_code("conflict")
    assert not found.has_code("required")


def test_expressions_are_texts() -> None:
    found = read(one(expression=["List.a", 5, None]))
    assert found is not None
    assert found.issues[0].expression == ("List.a", "", "")
