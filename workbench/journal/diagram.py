"""Pictures of a journal: a sequence diagram of its exchanges and a timeline of its resources' versions.

The sequence diagram exists as Mermaid text, as an SVG drawn here, and as plain text. matplotlib draws the
timeline. The widgets put an SVG into the page itself, so it holds no script, style sheet or external link.
Source: Mermaid, *Sequence diagrams*.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit
from xml.etree import ElementTree

from workbench.errors import BadInput, needs
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import GUARDED, Verdict
from workbench.fhir.etag import ETag

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MERMAID_LIMIT: Final = 50_000
"""Mermaid's default limit in characters; a longer diagram is shown as SVG only."""

Numbered = tuple[int, Exchange]
"""An exchange with its number in the journal, from 1."""

EtagChange = tuple[str | None, str | None]
"""The resource's ETag before and after an exchange."""


class Look(NamedTuple):
    """How a verdict is drawn. Letter and shape carry the same information as the colour."""

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
"""Shapes follow the widgets' tones: circle neutral, square good, diamond warn, hexagon bad."""


@dataclass(frozen=True, repr=False)
class Picture:
    """A picture as SVG, with its content as text for ``print`` and for screen readers."""

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
    """A sequence diagram. JupyterLab draws the Mermaid text, other front ends show the SVG."""

    mermaid: str

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        drawn = {"text/vnd.mermaid": self.mermaid} if len(self.mermaid) <= MERMAID_LIMIT else {}
        return {**drawn, **super()._repr_mimebundle_()}


@dataclass(frozen=True, repr=False)
class Timeline(Picture):
    """The versions of resources over time, as SVG and as text."""


def draw_sequence(exchanges: Sequence[Exchange], *, start: int | None, last: int, resource: str | None) -> Diagram:
    """Draw at most ``last`` exchanges as a sequence diagram: the newest, or those from number ``start`` on.

    Raises ``BadInput`` if ``start`` or ``last`` is less than 1.
    """
    shown, note = _select(exchanges, start, last, resource)
    is_part = not shown or len(shown) < len(exchanges)
    sequence = _sequence(shown, _client_labels(exchanges, shown), note if is_part else "")
    text = "\n".join([note, *_sequence_lines(sequence)])
    return Diagram(_sequence_svg(sequence, text), text, _mermaid(sequence, note))


def draw_timeline(
    exchanges: Sequence[Exchange], changes: Sequence[EtagChange], *, last: int, resource: str | None
) -> Timeline:
    """Draw the last exchanges by client, and above them the versions of the resources that changed most.

    ``changes`` has the ETag before and after each of ``exchanges``. Raises ``BadInput`` if ``last`` is less than 1.
    """
    shown, note = _select(exchanges, None, last, resource)
    tracks, known = _tracks(shown, changes)
    if known > len(tracks):
        note += f"; the versions of {len(tracks)} of {known} resources"

    clients = _client_labels(exchanges, shown)
    text = "\n".join([note, *_timeline_lines(shown, clients, tracks)])
    return Timeline(_timeline_svg(shown, clients, tracks, note, text), text)


# --- which exchanges, and how they are written ---


def _select(
    exchanges: Sequence[Exchange], start: int | None, last: int, resource: str | None
) -> tuple[list[Numbered], str]:
    """Return the exchanges to show, and a note that says which part of the journal they are."""
    if last < 1 or (start is not None and start < 1):
        raise BadInput("start= and last= count exchanges from 1, so neither can be less.")

    numbers: Sequence[int] = range(1, len(exchanges) + 1)
    if resource is not None:
        numbers = [number for number in numbers if exchanges[number - 1].target == resource]
    first = max(0, len(numbers) - last) if start is None else bisect_left(numbers, start)
    shown = [(number, exchanges[number - 1]) for number in numbers[first : first + last]]

    total, about = len(numbers), "" if resource is None else f" about {_one_line(resource, 60)}"
    note = f"{len(shown):,} of {total:,} exchanges{about}"
    if len(shown) == total:
        note = f"{total or 'no'} exchange{'' if total == 1 else 's'}{about}"
    elif shown and resource is None:
        ends = dict.fromkeys(f"{number:,}" for number, _ in (shown[0], shown[-1]))
        note = f"exchange{'s' if len(ends) > 1 else ''} {'–'.join(ends)} of {total:,}"
    return shown, note


def _one_line(text: str, most: int = 20) -> str:
    """Return one printable line of at most ``most`` characters; the middle of a longer text is left out."""
    line = "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text).strip()
    return line if len(line) <= most else f"{line[: most // 2]}…{line[len(line) - (most - 1) // 2 :]}"


def _distinct_labels(names: Iterable[str], most: int = 20) -> dict[str, str]:
    """Return a short label for each name; two names never have the same label."""
    written = {name: _one_line(name, most) or "(no name)" for name in names}
    seen = Counter(written.values())
    return {n: f"{label} ({i})" if seen[label] > 1 else label for i, (n, label) in enumerate(written.items(), 1)}


def _client_labels(exchanges: Sequence[Exchange], shown: Sequence[Numbered]) -> dict[str, str]:
    """Return the label of each client shown, in the order of the client's first exchange in the journal."""
    present = {exchange.client for _, exchange in shown}
    return _distinct_labels(name for name in dict.fromkeys(e.client for e in exchanges) if name in present)


def _short_ids(ids: Iterable[str], least: int) -> dict[str, str]:
    """Return each id shortened to ``least`` characters, or to as many as keep all ids distinct."""
    distinct, size = set(ids), least
    while size < max(map(len, distinct), default=0) and len({each[:size] for each in distinct}) < len(distinct):
        size += 1
    return {each: each if len(each) <= size + 2 else f"{each[:size]}…" for each in distinct}


def _version_id(tag: str | None) -> str:
    found = ETag.read(tag)
    return found.version_id if found else ""


# --- the sequence diagram ---


class _Message(NamedTuple):
    """One exchange of a sequence diagram; ``client`` and ``endpoint`` are lifelines by number, from 0."""

    seq: int
    client: int
    endpoint: int
    request: str
    response: str
    exchange: Exchange


class _Sequence(NamedTuple):
    """A sequence diagram as data: the names of the lifelines, the messages, and what is left out."""

    clients: Sequence[str]
    endpoints: Sequence[str]
    messages: Sequence[_Message]
    note: str


def _sequence(shown: Sequence[Numbered], clients: dict[str, str], note: str) -> _Sequence:
    labels = _MessageLabels(shown)
    lifeline = {name: number for number, name in enumerate(clients)}
    bases = list(dict.fromkeys(_split_url(exchange)[0] for _, exchange in shown))
    same_host = len({host for host, _ in bases}) < len(bases)
    endpoints = _distinct_labels((host + path if same_host else host for host, path in bases), 24)
    messages = [
        _Message(
            seq,
            lifeline[exchange.client],
            bases.index(_split_url(exchange)[0]),
            labels.request(exchange),
            labels.response(exchange),
            exchange,
        )
        for seq, exchange in shown
    ]
    return _Sequence(list(clients.values()), list(endpoints.values()) if len(bases) > 1 else ["Spine"], messages, note)


def _split_url(exchange: Exchange) -> tuple[tuple[str, str], list[str]]:
    """Return the endpoint as host and base path, and the path segments below it."""
    split = urlsplit(exchange.request.url)
    segments = split.path.split("/")
    kind = exchange.resource_type or "metadata"
    cut = len(segments) - 1 - segments[::-1].index(kind) if kind in segments else len(segments)
    return (split.netloc, "/".join(segments[:cut]).rstrip("/")), segments[cut:]


class _MessageLabels:
    """Writes requests and responses as labels, with every id as short as keeps all ids distinct."""

    def __init__(self, shown: Sequence[Numbered]) -> None:
        paths = [_split_url(exchange)[1] for _, exchange in shown]
        self._ids = _short_ids((segment for path in paths for segment in path[1:]), 8)
        sent = (e.request.headers.get(name) for _, e in shown for name in ("If-Match", "If-None-Match"))
        received = (e.response.headers.get("ETag") for _, e in shown if e.response)
        self._versions = _short_ids((_version_id(tag) for tags in (sent, received) for tag in tags), 8)

    def request(self, exchange: Exchange) -> str:
        """Return ``PUT List/744eec7d… If-Match W/"25777f7d…"``; a missing ``If-Match`` is named."""
        path = _split_url(exchange)[1]
        where = "/".join([*path[:1], *(self._ids[segment] for segment in path[1:])]) or "/"
        query = "?…" if urlsplit(exchange.request.url).query else ""
        words = [_one_line(exchange.request.method), _one_line(where, 50) + query]
        if exchange.if_match is None and exchange.interaction in GUARDED:
            words.append("no If-Match")
        for name in ("If-Match", "If-None-Match"):
            tag = exchange.request.headers.get(name)
            if tag is not None:
                words.append(f"{name} {self._tag(tag)}")
        return " ".join(words)

    def response(self, exchange: Exchange) -> str:
        """Return ``200 updated ETag W/"99f08f1a…"``, ``409 stale`` or ``no answer: unknown``."""
        if exchange.response is None:
            return f"{'no answer' if exchange.sent else 'not sent'}: {exchange.verdict.value}"
        tag = exchange.response.headers.get("ETag")
        return f"{exchange.status} {exchange.verdict.value}" + ("" if tag is None else f" ETag {self._tag(tag)}")

    def _tag(self, value: str) -> str:
        version_id = _version_id(value)
        short = value.replace(version_id, self._versions[version_id]) if version_id else value
        return _one_line(short, 72 if version_id else 32) or "(empty)"


def _sequence_lines(sequence: _Sequence) -> list[str]:
    """Return the diagram as lines of text; a screen reader reads them too."""
    room = max((len(f"{message.seq:,}") for message in sequence.messages), default=0)
    lines = []
    for message in sequence.messages:
        client, endpoint = sequence.clients[message.client], sequence.endpoints[message.endpoint]
        lines.append(f"{message.seq:>{room},}  {client} → {endpoint}  {message.request}")
        lines.append(f"{'':{room}}  {client} ← {endpoint}  {message.response}")
    return lines


def _mermaid(sequence: _Sequence, note: str) -> str:
    names = [*sequence.clients, *sequence.endpoints]
    lines = ["sequenceDiagram", "accTitle: Sequence of exchanges", f"accDescr: {_mermaid_text(note)}"]
    lines += [f"participant p{number} as {_mermaid_text(name)}" for number, name in enumerate(names, 1)]
    if sequence.note:
        ends = dict.fromkeys(["p1", f"p{len(names)}"])
        lines.append(f"Note over {','.join(ends)}: {_mermaid_text(sequence.note)}")

    for message in sequence.messages:
        client, endpoint = f"p{message.client + 1}", f"p{len(sequence.clients) + message.endpoint + 1}"
        request, response = _mermaid_text(f"{message.seq}. {message.request}"), _mermaid_text(message.response)
        if not message.exchange.sent:
            lines += [f"{client}-x{endpoint}: {request}", f"Note over {client},{endpoint}: {response}"]
            continue
        arrow = "-->>" if message.exchange.response else "--x"
        lines += [f"{client}->>{endpoint}: {request}", f"{endpoint}{arrow}{client}: {response}"]
    return "\n".join(lines) + "\n"


def _mermaid_text(text: str) -> str:
    """Escape text so that Mermaid reads no comment, directive, arrow, keyword, markup or formula in it.

    >>> _mermaid_text("<b>end; %%{init")
    '#60;b#62;end#59; #37;#37;#123;init'
    """
    return "".join(c if c.isalnum() or c in ' /."…-' else f"#{ord(c)};" for c in text)


_INK, _DIM, _EDGE, _PAPER, _STRIPE = "#1f2328", "#57606a", "#ccd2d9", "#ffffff", "#f3f5f8"
_DARK, _PALE = "#24324a", "#e3edf9"
_MARGIN, _GAP, _HEAD, _ROW = 16, 14, 28, 54
_REPEAT_HEADS: Final = 8
"""A diagram of more exchanges shows the names of the lifelines again at its end."""


def text_width(text: str, size: int) -> int:
    """Return the pixels that a text takes in a monospaced font of ``size`` pixels."""
    return math.ceil(0.62 * size * len(text))


class _Canvas:
    """An SVG element to which each method adds one shape; ElementTree escapes every text."""

    def __init__(self, width: int, height: int, title: str, description: str) -> None:
        fixed = {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "style": "max-width:100%;height:auto"}
        size = {"width": f"{width}", "height": f"{height}", "viewBox": f"0 0 {width} {height}"}
        self._root = ElementTree.Element("svg", fixed | size)
        self.add("title").text = title
        self.add("desc").text = description
        self.box(0.5, 0.5, width - 1, height - 1, _PAPER, stroke=_EDGE, rx=6)

    def add(self, tag: str, **attributes: object) -> ElementTree.Element:
        """Add any element; attributes that are ``None`` are left out."""
        named = {name.replace("_", "-"): f"{value}" for name, value in attributes.items() if value is not None}
        return ElementTree.SubElement(self._root, tag, named)

    def box(self, x: float, y: float, width: float, height: float, fill: str, **more: object) -> None:
        self.add("rect", x=x, y=y, width=width, height=height, fill=fill, **more)

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, dash: str | None = None) -> None:
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour, stroke_width=1.3, stroke_dasharray=dash)

    def text(self, x: float, y: float, text: str, fill: str, size: int = 12, *, anchor: str | None = None) -> None:
        element = self.add("text", x=x, y=y, font_family="monospace", font_size=size, fill=fill, text_anchor=anchor)
        element.text = text
        if not text.isascii():  # the font for these characters is unknown: fit them to the room there is
            element.attrib |= {"textLength": f"{text_width(text, size)}", "lengthAdjust": "spacingAndGlyphs"}

    def arrow(self, start: int, end: int, y: int, colour: str, dash: str | None = None) -> None:
        back = -9 if end > start else 9
        self.line(start, y, end + back, y, colour, dash)
        points = f"{end},{y} {end + back},{y - 4.5} {end + back},{y + 4.5}"
        self.add("polygon", points=points, fill=colour)

    def lost_arrow(self, start: int, end: int, y: int, colour: str, dash: str | None = None) -> None:
        """Draw an arrow that ends in a cross: the message did not arrive."""
        self.line(start, y, end, y, colour, dash)
        self.line(end - 4, y - 4, end + 4, y + 4, colour)
        self.line(end - 4, y + 4, end + 4, y - 4, colour)

    def source(self) -> str:
        ElementTree.indent(self._root, "")
        return ElementTree.tostring(self._root, encoding="unicode")


class _Columns:
    """The x positions of a sequence diagram. The labels have one column between clients and endpoints."""

    def __init__(self, sequence: _Sequence) -> None:
        self.numbers = _MARGIN + max((text_width(f"{each.seq:,}", 11) for each in sequence.messages), default=0)
        self.names = [*sequence.clients, *sequence.endpoints]
        self.widths = [text_width(name, 13) + 2 * _GAP for name in self.names]
        labels = [label for each in sequence.messages for label in (each.request, each.response)]
        label_room = max((text_width(label, 12) for label in labels), default=0) + 2 * _GAP

        self.lifelines: list[int] = []
        self.labels = right = self.numbers
        for number, width in enumerate(self.widths):
            x = right + _GAP + width // 2
            if number == len(sequence.clients) and number:  # the first endpoint: leave the labels their column
                self.labels = self.lifelines[-1] + _GAP
                x = max(x, self.lifelines[-1] + label_room)
            self.lifelines.append(x)
            right = x + width - width // 2
        self.width = max(right, _MARGIN + text_width(sequence.note, 12)) + _MARGIN


def _sequence_svg(sequence: _Sequence, description: str) -> str:
    """Draw clients on the left, endpoints on the right, and one stripe for each exchange."""
    columns = _Columns(sequence)
    clients = len(sequence.clients)
    top = _MARGIN + (24 if sequence.note else 0)
    first = top + _HEAD + 8
    bottom = first + _ROW * len(sequence.messages) + 8
    heads = (top, bottom) if len(sequence.messages) > _REPEAT_HEADS else (top,)
    height = bottom + (_HEAD + _MARGIN if len(heads) > 1 else 4)

    canvas = _Canvas(columns.width, height, "Sequence of exchanges", description)
    if sequence.note:
        canvas.text(_MARGIN, _MARGIN + 12, sequence.note, _DIM)
    for number in range(0, len(sequence.messages), 2):
        canvas.box(1, first + number * _ROW, columns.width - 2, _ROW, _STRIPE)

    for number, (name, x, width) in enumerate(zip(columns.names, columns.lifelines, columns.widths, strict=True)):
        fill, ink = (_PALE, _INK) if number < clients else (_DARK, _PAPER)
        canvas.line(x, top + _HEAD, x, bottom, _EDGE)
        for y in heads:
            canvas.box(x - width // 2, y, width, _HEAD, fill, stroke=_DARK, rx=4)
            canvas.text(x, y + 18.5, name, ink, 13, anchor="middle")

    for number, message in enumerate(sequence.messages):
        start, end = columns.lifelines[message.client], columns.lifelines[clients + message.endpoint]
        _draw_message(canvas, columns, message, start, end, first + number * _ROW)
    return canvas.source()


def _draw_message(canvas: _Canvas, columns: _Columns, message: _Message, start: int, end: int, y: int) -> None:
    exchange = message.exchange
    colour = LOOKS[exchange.verdict].colour
    canvas.text(columns.numbers, y + 16, f"{message.seq:,}", _DIM, 11, anchor="end")
    canvas.text(columns.labels, y + 16, message.request, _INK)
    canvas.add("circle", cx=start, cy=y + 22, r=3, fill=_INK)
    if exchange.sent:
        canvas.arrow(start, end, y + 22, _INK)
    else:
        canvas.lost_arrow(start, end - 8, y + 22, colour)

    canvas.text(columns.labels, y + 40, message.response, colour)
    if exchange.response:
        canvas.arrow(end, start, y + 47, colour, "6 4")
    elif exchange.sent:
        canvas.lost_arrow(end, columns.labels + 5, y + 47, colour, "6 4")


# --- the timeline ---


class _Track(NamedTuple):
    """The versions of one resource: its first known version, and the label of each later one by ``seq``."""

    name: str
    before: str
    versions: dict[int, str]


_MOST_TRACKS: Final = 4
_WITHOUT_VERSION: Final = frozenset({"unknown", "deleted"})
"""Labels of a track where the resource has no known version."""


def _tracks(shown: Sequence[Numbered], changes: Sequence[EtagChange]) -> tuple[list[_Track], int]:
    """Return a track for each of the resources that changed most, and how many resources have a known version."""
    changed = [(seq, exchange, *changes[seq - 1]) for seq, exchange in shown]
    known = list(dict.fromkeys(exchange.target for _, exchange, before, after in changed if before or after))
    count = Counter(exchange.target for _, exchange, before, after in changed if before != after)

    tags = [tag for _, _, before, after in changed for tag in (before, after) if tag]
    versions = _short_ids(map(_version_id, tags), 4)
    labels = {tag: _one_line(versions[_version_id(tag)] or tag) for tag in tags}
    ids = _short_ids((exchange.logical_id for _, exchange in shown), 8)

    tracks: dict[str, _Track] = {}
    for seq, exchange, before, after in changed:
        name = f"{_one_line(exchange.resource_type)}/{_one_line(ids[exchange.logical_id])}"
        track = tracks.setdefault(exchange.target, _Track(name, labels[before] if before else "", {}))
        if before != after:
            is_gone = exchange.verdict in (Verdict.DELETED, Verdict.NOT_FOUND)
            track.versions[seq] = labels[after] if after else "deleted" if is_gone else "unknown"
    most_changed = sorted(known, key=lambda target: -count[target])[:_MOST_TRACKS]
    return [tracks[target] for target in most_changed], len(known)


def _timeline_lines(shown: Sequence[Numbered], clients: dict[str, str], tracks: Sequence[_Track]) -> list[str]:
    """Return a line of letters for each client, a line of versions for each track, and the key."""
    room = max(map(len, (*clients.values(), *(track.name for track in tracks))), default=0)
    lines = []
    for name, label in clients.items():
        letters = (LOOKS[exchange.verdict].letter if exchange.client == name else "·" for _, exchange in shown)
        lines.append(f"{label:<{room}}  {''.join(letters)}")
    for track in tracks:
        versions = [f"{label} ({seq:,})" for seq, label in track.versions.items()]
        lines.append(f"{track.name:<{room}}  {' → '.join([track.before, *versions] if track.before else versions)}")
    verdicts = {exchange.verdict for _, exchange in shown}
    key = (f"{look.letter} {verdict.value}" for verdict, look in LOOKS.items() if verdict in verdicts)
    return [*lines, ", ".join(key)]


CHART_STYLE: Final[dict[Any, Any]] = {
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.07,
    "svg.fonttype": "none",
    "svg.hashsalt": "spine-workbench",
    "font.family": "DejaVu Sans",  # included in matplotlib, which measures texts with it
    "font.size": 10,
    "axes.edgecolor": _EDGE,
    "text.color": _INK,
    "xtick.color": _DIM,
    "ytick.color": _DIM,
    "xtick.labelcolor": _DIM,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
    "figure.facecolor": _PAPER,
    "axes.facecolor": _PAPER,
}
"""matplotlib's settings for a picture that is the same in every run and readable on a dark page."""

_ROW_OF_MARKS: Final = 24
_MARKERS: Final = {"circle": "o", "square": "s", "diamond": "D", "hexagon": "h"}


def _timeline_svg(
    shown: Sequence[Numbered], clients: dict[str, str], tracks: Sequence[_Track], note: str, description: str
) -> str:
    """Draw a row of axes for every 24 exchanges, and below them the verdicts that occur."""
    with needs("tables"):
        import matplotlib as mpl
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D

    rows = [shown[start : start + _ROW_OF_MARKS] for start in range(0, len(shown), _ROW_OF_MARKS)] or [[]]
    heights = [len({exchange.client for _, exchange in row}) + len(tracks) + 1 for row in rows]
    verdicts = {exchange.verdict for _, exchange in shown}
    with mpl.rc_context(CHART_STYLE), warnings.catch_warnings():
        # The browser has fonts for the characters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=(9.2, 1 + 0.32 * sum(heights)), layout="constrained")
        figure.suptitle(note, x=0.01, ha="left", fontsize=10, color=_DIM, parse_math=False)
        subplots = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, row in zip(subplots, rows, strict=True):
            present = {exchange.client for _, exchange in row}
            _draw_row(axes, row, {name: clients[name] for name in clients if name in present}, tracks)
        handles = [
            Line2D(
                [],
                [],
                linestyle="",
                marker=_MARKERS[look.shape],
                color=look.colour,
                label=f"{look.letter} {verdict.value}",
            )
            for verdict, look in LOOKS.items()
            if verdict in verdicts
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=6)
        return figure_svg(figure, "Versions over time", description)


def _draw_row(axes: Axes, row: Sequence[Numbered], clients: dict[str, str], tracks: Sequence[_Track]) -> None:
    """Draw the versions of each track as bars, and below them the exchanges of each client as marks."""
    position = {seq: number for number, (seq, _) in enumerate(row)}
    lane = {name: len(tracks) + number for number, name in enumerate(clients)}
    axes.set_yticks(
        range(len(tracks) + len(clients)), [*(track.name for track in tracks), *clients.values()], parse_math=False
    )
    every = 1 if all(seq < 1000 for seq in position) else 2
    axes.set_xticks(range(0, len(row), every), [f"{seq:,}" for seq in list(position)[::every]])
    axes.set(xlim=(-0.7, _ROW_OF_MARKS - 0.3), ylim=(len(tracks) + len(clients) - 0.4, -0.6))
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    for y in lane.values():
        axes.axhline(y, color=_EDGE, linewidth=1, zorder=0)

    for y, track in enumerate(tracks):
        earlier = [label for seq, label in track.versions.items() if row and seq < row[0][0]]
        starts = [(-0.7, ([track.before, *earlier])[-1])]
        starts += [(position[seq], label) for seq, label in track.versions.items() if seq in position]
        for (x, label), (end, _) in zip(starts, [*starts[1:], (_ROW_OF_MARKS - 0.3, "")], strict=True):
            if label:
                _draw_version(axes, x, end, y, label)

    for seq, exchange in row:
        x, y, look = position[seq], lane[exchange.client], LOOKS[exchange.verdict]
        for track_y, track in enumerate(tracks):
            if seq in track.versions:
                axes.plot([x, x], [track_y + 0.36, y], color=_DIM, linewidth=1, linestyle=":", zorder=1)
        axes.plot(x, y, marker=_MARKERS[look.shape], color=look.colour, markersize=13, markeredgewidth=0, zorder=2)
        axes.text(x, y, look.letter, color=_PAPER, fontsize=8, ha="center", va="center_baseline", zorder=3)


def _draw_version(axes: Axes, x: float, end: float, y: int, label: str) -> None:
    fill, edge, ink, line = ("#dbe9fb", "#7f9cc4", _INK, "-")
    if label in _WITHOUT_VERSION:
        fill, edge, ink, line = ("none", _EDGE, _DIM, "--")
    (bar,) = axes.barh(y, end - x, left=x, height=0.7, linewidth=1, color=fill, edgecolor=edge, linestyle=line)
    if end - x >= 1:  # a shorter bar has no room for a label
        text = axes.text(x + 0.1, y, label, fontsize=7.5, va="center_baseline", color=ink, parse_math=False)
        text.set_clip_on(True)
        text.set_clip_path(bar)


def figure_svg(figure: Figure, title: str, description: str) -> str:
    """Return a figure as SVG for a page: without matplotlib's style sheet, with a title and a description."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawn = file.getvalue()
    size = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', drawn)
    assert size is not None
    width, height = (float(part) for part in size.groups())
    inner = drawn[drawn.index(">", drawn.index("<svg")) + 1 :]
    inner = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", inner, flags=re.DOTALL)
    inner = inner.replace("'DejaVu Sans'", "'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif")
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" style="max-width:100%;height:auto" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" stroke-linejoin="round" stroke-linecap="butt" '
        f'width="{width * 96 / 72:.0f}" height="{height * 96 / 72:.0f}" viewBox="0 0 {width:g} {height:g}">'
    )
    return f"{head}\n<title>{escape(title)}</title>\n<desc>{escape(description)}</desc>\n{inner.lstrip()}"
