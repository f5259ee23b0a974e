"""The results of races: figures, tables and charts.

A ``Race`` holds the updates of one race, its journal and the last read of each resource. A ``Sweep`` holds several
races. Matplotlib draws the charts as SVG, for light and dark pages. Each chart has its numbers as text too.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from markupsafe import Markup

from workbench.errors import BadInput, needs
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import Verdict
from workbench.fhir import markup
from workbench.history.check import Proof, history
from workbench.journal.diagram import CHART_STYLE, LOOKS, Picture, figure_svg
from workbench.journal.journal import Journal, Transition
from workbench.races.strategy import Plan

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS: Final = "urn:spine-workbench:race:"
"""Begins the ``identifier.system`` of every entry that a race adds. The race's tag follows."""

PERCENTILES: Final = (50, 95, 99)


def mark(client: str, number: int) -> str:
    """Return the name of an update: ``client-03/17``."""
    return f"{client}/{number}"


def marks_in(resource: Any, tag: str) -> list[str]:
    """Return the marks of the race ``tag`` in a resource, in order."""

    def member(value: Any, name: str) -> Any:
        return value.get(name, ()) if isinstance(value, dict) else ()  # a resource may hold anything

    entries = member(resource, "entry")
    identifiers = [
        member(member(entry, "item"), "identifier") for entry in (entries if isinstance(entries, list) else [])
    ]
    return [str(member(each, "value")) for each in identifiers if member(each, "system") == MARKS + tag]


class Turn(NamedTuple):
    """One update of one client: its outcome, how often it was sent, and how many exchanges it took."""

    client: str
    number: int
    target: str
    verdict: Verdict
    tries: int
    exchanges: int
    seconds: float

    @property
    def mark(self) -> str:
        """The mark of its entry, if the resource holds it."""
        return mark(self.client, self.number)


class Counts(NamedTuple):
    """How many updates of a race have ended, and how. ``retries`` and ``stale`` count tries, not updates."""

    ended: int = 0
    accepted: int = 0
    gave_up: int = 0
    unknown: int = 0
    other: int = 0
    retries: int = 0
    stale: int = 0

    def add(self, turns: Sequence[Turn]) -> Counts:
        """Return these counts with more updates added."""
        found = Counter(turn.verdict for turn in turns)
        accepted, gave_up, unknown = (found[each] for each in (Verdict.UPDATED, Verdict.STALE, Verdict.UNKNOWN))
        other = len(turns) - accepted - gave_up - unknown
        # Every try before the last one got a conflict; otherwise there would have been no further try.
        retries = sum(max(turn.tries - 1, 0) for turn in turns)
        more = (len(turns), accepted, gave_up, unknown, other, retries, retries + gave_up)
        return Counts(*map(operator.add, self, more))


@dataclass(frozen=True, eq=False)
class Race:
    """One race and its results.

    ``journal`` holds all its exchanges, from the creation of its resources to the last read. ``turns`` are its
    updates, in the order in which they ended, and ``counts`` says how they ended. ``final`` is the last read of each
    resource, by ``Type/id``. ``seconds`` is the time from the start to the end of the last update.
    """

    plan: Plan
    clients: tuple[str, ...]
    updates: int
    journal: Journal
    first: int
    """The number of exchanges in the journal before the race."""
    turns: tuple[Turn, ...]
    counts: Counts
    seconds: float
    final: Mapping[str, Exchange]
    skew: float = 0.0
    """The largest difference between the clocks of the machines, in seconds."""

    @property
    def accepted(self) -> int:
        """The number of updates that got 200."""
        return self.counts.accepted

    @property
    def conflicts(self) -> int:
        """The number of tries that got a conflict."""
        return self.counts.stale

    @property
    def retries(self) -> int:
        """The number of tries after the first try of each update."""
        return self.counts.retries

    @property
    def complete(self) -> bool:
        """Whether every update was made; false for a race that was stopped."""
        return self.counts.ended == len(self.clients) * self.updates

    @property
    def success(self) -> float:
        """The share of the updates that was accepted: 0 to 1."""
        return self.accepted / self.counts.ended if self.counts.ended else 0.0

    @property
    def conflicts_per_success(self) -> float:
        """Conflicts for each accepted update."""
        return self.conflicts / self.accepted if self.accepted else float("inf" if self.conflicts else "nan")

    @property
    def throughput(self) -> float:
        """Accepted updates per second."""
        return self.accepted / self.seconds

    @cached_property
    def marks_left(self) -> frozenset[str]:
        """The marks of this race that the resources hold at its end."""
        return frozenset(mark for read in self.final.values() for mark in marks_in(read.resource, self.plan.tag))

    @property
    def readable(self) -> bool:
        """Whether every resource could be read at the end. Otherwise it is unknown what was lost."""
        read = [self.final.get("/".join(each)) for each in self.plan.resources]
        return all(each is not None and each.verdict is Verdict.READ for each in read)

    @property
    def survivors(self) -> int | None:
        """The number of accepted updates that the resources hold at the end; ``None`` if these could not be read."""
        return self.accepted - len(self.lost) if self.readable else None

    @cached_property
    def lost(self) -> tuple[str, ...]:
        """The marks (``client-03/17``) of the updates that were accepted and then overwritten."""
        if not self.readable:
            return ()
        accepted = (turn.mark for turn in self.turns if turn.verdict is Verdict.UPDATED)
        return tuple(mark for mark in accepted if mark not in self.marks_left)

    @cached_property
    def proof(self) -> Proof:
        """The check of the whole journal: could a correct endpoint have given these answers?

        The journal must hold every write to these resources. A version that none of them made is a flaw.
        """
        return history(self.journal, skew=self.skew).check()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per exchange of the clients, in order: the columns of ``Journal.transitions()``, and four more.

        ``update`` is the number of the client's update and ``attempt`` the number of the try, both from 1. ``base`` is
        the ETag that the client had read last. ``at`` is the time since the first exchange, in seconds.
        """
        with needs("races"):
            import pandas as pd

        rows = pd.DataFrame(self.journal.rows(self.first), columns=list(Transition._fields))
        rows = rows[rows["client"].isin(self.clients)].reset_index(drop=True)
        numbers = self._numbers()
        rows["update"] = [next(numbers[client]) for client in rows["client"]]
        began = rows["interaction"] == "read"
        rows["attempt"] = began.groupby([rows["client"], rows["update"]]).cumsum()
        rows["base"] = rows["etag_after"].where(began & (rows["verdict"] == Verdict.READ.value))
        rows["base"] = rows.groupby(["client", "update"])["base"].ffill()
        rows["at"] = (rows["time"] - rows["time"].min()).dt.total_seconds() if len(rows) else 0.0
        return rows.astype({"status": "Int64", "ms": "Float64"})

    def _numbers(self) -> dict[str, Iterator[int]]:
        """Return for each client the update numbers of its exchanges, in order."""
        by_client: dict[str, list[int]] = {client: [] for client in self.clients}
        for turn in sorted(self.turns, key=lambda turn: turn.number):
            by_client[turn.client] += [turn.number] * turn.exchanges
        return {client: iter(numbers) for client, numbers in by_client.items()}

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per update: the fields of ``Turn``, and whether its entry is ``still_there`` at the end."""
        with needs("races"):
            import pandas as pd

        frame = pd.DataFrame(self.turns, columns=list(Turn._fields))
        return frame.assign(
            verdict=[turn.verdict.value for turn in self.turns],
            still_there=[turn.mark in self.marks_left for turn in self.turns],
        )

    @cached_property
    def latency(self) -> pd.DataFrame:
        """Percentiles in milliseconds of each kind of exchange, and of whole updates with all their tries."""
        with needs("races"):
            import pandas as pd

        frame = self.frame.assign(what=self.frame["interaction"] + ", " + self.frame["verdict"])
        parts = [(str(what), ms.dropna()) for what, ms in frame.groupby("what")["ms"]]
        parts.append(("whole update", self.table["seconds"] * 1000))
        rows = []
        for what, ms in parts:
            if len(ms):
                percentiles = {f"p{p}": round(float(ms.quantile(p / 100)), 2) for p in PERCENTILES}
                rows.append({"what": what, "count": len(ms), **percentiles})
        columns = ["what", "count", *(f"p{p}" for p in PERCENTILES)]
        return pd.DataFrame(rows, columns=columns).set_index("what")

    @property
    def row(self) -> dict[str, Any]:
        """The figures of this race: one row in a table of races."""
        whole = self.latency.reindex(["whole update"]).iloc[0]
        return {
            "strategy": self.plan.strategy.title,
            "clients": len(self.clients),
            "updates": self.counts.ended,
            "accepted": self.accepted,
            "gave_up": self.counts.gave_up,
            "unknown": self.counts.unknown,
            "success": round(self.success, 3),
            "conflicts_per_success": round(self.conflicts_per_success, 2),
            "retries": self.retries,
            "survivors": self.survivors,
            "sound": self.proof.sound,
            "proof": self.proof.verdict,
            "per_second": round(self.throughput, 1),
            **{name: whole[name] for name in ("p50", "p95", "p99")},
        }

    def tries_chart(self) -> Picture:
        """Draw how often the updates were sent."""
        return _draw_tries([self])

    def latency_chart(self) -> Picture:
        """Draw how long the updates took, with all their tries."""
        return _draw_latency([self])

    def chain_chart(self, *, last: int = 150) -> Picture:
        """Draw the last ``last`` tries: which client made which version when, and which tries got a conflict."""
        return _draw_chain(self, last=last)

    def __str__(self) -> str:
        counts = self.counts
        text = f"{counts.ended} updates of {len(self.clients)} clients ({self.plan.strategy.title}): "
        text += f"{counts.accepted} accepted"
        text += f", {counts.gave_up} given up as stale" if counts.gave_up else ""
        text += f", {counts.unknown} without an answer" if counts.unknown else ""
        text += f", {counts.other} refused or failed" if counts.other else ""
        text += f"; {self.conflicts} conflicts, {self.retries} retries, {self.throughput:.0f} accepted a second."
        if self.lost:
            text += f" {len(self.lost)} accepted updates are lost."
        elif self.readable:
            text += " Every accepted update is still there."
        return text + ("" if self.complete else " The race was stopped early.")

    def _repr_html_(self) -> str:
        """Return the counts, with the lost updates in red, and the sentence that ``print`` shows."""
        figures = {
            "accepted": (self.accepted, "good"),
            "lost": (len(self.lost) if self.readable else "unknown", "bad" if self.lost else "neutral"),
            "conflicts": (self.conflicts, "neutral"),
            "given up": (self.counts.gave_up, "neutral"),
            "no answer": (self.counts.unknown, "warn" if self.counts.unknown else "neutral"),
        }
        chips = [markup.chip(f"{number} {name}", tone) for name, (number, tone) in figures.items()]
        return markup.block("bad" if self.lost else "good", Markup(" ").join(chips), str(self))

    def __repr__(self) -> str:
        return f"<Race: {self}>"


@dataclass(frozen=True, eq=False)
class Sweep:
    """Races of several strategies, each with several numbers of clients."""

    races: tuple[Race, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per race."""
        with needs("races"):
            import pandas as pd

        return pd.DataFrame([race.row for race in self.races])

    def success_chart(self) -> Picture:
        """Draw the share of accepted updates, and the conflicts for each, against the number of clients."""
        return _draw_success(self.races)

    def tries_chart(self) -> Picture:
        """Draw how often the updates were sent, by strategy, in the races with most clients."""
        return _draw_tries(self.fullest)

    def latency_chart(self) -> Picture:
        """Draw how long the updates took, by strategy, in the races with most clients."""
        return _draw_latency(self.fullest)

    @property
    def fullest(self) -> list[Race]:
        """The races with most clients, one for each strategy."""
        most = max((len(race.clients) for race in self.races), default=0)
        return [race for race in self.races if len(race.clients) == most]

    def __repr__(self) -> str:
        return f"<Sweep of {len(self.races)} races>"


# --- the charts ---

_EDGE, _PAPER = "#ccd2d9", "#ffffff"
_GOOD, _BAD = LOOKS[Verdict.UPDATED].colour, LOOKS[Verdict.STALE].colour
_MOST_ROWS: Final = 24

_TRIES: Final = {
    "accepted": (_GOOD, ""),
    "accepted, then overwritten": (_BAD, "xx"),
    "given up, or refused": ("#8a6d1f", "///"),
}
"""The colour and the hatching of each part of a bar in the chart of tries."""

_STRATEGY_LOOKS: Final[tuple[dict[str, Any], ...]] = (
    {"color": "#0072b2", "marker": "o", "linestyle": "-"},
    {"color": "#b3490a", "marker": "s", "linestyle": "--"},
    {"color": "#00795a", "marker": "^", "linestyle": "-."},
    {"color": "#8b3a7c", "marker": "D", "linestyle": ":"},
    {"color": "#57606a", "marker": "v", "linestyle": "-"},
)
"""How the strategies are drawn. Marker and dash differ too, for readers who do not see colours (Okabe and Ito)."""

_STYLE: Final = CHART_STYLE | {
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": CHART_STYLE["text.color"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e8ec",
    "xtick.labelcolor": CHART_STYLE["text.color"],
}


@contextmanager
def _new_figure(races: Sequence[Race], height: float) -> Iterator[Figure]:
    """Yield an empty figure in the style of these charts. Raise ``BadInput`` where no update has ended."""
    with needs("races"):
        import matplotlib as mpl  # here, because it takes long to load
        from matplotlib.figure import Figure

    if not any(race.turns for race in races):
        raise BadInput("There is nothing to draw, because no update has ended. Run the race for longer.")
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(9.2, height), layout="constrained")


def _picture(figure: Figure, title: str, lines: Sequence[str]) -> Picture:
    words = "\n".join(lines)
    return Picture(figure_svg(figure, title, words), f"{title}\n{words}")


def _draw_success(races: Sequence[Race]) -> Picture:
    by_strategy: dict[str, list[Race]] = {}
    for race in sorted(races, key=lambda race: len(race.clients)):
        by_strategy.setdefault(race.plan.strategy.title, []).append(race)

    with _new_figure(races, 3.7) as figure:
        left, right = figure.subplots(1, 2)
        for look, (title, found) in zip(cycle(_STRATEGY_LOOKS), by_strategy.items(), strict=False):
            clients = [len(race.clients) for race in found]
            left.plot(clients, [100 * race.success for race in found], label=title, **look)
            right.plot(clients, [race.conflicts / max(race.accepted, 1) for race in found], **look)
            if any(race.lost for race in found):
                kept = [100 * (race.survivors or 0) / max(race.counts.ended, 1) for race in found]
                left.plot(clients, kept, color=look["color"], marker="x", linestyle=":", label=f"{title}: still there")

        left.set(title="Updates accepted", xlabel="clients at one resource", ylabel="% of all updates", ylim=(-3, 106))
        right.set(title="What each one cost", xlabel="clients at one resource", ylabel="conflicts per accepted update")
        right.set_ylim(bottom=0)
        for axes in (left, right):
            _label_clients(axes, sorted({len(race.clients) for race in races}))
        figure.legend(*_unique_labels(left), loc="outside lower center", ncols=4)
        return _picture(figure, "Success against contention", [str(race) for race in races])


def _draw_tries(races: Sequence[Race]) -> Picture:
    """Draw a row of bars for each race."""
    with _new_figure(races, 1.2 + 1.7 * len(races)) as figure:
        from matplotlib.ticker import MaxNLocator

        rows = figure.subplots(len(races), 1, sharex=True, squeeze=False)[:, 0]
        lines = []
        numbers = range(1, max(turn.tries for race in races for turn in race.turns) + 1)
        for axes, race in zip(rows, races, strict=True):
            lost = set(race.lost)
            parts: dict[str, Counter[int]] = {label: Counter() for label in _TRIES}
            for turn in race.turns:
                label = "given up, or refused"
                if turn.verdict is Verdict.UPDATED:
                    label = "accepted, then overwritten" if turn.mark in lost else "accepted"
                parts[label][turn.tries] += 1

            bottom = [0] * len(numbers)
            for label, found in parts.items():
                colour, hatch = _TRIES[label]
                heights = [found[n] for n in numbers]
                axes.bar(numbers, heights, bottom=bottom, color=colour, hatch=hatch, edgecolor=_PAPER, label=label)
                bottom = [sum(pair) for pair in zip(bottom, heights, strict=True)]
            axes.set(title=_race_title(race), ylabel="updates")
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4, min_n_ticks=1))
            axes.grid(visible=False, axis="x")
            sent = [", ".join(f"{found[n]} {label}" for label, found in parts.items() if found[n]) for n in numbers]
            said = "; ".join(f"sent {n}: {each or 'none'}" for n, each in zip(numbers, sent, strict=True))
            lines.append(f"{_race_title(race)}: {said}")

        rows[-1].set(xlabel="how often the update was sent", xlim=(0.4, len(numbers) + 0.6))
        rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.legend(*_unique_labels(rows[0]), loc="outside lower right", ncols=3)
        return _picture(figure, "Tries for each update", lines)


def _draw_latency(races: Sequence[Race]) -> Picture:
    """Draw percentiles of the duration of whole updates."""
    with _new_figure(races, 1.5 + 0.55 * len(races)) as figure:
        from matplotlib.ticker import ScalarFormatter

        axes = figure.subplots()
        lines = []
        for row, race in enumerate(races):
            p50, p95, p99 = (race.row[name] for name in ("p50", "p95", "p99"))
            axes.plot([p50, p99], [row, row], color=_EDGE, linewidth=5, solid_capstyle="round", zorder=1)
            for value, shape, label in ((p50, "o", "p50"), (p95, "D", "p95"), (p99, "s", "p99")):
                axes.scatter(value, row, color=_STRATEGY_LOOKS[0]["color"], marker=shape, s=42, zorder=2, label=label)
            figures = f"{p50:,.0f}, {p95:,.0f}, {p99:,.0f} ms"
            axes.annotate(figures, (p99, row), (9, 0), textcoords="offset points", va="center")
            lines.append(f"{_race_title(race)}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms")

        axes.set_yticks(range(len(races)), [_race_title(race) for race in races])
        axes.set(title="How long an update took, all its tries together", xlabel="milliseconds (logarithmic)")
        axes.set(xscale="log", ylim=(len(races) - 0.5, -0.5))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.margins(x=0.25)
        axes.grid(visible=False, axis="y")
        figure.legend(*_unique_labels(axes), loc="outside lower right", ncols=3)
        return _picture(figure, "Latency of updates", lines)


def _draw_chain(race: Race, *, last: int) -> Picture:
    """Draw each try where it ended; a line leads from each version to the version that replaced it."""
    puts = race.frame[race.frame["interaction"] == "update"].tail(last)
    ended = puts["at"] + puts["ms"].fillna(0).astype(float) / 1000
    names = sorted(puts["client"].unique())
    rows = {name: len(names) - 1 - number for number, name in enumerate(names)}
    with _new_figure([race], 1.9 + 0.3 * min(len(names), _MOST_ROWS)) as figure:
        axes = figure.subplots()
        forks = _draw_versions(axes, puts.assign(at=ended, row=puts["client"].map(rows)))
        axes.set_yticks(list(rows.values()), list(rows))
        part = "" if len(puts) < last else f" (the last {last} tries)"
        axes.set(title=f"The chain of versions{part}: {_race_title(race)}", xlabel="seconds since the start")
        axes.grid(visible=False, axis="x")
        figure.legend(*_unique_labels(axes), loc="outside lower right", ncols=3)
        accepted = sum(puts["verdict"] == Verdict.UPDATED.value)
        said = f"{accepted} versions made, {len(puts) - accepted} tries not accepted, {forks} forks"
        return _picture(figure, "The chain of versions", [said])


def _draw_versions(axes: Axes, puts: pd.DataFrame) -> int:
    """Draw the tries and return the number of forks: accepted updates whose base had been replaced before."""
    made: dict[str, tuple[float, int]] = {}
    replaced: set[str] = set()
    forks = 0
    for put in puts.to_dict("records"):
        point = (put["at"], put["row"])
        if put["verdict"] != Verdict.UPDATED.value:
            axes.plot(*point, marker="x", color=_BAD, markersize=6, linestyle="", label="stale, or refused")
            continue
        base = f"{put['resource']} {put['base']}"
        forked = base in replaced
        forks += forked
        if base in made and forked:
            axes.plot(*zip(made[base], point, strict=True), linewidth=1, color=_BAD, linestyle="--", label="a fork")
        elif base in made:
            axes.plot(*zip(made[base], point, strict=True), linewidth=1, color=_GOOD)
        replaced.add(base)
        made[f"{put['resource']} {put['etag_after']}"] = point
        axes.plot(*point, marker="s", color=_GOOD, markersize=5, linestyle="", label="a new version")
    return forks


def _race_title(race: Race) -> str:
    return f"{race.plan.strategy.title}, {len(race.clients)} clients"


def _label_clients(axes: Axes, clients: Sequence[int]) -> None:
    """Mark the numbers of clients on the x axis, on a logarithmic scale where they span a factor of 8."""
    from matplotlib.ticker import NullLocator

    if len(clients) > 1 and clients[-1] / clients[0] >= 8:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(clients, [str(count) for count in clients])


def _unique_labels(axes: Axes) -> tuple[list[Any], list[str]]:
    """Return handles and labels for a legend, each label once."""
    handles, labels = axes.get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))
    return list(found.values()), list(found)
