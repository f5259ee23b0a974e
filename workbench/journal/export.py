"""A journal as others want it: a sequence diagram, a timeline of versions, HAR, CSV.

Owns: which exchanges a picture shows and in what words, Mermaid's text, and the file formats; ``svg`` draws.
Sources: Mermaid, *Sequence diagrams*; HAR 1.2 (softwareishard.com/blog/har-12-spec); OWASP, *CSV injection*.
"""

from __future__ import annotations

import base64
import csv
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from workbench.errors import BadInput
from workbench.exchange.message import Exchange, Headers, Request, Response, size_of
from workbench.exchange.text import reason
from workbench.exchange.verdict import GUARDED, Verdict
from workbench.fhir.etag import ETag
from workbench.journal import diagram as svg
from workbench.journal.files import open_private

MERMAID_LIMIT: Final = 50_000
"""Characters that Mermaid draws unless told otherwise; a longer diagram is shown as SVG only."""

_MOST_BANDS, _FORMULA = 4, frozenset("=+-@＝＋－＠")

Numbered = tuple[int, Exchange]
Move = tuple[str | None, str | None]


@dataclass(frozen=True, repr=False)
class Picture:
    """A picture of what happened: as SVG, and as text for ``print`` and for whoever does not see it."""

    svg: str
    text: str

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": self.text}

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.text.splitlines()[0]}>"


@dataclass(frozen=True, repr=False)
class Diagram(Picture):
    """A sequence diagram: JupyterLab draws the Mermaid, everything else shows the SVG, ``print`` the text."""

    mermaid: str

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        drawn = {"text/vnd.mermaid": self.mermaid} if len(self.mermaid) <= MERMAID_LIMIT else {}
        return {**drawn, **super()._repr_mimebundle_()}


@dataclass(frozen=True, repr=False)
class Timeline(Picture):
    """How the ETag moved: as SVG, and as text for ``print``."""


def diagram(exchanges: Sequence[Exchange], *, start: int | None, last: int, resource: str | None) -> Diagram:
    """At most ``last`` exchanges, the newest or those from number ``start`` on, as a sequence diagram."""
    shown, note, cut = _window(exchanges, start, last, resource)
    scene = _scene(shown, _lanes(exchanges, shown), note if cut else "")
    text = "\n".join([note, *_lines(scene)])
    return Diagram(svg.sequence(scene, text), text, _mermaid(scene, note))


def timeline(exchanges: Sequence[Exchange], moves: Sequence[Move], *, last: int, resource: str | None) -> Timeline:
    """Who did what to which version; ``moves`` are the ETags before and after each exchange."""
    shown, note, _ = _window(exchanges, None, last, resource)
    moved = [(seq, exchange, moves[seq - 1]) for seq, exchange in shown]
    known = list(dict.fromkeys(exchange.target for _, exchange, move in moved if any(move)))
    often = Counter(exchange.target for _, exchange, (before, after) in moved if before != after)
    bands = sorted(known, key=lambda target: -often[target])[:_MOST_BANDS]
    if len(known) > len(bands):
        note += f"; the versions of {len(bands)} of {len(known)} resources"
    chart = _chart(moved, _lanes(exchanges, shown), bands, note)
    text = "\n".join([note, *_chains(chart)])
    return Timeline(svg.timeline(chart, text), text)


def _window(
    exchanges: Sequence[Exchange], start: int | None, last: int, resource: str | None
) -> tuple[list[Numbered], str, bool]:
    """The exchanges to show with their numbers, which of how many they are, and whether that must be said."""
    if last < 1 or (start is not None and start < 1):
        raise BadInput("start= and last= count exchanges from 1, so neither can be less.")
    numbers: Sequence[int] = range(1, len(exchanges) + 1)
    if resource is not None:
        numbers = [number for number in numbers if exchanges[number - 1].target == resource]
    first = max(0, len(numbers) - last) if start is None else bisect_left(numbers, start)
    shown = [(number, exchanges[number - 1]) for number in numbers[first : first + last]]
    total, about = len(numbers), "" if resource is None else f" about {_fitting(resource, 60)}"
    note = f"{len(shown):,} of {total:,} exchanges{about}"
    if len(shown) == total:
        note = f"{total or 'no'} exchange{'' if total == 1 else 's'}{about}"
    elif shown and resource is None:
        ends = dict.fromkeys(f"{number:,}" for number, _ in (shown[0], shown[-1]))
        note = f"exchange{'s' if len(ends) > 1 else ''} {'–'.join(ends)} of {total:,}"
    return shown, note, not shown or len(shown) < len(exchanges)


def _fitting(text: str, most: int = 20) -> str:
    """Text for one line of a picture: what cannot be printed replaced, the middle of what is too long left out."""
    line = "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text).strip()
    return line if len(line) <= most else f"{line[: most // 2]}…{line[len(line) - (most - 1) // 2 :]}"


def _names(names: Iterable[str], most: int = 20) -> dict[str, str]:
    """How each name is written; no two are written the same."""
    written = {name: _fitting(name, most) or "(no name)" for name in names}
    seen = Counter(written.values())
    return {n: f"{label} ({i})" if seen[label] > 1 else label for i, (n, label) in enumerate(written.items(), 1)}


def _lanes(exchanges: Sequence[Exchange], shown: Sequence[Numbered]) -> dict[str, str]:
    """The clients shown, as they are written, in the order in which the journal met them, whatever the window."""
    present = {exchange.client for _, exchange in shown}
    return _names(name for name in dict.fromkeys(exchange.client for exchange in exchanges) if name in present)


def _prefixes(ids: Iterable[str], least: int) -> dict[str, str]:
    """Each id shortened to ``least`` characters, or to as many as it takes to tell all of them apart."""
    distinct, size = set(ids), least
    while size < max(map(len, distinct), default=0) and len({each[:size] for each in distinct}) < len(distinct):
        size += 1
    return {each: each if len(each) <= size + 2 else f"{each[:size]}…" for each in distinct}


def _version_id(tag: str | None) -> str:
    found = ETag.read(tag)
    return found.version_id if found else ""


def _place(exchange: Exchange) -> tuple[tuple[str, str], list[str]]:
    """The endpoint (its host and path), and the segments of what was asked for there."""
    split = urlsplit(exchange.request.url)
    segments = split.path.split("/")
    kind = exchange.resource_type or "metadata"
    cut = len(segments) - 1 - segments[::-1].index(kind) if kind in segments else len(segments)
    return (split.netloc, "/".join(segments[:cut]).rstrip("/")), segments[cut:]


class _Words:
    """How requests and answers are written in one picture, with ids as short as still tells them apart."""

    def __init__(self, shown: Sequence[Numbered]) -> None:
        places = [_place(exchange)[1] for _, exchange in shown]
        self._ids = _prefixes((segment for path in places for segment in path[1:]), 8)
        sent = (e.request.headers.get(name) for _, e in shown for name in ("If-Match", "If-None-Match"))
        came = (e.response.headers.get("ETag") for _, e in shown if e.response)
        self._versions = _prefixes((_version_id(tag) for tags in (sent, came) for tag in tags), 8)

    def asked(self, exchange: Exchange) -> str:
        """``PUT List/744eec7d… If-Match W/"25777f7d…"``; a write that needs an ``If-Match`` says if it had none."""
        path = _place(exchange)[1]
        where = "/".join([*path[:1], *(self._ids[segment] for segment in path[1:])]) or "/"
        query = "?…" if urlsplit(exchange.request.url).query else ""
        words = [_fitting(exchange.request.method), _fitting(where, 50) + query]
        if exchange.if_match is None and exchange.interaction in GUARDED:
            words.append("no If-Match")
        sent = ((name, exchange.request.headers.get(name)) for name in ("If-Match", "If-None-Match"))
        return " ".join([*words, *(f"{name} {self._tag(tag)}" for name, tag in sent if tag is not None)])

    def answered(self, exchange: Exchange) -> str:
        """``200 updated ETag W/"99f08f1a…"``, ``409 stale``, ``no answer: unknown``."""
        if exchange.response is None:
            return f"{'no answer' if exchange.sent else 'not sent'}: {exchange.verdict.value}"
        tag = exchange.response.headers.get("ETag")
        return f"{exchange.status} {exchange.verdict.value}" + ("" if tag is None else f" ETag {self._tag(tag)}")

    def _tag(self, value: str) -> str:
        version_id = _version_id(value)
        short = value.replace(version_id, self._versions[version_id]) if version_id else value
        return _fitting(short, 72 if version_id else 32) or "(empty)"


def _scene(shown: Sequence[Numbered], clients: dict[str, str], note: str) -> svg.Scene:
    words, lane = _Words(shown), {name: number for number, name in enumerate(clients)}
    bases = list(dict.fromkeys(_place(exchange)[0] for _, exchange in shown))
    alike = len({host for host, _ in bases}) < len(bases)
    labels = _names((host + path if alike else host for host, path in bases), 24)
    steps = []
    for seq, exchange in shown:
        between = lane[exchange.client], bases.index(_place(exchange)[0])
        said = words.asked(exchange), words.answered(exchange)
        steps.append(svg.Step(seq, *between, *said, exchange.verdict, exchange.sent, exchange.response is not None))
    return svg.Scene(list(clients.values()), list(labels.values()) if len(bases) > 1 else ["Spine"], steps, note)


def _lines(scene: svg.Scene) -> list[str]:
    """The diagram in words, which is also what a screen reader says of it."""
    room = max((len(f"{step.seq:,}") for step in scene.steps), default=0)
    lines = []
    for step in scene.steps:
        client, endpoint = scene.clients[step.client], scene.endpoints[step.endpoint]
        lines.append(f"{step.seq:>{room},}  {client} → {endpoint}  {step.asked}")
        lines.append(f"{'':{room}}  {client} ← {endpoint}  {step.answer}")
    return lines


def _mermaid(scene: svg.Scene, note: str) -> str:
    names = [*scene.clients, *scene.endpoints]
    lines = ["sequenceDiagram", "accTitle: Sequence of exchanges", f"accDescr: {_mermaid_text(note)}"]
    lines += [f"participant p{number} as {_mermaid_text(name)}" for number, name in enumerate(names, 1)]
    if scene.note:
        lines.append(f"Note over {','.join(dict.fromkeys(['p1', f'p{len(names)}']))}: {_mermaid_text(scene.note)}")
    for step in scene.steps:
        client, endpoint = f"p{step.client + 1}", f"p{len(scene.clients) + step.endpoint + 1}"
        asked, answer = _mermaid_text(f"{step.seq}. {step.asked}"), _mermaid_text(step.answer)
        lines.append(f"{client}{'->>' if step.sent else '-x'}{endpoint}: {asked}")
        back = f"{endpoint}{'-->>' if step.answered else '--x'}{client}"
        lines.append(f"{back if step.sent else f'Note over {client},{endpoint}'}: {answer}")
    return "\n".join(lines) + "\n"


def _mermaid_text(text: str) -> str:
    """Text that Mermaid takes for nothing else: no comment, directive, arrow, keyword, markup or formula.

    >>> _mermaid_text("<b>end; %%{init")
    '#60;b#62;end#59; #37;#37;#123;init'
    """
    return "".join(c if c.isalnum() or c in ' /."…-' else f"#{ord(c)};" for c in text)


def _chart(
    moved: Sequence[tuple[int, Exchange, Move]], clients: dict[str, str], bands: Sequence[str], note: str
) -> svg.Chart:
    tags = [tag for _, _, move in moved for tag in move if tag]
    versions = _prefixes(map(_version_id, tags), 4)
    labels = {tag: _fitting(versions[_version_id(tag)] or tag) for tag in tags}
    ids = _prefixes((exchange.logical_id for _, exchange, _ in moved), 8)
    lane = {name: number for number, name in enumerate(clients)}
    begins: dict[str, tuple[str, str]] = {}
    marks = []
    for seq, exchange, (before, after) in moved:
        name = f"{_fitting(exchange.resource_type)}/{_fitting(ids[exchange.logical_id])}"
        begins.setdefault(exchange.target, (name, labels[before] if before else ""))
        mark = svg.Mark(seq, lane[exchange.client], exchange.verdict)
        if before != after and exchange.target in bands:
            gone = exchange.verdict in (Verdict.DELETED, Verdict.NOT_FOUND)
            label = labels[after] if after else "deleted" if gone else "unknown"
            mark = mark._replace(band=bands.index(exchange.target), version=label)
        marks.append(mark)
    return svg.Chart(list(clients.values()), [begins[band] for band in bands], marks, note)


def _chains(chart: svg.Chart) -> list[str]:
    """The timeline in words: a line a lane with a letter an exchange, and a line a chain of versions."""
    room = max((len(name) for name in (*chart.clients, *(name for name, _ in chart.bands))), default=0)
    lines = []
    for number, client in enumerate(chart.clients):
        letters = (svg.LOOKS[mark.verdict].letter if mark.client == number else "·" for mark in chart.marks)
        lines.append(f"{client:<{room}}  {''.join(letters)}")
    for number, (name, before) in enumerate(chart.bands):
        chain = [f"{mark.version} ({mark.seq:,})" for mark in chart.marks if mark.version and mark.band == number]
        lines.append(f"{name:<{room}}  {' → '.join([before, *chain] if before else chain)}")
    met = {mark.verdict for mark in chart.marks}
    key = (f"{look.letter} {verdict.value}" for verdict, look in svg.LOOKS.items() if verdict in met)
    return [*lines, ", ".join(key)]


def har(exchanges: Iterable[Exchange]) -> dict[str, Any]:
    """The exchanges as an HTTP Archive 1.2; what only this journal knows stands in fields that begin with ``_``."""
    from workbench import __version__

    log = {"version": "1.2", "creator": {"name": "spine-workbench", "version": __version__}, "pages": []}
    return {"log": {**log, "entries": [_har_entry(seq, exchange) for seq, exchange in enumerate(exchanges, 1)]}}


def _har_entry(seq: int, exchange: Exchange) -> dict[str, Any]:
    ms = 0 if exchange.elapsed is None else round(exchange.elapsed * 1000, 3)
    comment = {"comment": "not timed"} if exchange.elapsed is None else {}
    return {
        "startedDateTime": exchange.sent_at.isoformat(timespec="milliseconds"),
        "time": ms,
        "request": _har_request(exchange.request),
        "response": _har_response(exchange),
        "cache": {},
        "timings": {"send": 0, "wait": ms, "receive": 0, **comment},
        "_seq": seq,
        "_client": exchange.client,
        "_interaction": exchange.interaction,
        "_verdict": exchange.verdict.value,
    }


def _har_request(request: Request) -> dict[str, Any]:
    query = parse_qsl(urlsplit(request.url).query, keep_blank_values=True)
    head = {"method": request.method, "url": request.url, "queryString": _har_pairs(query)}
    body = {"postData": _har_body(request, {"comment": "base64"})} if size_of(request) else {}
    return {**head, **_har_fields(request.headers), **body, "bodySize": size_of(request)}


def _har_response(exchange: Exchange) -> dict[str, Any]:
    """Where no answer came: status 0 and ``_error``, as browsers write it."""
    response = exchange.response or Response(0)
    told = {"status": response.status, "statusText": reason(response.status), **_har_fields(response.headers)}
    told["content"] = {"size": size_of(response), **_har_body(response, {"encoding": "base64"})}
    told["redirectURL"] = response.headers.get("Location") or "" if 300 <= response.status < 400 else ""
    # Where a content coding has been undone, nobody knows how many bytes came before that.
    counted = exchange.response and "Content-Encoding" not in response.headers
    told["bodySize"] = size_of(response) if counted else -1
    return told if exchange.response else {**told, "_error": exchange.failure}


def _har_fields(headers: Headers) -> dict[str, Any]:
    return {"httpVersion": "HTTP/1.1", "cookies": [], "headers": _har_pairs(headers.items()), "headersSize": -1}


def _har_pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _har_body(message: Request | Response, binary: dict[str, str]) -> dict[str, str]:
    kind = {"mimeType": message.headers.get("Content-Type") or "x-unknown"}
    try:
        kept = {"comment": str(message.dropped)} if message.dropped else {}
        return {**kind, "text": message.body.decode("utf-8"), **kept}
    except UnicodeDecodeError:
        return {**kind, "text": base64.b64encode(message.body).decode("ascii"), **binary}


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, overwrite: bool) -> None:
    """A table for spreadsheets: UTF-8 with the mark that Excel wants, and no text that would run as a formula."""
    with open_private(path, overwrite=overwrite, encoding="utf-8-sig") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    """An apostrophe before what a spreadsheet would take for a formula, so that it shows it and computes nothing."""
    if value is None or isinstance(value, int | float):
        return value
    text = value.isoformat(timespec="microseconds") if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.lstrip()[:1] in _FORMULA or text[:1] in ("\t", "\r", "\n") else text
