"""Probes of reads, conditional reads, searches, and the CapabilityStatement.

Promises RD-1 to RD-6, SR-1 and CAP-1.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

from workbench.conformance.probe import UNUSED_ETAG, Chapter, Deviation, HeldResource, ProbeRun
from workbench.conformance.responses import (
    body,
    header,
    json_object,
    json_objects,
    meta_text,
    second_of,
    summary,
    version_id,
)
from workbench.conformance.under_check import TEMPLATES, Untestable
from workbench.exchange.message import Exchange, http_date
from workbench.fhir import json

chapter: Final = Chapter()

_FAR_FUTURE: Final = "Fri, 31 Dec 2100 23:59:59 GMT"
_FAR_PAST: Final = "Sat, 01 Jan 2000 00:00:00 GMT"
_NOT_MODIFIED: Final = "304 without a body"
_FOUND: Final = "200, a searchset Bundle with that one resource"

_REFUSALS: Final = (400, 403, 404, 405, 406, 412, 415, 422, 501)
_MOST_TYPES: Final = 8
_MOST_PARAMETERS: Final = 8
_PARAMETER_VALUES: Final = {
    "token": "none",
    "date": "ge2000-01-01",
    "string": "none",
    "number": "1",
    "uri": "urn:none",
}
"""A value for each type of search parameter that accepts one without further knowledge."""


# --- RD-1: reads ---


@chapter.probe("RD-1", '200; ETag is W/"meta.versionId"')
def read(run: ProbeRun) -> None:
    """A read: its ETag and its meta.versionId."""
    held = run.resource(change=False)
    same_id = held.read.resource.get("id") == held.logical_id
    run.expect(same_id, "another resource came", "another resource")
    version, etag = version_id(held.read), header(held.read, "ETag")
    run.expect(bool(etag), "no ETag", "no ETag")
    run.expect(bool(version), "no meta.versionId", "no versionId")
    agrees = etag.removeprefix("W/") == f'"{version}"'
    run.expect(agrees, f"ETag {etag}, versionId {version}", "another version")


@chapter.probe("RD-1", "Last-Modified is meta.lastUpdated to the second")
def read_last_modified(run: ProbeRun) -> None:
    """A read: its Last-Modified and its meta.lastUpdated."""
    held = run.resource(change=False)
    modified, updated = header(held.read, "Last-Modified"), meta_text(held.read, "lastUpdated")
    run.expect(bool(modified), "no Last-Modified", "no Last-Modified")
    run.expect(bool(updated), "no meta.lastUpdated", "no lastUpdated")
    header_date, meta_date = http_date(modified), second_of(updated)
    if header_date is None or meta_date is None:
        raise Deviation(f"{modified!r} and {updated!r} cannot be read as dates", "unreadable date")
    seconds = abs((header_date - meta_date).total_seconds())
    run.expect(not seconds, f"they are {seconds:.0f} seconds apart", "another date")


@chapter.probe("RD-1", "two reads show the same: body, ETag and Last-Modified")
def read_again(run: ProbeRun) -> None:
    """Two reads, one after the other."""
    held = run.resource(change=False)
    unchanged = run.read(held.path).state == held.state
    run.expect(unchanged, "the second read shows another resource", "changed")


@chapter.probe("RD-1", "no resource for the id in other letters, nor for the id under another type")
def ids_are_exact(run: ProbeRun) -> None:
    """Reads of the id in capitals, and of the id under another type that is served."""
    held = run.resource(change=False)
    kind, other_letters = held.resource_type, held.logical_id.swapcase()
    paths = [f"{name}/{held.logical_id}" for name in run.endpoint.capabilities if name != kind][:_MOST_TYPES]
    if other_letters != held.logical_id:
        paths.append(f"{kind}/{other_letters}")
    if not paths:
        raise Untestable("The id has no letters, and no other type is listed.")
    for path in paths:
        read = run.get(path)
        run.expect(read.status != 200, f"200 to a read of {path}", "another resource")


# --- RD-2 and RD-3: conditional reads ---


def _expect_status_and_body(run: ProbeRun, path: str, status: int, **conditions: str | None) -> None:
    """Send a conditional read; expect 304 without a body, or 200 with one."""
    response = run.get(path, **conditions)
    run.expect_status(response, status)
    with_or_without = "with" if status == 304 else "without"
    observed = f"{status} {with_or_without} a body"
    run.expect(bool(body(response)) == (status == 200), observed, observed)


def _etag(held: HeldResource) -> str:
    if not held.etag:
        raise Untestable("The endpoint shows no ETag.")
    return held.etag


def _last_modified(held: HeldResource, *, plus: int) -> str:
    """Return the Last-Modified of a resource, and this many seconds, as an HTTP date."""
    modified = http_date(header(held.read, "Last-Modified"))
    if modified is None:
        raise Untestable("The endpoint shows no Last-Modified that is a date.")
    return format_datetime(modified + timedelta(seconds=plus), usegmt=True)


def _last_updated(held: HeldResource) -> datetime:
    updated = second_of(meta_text(held.read, "lastUpdated"))
    if updated is None:
        raise Untestable("The endpoint shows no lastUpdated that is a date.")
    return updated


@chapter.probe("RD-2", _NOT_MODIFIED)
def if_none_match(run: ProbeRun) -> None:
    """If-None-Match with the current ETag."""
    held = run.resource(change=False)
    _expect_status_and_body(run, held.path, 304, if_none_match=_etag(held))


@chapter.probe("RD-2", "200 and the resource")
def if_none_match_other(run: ProbeRun) -> None:
    """If-None-Match with another ETag."""
    _expect_status_and_body(run, run.resource(change=False).path, 200, if_none_match=UNUSED_ETAG)


@chapter.probe("RD-2", "200 and the resource, once it has changed")
def if_none_match_after_update(run: ProbeRun) -> None:
    """If-None-Match with the ETag before an update."""
    before = run.resource()
    run.updated(before)
    _expect_status_and_body(run, before.path, 200, if_none_match=_etag(before))


@chapter.probe("RD-2", "If-Modified-Since is ignored if the request has an If-None-Match")
def if_none_match_wins(run: ProbeRun) -> None:
    """Two conditions that disagree (RFC 9110, section 13.1.3)."""
    held = run.resource(change=False)
    _expect_status_and_body(run, held.path, 304, if_none_match=_etag(held), if_modified_since=_FAR_PAST)
    _expect_status_and_body(run, held.path, 200, if_none_match=UNUSED_ETAG, if_modified_since=_FAR_FUTURE)


@chapter.probe("RD-3", _NOT_MODIFIED)
def if_modified_since(run: ProbeRun) -> None:
    """If-Modified-Since with the date of the version, and with a later one."""
    held = run.resource(change=False)
    for seconds in (0, 3600):
        _expect_status_and_body(run, held.path, 304, if_modified_since=_last_modified(held, plus=seconds))


@chapter.probe("RD-3", "200 and the resource")
def if_modified_since_older(run: ProbeRun) -> None:
    """If-Modified-Since a second before the version, and years before it."""
    held = run.resource(change=False)
    for date in (_last_modified(held, plus=-1), _FAR_PAST):
        _expect_status_and_body(run, held.path, 200, if_modified_since=date)


# --- RD-4: older versions ---


@chapter.probe("RD-4", "501")
def history_of_a_resource(run: ProbeRun) -> None:
    """The history of one resource."""
    run.expect_status(run.get(f"{run.resource(change=False).path}/_history"), 501)


@chapter.probe("RD-4", "501")
def vread(run: ProbeRun) -> None:
    """One version by its id, the current one."""
    held = run.resource(change=False)
    run.expect_status(run.get(f"{held.path}/_history/{held.version_id or 1}"), 501)


@chapter.probe("RD-4", "501", alone=True)
def history_of_a_type(run: ProbeRun) -> None:
    """The history of one type, and of all resources; alone, as HAPI answers 500 while other probes write."""
    for path in (f"{run.endpoint.resource_type}/_history", "_history"):
        run.expect_status(run.get(path), 501)


# --- RD-5: caches ---


def _read_answers(run: ProbeRun) -> list[Exchange]:
    """Return a read, a read answered 304, a search and the CapabilityStatement."""
    held = run.resource(change=False)
    responses = [
        run.get(held.path),
        run.get(held.path, if_none_match=_etag(held)),
        run.get(f"{held.resource_type}?_id={held.logical_id}"),
        run.get("metadata"),
    ]
    return [response for response in responses if response.status in (200, 304)]


def _expect_listed(run: ProbeRun, *, field: str, listed: tuple[str, ...]) -> None:
    for response in _read_answers(run):
        found = {value.strip().lower() for value in header(response, field).split(",")}
        observed = (
            f"{field}: {header(response, field) or '(none)'} on the {response.status} of a {response.interaction}"
        )
        run.expect(found >= set(listed), observed, f"no {field}")


_ANSWERS: Final = "on a read (200 and 304), a search and the CapabilityStatement"

for _name, _field, _listed, _tries in (
    ("caches-ask-again", "Cache-Control", ("no-cache",), "Cache-Control: a cache must not answer a read after a 409."),
    ("vary-is-named", "Vary", ("accept", "accept-encoding"), "Vary: the request header fields that decide."),
):
    _expected = f"{_field} with {', '.join(_listed)}, {_ANSWERS}"
    chapter.row("RD-5", _name, _expected, _tries, _expect_listed, field=_field, listed=_listed)


# --- RD-6: If-Match on a read ---


@chapter.probe("RD-6", "412 for a stale version, 200 for the current one")
def read_if_match(run: ProbeRun) -> None:
    """Reads with If-Match (RFC 9110, section 13.1.1)."""
    held = run.resource(change=False)
    _expect_status_and_body(run, held.path, 200, if_match=_etag(held))
    run.expect_status(run.get(held.path, if_match=UNUSED_ETAG), 412)


# --- SR-1: searches ---


def _search(run: ProbeRun, query: str) -> list[dict[str, Any]]:
    """Search the type under check; return the matches of the searchset Bundle."""
    response = run.get(f"{run.endpoint.resource_type}?{query}")
    run.expect_status(response, 200)
    bundle = json_object(response.resource)
    kind = (bundle.get("resourceType"), bundle.get("type"))
    run.expect(kind == ("Bundle", "searchset"), f"200 with {kind}, not a searchset Bundle", "no searchset")
    matches = (
        json_object(entry.get("resource"))
        for entry in json_objects(bundle.get("entry"))
        if json_object(entry.get("search")).get("mode", "match") == "match"
    )
    return [resource for resource in matches if resource]


def _expect_found(run: ProbeRun, held: HeldResource, query: str) -> list[dict[str, Any]]:
    matches = _search(run, query)
    ids = [resource.get("id") for resource in matches]
    observed = f"{len(ids)} resources found by {query.partition('=')[0]}"
    run.expect(ids == [held.logical_id], observed, "others found")
    return matches


@chapter.probe("SR-1", f"{_FOUND}, as a read shows it")
def search_by_id(run: ProbeRun) -> None:
    """A search by _id."""
    held = run.resource(change=False)
    (found,) = _expect_found(run, held, f"_id={held.logical_id}")
    as_read = json.same(found, held.read.resource)
    run.expect(as_read, "the search shows another content than a read", "another content")


@chapter.probe("SR-1", "each entry has its id and the meta.versionId that a read shows")
def search_shows_versions(run: ProbeRun) -> None:
    """A search by _id: the versions in its entries."""
    held = run.resource(change=False)
    for found in _search(run, f"_id={held.logical_id}"):
        version = json_object(found.get("meta")).get("versionId")
        run.expect(version == version_id(held.read), f"versionId {version} in the entry", "another version")


@chapter.probe("SR-1", "the search shows the version that an update made")
def search_after_update(run: ProbeRun) -> None:
    """A search right after an update."""
    held = run.updated(run.resource())
    versions = [
        json_object(resource.get("meta")).get("versionId") for resource in _search(run, f"_id={held.logical_id}")
    ]
    run.expect(versions == [held.version_id], "the search shows another version", "another version")


@chapter.probe("SR-1", "200, a searchset Bundle without an entry")
def search_for_nobody(run: ProbeRun) -> None:
    """A search by an id that was never assigned."""
    found = _search(run, f"_id={run.unused_id()}")
    run.expect(not found, f"{len(found)} resources found", "others found")


@chapter.probe("SR-1", f"{_FOUND} from its date on, and not before it")
def search_by_last_updated(run: ProbeRun) -> None:
    """Searches by _lastUpdated, whose ranges contain the date of the resource or not."""
    held = run.resource(change=False)
    by_id = f"_id={held.logical_id}"
    updated = _last_updated(held)
    second, next_second = (
        moment.isoformat().replace("+", "%2B").replace(":", "%3A")
        for moment in (updated, updated + timedelta(seconds=1))
    )
    _expect_found(run, held, f"{by_id}&_lastUpdated=ge{second}")
    _expect_found(run, held, f"{by_id}&_lastUpdated=lt{next_second}")
    for query in (f"_lastUpdated=lt{second}", f"_lastUpdated=ge{next_second}"):
        found = _search(run, f"{by_id}&{query}")
        run.expect(not found, f"found although {query}", "found outside its dates")


@chapter.probe("SR-1", "200, no more entries than asked for")
def search_count(run: ProbeRun) -> None:
    """A search with _count=1 that matches two resources."""
    query = "_count=1"
    if run.may_change and not run.endpoint.shares_one:
        ids = f"_id={run.created().logical_id},{run.created().logical_id}"
        both = _search(run, ids)
        run.expect(len(both) == 2, f"{len(both)} of two resources found by their ids", "others found")
        query = f"{ids}&_count=1"
    found = _search(run, query)
    run.expect(len(found) <= 1, f"{len(found)} entries with _count=1", "more than asked for")


_CODE: Final = "a-code-of-a-check"
_SYSTEM: Final = "https://fhir.nhs.uk/Id/a-system-of-a-check"
_PATIENT: Final = "Patient/9990000018"
_CONCEPT: Final = {"coding": [{"system": _SYSTEM, "code": _CODE}]}


def _expect_found_by(run: ProbeRun, *, parameter: str, values: dict[str, str], members: dict[str, Any]) -> None:
    """Update with these members, then search: one value finds the resource, the other does not."""
    kind = run.endpoint.resource_type
    parameters = json_objects(run.endpoint.capabilities.get(kind, {}).get("searchParam"))
    if parameter not in {each.get("name") for each in parameters}:
        raise Untestable(f"The CapabilityStatement does not list {parameter} for {kind}.")
    held = run.resource()
    held = run.updated(held, run.changed(held) | members)
    by_id = f"_id={held.logical_id}&{parameter}="
    _expect_found(run, held, by_id + values["found"])
    found = _search(run, by_id + values["other"])
    run.expect(not found, f"found although its {parameter} is another", "others found")


for _parameter, _values, _members in (
    ("status", {"found": "current", "other": "retired"}, {"status": "current"}),
    ("code", {"found": f"{_SYSTEM}%7C{_CODE}", "other": f"{_SYSTEM}%7Canother"}, {"code": _CONCEPT}),
    ("patient", {"found": _PATIENT, "other": "Patient/9990000026"}, {"subject": {"reference": _PATIENT}}),
    ("subject", {"found": _PATIENT, "other": "Patient/9990000026"}, {"subject": {"reference": _PATIENT}}),
):
    chapter.row(
        "SR-1",
        f"search-by-{_parameter}",
        f"{_FOUND} by its {_parameter}, and not by another",
        f"Searches by {_parameter}.",
        _expect_found_by,
        parameter=_parameter,
        values=_values,
        members=_members,
    )


@chapter.probe("SR-1", "400")
def search_unknown_parameter(run: ProbeRun) -> None:
    """A search parameter that does not exist."""
    run.expect_status(run.get(f"{run.endpoint.resource_type}?no-such-parameter=1"), 400)


@chapter.probe("SR-1", "400")
def search_unusable_value(run: ProbeRun) -> None:
    """Values that a search parameter cannot have."""
    for query in ("_lastUpdated=yesterday", "_count=many"):
        run.expect_status(run.get(f"{run.endpoint.resource_type}?{query}"), 400)


# --- CAP-1: the CapabilityStatement is there, and true ---


@chapter.probe("CAP-1", "200, a CapabilityStatement of FHIR 3.0")
def metadata(run: ProbeRun) -> None:
    """GET metadata."""
    _expect_statement(run, run.get("metadata"))


@chapter.probe("CAP-1", "200, the same CapabilityStatement")
def options(run: ProbeRun) -> None:
    """OPTIONS on the base URL."""
    response = run.send("OPTIONS", "/")
    _expect_statement(run, response)
    same = response.resource == run.get("metadata").resource
    run.expect(same, "another CapabilityStatement than GET metadata shows", "another statement")


def _expect_statement(run: ProbeRun, response: Exchange) -> None:
    run.expect_status(response, 200)
    found = json_object(response.resource)
    kind = found.get("resourceType", "something else")
    run.expect(kind == "CapabilityStatement", f"200 with {kind}, not a CapabilityStatement", "no statement")
    version = str(found.get("fhirVersion"))
    run.expect(version.startswith("3.0."), f"fhirVersion {version}", f"FHIR {version[:3]}")


def _statement_of(run: ProbeRun, name: str) -> Any:
    """Return an element about the type; raises ``Untestable`` if the CapabilityStatement does not have it."""
    kind = run.endpoint.resource_type
    value = run.endpoint.capabilities.get(kind, {}).get(name)
    if value is None:
        raise Untestable(f"The CapabilityStatement says nothing about {name} of {kind}.")
    return value


def _expect_true(run: ProbeRun, name: str, stated: object, found: object, observed: str) -> None:
    run.expect(stated == found, f"it says {name}: {stated}, but {observed}", f"{name} is not true")


@chapter.probe("CAP-1", "each type listed can be read or searched")
def types_are_served(run: ProbeRun) -> None:
    """A search or a read of each listed type."""
    if not run.endpoint.capabilities:
        raise Untestable("There is no CapabilityStatement that lists types.")
    for name in list(run.endpoint.capabilities)[:_MOST_TYPES]:
        searchable = run.endpoint.lists("search-type", name)
        response = run.get(f"{name}?_count=1" if searchable else f"{name}/{run.unused_id()}")
        served = response.status in ((200,) if searchable else (404, 410))
        run.expect(served, f"{name} is listed, and it answers {summary(response)}", "a type is not served")


@chapter.probe("CAP-1", "each interaction listed for the type is carried out")
def interactions_are_offered(run: ProbeRun) -> None:
    """Each listed interaction: read, search, update, delete."""
    _statement_of(run, "interaction")
    held = run.resource()
    requests: list[tuple[str, str, str]] = [
        ("read", "GET", held.path),
        ("search-type", "GET", f"{held.resource_type}?_id={held.logical_id}"),
        ("update", "PUT", held.path),
    ]
    if not run.endpoint.shares_one:
        requests.append(("delete", "DELETE", held.path))
    for interaction, method, path in requests:
        if run.endpoint.lists(interaction):
            headers = {} if method == "GET" else {"If-Match": run.read(held.path).etag}
            content = run.changed(held) if method == "PUT" else b""
            response = run.send(method, path, headers=headers, body=content)
            observed = f"{interaction} is listed, and it answers {summary(response)}"
            run.expect(response.ok, observed, f"{interaction} is not offered")


@chapter.probe("CAP-1", "create is carried out if it is listed for the type")
def create_is_offered(run: ProbeRun) -> None:
    """A create, if it is listed."""
    if not run.endpoint.lists("create"):
        raise Untestable(f"The CapabilityStatement does not list create for {run.endpoint.resource_type}.")
    content, mark = run.endpoint.new_content(even_if_refused=True)
    response = run.send("POST", run.endpoint.resource_type, body=content)
    run.own(response, mark)
    observed = f"create is listed, and it answers {summary(response)}"
    run.expect(response.status == 201, observed, "create is not offered")


@chapter.probe("CAP-1", "each search parameter listed for the type is understood")
def search_parameters_are_known(run: ProbeRun) -> None:
    """A search by each listed parameter."""
    listed = json_objects(_statement_of(run, "searchParam"))
    usable = [entry for entry in listed if entry.get("type") in _PARAMETER_VALUES]
    for entry in usable[:_MOST_PARAMETERS]:
        name, value = entry.get("name"), _PARAMETER_VALUES[entry["type"]]
        response = run.get(f"{run.endpoint.resource_type}?{name}={value}")
        observed = f"{name} is listed, and it answers {summary(response)}"
        run.expect(response.status == 200, observed, "a parameter is unknown")


@chapter.probe("CAP-1", "XML and JSON are written if, and only if, format lists them")
def format_is_true(run: ProbeRun) -> None:
    """Reads that accept XML and JSON; format lists those that are written."""
    formats = run.endpoint.statement.get("format")
    if not isinstance(formats, list):
        raise Untestable("The CapabilityStatement says nothing about format.")
    path = run.resource(change=False).path
    for name in ("xml", "json"):
        response = run.get(path, accept=f"application/fhir+{name}")
        content_type = header(response, "Content-Type")
        written = response.status == 200 and name in content_type
        stated = any(name in str(entry) for entry in formats)
        observed = f"asked for it, it answers {response.status} {content_type}"
        _expect_true(run, f"format {name}", stated, written, observed)


@chapter.probe("CAP-1", "versioned-update if an update must name its version, else versioned")
def versioning_is_true(run: ProbeRun) -> None:
    """An update without If-Match, compared with versioning."""
    stated = _statement_of(run, "versioning")
    held = run.resource()
    response = run.put(held, if_match=None)
    found = "versioned-update" if response.status in _REFUSALS else "versioned"
    if not run.read(held.path).version_id:
        found = "no-version"
    observed = f"an update without If-Match is answered {summary(response)}"
    _expect_true(run, "versioning", stated, found, observed)


@chapter.probe("CAP-1", "readHistory says whether an older version can be read")
def read_history_is_true(run: ProbeRun) -> None:
    """A read of an older version, compared with readHistory."""
    stated = _statement_of(run, "readHistory")
    before = run.resource()
    run.updated(before)
    response = run.get(f"{before.path}/_history/{before.version_id or 1}")
    observed = f"an older version is answered {summary(response)}"
    _expect_true(run, "readHistory", stated, response.status == 200, observed)


@chapter.probe("CAP-1", "updateCreate says whether a PUT creates")
def update_create_is_true(run: ProbeRun) -> None:
    """A PUT to a new id, with If-Match and without, compared with updateCreate."""
    stated = _statement_of(run, "updateCreate")
    kind = run.endpoint.resource_type
    if kind not in TEMPLATES:
        raise Untestable(f"A check cannot make a {kind}.")
    created = False
    for if_match in (UNUSED_ETAG, None):
        path = run.unused_path()
        content = TEMPLATES[kind] | {"id": path.partition("/")[2]}
        response = run.send("PUT", path, headers={"If-Match": if_match}, body=content)
        created = created or run.get(path).status == 200
    observed = f"a PUT to a new id is answered {summary(response)}"
    _expect_true(run, "updateCreate", stated, created, observed)


@chapter.probe("CAP-1", "conditionalRead says which conditions a read knows")
def conditional_read_is_true(run: ProbeRun) -> None:
    """Reads with either condition, compared with conditionalRead."""
    stated = _statement_of(run, "conditionalRead")
    held = run.resource(change=False)
    later = format_datetime((_last_updated(held) + timedelta(hours=1)).astimezone(UTC), usegmt=True)
    by_etag = bool(held.etag) and run.get(held.path, if_none_match=held.etag).status == 304
    by_date = run.get(held.path, if_modified_since=later).status == 304
    if by_etag:
        found = "full-support" if by_date else "not-match"
    else:
        found = "modified-since" if by_date else "not-supported"
    _expect_true(run, "conditionalRead", stated, found, f"it is {found}")


@chapter.probe("CAP-1", "conditionalCreate says whether If-None-Exist is understood")
def conditional_create_is_true(run: ProbeRun) -> None:
    """A create with If-None-Exist, compared with conditionalCreate."""
    stated = _statement_of(run, "conditionalCreate")
    held = run.created()
    content, mark = run.endpoint.new_content()
    headers = {"If-None-Exist": f"_id={held.logical_id}"}
    response = run.send("POST", held.resource_type, headers=headers, body=content)
    run.own(response, mark)
    observed = f"If-None-Exist is answered {summary(response)}"
    _expect_true(run, "conditionalCreate", stated, response.status == 200, observed)


@chapter.probe("CAP-1", "conditionalUpdate says whether a PUT by search criteria is carried out")
def conditional_update_is_true(run: ProbeRun) -> None:
    """An update by search criteria, compared with conditionalUpdate."""
    stated = _statement_of(run, "conditionalUpdate")
    held = run.resource()
    path = f"{held.resource_type}?_id={held.logical_id}"
    response = run.send("PUT", path, headers={"If-Match": held.etag}, body=run.changed(held))
    changed = run.read(held.path).state != held.state
    observed = f"a PUT by criteria is answered {summary(response)}"
    _expect_true(run, "conditionalUpdate", stated, changed, observed)


@chapter.probe("CAP-1", "conditionalDelete says whether a DELETE by search criteria is carried out")
def conditional_delete_is_true(run: ProbeRun) -> None:
    """A delete by search criteria, compared with conditionalDelete.

    It is tried on this machine only: an endpoint that ignores the criteria would delete too much.
    """
    stated = _statement_of(run, "conditionalDelete")
    if not run.client.is_local:
        raise Untestable("A DELETE by search criteria is tried on this machine only: a mistake there deletes too much.")
    held = run.created()
    response = run.send("DELETE", f"{held.resource_type}?_id={held.logical_id}")
    deleted = run.get(held.path).status != 200
    observed = f"a DELETE by criteria is answered {summary(response)}"
    _expect_true(run, "conditionalDelete", stated != "not-supported", deleted, observed)
