"""Probes of refusals: the OperationOutcome, its codes, and what it must not show.

Promises ERR-1 to ERR-4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from workbench.conformance.probe import UNUSED_ETAG, Chapter, ProbeRun
from workbench.conformance.probes.update import put_to_unused_id
from workbench.conformance.responses import body, etag_value, header, json_objects, summary
from workbench.conformance.under_check import Untestable
from workbench.exchange.message import Exchange
from workbench.fhir.outcome import Issue

chapter: Final = Chapter()

PROFILE: Final = "https://fhir.nhs.uk/STU3/StructureDefinition/Spine-OperationOutcome-1"
CODE_SYSTEM: Final = "https://fhir.nhs.uk/STU3/CodeSystem/Spine-ErrorOrWarningCode-1"

# fmt: off
_ISSUE_TYPES: Final = frozenset((
    "invalid", "structure", "required", "value", "invariant", "security", "login", "unknown",
    "expired", "forbidden", "suppressed", "processing", "not-supported", "duplicate", "not-found",
    "too-long", "code-invalid", "extension", "too-costly", "business-rule", "conflict",
    "incomplete", "transient", "lock-error", "no-store", "exception", "timeout", "throttled",
    "informational",
))
# fmt: on
"""FHIR STU3's issue types (value set issue-type)."""

_BODY_LIMIT: Final = 5 * 1024 * 1024

_INTERNALS: Final = {
    "a stack trace": re.compile(
        r"Traceback \(most recent call|^\s+at [\w.$<>]+\(|\.(?:java|py|cs|js|go|rb):\d+", re.MULTILINE
    ),
    "a path of the server": re.compile(
        r"(?<![\w./:-])/(?:home|root|usr|var|opt|srv|etc|tmp|app|work)/[\w.-]|\b[A-Z]:\\\w"
    ),
    "SQL": re.compile(r"\b(?:SELECT .+ FROM|UPDATE \w+ SET|INSERT INTO|DELETE FROM)\b|sqlite3?\.|psycopg|SQLSTATE"),
    "a name of the code": re.compile(r"\b(?:org|com|net)\.[a-z]\w+\.[\w.]*[A-Z]\w+|site-packages|node_modules"),
}


# --- ERR-1 and ERR-2: every refusal that can be provoked ---


def _refusals(run: ProbeRun) -> list[Exchange]:
    """Send requests of many kinds that are to be refused; return those that were."""
    refused = [response for response in _provoke(run) if response.status is not None and response.status >= 400]
    if not refused:
        raise Untestable("Nothing that was tried was refused.")
    return refused


def _provoke(run: ProbeRun) -> Iterator[Exchange]:
    kind = run.endpoint.resource_type
    yield run.get(f"{kind}/{run.unused_id()}")
    yield run.get(f"{kind}?no-such-parameter=1")
    yield run.get(f"{kind}/not_an_id")
    yield run.get(f"{kind}/{run.unused_id()}/_history")
    if run.may_change:
        held, stale = run.resource_and_stale_etag()
        yield run.put(held, if_match=None)
        yield run.put(held, if_match=stale)
        yield run.put(held, b'{"resourceType":', if_match=held.etag)
        yield run.put(held, run.changed(held) | {"colour": "green"}, if_match=held.etag)
        yield run.put(held, b"status=current", if_match=held.etag, content_type="text/plain")
        yield put_to_unused_id(run, run.unused_path(), UNUSED_ETAG)


def _issues(response: Exchange) -> tuple[Issue, ...]:
    return response.outcome.issues if response.outcome else ()


# Each of these returns what deviates in one refusal, and nothing where nothing does.


def _no_outcome(response: Exchange) -> str:
    return "" if _issues(response) else "carries no OperationOutcome"


def _not_fhir_json(response: Exchange) -> str:
    kind = header(response, "Content-Type").partition(";")[0].strip().lower()
    return "" if kind == "application/fhir+json" else f"has Content-Type {kind or '(none)'}"


def _not_the_profile(response: Exchange) -> str:
    outcome = response.resource
    meta = outcome.get("meta") if isinstance(outcome, dict) else None
    profile = meta.get("profile") if isinstance(meta, dict) else None
    return "" if profile == [PROFILE] else f"names the profile {profile}"


def _not_errors(response: Exchange) -> str:
    severities = {issue.severity for issue in _issues(response)}
    return "" if severities == {"error"} else f"has severity {', '.join(sorted(severities)) or '(none)'}"


def _no_issue_type(response: Exchange) -> str:
    codes = {issue.code for issue in _issues(response)} or {"(none)"}
    return "" if codes <= _ISSUE_TYPES else f"has the issue type {', '.join(sorted(codes))}"


def _no_spine_code(response: Exchange) -> str:
    outcome = response.resource
    issues = json_objects(outcome.get("issue") if isinstance(outcome, dict) else None)
    complete = bool(issues)
    for issue in issues:
        details = issue.get("details")
        codings = json_objects(details.get("coding") if isinstance(details, dict) else None)
        coding: dict[str, Any] = next((each for each in codings if each.get("system") == CODE_SYSTEM), {})
        complete = complete and bool(coding.get("code") and coding.get("display"))
    return "" if complete else "has no code and display of Spine's"


def _no_diagnostics(response: Exchange) -> str:
    texts = [issue.diagnostics.strip() for issue in _issues(response)]
    return "" if texts and all(texts) else "has no diagnostics"


def _expect_of_every_refusal(run: ProbeRun, *, deviation: Callable[[Exchange], str], answer: str) -> None:
    for response in _refusals(run):
        observed = deviation(response)
        run.expect(not observed, f"the {response.status} to {response.request.method} {observed}", answer)


_EVERY: Final = "in every issue of every refusal"

for _promise, _name, _expected, _tries, _deviation, _answer in (
    (
        "ERR-1",
        "refusals-are-outcomes",
        "an OperationOutcome with an issue, in every refusal",
        "Refusals of many kinds: their bodies.",
        _no_outcome,
        "no OperationOutcome",
    ),
    (
        "ERR-1",
        "refusals-are-fhir-json",
        "Content-Type application/fhir+json, on every refusal",
        "Refusals of many kinds: their Content-Type.",
        _not_fhir_json,
        "another Content-Type",
    ),
    (
        "ERR-1",
        "refusals-have-the-profile",
        f"meta.profile {PROFILE}, in every refusal",
        "Refusals of many kinds: the profile of their OperationOutcome.",
        _not_the_profile,
        "not the profile",
    ),
    (
        "ERR-2",
        "issues-are-errors",
        f"severity error, {_EVERY}",
        "Refusals of many kinds: the severity of their issues.",
        _not_errors,
        "another severity",
    ),
    (
        "ERR-2",
        "issues-have-a-type",
        f"a code of FHIR's issue types, {_EVERY}",
        "Refusals of many kinds: the type of their issues.",
        _no_issue_type,
        "no issue type",
    ),
    (
        "ERR-2",
        "issues-have-a-spine-code",
        f"a code and its display of {CODE_SYSTEM}",
        "Refusals of many kinds: the Spine code of their issues.",
        _no_spine_code,
        "no Spine code",
    ),
    (
        "ERR-2",
        "issues-say-what-was-wrong",
        f"diagnostics: a text, {_EVERY}",
        "Refusals of many kinds: the diagnostics of their issues.",
        _no_diagnostics,
        "no diagnostics",
    ),
):
    chapter.row(
        _promise,
        _name,
        _expected,
        _tries,
        partial(_expect_of_every_refusal, deviation=_deviation, answer=_answer),
        writes=False,
    )


@chapter.probe(
    "ERR-2", "diagnostics-of-this-request", "diagnostics that name the version sent or the one that is current"
)
def diagnostics_of_this_request(run: ProbeRun) -> None:
    """A stale update: its diagnostics are about this request."""
    held, stale = run.resource_and_stale_etag()
    response = run.put(held, if_match=stale)
    if not _issues(response):
        raise Untestable(f"A stale update was answered {summary(response)}, without an OperationOutcome.")
    diagnostics = " ".join(issue.diagnostics for issue in _issues(response))
    named = any(version and version in diagnostics for version in (etag_value(stale), held.version_id))
    observed = f"the diagnostics name neither version: {diagnostics[:80]}"
    run.expect(named, observed, "diagnostics of no request")


@chapter.probe("ERR-4", "nothing-of-the-inside", "no stack trace, no path of the server, no SQL", writes=False)
def nothing_of_the_inside(run: ProbeRun) -> None:
    """Refusals of many kinds, and requests that look like attacks."""
    kind = run.endpoint.resource_type
    attacks = ["%27%20OR%201=1--", "%00", "a%2F..%2F..%2Fetc", "$" * 70]
    paths = [f"{kind}/{text}" for text in attacks]
    paths += [f"{kind}?_id='{text}&_count=-1&_lastUpdated=never" for text in attacks[:2]]
    # An attack without a response shows nothing either, so it is no deviation.
    for response in _refusals(run) + [run.client.send("GET", path) for path in paths]:
        text = body(response).decode("utf-8", errors="replace")
        for name, pattern in _INTERNALS.items():
            found = pattern.search(text)
            shown = found[0][:60] if found else ""
            observed = f"the {response.status} to {response.request.method} shows {name}: {shown}"
            run.expect(found is None, observed, f"shows {name}")


# --- ERR-3: a probe for each row of the contract's error table ---

_DEEP: Final = b'{"extension":' * 1000 + b"{}" + b"}" * 1000
_NAME_TWICE: Final = b'{"resourceType":"List","resourceType":"List"}'


def _malformed(run: ProbeRun) -> Iterator[Exchange]:
    held = run.resource()
    for content in (b'{"resourceType":', b'{"a":"\xff"}', b'{"a":NaN}', _NAME_TWICE, _DEEP):
        yield run.put(held, content, if_match=held.etag)


def _mismatched(run: ProbeRun) -> Iterator[Exchange]:
    held = run.resource()
    yield run.put(held, run.changed(held) | {"id": run.unused_id()}, if_match=held.etag)


def _unusable_queries(run: ProbeRun) -> Iterator[Exchange]:
    yield run.get(f"{run.endpoint.resource_type}?_count=many")
    yield run.get(f"{run.endpoint.resource_type}/not_an_id")


def _not_there(run: ProbeRun) -> Iterator[Exchange]:
    yield run.get(f"{run.endpoint.resource_type}/{run.unused_id()}")


def _assigned_by_client(run: ProbeRun) -> Iterator[Exchange]:
    yield put_to_unused_id(run, run.unused_path(), UNUSED_ETAG)


def _csv_accepted(run: ProbeRun) -> Iterator[Exchange]:
    yield run.get(run.resource(change=False).path, accept="text/csv")


def _stale(run: ProbeRun) -> Iterator[Exchange]:
    held, stale = run.resource_and_stale_etag()
    yield run.put(held, if_match=stale)


def _unguarded(run: ProbeRun) -> Iterator[Exchange]:
    held = run.resource()
    yield run.put(held, if_match=None)
    yield run.put(held, if_match="*")


def _too_large(run: ProbeRun) -> Iterator[Exchange]:
    held = run.resource()
    # The version is stale too, so that an endpoint without a limit does not store the body.
    yield run.put(held, b" " * (_BODY_LIMIT + 1), if_match=UNUSED_ETAG)


def _plain_text(run: ProbeRun) -> Iterator[Exchange]:
    held = run.resource()
    yield run.put(held, b"status=current", if_match=held.etag, content_type="text/plain")


def _not_valid(run: ProbeRun) -> Iterator[Exchange]:
    held = run.resource()
    yield run.put(held, run.changed(held) | {"colour": "green"}, if_match=held.etag)


def _history(run: ProbeRun) -> Iterator[Exchange]:
    if run.endpoint.lists("history-instance"):
        raise Untestable("The interaction that could be tried, _history, is listed.")
    yield run.get(f"{run.resource(change=False).path}/_history")


def _expect_row(
    run: ProbeRun, *, requests: Callable[[ProbeRun], Iterator[Exchange]], status: int, issue_type: str, code: str
) -> None:
    for response in requests(run):
        run.expect_codes(response, status, issue_type, code)


_READS: Final = ("codes-400-parameter", "codes-404", "codes-406", "codes-501")

for _name, _status, _type, _code, _tries, _requests in (
    (
        "codes-400-structure",
        400,
        "structure",
        "MESSAGE_NOT_WELL_FORMED",
        "Bodies that are not JSON, not UTF-8, have NaN, a name twice, or are nested too deep.",
        _malformed,
    ),
    ("codes-400-invalid", 400, "invalid", "BAD_REQUEST", "A body with another id than the URL.", _mismatched),
    (
        "codes-400-parameter",
        400,
        "invalid",
        "BAD_REQUEST",
        "An unusable parameter and an unusable id.",
        _unusable_queries,
    ),
    ("codes-404", 404, "not-found", "NO_RECORD_FOUND", "A read of an id that was never assigned.", _not_there),
    ("codes-405", 405, "forbidden", "MSG_RESOURCE_ID_FAIL", "An id that the client assigned.", _assigned_by_client),
    ("codes-406", 406, "not-supported", "UNSUPPORTED_MEDIA_TYPE", "A read that accepts CSV only.", _csv_accepted),
    ("codes-409", 409, "conflict", "RESOURCE_VERSION_MISMATCH", "A stale update.", _stale),
    ("codes-412", 412, "structure", "PRECONDITION_FAILED", "Updates without If-Match, and with a star.", _unguarded),
    ("codes-413", 413, "too-long", "BAD_REQUEST", "A body over 5 MiB.", _too_large),
    ("codes-415", 415, "not-supported", "UNSUPPORTED_MEDIA_TYPE", "A body with Content-Type text/plain.", _plain_text),
    ("codes-422", 422, "invalid", "INVALID_RESOURCE", "JSON that is no valid resource of its type.", _not_valid),
    (
        "codes-501",
        501,
        "not-supported",
        "NOT_IMPLEMENTED",
        "The history of a resource, which is not offered.",
        _history,
    ),
):
    chapter.row(
        "ERR-3",
        _name,
        f"{_status} {_type} {_code}",
        _tries,
        partial(_expect_row, requests=_requests, status=_status, issue_type=_type, code=_code),
        writes=_name not in _READS,
    )
