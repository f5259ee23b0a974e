"""Probes of what request headers ask for: ``Prefer``, the formats and codings, and the headers that Spine demands.

Promises PRF-1 to PRF-5, FMT-1 to FMT-3 and HDR-1 to HDR-5.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any, Final

from workbench.conformance.probe import Chapter, Deviation, HeldResource, ProbeRun
from workbench.conformance.responses import (
    body,
    etag_value,
    header,
    json_object,
    meta_text,
    same_except_meta,
    second_of,
    summary,
    version_id,
)
from workbench.conformance.under_check import Untestable
from workbench.exchange.message import Exchange, http_date
from workbench.fhir import json

chapter: Final = Chapter()

_EMPTY: Final = "an empty body"
_STORED: Final = "the content sent, with id, the versionId of the ETag and the lastUpdated of Last-Modified"

_FHIR_JSON: Final = "application/fhir+json"
_JSON_NAMES: Final = (_FHIR_JSON, "application/json+fhir", "application/json")
_JSON_WRITTEN: Final = "application/fhir+json;charset=utf-8"
_FHIR_XML: Final = "application/fhir+xml"
_LARGE_NARRATIVE: Final = 4000
_SMALLEST_COMPRESSED: Final = 1500
"""Bytes; an endpoint may leave a smaller body uncompressed."""

_SPINE_HEADERS: Final = ("Authorization", "fromASID", "toASID", "InteractionID", "TraceID")
_ANOTHER_ASID: Final = "000000000000"
_DEMANDED: Final = "400 MISSING_OR_INVALID_HEADER without it, and for one that is wrong"


# --- PRF-1 to PRF-5: the preferred response to an accepted write ---

_Expectation = Callable[[ProbeRun, Exchange, dict[str, Any]], None]


def _expect_after_update(run: ProbeRun, *, prefer: str | None, expect: _Expectation) -> None:
    held = run.resource()
    sent = run.changed(held)
    response = run.put(held, sent, if_match=held.etag, prefer=prefer)
    if response.status != 200:
        raise Untestable(
            f"It needs an accepted update, and one with the current ETag was answered {summary(response)}."
        )
    expect(run, response, sent)


def _expect_after_create(run: ProbeRun, *, prefer: str | None, expect: _Expectation) -> None:
    content, mark = run.endpoint.new_content()
    response = run.send("POST", run.endpoint.resource_type, headers={"Prefer": prefer}, body=content)
    if response.status != 201 or run.own(response, mark) is None:
        raise Untestable(f"It needs an accepted create, and one was answered {summary(response)}.")
    expect(run, response, content)


def _expect_empty(run: ProbeRun, response: Exchange, _sent: dict[str, Any]) -> None:
    kind = json_object(response.resource).get("resourceType", "something")
    run.expect(not body(response), f"{kind} in the body, {len(body(response))} bytes", "a body")


def _expect_representation(run: ProbeRun, response: Exchange, sent: dict[str, Any]) -> None:
    found = json_object(response.resource)
    run.expect(bool(found), "no resource in the body", "no resource")
    kind = found.get("resourceType")
    run.expect(kind == sent["resourceType"], f"a {kind} in the body", "another resource")
    run.expect(bool(found.get("id")), "the body has no id", "no id")
    as_sent = same_except_meta(found, {"id": found["id"]} | sent)
    run.expect(as_sent, "the body is not what was sent", "another content")
    stored = run.read(f"{kind}/{found['id']}").read.resource
    run.expect(json.same(found, stored), "a read shows another content than the body", "another content")
    same_version = version_id(response) == etag_value(header(response, "ETag"))
    run.expect(same_version, "versionId and ETag name different versions", "another version")
    updated, modified = meta_text(response, "lastUpdated"), header(response, "Last-Modified")
    same_second = second_of(updated) is not None and second_of(updated) == http_date(modified)
    run.expect(same_second, f"lastUpdated {updated}, Last-Modified {modified}", "another date")


def _expect_information(run: ProbeRun, response: Exchange, _sent: dict[str, Any]) -> None:
    if response.outcome is None:
        raise Deviation("no OperationOutcome in the body", "no OperationOutcome")
    issues = response.outcome.issues
    run.expect(len(issues) == 1, f"{len(issues)} issues", "several issues")
    (issue,) = issues
    informs = (issue.severity, issue.code) == ("information", "informational")
    run.expect(informs, f"{issue.severity}/{issue.code}", "another severity or type")
    code = "RESOURCE_CREATED" if response.request.method == "POST" else "RESOURCE_UPDATED"
    run.expect(issue.spine_code == code, f"the code {issue.spine_code!r}", "another code")


_MINIMAL: Final = "return=minimal"
_FULL: Final = "return=representation"
_OUTCOME: Final = "return=OperationOutcome"
_INFORMED: Final = "one issue, information/informational,"

for _promise, _name, _prefer, _write, _expect, _expected in (
    ("PRF-1", "prefer-nothing", None, _expect_after_update, _expect_empty, _EMPTY),
    ("PRF-1", "prefer-minimal", _MINIMAL, _expect_after_update, _expect_empty, _EMPTY),
    ("PRF-1", "prefer-nothing-create", None, _expect_after_create, _expect_empty, _EMPTY),
    ("PRF-2", "prefer-representation", _FULL, _expect_after_update, _expect_representation, _STORED),
    ("PRF-2", "prefer-representation-create", _FULL, _expect_after_create, _expect_representation, _STORED),
    ("PRF-3", "prefer-outcome", _OUTCOME, _expect_after_update, _expect_information, f"{_INFORMED} RESOURCE_UPDATED"),
    (
        "PRF-3",
        "prefer-outcome-create",
        _OUTCOME,
        _expect_after_create,
        _expect_information,
        f"{_INFORMED} RESOURCE_CREATED",
    ),
):
    _on = "a create" if _write is _expect_after_create else "an update"
    chapter.row(
        _promise, _name, _expected, f"{_prefer or 'No Prefer'}, on {_on}.", _write, prefer=_prefer, expect=_expect
    )


@chapter.probe("PRF-4", f"200 and {_EMPTY}")
def prefer_unknown(run: ProbeRun) -> None:
    """Preferences that no standard defines for an update."""
    held = run.resource()
    for prefer in ("return=everything", "handling=lenient", "brevity"):
        response = run.put(held, if_match=run.read(held.path).etag, prefer=prefer)
        run.expect_status(response, 200)
        _expect_empty(run, response, {})


@chapter.probe("PRF-5", "409 with an OperationOutcome of severity error, for every preference")
def prefer_on_error(run: ProbeRun) -> None:
    """Every preference, on a stale update."""
    held, stale = run.resource_and_stale_etag()
    for prefer in ("return=minimal", "return=representation", "return=OperationOutcome"):
        response = run.put(held, if_match=stale, prefer=prefer)
        refused = response.status is not None and 400 <= response.status < 500
        observed = f"{summary(response)} to a stale PUT with Prefer: {prefer}"
        run.expect(refused, observed, str(response.status))
        outcome = response.outcome
        severe = outcome is not None and all(issue.severity in ("error", "fatal") for issue in outcome.issues)
        observed = f"no OperationOutcome of severity error with Prefer: {prefer}"
        run.expect(severe, observed, "no OperationOutcome")


# --- FMT-1 and FMT-2: the formats ---


@chapter.probe("FMT-1", f"200 for Content-Type {', '.join(_JSON_NAMES)}")
def three_names_are_read(run: ProbeRun) -> None:
    """Updates under each of the three media types of FHIR JSON."""
    held = run.resource()
    for name in _JSON_NAMES:
        response = run.put(held, if_match=run.read(held.path).etag, content_type=name)
        observed = f"{response.status} to Content-Type {name}"
        run.expect(response.status == 200, observed, f"{response.status} to {name}")


@chapter.probe("FMT-1", f"Content-Type {_JSON_WRITTEN}")
def one_name_is_written(run: ProbeRun) -> None:
    """Reads that accept each of the three media types of FHIR JSON."""
    held = run.resource(change=False)
    for name in _JSON_NAMES:
        response = run.get(held.path, accept=name)
        run.expect_status(response, 200)
        written = header(response, "Content-Type")
        normal = written.replace(" ", "").lower()
        observed = f"Content-Type {written} for Accept {name}"
        run.expect(normal == _JSON_WRITTEN, observed, normal.partition(";")[0])


@chapter.probe("FMT-1", "415; body, ETag and Last-Modified stay as they are")
def xml_sent(run: ProbeRun) -> None:
    """An update with a body in XML."""
    held = run.resource()
    kind = held.resource_type
    content = f'<{kind} xmlns="http://hl7.org/fhir"><id value="{held.logical_id}"/></{kind}>'.encode()
    response = run.put(held, content, if_match=held.etag, content_type=_FHIR_XML)
    run.expect_refused(response, held, 415)


@chapter.probe("FMT-1", "406")
def xml_asked(run: ProbeRun) -> None:
    """A read that accepts XML only."""
    run.expect_status(run.get(run.resource(change=False).path, accept=_FHIR_XML), 406)


@chapter.probe("FMT-2", "200 in JSON for _format=json, although Accept asks for XML")
def format_allows(run: ProbeRun) -> None:
    """_format names JSON, and Accept names XML."""
    held = run.resource(change=False)
    for name in ("json", "application/fhir%2Bjson"):
        _expect_json(run, run.get(f"{held.path}?_format={name}", accept=_FHIR_XML))


@chapter.probe("FMT-2", "406 for _format=xml, although Accept asks for JSON")
def format_refuses(run: ProbeRun) -> None:
    """_format names XML, and Accept names JSON."""
    held = run.resource(change=False)
    run.expect_status(run.get(f"{held.path}?_format=xml", accept=_FHIR_JSON), 406)


@chapter.probe("FMT-2", "406 if the Content-Type of a request without Accept and _format is XML")
def content_type_decides(run: ProbeRun) -> None:
    """A request without Accept and _format, with a Content-Type."""
    held = run.resource(change=False)
    run.expect_status(run.get(held.path, accept=None, content_type=_FHIR_XML), 406)
    _expect_json(run, run.get(held.path, accept=None, content_type=_FHIR_JSON))


@chapter.probe("FMT-2", "200 in JSON if the request names no format")
def json_by_default(run: ProbeRun) -> None:
    """A read without Accept, _format and Content-Type."""
    _expect_json(run, run.get(run.resource(change=False).path, accept=None))


def _expect_json(run: ProbeRun, response: Exchange) -> None:
    run.expect_status(response, 200)
    run.expect(isinstance(response.resource, dict), "200, but no JSON resource", "no JSON")


# --- FMT-3: the codings ---


@chapter.probe("FMT-3", "Content-Encoding gzip, and the resource in it")
def gzip_asked(run: ProbeRun) -> None:
    """A read of a large resource with Accept-Encoding: gzip."""
    response = run.get(_large_resource(run).path, accept_encoding="gzip")
    run.expect_status(response, 200)
    coding = header(response, "Content-Encoding").lower()
    run.expect(coding == "gzip", f"Content-Encoding {coding or '(none)'}", coding or "not compressed")
    run.expect(isinstance(response.resource, dict), "what was compressed is no resource", "no resource")


@chapter.probe("FMT-3", "no Content-Encoding if none is accepted")
def gzip_not_asked(run: ProbeRun) -> None:
    """Reads of a large resource whose Accept-Encoding excludes gzip."""
    held = _large_resource(run)
    for accepted in ("identity", "gzip;q=0"):
        response = run.get(held.path, accept_encoding=accepted)
        run.expect_status(response, 200)
        coding = header(response, "Content-Encoding").lower()
        run.expect(coding in ("", "identity"), f"{coding} for Accept-Encoding {accepted}", coding)


@chapter.probe("FMT-3", "200 for a body in chunks, stored as sent")
def chunked_body(run: ProbeRun) -> None:
    """An update whose body is sent in chunks, without Content-Length."""
    held = run.resource()
    sent = run.changed(held)
    response = run.send("PUT", held.path, headers={"If-Match": held.etag}, body=sent, chunked=True)
    run.expect_status(response, 200)
    stored = run.read(held.path).content
    as_sent = all(stored.get(name) == sent[name] for name in sent if name != "meta")
    run.expect(as_sent, "200, not stored", "not stored")


@chapter.probe("FMT-3", "200 for a body in gzip, stored as sent")
def gzip_sent(run: ProbeRun) -> None:
    """An update whose body is compressed."""
    held = run.resource()
    sent = run.changed(held)
    packed = gzip.compress(json.dumps(sent).encode(), mtime=0)
    run.expect_status(run.put(held, packed, if_match=held.etag, content_encoding="gzip"), 200)
    run.expect(same_except_meta(run.read(held.path).content, sent), "200, not stored", "not stored")


@chapter.probe("FMT-3", "415 with Accept-Encoding: gzip; body, ETag and Last-Modified stay as they are")
def other_coding_sent(run: ProbeRun) -> None:
    """An update whose body says it has a coding other than gzip (RFC 9110, section 12.5.3)."""
    held = run.resource()
    response = run.put(held, if_match=held.etag, content_encoding="br")
    run.expect_refused(response, held, 415)
    accepted = header(response, "Accept-Encoding").lower()
    run.expect("gzip" in accepted, f"415 with Accept-Encoding {accepted or '(none)'}", "415, no Accept-Encoding")


def _large_resource(run: ProbeRun) -> HeldResource:
    """Return a resource that is large enough to be compressed."""
    if not run.may_change:
        held = run.resource(change=False)
        if len(body(held.read)) < _SMALLEST_COMPRESSED:
            raise Untestable("The resource is too small for an endpoint to compress, and may not be changed.")
        return held
    held = run.resource()
    words = "a long story " * (_LARGE_NARRATIVE // 13)
    text = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{words}</div>'}
    return run.updated(held, run.changed(held) | {"text": text})


# --- HDR-1 to HDR-5: the headers that a live Spine demands; tried only where the endpoint demands them ---


def _expect_demanded(run: ProbeRun, *, field: str, wrong: tuple[str, ...]) -> None:
    """Send a read without the header field, and with each wrong value. The connection adds the right value."""
    path = f"{run.endpoint.resource_type}?_count=1"
    bare = run.send("GET", path, headers=dict.fromkeys(_SPINE_HEADERS))
    if bare.status is not None and bare.status < 400:
        raise Untestable("The endpoint does not demand Spine's header fields.")
    run.expect_status(run.get(path), 200)
    for value in (None, *wrong):
        value = value and value.format(type=run.endpoint.resource_type)
        response = run.send("GET", path, headers={field: value})
        issue_type = "structure" if field == "Authorization" else "invalid"
        run.expect_codes(response, 400, issue_type, "MISSING_OR_INVALID_HEADER")
    if field == "toASID":
        response = run.send("GET", path, headers={field: _ANOTHER_ASID})
        run.expect_codes(response, 403, "forbidden", "ASID_CHECK_FAILED")


_WRITE: Final = "urn:nhs:names:services:raflags:{type}.write:1"
_OTHER: Final = "; 403 ASID_CHECK_FAILED for another endpoint's"

for _name, _field, _wrong, _what, _more in (
    ("authorization", "Authorization", ("Bearer no-token", "Basic bm86dG9rZW4="), "a token.", ""),
    ("from-asid", "fromASID", ("12345", "twelve-digit"), "the sender.", ""),
    ("to-asid", "toASID", ("12345", "twelve-digit"), "the endpoint itself.", _OTHER),
    (
        "interaction-id",
        "InteractionID",
        ("reading", _WRITE),
        "the interaction; that of a write is wrong for a read.",
        "",
    ),
    ("trace-id", "TraceID", ("12345",), "a UUID.", ""),
):
    chapter.row(
        f"HDR-{_SPINE_HEADERS.index(_field) + 1}",
        f"{_name}-demanded",
        f"{_DEMANDED}{_more}",
        f"{_field}: {_what}",
        _expect_demanded,
        field=_field,
        wrong=_wrong,
    )
