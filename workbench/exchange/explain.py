"""One plain paragraph about an exchange: what was asked, what came of it, what to do next.

A table of sentences, one a verdict. The words are the field's own; the next step is always named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.exchange.verdict import SAFE_METHODS, Verdict
from workbench.fhir.printable import printable

if TYPE_CHECKING:
    from workbench.exchange.message import Exchange

_SENTENCES = {
    Verdict.READ: "{client} read {target}{version_now}. Send this version in If-Match to update it.",
    Verdict.NOT_MODIFIED: "{target} has not changed since the version {client} holds: no body was sent (304).",
    Verdict.CREATED: "{client} created {target}{version_now}. The endpoint chose the id.",
    Verdict.UPDATED: (
        "{client}'s update of {target} was accepted{moved}. Whoever still holds an older version will now be refused."
    ),
    Verdict.DELETED: "{client} deleted {target}. Reads now answer 404, and an update cannot bring it back.",
    Verdict.STALE: (
        "{client} sent the {interaction} of {target} with If-Match {if_match}, and that is not the current version: "
        "somebody has changed it since it was read. The endpoint answered {status} and nothing was changed. "
        "Read it again, compare, and send what you still want with the new version."
    ),
    Verdict.UNGUARDED: (
        "{client} sent the {interaction} of {target} {without}, and the endpoint insists on one: it answered {status} "
        "and nothing was changed. Read the resource and send its ETag in If-Match."
    ),
    Verdict.NOT_FOUND: (
        "The endpoint has no {target} ({status}): it was never there or it has been deleted. Check the type and the id."
    ),
    Verdict.REFUSED: (
        "The endpoint refused the {interaction} of {target} ({status}) and nothing was changed. "
        "Mend what it names and send again."
    ),
    Verdict.UNSUPPORTED: (
        "This endpoint does not offer {interaction} on {kind} ({status}). "
        "Its CapabilityStatement lists what it does offer."
    ),
}

_INTERACTION_WORDS = {"search-type": "search", "capabilities": "read of the capabilities"}


def explain(exchange: Exchange, *, diagnostics: bool = True) -> str:
    """The paragraph for this exchange, with the endpoint's own ``diagnostics`` at its end where it gave some."""
    text = _paragraph(exchange, exchange.verdict) + (_diagnostics(exchange) if diagnostics else "")
    text += f" {exchange.failure}" if exchange.failure and exchange.response else ""
    text += "" if exchange.is_whole else " Its bodies are no longer kept."
    return printable(text[:1].upper() + text[1:])


def _paragraph(exchange: Exchange, verdict: Verdict) -> str:
    if verdict is Verdict.UNKNOWN:
        return _unknown(exchange)
    if verdict is Verdict.FAILED:
        return _failed(exchange)
    if verdict is Verdict.READ and not exchange.logical_id:
        return f"{exchange.client}'s {_word(exchange)} was answered {exchange.status}."
    if verdict is Verdict.REFUSED and 300 <= (exchange.status or 0) < 400:
        return _redirected(exchange)
    return _SENTENCES[verdict].format(**_words(exchange))


def _words(exchange: Exchange) -> dict[str, object]:
    etag = exchange.etag
    now = f" at version {etag.version_id}" if etag else ""
    came_from = f" from {exchange.if_match}" if exchange.if_match else ""
    return {
        "client": exchange.client,
        "interaction": _word(exchange),
        "target": exchange.target,
        "kind": exchange.resource_type or "the endpoint",
        "status": exchange.status,
        "if_match": exchange.if_match,
        "version_now": now,
        "moved": f": its ETag went{came_from} to {etag}" if etag else "",
        "without": "without If-Match"
        if exchange.if_match is None
        else f"with an If-Match it cannot use, {exchange.if_match}",
    }


def _word(exchange: Exchange) -> str:
    return _INTERACTION_WORDS.get(exchange.interaction, exchange.interaction)


def _diagnostics(exchange: Exchange) -> str:
    found = exchange.outcome
    return f" The endpoint says: {found.diagnostics}" if found and found.diagnostics and not exchange.ok else ""


def _unknown(exchange: Exchange) -> str:
    whose = f"{exchange.client}'s {_word(exchange)} of {exchange.target}"
    if exchange.response is not None:
        return (
            f"{whose} was answered {exchange.status}, which leaves it open. It may have been carried out, or not. "
            "Read the resource and look before anything is sent again."
        )
    why = exchange.failure
    if exchange.request.method in SAFE_METHODS:
        return f"No answer came to {whose}: {why} A read changes nothing; send it again."
    return (
        f"{whose} was sent and no answer came: {why.rstrip('.')}. "
        "It may have been carried out, or not. Read the resource and look before anything is sent again."
    )


def _failed(exchange: Exchange) -> str:
    if exchange.response is None:
        return f"{exchange.client}'s {_word(exchange)} of {exchange.target} was never sent: {exchange.failure}"
    if 200 <= (exchange.status or 0) < 300:
        return (
            f"The read of {exchange.target} was answered {exchange.status}, but brought no whole FHIR resource. "
            "Check that the base URL is that of a FHIR endpoint."
        )
    caution = "" if exchange.request.method in SAFE_METHODS else " Read the resource before sending again."
    what = f"the {_word(exchange)} of {exchange.target} ({exchange.status})"
    return f"The endpoint could not carry out {what}.{caution}"


def _redirected(exchange: Exchange) -> str:
    response = exchange.response
    to = (response.headers.get("Location") if response else None) or "an address it did not name"
    return (
        f"The endpoint sent the {_word(exchange)} of {exchange.target} on to {to} ({exchange.status}). "
        "Redirects are not followed: if that is your endpoint, make it the base URL."
    )
