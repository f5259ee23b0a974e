"""The charts of races, drawn by matplotlib as SVG that reads the same on a light page and on a dark one.

Owns: how each chart looks, and its words for whoever does not see it. Is given races and asks them; works nothing
out that a table needs too. No window and no global state of matplotlib's is touched.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

from workbench.errors import BadInput
from workbench.exchange.verdict import Verdict
from workbench.journal.diagram import LOOKS, Picture

if TYPE_CHECKING:
    import pandas as pd

    from workbench.races.results import Race

_INK, _DIM, _EDGE, _PAPER = "#1f2328", "#57606a", "#ccd2d9", "#ffffff"
_GOOD, _BAD = LOOKS[Verdict.UPDATED].colour, LOOKS[Verdict.STALE].colour
_MOST_ROWS: Final = 24


class _Line(NamedTuple):
    """How a strategy is drawn: told apart by the mark as well as by the colour (after Okabe and Ito)."""

    colour: str
    mark: str
    dash: str


_LINES: Final = (
    _Line("#0072b2", "o", "-"),
    _Line("#b3490a", "s", "--"),
    _Line("#00795a", "^", "-."),
    _Line("#8b3a7c", "D", ":"),
    _Line("#57606a", "v", "-"),
)

_STYLE: Final[dict[Any, Any]] = {
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.07,
    "svg.fonttype": "none",
    "svg.hashsalt": "spine-workbench",
    "font.family": "DejaVu Sans",  # matplotlib brings it, and measures by it; the widest of the usual ones
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _EDGE,
    "axes.labelcolor": _INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e8ec",
    "text.color": _INK,
    "xtick.color": _DIM,
    "ytick.color": _DIM,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
    "figure.facecolor": _PAPER,
    "axes.facecolor": _PAPER,
}

_FONTS: Final = "'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif"


@dataclass(frozen=True, repr=False)
class Chart(Picture):
    """A chart as SVG, with its numbers as text."""


def success(races: Sequence[Race]) -> Chart:
    """Which part of the updates was accepted, and how many conflicts each cost, against the number of clients."""
    _check(races)
    with _style():
        figure = Figure(figsize=(9.2, 3.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        for line, (title, found) in zip(_lines(), _by_strategy(races).items(), strict=False):
            clients = [len(race.clients) for race in found]
            look = {"color": line.colour, "marker": line.mark, "linestyle": line.dash, "label": title}
            left.plot(clients, [100 * race.success for race in found], **look)
            right.plot(clients, [race.conflicts / max(race.accepted, 1) for race in found], **look)
            if any(race.lost for race in found):
                still = [100 * (race.survivors or 0) / max(race.counts.ended, 1) for race in found]
                left.plot(clients, still, color=line.colour, marker="x", linestyle=":", label=f"{title}: still there")
        left.set(title="Updates accepted", xlabel="clients at one resource", ylabel="% of all updates", ylim=(-3, 106))
        right.set(title="What each one cost", xlabel="clients at one resource", ylabel="conflicts per accepted update")
        right.set_ylim(bottom=0)
        for axes in (left, right):
            _clients_axis(axes, sorted({len(race.clients) for race in races}))
        figure.legend(*_unique(left), loc="outside lower center", ncols=4)
        return _chart(figure, "Success against contention", [str(race) for race in races])


def tries(races: Sequence[Race]) -> Chart:
    """How often an update had to be sent, and what became of it in the end: a row of bars for each race."""
    _check(races)
    with _style():
        figure = Figure(figsize=(9.2, 1.2 + 1.7 * len(races)), layout="constrained")
        rows = figure.subplots(len(races), 1, sharex=True, squeeze=False)[:, 0]
        said = []
        most = max((turn.tries for race in races for turn in race.turns), default=1)
        for axes, race in zip(rows, races, strict=True):
            good = Counter(turn.tries for turn in race.turns if turn.verdict is Verdict.UPDATED)
            bad = Counter(turn.tries for turn in race.turns if turn.verdict is not Verdict.UPDATED)
            numbers = range(1, most + 1)
            axes.bar(numbers, [good[n] for n in numbers], color=_GOOD, label="accepted")
            under = [good[n] for n in numbers]
            ended = "given up, or refused"
            axes.bar(
                numbers, [bad[n] for n in numbers], bottom=under, color=_BAD, hatch="///", edgecolor=_PAPER, label=ended
            )
            axes.set(title=_titled(race), ylabel="updates")
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
            axes.grid(visible=False, axis="x")
            said.append(f"{_titled(race)}: " + ", ".join(f"{n} sent {good[n]} accepted {bad[n]} not" for n in numbers))
        rows[-1].set(xlabel="how often the update was sent", xlim=(0.4, most + 0.6))
        rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(*_unique(rows[0]), loc="outside lower right", ncols=2)
        return _chart(figure, "Tries for each update", said)


def latency(races: Sequence[Race]) -> Chart:
    """How long an update took with all its tries: the median, and what one in twenty and one in a hundred exceed."""
    _check(races)
    with _style():
        figure = Figure(figsize=(9.2, 1.5 + 0.55 * len(races)), layout="constrained")
        axes = figure.subplots()
        said = []
        for row, race in enumerate(races):
            p50, p95, p99 = (race.row[name] for name in ("p50", "p95", "p99"))
            axes.plot([p50, p99], [row, row], color=_EDGE, linewidth=5, solid_capstyle="round", zorder=1)
            for value, mark, label in ((p50, "o", "p50"), (p95, "D", "p95"), (p99, "s", "p99")):
                axes.scatter(value, row, color=_LINES[0].colour, marker=mark, s=42, zorder=2, label=label)
            axes.annotate(
                f"{p50:,.0f}, {p95:,.0f}, {p99:,.0f} ms", (p99, row), (9, 0), textcoords="offset points", va="center"
            )
            said.append(f"{_titled(race)}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms")
        axes.set_yticks(range(len(races)), [_titled(race) for race in races])
        axes.set(
            title="How long an update took, all its tries together",
            xlabel="milliseconds (logarithmic)",
            ylim=(len(races) - 0.5, -0.5),
        )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.margins(x=0.25)
        axes.grid(visible=False, axis="y")
        figure.legend(*_unique(axes), loc="outside lower right", ncols=3)
        return _chart(figure, "Latency of updates", said)


def chain(race: Race, *, last: int) -> Chart:
    """Who made which version when, and who was stale; a line leads from each version to the one made from it."""
    _check([race])
    puts = race.frame[race.frame["interaction"] == "update"].tail(last)
    ended = puts["at"] + puts["ms"].fillna(0).astype(float) / 1000
    names = sorted(puts["client"].unique())
    lanes = {name: len(names) - 1 - number for number, name in enumerate(names)}
    with _style():
        figure = Figure(figsize=(9.2, 1.9 + 0.3 * min(len(names), _MOST_ROWS)), layout="constrained")
        axes = figure.subplots()
        forks = _draw_chain(axes, puts.assign(at=ended, lane=puts["client"].map(lanes)))
        axes.set_yticks(list(lanes.values()), list(lanes))
        part = "" if len(puts) < last else f" (the last {last} tries)"
        axes.set(title=f"The chain of versions{part}: {_titled(race)}", xlabel="seconds since the start")
        axes.grid(visible=False, axis="x")
        figure.legend(*_unique(axes), loc="outside lower right", ncols=3)
        accepted = sum(puts["verdict"] == Verdict.UPDATED.value)
        said = [f"{accepted} versions made, {len(puts) - accepted} tries not accepted, {forks} forks"]
        return _chart(figure, "The chain of versions", said)


def _draw_chain(axes: Axes, puts: pd.DataFrame) -> int:
    """Draw every update where it ended; how many were accepted although another had been, from the same version."""
    made: dict[str, tuple[float, int]] = {}
    followed: set[str] = set()
    forks = 0
    for put in puts.to_dict("records"):
        here = (put["at"], put["lane"])
        if put["verdict"] != Verdict.UPDATED.value:
            axes.plot(*here, marker="x", color=_BAD, markersize=6, linestyle="", label="stale, or refused")
            continue
        base = f"{put['resource']} {put['base']}"
        forked = base in followed
        forks += forked
        if base in made and forked:
            axes.plot(*zip(made[base], here, strict=True), linewidth=1, color=_BAD, linestyle="--", label="a fork")
        elif base in made:
            axes.plot(*zip(made[base], here, strict=True), linewidth=1, color=_GOOD)
        followed.add(base)
        made[f"{put['resource']} {put['etag_after']}"] = here
        axes.plot(*here, marker="s", color=_GOOD, markersize=5, linestyle="", label="a new version")
    return forks


def _check(races: Sequence[Race]) -> None:
    if not any(race.turns for race in races):
        raise BadInput("There is nothing to draw: no update has ended in this race.")


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context(_STYLE)


def _lines() -> list[_Line]:
    return list(_LINES) * 4


def _by_strategy(races: Sequence[Race]) -> dict[str, list[Race]]:
    found: dict[str, list[Race]] = {}
    for race in sorted(races, key=lambda race: len(race.clients)):
        found.setdefault(race.plan.strategy.title, []).append(race)
    return found


def _titled(race: Race) -> str:
    return f"{race.plan.strategy.title}, {len(race.clients)} clients"


def _clients_axis(axes: Axes, clients: Sequence[int]) -> None:
    if len(clients) > 1 and clients[-1] / clients[0] >= 8:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(clients, [str(count) for count in clients])


def _unique(axes: Axes) -> tuple[list[Any], list[str]]:
    """Each label of a legend once."""
    handles, labels = axes.get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))
    return list(found.values()), list(found)


def _chart(figure: Figure, title: str, said: Sequence[str]) -> Chart:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = "\n".join([title, *said])
    return Chart(_ours(file.getvalue(), title, "\n".join(said)), text)


def _ours(drawn: str, title: str, said: str) -> str:
    """The SVG that matplotlib drew, fit for a page: no style sheet that the rest of it would heed, and words for it."""
    size = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', drawn)
    assert size is not None
    width, height = (float(part) for part in size.groups())
    inner = drawn[drawn.index(">", drawn.index("<svg")) + 1 :]
    inner = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", inner, flags=re.DOTALL)
    inner = inner.replace("'DejaVu Sans'", _FONTS)
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" style="max-width:100%;height:auto" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" stroke-linejoin="round" stroke-linecap="butt" '
        f'width="{width * 96 / 72:.0f}" height="{height * 96 / 72:.0f}" viewBox="0 0 {width:g} {height:g}">'
    )
    return f"{head}\n<title>{escape(title)}</title>\n<desc>{escape(said)}</desc>\n{inner.lstrip()}"
