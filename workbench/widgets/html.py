"""The little HTML there is: made here and nowhere else, so that every text in it is escaped.

Each function takes plain values and gives back a fragment; whatever came from a resource, a header or a
user goes through ``_text``.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from workbench.client.unanswered import Landing, Resolution
from workbench.conformance.contract import SOURCES
from workbench.conformance.report import Finding, Report, Result
from workbench.exchange.explain import explain
from workbench.exchange.message import Exchange
from workbench.exchange.text import reason, request_text, response_text
from workbench.exchange.verdict import Verdict
from workbench.fhir.diff import ABSENT, Change
from workbench.fhir.json import dumps
from workbench.fhir.merge import Decision, Kind, Merge
from workbench.journal.diagram import Picture

TONES: Final = {
    Verdict.READ: "neutral",
    Verdict.NOT_MODIFIED: "neutral",
    Verdict.CREATED: "good",
    Verdict.UPDATED: "good",
    Verdict.DELETED: "good",
    Verdict.STALE: "bad",
    Verdict.UNGUARDED: "warn",
    Verdict.NOT_FOUND: "warn",
    Verdict.REFUSED: "warn",
    Verdict.UNSUPPORTED: "warn",
    Verdict.FAILED: "bad",
    Verdict.UNKNOWN: "bad",
}
"""Verdict to the tone it is shown in; never the only sign of it."""

RESULT_TONES: Final = {
    Result.KEPT: "good",
    Result.BROKEN: "bad",
    Result.DIFFERS: "warn",
    Result.NOT_TESTED: "neutral",
}
"""Result of a probe to the tone it is shown in; never the only sign of it."""

_MOST_CHANGES: Final = 40
_LONGEST_VALUE: Final = 300
_LONGEST_BODY: Final = 20_000


def style() -> str:
    """The style sheet, as a fragment."""
    sheet = resources.files("workbench.widgets").joinpath("workbench.css").read_text(encoding="utf-8")
    return f"<style>{sheet}</style>"


def heading(text: str) -> str:
    """A card's heading."""
    return f'<h3 class="swb-heading">{_text(text)}</h3>'


def badge(*, local: bool, embedded: bool, host: str) -> str:
    """Which endpoint this is; a live one cannot be overlooked."""
    if not local:
        return f'<span class="swb-badge swb-live">LIVE <b>{_text(host)}</b></span>'
    return f'<span class="swb-badge">{"EMBEDDED" if embedded else f"LOCAL {_text(host)}"}</span>'


def version_chip(name: str, etag: str | None, last_modified: str | None, *, stale: bool) -> str:
    """The version held, as a chip."""
    if not name:
        return '<span class="swb-muted">Nothing loaded yet</span>'
    tone = "bad" if stale else "neutral"
    word = " <b>stale</b>" if stale else ""
    since = f' <span class="swb-muted">last modified {_text(last_modified)}</span>' if last_modified else ""
    return f'<span class="swb-chip swb-{tone}">holding <code>{_text(etag or "no ETag")}</code>{word}</span>{since}'


def notice(text: str, tone: str = "warn") -> str:
    """One sentence to the user; nothing at all for an empty one."""
    return f'<div class="swb-notice swb-{tone}" role="status">{_text(text)}</div>' if text else ""


def stale_banner() -> str:
    """What to do once an update was stale."""
    text = "Somebody has changed this resource since you loaded it. Your text is still here, and nothing was lost."
    return notice(text, "bad")


def unanswered_banner() -> str:
    """What to do once an update may have been carried out, and nobody has said so."""
    return notice("Nobody has said whether your update was carried out. Your text is still here.", "bad")


def resolution(found: Resolution, *, locked: bool) -> str:
    """What became of an update that was not answered, and what to do next; ``locked``: it named a version."""
    text = f"{found.outcome.value.capitalize()}: {found.because}"
    if found.outcome is Landing.NOT_SO_FAR and locked:
        text += " Send it again with the same If-Match: a lock lets at most one of the two through."
    return notice(text, "good" if found.landed else "warn")


def by_hand_banner() -> str:
    """What a merged text means once it has been edited."""
    text = "You have edited the merged text: what it says is what will be sent, also where you both changed something."
    return notice(text)


def changes(found: Sequence[Change]) -> str:
    """What changed since loading, element by element."""
    if not found:
        return '<div class="swb-muted">Nothing has been changed since loading.</div>'
    rows = "".join(_change_row(change) for change in found[:_MOST_CHANGES])
    more = len(found) - _MOST_CHANGES
    rest = f'<div class="swb-muted">… and {more} more</div>' if more > 0 else ""
    head = "<tr><th>element</th><th></th><th>before</th><th>now</th></tr>"
    return f'<table class="swb-changes"><thead>{head}</thead><tbody>{rows}</tbody></table>{rest}'


def _change_row(change: Change) -> str:
    cells = (f"<code>{_text(change.path)}</code>", change.kind, _value(change.before), _value(change.after))
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _value(value: Any) -> str:
    return "" if value is ABSENT else f"<code>{_text(_shortened(dumps(value), _LONGEST_VALUE))}</code>"


def plain(value: Any) -> str:
    """A value as JSON text; nothing where there is none."""
    return "" if value is ABSENT else dumps(value)


def muted(text: str) -> str:
    """A remark in the background; nothing at all for an empty one."""
    return f'<div class="swb-muted">{_text(text)}</div>' if text else ""


def merge_summary(merge: Merge) -> str:
    """How many decisions there are, and how many are still the user's to make."""
    conflicts = sum(decision.kind is Kind.CONFLICT for decision in merge.decisions)
    waiting = len(merge.conflicts)
    if waiting:
        return notice(f"Both of you changed the same element in {_count(waiting, 'place')}: choose below.", "bad")
    decided = f" You decided {_count(conflicts, 'conflict')}." if conflicts else ""
    found = _count(len(merge.decisions), "difference")
    return notice(f"{found}, none of them open.{decided} Look at the text, then send.", "good")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def decision(found: Decision) -> str:
    """One decision: where, who changed it, and the three values."""
    tone = "bad" if found.kind is Kind.CONFLICT else "neutral"
    head = f'<code>{_text(found.path)}</code> <span class="swb-chip swb-{tone}">{found.kind.value}</span>'
    values = (("base", found.base), ("mine", found.mine), ("theirs", found.theirs))
    cells = "".join(f"<dt>{name}</dt><dd>{_value(value) or '(absent)'}</dd>" for name, value in values)
    return f'<div class="swb-three">{head}<dl>{cells}</dl></div>'


@dataclass(frozen=True, slots=True)
class Person:
    """One practitioner on a stage: what they hold, what they have made of it, and what they were told."""

    name: str
    etag: str = ""
    draft: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    answer: str | None = None
    tone: str = "neutral"


@dataclass(frozen=True, slots=True)
class Stage:
    """One side of the conflict bench. ``lost`` maps an entry that was lost to whose it was."""

    title: str
    people: tuple[Person, ...]
    stored: tuple[str, ...]
    etag: str
    lost: Mapping[str, str]
    verdict: tuple[str, str]


def story() -> str:
    """What the conflict bench is about."""
    return (
        '<p class="swb-explanation">A patient\'s reasonable adjustments are kept in one List. Alice and Bob each add '
        "an entry, and each sends the whole List back, as a PUT does. Press their steps in any order, or play. "
        "Every step is taken on both sides.</p>"
    )


def stage(shown: Stage) -> str:
    """One side: both practitioners, what is stored, and what it came to."""
    people = "".join(_person(person) for person in shown.people)
    entries = "".join(f"<li>{_text(entry)}</li>" for entry in shown.stored)
    lost = "".join(
        f'<li class="swb-lost"><s>{_text(entry)}</s> <b>lost</b>: {_text(whose.capitalize())} was told 200</li>'
        for entry, whose in shown.lost.items()
    )
    etag = f"<code>{_text(shown.etag)}</code>"
    stored = f'<div><b>Stored now</b> {etag}<ul class="swb-entries">{entries}{lost}</ul></div>'
    return f'{heading(shown.title)}<div class="swb-people">{people}</div>{stored}{notice(*shown.verdict)}'


def _person(person: Person) -> str:
    holds = f"holds <code>{_text(person.etag)}</code>" if person.etag else "has not read the List"
    entries = "".join(
        f"<li>{_text(entry)}</li>" if entry in person.seen else f"<li><b>+ {_text(entry)}</b></li>"
        for entry in person.draft
    )
    told = ""
    if person.answer:
        told = f'was told <span class="swb-chip swb-{person.tone}">{_text(person.answer)}</span>'
    return (
        f'<div class="swb-person"><b>{_text(person.name.capitalize())}</b> <span class="swb-muted">{holds}</span>'
        f'<ul class="swb-entries">{entries}</ul>{told}</div>'
    )


def picture(drawn: Picture) -> str:
    """A picture. Its SVG is the package's own, every text in it escaped."""
    return f'<div class="swb-picture" tabindex="0">{drawn.svg}</div>'


_COUNTED: Final = {
    "accepted": "accepted",
    "stale": "conflicts",
    "retries": "retries",
    "gave_up": "given up",
    "unknown": "no answer",
    "other": "refused or not sent",
}


def race_counts(counts: Mapping[str, int], every: int, *, racing: bool) -> str:
    """How far a race is: a bar, and each count under its name."""
    if not every:
        return muted("No race has been run yet: choose, then press Start.")
    ended, state = counts["ended"], "racing" if racing else "ended"
    so_far = f'aria-label="Updates ended" aria-valuemin="0" aria-valuemax="{every}" aria-valuenow="{ended}"'
    bar = (
        f'<div class="swb-track" role="progressbar" {so_far}><div style="width:{100 * ended / every:.1f}%"></div></div>'
    )
    told = f'<div class="swb-muted">{ended:,} of {every:,} updates {state}</div>'
    cells = "".join(f"<div><dt>{said}</dt><dd>{counts[name]:,}</dd></div>" for name, said in _COUNTED.items())
    return f'{bar}{told}<dl class="swb-counts">{cells}</dl>'


def message(text: str) -> str:
    """An HTTP message, or any other text in which every space counts."""
    return f'<div class="swb-message" tabindex="0">{_text(_shortened(text, _LONGEST_BODY))}</div>'


def answer(exchange: Exchange, before: str | None, after: str | None) -> str:
    """The answer: status, verdict, how the ETag moved, what the OperationOutcome says, and what to do next."""
    verdict = exchange.verdict
    status = "no answer" if exchange.status is None else f"{exchange.status} {reason(exchange.status)}"
    head = (
        f'<div class="swb-answer-head"><b>{_text(status)}</b> '
        f'<span class="swb-chip swb-{TONES[verdict]}">{verdict.value}</span> {_movement(before, after)}</div>'
    )
    explained = f'<p class="swb-explanation">{_text(explain(exchange, diagnostics=False))}</p>'
    return f'<div class="swb-answer swb-{TONES[verdict]}" role="status">{head}{_outcome(exchange)}{explained}</div>'


def report_summary(report: Report) -> str:
    """What a check came to: how many of each result, one sentence, and whose answers they are like."""
    counts = "".join(
        f'<span class="swb-chip swb-{RESULT_TONES[result]}">{number} {result.value}</span> '
        for result, number in report.counts.items()
        if number
    )
    fit = report.fits[0] if report.fits else None
    like = f"Answers like {fit.title}: {fit.met} of {fit.known} fit." if fit else ""
    notes = "".join(notice(note) for note in report.notes)
    return f"<div>{counts}</div><div><b>{_text(report.headline)}</b> {_text(like)}</div>{notes}"


def finding(found: Finding, base: str) -> str:
    """One finding: the promise, its source, what was expected and observed, and every exchange."""
    rule = found.rule
    head = f'<b>{rule.id}</b> {_text(found.probe)} <span class="swb-chip swb-{RESULT_TONES[found.result]}">'
    rows = (
        ("promise", f"{rule.text} ({rule.level.value})"),
        ("source", "; ".join(SOURCES[source] for source in rule.sources)),
        ("tried", found.tries),
        ("expected", found.expected),
        ("observed", found.observed),
        ("why", found.why),
    )
    cells = "".join(f"<dt>{name}</dt><dd>{_text(text)}</dd>" for name, text in rows if text)
    told = "".join(_evidence(number, exchange, base) for number, exchange in enumerate(found.evidence, 1))
    return f'<div class="swb-three">{head}{found.result.value}</span><dl>{cells}</dl></div>{told}'


def _evidence(number: int, exchange: Exchange, base: str) -> str:
    """One exchange, closed until it is opened: request and answer beside each other."""
    status = "no answer" if exchange.status is None else f"{exchange.status} {reason(exchange.status)}"
    path = exchange.request.url.replace(base, "", 1)
    line = _text(f"{number}. {exchange.request.method} {path} → {status}")
    answered = response_text(exchange.response, base=base, indent=2) if exchange.response else exchange.failure
    pair = message(request_text(exchange.request, base=base, indent=2)) + message(answered)
    return f'<details class="swb-exchange"><summary>{line}</summary><div class="swb-pair">{pair}</div></details>'


def _movement(before: str | None, after: str | None) -> str:
    if before == after:
        return f"<code>{_text(before)}</code> unchanged" if before else ""
    return f"<code>{_text(before or 'unknown')}</code> → <code>{_text(after or 'unknown')}</code>"


def _outcome(exchange: Exchange) -> str:
    found = exchange.outcome
    if found is None:
        return ""
    return "".join(
        '<div class="swb-issue"><div class="swb-issue-codes">OperationOutcome '
        f"<span>{_text(issue.severity)}</span><code>{_text(issue.code)}</code><code>{_text(issue.spine_code)}</code>"
        f"</div><div>{_text(issue.text)}</div></div>"
        for issue in found.issues
    )


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} … ({len(text):,} characters in all)"


def _text(value: object) -> str:
    return html.escape(str(value))
