"""Probes of the lock: what a stale, a missing and a malformed ``If-Match`` meet (UPD-6, UPD-7, UPD-8)."""

from __future__ import annotations

from typing import Final

from workbench.conformance.answers import tag_value
from workbench.conformance.probe import Untestable, probe
from workbench.conformance.trial import MADE_UP_VERSION, Trial
from workbench.fhir.resource import without_version

_STALE: Final = "409; body, ETag and Last-Modified stay as they are"
_REFUSED: Final = "412; body, ETag and Last-Modified stay as they are"
_TIMES: Final = 7


@probe("UPD-6", "stale-previous", _STALE)
def stale_previous(trial: Trial) -> None:
    """The version from before the last update: somebody was quicker."""
    held, stale = trial.overtaken()
    trial.expect_refused(trial.put(held, if_match=stale), held, 409)


@probe("UPD-6", "stale-made-up", _STALE)
def stale_made_up(trial: Trial) -> None:
    """A version that never was."""
    held = trial.resource()
    trial.expect_refused(trial.put(held, if_match=MADE_UP_VERSION), held, 409)


@probe("UPD-6", "stale-near-miss", _STALE)
def stale_near_miss(trial: Trial) -> None:
    """Version ids are compared whole and letter by letter: cut short, longer, or in capitals it is another one."""
    held = trial.resource()
    current = held.version_id
    if not current:
        raise Untestable("The endpoint shows no version id to come close to.")
    near = {current[:-1], f"{current}0", f"0{current}", current.upper()} - {current, ""}
    for version in sorted(near):
        trial.expect_refused(trial.put(held, if_match=f'W/"{version}"'), held, 409)


@probe("UPD-6", "stale-same-content", _STALE)
def stale_same_content(trial: Trial) -> None:
    """Also where the content sent is the one that is stored: the version was another."""
    held, stale = trial.overtaken()
    stored = without_version(held.read.resource)
    trial.expect_refused(trial.put(held, stored, if_match=stale), held, 409)


@probe("UPD-6", "stale-body-version", _STALE)
def stale_body_version(trial: Trial) -> None:
    """Also where the body claims the current version: ``If-Match`` alone decides."""
    held, stale = trial.overtaken()
    claimed = trial.changed(held)
    claimed["meta"] = claimed.get("meta", {}) | {"versionId": held.version_id}
    trial.expect_refused(trial.put(held, claimed, if_match=stale), held, 409)


@probe("UPD-6", "stale-again-and-again", f"409, {_TIMES} times out of {_TIMES}; nothing changes")
def stale_again_and_again(trial: Trial) -> None:
    """A lock that holds sometimes is no lock."""
    held, stale = trial.overtaken()
    for _ in range(_TIMES):
        trial.expect_refused(trial.put(held, if_match=stale), held, 409)


@probe("UPD-6", "stale-foreign", _STALE)
def stale_foreign(trial: Trial) -> None:
    """The current version of another resource is nobody's version here."""
    other, held = trial.deletable(), trial.deletable()
    if tag_value(other.tag) == tag_value(held.tag):
        other = trial.updated(other)
    if tag_value(other.tag) == tag_value(held.tag):
        raise Untestable("Two resources of this endpoint have the same version id.")
    trial.expect_refused(trial.put(held, if_match=other.tag), held, 409)


@probe("UPD-7", "missing", _REFUSED)
def missing(trial: Trial) -> None:
    """Without ``If-Match`` the endpoint cannot know which version is meant."""
    held = trial.resource()
    trial.expect_refused(trial.put(held, if_match=None), held, 412)


@probe("UPD-7", "missing-with-other-conditions", _REFUSED)
def missing_with_other_conditions(trial: Trial) -> None:
    """No other condition takes the place of ``If-Match``."""
    held = trial.resource()
    trial.expect_refused(trial.put(held, if_match=None, if_unmodified_since="Fri, 31 Dec 2100 23:59:59 GMT"), held, 412)
    trial.expect_refused(trial.put(held, if_match=None, if_none_match=MADE_UP_VERSION), held, 412)


def _malformed(trial: Trial, pattern: str) -> None:
    """Send the current version in another form than ``W/"<version id>"``."""
    held = trial.resource()
    if not held.version_id:
        raise Untestable("The endpoint shows no version id to write in another form.")
    trial.expect_refused(trial.put(held, if_match=pattern.format(held.version_id)), held, 412)


@probe("UPD-8", "malformed-bare", _REFUSED)
def malformed_bare(trial: Trial) -> None:
    """The version id alone."""
    _malformed(trial, "{}")


@probe("UPD-8", "malformed-strong", _REFUSED)
def malformed_strong(trial: Trial) -> None:
    """A strong entity tag."""
    _malformed(trial, '"{}"')


@probe("UPD-8", "malformed-unquoted", _REFUSED)
def malformed_unquoted(trial: Trial) -> None:
    """A weak tag that lost its quotation marks."""
    _malformed(trial, "W/{}")


@probe("UPD-8", "malformed-small-letter", _REFUSED)
def malformed_small_letter(trial: Trial) -> None:
    """The W is a capital (RFC 9110, section 8.8.3)."""
    _malformed(trial, 'w/"{}"')


@probe("UPD-8", "malformed-list", _REFUSED)
def malformed_list(trial: Trial) -> None:
    """A list, although the current version is in it."""
    _malformed(trial, 'W/"{}", ' + MADE_UP_VERSION)


@probe("UPD-8", "malformed-star", _REFUSED)
def malformed_star(trial: Trial) -> None:
    """Any version at all."""
    _malformed(trial, "*")


@probe("UPD-8", "malformed-empty", _REFUSED)
def malformed_empty(trial: Trial) -> None:
    """The field is there and says nothing."""
    _malformed(trial, "")
