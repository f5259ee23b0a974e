"""Probes of refusals: the OperationOutcome, its codes, and what it must not show.

Promises ERR-1 to ERR-5 and UPD-17.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Final, TypeAlias

from workbench.conformance.probe import UNUSED_ETAG, Chapter, HeldResource, ProbeRun
from workbench.conformance.probes.update import put_to_unused_id
from workbench.conformance.responses import (
    body,
    etag_value,
    header,
    json_object,
    json_objects,
    same_except_meta,
    state_of,
    summary,
)
from workbench.conformance.under_check import Untestable
from workbench.exchange.message import Exchange
from workbench.fhir import json
from workbench.fhir.outcome import Issue
from workbench.fhir.resource import LOGICAL_ID, without_version

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

_EVERY: Final = "in every issue of every refusal"
_Requests: TypeAlias = Callable[[ProbeRun], Iterator[Exchange]]
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


def _every_refusal(
    promise: str, expected: str, answer: str
) -> Callable[[Callable[[Exchange], str]], Callable[[Exchange], str]]:
    """Make a probe of a function that returns what deviates in one refusal, and nothing where nothing does."""

    def add(deviation: Callable[[Exchange], str]) -> Callable[[Exchange], str]:
        @wraps(deviation)
        def attempt(run: ProbeRun) -> None:
            for response in _refusals(run):
                observed = deviation(response)
                run.expect(not observed, f"the {response.status} to {response.request.method} {observed}", answer)

        chapter.probe(promise, expected)(attempt)
        return deviation

    return add


@_every_refusal("ERR-1", "an OperationOutcome with an issue, in every refusal", "no OperationOutcome")
def refusals_are_outcomes(response: Exchange) -> str:
    """Refusals of many kinds: their bodies."""
    return "" if _issues(response) else "carries no OperationOutcome"


@_every_refusal("ERR-1", "Content-Type application/fhir+json, on every refusal", "another Content-Type")
def refusals_are_fhir_json(response: Exchange) -> str:
    """Refusals of many kinds: their Content-Type."""
    kind = header(response, "Content-Type").partition(";")[0].strip().lower()
    return "" if kind == "application/fhir+json" else f"has Content-Type {kind or '(none)'}"


@_every_refusal("ERR-1", f"meta.profile {PROFILE}, in every refusal", "not the profile")
def refusals_have_the_profile(response: Exchange) -> str:
    """Refusals of many kinds: the profile of their OperationOutcome."""
    profile = json_object(json_object(response.resource).get("meta")).get("profile")
    return "" if profile == [PROFILE] else f"names the profile {profile}"


@_every_refusal("ERR-2", f"severity error, {_EVERY}", "another severity")
def issues_are_errors(response: Exchange) -> str:
    """Refusals of many kinds: the severity of their issues."""
    severities = {issue.severity for issue in _issues(response)}
    return "" if severities == {"error"} else f"has severity {', '.join(sorted(severities)) or '(none)'}"


@_every_refusal("ERR-2", f"a code of FHIR's issue types, {_EVERY}", "no issue type")
def issues_have_a_type(response: Exchange) -> str:
    """Refusals of many kinds: the type of their issues."""
    codes = {issue.code for issue in _issues(response)} or {"(none)"}
    return "" if codes <= _ISSUE_TYPES else f"has the issue type {', '.join(sorted(codes))}"


@_every_refusal("ERR-2", f"a code and its display of {CODE_SYSTEM}", "no Spine code")
def issues_have_a_spine_code(response: Exchange) -> str:
    """Refusals of many kinds: the Spine code of their issues."""
    issues = json_objects(json_object(response.resource).get("issue"))
    complete = bool(issues)
    for issue in issues:
        codings = json_objects(json_object(issue.get("details")).get("coding"))
        coding: dict[str, Any] = next((each for each in codings if each.get("system") == CODE_SYSTEM), {})
        complete = complete and bool(coding.get("code") and coding.get("display"))
    return "" if complete else "has no code and display of Spine's"


@_every_refusal("ERR-2", f"diagnostics: a text, {_EVERY}", "no diagnostics")
def issues_say_what_was_wrong(response: Exchange) -> str:
    """Refusals of many kinds: the diagnostics of their issues."""
    texts = [issue.diagnostics.strip() for issue in _issues(response)]
    return "" if texts and all(texts) else "has no diagnostics"


@chapter.probe("ERR-2", "diagnostics that name the version sent or the one that is current")
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


@chapter.probe("ERR-4", "no stack trace, no path of the server, no SQL")
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


@_every_refusal("ERR-5", "an id, in the OperationOutcome of every refusal", "no id")
def outcomes_have_an_id(response: Exchange) -> str:
    """Refusals of many kinds: the id of their OperationOutcome."""
    logical_id = json_object(response.resource).get("id")
    is_fhir_id = isinstance(logical_id, str) and LOGICAL_ID.fullmatch(logical_id)
    return "" if is_fhir_id else f"carries an OperationOutcome with the id {logical_id}"


# --- UPD-17: a refusal changes nothing ---


def _refused_writes(run: ProbeRun, held: HeldResource, stale: str | None) -> Iterator[Exchange]:
    """Send writes that are to be refused, each for another reason and with another content; yield the exchanges."""
    path, current = held.path, held.etag

    def put(members: dict[str, Any] | None = None, *, if_match: str | None = current, **fields: str) -> Exchange:
        return run.put(held, run.changed(held) | (members or {}), if_match=if_match, **fields)

    yield put(if_match=stale)
    yield put(if_match=UNUSED_ETAG)
    yield put(if_match=None)
    yield put(if_match="*")
    yield put(if_match=held.version_id)
    yield put({"id": run.unused_id()})
    yield put({"colour": "green"})
    yield put({"language": 5})
    yield put(content_type="text/plain")
    yield put(content_type="application/fhir+xml")
    yield put(content_encoding="br")
    yield put(content_encoding="gzip")
    yield put(accept="text/csv")
    yield put(if_none_match="*")
    yield run.put(held, json.dumps(run.changed(held)).encode()[:-1], if_match=current)
    yield run.put(held, json.dumps(run.changed(held)).encode() + b"}", if_match=current)
    headers = {"If-Match": current}
    yield run.send("PUT", f"{path}?no-such-parameter=1", headers=headers, body=run.changed(held))
    yield run.send("PUT", f"{path}?_format=xml", headers=headers, body=run.changed(held))
    yield run.send("PUT", f"{path}/_history/1", headers=headers, body=run.changed(held))
    yield run.send("POST", path, headers=headers, body=run.changed(held))
    yield run.send("DELETE", path, headers={"If-Match": stale})
    yield run.send("DELETE", path)


def _accepted(response: Exchange) -> bool:
    return response.status is not None and response.status < 400


@chapter.probe("UPD-17", "a read over another connection shows the same body, ETag and Last-Modified after each")
def refusals_change_nothing(run: ProbeRun) -> None:
    """Writes that are refused for many reasons, and a read after each."""
    held, stale = run.resource_and_stale_etag()
    before, other = held.state, run.another_client("check, second connection")
    for response in _refused_writes(run, held, stale):
        after = state_of(run.send("GET", held.path, client=other))
        if not _accepted(response):
            names = ("status", "body", "ETag", "Last-Modified")
            pairs = zip(names, before, after, strict=True)
            differing = ", ".join(name for name, earlier, later in pairs if earlier != later)
            observed = f"{summary(response)} to {response.request.method}, and a read shows another {differing}"
            run.expect(not differing, observed, "changed")
        before = after


@chapter.probe("UPD-17", "after many refusals updates are stored as sent, and what was refused never appears")
def refused_never_applied(run: ProbeRun) -> None:
    """Writes that are refused for many reasons; then accepted updates and reads."""
    held, stale = run.resource_and_stale_etag()
    content = without_version(held.read.resource)
    for response in _refused_writes(run, held, stale):
        if _accepted(response):  # not refused here, so what it sent may be stored
            content = run.read(held.path).content
    for _ in range(5):
        now = run.read(held.path)
        run.expect(same_except_meta(now.content, content), "a read shows what was not accepted", "applied later")
        content = run.changed(held)
        run.expect_status(run.put(held, content, if_match=now.etag), 200)


# --- ERR-3: a probe for each row of the contract's error table ---

_DEEP: Final = b'{"extension":' * 1000 + b"{}" + b"}" * 1000
_NAME_TWICE: Final = b'{"resourceType":"List","resourceType":"List"}'


def _codes(status: int, issue_type: str, code: str) -> Callable[[_Requests], _Requests]:
    """Make a probe of a function that sends requests. Each is to be refused with this status and these codes."""

    def add(requests: _Requests) -> _Requests:
        @wraps(requests)
        def attempt(run: ProbeRun) -> None:
            for response in requests(run):
                run.expect_codes(response, status, issue_type, code)

        chapter.probe("ERR-3", f"{status} {issue_type} {code}")(attempt)
        return requests

    return add


@_codes(400, "structure", "MESSAGE_NOT_WELL_FORMED")
def codes_400_structure(run: ProbeRun) -> Iterator[Exchange]:
    """Bodies that are not JSON, not UTF-8, have NaN, a name twice, or are nested too deep."""
    held = run.resource()
    for content in (b'{"resourceType":', b'{"a":"\xff"}', b'{"a":NaN}', _NAME_TWICE, _DEEP):
        yield run.put(held, content, if_match=held.etag)


@_codes(400, "invalid", "BAD_REQUEST")
def codes_400_invalid(run: ProbeRun) -> Iterator[Exchange]:
    """A body with another id than the URL."""
    held = run.resource()
    yield run.put(held, run.changed(held) | {"id": run.unused_id()}, if_match=held.etag)


@_codes(400, "invalid", "BAD_REQUEST")
def codes_400_parameter(run: ProbeRun) -> Iterator[Exchange]:
    """An unusable parameter and an unusable id."""
    yield run.get(f"{run.endpoint.resource_type}?_count=many")
    yield run.get(f"{run.endpoint.resource_type}/not_an_id")


@_codes(404, "not-found", "NO_RECORD_FOUND")
def codes_404(run: ProbeRun) -> Iterator[Exchange]:
    """A read of an id that was never assigned."""
    yield run.get(f"{run.endpoint.resource_type}/{run.unused_id()}")


@_codes(405, "forbidden", "MSG_RESOURCE_ID_FAIL")
def codes_405(run: ProbeRun) -> Iterator[Exchange]:
    """An id that the client assigned."""
    yield put_to_unused_id(run, run.unused_path(), UNUSED_ETAG)


@chapter.probe("ERR-3", "405 with Allow (RFC 9110, section 15.5.6)")
def allow_on_405(run: ProbeRun) -> None:
    """The header fields of a 405."""
    response = put_to_unused_id(run, run.unused_path(), UNUSED_ETAG)
    run.expect_status(response, 405)
    run.expect("Allow" in _fields(response), "405 without Allow", "405, no Allow")


def _fields(response: Exchange) -> set[str]:
    return {name.title() for name, _ in response.response.headers.items()} if response.response else set()


@_codes(406, "not-supported", "UNSUPPORTED_MEDIA_TYPE")
def codes_406(run: ProbeRun) -> Iterator[Exchange]:
    """A read that accepts CSV only."""
    yield run.get(run.resource(change=False).path, accept="text/csv")


@_codes(409, "conflict", "RESOURCE_VERSION_MISMATCH")
def codes_409(run: ProbeRun) -> Iterator[Exchange]:
    """A stale update."""
    held, stale = run.resource_and_stale_etag()
    yield run.put(held, if_match=stale)


@_codes(412, "structure", "PRECONDITION_FAILED")
def codes_412(run: ProbeRun) -> Iterator[Exchange]:
    """Updates without If-Match, and with a star."""
    held = run.resource()
    yield run.put(held, if_match=None)
    yield run.put(held, if_match="*")


@_codes(413, "too-long", "BAD_REQUEST")
def codes_413(run: ProbeRun) -> Iterator[Exchange]:
    """A body over 5 MiB."""
    # The version is stale too, so that an endpoint without a limit does not store the body.
    yield run.put(run.resource(), b" " * (_BODY_LIMIT + 1), if_match=UNUSED_ETAG)


@_codes(415, "not-supported", "UNSUPPORTED_MEDIA_TYPE")
def codes_415(run: ProbeRun) -> Iterator[Exchange]:
    """A body with Content-Type text/plain."""
    held = run.resource()
    yield run.put(held, b"status=current", if_match=held.etag, content_type="text/plain")


@_codes(422, "invalid", "INVALID_RESOURCE")
def codes_422(run: ProbeRun) -> Iterator[Exchange]:
    """JSON that is no valid resource of its type."""
    held = run.resource()
    yield run.put(held, run.changed(held) | {"colour": "green"}, if_match=held.etag)


@_codes(501, "not-supported", "NOT_IMPLEMENTED")
def codes_501(run: ProbeRun) -> Iterator[Exchange]:
    """The history of a resource, which is not offered."""
    if run.endpoint.lists("history-instance"):
        raise Untestable("The interaction that could be tried, _history, is listed.")
    yield run.get(f"{run.resource(change=False).path}/_history")
