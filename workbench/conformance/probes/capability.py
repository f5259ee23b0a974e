"""Probes of the CapabilityStatement: it is there, and what it says is so (CAP-1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

from workbench.conformance.answers import header, meta_in, told
from workbench.conformance.probe import Untestable, probe
from workbench.conformance.site import TEMPLATES
from workbench.conformance.trial import MADE_UP_VERSION, Held, Trial
from workbench.exchange.message import Exchange

_REFUSED: Final = (400, 403, 404, 405, 406, 412, 415, 422, 501)
_MOST_TYPES: Final = 8
_MOST_PARAMETERS: Final = 8

_VALUES: Final = {"token": "none", "date": "ge2000-01-01", "string": "none", "number": "1", "uri": "urn:none"}
"""A value for each kind of search parameter that can be tried without knowing more."""


def _claim(trial: Trial, name: str) -> Any:
    """What the CapabilityStatement says about the type; raises ``Untestable`` where it says nothing."""
    said = trial.site.rest_of(trial.site.resource_type).get(name)
    if said is None:
        raise Untestable(f"The CapabilityStatement says nothing about {name} of {trial.site.resource_type}.")
    return said


def _expect_truth(trial: Trial, name: str, claimed: object, found: object, observed: str) -> None:
    shown = f"it says {name}: {claimed}, but {observed}"
    trial.expect(claimed == found, shown, f"{name} is not true")


@probe("CAP-1", "metadata", "200, a CapabilityStatement of FHIR 3.0", writes=False)
def metadata(trial: Trial) -> None:
    """``GET metadata``."""
    _expect_statement(trial, trial.get("metadata"))


@probe("CAP-1", "options", "200, the same CapabilityStatement", writes=False)
def options(trial: Trial) -> None:
    """``OPTIONS`` on the base."""
    answer = trial.send("OPTIONS", "/")
    _expect_statement(trial, answer)
    same = answer.resource == trial.get("metadata").resource
    trial.expect(same, "another CapabilityStatement than GET metadata shows", "another statement")


def _expect_statement(trial: Trial, answer: Exchange) -> None:
    trial.expect_status(answer, 200)
    found = answer.resource
    kind = found.get("resourceType") if isinstance(found, dict) else "something else"
    trial.expect(kind == "CapabilityStatement", f"200 with {kind}, not a CapabilityStatement", "no statement")
    version = str(found.get("fhirVersion"))
    trial.expect(version.startswith("3.0."), f"fhirVersion {version}", f"FHIR {version[:3]}")


@probe("CAP-1", "types-are-served", "each type listed can be read or searched", writes=False)
def types_are_served(trial: Trial) -> None:
    """A type that is listed is there."""
    if not trial.site.types:
        raise Untestable("There is no CapabilityStatement that lists types.")
    for name in trial.site.types[:_MOST_TYPES]:
        searching = trial.site.lists("search-type", name)
        answer = trial.get(f"{name}?_count=1" if searching else f"{name}/{trial.unknown_id()}")
        offered = answer.status == 200 if searching else answer.status in (404, 410)
        trial.expect(offered, f"{name} is listed, and it answers {told(answer)}", "a type is not served")


@probe("CAP-1", "interactions-are-offered", "each interaction listed for the type is carried out")
def interactions_are_offered(trial: Trial) -> None:
    """An interaction that is listed is there."""
    _claim(trial, "interaction")
    held = trial.resource()
    body = trial.changed(held)
    search = f"{held.resource_type}?_id={held.logical_id}"
    tried: list[tuple[str, str, str, dict[str, Any] | bytes]] = [
        ("read", "GET", held.path, b""),
        ("search-type", "GET", search, b""),
        ("update", "PUT", held.path, body),
    ]
    if not trial.site.shares_one:
        tried.append(("delete", "DELETE", held.path, b""))
    for code, method, path, content in tried:
        if trial.site.lists(code):
            tag = None if method == "GET" else trial.look(held.path).tag
            answer = trial.send(method, path, headers={"If-Match": tag}, body=content)
            trial.expect(answer.ok, f"{code} is listed, and it answers {told(answer)}", f"{code} is not offered")


@probe("CAP-1", "create-is-offered", "create, where it is listed for the type, is carried out")
def create_is_offered(trial: Trial) -> None:
    """A create that is listed is there."""
    if not trial.site.lists("create"):
        raise Untestable(f"The CapabilityStatement does not list create for {trial.site.resource_type}.")
    content, mark = trial.site.new_content(anyway=True)
    answer = trial.send("POST", trial.site.resource_type, body=content)
    trial.own(answer, mark)
    trial.expect(answer.status == 201, f"create is listed, and it answers {told(answer)}", "create is not offered")


@probe("CAP-1", "search-parameters-are-known", "each search parameter listed for the type is understood", writes=False)
def search_parameters_are_known(trial: Trial) -> None:
    """A search parameter that is listed is there."""
    listed = [entry for entry in _claim(trial, "searchParam") if isinstance(entry, dict)]
    for entry in [entry for entry in listed if entry.get("type") in _VALUES][:_MOST_PARAMETERS]:
        answer = trial.get(f"{trial.site.resource_type}?{entry.get('name')}={_VALUES[entry['type']]}")
        name = entry.get("name")
        trial.expect(answer.status == 200, f"{name} is listed, and it answers {told(answer)}", "a parameter is unknown")


@probe("CAP-1", "format-is-true", "XML and JSON are written if, and only if, format lists them", writes=False)
def format_is_true(trial: Trial) -> None:
    """The formats that are listed are written, and no other."""
    said = trial.site.statement.get("format")
    if not isinstance(said, list):
        raise Untestable("The CapabilityStatement says nothing about format.")
    path = trial.resource(change=False).path
    for name in ("xml", "json"):
        claimed = any(name in str(entry) for entry in said)
        answer = trial.get(path, accept=f"application/fhir+{name}")
        given = answer.status == 200 and name in header(answer, "Content-Type")
        observed = f"asked for it, it answers {answer.status} {header(answer, 'Content-Type')}"
        _expect_truth(trial, f"format {name}", claimed, given, observed)


@probe("CAP-1", "versioning-is-true", "versioned-update, where an update must name its version; else versioned")
def versioning_is_true(trial: Trial) -> None:
    """What is said about versions is so."""
    claimed = _claim(trial, "versioning")
    held = trial.resource()
    answer = trial.put(held, if_match=None)
    after = trial.look(held.path)
    locked = "versioned-update" if answer.status in _REFUSED else "versioned"
    found = locked if after.version_id else "no-version"
    _expect_truth(trial, "versioning", claimed, found, f"an update without If-Match is answered {told(answer)}")


@probe("CAP-1", "read-history-is-true", "readHistory says whether an older version can be read")
def read_history_is_true(trial: Trial) -> None:
    """What is said about older versions is so."""
    claimed = _claim(trial, "readHistory")
    before = trial.resource()
    trial.updated(before)
    answer = trial.get(f"{before.path}/_history/{before.version_id or 1}")
    _expect_truth(trial, "readHistory", claimed, answer.status == 200, f"an older version is answered {told(answer)}")


@probe("CAP-1", "update-create-is-true", "updateCreate says whether a PUT creates")
def update_create_is_true(trial: Trial) -> None:
    """What is said about creating by PUT is so, with ``If-Match`` and without."""
    claimed = _claim(trial, "updateCreate")
    kind = trial.site.resource_type
    if kind not in TEMPLATES:
        raise Untestable(f"A check cannot make a {kind}.")
    created = False
    for tag in (MADE_UP_VERSION, None):
        path = trial.unknown_path()
        content = TEMPLATES[kind] | {"id": path.partition("/")[2]}
        answer = trial.send("PUT", path, headers={"If-Match": tag}, body=content)
        created = created or trial.get(path).status == 200
    _expect_truth(trial, "updateCreate", claimed, created, f"a PUT to a new id is answered {told(answer)}")


@probe("CAP-1", "conditional-read-is-true", "conditionalRead says which conditions a read knows", writes=False)
def conditional_read_is_true(trial: Trial) -> None:
    """What is said about conditional reads is so."""
    claimed = _claim(trial, "conditionalRead")
    held = trial.resource(change=False)
    by_tag = bool(held.tag) and trial.get(held.path, if_none_match=held.tag).status == 304
    by_date = trial.get(held.path, if_modified_since=_after(held)).status == 304
    names = {(True, True): "full-support", (True, False): "not-match", (False, True): "modified-since"}
    found = names.get((by_tag, by_date), "not-supported")
    _expect_truth(trial, "conditionalRead", claimed, found, f"it is {found}")


@probe("CAP-1", "conditional-create-is-true", "conditionalCreate says whether If-None-Exist is understood")
def conditional_create_is_true(trial: Trial) -> None:
    """What is said about conditional creates is so: nothing is made where there is one already."""
    claimed = _claim(trial, "conditionalCreate")
    held = trial.deletable()
    content, mark = trial.site.new_content()
    fields = {"If-None-Exist": f"_id={held.logical_id}"}
    answer = trial.send("POST", held.resource_type, headers=fields, body=content)
    trial.own(answer, mark)
    _expect_truth(
        trial, "conditionalCreate", claimed, answer.status == 200, f"If-None-Exist is answered {told(answer)}"
    )


@probe("CAP-1", "conditional-update-is-true", "conditionalUpdate says whether a PUT by search criteria is carried out")
def conditional_update_is_true(trial: Trial) -> None:
    """What is said about updates by search criteria is so."""
    claimed = _claim(trial, "conditionalUpdate")
    held = trial.resource()
    path = f"{held.resource_type}?_id={held.logical_id}"
    answer = trial.send("PUT", path, headers={"If-Match": held.tag}, body=trial.changed(held))
    done = trial.look(held.path).state != held.state
    _expect_truth(trial, "conditionalUpdate", claimed, done, f"a PUT by criteria is answered {told(answer)}")


@probe(
    "CAP-1", "conditional-delete-is-true", "conditionalDelete says whether a DELETE by search criteria is carried out"
)
def conditional_delete_is_true(trial: Trial) -> None:
    """What is said about deletes by search criteria is so; on this machine only, because a mistake there is dire."""
    claimed = _claim(trial, "conditionalDelete")
    if not trial.client.is_local:
        raise Untestable("A DELETE by search criteria is tried on this machine only: a mistake there deletes too much.")
    held = trial.deletable()
    answer = trial.send("DELETE", f"{held.resource_type}?_id={held.logical_id}")
    gone = trial.get(held.path).status != 200
    observed = f"a DELETE by criteria is answered {told(answer)}"
    _expect_truth(trial, "conditionalDelete", claimed != "not-supported", gone, observed)


def _after(held: Held) -> str:
    try:
        moment = datetime.fromisoformat(meta_in(held.read, "lastUpdated")) + timedelta(hours=1)
        return format_datetime(moment.astimezone(UTC), usegmt=True)
    except ValueError:
        raise Untestable("The endpoint shows no lastUpdated that is a date.") from None
