"""Probes of creates, deletes, entity tags and version ids.

Promises CR-1, CR-2, DL-1, DL-2 and VER-1.
"""

from __future__ import annotations

import re
from typing import Any, Final

from workbench.conformance.probe import UNUSED_ETAG, Chapter, HeldResource, ProbeRun
from workbench.conformance.responses import created_path, etag_value, header, same_except_meta, summary
from workbench.conformance.under_check import Untestable
from workbench.exchange.message import Exchange
from workbench.fhir.resource import LOGICAL_ID

chapter: Final = Chapter()

_UNCHANGED: Final = "body, ETag and Last-Modified stay as they are"


def _require(run: ProbeRun, interaction: str) -> None:
    """Raise ``Untestable`` if the CapabilityStatement does not list this interaction."""
    if run.endpoint.lists(interaction) is False:
        kind = run.endpoint.resource_type
        raise Untestable(f"The CapabilityStatement does not list {interaction} for {kind}.")


# --- CR-1 and CR-2: creates ---


def _new_content(run: ProbeRun) -> tuple[dict[str, Any], str]:
    _require(run, "create")
    return run.endpoint.new_content(even_if_refused=True)


def _create(run: ProbeRun, content: dict[str, Any], mark: str) -> tuple[Exchange, HeldResource]:
    response = run.send("POST", run.endpoint.resource_type, body=content)
    run.expect_status(response, 201)
    path = created_path(response)
    run.expect(path is not None, "201, but the answer does not say where the resource is", "201, no Location")
    held = run.own(response, mark)
    observed = f"201, but {header(response, 'Location') or 'the body'} does not lead to what was created"
    run.expect(held is not None, observed, "201, another resource")
    assert held is not None
    return response, held


@chapter.probe("CR-1", "201; a read shows what was sent, under an id that the endpoint assigned")
def create(run: ProbeRun) -> None:
    """A create without an id."""
    sent, mark = _new_content(run)
    _, held = _create(run, sent, mark)
    has_fhir_id = bool(LOGICAL_ID.fullmatch(held.logical_id))
    run.expect(has_fhir_id, "the id assigned is no FHIR id", "201, no FHIR id")
    stored = {name: value for name, value in held.content.items() if name != "id"}
    run.expect(same_except_meta(stored, sent), "201, but another content is stored", "201, another content")


@chapter.probe("CR-1", "Location absolute, ETag and Last-Modified as the next read shows them")
def create_headers(run: ProbeRun) -> None:
    """The header fields of the response to a create."""
    response, held = _create(run, *_new_content(run))
    location, expected = header(response, "Location"), f"{run.client.base_url}/{held.path}"
    run.expect("://" in location, f"Location is {location or 'not there'}", "no absolute Location")
    without_history = location.partition("/_history/")[0]
    run.expect(without_history == expected, f"Location is {location}, not {expected}", "another Location")
    run.expect(location == expected, "Location names the version too", "Location with the version")
    for name in ("ETag", "Last-Modified"):
        created, read = header(response, name), header(held.read, name)
        run.expect(bool(created), f"no {name}", f"no {name}")
        run.expect(created == read, f"{name} is {created}, and {read} on a read", f"another {name}")


@chapter.probe("CR-1", "two creates of the same content, two resources")
def create_twice(run: ProbeRun) -> None:
    """The same create twice."""
    content, mark = _new_content(run)
    _, first = _create(run, content, mark)
    _, second = _create(run, content, mark)
    run.expect(first.path != second.path, "the second create was given the first one's id", "one resource")


@chapter.probe("CR-2", "405 MSG_RESOURCE_ID_FAIL; a read of that id then answers 404")
def create_with_an_id(run: ProbeRun) -> None:
    """A create with an id in the body."""
    content, mark = _new_content(run)
    path = run.unused_path()
    content["id"] = path.partition("/")[2]
    response = run.send("POST", run.endpoint.resource_type, body=content)
    run.own(response, mark)
    after = run.get(path)
    run.expect_codes(response, 405, "forbidden", "MSG_RESOURCE_ID_FAIL")
    run.expect(after.status == 404, f"405, and a read of that id answers {after.status}", "405, yet created")


# --- DL-1 and DL-2: deletes ---


@chapter.probe("DL-1", "204; reads then answer 404")
def delete(run: ProbeRun) -> None:
    """A delete with the current ETag, and a read."""
    _require(run, "delete")
    # If the check's first delete failed, all probes share the resource; this one tries to delete it again.
    held = run.resource() if run.endpoint.shares_own else run.created()
    response = run.send("DELETE", held.path, headers={"If-Match": held.etag})
    after = run.get(held.path)
    run.expect_status(response, 204)
    run.expect(after.status == 404, f"204, and a read answers {summary(after)}", f"204, then {after.status}")


@chapter.probe("DL-1", "a search does not find what was deleted")
def deleted_is_not_found(run: ProbeRun) -> None:
    """A search for a deleted resource."""
    _require(run, "delete")
    held = run.deleted()
    response = run.get(f"{held.resource_type}?_id={held.logical_id}")
    bundle = response.resource
    if response.status != 200 or not isinstance(bundle, dict):
        raise Untestable(f"A search by _id was answered {summary(response)}.")
    run.expect(not bundle.get("entry"), "a search finds it", "found")


@chapter.probe("DL-2", f"409; {_UNCHANGED}")
def delete_stale(run: ProbeRun) -> None:
    """Deletes with the version before the last update, and with one that never existed."""
    _require(run, "delete")
    before = run.created()
    held = run.updated(before)
    if etag_value(before.etag) == etag_value(held.etag):
        raise Untestable("An update did not change the version.")
    for etag in (before.etag, UNUSED_ETAG):
        run.expect_refused(run.send("DELETE", held.path, headers={"If-Match": etag}), held, 409)


@chapter.probe("DL-2", f"412; {_UNCHANGED}")
def delete_missing(run: ProbeRun) -> None:
    """A delete without If-Match."""
    _require(run, "delete")
    held = run.created()
    run.expect_refused(run.send("DELETE", held.path), held, 412)


# --- VER-1: entity tags and version ids ---


@chapter.probe("VER-1", 'W/"…", on a read')
def etag_is_weak(run: ProbeRun) -> None:
    """The entity tag of a read."""
    _expect_weak(run, run.resource(change=False).read)


@chapter.probe("VER-1", 'W/"…", on an update')
def etag_is_weak_after_update(run: ProbeRun) -> None:
    """The entity tag of an update."""
    response, _, _ = run.accepted_update()
    _expect_weak(run, response)


def _expect_weak(run: ProbeRun, response: Exchange) -> None:
    etag = header(response, "ETag")
    run.expect(bool(etag), "no ETag", "no ETag")
    run.expect(re.fullmatch(r'W/"[^"]+"', etag) is not None, f"the ETag {etag}", "not a weak ETag")


@chapter.probe("VER-1", "a FHIR id: 1 to 64 letters, digits, hyphens and dots")
def version_id_shape(run: ProbeRun) -> None:
    """The form of a version id."""
    version = run.resource(change=False).version_id
    run.expect(bool(version), "no version id", "no version id")
    matches = LOGICAL_ID.fullmatch(version) is not None
    run.expect(matches, f"a version id such as {version}", "another shape")
