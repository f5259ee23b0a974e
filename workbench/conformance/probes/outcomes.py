"""Probes of refusals: their OperationOutcome, its codes, and what they must not show (ERR-1 to ERR-4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from workbench.conformance.answers import body_of, header, tag_value, told
from workbench.conformance.probe import Untestable, probe
from workbench.conformance.site import TEMPLATES
from workbench.conformance.trial import MADE_UP_VERSION, Trial
from workbench.exchange.message import Exchange
from workbench.fhir.outcome import Issue

PROFILE: Final = "https://fhir.nhs.uk/STU3/StructureDefinition/Spine-OperationOutcome-1"
CODE_SYSTEM: Final = "https://fhir.nhs.uk/STU3/CodeSystem/Spine-ErrorOrWarningCode-1"

_ISSUE_TYPES: Final = frozenset(
    (
        *("invalid", "structure", "required", "value", "invariant", "security", "login", "unknown", "expired"),
        *("forbidden", "suppressed", "processing", "not-supported", "duplicate", "not-found", "too-long"),
        *("code-invalid", "extension", "too-costly", "business-rule", "conflict", "incomplete", "transient"),
        *("lock-error", "no-store", "exception", "timeout", "throttled", "informational"),
    )
)
"""FHIR STU3's issue types."""

_BODY_LIMIT: Final = 5 * 1024 * 1024

_INSIDES: Final = {
    "a stack trace": re.compile(
        r"Traceback \(most recent call|^\s+at [\w.$<>]+\(|\.(?:java|py|cs|js|go|rb):\d+", re.MULTILINE
    ),
    "a path of the server": re.compile(
        r"(?<![\w./:-])/(?:home|root|usr|var|opt|srv|etc|tmp|app|work)/[\w.-]|\b[A-Z]:\\\w"
    ),
    "SQL": re.compile(r"\b(?:SELECT .+ FROM|UPDATE \w+ SET|INSERT INTO|DELETE FROM)\b|sqlite3?\.|psycopg|SQLSTATE"),
    "a name of the code": re.compile(r"\b(?:org|com|net)\.[a-z]\w+\.[\w.]*[A-Z]\w+|site-packages|node_modules"),
}


def refusals(trial: Trial) -> list[Exchange]:
    """Refused requests of every kind that can be provoked here."""
    found = [answer for answer in _provoked(trial) if answer.status is not None and answer.status >= 400]
    if not found:
        raise Untestable("Nothing that was tried was refused.")
    return found


def _provoked(trial: Trial) -> Iterator[Exchange]:
    kind = trial.site.resource_type
    yield trial.get(f"{kind}/{trial.unknown_id()}")
    yield trial.get(f"{kind}?no-such-parameter=1")
    yield trial.get(f"{kind}/not_an_id")
    yield trial.get(f"{kind}/{trial.unknown_id()}/_history")
    if trial.may_change:
        held, stale = trial.overtaken()
        yield trial.put(held, if_match=None)
        yield trial.put(held, if_match=stale)
        yield trial.put(held, b'{"resourceType":', if_match=held.tag)
        yield trial.put(held, trial.changed(held) | {"colour": "green"}, if_match=held.tag)
        yield trial.put(held, b"status=current", if_match=held.tag, content_type="text/plain")
        yield _put_unknown(trial)


def _put_unknown(trial: Trial) -> Exchange:
    path = trial.unknown_path()
    kind, _, logical_id = path.partition("/")
    content = (TEMPLATES.get(kind) or {}) | {"resourceType": kind, "id": logical_id}
    return trial.send("PUT", path, headers={"If-Match": MADE_UP_VERSION}, body=content)


def _name(answer: Exchange) -> str:
    return f"the {answer.status} to {answer.request.method}"


def _issues(answer: Exchange) -> tuple[Issue, ...]:
    return answer.outcome.issues if answer.outcome else ()


@probe("ERR-1", "refusals-are-outcomes", "an OperationOutcome with an issue, in every refusal", writes=False)
def refusals_are_outcomes(trial: Trial) -> None:
    """Every refusal says why, in FHIR."""
    for answer in refusals(trial):
        trial.expect(bool(_issues(answer)), f"{_name(answer)} carries no OperationOutcome", "no OperationOutcome")


@probe("ERR-1", "refusals-are-fhir-json", "Content-Type application/fhir+json, on every refusal", writes=False)
def refusals_are_fhir_json(trial: Trial) -> None:
    """Every refusal says what it is written in."""
    for answer in refusals(trial):
        kind = header(answer, "Content-Type").partition(";")[0].strip().lower()
        shown = f"{_name(answer)} has Content-Type {kind or '(none)'}"
        trial.expect(kind == "application/fhir+json", shown, "another Content-Type")


@probe("ERR-1", "refusals-have-the-profile", f"meta.profile {PROFILE}, in every refusal", writes=False)
def refusals_have_the_profile(trial: Trial) -> None:
    """Every refusal is an OperationOutcome as Spine profiles it."""
    for answer in refusals(trial):
        found = answer.resource
        meta = found.get("meta") if isinstance(found, dict) else None
        named = meta.get("profile") if isinstance(meta, dict) else None
        trial.expect(named == [PROFILE], f"{_name(answer)} names the profile {named}", "not the profile")


@probe("ERR-2", "issues-are-errors", "severity error, in every issue of every refusal", writes=False)
def issues_are_errors(trial: Trial) -> None:
    """A refusal is no warning."""
    for answer in refusals(trial):
        severities = {issue.severity for issue in _issues(answer)}
        shown = f"{_name(answer)} has severity {', '.join(sorted(severities)) or '(none)'}"
        trial.expect(severities == {"error"}, shown, "another severity")


@probe("ERR-2", "issues-have-a-type", "a code of FHIR's issue types, in every issue of every refusal", writes=False)
def issues_have_a_type(trial: Trial) -> None:
    """The kind of problem is told in FHIR's own words."""
    for answer in refusals(trial):
        codes = {issue.code for issue in _issues(answer)} or {"(none)"}
        shown = f"{_name(answer)} has the issue type {', '.join(sorted(codes))}"
        trial.expect(codes <= _ISSUE_TYPES, shown, "no issue type")


@probe("ERR-2", "issues-have-a-spine-code", f"a code and its display of {CODE_SYSTEM}", writes=False)
def issues_have_a_spine_code(trial: Trial) -> None:
    """The kind of problem is told in Spine's words too."""
    for answer in refusals(trial):
        codings = [_spine_coding(issue) for issue in _raw_issues(answer)]
        right = bool(codings) and all(coding.get("code") and coding.get("display") for coding in codings)
        trial.expect(right, f"{_name(answer)} has no code and display of Spine's", "no Spine code")


@probe("ERR-2", "issues-say-what-was-wrong", "diagnostics: a text, in every issue of every refusal", writes=False)
def issues_say_what_was_wrong(trial: Trial) -> None:
    """Every refusal says in words what was wrong."""
    for answer in refusals(trial):
        said = [issue.diagnostics.strip() for issue in _issues(answer)]
        trial.expect(bool(said) and all(said), f"{_name(answer)} has no diagnostics", "no diagnostics")


@probe("ERR-2", "diagnostics-of-this-request", "diagnostics that name the version sent or the one that is current")
def diagnostics_of_this_request(trial: Trial) -> None:
    """The words are about this request, not about any: two stale updates are told of their own versions."""
    held, stale = trial.overtaken()
    answer = trial.put(held, if_match=stale)
    said = " ".join(issue.diagnostics for issue in _issues(answer))
    if not _issues(answer):
        raise Untestable(f"A stale update was answered {told(answer)}, without an OperationOutcome.")
    named = any(version and version in said for version in (tag_value(stale), held.version_id))
    trial.expect(named, f"the diagnostics name neither version: {said[:80]}", "diagnostics of no request")


@probe("ERR-4", "nothing-of-the-inside", "no stack trace, no path of the server, no SQL", writes=False)
def nothing_of_the_inside(trial: Trial) -> None:
    """What goes wrong inside stays inside; also where the request asks for trouble."""
    kind = trial.site.resource_type
    nasty = ["%27%20OR%201=1--", "%00", "a%2F..%2F..%2Fetc", "$" * 70]
    paths = [f"{kind}/{text}" for text in nasty]
    paths += [f"{kind}?_id='{text}&_count=-1&_lastUpdated=never" for text in nasty[:2]]
    # One that is not answered at all shows nothing either.
    for answer in refusals(trial) + [trial.client.send("GET", path) for path in paths]:
        text = body_of(answer).decode("utf-8", errors="replace")
        for what, sign in _INSIDES.items():
            found = sign.search(text)
            shown = f"{_name(answer)} shows {what}: {found[0][:60] if found else ''}"
            trial.expect(found is None, shown, f"shows {what}")


# --- ERR-3: a probe a row of the error table ---


def _row(status: int, issue_type: str, spine_code: str) -> str:
    return f"{status} {issue_type} {spine_code}"


@probe("ERR-3", "codes-400-structure", _row(400, "structure", "MESSAGE_NOT_WELL_FORMED"))
def codes_400_structure(trial: Trial) -> None:
    """Not JSON, not UTF-8, NaN, a name twice, nested too deep."""
    held = trial.resource()
    deep = b'{"extension":' * 1000 + b"{}" + b"}" * 1000
    twice = b'{"resourceType":"List","resourceType":"List"}'
    for body in (b'{"resourceType":', b'{"a":"\xff"}', b'{"a":NaN}', twice, deep):
        answer = trial.put(held, body, if_match=held.tag)
        trial.expect_codes(answer, 400, "structure", "MESSAGE_NOT_WELL_FORMED")


@probe("ERR-3", "codes-400-invalid", _row(400, "invalid", "BAD_REQUEST"))
def codes_400_invalid(trial: Trial) -> None:
    """Ids that disagree."""
    held = trial.resource()
    answer = trial.put(held, trial.changed(held) | {"id": trial.unknown_id()}, if_match=held.tag)
    trial.expect_codes(answer, 400, "invalid", "BAD_REQUEST")


@probe("ERR-3", "codes-400-parameter", _row(400, "invalid", "BAD_REQUEST"), writes=False)
def codes_400_parameter(trial: Trial) -> None:
    """A parameter or an id that cannot be used."""
    for rest in ("?_count=many", "/not_an_id"):
        answer = trial.get(f"{trial.site.resource_type}{rest}")
        trial.expect_codes(answer, 400, "invalid", "BAD_REQUEST")


@probe("ERR-3", "codes-404", _row(404, "not-found", "NO_RECORD_FOUND"), writes=False)
def codes_404(trial: Trial) -> None:
    """No such resource."""
    answer = trial.get(f"{trial.site.resource_type}/{trial.unknown_id()}")
    trial.expect_codes(answer, 404, "not-found", "NO_RECORD_FOUND")


@probe("ERR-3", "codes-405", _row(405, "forbidden", "MSG_RESOURCE_ID_FAIL"))
def codes_405(trial: Trial) -> None:
    """The client tried to assign an id."""
    trial.expect_codes(_put_unknown(trial), 405, "forbidden", "MSG_RESOURCE_ID_FAIL")


@probe("ERR-3", "codes-406", _row(406, "not-supported", "UNSUPPORTED_MEDIA_TYPE"), writes=False)
def codes_406(trial: Trial) -> None:
    """Another format is asked for than FHIR JSON."""
    answer = trial.get(trial.resource(change=False).path, accept="text/csv")
    trial.expect_codes(answer, 406, "not-supported", "UNSUPPORTED_MEDIA_TYPE")


@probe("ERR-3", "codes-409", _row(409, "conflict", "RESOURCE_VERSION_MISMATCH"))
def codes_409(trial: Trial) -> None:
    """A stale version."""
    held, stale = trial.overtaken()
    answer = trial.put(held, if_match=stale)
    trial.expect_codes(answer, 409, "conflict", "RESOURCE_VERSION_MISMATCH")


@probe("ERR-3", "codes-412", _row(412, "structure", "PRECONDITION_FAILED"))
def codes_412(trial: Trial) -> None:
    """``If-Match`` is missing or malformed."""
    held = trial.resource()
    for if_match in (None, "*"):
        answer = trial.put(held, if_match=if_match)
        trial.expect_codes(answer, 412, "structure", "PRECONDITION_FAILED")


@probe("ERR-3", "codes-413", _row(413, "too-long", "BAD_REQUEST"))
def codes_413(trial: Trial) -> None:
    """A body over 5 MiB; stale besides, so that an endpoint without a limit does not store it."""
    held = trial.resource()
    answer = trial.put(held, b" " * (_BODY_LIMIT + 1), if_match=MADE_UP_VERSION)
    trial.expect_codes(answer, 413, "too-long", "BAD_REQUEST")


@probe("ERR-3", "codes-415", _row(415, "not-supported", "UNSUPPORTED_MEDIA_TYPE"))
def codes_415(trial: Trial) -> None:
    """The body is not FHIR JSON, by its ``Content-Type``."""
    held = trial.resource()
    answer = trial.put(held, b"status=current", if_match=held.tag, content_type="text/plain")
    trial.expect_codes(answer, 415, "not-supported", "UNSUPPORTED_MEDIA_TYPE")


@probe("ERR-3", "codes-422", _row(422, "invalid", "INVALID_RESOURCE"))
def codes_422(trial: Trial) -> None:
    """JSON, but no valid resource of its type."""
    held = trial.resource()
    answer = trial.put(held, trial.changed(held) | {"colour": "green"}, if_match=held.tag)
    trial.expect_codes(answer, 422, "invalid", "INVALID_RESOURCE")


@probe("ERR-3", "codes-501", _row(501, "not-supported", "NOT_IMPLEMENTED"), writes=False)
def codes_501(trial: Trial) -> None:
    """An interaction that is not offered."""
    if trial.site.lists("history-instance"):
        raise Untestable("The interaction that could be tried, _history, is listed.")
    answer = trial.get(f"{trial.resource(change=False).path}/_history")
    trial.expect_codes(answer, 501, "not-supported", "NOT_IMPLEMENTED")


def _raw_issues(answer: Exchange) -> list[dict[str, Any]]:
    found = answer.resource
    issues = found.get("issue") if isinstance(found, dict) else None
    return [issue for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) else []


def _spine_coding(issue: dict[str, Any]) -> dict[str, Any]:
    details = issue.get("details")
    codings = details.get("coding") if isinstance(details, dict) else None
    for coding in codings if isinstance(codings, list) else []:
        if isinstance(coding, dict) and coding.get("system") == CODE_SYSTEM:
            return coding
    return {}
