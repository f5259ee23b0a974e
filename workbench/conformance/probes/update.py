"""Probes of updates: what is stored and answered, which resource is meant, and what is not valid.

Promises UPD-1 to UPD-5, UPD-9 to UPD-12, UPD-14, UPD-16 and VAL-1.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from workbench.conformance.probe import UNUSED_ETAG, Chapter, Deviation, HeldResource, ProbeRun
from workbench.conformance.responses import (
    etag_value,
    header,
    json_object,
    json_objects,
    meta_text,
    same_except_meta,
    summary,
    version_id,
)
from workbench.conformance.under_check import TEMPLATES, Untestable
from workbench.exchange.message import Exchange, http_date
from workbench.fhir import json
from workbench.fhir.resource import without_version

chapter: Final = Chapter()

_PROFILE: Final = "https://fhir.nhs.uk/STU3/StructureDefinition/a-profile-of-a-check"
_EXTENSION: Final = "https://fhir.nhs.uk/STU3/StructureDefinition/an-extension-of-a-check"
_DECIMALS: Final = ("1.10", "0.500", "100.00", "12345678901234567.1234567890")
_NARRATIVE: Final = (
    '<div xmlns="http://www.w3.org/1999/xhtml"><p>Ωμέγα, naïve, 𝄞, “quoted”,  two  spaces &amp; an entity</p></div>'
)
_SENT_VERSION: Final = "99999999-9999"
_SENT_DATE: Final = "1999-12-31T23:59:59.000+00:00"
_OTHER_ID: Final = "00000000-0000-4000-8000-000000000000"
_UPDATES: Final = 6
_UNCHANGED: Final = "body, ETag and Last-Modified stay as they are"
_RARE_TYPES: Final = ("Linkage", "Basic", "Schedule", "TestScript", "Substance")
"""Types that few endpoints serve and that are about no patient."""


# --- UPD-1 and UPD-2: the update and its response ---


@chapter.probe("UPD-1", "200")
def update(run: ProbeRun) -> None:
    """An update with the current ETag."""
    _, held, sent = run.accepted_update()
    stored = run.read(held.path).content
    observed = "200, but a read shows another content than was sent"
    run.expect(same_except_meta(stored, sent), observed, "200, not stored")


@chapter.probe("UPD-2", "a Date that is an HTTP date")
def update_date(run: ProbeRun) -> None:
    """The response has a Date."""
    response, _, _ = run.accepted_update()
    _expect_date(run, response, "Date")


@chapter.probe("UPD-2", "a Last-Modified: the same as the next read's, and not earlier than before")
def update_last_modified(run: ProbeRun) -> None:
    """The response has the Last-Modified of the new version."""
    response, held, _ = run.accepted_update()
    moment = _expect_date(run, response, "Last-Modified")
    shown, later = header(response, "Last-Modified"), header(run.read(held.path).read, "Last-Modified")
    observed = f"Last-Modified is {shown}, and {later} on the next read"
    run.expect(later == shown, observed, "another Last-Modified")
    before = http_date(header(held.read, "Last-Modified"))
    run.expect(before is None or moment >= before, "Last-Modified went backwards", "Last-Modified backwards")


@chapter.probe("UPD-2", "an ETag: another than before, and the one the next read shows")
def update_etag(run: ProbeRun) -> None:
    """The response has the ETag of the new version."""
    response, held, _ = run.accepted_update()
    etag = header(response, "ETag")
    run.expect(bool(etag), "no ETag", "no ETag")
    run.expect(etag != header(held.read, "ETag"), "the ETag is the one from before the update", "same ETag")
    next_etag = header(run.read(held.path).read, "ETag")
    run.expect(etag == next_etag, "the next read shows another ETag", "another ETag")


@chapter.probe("UPD-2", "a Location: base/Type/id, absolute")
def update_location(run: ProbeRun) -> None:
    """The response has the Location of the resource."""
    response, held, _ = run.accepted_update()
    location, expected = header(response, "Location"), f"{run.client.base_url}/{held.path}"
    run.expect(bool(location), "no Location", "no Location")
    run.expect("://" in location, f"Location is relative: {location}", "relative Location")
    versioned = location.startswith(f"{expected}/_history/")
    run.expect(not versioned, "Location names the version too", "Location with the version")
    run.expect(location == expected, f"Location is {location}, not {expected}", "another Location")


def _expect_date(run: ProbeRun, response: Exchange, name: str) -> datetime:
    text = header(response, name)
    run.expect(bool(text), f"no {name}", f"no {name}")
    moment = http_date(text)
    if moment is None:
        raise Deviation(f"{name} is {text!r}, which is no HTTP date", f"unreadable {name}")
    return moment


# --- UPD-3, UPD-4 and UPD-14: the new version ---


@chapter.probe("UPD-3", f"{_UPDATES} updates, {_UPDATES + 1} different version ids, one resource id")
def versions_are_new(run: ProbeRun) -> None:
    """Each update makes a version id that was not used before, and keeps the resource id."""
    versions = run.versions(_UPDATES)
    for held in versions:
        logical_id = held.read.resource.get("id")
        run.expect(logical_id == held.logical_id, f"the resource says its id is {logical_id}", "another id")
    repeated = len(versions) - len({held.version_id for held in versions})
    observed = f"{repeated} of {_UPDATES} updates got a version id that had been used"
    run.expect(repeated == 0, observed, "version reused")


@chapter.probe("UPD-3", "after a refused update the ETag is the one from before")
def refusal_makes_no_version(run: ProbeRun) -> None:
    """A refused update makes no version; the version from before still updates."""
    held = run.resource()
    responses = [run.put(held, body, if_match=held.etag) for body in (b'{"resourceType":', b"[]")]
    if not all(response.status is not None and response.status >= 400 for response in responses):
        raise Untestable("The endpoint refuses nothing that was tried.")
    after = run.read(held.path)
    run.expect(after.version_id == held.version_id, "a refused update changed the version", "version changed")
    run.expect_status(run.put(held, if_match=held.etag), 200)


@chapter.probe("UPD-4", "200; versionId and lastUpdated are the endpoint's, not the body's")
def sent_version_is_overwritten(run: ProbeRun) -> None:
    """The body contains a versionId and a lastUpdated."""
    held = run.resource()
    meta = held.content.get("meta", {}) | {"versionId": _SENT_VERSION, "lastUpdated": _SENT_DATE}
    run.expect_status(run.put(held, run.changed(held) | {"meta": meta}, if_match=held.etag), 200)
    read = run.read(held.path).read
    sent_is_stored = _SENT_VERSION in (version_id(read), etag_value(header(read, "ETag")))
    run.expect(not sent_is_stored, "the version id of the body was stored", "versionId stored")
    date_is_stored = meta_text(read, "lastUpdated").startswith(_SENT_DATE[:10])
    run.expect(not date_is_stored, "the lastUpdated of the body was stored", "lastUpdated stored")


@chapter.probe("UPD-14", "200 and a new version")
def identical_content(run: ProbeRun) -> None:
    """An update with the content that is stored already."""
    held = run.updated(run.resource())
    run.expect_status(run.put(held, without_version(held.read.resource), if_match=held.etag), 200)
    after = run.read(held.path)
    run.expect(after.version_id != held.version_id, "200, and the version is the same", "200, same version")


# --- UPD-5: everything is stored as sent ---


@chapter.probe("UPD-5", "the members in the order sent, none added and none left out")
def stored_in_order(run: ProbeRun) -> None:
    """The members of the resource are sent in an unusual order."""
    held = run.resource()
    members = list(run.changed(held).items())
    first = [pair for pair in members if pair[0] in ("resourceType", "id", "meta")]
    sent = dict(first + sorted((pair for pair in members if pair not in first), reverse=True))
    stored = _stored(run, held, sent)
    run.expect(set(stored) >= set(sent), f"left out: {', '.join(set(sent) - set(stored))}", "members left out")
    run.expect(set(stored) <= set(sent), f"added: {', '.join(set(stored) - set(sent))}", "members added")
    run.expect(list(stored) == list(sent), "the members are in another order", "another order")
    run.expect(json.dumps(stored) == json.dumps(sent), "a value is different", "another content")


@chapter.probe("UPD-5", "each decimal digit for digit: 1.10 stays 1.10")
def decimals_keep_their_digits(run: ProbeRun) -> None:
    """Decimals with trailing zeros and with many digits."""
    held = run.resource()
    extensions = ",".join(f'{{"url":"{_EXTENSION}","valueDecimal":{digits}}}' for digits in _DECIMALS)
    stored = _stored(run, held, run.changed(held) | {"extension": json.parse(f"[{extensions}]")})
    shown = [json.dumps(entry.get("valueDecimal")) for entry in json_objects(stored.get("extension"))]
    observed = f"{', '.join(_DECIMALS)} came back as {', '.join(shown)}"
    run.expect(shown == list(_DECIMALS), observed, "other digits")


@chapter.probe("UPD-5", "the narrative to the letter: accents, spaces, entities, letters beyond 16 bits")
def text_stays(run: ProbeRun) -> None:
    """A narrative with accents, double spaces, an entity and a character beyond 16 bits."""
    held = run.resource()
    text = {"status": "generated", "div": _NARRATIVE}
    stored = _stored(run, held, run.changed(held) | {"text": text})
    run.expect(stored.get("text") == text, "the narrative came back changed", "another text")


@chapter.probe("UPD-5", "meta.profile as it was sent")
def profiles_stay(run: ProbeRun) -> None:
    """The body claims a profile in meta."""
    held = run.resource()
    meta = held.content.get("meta", {}) | {"profile": [_PROFILE]}
    shown = json_object(_stored(run, held, run.changed(held) | {"meta": meta}).get("meta")).get("profile")
    run.expect(shown == [_PROFILE], f"meta.profile is {json.dumps(shown)}", "profile lost")


def _stored(run: ProbeRun, held: HeldResource, sent: dict[str, Any]) -> dict[str, Any]:
    """Update with this content; return what a read shows, without its version."""
    run.expect_status(run.put(held, sent, if_match=held.etag), 200)
    return without_version(run.read(held.path).read.resource)


# --- UPD-9 to UPD-12: the resource that an update means ---


def _expect_mismatch_refused(run: ProbeRun, *, members: dict[str, Any]) -> None:
    """Send an update whose body has these members instead of the stored ones; ``None``: the member is left out."""
    held = run.resource()
    content = {name: value for name, value in (run.changed(held) | members).items() if value is not None}
    run.expect_refused(run.put(held, content, if_match=held.etag), held, 400)


for _name, _tries, _wrong in (
    ("id-missing", "The body has no id.", {"id": None}),
    ("id-differs", "The body has another id than the URL.", {"id": _OTHER_ID}),
    ("type-missing", "The body has no resourceType.", {"resourceType": None}),
):
    chapter.row("UPD-9", _name, f"400; {_UNCHANGED}", _tries, _expect_mismatch_refused, members=_wrong)


@chapter.probe("UPD-9", f"400; {_UNCHANGED}")
def type_differs(run: ProbeRun) -> None:
    """The body is a valid resource of another type."""
    held = run.resource()
    other = next(name for name in TEMPLATES if name != held.resource_type)
    content = TEMPLATES[other] | {"id": held.logical_id}
    run.expect_refused(run.put(held, content, if_match=held.etag), held, 400)


def put_to_unused_id(run: ProbeRun, path: str, if_match: str | None) -> Exchange:
    """Send a PUT to this path, which no resource has, with a body that fits it."""
    resource_type, _, logical_id = path.partition("/")
    template = TEMPLATES.get(resource_type) or run.resource(change=False).content
    content = {**template, "resourceType": resource_type, "id": logical_id}
    return run.send("PUT", path, headers={"If-Match": if_match}, body=content)


@chapter.probe("UPD-10", "405 MSG_RESOURCE_ID_FAIL; a read of that id then answers 404")
def unknown_id(run: ProbeRun) -> None:
    """An update of an id that was never assigned, with If-Match."""
    path = run.unused_path()
    response = put_to_unused_id(run, path, UNUSED_ETAG)
    after = run.get(path)
    run.expect_codes(response, 405, "forbidden", "MSG_RESOURCE_ID_FAIL")
    run.expect(after.status == 404, f"405, and a read of that id answers {after.status}", "405, yet created")


@chapter.probe("UPD-10", "no resource appears: a read of that id answers 404")
def unknown_id_without_version(run: ProbeRun) -> None:
    """An update of an id that was never assigned, without If-Match."""
    path = run.unused_path()
    response = put_to_unused_id(run, path, None)
    after = run.get(path)
    refused = response.status is not None and 400 <= response.status < 500
    run.expect(refused, f"{summary(response)} to PUT {run.endpoint.resource_type}/[id]", str(response.status))
    run.expect(after.status == 404, f"a read of that id answers {after.status}", "yet created")


@chapter.probe("UPD-11", "404; a read still answers 404")
def deleted(run: ProbeRun) -> None:
    """Updates of a deleted resource, with its last version and with one that never existed."""
    held = run.deleted()
    for etag in (held.etag, UNUSED_ETAG):
        response = run.put(held, if_match=etag)
        after = run.get(held.path)
        observed = f"{summary(response)} to the PUT, and a read answers {after.status}"
        run.expect(after.status in (404, 410), observed, "revived")
        run.expect_status(response, 404)


def _path_of_unlisted_type(run: ProbeRun) -> str:
    unlisted = [name for name in _RARE_TYPES if name not in run.endpoint.capabilities]
    if not run.endpoint.statement or not unlisted:
        raise Untestable("The CapabilityStatement lists every type that could be tried.")
    return f"{unlisted[0]}/{run.unused_id()}"


@chapter.probe("UPD-12", "501 NOT_IMPLEMENTED")
def type_not_listed(run: ProbeRun) -> None:
    """An update of a type that the CapabilityStatement does not list."""
    path = _path_of_unlisted_type(run)
    resource_type, _, logical_id = path.partition("/")
    content = {"resourceType": resource_type, "id": logical_id}
    response = run.send("PUT", path, headers={"If-Match": UNUSED_ETAG}, body=content)
    run.expect_codes(response, 501, "not-supported", "NOT_IMPLEMENTED")


@chapter.probe("UPD-12", "501 NOT_IMPLEMENTED")
def type_not_listed_read(run: ProbeRun) -> None:
    """A read of a type that the CapabilityStatement does not list."""
    run.expect_codes(run.get(_path_of_unlisted_type(run)), 501, "not-supported", "NOT_IMPLEMENTED")


@chapter.probe("UPD-12", "501 NOT_IMPLEMENTED; nothing changes")
def interaction_not_listed(run: ProbeRun) -> None:
    """A PATCH, which the CapabilityStatement does not list."""
    if run.endpoint.lists("patch") is not False:
        raise Untestable("The CapabilityStatement lists patch, or the endpoint has none.")
    held = run.resource()
    headers = {"If-Match": held.etag, "Content-Type": "application/json-patch+json"}
    patch = b'[{"op":"replace","path":"/language","value":"en"}]'
    response = run.send("PATCH", held.path, headers=headers, body=patch)
    run.expect_refused(response, held, 501)
    run.expect_codes(response, 501, "not-supported", "NOT_IMPLEMENTED")


# --- VAL-1: JSON that is no valid resource; each row is wrong in an element that every type has ---


def _expect_invalid(run: ProbeRun, *, element: str, members: dict[str, Any]) -> None:
    held = run.resource()
    response = run.put(held, run.changed(held) | members, if_match=held.etag)
    run.expect_refused(response, held, 422)
    issues = response.outcome.issues if response.outcome else ()
    named = any(element in f"{issue.diagnostics} {' '.join(issue.expression)}" for issue in issues)
    run.expect(named, f"422, but the answer does not name {element}", "422, element not named")


_NONSENSE: Final = {"status": "nonsense", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a check</div>'}


def _narrative(div: str) -> dict[str, Any]:
    return {"text": {"status": "generated", "div": div.format('"http://www.w3.org/1999/xhtml"')}}


def _extended(value: dict[str, Any]) -> dict[str, Any]:
    return {"extension": [{"url": _EXTENSION, **value}]}


def _with_name(name: dict[str, Any]) -> dict[str, Any]:
    return _extended({"valueHumanName": name})


for _name, _tries, _element, _members in (
    ("unknown-element", "An element that STU3 does not define.", "colour", {"colour": "green"}),
    ("missing-element", "A narrative without its required div.", "div", {"text": {"status": "generated"}}),
    ("wrong-type", "A number instead of a text.", "language", {"language": 5}),
    ("unknown-code", "A narrative status outside its required binding.", "status", {"text": _NONSENSE}),
    ("not-repeating", "A list instead of one value.", "language", {"language": ["en", "cy"]}),
    ("null-entry", "A null in a list, without a sibling.", "given", _with_name({"given": ["Ann", None]})),
    (
        "sibling-too-long",
        "More siblings than values.",
        "given",
        _with_name({"given": ["Ann"], "_given": [None, {"id": "a"}]}),
    ),
    ("narrative-unclosed", "A narrative that is not well-formed.", "div", _narrative("<div xmlns={}><p>a check</div>")),
    ("narrative-no-namespace", "A narrative that is not XHTML.", "div", _narrative("<div>a check</div>")),
    ("blank-in-uri", "A blank in a uri.", "valueUri", _extended({"valueUri": "https://fhir.nhs.uk/a check"})),
    ("fhir-comments", "DSTU2's comments.", "fhir_comments", {"fhir_comments": ["a check"]}),
):
    _expected = f"422, the element {_element} named; {_UNCHANGED}"
    chapter.row("VAL-1", _name, _expected, _tries, _expect_invalid, element=_element, members=_members)


# --- UPD-16: a body marked as partial ---

_SUBSETTED: Final = {"system": "http://hl7.org/fhir/v3/ObservationValue", "code": "SUBSETTED"}


@chapter.probe("UPD-16", f"422; {_UNCHANGED}")
def partial_body(run: ProbeRun) -> None:
    """A body with the tag SUBSETTED, alone and after another tag: a part of a resource, as _summary returns it."""
    held = run.resource()
    for tags in ([_SUBSETTED], [{"system": "urn:check", "code": "another"}, _SUBSETTED]):
        meta = held.content.get("meta", {}) | {"tag": tags}
        run.expect_refused(run.put(held, run.changed(held) | {"meta": meta}, if_match=held.etag), held, 422)
