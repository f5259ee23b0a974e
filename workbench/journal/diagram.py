"""The two pictures as SVG: exchanges as a sequence diagram, and versions along a timeline.

Owns: where everything stands in a picture, and how a verdict looks. Must not know what a journal is: it is given
texts that are short already. Room is worked out from the texts, so nothing overlaps or is cut off in any usual font.

The widgets put an SVG into the page itself. So a picture is built as a tree, which escapes every text, and holds no
script, link, style sheet or id; it brings its own light card, and reads the same on a dark page.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple
from xml.etree import ElementTree

from workbench.exchange.verdict import Verdict

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


def sequence(scene: Scene, description: str) -> str:
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


def timeline(chart: Chart, description: str) -> str:
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
