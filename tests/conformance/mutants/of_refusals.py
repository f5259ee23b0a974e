"""Mutants of refusals and preferences: what they say, and how (PRF-1 to PRF-5, ERR-1 to ERR-4)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from faulty import (
    Answer,
    Real,
    accepted,
    answered,
    asked,
    edited,
    is_create,
    is_put,
    mutant,
    outcome_edited,
    path_of,
    refusal,
    resource_in,
    with_headers,
)

from workbench.exchange.message import Request, Response

# --- Prefer ---


@asked("always a representation", "prefer-nothing", "a PUT answers with the resource for every preference")
def _(request: Request, real: Real) -> Request:
    return with_headers(request, Prefer="return=representation") if is_put(request) else request


@asked("minimal unknown", "prefer-minimal", "return=minimal is answered with the resource")
def _(request: Request, real: Real) -> Request:
    minimal = is_put(request) and request.headers.get("Prefer") == "return=minimal"
    return with_headers(request, Prefer="return=representation") if minimal else request


@asked("a created resource always shown", "prefer-nothing-create", "a POST answers with the resource, unasked")
def _(request: Request, real: Real) -> Request:
    unasked = is_create(request) and request.headers.get("Prefer") is None
    return with_headers(request, Prefer="return=representation") if unasked else request


@asked("Prefer ignored", "prefer-representation", "no preference is looked at on a PUT")
def _(request: Request, real: Real) -> Request:
    return with_headers(request, Prefer=None) if is_put(request) else request


@asked("Prefer ignored on a create", "prefer-representation-create", "no preference is looked at on a POST")
def _(request: Request, real: Real) -> Request:
    return with_headers(request, Prefer=None) if is_create(request) else request


@mutant("representation one version old", "prefer-representation", "the representation is the one from before the PUT")
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        before = real.get(path_of(request)) if is_put(request) else Response(404)
        response = real.answer(request)
        if is_put(request) and accepted(response) and response.body:
            return replace(response, body=before.body)
        return response

    return answer


@answered("representation without id", "prefer-representation-create", "what a POST answers with lacks the id")
def _(request: Request, response: Response) -> Response:
    if is_create(request) and accepted(response):
        return edited(response, lambda found: found.pop("id", None))
    return response


def code_answered(name: str, meant: str, says: str, about: Callable[[Request], bool], change: Any) -> None:
    """A mutant that answers ``return=OperationOutcome`` with another issue."""

    @answered(name, meant, says)
    def _(request: Request, response: Response) -> Response:
        if about(request) and accepted(response) and resource_in(response).get("issue"):
            return edited(response, lambda found: change(found["issue"]))
        return response


def _code(issues: Any) -> None:
    issues[0]["details"]["coding"][0]["code"] = "RESOURCE_DONE"


code_answered("another code for updated", "prefer-outcome", "the code is not RESOURCE_UPDATED", is_put, _code)
code_answered("another code for created", "prefer-outcome-create", "the code is not RESOURCE_CREATED", is_create, _code)
code_answered(
    "success as a warning",
    "prefer-outcome",
    "the issue about an accepted PUT is a warning",
    is_put,
    lambda issues: issues[0].update(severity="warning"),
)
code_answered(
    "two issues about one update",
    "prefer-outcome",
    "an accepted PUT has two issues",
    is_put,
    lambda issues: issues.append(issues[0]),
)


@mutant("unknown preferences refused", "prefer-unknown", "a preference that it does not know is answered 400")
def _(real: Real) -> Answer:
    known = {None, "return=minimal", "return=representation", "return=OperationOutcome"}
    return lambda request: real.answer(request) if request.headers.get("Prefer") in known else refusal(400)


@answered("errors as preferred", "prefer-on-error", "with return=minimal a refusal has no body")
def _(request: Request, response: Response) -> Response:
    minimal = request.headers.get("Prefer") == "return=minimal"
    return replace(response, body=b"") if minimal and response.status >= 400 else response


# --- the OperationOutcome ---


def issue_otherwise(name: str, meant: str, says: str, change: Callable[[dict[str, Any]], object]) -> None:
    """A mutant whose refusals have other issues."""
    answered(name, meant, says)(lambda request, response: outcome_edited(response, change))


issue_otherwise("no issue type", "issues-have-a-type", "issues have no code", lambda issue: issue.pop("code"))
issue_otherwise(
    "a made-up issue type",
    "issues-have-a-type",
    "the code is not one of FHIR's",
    lambda issue: issue.update(code="oops"),
)
issue_otherwise(
    "errors as warnings", "issues-are-errors", "severity is warning", lambda issue: issue.update(severity="warning")
)
issue_otherwise(
    "no Spine code", "issues-have-a-spine-code", "issues have no details", lambda issue: issue.pop("details", None)
)
issue_otherwise(
    "no display",
    "issues-have-a-spine-code",
    "the Spine code has no display",
    lambda issue: issue["details"]["coding"][0].pop("display", None),
)
issue_otherwise(
    "no diagnostics",
    "issues-say-what-was-wrong",
    "issues have no diagnostics",
    lambda issue: issue.pop("diagnostics", None),
)
issue_otherwise(
    "always the same words",
    "diagnostics-of-this-request",
    "diagnostics are the same for every request",
    lambda issue: issue.update(diagnostics="the request was refused."),
)
issue_otherwise(
    "a stack trace shown",
    "nothing-of-the-inside",
    "diagnostics are a Java stack trace",
    lambda issue: issue.update(diagnostics="java.lang.Error\n\tat uk.nhs.Store.put(Store.java:5)"),
)
issue_otherwise(
    "a path shown",
    "nothing-of-the-inside",
    "diagnostics name a file of the server",
    lambda issue: issue.update(diagnostics="cannot open /var/lib/spine/store.db"),
)
issue_otherwise(
    "SQL shown",
    "nothing-of-the-inside",
    "diagnostics show the statement that failed",
    lambda issue: issue.update(diagnostics="UPDATE resource SET body = ? WHERE id = ?"),
)


@answered("refusals as HTML", "refusals-are-outcomes", "a refusal is a web page")
def _(request: Request, response: Response) -> Response:
    if response.status < 400:
        return response
    return with_headers(replace(response, body=b"<html><body>Error</body></html>"), Content_Type="text/html")


@answered("refusals as plain JSON", "refusals-are-fhir-json", "a refusal's Content-Type is application/json")
def _(request: Request, response: Response) -> Response:
    return with_headers(response, Content_Type="application/json") if response.status >= 400 else response


@answered("no profile", "refusals-have-the-profile", "an OperationOutcome names no profile")
def _(request: Request, response: Response) -> Response:
    if response.status < 400:
        return response
    return edited(response, lambda found: found.pop("meta", None))


# --- the error table, row by row ---


def _row_otherwise(probe: str, status: int, spine_code: str) -> None:
    @answered(f"{spine_code} for another ({status})", probe, f"{status} {spine_code} comes with another Spine code")
    def _(request: Request, response: Response) -> Response:
        def change(issue: dict[str, Any]) -> None:
            for coding in issue["details"]["coding"]:
                if coding["code"] == spine_code:
                    coding["code"] = "INTERNAL_SERVER_ERROR"

        return outcome_edited(response, change) if response.status == status else response


for _probe, _status, _spine_code in (
    ("codes-400-structure", 400, "MESSAGE_NOT_WELL_FORMED"),
    ("codes-400-invalid", 400, "BAD_REQUEST"),
    ("codes-404", 404, "NO_RECORD_FOUND"),
    ("codes-405", 405, "MSG_RESOURCE_ID_FAIL"),
    ("codes-406", 406, "UNSUPPORTED_MEDIA_TYPE"),
    ("codes-409", 409, "RESOURCE_VERSION_MISMATCH"),
    ("codes-412", 412, "PRECONDITION_FAILED"),
    ("codes-413", 413, "BAD_REQUEST"),
    ("codes-415", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ("codes-422", 422, "INVALID_RESOURCE"),
    ("codes-501", 501, "NOT_IMPLEMENTED"),
):
    _row_otherwise(_probe, _status, _spine_code)


@answered("parameters are unprocessable", "codes-400-parameter", "an unusable parameter or id is answered 422")
def _(request: Request, response: Response) -> Response:
    if response.status == 400 and request.method == "GET":
        return refusal(422, "invalid", "INVALID_RESOURCE")
    return response


# --- ERR-5, and Allow on 405 ---


@answered("outcomes without an id", "outcomes-have-an-id", "an OperationOutcome has no id")
def _(request: Request, response: Response) -> Response:
    return edited(response, lambda outcome: outcome.pop("id", None)) if response.status >= 400 else response


@answered("405 without Allow", "allow-on-405", "a 405 does not say which methods are allowed")
def _(request: Request, response: Response) -> Response:
    return with_headers(response, Allow=None) if response.status == 405 else response
