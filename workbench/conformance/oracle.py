"""Whose answers are these? Findings held against what known servers answer (``rules.dialects``).

A broken promise that a known server breaks in the same way DIFFERS, and the server is named. A profile that was
asked for says what each answer should have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workbench.conformance.report import Finding, Fit, Result
from workbench.conformance.servers import AS_PROMISED, BY_NAME, PROFILES, Profile
from workbench.errors import BadInput


def profile_named(name: str) -> Profile:
    """The known server of that name; raises ``BadInput`` that lists them for any other."""
    found = BY_NAME.get(name.lower())
    if found is None:
        raise BadInput(f"There is no profile {name!r}; there are {', '.join(BY_NAME)}.")
    return found


def fits(findings: Sequence[Finding]) -> tuple[Fit, ...]:
    """How well the answers fit each known server, the best fit first; none where nothing was tested."""
    found = [fit for profile in PROFILES if (fit := _fit(profile, findings)).known]
    return tuple(sorted(found, key=lambda fit: fit.score, reverse=True))


def _fit(profile: Profile, findings: Sequence[Finding]) -> Fit:
    known = [finding for finding in findings if finding.tested and profile.predicts(finding.probe)]
    misses = tuple(finding.probe for finding in known if finding.answer != profile.predicts(finding.probe))
    return Fit(profile.name, profile.title, len(known) - len(misses), len(known), misses)


def compared(findings: Sequence[Finding], known: Profile | None) -> tuple[Finding, ...]:
    """The findings with the known server named that answers so, and what the profile asked for predicts."""
    order = [BY_NAME[fit.profile] for fit in fits(findings)]
    if known is not None:
        order = [known, *order]
    return tuple(_compared(finding, order, known) for finding in findings)


def _compared(finding: Finding, order: Sequence[Profile], known: Profile | None) -> Finding:
    predicted = known.predicts(finding.probe) if known is not None else ""
    finding = replace(finding, predicted=predicted)
    if finding.result is Result.BROKEN:
        named = (profile for profile in order if profile.locks or profile is known)
        like = next((profile for profile in named if profile.predicts(finding.probe) == finding.answer), None)
        if like is not None:
            why = f"answers {finding.answer}, as {like.title} does"
            finding = replace(finding, result=Result.DIFFERS, dialect=like.title, why=why)
    if known is not None and finding.tested and predicted and finding.answer != predicted:
        return replace(finding, why=_surprise(finding, known, predicted))
    return finding


def _surprise(finding: Finding, known: Profile, predicted: str) -> str:
    expected = "keep the promise" if predicted == AS_PROMISED else f"answer {predicted}"
    kept = "the promise is kept" if finding.result is Result.KEPT else f"the answer is {finding.answer}"
    return f"{known.title} is known to {expected}, but {kept}"
