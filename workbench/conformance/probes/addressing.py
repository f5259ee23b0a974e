"""Probes of what an update is about: ids and types that disagree, are unknown, gone, not served (UPD-9 to UPD-12)."""

from __future__ import annotations

from typing import Any, Final

from workbench.conformance.answers import told
from workbench.conformance.probe import Untestable, probe
from workbench.conformance.site import TEMPLATES
from workbench.conformance.trial import MADE_UP_VERSION, Held, Trial

_REFUSED: Final = "400; body, ETag and Last-Modified stay as they are"
_RARE: Final = ("Linkage", "Basic", "Schedule", "TestScript", "Substance")
"""Types that few endpoints serve, and that are about no patient."""


def _disagreeing(trial: Trial, held: Held, content: dict[str, Any]) -> None:
    trial.expect_refused(trial.put(held, content, if_match=held.tag), held, 400)


@probe("UPD-9", "id-missing", _REFUSED)
def id_missing(trial: Trial) -> None:
    """The body says no id."""
    held = trial.resource()
    _disagreeing(trial, held, {name: value for name, value in trial.changed(held).items() if name != "id"})


@probe("UPD-9", "id-differs", _REFUSED)
def id_differs(trial: Trial) -> None:
    """The body says another id."""
    held = trial.resource()
    _disagreeing(trial, held, trial.changed(held) | {"id": trial.unknown_id()})


@probe("UPD-9", "type-missing", _REFUSED)
def type_missing(trial: Trial) -> None:
    """The body says no type."""
    held = trial.resource()
    content = {name: value for name, value in trial.changed(held).items() if name != "resourceType"}
    _disagreeing(trial, held, content)


@probe("UPD-9", "type-differs", _REFUSED)
def type_differs(trial: Trial) -> None:
    """The body is a valid resource of another type."""
    held = trial.resource()
    other = next(name for name in TEMPLATES if name != held.resource_type)
    _disagreeing(trial, held, TEMPLATES[other] | {"id": held.logical_id})


@probe("UPD-10", "unknown-id", "405 MSG_RESOURCE_ID_FAIL; a read of that id then answers 404")
def unknown_id(trial: Trial) -> None:
    """An id that was never assigned: clients may not assign one."""
    path, content = _nobody(trial)
    answer = trial.send("PUT", path, headers={"If-Match": MADE_UP_VERSION}, body=content)
    after = trial.get(path)
    trial.expect_status(answer, 405)
    trial.expect_codes(answer, 405, "forbidden", "MSG_RESOURCE_ID_FAIL")
    trial.expect(after.status == 404, f"405, and a read of that id answers {after.status}", "405, yet created")


@probe("UPD-10", "unknown-id-without-version", "no resource appears: a read of that id answers 404")
def unknown_id_without_version(trial: Trial) -> None:
    """No ``If-Match`` does not make it a create either."""
    path, content = _nobody(trial)
    answer = trial.send("PUT", path, body=content)
    after = trial.get(path)
    refused = answer.status is not None and 400 <= answer.status < 500
    trial.expect(refused, f"{told(answer)} to PUT {trial.site.resource_type}/[id]", str(answer.status))
    trial.expect(after.status == 404, f"a read of that id answers {after.status}", "yet created")


@probe("UPD-11", "deleted", "404; a read still answers 404")
def deleted(trial: Trial) -> None:
    """An update does not bring back what was deleted, whichever version it names."""
    held = trial.deleted()
    for tag in (held.tag, MADE_UP_VERSION):
        answer = trial.put(held, if_match=tag)
        after = trial.get(held.path)
        trial.expect(
            after.status in (404, 410), f"{told(answer)} to the PUT, and a read answers {after.status}", "revived"
        )
        trial.expect_status(answer, 404)


@probe("UPD-12", "type-not-listed", "501 NOT_IMPLEMENTED")
def type_not_listed(trial: Trial) -> None:
    """A type that the CapabilityStatement does not list cannot be updated, nor read."""
    unlisted = [name for name in _RARE if name not in trial.site.types]
    if not trial.site.statement or not unlisted:
        raise Untestable("The CapabilityStatement lists every type that could be tried.")
    path = f"{unlisted[0]}/{trial.unknown_id()}"
    content = {"resourceType": unlisted[0], "id": path.partition("/")[2]}
    answer = trial.send("PUT", path, headers={"If-Match": MADE_UP_VERSION}, body=content)
    trial.expect_codes(answer, 501, "not-supported", "NOT_IMPLEMENTED")


@probe("UPD-12", "type-not-listed-read", "501 NOT_IMPLEMENTED", writes=False)
def type_not_listed_read(trial: Trial) -> None:
    """A type that the CapabilityStatement does not list cannot be read."""
    unlisted = [name for name in _RARE if name not in trial.site.types]
    if not trial.site.statement or not unlisted:
        raise Untestable("The CapabilityStatement lists every type that could be tried.")
    answer = trial.get(f"{unlisted[0]}/{trial.unknown_id()}")
    trial.expect_codes(answer, 501, "not-supported", "NOT_IMPLEMENTED")


@probe("UPD-12", "interaction-not-listed", "501 NOT_IMPLEMENTED; nothing changes")
def interaction_not_listed(trial: Trial) -> None:
    """A PATCH, where the CapabilityStatement does not list it."""
    if trial.site.lists("patch") is not False:
        raise Untestable("The CapabilityStatement lists patch, or there is none to go by.")
    held = trial.resource()
    patch = b'[{"op":"replace","path":"/language","value":"en"}]'
    fields = {"If-Match": held.tag, "Content-Type": "application/json-patch+json"}
    answer = trial.send("PATCH", held.path, headers=fields, body=patch)
    trial.expect_refused(answer, held, 501)
    trial.expect_codes(answer, 501, "not-supported", "NOT_IMPLEMENTED")


def _nobody(trial: Trial) -> tuple[str, dict[str, Any]]:
    """An id that was never assigned, and a resource that claims it."""
    path = trial.unknown_path()
    kind, _, logical_id = path.partition("/")
    template = TEMPLATES.get(kind) or dict(trial.resource(change=False).content)
    named = {"resourceType": kind, "id": logical_id}
    return path, named | template | named
