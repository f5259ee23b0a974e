"""Probes of reads: the version and its date, conditional reads, and versions of the past (RD-1 to RD-4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from workbench.conformance.answers import body_of, header, meta_in, version_in
from workbench.conformance.probe import Untestable, probe
from workbench.conformance.trial import MADE_UP_VERSION, Held, Trial

_NEVER: Final = "Fri, 31 Dec 2100 23:59:59 GMT"
_LONG_AGO: Final = "Sat, 01 Jan 2000 00:00:00 GMT"
_NOT_MODIFIED: Final = "304 without a body"


@probe("RD-1", "read", '200; ETag is W/"meta.versionId"', writes=False)
def read(trial: Trial) -> None:
    """A read brings the resource, and names its version twice."""
    held = trial.resource(change=False)
    trial.expect(held.read.resource.get("id") == held.logical_id, "another resource came", "another resource")
    version, tag = version_in(held.read), header(held.read, "ETag")
    trial.expect(bool(tag), "no ETag", "no ETag")
    trial.expect(bool(version), "no meta.versionId", "no versionId")
    trial.expect(tag.removeprefix("W/") == f'"{version}"', f"ETag {tag}, versionId {version}", "another version")


@probe("RD-1", "read-last-modified", "Last-Modified is meta.lastUpdated to the second", writes=False)
def read_last_modified(trial: Trial) -> None:
    """A read tells the date twice."""
    held = trial.resource(change=False)
    shown, told = header(held.read, "Last-Modified"), meta_in(held.read, "lastUpdated")
    trial.expect(bool(shown), "no Last-Modified", "no Last-Modified")
    trial.expect(bool(told), "no meta.lastUpdated", "no lastUpdated")
    try:
        apart = parsedate_to_datetime(shown) - datetime.fromisoformat(told).replace(microsecond=0)
    except (ValueError, TypeError):
        trial.expect(False, f"{shown!r} and {told!r} cannot be read as dates", "unreadable date")
        return
    trial.expect(not apart, f"they are {abs(apart.total_seconds()):.0f} seconds apart", "another date")


@probe("RD-1", "read-again", "two reads show the same: body, ETag and Last-Modified", writes=False)
def read_again(trial: Trial) -> None:
    """A read changes nothing."""
    held = trial.resource(change=False)
    trial.expect(trial.look(held.path).state == held.state, "the second read shows another resource", "changed")


def _expect_304(trial: Trial, held: Held, **headers: str | None) -> None:
    answer = trial.get(held.path, **headers)
    trial.expect_status(answer, 304)
    trial.expect(not body_of(answer), "304 with a body", "304 with a body")


def _expect_resource(trial: Trial, held: Held, **headers: str | None) -> None:
    answer = trial.get(held.path, **headers)
    trial.expect_status(answer, 200)
    trial.expect(bool(body_of(answer)), "200 without a body", "200 without a body")


@probe("RD-2", "if-none-match", _NOT_MODIFIED, writes=False)
def if_none_match(trial: Trial) -> None:
    """``If-None-Match`` names the current version."""
    held = _tagged(trial)
    _expect_304(trial, held, if_none_match=held.tag)


@probe("RD-2", "if-none-match-other", "200 and the resource", writes=False)
def if_none_match_other(trial: Trial) -> None:
    """``If-None-Match`` names another version."""
    _expect_resource(trial, _tagged(trial), if_none_match=MADE_UP_VERSION)


@probe("RD-2", "if-none-match-after-update", "200 and the resource, once it has changed")
def if_none_match_after_update(trial: Trial) -> None:
    """``If-None-Match`` names the version from before."""
    before = trial.resource()
    if not before.tag:
        raise Untestable("The endpoint shows no ETag.")
    trial.updated(before)
    _expect_resource(trial, before, if_none_match=before.tag)


@probe("RD-2", "if-none-match-wins", "If-Modified-Since is not looked at where there is an If-None-Match", writes=False)
def if_none_match_wins(trial: Trial) -> None:
    """Both conditions, and they disagree (RFC 9110, section 13.1.3)."""
    held = _tagged(trial)
    _expect_resource(trial, held, if_none_match=MADE_UP_VERSION, if_modified_since=_NEVER)
    _expect_304(trial, held, if_none_match=held.tag, if_modified_since=_LONG_AGO)


@probe("RD-3", "if-modified-since", _NOT_MODIFIED, writes=False)
def if_modified_since(trial: Trial) -> None:
    """The date of the version itself, and one after it."""
    held, moment = _dated(trial)
    for later in (timedelta(), timedelta(hours=1)):
        _expect_304(trial, held, if_modified_since=format_datetime(moment + later, usegmt=True))


@probe("RD-3", "if-modified-since-older", "200 and the resource", writes=False)
def if_modified_since_older(trial: Trial) -> None:
    """A date before the version's: a second, and years."""
    held, moment = _dated(trial)
    second_before = format_datetime(moment - timedelta(seconds=1), usegmt=True)
    for date in (second_before, _LONG_AGO):
        _expect_resource(trial, held, if_modified_since=date)


@probe("RD-4", "history-of-a-resource", "501", writes=False)
def history_of_a_resource(trial: Trial) -> None:
    """The versions of one resource."""
    trial.expect_status(trial.get(f"{trial.resource(change=False).path}/_history"), 501)


@probe("RD-4", "vread", "501", writes=False)
def vread(trial: Trial) -> None:
    """One version by its id, although it is the current one."""
    held = trial.resource(change=False)
    trial.expect_status(trial.get(f"{held.path}/_history/{held.version_id or 1}"), 501)


@probe("RD-4", "history-of-a-type", "501", writes=False)
def history_of_a_type(trial: Trial) -> None:
    """The versions of all resources of a type, and of all there are."""
    for path in (f"{trial.site.resource_type}/_history", "_history"):
        trial.expect_status(trial.get(path), 501)


def _tagged(trial: Trial) -> Held:
    held = trial.resource(change=False)
    if not held.tag:
        raise Untestable("The endpoint shows no ETag.")
    return held


def _dated(trial: Trial) -> tuple[Held, datetime]:
    held = trial.resource(change=False)
    try:
        return held, parsedate_to_datetime(header(held.read, "Last-Modified")).astimezone(UTC)
    except ValueError:
        raise Untestable("The endpoint shows no Last-Modified that is a date.") from None
