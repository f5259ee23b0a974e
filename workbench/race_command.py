"""``spine-workbench race``: a race from the terminal.

Owns: its options, and what is printed. The endpoint is the one named, or an embedded one for as long as the race
takes. Ctrl-C ends the race early and prints what was done.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WriteNotAllowed
from workbench.journal.export import check_writable, write_private
from workbench.output import say
from workbench.races.strategy import STRATEGIES

if TYPE_CHECKING:
    from workbench.client.client import Client
    from workbench.endpoint.endpoint import Endpoint
    from workbench.races.results import Race

STOPPED = 130
UNSOUND = 1


def add_race(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    race = commands.add_parser(
        "race",
        help="let several clients update the same resource at once",
        description="Let several clients update the same List at once, and see what the lock was good for. Without a "
        "BASE_URL it starts an endpoint of its own. It ends with the proof: can the endpoint have been correct? "
        "Exit code: 0, sound and nothing lost; 1, unsound, or an accepted update was lost; 130, stopped by Ctrl-C.",
        epilog="Example: spine-workbench race --clients 8 --updates 25 --strategy merge --thinking 0.05",
    )
    race.add_argument("base_url", nargs="?", metavar="BASE_URL", help="the endpoint (default: an embedded one)")
    race.add_argument("--clients", type=int, default=8, help="how many race at once (default: %(default)s)")
    race.add_argument("--updates", type=int, default=25, help="updates of each client (default: %(default)s)")
    race.add_argument(
        "--strategy",
        default="reload",
        choices=STRATEGIES,
        help="what a client does about a stale update: " + "; ".join(f"{n}: {s.title}" for n, s in STRATEGIES.items()),
    )
    race.add_argument("--tries", type=int, help="how often one update is sent at most (default: the strategy's)")
    race.add_argument("--resources", type=int, default=1, help="how many Lists they race for (default: %(default)s)")
    race.add_argument(
        "--thinking", type=float, default=0.0, metavar="SECONDS", help="how long an edit takes (default: 0)"
    )
    race.add_argument("--seed", default="0", help="fixes who updates what, and every wait (default: %(default)s)")
    race.add_argument("--processes", type=int, metavar="N", help="spread the clients over N processes, not threads")
    race.add_argument(
        "--policy", default="SPINE", help="of the embedded endpoint: SPINE, UNPROTECTED, … (default: %(default)s)"
    )
    race.add_argument("--allow-writes", action="store_true", help="yes, write to a host that is not this machine")
    race.add_argument("--journal", metavar="FILE", help="write every exchange: .jsonl, .har, .csv or .svg")
    race.add_argument("--charts", metavar="FOLDER", help="write the charts as SVG files into this folder")
    race.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the race and print what came of it; the exit code."""
    from workbench.races.race import race

    if options.journal:
        check_writable(Path(options.journal), overwrite=True)  # a flag that names a file asks for that file
    with _endpoint(options) as where:
        done = race(
            where,
            clients=options.clients,
            updates=options.updates,
            strategy=options.strategy,
            tries=options.tries,
            resources=options.resources,
            thinking=options.thinking,
            seed=options.seed,
            executor="processes" if options.processes else "threads",
            workers=options.processes,
        )
    say(f"{done}\n\n{done.latency.to_string()}\n\n{done.proof}")
    if options.journal:
        done.journal.export(options.journal, overwrite=True)
    if options.charts:
        _write_charts(done, Path(options.charts))
    return code(done)


def code(done: Race) -> int:
    """What the command ends with."""
    if done.lost or not done.proof.sound:
        return UNSOUND
    return 0 if done.complete else STOPPED


def _endpoint(options: argparse.Namespace) -> AbstractContextManager[Endpoint | Client]:
    from workbench.client.client import Client
    from workbench.client.connection import Connection, check_base_url
    from workbench.endpoint.endpoint import Endpoint
    from workbench.exchange.hosts import is_loopback

    if options.base_url is None:
        return Endpoint.start(policy=options.policy)
    base_url = check_base_url(options.base_url)
    if not (options.allow_writes or is_loopback(base_url)):
        raise WriteNotAllowed(
            f"{base_url.split('/')[2]} is not this machine, and a race writes; nothing was sent. "
            "Add --allow-writes if you may."
        )
    return nullcontext(Client(base_url, connection=Connection(allow_writes=options.allow_writes)))


def _write_charts(done: Race, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    charts: dict[str, Callable[[], Any]] = {
        "tries": done.tries_chart,
        "latency": done.latency_chart,
        "chain": done.chain_chart,
    }
    for name, drawn in charts.items():
        write_private(folder / f"{name}.svg", drawn().svg, overwrite=True)
