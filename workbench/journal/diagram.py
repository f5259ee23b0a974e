"""Pictures of a journal: a sequence diagram (Mermaid and SVG) and a timeline of versions (SVG)."""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from xml.etree import ElementTree

from workbench.errors import BadInput
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import GUARDED, Verdict
from workbench.fhir.etag import ETag

_INK, _DIM, _EDGE, _PAPER, _STRIPE = "#1f2328", "#57606a", "#ccd2d9", "#ffffff", "#f3f5f8"
_DARK, _PALE, _VERSION = "#24324a", "#e3edf9", "#dbe9fb"
_MARGIN, _GAP, _NOTE = 16, 14, 24
_HEAD, _STEP, _REPEAT_HEADS = 28, 54, 8
_WIDEST, _STRIDE, _LANE, _BAND = 960, 30, 30, 28


class Look(NamedTuple):
    """How a verdict is shown: a colour, and for whoever does not see colours a letter in a shape."""

    letter: str
    colour: str
    shape: str


LOOKS: Final = {
    Verdict.READ: Look("R", "#57606a", "circle"),
    Verdict.NOT_MODIFIED: Look("N", "#0a5bc4", "circle"),
    Verdict.CREATED: Look("C", "#0b5d2a", "square"),
    Verdict.UPDATED: Look("U", "#1a7f37", "square"),
    Verdict.DELETED: Look("D", "#0b6b74", "square"),
    Verdict.STALE: Look("S", "#cf222e", "hexagon"),
    Verdict.UNGUARDED: Look("G", "#946200", "diamond"),
    Verdict.NOT_FOUND: Look("0", "#6f4a1a", "diamond"),
    Verdict.REFUSED: Look("!", "#b14d00", "diamond"),
    Verdict.UNSUPPORTED: Look("–", "#5f5a00", "diamond"),
    Verdict.FAILED: Look("F", "#82071e", "hexagon"),
    Verdict.UNKNOWN: Look("?", "#a40e6b", "hexagon"),
}
"""Shapes follow the widget's tones: circle neutral, square good, diamond warn, hexagon bad."""

_OUTLINES: Final = {
    "square": [(-9, -9), (9, -9), (9, 9), (-9, 9)],
    "diamond": [(0, -12), (12, 0), (0, 12), (-12, 0)],
    "hexagon": [(-6, -10), (6, -10), (12, 0), (6, 10), (-6, 10), (-12, 0)],
}


class Step(NamedTuple):
    """One exchange of a sequence diagram; ``client`` and ``endpoint`` are numbers of lifelines, from 0."""

    seq: int
    client: int
    endpoint: int
    asked: str
    answer: str
    verdict: Verdict
    sent: bool
    answered: bool


class Scene(NamedTuple):
    """A sequence diagram: lifelines by name, then what went between them; ``note`` says what is left out."""

    clients: Sequence[str]
    endpoints: Sequence[str]
    steps: Sequence[Step]
    note: str


class Mark(NamedTuple):
    """One exchange of a timeline; ``version`` is what ``band`` says from here on, ``""`` where nothing moved."""

    seq: int
    client: int
    verdict: Verdict
    band: int = 0
    version: str = ""


class Chart(NamedTuple):
    """A timeline: a lane a client, and a band a resource, with its name and the version it begins with."""

    clients: Sequence[str]
    bands: Sequence[tuple[str, str]]
    marks: Sequence[Mark]
    note: str


NO_VERSION: Final = frozenset({"unknown", "deleted"})  # what a band says where there is none to name: drawn as a gap


def text_width(text: str, size: int, *, mono: bool = False) -> int:
    """At least the pixels that the text takes, in the widest of the usual fonts."""
    return math.ceil(size * sum(_em(character, mono=mono) for character in text))


def _em(character: str, *, mono: bool) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.25 if mono or ord(character) > 0xFFFF else 1.0
    if mono or character.islower() or character.isdigit():
        return 1.0 if character in "mw" and not mono else 0.62
    other = 0.82 if character.isalnum() or ord(character) >= 0x250 else 0.46
    return 1.0 if character in "MW@%…" else other


class _Canvas:
    """An SVG that grows: each method draws one thing."""

    def __init__(self, width: int, height: int, title: str, description: str, note: str) -> None:
        fixed = {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "style": "max-width:100%;height:auto"}
        size = {"width": f"{width}", "height": f"{height}", "viewBox": f"0 0 {width} {height}"}
        self._root = ElementTree.Element("svg", fixed | size)
        self.add("title").text = title
        self.add("desc").text = description
        self.box(0.5, 0.5, width - 1, height - 1, _PAPER, stroke=_EDGE, rx=6)
        if note:
            self.words(_MARGIN, _MARGIN + 12, note, _DIM)

    def add(self, tag: str, **attributes: object) -> ElementTree.Element:
        """Any element; attributes that are ``None`` are left out."""
        named = {name.replace("_", "-"): f"{value}" for name, value in attributes.items() if value is not None}
        return ElementTree.SubElement(self._root, tag, named)

    def box(self, x: float, y: float, width: float, height: float, fill: str, **more: object) -> None:
        self.add("rect", x=x, y=y, width=width, height=height, fill=fill, **more)

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, dash: str | None = None) -> None:
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour, stroke_width=1.3, stroke_dasharray=dash)

    def shape(self, fill: str, *points: tuple[float, float]) -> None:
        self.add("polygon", points=" ".join(f"{x:g},{y:g}" for x, y in points), fill=fill)

    def words(
        self, x: float, y: float, text: str, fill: str, size: int = 12, *, mono: bool = False, anchor: str | None = None
    ) -> None:
        family = "monospace" if mono else "sans-serif"
        element = self.add("text", x=x, y=y, font_family=family, font_size=size, fill=fill, text_anchor=anchor)
        element.text = text
        if any(ord(character) >= 0x250 and character not in "…→–" for character in text):
            # Nobody knows the font that will have this character, nor how wide it is there: hold it to its room.
            element.attrib |= {"textLength": f"{text_width(text, size, mono=mono)}", "lengthAdjust": "spacingAndGlyphs"}

    def source(self) -> str:
        ElementTree.indent(self._root, "")
        return ElementTree.tostring(self._root, encoding="unicode")


class _Columns:
    """Where the lifelines stand. All labels share one column between clients and endpoints, clear of every lifeline."""

    def __init__(self, scene: Scene) -> None:
        self.seq = _MARGIN + max((text_width(f"{step.seq:,}", 11) for step in scene.steps), default=0)
        self.names = [*scene.clients, *scene.endpoints]
        self.boxes = [text_width(name, 13) + 2 * _GAP for name in self.names]
        labels = [text for step in scene.steps for text in (step.asked, step.answer)]
        room = max((text_width(label, 12, mono=True) for label in labels), default=0) + 2 * _GAP
        self.lifelines: list[int] = []
        right, self.labels = self.seq, self.seq
        for number, box in enumerate(self.boxes):
            x = right + _GAP + box // 2
            if number == len(scene.clients) and number:
                self.labels = self.lifelines[-1] + _GAP
                x = max(x, self.lifelines[-1] + room)
            self.lifelines.append(x)
            right = x + box - box // 2
        self.width = max(right, _MARGIN + text_width(scene.note, 12)) + _MARGIN


def sequence_svg(scene: Scene, description: str) -> str:
    """The scene as SVG: clients on the left, endpoints on the right, an exchange a stripe, numbered as tables do."""
    columns = _Columns(scene)
    top = _MARGIN + (_NOTE if scene.note else 0)
    first = top + _HEAD + 8
    bottom = first + _STEP * len(scene.steps) + 8
    heads = (top, bottom) if len(scene.steps) > _REPEAT_HEADS else (top,)
    height = bottom + (_HEAD + _MARGIN if len(heads) > 1 else 4)
    canvas = _Canvas(columns.width, height, "Sequence of exchanges", description, scene.note)
    for number in range(0, len(scene.steps), 2):
        canvas.box(1, first + number * _STEP, columns.width - 2, _STEP, _STRIPE)
    for number, (name, x, box) in enumerate(zip(columns.names, columns.lifelines, columns.boxes, strict=True)):
        fill, ink = (_PALE, _INK) if number < len(scene.clients) else (_DARK, _PAPER)
        canvas.line(x, top + _HEAD, x, bottom, _EDGE)
        for y in heads:
            canvas.box(x - box // 2, y, box, _HEAD, fill, stroke=_DARK, rx=4)
            canvas.words(x, y + 18.5, name, ink, 13, anchor="middle")
    for number, step in enumerate(scene.steps):
        start, end = columns.lifelines[step.client], columns.lifelines[len(scene.clients) + step.endpoint]
        _draw_step(canvas, columns, step, start, end, first + number * _STEP)
    return canvas.source()


def _draw_step(canvas: _Canvas, columns: _Columns, step: Step, start: int, end: int, y: int) -> None:
    colour = LOOKS[step.verdict].colour
    canvas.words(columns.seq, y + 16, f"{step.seq:,}", _DIM, 11, anchor="end")
    canvas.words(columns.labels, y + 16, step.asked, _INK, mono=True)
    canvas.add("circle", cx=start, cy=y + 22, r=3, fill=_INK)
    if step.sent:
        _arrow(canvas, start, end, y + 22, _INK)
    else:
        _lost(canvas, start, end - 8, y + 22, colour)
    canvas.words(columns.labels, y + 40, step.answer, colour, mono=True)
    if step.answered:
        _arrow(canvas, end, start, y + 47, colour, "6 4")
    elif step.sent:
        _lost(canvas, end, columns.labels + 5, y + 47, colour, "6 4")


def _arrow(canvas: _Canvas, start: int, end: int, y: int, colour: str, dash: str | None = None) -> None:
    back = -9 if end > start else 9
    canvas.line(start, y, end + back, y, colour, dash)
    canvas.shape(colour, (end, y), (end + back, y - 4.5), (end + back, y + 4.5))


def _lost(canvas: _Canvas, start: int, end: int, y: int, colour: str, dash: str | None = None) -> None:
    """An arrow that never arrives: it ends in a cross."""
    canvas.line(start, y, end, y, colour, dash)
    canvas.line(end - 4, y - 4, end + 4, y + 4, colour)
    canvas.line(end - 4, y + 4, end + 4, y - 4, colour)


class _Row:
    """One line of a timeline, which is folded as text is: its marks, and the versions it begins with."""

    def __init__(self, before: list[str], left: int) -> None:
        self.before = before
        self.bands = {band for band, version in enumerate(before) if version}
        self.clients: set[int] = set()
        self.placed: list[tuple[Mark, int]] = []
        self.x = left - _STRIDE // 2
        self._taken = [left + _label_width(version) for version in before]

    def place(self, mark: Mark) -> bool:
        """Put the mark at its stride, or further right if an earlier version's label needs the room; or say no."""
        x = max(self.x + _STRIDE, self._taken[mark.band] if mark.version else 0)
        end = x + (_label_width(mark.version) if mark.version else _GAP)
        if end > _WIDEST and self.placed:
            return False
        if mark.version:
            self._taken[mark.band] = end
            self.bands.add(mark.band)
        self.clients.add(mark.client)
        self.placed.append((mark, x))
        self.x = x
        return True

    def size(self) -> tuple[int, int]:
        """How far to the right it goes, and how high it is."""
        return max([self.x + _STRIDE, *self._taken]), _BAND * len(self.bands) + _LANE * len(self.clients) + 30


def _folded(chart: Chart, left: int) -> list[_Row]:
    current = [version for _, version in chart.bands]
    rows: list[_Row] = []
    for mark in chart.marks:
        if not rows or not rows[-1].place(mark):
            rows.append(_Row(list(current), left))
            rows[-1].place(mark)
        if mark.version:
            current[mark.band] = mark.version
    return rows


def _label_width(version: str) -> int:
    return text_width(version, 11, mono=True) + _GAP if version else 0


def timeline_svg(chart: Chart, description: str) -> str:
    """The chart as SVG: folded into rows, and below them the verdicts that occur."""
    names = [text_width(name, 12) for name in chart.clients]
    names += [text_width(name, 11, mono=True) for name, _ in chart.bands]
    left = _MARGIN + max(names, default=0) + _GAP
    rows = _folded(chart, left)
    right = max([left + 240, _MARGIN + text_width(chart.note, 12), *(row.size()[0] for row in rows)])
    legend = _legend(chart, right)
    top = _MARGIN + _NOTE
    height = top + sum(row.size()[1] for row in rows) + 26 * len({y for *_, y in legend}) + _GAP // 2
    canvas = _Canvas(right + _MARGIN, height, "How the ETag moved", description, chart.note)
    for row in rows:
        _draw_row(canvas, chart, row, left, right, top)
        top += row.size()[1]
    for verdict, x, y in legend:
        _marker(canvas, verdict, x, top + y)
        canvas.words(x + 18, top + y + 4, verdict.value, _INK)
    return canvas.source()


def _draw_row(canvas: _Canvas, chart: Chart, row: _Row, left: int, right: int, top: int) -> None:
    bands = {band: top + number * _BAND for number, band in enumerate(sorted(row.bands))}
    top += len(bands) * _BAND
    lanes = {client: top + number * _LANE + _LANE // 2 for number, client in enumerate(sorted(row.clients))}
    for client, y in lanes.items():
        canvas.words(_MARGIN, y + 4, chart.clients[client], _INK)
        canvas.line(left, y, right, y, _EDGE)
    for mark, x in (each for each in row.placed if each[0].version):
        canvas.line(x, bands[mark.band] + 20, x, lanes[mark.client], _DIM, "2 3")
    for band, y in bands.items():
        canvas.words(_MARGIN, y + 15, chart.bands[band][0], _DIM, 11, mono=True)
        _draw_band(canvas, row, band, left, right, y)
    numbered = 0
    for mark, x in row.placed:
        _marker(canvas, mark.verdict, x, lanes[mark.client])
        half = text_width(f"{mark.seq:,}", 10) // 2
        if x - half > numbered:
            canvas.words(x, top + len(lanes) * _LANE + 10, f"{mark.seq:,}", _DIM, 10, anchor="middle")
            numbered = x + half + 6


def _draw_band(canvas: _Canvas, row: _Row, band: int, left: int, right: int, y: int) -> None:
    starts = [(left, row.before[band])] if row.before[band] else []
    starts += [(x, mark.version) for mark, x in row.placed if mark.version and mark.band == band]
    for (x, version), (end, _) in zip(starts, [*starts[1:], (right, "")], strict=True):
        if version in NO_VERSION:
            canvas.line(x, y + 19, end, y + 19, _DIM, "2 3")
            canvas.box(x + 2, y, _label_width(version) - 4, 18, _PAPER)
        else:
            canvas.box(x, y + 1, end - x - 2, 19, _VERSION, stroke="#7f9cc4", rx=3)
        canvas.words(x + 5, y + 14.5, version, _DIM if version in NO_VERSION else _INK, 11, mono=True)


def _marker(canvas: _Canvas, verdict: Verdict, x: int, y: int) -> None:
    letter, colour, shape = LOOKS[verdict]
    if shape == "circle":
        canvas.add("circle", cx=x, cy=y, r=10, fill=colour)
    else:
        canvas.shape(colour, *((x + dx, y + dy) for dx, dy in _OUTLINES[shape]))
    canvas.words(x, y + 4, letter, _PAPER, 11, anchor="middle")


def _legend(chart: Chart, right: int) -> list[tuple[Verdict, int, int]]:
    """The verdicts that occur, each with its place."""
    placed: list[tuple[Verdict, int, int]] = []
    x, y = _MARGIN + 12, 8
    for verdict in sorted({mark.verdict for mark in chart.marks}, key=list(Verdict).index):
        width = 18 + text_width(verdict.value, 12)
        if placed and x + width > right:
            x, y = _MARGIN + 12, y + 26
        placed.append((verdict, x, y))
        x += width + _GAP + 12
    return placed


MERMAID_LIMIT: Final = 50_000
"""Characters that Mermaid draws unless told otherwise; a longer diagram is shown as SVG only."""

_MOST_BANDS: Final = 4

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
    return Diagram(sequence_svg(scene, text), text, _mermaid(scene, note))


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
    return Timeline(timeline_svg(chart, text), text)


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


def _scene(shown: Sequence[Numbered], clients: dict[str, str], note: str) -> Scene:
    words, lane = _Words(shown), {name: number for number, name in enumerate(clients)}
    bases = list(dict.fromkeys(_place(exchange)[0] for _, exchange in shown))
    alike = len({host for host, _ in bases}) < len(bases)
    labels = _names((host + path if alike else host for host, path in bases), 24)
    steps = []
    for seq, exchange in shown:
        between = lane[exchange.client], bases.index(_place(exchange)[0])
        said = words.asked(exchange), words.answered(exchange)
        steps.append(Step(seq, *between, *said, exchange.verdict, exchange.sent, exchange.response is not None))
    return Scene(list(clients.values()), list(labels.values()) if len(bases) > 1 else ["Spine"], steps, note)


def _lines(scene: Scene) -> list[str]:
    """The diagram in words, which is also what a screen reader says of it."""
    room = max((len(f"{step.seq:,}") for step in scene.steps), default=0)
    lines = []
    for step in scene.steps:
        client, endpoint = scene.clients[step.client], scene.endpoints[step.endpoint]
        lines.append(f"{step.seq:>{room},}  {client} → {endpoint}  {step.asked}")
        lines.append(f"{'':{room}}  {client} ← {endpoint}  {step.answer}")
    return lines


def _mermaid(scene: Scene, note: str) -> str:
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
) -> Chart:
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
        mark = Mark(seq, lane[exchange.client], exchange.verdict)
        if before != after and exchange.target in bands:
            gone = exchange.verdict in (Verdict.DELETED, Verdict.NOT_FOUND)
            label = labels[after] if after else "deleted" if gone else "unknown"
            mark = mark._replace(band=bands.index(exchange.target), version=label)
        marks.append(mark)
    return Chart(list(clients.values()), [begins[band] for band in bands], marks, note)


def _chains(chart: Chart) -> list[str]:
    """The timeline in words: a line a lane with a letter an exchange, and a line a chain of versions."""
    room = max((len(name) for name in (*chart.clients, *(name for name, _ in chart.bands))), default=0)
    lines = []
    for number, client in enumerate(chart.clients):
        letters = (LOOKS[mark.verdict].letter if mark.client == number else "·" for mark in chart.marks)
        lines.append(f"{client:<{room}}  {''.join(letters)}")
    for number, (name, before) in enumerate(chart.bands):
        chain = [f"{mark.version} ({mark.seq:,})" for mark in chart.marks if mark.version and mark.band == number]
        lines.append(f"{name:<{room}}  {' → '.join([before, *chain] if before else chain)}")
    met = {mark.verdict for mark in chart.marks}
    key = (f"{look.letter} {verdict.value}" for verdict, look in LOOKS.items() if verdict in met)
    return [*lines, ", ".join(key)]
