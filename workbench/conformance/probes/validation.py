"""Probes of validation: JSON that is no valid resource (VAL-1). Each is wrong in an element that every type has."""

from __future__ import annotations

from typing import Any, Final

from workbench.conformance.probe import probe
from workbench.conformance.trial import Trial

_EXPECTED: Final = "422, the element {} named; body, ETag and Last-Modified stay as they are"


def _invalid(trial: Trial, element: str, members: dict[str, Any]) -> None:
    """Send the resource with these members and have it refused, the element named."""
    held = trial.resource()
    answer = trial.put(held, trial.changed(held) | members, if_match=held.tag)
    trial.expect_refused(answer, held, 422)
    found = answer.outcome
    said = " ".join(f"{issue.diagnostics} {' '.join(issue.expression)}" for issue in found.issues) if found else ""
    trial.expect(element in said, f"422, but the answer does not name {element}", "422, element not named")


@probe("VAL-1", "unknown-element", _EXPECTED.format("colour"))
def unknown_element(trial: Trial) -> None:
    """An element that STU3 does not know."""
    _invalid(trial, "colour", {"colour": "green"})


@probe("VAL-1", "missing-element", _EXPECTED.format("div"))
def missing_element(trial: Trial) -> None:
    """A required element is not there: a narrative without its text."""
    _invalid(trial, "div", {"text": {"status": "generated"}})


@probe("VAL-1", "wrong-type", _EXPECTED.format("language"))
def wrong_type(trial: Trial) -> None:
    """A number where text belongs."""
    _invalid(trial, "language", {"language": 5})


@probe("VAL-1", "unknown-code", _EXPECTED.format("status"))
def unknown_code(trial: Trial) -> None:
    """A code outside a required binding: the status of a narrative."""
    div = '<div xmlns="http://www.w3.org/1999/xhtml">a check</div>'
    _invalid(trial, "status", {"text": {"status": "nonsense", "div": div}})


@probe("VAL-1", "not-repeating", _EXPECTED.format("language"))
def not_repeating(trial: Trial) -> None:
    """A list where one value belongs."""
    _invalid(trial, "language", {"language": ["en", "cy"]})
