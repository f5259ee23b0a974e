"""What came of a race: its figures, its tables, its charts, and what is left of the updates that were accepted.

Owns: the result of one race and of several. Everything is worked out from the turns, the journal and the last
reads; nothing is sent. Charts are drawn by ``race_charts``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from workbench.exchange.message import Exchange
from workbench.exchange.verdict import Verdict
from workbench.history import Proof, history
from workbench.journal.journal import Journal
from workbench.races.racer import Plan, Turn, marks_in
from workbench.races.relay import Counts

if TYPE_CHECKING:
    import pandas as pd

    from workbench.races.race_charts import Chart

PERCENTILES: Final = (50, 95, 99)


@dataclass(frozen=True, eq=False)
class Race:
    """One race as it was run.

    ``journal`` holds every exchange of it, from the making of its resources to the last read. ``turns``: an update
    each, in the order in which they ended. ``counts``: what became of them. ``final``: the last read of each
    resource. ``seconds``: from the start to the end of the last update.
    """

    plan: Plan
    clients: tuple[str, ...]
    updates: int
    journal: Journal
    first: int
    """How many exchanges the journal held before the race."""
    turns: tuple[Turn, ...]
    counts: Counts
    seconds: float
    final: Mapping[str, Exchange]
    skew: float = 0.0
    """By how many seconds the clocks of the machines that raced may disagree."""

    @property
    def accepted(self) -> int:
        """Updates that were answered 200."""
        return self.counts.accepted

    @property
    def conflicts(self) -> int:
        """Updates as they were sent, each try counted, that were stale."""
        return self.counts.stale

    @property
    def retries(self) -> int:
        """Tries after the first."""
        return self.counts.retries

    @property
    def complete(self) -> bool:
        """Whether every update had its turn; not so in a race that was stopped."""
        return self.counts.ended == len(self.clients) * self.updates

    @property
    def success(self) -> float:
        """Which part of the updates that had their turn was accepted: 0 to 1."""
        return self.accepted / self.counts.ended if self.counts.ended else 0.0

    @property
    def conflicts_per_success(self) -> float:
        """Stale tries for each accepted update."""
        return self.conflicts / self.accepted if self.accepted else float("inf" if self.conflicts else "nan")

    @property
    def throughput(self) -> float:
        """Accepted updates a second."""
        return self.accepted / self.seconds

    @cached_property
    def stands(self) -> frozenset[str]:
        """The marks of this race that the resources hold at its end."""
        return frozenset(mark for read in self.final.values() for mark in marks_in(read.resource, self.plan.tag))

    @property
    def readable(self) -> bool:
        """Whether every resource could be read at the end, so that it can be said what was lost."""
        read = [self.final.get("/".join(target)) for target in self.plan.targets]
        return all(each is not None and each.verdict is Verdict.READ for each in read)

    @property
    def survivors(self) -> int | None:
        """How many accepted updates still stand in the resources at the end; ``None`` if those could not be read."""
        return self.accepted - len(self.lost) if self.readable else None

    @cached_property
    def lost(self) -> tuple[str, ...]:
        """Accepted, and no longer there: the marks (``client-03/17``) of the updates that were overwritten."""
        if not self.readable:
            return ()
        return tuple(
            turn.mark for turn in self.turns if turn.verdict is Verdict.UPDATED and turn.mark not in self.stands
        )

    @cached_property
    def proof(self) -> Proof:
        """Whether the endpoint can have been correct, decided from everything in the journal.

        So it needs a journal of everybody who wrote to these resources: a version that nobody here wrote is a flaw.
        """
        return history(self.journal, skew=self.skew).check()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Every exchange of the clients, in order: the columns of ``transitions()``, and four more.

        ``update`` is the number of the client's update, ``attempt`` which of its tries the exchange belongs to,
        both from 1; ``base`` the ETag that the client had read last; ``at`` the seconds since the first exchange.
        """
        import pandas as pd

        from workbench.journal.journal import Transition

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
        """For each client, the number of the update that each of its exchanges belongs to."""
        dealt: dict[str, list[int]] = {client: [] for client in self.clients}
        for turn in sorted(self.turns, key=lambda turn: turn.number):
            dealt[turn.client] += [turn.number] * turn.exchanges
        return {client: iter(numbers) for client, numbers in dealt.items()}

    @cached_property
    def table(self) -> pd.DataFrame:
        """Every update, as its ``Turn`` has it, and whether it ``stands`` in the resource at the end."""
        import pandas as pd

        frame = pd.DataFrame(self.turns, columns=list(Turn._fields))
        stands = [turn.mark in self.stands for turn in self.turns]
        return frame.assign(verdict=[turn.verdict.value for turn in self.turns], stands=stands)

    @cached_property
    def latency(self) -> pd.DataFrame:
        """Percentiles in milliseconds: of reads, of updates by verdict, and of whole updates with all their tries."""
        import pandas as pd

        frame = self.frame.assign(what=self.frame["interaction"] + ", " + self.frame["verdict"])
        parts = [(str(what), ms.dropna()) for what, ms in frame.groupby("what")["ms"]]
        parts.append(("whole update", self.table["seconds"] * 1000))
        rows = [
            (what, len(ms), *(round(float(ms.quantile(p / 100)), 2) for p in PERCENTILES))
            for what, ms in parts
            if len(ms)
        ]
        return pd.DataFrame(rows, columns=["what", "count", *(f"p{p}" for p in PERCENTILES)]).set_index("what")

    @property
    def row(self) -> dict[str, Any]:
        """The figures of this race, one row of a table of races."""
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
            "per_second": round(self.throughput, 1),
            **{name: whole[name] for name in ("p50", "p95", "p99")},
        }

    def tries_chart(self) -> Chart:
        """How often an update had to be sent."""
        from workbench.races import race_charts

        return race_charts.tries([self])

    def latency_chart(self) -> Chart:
        """How long an update took, with all its tries."""
        from workbench.races import race_charts

        return race_charts.latency([self])

    def chain_chart(self, *, last: int = 150) -> Chart:
        """Who made which version when, and who was stale: the last ``last`` exchanges that were updates."""
        from workbench.races import race_charts

        return race_charts.chain(self, last=last)

    def __str__(self) -> str:
        counts = self.counts
        told = f"{counts.ended} updates of {len(self.clients)} clients ({self.plan.strategy.title}): "
        told += f"{counts.accepted} accepted"
        told += f", {counts.gave_up} given up as stale" if counts.gave_up else ""
        told += f", {counts.unknown} without an answer" if counts.unknown else ""
        told += f", {counts.other} refused or failed" if counts.other else ""
        told += f"; {self.conflicts} conflicts, {self.retries} retries, {self.throughput:.0f} accepted a second."
        if self.lost:
            told += f" {len(self.lost)} accepted updates are lost."
        elif self.readable:
            told += " Every accepted update is still there."
        return told + ("" if self.complete else " The race was stopped early.")

    def __repr__(self) -> str:
        return f"<Race: {self}>"


@dataclass(frozen=True, eq=False)
class Sweep:
    """Races of several strategies, each with several numbers of clients."""

    races: tuple[Race, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row a race."""
        import pandas as pd

        return pd.DataFrame([race.row for race in self.races])

    def success_chart(self) -> Chart:
        """Which part of the updates was accepted, and how many conflicts that took, against the number of clients."""
        from workbench.races import race_charts

        return race_charts.success(self.races)

    def tries_chart(self) -> Chart:
        """How often an update had to be sent, by strategy, in the races with most clients."""
        from workbench.races import race_charts

        return race_charts.tries(self.fullest)

    def latency_chart(self) -> Chart:
        """How long an update took, by strategy, in the races with most clients."""
        from workbench.races import race_charts

        return race_charts.latency(self.fullest)

    @property
    def fullest(self) -> list[Race]:
        """The races with most clients, one a strategy."""
        most = max((len(race.clients) for race in self.races), default=0)
        return [race for race in self.races if len(race.clients) == most]

    def __repr__(self) -> str:
        return f"<Sweep of {len(self.races)} races>"
