"""All HTML of the widgets. Only this module makes HTML, so every text in it is escaped.

Each function takes plain values and returns a fragment. Every text from a resource, a header or a user goes
through ``_text``.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from workbench.client.unanswered import Landing, Resolution
from workbench.conformance.contract import SOURCES
from workbench.conformance.finding import RESULT_TONES, Finding
from workbench.exchange.message import Exchange
from workbench.exchange.text import reason, request_text, response_text
from workbench.exchange.verdict import TONES, explain
from workbench.fhir.diff import ABSENT, Change
from workbench.fhir.json import dumps
from workbench.journal.diagram import Picture

if TYPE_CHECKING:
    from workbench.conformance.report import Report

_MOST_CHANGES: Final = 40
_LONGEST_VALUE: Final = 300
_LONGEST_BODY: Final = 20_000


def heading(text: str) -> str:
    """Return the heading of a card."""
    return f'<h3 class="swb-heading">{_text(text)}</h3>'


def badge(*, local: bool, embedded: bool, host: str) -> str:
    """Return a label for the kind of endpoint; a live one is red and names its host."""
    if not local:
        return f'<span class="swb-badge swb-live">LIVE <b>{_text(host)}</b></span>'
    return f'<span class="swb-badge">{"EMBEDDED" if embedded else f"LOCAL {_text(host)}"}</span>'


def version_chip(name: tuple[str, str] | None, etag: str | None, last_modified: str | None, *, newer: bool) -> str:
    """Return the version that the draft is based on; ``newer``: whether a newer one is known."""
    if name is None:
        return '<span class="swb-muted">Nothing loaded yet</span>'
    tone = "warn" if newer else "neutral"
    word = " <b>a newer version exists</b>" if newer else ""
    since = f' <span class="swb-muted swb-since">last modified {_text(last_modified)}</span>' if last_modified else ""
    return f'<span class="swb-chip swb-{tone}">version <code>{_text(etag or "no ETag")}</code>{word}</span>{since}'


def steps(*, loaded: bool, edited: bool, sent: bool) -> str:
    """Return the three steps Load, Edit and Send; those that are done have a tick, and the next one is marked."""
    done = {"Load": loaded, "Edit": loaded and (edited or sent), "Send": sent and not edited}
    current = next((name for name, ticked in done.items() if not ticked), None)
    items = ""
    for number, (name, ticked) in enumerate(done.items(), 1):
        state = ' class="swb-done"' if ticked else ' aria-current="step"' if name == current else ""
        mark = '<span aria-label="done">✓</span>' if ticked else f"{number}"
        items += f"<li{state}>{mark} {name}</li>"
    return f'<ol class="swb-steps">{items}</ol>'


def what_is_sent(method: str, target: str, if_match: str | None, *, lockable: bool) -> str:
    """Return one line about the request that *Send* would send; ``lockable``: whether If-Match belongs to it."""
    lock = f"with If-Match <code>{_text(if_match)}</code>" if if_match is not None else "<b>without If-Match</b>"
    lock = lock if lockable else ""
    return f'<div class="swb-muted swb-line">{_text(method)} <code>{_text(target)}</code> {lock}</div>'


def under_way(doing: str) -> str:
    """Return the line that is shown while a request is under way; the page counts the seconds."""
    return f'<div class="swb-line"><b>{_text(doing)}…</b> <span class="swb-seconds">0 s</span></div>'


def notice(text: str, tone: str = "warn") -> str:
    """Return a message to the user; nothing for an empty text."""
    return f'<div class="swb-notice swb-{tone}">{_text(text)}</div>' if text else ""


def resolution(found: Resolution, *, locked: bool) -> str:
    """Return what is known about an unanswered update, and what to do next.

    ``locked`` says whether the update had an ``If-Match``.
    """
    text = f"{found.outcome.value.capitalize()}: {found.because}"
    if found.outcome is Landing.NOT_SO_FAR and locked:
        text += " Send it again with the same If-Match: the endpoint accepts at most one of the two."
    return notice(text, "good" if found.landed else "warn")


def changes(found: Sequence[Change]) -> str:
    """Return a table of what changed since loading, one row an element."""
    if not found:
        return '<div class="swb-muted">Nothing has been changed since loading.</div>'
    rows = "".join(_change_row(change) for change in found[:_MOST_CHANGES])
    more = len(found) - _MOST_CHANGES
    rest = f'<div class="swb-muted">… and {more} more</div>' if more > 0 else ""
    head = "<tr><th>element</th><th>change</th><th>before</th><th>now</th></tr>"
    return f'<table class="swb-changes"><thead>{head}</thead><tbody>{rows}</tbody></table>{rest}'


def _change_row(change: Change) -> str:
    cells = (f"<code>{_text(change.path)}</code>", change.kind, _value(change.before), _value(change.after))
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _value(value: Any) -> str:
    return "" if value is ABSENT else f"<code>{_text(_shortened(dumps(value), _LONGEST_VALUE))}</code>"


def muted(text: str) -> str:
    """Return a text in grey; nothing for an empty text."""
    return f'<div class="swb-muted">{_text(text)}</div>' if text else ""


def story() -> str:
    """Return the introduction of the conflict bench."""
    return (
        '<p class="swb-explanation">A patient\'s reasonable adjustments are kept in one List. Alice and Bob each add '
        "an entry, and each sends the whole List back, as a PUT does. Press their steps in any order, or press Play. "
        "Every step is taken on both sides.</p>"
    )


def picture(drawn: Picture) -> str:
    """Return a picture. This package makes its SVG and escapes every text in it."""
    return f'<div class="swb-picture" tabindex="0" role="region" aria-label="Diagram">{drawn.svg}</div>'


_RACE_COUNTS: Final = {
    "accepted": "accepted",
    "lost": "lost",
    "stale": "conflicts",
    "retries": "retries",
    "gave_up": "given up",
    "unknown": "no answer",
    "other": "refused or not sent",
}


def race_card(
    title: str,
    *,
    counts: Mapping[str, int | None] | None = None,
    planned: int = 0,
    racing: bool = False,
    verdict: tuple[str, str] = ("", "neutral"),
    details: Sequence[str] = (),
    chart: Picture | None = None,
) -> str:
    """Return one race: the verdict, its progress, its counts, a chart, and the details folded.

    A count of ``None`` is not known yet. What was lost is known at the end only.
    """
    if counts is None:
        return heading(title) + muted("No race has been run yet. Choose the settings, then press Start.")
    ended, state = counts["ended"] or 0, "racing" if racing else "ended"
    so_far = f'aria-label="Updates ended" aria-valuemin="0" aria-valuemax="{planned}" aria-valuenow="{ended}"'
    done = f'<div style="width:{100 * ended / planned:.1f}%"></div>'
    bar = f'<div class="swb-track" role="progressbar" {so_far}>{done}</div>'
    progress = f'<div class="swb-muted">{ended:,} of {planned:,} updates {state}</div>'
    cells = "".join(_race_count(name, label, counts[name]) for name, label in _RACE_COUNTS.items())
    drawn = picture(chart) if chart else ""
    sentences = "".join(f"<p>{_text(sentence)}</p>" for sentence in details)
    folded = (
        f'<details class="swb-exchange"><summary>Details and proof</summary>{sentences}</details>' if details else ""
    )
    return f'{heading(title)}{notice(*verdict)}{bar}{progress}<dl class="swb-counts">{cells}</dl>{drawn}{folded}'


def _race_count(name: str, label: str, count: int | None) -> str:
    number = "–" if count is None else f"{count:,}"
    return f'<div class="swb-count-{name}{" swb-some" if count else ""}"><dt>{label}</dt><dd>{number}</dd></div>'


def message(text: str, label: str = "HTTP message") -> str:
    """Return an HTTP message, or another text whose spaces and line ends are kept; ``label`` is its name."""
    named = f'role="region" aria-label="{_text(label)}"'
    return f'<div class="swb-message" tabindex="0" {named}>{_text(_shortened(text, _LONGEST_BODY))}</div>'


def is_cut(text: str) -> bool:
    """Whether ``message`` shows only the beginning of the text."""
    return len(text) > _LONGEST_BODY


def answer(exchange: Exchange, before: str | None, after: str | None, changed_by: str = "") -> str:
    """Return the answer: status, verdict, ETag before and after, OperationOutcome, and what to do next.

    ``changed_by`` is a sentence about who changed the resource.
    """
    verdict = exchange.verdict
    status = "no answer" if exchange.status is None else f"{exchange.status} {reason(exchange.status)}"
    head = (
        f'<div class="swb-answer-head"><b>{_text(status)}</b> '
        f'<span class="swb-chip swb-{TONES[verdict]}">{verdict.value}</span> {_etags(before, after)}</div>'
    )
    who = f'<p class="swb-explanation"><b>{_text(changed_by)}</b></p>' if changed_by else ""
    explained = f'<p class="swb-explanation">{_text(explain(exchange, diagnostics=False))}</p>'
    return f'<div class="swb-answer swb-{TONES[verdict]}">{head}{who}{explained}{_outcome(exchange)}</div>'


def spoken(exchange: Exchange, changed_by: str = "") -> str:
    """Return the answer as plain text for a screen reader."""
    status = "No answer" if exchange.status is None else f"{exchange.status} {reason(exchange.status)}"
    return f"{status}, {exchange.verdict.value}. {changed_by} {explain(exchange, diagnostics=False)}"


def report_summary(report: Report) -> str:
    """Return the outcome of a check: the count of each result, a sentence, and the known server most like it."""
    counts = "".join(
        f'<span class="swb-chip swb-{RESULT_TONES[result]}">{number} {result.value}</span> '
        for result, number in report.counts.items()
        if number
    )
    fit = report.fits[0] if report.fits else None
    like = f"Most like {fit.title}: {fit.met} of {fit.known} known answers are the same." if fit else ""
    notes = "".join(notice(note) for note in report.notes)
    return f"<div>{counts}</div><div><b>{_text(report.headline)}</b> {_text(like)}</div>{notes}"


def finding(found: Finding, base: str) -> str:
    """Return one finding: the promise, its source, what was expected and observed, and every exchange."""
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
    exchanges = "".join(_evidence(number, exchange, base) for number, exchange in enumerate(found.evidence, 1))
    return f'<div class="swb-three">{head}{found.result.value}</span><dl>{cells}</dl></div>{exchanges}'


def _evidence(number: int, exchange: Exchange, base: str) -> str:
    """Return one exchange, collapsed: request and response beside each other."""
    status = "no answer" if exchange.status is None else f"{exchange.status} {reason(exchange.status)}"
    path = exchange.request.url.replace(base, "", 1)
    line = _text(f"{number}. {exchange.request.method} {path} → {status}")
    answered = response_text(exchange.response, base=base, indent=2) if exchange.response else exchange.failure
    pair = message(request_text(exchange.request, base=base, indent=2)) + message(answered)
    return f'<details class="swb-exchange"><summary>{line}</summary><div class="swb-pair">{pair}</div></details>'


def _etags(before: str | None, after: str | None) -> str:
    if before is None or before == after:
        return f"<code>{_text(after)}</code>" + (" unchanged" if before else "") if after else ""
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
