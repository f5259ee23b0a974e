"""The stage: one play as a scene, with a caption for its last step.

A scene has both clients, the version and the entries that each one has, what the server stores, and what was lost.
Versions have short names and colours; the ETag is in small print. ``frontend/src/stage.js`` draws it and sends keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from workbench.exchange.message import Exchange
from workbench.exchange.text import reason
from workbench.exchange.verdict import TONES, Verdict
from workbench.journal.journal import Journal
from workbench.races.schedule import ClientStep, Participant, Play

_STATIC: Final = Path(__file__).parent / "static"
_AREAS: Final = ("left", "right")

Scene = dict[str, Any]
"""What the browser draws, as plain data."""


class Stage(anywidget.AnyWidget):
    """Show a scene. With ``has_keys``, → and space are sent as ``next``, ← as ``back`` and P as ``present``.

    With ``navigation`` it has buttons for the same, a list of chapters, and a pace.
    """

    _esm = _STATIC / "stage.js"
    _css = _STATIC / "stage.css"

    shown = traitlets.Dict({"scene": {"title": "", "caption": "", "wire": "", "tone": "neutral"}}).tag(sync=True)
    has_keys = traitlets.Bool(default_value=False).tag(sync=True)
    navigation = traitlets.Bool(default_value=False).tag(sync=True)

    def on_action(self, callback: Callable[[str, int], object]) -> None:
        """Call ``callback(kind, index)`` for a key or a button; ``index`` is the chapter chosen, otherwise 0."""

        def receive(_widget: object, message: object, _buffers: object) -> None:
            match message:
                case {"kind": "chapter", "index": int(index)}:
                    callback("chapter", index)
                case {"kind": str(kind)}:
                    callback(kind, 0)

        self.on_msg(receive)

    def __repr__(self) -> str:
        return f"Stage({self.shown['scene']['title']!r})"


def scene(play: Play, title: str, server: str, people: Sequence[str], schedule: Sequence[ClientStep] = ()) -> Scene:
    """Return the scene of a play after its last step. ``schedule`` has the steps taken and those to come."""
    # This read has a journal of its own, so that it does not appear in the diagram.
    stored = play.endpoint.client("onlooker", journal=Journal()).read(*play.target)
    entries = _entries(stored.resource)
    lost = _lost_entries(play, entries)
    exchange = play.taken[-1][1] if play.taken else None
    last = play.taken[-1][0][0] if play.taken else ""
    tone = TONES[exchange.verdict] if exchange else "neutral"
    return {
        "title": title,
        "caption": play.caption(len(play.taken)) if play.taken else "Nothing has happened yet.",
        "wire": _wire(exchange) if exchange else "",
        "tone": "bad" if play.taken and play.overwrites(len(play.taken)) else tone,
        "steps": _steps(play, schedule),
        "people": [
            {"area": area, "acts": who == last, **_person(play, who, play.participants.get(who))}
            for area, who in zip(_AREAS, people, strict=True)
        ],
        "server": {
            "title": server,
            "version": _version(play, stored),
            "entries": entries,
            "lost": [{"text": text, "whose": whose.capitalize()} for text, whose in lost.items()],
        },
        "outcome": _outcome(play, lost),
    }


def _steps(play: Play, schedule: Sequence[ClientStep]) -> list[dict[str, str]]:
    taken = len(play.steps)
    steps = (*play.steps, *schedule[taken:])
    states = {taken - 1: "current"}
    return [
        {"text": f"{who.capitalize()} {step}", "state": states.get(number, "done" if number < taken else "next")}
        for number, (who, step) in enumerate(steps)
    ]


def _wire(exchange: Exchange) -> str:
    """Return the request and the response in a line, with the whole ETags."""
    sent = f" · If-Match: {exchange.if_match}" if exchange.if_match is not None else ""
    tag = f" · ETag: {exchange.etag}" if exchange.etag else ""
    return f"{exchange.request.method} {exchange.target}{sent} → {_answer(exchange)}{tag}"


def _answer(exchange: Exchange) -> str:
    return "no answer" if exchange.status is None else f"{exchange.status} {reason(exchange.status)}"


def _version(play: Play, exchange: Exchange) -> dict[str, str] | None:
    """Return the short name and the ETag of the version that an exchange shows; ``None`` before any step showed it."""
    etag = str(exchange.etag or "")
    name = play.versions.get(etag)
    return {"name": name, "etag": etag} if name else None


def _person(play: Play, who: str, participant: Participant | None) -> dict[str, Any]:
    if participant is None or participant.read is None:
        return {"name": who.capitalize(), "version": None, "entries": [], "answer": None, "tone": "neutral"}
    read, put = participant.read, participant.put
    seen = _entries(read.resource)
    draft = seen if participant.draft is None else _entries(participant.draft)
    return {
        "name": who.capitalize(),
        "version": _version(play, put if put is not None and put.verdict is Verdict.UPDATED else read),
        "entries": [{"text": entry, "added": entry not in seen} for entry in draft],
        "answer": _answer(put) if put is not None else None,
        "tone": TONES[put.verdict] if put is not None else "neutral",
    }


def _entries(resource: Any) -> list[str]:
    entries = resource.get("entry", []) if isinstance(resource, dict) else []
    return [_display(entry) for entry in entries]


def _display(entry: Any) -> str:
    item = entry.get("item", {}) if isinstance(entry, dict) else {}
    return str(item.get("display", ""))


def _lost_entries(play: Play, stored: Sequence[str]) -> dict[str, str]:
    """Return each entry that was accepted and then overwritten, with the client that added it."""
    lost = {}
    for loss in play.losses:
        for element in loss.elements:
            name = _display(element.mine)
            if name and name not in stored:
                lost[name] = loss.client
    return lost


def _outcome(play: Play, lost: dict[str, str]) -> tuple[str, str]:
    """Return a sentence about what happened, and its tone."""
    if lost:
        whose = " and ".join(f"{client.capitalize()}'s" for client in dict.fromkeys(lost.values()))
        return f"{whose} entry is lost. Every update got 200, so no client noticed.", "bad"
    if 409 in play.statuses:
        if play.statuses[-1] == 409:
            return "The second update got 409 Conflict, and nothing was lost.", "good"
        return "After the 409 the List was read again, and both entries are there.", "good"
    if play.statuses:
        return "No update was based on an old version, so nothing was lost.", "neutral"
    return "Nothing has been sent yet.", "neutral"
