"""Probes of what an accepted update answers and stores: UPD-1 to UPD-5, UPD-14."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from workbench.conformance.answers import header, meta_in, same_but_for_meta, tag_value, version_in
from workbench.conformance.probe import Untestable, probe
from workbench.conformance.trial import Held, Trial
from workbench.exchange.message import Exchange
from workbench.fhir import json
from workbench.fhir.resource import without_version

_PROFILE: Final = "https://fhir.nhs.uk/STU3/StructureDefinition/a-profile-of-a-check"
_EXTENSION: Final = "https://fhir.nhs.uk/STU3/StructureDefinition/an-extension-of-a-check"
_DECIMALS: Final = '{"url":"%s","valueDecimal":%s}'
_WRITTEN: Final = ("1.10", "0.500", "100.00", "12345678901234567.1234567890")
_NARRATIVE: Final = (
    '<div xmlns="http://www.w3.org/1999/xhtml"><p>Ωμέγα, naïve, 𝄞, “quoted”,  two  spaces &amp; an entity</p></div>'
)
_SENT_VERSION: Final = "99999999-9999"
_SENT_DATE: Final = "1999-12-31T23:59:59.000+00:00"
_MANY: Final = 6


@probe("UPD-1", "update", "200")
def update(trial: Trial) -> None:
    """The update as it should be done."""
    held = trial.resource()
    sent = trial.changed(held)
    answer = trial.put(held, sent, if_match=held.tag)
    trial.expect_status(answer, 200)
    stored = trial.look(held.path).content
    trial.expect(
        same_but_for_meta(stored, sent), "200, but a read shows another content than was sent", "200, not stored"
    )


@probe("UPD-2", "update-date", "a Date that is an HTTP date")
def update_date(trial: Trial) -> None:
    """The answer says when it was given."""
    answer, _ = _update(trial)
    _expect_date(trial, answer, "Date")


@probe("UPD-2", "update-last-modified", "a Last-Modified: the same as the next read's, and not earlier than before")
def update_last_modified(trial: Trial) -> None:
    """The answer says when the new version came to be."""
    held = trial.resource()
    answer = trial.put(held, if_match=held.tag)
    trial.expect_status(answer, 200)
    moment = _expect_date(trial, answer, "Last-Modified")
    later = header(trial.look(held.path).read, "Last-Modified")
    shown = header(answer, "Last-Modified")
    trial.expect(later == shown, f"Last-Modified is {shown}, and {later} on the next read", "another Last-Modified")
    before = _date(header(held.read, "Last-Modified"))
    trial.expect(before is None or moment >= before, "Last-Modified went backwards", "Last-Modified backwards")


@probe("UPD-2", "update-etag", "an ETag: another than before, and the one the next read shows")
def update_etag(trial: Trial) -> None:
    """The answer names the version that the update made."""
    held = trial.resource()
    answer = trial.put(held, if_match=held.tag)
    trial.expect_status(answer, 200)
    tag = header(answer, "ETag")
    trial.expect(bool(tag), "no ETag", "no ETag")
    trial.expect(tag != header(held.read, "ETag"), "the ETag is the one from before the update", "same ETag")
    trial.expect(tag == header(trial.look(held.path).read, "ETag"), "the next read shows another ETag", "another ETag")


@probe("UPD-2", "update-location", "a Location: base/Type/id, absolute")
def update_location(trial: Trial) -> None:
    """The answer says where the resource is."""
    answer, held = _update(trial)
    location, wanted = header(answer, "Location"), f"{trial.client.base_url}/{held.path}"
    trial.expect(bool(location), "no Location", "no Location")
    trial.expect("://" in location, f"Location is relative: {location}", "relative Location")
    versioned = location.startswith(f"{wanted}/_history/")
    trial.expect(not versioned, "Location names the version too", "Location with the version")
    trial.expect(location == wanted, f"Location is {location}, not {wanted}", "another Location")


@probe("UPD-3", "versions-are-new", f"{_MANY} updates, {_MANY + 1} different version ids, one resource id")
def versions_are_new(trial: Trial) -> None:
    """No version id comes back; the resource id stays."""
    held = trial.resource()
    seen = [held.version_id]
    for _ in range(_MANY):
        held = trial.updated(held)
        named = held.read.resource.get("id")
        trial.expect(named == held.logical_id, f"the resource says its id is {named}", "another id")
        seen.append(held.version_id)
    repeated = len(seen) - len(set(seen))
    trial.expect(repeated == 0, f"{repeated} of {_MANY} updates got a version id that had been used", "version reused")


@probe("UPD-3", "refusal-makes-no-version", "after a refused update the ETag is the one from before")
def refusal_makes_no_version(trial: Trial) -> None:
    """What was refused leaves no version behind, and the version held still updates."""
    held = trial.resource()
    answers = [trial.put(held, b'{"resourceType":', if_match=held.tag), trial.put(held, b"[]", if_match=held.tag)]
    if not all(answer.status is not None and answer.status >= 400 for answer in answers):
        raise Untestable("The endpoint refuses nothing that was tried.")
    after = trial.look(held.path)
    trial.expect(after.version_id == held.version_id, "a refused update changed the version", "version changed")
    trial.expect_status(trial.put(held, if_match=held.tag), 200)


@probe("UPD-4", "sent-version-is-overwritten", "200; versionId and lastUpdated are the endpoint's, not the body's")
def sent_version_is_overwritten(trial: Trial) -> None:
    """What the body says of its version decides nothing."""
    held = trial.resource()
    meta = held.content.get("meta", {}) | {"versionId": _SENT_VERSION, "lastUpdated": _SENT_DATE}
    answer = trial.put(held, held.with_changes(1) | {"meta": meta}, if_match=held.tag)
    trial.expect_status(answer, 200)
    read = trial.look(held.path).read
    trial.expect(
        version_in(read) != _SENT_VERSION and tag_value(header(read, "ETag")) != _SENT_VERSION,
        "the version id of the body was stored",
        "versionId stored",
    )
    trial.expect(
        not meta_in(read, "lastUpdated").startswith(_SENT_DATE[:10]),
        "the lastUpdated of the body was stored",
        "lastUpdated stored",
    )


@probe("UPD-5", "stored-in-order", "the members in the order sent, none added and none left out")
def stored_in_order(trial: Trial) -> None:
    """A resource comes back member by member as it was sent."""
    held = trial.resource()
    members = list(held.with_changes(1).items())
    first = [pair for pair in members if pair[0] in ("resourceType", "id", "meta")]
    sent = dict(first + sorted((pair for pair in members if pair not in first), reverse=True))
    stored = _stored(trial, held, sent)
    trial.expect(set(stored) >= set(sent), f"left out: {', '.join(set(sent) - set(stored))}", "members left out")
    trial.expect(set(stored) <= set(sent), f"added: {', '.join(set(stored) - set(sent))}", "members added")
    trial.expect(list(stored) == list(sent), "the members are in another order", "another order")
    trial.expect(json.dumps(stored) == json.dumps(sent), "a value is another one", "another content")


@probe("UPD-5", "decimals-keep-their-digits", "each decimal digit for digit: 1.10 stays 1.10")
def decimals_keep_their_digits(trial: Trial) -> None:
    """Digits carry precision."""
    held = trial.resource()
    written = [_DECIMALS % (_EXTENSION, digits) for digits in _WRITTEN]
    sent = held.with_changes(1) | {"extension": json.parse(f"[{','.join(written)}]")}
    found = _stored(trial, held, sent).get("extension")
    shown = [json.dumps(entry.get("valueDecimal")) for entry in found or [] if isinstance(entry, dict)]
    trial.expect(shown == list(_WRITTEN), f"{', '.join(_WRITTEN)} came back as {', '.join(shown)}", "other digits")


@probe("UPD-5", "text-stays", "the narrative to the letter: accents, spaces, entities, letters beyond 16 bits")
def text_stays(trial: Trial) -> None:
    """No character is another one afterwards."""
    held = trial.resource()
    text = {"status": "generated", "div": _NARRATIVE}
    found = _stored(trial, held, held.with_changes(1) | {"text": text}).get("text")
    trial.expect(found == text, "the narrative came back otherwise", "another text")


@probe("UPD-5", "profiles-stay", "meta.profile as it was sent")
def profiles_stay(trial: Trial) -> None:
    """What the resource claims to be is kept."""
    held = trial.resource()
    meta = held.content.get("meta", {}) | {"profile": [_PROFILE]}
    found = _stored(trial, held, held.with_changes(1) | {"meta": meta}).get("meta")
    shown = found.get("profile") if isinstance(found, dict) else None
    trial.expect(shown == [_PROFILE], f"meta.profile is {json.dumps(shown)}", "profile lost")


@probe("UPD-14", "identical-content", "200 and a new version")
def identical_content(trial: Trial) -> None:
    """Sending what is stored already is an update."""
    held = trial.updated(trial.resource())
    answer = trial.put(held, without_version(held.read.resource), if_match=held.tag)
    trial.expect_status(answer, 200)
    after = trial.look(held.path)
    trial.expect(after.version_id != held.version_id, "200, and the version is the same", "200, same version")


def _update(trial: Trial) -> tuple[Exchange, Held]:
    """An accepted update of a resource, and the resource as it was before."""
    held = trial.resource()
    answer = trial.put(held, if_match=held.tag)
    trial.expect_status(answer, 200)
    return answer, held


def _stored(trial: Trial, held: Held, sent: dict[str, Any]) -> dict[str, Any]:
    """Send this content and read what is stored, its version left out."""
    answer = trial.put(held, sent, if_match=held.tag)
    trial.expect_status(answer, 200)
    return without_version(trial.look(held.path).read.resource)


def _expect_date(trial: Trial, answer: Exchange, name: str) -> datetime:
    text = header(answer, name)
    trial.expect(bool(text), f"no {name}", f"no {name}")
    moment = _date(text)
    trial.expect(moment is not None, f"{name} is {text!r}, which is no HTTP date", f"unreadable {name}")
    assert moment is not None
    return moment


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None
