"""What an exchange costs in the journal, and how its tables grow: in memory, and in a file."""

from __future__ import annotations

import gc
import itertools
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import workbench as wb

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
EXCHANGES = 2000
SIZES = (10_000, 100_000, 1_000_000)


def main() -> None:
    with wb.Endpoint.start() as spine:
        client = spine.client("alice")
        client.read("List", LIST)
        # A read that is answered 304: no body either way.
        for _ in range(50):
            client.read("List", LIST, if_none_match=client.last_seen("List", LIST))
        gc.collect()
        tracemalloc.start()
        for _ in range(EXCHANGES):
            client.read("List", LIST, if_none_match=client.last_seen("List", LIST))
        gc.collect()
        size = tracemalloc.get_traced_memory()[0] / EXCHANGES
        tracemalloc.stop()
        print(f"an exchange without bodies costs {size:.0f} bytes in the journal (target: at most 2048)")
    wb.Journal().transitions()  # so that importing is not measured
    _grow("in memory", wb.Journal)
    with tempfile.TemporaryDirectory() as folder:
        paths = (Path(folder, f"{number}.db") for number in itertools.count())
        _grow("in a file", lambda: wb.Journal(next(paths), keep_bodies=64 * 2**20))


def race() -> list[wb.Exchange]:
    """What a race is made of: a read, an accepted update and three that were stale, with all their bodies."""
    with wb.Endpoint.in_process(seed=1) as spine:
        clients = [spine.client(f"client {number}") for number in range(4)]
        for _ in range(50):
            drafts = [client.read("List", LIST).resource for client in clients]
            for client, draft in zip(clients, drafts, strict=True):
                client.update(draft)
        return list(spine.journal)


def _grow(where: str, new: Callable[[], wb.Journal]) -> None:
    exchanges = race()
    print(
        f"a journal {where} (targets: append at most 12 µs, or 30 in a file; "
        "transitions() of a million under 1 s, linear):"
    )
    for size in SIZES:
        journal = new()
        append, cpu = _timed(lambda: _fill(journal, itertools.islice(itertools.cycle(exchanges), size)))  # noqa: B023
        gc.collect()
        table, table_cpu = _timed(journal.transitions)
        print(
            f"  {size:>9,} exchanges: append {1e6 * append / size:5.1f} µs ({1e6 * cpu / size:5.1f} of CPU), "
            f"transitions() {table:5.2f} s ({table_cpu:5.2f} of CPU, {1e6 * table_cpu / size:4.2f} µs a row)"
        )
        journal.close()


def _fill(journal: wb.Journal, exchanges: Iterator[wb.Exchange]) -> None:
    for exchange in exchanges:
        journal.append(exchange)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    start, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - worked


if __name__ == "__main__":
    main()
