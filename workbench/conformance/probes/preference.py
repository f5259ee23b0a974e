"""Probes of ``Prefer``: what comes back for an accepted write (PRF-1 to PRF-5)."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from workbench.conformance.answers import body_of, header, meta_in, same_but_for_meta, tag_value, told, version_in
from workbench.conformance.probe import Untestable, probe
from workbench.conformance.trial import Trial
from workbench.exchange.message import Exchange
from workbench.fhir import json

_EMPTY: Final = "an empty body"
_STORED: Final = "the content sent, with id, the versionId of the ETag and the lastUpdated of Last-Modified"
_INFORMED: Final = "one issue, information/informational, {}"


def _update(trial: Trial, prefer: str | None) -> tuple[Exchange, dict[str, Any]]:
    """An accepted update with this preference, and what was sent."""
    held = trial.resource()
    sent = trial.changed(held)
    answer = trial.put(held, sent, if_match=held.tag, prefer=prefer)
    if answer.status != 200:
        raise Untestable(f"It needs an accepted update, and one with the current ETag was answered {told(answer)}.")
    return answer, sent


def _create(trial: Trial, prefer: str | None) -> tuple[Exchange, dict[str, Any]]:
    """An accepted create with this preference, and what was sent."""
    content, mark = trial.site.new_content()
    answer = trial.send("POST", trial.site.resource_type, headers={"Prefer": prefer}, body=content)
    if answer.status != 201 or trial.own(answer, mark) is None:
        raise Untestable(f"It needs an accepted create, and one was answered {told(answer)}.")
    return answer, content


def _expect_empty(trial: Trial, answer: Exchange) -> None:
    body = body_of(answer)
    kind = answer.resource.get("resourceType") if isinstance(answer.resource, dict) else "something"
    trial.expect(not body, f"{kind} in the body, {len(body)} bytes", "a body")


@probe("PRF-1", "prefer-nothing", _EMPTY)
def prefer_nothing(trial: Trial) -> None:
    """No ``Prefer``, on an update."""
    _expect_empty(trial, _update(trial, None)[0])


@probe("PRF-1", "prefer-minimal", _EMPTY)
def prefer_minimal(trial: Trial) -> None:
    """``return=minimal``, on an update."""
    _expect_empty(trial, _update(trial, "return=minimal")[0])


@probe("PRF-1", "prefer-nothing-create", _EMPTY)
def prefer_nothing_create(trial: Trial) -> None:
    """No ``Prefer``, on a create."""
    _expect_empty(trial, _create(trial, None)[0])


def _expect_representation(trial: Trial, answer: Exchange, sent: dict[str, Any]) -> None:
    found = answer.resource
    trial.expect(isinstance(found, dict), "no resource in the body", "no resource")
    assert isinstance(found, dict)
    kind = found.get("resourceType")
    trial.expect(kind == sent["resourceType"], f"a {kind} in the body", "another resource")
    trial.expect(bool(found.get("id")), "the body has no id", "no id")
    trial.expect(
        same_but_for_meta(found, {"id": found["id"]} | sent), "the body is not what was sent", "another content"
    )
    stored = trial.look(f"{kind}/{found['id']}").read.resource
    trial.expect(json.same(found, stored), "a read shows another content than the body", "another content")
    named = tag_value(header(answer, "ETag"))
    trial.expect(version_in(answer) == named, "versionId and ETag name different versions", "another version")
    moment, shown_date = meta_in(answer, "lastUpdated"), header(answer, "Last-Modified")
    trial.expect(_same_second(moment, shown_date), f"lastUpdated {moment}, Last-Modified {shown_date}", "another date")


@probe("PRF-2", "prefer-representation", _STORED)
def prefer_representation(trial: Trial) -> None:
    """``return=representation``, on an update."""
    _expect_representation(trial, *_update(trial, "return=representation"))


@probe("PRF-2", "prefer-representation-create", _STORED)
def prefer_representation_create(trial: Trial) -> None:
    """``return=representation``, on a create."""
    _expect_representation(trial, *_create(trial, "return=representation"))


def _expect_information(trial: Trial, answer: Exchange, code: str) -> None:
    found = answer.outcome
    trial.expect(found is not None, "no OperationOutcome in the body", "no OperationOutcome")
    assert found is not None
    trial.expect(len(found.issues) == 1, f"{len(found.issues)} issues", "several issues")
    issue = found.issues[0]
    trial.expect(
        (issue.severity, issue.code) == ("information", "informational"),
        f"{issue.severity}/{issue.code}",
        "another severity or type",
    )
    trial.expect(issue.spine_code == code, f"the code {issue.spine_code!r}", "another code")


@probe("PRF-3", "prefer-outcome", _INFORMED.format("RESOURCE_UPDATED"))
def prefer_outcome(trial: Trial) -> None:
    """``return=OperationOutcome``, on an update."""
    _expect_information(trial, _update(trial, "return=OperationOutcome")[0], "RESOURCE_UPDATED")


@probe("PRF-3", "prefer-outcome-create", _INFORMED.format("RESOURCE_CREATED"))
def prefer_outcome_create(trial: Trial) -> None:
    """``return=OperationOutcome``, on a create."""
    _expect_information(trial, _create(trial, "return=OperationOutcome")[0], "RESOURCE_CREATED")


@probe("PRF-4", "prefer-unknown", f"200 and {_EMPTY}")
def prefer_unknown(trial: Trial) -> None:
    """Preferences that nobody knows are no error, and change nothing."""
    held = trial.resource()
    for prefer in ("return=everything", "handling=lenient", "brevity"):
        answer = trial.put(held, if_match=trial.look(held.path).tag, prefer=prefer)
        trial.expect_status(answer, 200)
        _expect_empty(trial, answer)


@probe("PRF-5", "prefer-on-error", "409 with an OperationOutcome of severity error, whatever is preferred")
def prefer_on_error(trial: Trial) -> None:
    """A preference is about success."""
    held, stale = trial.overtaken()
    for prefer in ("return=minimal", "return=representation", "return=OperationOutcome"):
        answer = trial.put(held, if_match=stale, prefer=prefer)
        refused = answer.status is not None and 400 <= answer.status < 500
        trial.expect(refused, f"{told(answer)} to a stale PUT with Prefer: {prefer}", str(answer.status))
        found = answer.outcome
        severe = found is not None and all(issue.severity in ("error", "fatal") for issue in found.issues)
        trial.expect(severe, f"no OperationOutcome of severity error with Prefer: {prefer}", "no OperationOutcome")


def _same_second(instant: str, http_date: str) -> bool:
    try:
        moment = datetime.fromisoformat(instant)
        return moment.replace(microsecond=0) == parsedate_to_datetime(http_date)
    except (ValueError, TypeError):
        return False
