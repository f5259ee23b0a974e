"""Pictures: what every picture has in common, and the sequence diagram of a journal.

The sequence diagram exists as Mermaid text, as an SVG drawn here, and as plain text. Charts are drawn by matplotlib.
The widgets put an SVG into the page itself, so it holds no script, style sheet or external link.
Source: Mermaid, *Sequence diagrams*.
"""

from __future__ import annotations

import io
import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit
from xml.etree import ElementTree

from workbench.errors import BadInput
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import GUARDED, Verdict
from workbench.fhir.etag import ETag

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MERMAID_LIMIT: Final = 50_000
"""Mermaid's default limit in characters; a longer diagram is shown as SVG only."""

Numbered = tuple[int, Exchange]
"""An exchange with its number in the journal, from 1."""


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


NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class Part:
    """The exchanges of a journal that a picture shows.

    ``total`` is the number of exchanges in the journal, and ``about`` the number of those about ``resource``.
    ``clients`` are the journal's clients, in the order of their first exchange.
    """

    shown: Sequence[Numbered]
    clients: Iterable[str]
    total: int
    about: int
    resource: str | None = None

    @property
    def note(self) -> str:
        """Which part of the journal this is, in words."""
        shown, total = self.shown, self.about
        about = "" if self.resource is None else f" about {one_line(self.resource, 60)}"
        if len(shown) == total:
            return f"{total or 'no'} exchange{'' if total == 1 else 's'}{about}"
        if shown and self.resource is None:
            ends = dict.fromkeys(f"{number:,}" for number, _ in (shown[0], shown[-1]))
            return f"exchange{'s' if len(ends) > 1 else ''} {'–'.join(ends)} of {total:,}"
        return f"{len(shown):,} of {total:,} exchanges{about}"

    @property
    def labels(self) -> dict[str, str]:
        """The label of each client shown, in the order of ``clients``."""
        present = {exchange.client for _, exchange in self.shown}
        return distinct_labels(name for name in self.clients if name in present)


def draw_sequence(part: Part, names: Mapping[str, str] = NO_NAMES) -> Diagram:
    """Draw exchanges as a sequence diagram. ``names`` has short names of ETags, which are written before them."""
    note = part.note
    is_part = not part.shown or len(part.shown) < part.total
    sequence = _sequence(part.shown, part.labels, names, note if is_part else "")
    text = "\n".join([note, *_sequence_lines(sequence)])
    return Diagram(_sequence_svg(sequence, text), text, _mermaid(sequence, note))


# --- which exchanges, and how they are written ---


def select(numbers: Sequence[int], start: int | None, last: int) -> Sequence[int]:
    """Return at most ``last`` of these numbers of exchanges: the newest, or those from ``start`` on.

    Raises ``BadInput`` if ``start`` or ``last`` is less than 1.
    """
    if last < 1 or (start is not None and start < 1):
        raise BadInput("start= and last= count exchanges from 1, so neither can be less.")
    first = max(0, len(numbers) - last) if start is None else bisect_left(numbers, start)
    return numbers[first : first + last]


def one_line(text: str, most: int = 20) -> str:
    """Return one printable line of at most ``most`` characters; the middle of a longer text is left out."""
    line = "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text).strip()
    return line if len(line) <= most else f"{line[: most // 2]}…{line[len(line) - (most - 1) // 2 :]}"


def distinct_labels(names: Iterable[str], most: int = 20) -> dict[str, str]:
    """Return a short label for each name; two names never have the same label."""
    written = {name: one_line(name, most) or "(no name)" for name in names}
    seen = Counter(written.values())
    return {n: f"{label} ({i})" if seen[label] > 1 else label for i, (n, label) in enumerate(written.items(), 1)}


def short_ids(ids: Iterable[str], least: int) -> dict[str, str]:
    """Return each id shortened to ``least`` characters, or to as many as keep all ids distinct."""
    distinct, size = set(ids), least
    while size < max(map(len, distinct), default=0) and len({each[:size] for each in distinct}) < len(distinct):
        size += 1
    return {each: each if len(each) <= size + 2 else f"{each[:size]}…" for each in distinct}


def version_id(tag: str | None) -> str:
    """Return the version id in an ETag; empty if there is none."""
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
    """A sequence diagram as data: its lifelines by name, clients first; its messages; and what it leaves out."""

    names: Sequence[str]
    clients: int
    messages: Sequence[_Message]
    note: str


def _sequence(shown: Sequence[Numbered], clients: dict[str, str], names: Mapping[str, str], note: str) -> _Sequence:
    urls = [_split_url(exchange) for _, exchange in shown]
    bases = list(dict.fromkeys(base for base, _ in urls))
    same_host = len({host for host, _ in bases}) < len(bases)
    endpoints = distinct_labels((host + path if same_host else host for host, path in bases), 24)

    ids = short_ids((segment for _, path in urls for segment in path[1:]), 8)
    sent = (exchange.request.headers.get(name) for _, exchange in shown for name in ("If-Match", "If-None-Match"))
    received = (exchange.response.headers.get("ETag") for _, exchange in shown if exchange.response)
    tags = {tag for tag in (*sent, *received) if tag is not None}
    versions = short_ids(map(version_id, tags), 8)
    labels = {tag: f"{names.get(tag, '')} {_tag_label(tag, versions)}".strip() for tag in tags}

    lifelines = list(clients)
    messages = []
    for (seq, exchange), (base, path) in zip(shown, urls, strict=True):
        request = _request_label(exchange, [*path[:1], *(ids[segment] for segment in path[1:])], labels)
        client, endpoint = lifelines.index(exchange.client), len(clients) + bases.index(base)
        messages.append(_Message(seq, client, endpoint, request, _response_label(exchange, labels), exchange))
    lifeline_names = [*clients.values(), *(endpoints.values() if len(bases) > 1 else ["Spine"])]
    return _Sequence(lifeline_names, len(clients), messages, note)


def _split_url(exchange: Exchange) -> tuple[tuple[str, str], list[str]]:
    """Return the endpoint as host and base path, and the path segments below it."""
    split = urlsplit(exchange.request.url)
    segments = split.path.split("/")
    kind = exchange.resource_type or "metadata"
    cut = len(segments) - 1 - segments[::-1].index(kind) if kind in segments else len(segments)
    return (split.netloc, "/".join(segments[:cut]).rstrip("/")), segments[cut:]


def _request_label(exchange: Exchange, path: Sequence[str], labels: dict[str, str]) -> str:
    """Return ``PUT List/744eec7d… If-Match W/"25777f7d…"``; a missing ``If-Match`` is named."""
    query = "?…" if urlsplit(exchange.request.url).query else ""
    words = [one_line(exchange.request.method), one_line("/".join(path) or "/", 50) + query]
    if exchange.if_match is None and exchange.interaction in GUARDED:
        words.append("no If-Match")
    tags = ((name, exchange.request.headers.get(name)) for name in ("If-Match", "If-None-Match"))
    words += [f"{name} {labels[tag]}" for name, tag in tags if tag is not None]
    return " ".join(words)


def _response_label(exchange: Exchange, labels: dict[str, str]) -> str:
    """Return ``200 updated ETag W/"99f08f1a…"``, ``409 stale`` or ``no answer: unknown``."""
    if exchange.response is None:
        return f"{'no answer' if exchange.sent else 'not sent'}: {exchange.verdict.value}"
    tag = exchange.response.headers.get("ETag")
    return f"{exchange.status} {exchange.verdict.value}" + ("" if tag is None else f" ETag {labels[tag]}")


def _tag_label(tag: str, versions: dict[str, str]) -> str:
    version = version_id(tag)
    return one_line(tag.replace(version, versions[version]) if version else tag, 72 if version else 32) or "(empty)"


def _sequence_lines(sequence: _Sequence) -> list[str]:
    """Return the diagram as lines of text; a screen reader reads them too."""
    room = max((len(f"{message.seq:,}") for message in sequence.messages), default=0)
    lines = []
    for message in sequence.messages:
        client, endpoint = sequence.names[message.client], sequence.names[message.endpoint]
        lines.append(f"{message.seq:>{room},}  {client} → {endpoint}  {message.request}")
        lines.append(f"{'':{room}}  {client} ← {endpoint}  {message.response}")
    return lines


def _mermaid(sequence: _Sequence, note: str) -> str:
    lines = ["sequenceDiagram", "accTitle: Sequence of exchanges", f"accDescr: {_mermaid_text(note)}"]
    lines += [f"participant p{number} as {_mermaid_text(name)}" for number, name in enumerate(sequence.names, 1)]
    if sequence.note:
        ends = dict.fromkeys(["p1", f"p{len(sequence.names)}"])
        lines.append(f"Note over {','.join(ends)}: {_mermaid_text(sequence.note)}")

    for message in sequence.messages:
        client, endpoint = f"p{message.client + 1}", f"p{message.endpoint + 1}"
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


INK, DIM, EDGE, PAPER, _STRIPE = "#1f2328", "#57606a", "#ccd2d9", "#ffffff", "#f3f5f8"
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
        self.box(0.5, 0.5, width - 1, height - 1, PAPER, stroke=EDGE, rx=6)

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


def _centres(start: int, widths: Sequence[int]) -> list[int]:
    """Return the x position of the middle of each box; the boxes are side by side from ``start`` on."""
    starts = accumulate((_GAP + width for width in widths), initial=start)
    return [x + _GAP + width // 2 for x, width in zip(starts, widths, strict=False)]


def _sequence_svg(sequence: _Sequence, description: str) -> str:
    """Draw clients on the left, endpoints on the right, and one stripe for each exchange.

    The numbers have a column on the left, and the labels one between clients and endpoints.
    """
    numbers_end = _MARGIN + max((text_width(f"{each.seq:,}", 11) for each in sequence.messages), default=0)
    labels = [label for each in sequence.messages for label in (each.request, each.response)]
    label_room = max((text_width(label, 12) for label in labels), default=0) + 2 * _GAP
    widths = [text_width(name, 13) + 2 * _GAP for name in sequence.names]
    clients = _centres(numbers_end, widths[: sequence.clients])
    last_client = max(clients, default=numbers_end)
    labels_start = last_client + _GAP

    clients_end = numbers_end + sum(_GAP + width for width in widths[: sequence.clients])
    endpoints_start = max(clients_end, last_client + label_room - widths[sequence.clients] // 2 - _GAP)
    lifelines = clients + _centres(endpoints_start, widths[sequence.clients :])
    right = lifelines[-1] + widths[-1] - widths[-1] // 2
    full_width = max(right, _MARGIN + text_width(sequence.note, 12)) + _MARGIN

    top = _MARGIN + (24 if sequence.note else 0)
    first = top + _HEAD + 8
    bottom = first + _ROW * len(sequence.messages) + 8
    heads = (top, bottom) if len(sequence.messages) > _REPEAT_HEADS else (top,)
    height = bottom + (_HEAD + _MARGIN if len(heads) > 1 else 4)

    canvas = _Canvas(full_width, height, "Sequence of exchanges", description)
    if sequence.note:
        canvas.text(_MARGIN, _MARGIN + 12, sequence.note, DIM)
    for number in range(0, len(sequence.messages), 2):
        canvas.box(1, first + number * _ROW, full_width - 2, _ROW, _STRIPE)

    for number, (name, x, width) in enumerate(zip(sequence.names, lifelines, widths, strict=True)):
        fill, ink = (_PALE, INK) if number < sequence.clients else (_DARK, PAPER)
        canvas.line(x, top + _HEAD, x, bottom, EDGE)
        for y in heads:
            canvas.box(x - width // 2, y, width, _HEAD, fill, stroke=_DARK, rx=4)
            canvas.text(x, y + 18.5, name, ink, 13, anchor="middle")

    for y, message in zip(range(first, bottom, _ROW), sequence.messages, strict=False):
        start, end, exchange = lifelines[message.client], lifelines[message.endpoint], message.exchange
        colour = LOOKS[exchange.verdict].colour
        canvas.text(numbers_end, y + 16, f"{message.seq:,}", DIM, 11, anchor="end")
        canvas.text(labels_start, y + 16, message.request, INK)
        canvas.add("circle", cx=start, cy=y + 22, r=3, fill=INK)
        if exchange.sent:
            canvas.arrow(start, end, y + 22, INK)
        else:
            canvas.lost_arrow(start, end - 8, y + 22, colour)

        canvas.text(labels_start, y + 40, message.response, colour)
        if exchange.response:
            canvas.arrow(end, start, y + 47, colour, "6 4")
        elif exchange.sent:
            canvas.lost_arrow(end, labels_start + 5, y + 47, colour, "6 4")
    return canvas.source()


# --- charts, drawn by matplotlib ---

CHART_STYLE: Final[dict[Any, Any]] = {
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.07,
    "svg.fonttype": "none",
    "svg.hashsalt": "spine-workbench",
    "font.family": "DejaVu Sans",  # included in matplotlib, which measures texts with it
    "font.size": 10,
    "axes.edgecolor": EDGE,
    "text.color": INK,
    "xtick.color": DIM,
    "ytick.color": DIM,
    "xtick.labelcolor": DIM,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
}
"""matplotlib's settings for a picture that is the same in every run and readable on a dark page."""


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
