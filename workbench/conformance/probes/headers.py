"""Probes of the header fields a live Spine demands (HDR-1 to HDR-5); only where the endpoint demands them.

The right fields are the connection's to send. Each probe leaves one out, and sends one that is wrong.
"""

from __future__ import annotations

from typing import Final

from workbench.conformance.probe import Untestable, probe
from workbench.conformance.trial import Trial

FIELDS: Final = ("Authorization", "fromASID", "toASID", "InteractionID", "TraceID")
_REFUSED: Final = "400 MISSING_OR_INVALID_HEADER without it, and for one that is wrong"
_NOBODYS_ASID: Final = "000000000000"


def _refused_without(trial: Trial, field: str, *wrong: str) -> str:
    """Send a read without the field and with wrong ones; each is refused. Gives back the path that was read."""
    path = f"{trial.site.resource_type}?_count=1"
    bare = trial.send("GET", path, headers=dict.fromkeys(FIELDS))
    if bare.status is not None and bare.status < 400:
        raise Untestable("The endpoint does not demand Spine's header fields.")
    trial.expect_status(trial.get(path), 200)
    for value in (None, *wrong):
        answer = trial.send("GET", path, headers={field: value})
        trial.expect_codes(answer, 400, "invalid", "MISSING_OR_INVALID_HEADER")
    return path


@probe("HDR-1", "authorization-demanded", _REFUSED, writes=False)
def authorization_demanded(trial: Trial) -> None:
    """``Authorization``: a token."""
    _refused_without(trial, "Authorization", "Bearer no-token", "Basic bm86dG9rZW4=")


@probe("HDR-2", "from-asid-demanded", _REFUSED, writes=False)
def from_asid_demanded(trial: Trial) -> None:
    """``fromASID``: the sender."""
    _refused_without(trial, "fromASID", "12345", "twelve-digit")


@probe("HDR-3", "to-asid-demanded", f"{_REFUSED}; 403 ASID_CHECK_FAILED for another endpoint's", writes=False)
def to_asid_demanded(trial: Trial) -> None:
    """``toASID``: the endpoint itself."""
    path = _refused_without(trial, "toASID", "12345", "twelve-digit")
    answer = trial.send("GET", path, headers={"toASID": _NOBODYS_ASID})
    trial.expect_codes(answer, 403, "forbidden", "ASID_CHECK_FAILED")


@probe("HDR-4", "interaction-id-demanded", _REFUSED, writes=False)
def interaction_id_demanded(trial: Trial) -> None:
    """``InteractionID``: what the request is for; one of a write is wrong for a read."""
    kind = trial.site.resource_type
    write = f"urn:nhs:names:services:raflags:{kind}.write:1"
    _refused_without(trial, "InteractionID", "reading", write)


@probe("HDR-5", "trace-id-demanded", _REFUSED, writes=False)
def trace_id_demanded(trial: Trial) -> None:
    """``TraceID``: a UUID."""
    _refused_without(trial, "TraceID", "12345")
