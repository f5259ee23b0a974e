"""Probes of creating and deleting (CR-1, CR-2, DL-1, DL-2)."""

from __future__ import annotations

from typing import Any, Final

from workbench.conformance.answers import created_path, header, same_but_for_meta, tag_value, told
from workbench.conformance.probe import Untestable, probe
from workbench.conformance.trial import MADE_UP_VERSION, Held, Trial
from workbench.exchange.message import Exchange
from workbench.fhir.resource import LOGICAL_ID

_STAYS: Final = "body, ETag and Last-Modified stay as they are"


def _offered(trial: Trial, interaction: str) -> None:
    """Raise ``Untestable`` where the endpoint does not claim to offer it."""
    if trial.site.lists(interaction) is False:
        raise Untestable(f"The CapabilityStatement does not list {interaction} for {trial.site.resource_type}.")


def _new(trial: Trial) -> tuple[dict[str, Any], str]:
    """A resource to create; where setting one up failed it is tried all the same, for that is the question here."""
    _offered(trial, "create")
    return trial.site.new_content(anyway=True)


def _create(trial: Trial, again: tuple[dict[str, Any], str] | None = None) -> tuple[Exchange, Held, dict[str, Any]]:
    content, mark = again or _new(trial)
    answer = trial.send("POST", trial.site.resource_type, body=content)
    trial.expect_status(answer, 201)
    path = created_path(answer)
    trial.expect(path is not None, "201, but the answer does not say where the resource is", "201, no Location")
    held = trial.own(answer, mark)
    shown = f"201, but {header(answer, 'Location') or 'the body'} does not lead to what was created"
    trial.expect(held is not None, shown, "201, another resource")
    assert held is not None
    return answer, held, content


@probe("CR-1", "create", "201; a read shows what was sent, under an id that the endpoint assigned")
def create(trial: Trial) -> None:
    """A create makes a resource."""
    _, held, sent = _create(trial)
    trial.expect(bool(LOGICAL_ID.fullmatch(held.logical_id)), "the id assigned is no FHIR id", "201, no FHIR id")
    stored = {name: value for name, value in held.content.items() if name != "id"}
    trial.expect(same_but_for_meta(stored, sent), "201, but another content is stored", "201, another content")


@probe("CR-1", "create-headers", "Location absolute, ETag and Last-Modified as the next read shows them")
def create_headers(trial: Trial) -> None:
    """The answer names the new resource and its version."""
    answer, held, _ = _create(trial)
    location, wanted = header(answer, "Location"), f"{trial.client.base_url}/{held.path}"
    trial.expect("://" in location, f"Location is {location or 'not there'}", "no absolute Location")
    named = location.partition("/_history/")[0]
    trial.expect(named == wanted, f"Location is {location}, not {wanted}", "another Location")
    trial.expect(location == wanted, "Location names the version too", "Location with the version")
    for name in ("ETag", "Last-Modified"):
        told_now, told_then = header(answer, name), header(held.read, name)
        trial.expect(bool(told_now), f"no {name}", f"no {name}")
        trial.expect(told_now == told_then, f"{name} is {told_now}, and {told_then} on a read", f"another {name}")


@probe("CR-1", "create-twice", "two creates of the same content, two resources")
def create_twice(trial: Trial) -> None:
    """Each create makes a resource of its own."""
    new = _new(trial)
    first, second = _create(trial, new)[1], _create(trial, new)[1]
    trial.expect(first.path != second.path, "the second create was given the first one's id", "one resource")


@probe("CR-2", "create-with-an-id", "405 MSG_RESOURCE_ID_FAIL; a read of that id then answers 404")
def create_with_an_id(trial: Trial) -> None:
    """Clients may not assign ids."""
    content, mark = _new(trial)
    path = trial.unknown_path()
    answer = trial.send("POST", trial.site.resource_type, body=content | {"id": path.partition("/")[2]})
    trial.own(answer, mark)
    after = trial.get(path)
    trial.expect_status(answer, 405)
    trial.expect_codes(answer, 405, "forbidden", "MSG_RESOURCE_ID_FAIL")
    trial.expect(after.status == 404, f"405, and a read of that id answers {after.status}", "405, yet created")


def _deletable(trial: Trial) -> Held:
    _offered(trial, "delete")
    return trial.deletable()


@probe("DL-1", "delete", "204; reads then answer 404")
def delete(trial: Trial) -> None:
    """A delete with the current version; where none was possible beforehand, of the one resource there is."""
    _offered(trial, "delete")
    held = trial.resource() if trial.site.made_only else trial.deletable()
    answer = trial.send("DELETE", held.path, headers={"If-Match": held.tag})
    after = trial.get(held.path)
    trial.expect_status(answer, 204)
    shown = f"204, and a read answers {told(after)}"
    trial.expect(after.status == 404, shown, f"204, then {after.status}")


@probe("DL-1", "deleted-is-not-found", "a search does not find what was deleted")
def deleted_is_not_found(trial: Trial) -> None:
    """What is gone is gone from searches too."""
    _offered(trial, "delete")
    held = trial.deleted()
    answer = trial.get(f"{held.resource_type}?_id={held.logical_id}")
    found = answer.resource
    if answer.status != 200 or not isinstance(found, dict):
        raise Untestable(f"A search by _id was answered {told(answer)}.")
    trial.expect(not found.get("entry"), "a search finds it", "found")


@probe("DL-2", "delete-stale", f"409; {_STAYS}")
def delete_stale(trial: Trial) -> None:
    """The version from before the last update, and one that never was."""
    before = _deletable(trial)
    held = trial.updated(before)
    if tag_value(before.tag) == tag_value(held.tag):
        raise Untestable("An update did not change the version.")
    for tag in (before.tag, MADE_UP_VERSION):
        trial.expect_refused(trial.send("DELETE", held.path, headers={"If-Match": tag}), held, 409)


@probe("DL-2", "delete-missing", f"412; {_STAYS}")
def delete_missing(trial: Trial) -> None:
    """Without ``If-Match`` nothing is deleted."""
    held = _deletable(trial)
    trial.expect_refused(trial.send("DELETE", held.path), held, 412)
