"""The timeline of a journal: the exchanges of each client, and above them the versions of their resources."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.errors import needs
from workbench.exchange.verdict import Verdict
from workbench.journal.diagram import (
    CHART_STYLE,
    DIM,
    EDGE,
    INK,
    LOOKS,
    PAPER,
    Numbered,
    Part,
    Picture,
    figure_svg,
    one_line,
    short_ids,
    version_id,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class Timeline(Picture):
    """The versions of resources over time, as SVG and as text."""


def draw_timeline(part: Part, changes: Sequence[tuple[str | None, str | None]]) -> Timeline:
    """Draw exchanges by client, and above them the versions of the resources that changed most.

    ``changes`` has the resource's ETag before and after each exchange shown.
    """
    shown, note = part.shown, part.note
    tracks, known = _tracks(shown, changes)
    if known > len(tracks):
        note += f"; the versions of {len(tracks)} of {known} resources"

    clients = part.labels
    text = "\n".join([note, *_timeline_lines(shown, clients, tracks)])
    return Timeline(_timeline_svg(shown, clients, tracks, note, text), text)


class _Track(NamedTuple):
    """The versions of one resource: its first known version, and the label of each later one by ``seq``."""

    name: str
    before: str
    versions: dict[int, str]


_MOST_TRACKS: Final = 4
_WITHOUT_VERSION: Final = frozenset({"unknown", "deleted"})
"""Labels of a track where the resource has no known version."""


def _tracks(shown: Sequence[Numbered], changes: Sequence[tuple[str | None, str | None]]) -> tuple[list[_Track], int]:
    """Return a track for each of the resources that changed most, and how many resources have a known version."""
    changed = [(seq, exchange, *change) for (seq, exchange), change in zip(shown, changes, strict=True)]
    known = list(dict.fromkeys(exchange.target for _, exchange, before, after in changed if before or after))
    count = Counter(exchange.target for _, exchange, before, after in changed if before != after)

    tags = [tag for _, _, before, after in changed for tag in (before, after) if tag]
    versions = short_ids(map(version_id, tags), 4)
    labels = {tag: one_line(versions[version_id(tag)] or tag) for tag in tags}
    ids = short_ids((exchange.logical_id for _, exchange in shown), 8)

    tracks: dict[str, _Track] = {}
    for seq, exchange, before, after in changed:
        name = f"{one_line(exchange.resource_type)}/{one_line(ids[exchange.logical_id])}"
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
        figure.suptitle(note, x=0.01, ha="left", fontsize=10, color=DIM, parse_math=False)
        subplots = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, row in zip(subplots, rows, strict=True):
            present = {exchange.client for _, exchange in row}
            _draw_row(axes, row, {name: clients[name] for name in clients if name in present}, tracks)
        key = [(look, f"{look.letter} {verdict.value}") for verdict, look in LOOKS.items() if verdict in verdicts]
        handles = [
            Line2D([], [], linestyle="", marker=_MARKERS[look.shape], color=look.colour, label=label)
            for look, label in key
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
        axes.axhline(y, color=EDGE, linewidth=1, zorder=0)

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
                axes.plot([x, x], [track_y + 0.36, y], color=DIM, linewidth=1, linestyle=":", zorder=1)
        axes.plot(x, y, marker=_MARKERS[look.shape], color=look.colour, markersize=13, markeredgewidth=0, zorder=2)
        axes.text(x, y, look.letter, color=PAPER, fontsize=8, ha="center", va="center_baseline", zorder=3)


def _draw_version(axes: Axes, x: float, end: float, y: int, label: str) -> None:
    fill, edge, ink, line = ("#dbe9fb", "#7f9cc4", INK, "-")
    if label in _WITHOUT_VERSION:
        fill, edge, ink, line = ("none", EDGE, DIM, "--")
    (bar,) = axes.barh(y, end - x, left=x, height=0.7, linewidth=1, color=fill, edgecolor=edge, linestyle=line)
    if end - x >= 1:  # a shorter bar has no room for a label
        text = axes.text(x + 0.1, y, label, fontsize=7.5, va="center_baseline", color=ink, parse_math=False)
        text.set_clip_on(True)
        text.set_clip_path(bar)
