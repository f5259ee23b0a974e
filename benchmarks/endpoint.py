"""What the endpoint does in a second, beside the same server doing nothing and beside what one would write by hand.

32 clients, each on its own resource, conditional PUTs; several rounds in a new order each time, medians of ratios.
Then: the price of each way to store, of more workers, of more resources; and 200 clients at once.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.endpoint_load import Measured, load
from workbench.endpoint.application import build_application
from workbench.endpoint.process import ServerProcess
from workbench.endpoint.settings import FIRST_LINE, MEMORY, Serving, Settings
from workbench.endpoint.store import Store, Stored

CLIENTS, CALLS, ROUNDS = 32, 40, 5
AT = "2018-05-25T16:09:50.000+00:00"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _beside_others(folder)
        _by_store(folder)
        _by_workers(folder)
        _by_size(folder)
        _two_hundred(folder)
        _one_client(folder)


@contextmanager
def _peer(name: str) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.endpoint_peers", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().removeprefix(FIRST_LINE).strip()
        finally:
            process.terminate()


def _filled(address: str, count: int) -> list[str]:
    """A database with so many Lists; the ids of those that the clients write."""
    body = b'{"resourceType":"List","id":"%s","status":"current","mode":"working"}'
    with closing(Store(address)) as store:
        store.reset(
            ("List", f"r{n}", Stored(store.versions.first(f"List/r{n}"), AT, body % f"r{n}".encode()))
            for n in range(count)
        )
    return [f"r{n * max(1, count // 200) % count}" for n in range(min(count, 200))]


@contextmanager
def _endpoint(
    address: str, *, count: int = 200, workers: int = 1, synchronous: str = "NORMAL"
) -> Iterator[tuple[str, list[str]]]:
    ids = _filled(address, count)
    server = ServerProcess(Settings(db=address, synchronous=synchronous), Serving(workers=workers))
    try:
        yield server.base_url, ids
    finally:
        server.stop()


def _rounds(contestants: Mapping[str, Callable[[], Measured]]) -> dict[str, list[float]]:
    """Updates a second of each, round by round, in a new order each time."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    shuffle = random.Random(1).shuffle
    for turn in range(ROUNDS + 1):
        shuffle(order)
        for name in order:
            measured = contestants[name]()
            assert not measured.others, (name, measured.others[:3])
            if turn:  # the first warms up
                found[name].append(measured.a_second)
    return found


def _ratio(found: Mapping[str, list[float]], of: str, to: str) -> float:
    return statistics.median(a / b for a, b in zip(found[of], found[to], strict=True))


def _beside_others(folder: Path) -> None:
    ids = [f"r{number}" for number in range(CLIENTS)]
    with (
        _endpoint(str(folder / "beside.db")) as (ours, _),
        _peer("constant") as constant,
        _peer("swap") as swap,
        _peer("dict") as on_a_dict,
        _peer("werkzeug") as werkzeug,
    ):
        urls = {"endpoint": ours, "constant": constant, "swap": swap, "dict": on_a_dict, "werkzeug": werkzeug}
        found = _rounds({name: (lambda url=url: load(url, ids, CALLS)) for name, url in urls.items()})  # type: ignore[misc]
    bare = _bare_swaps(folder / "bare.db")
    a_second = statistics.median(found["endpoint"])
    print(f"Conditional PUTs, {CLIENTS} clients, each on its own resource, SQLite (WAL, NORMAL), one worker:")
    print(f"  {a_second:7.0f}/s  the endpoint, here and now")
    for name, words in _PEERS.items():
        print(f"  {_ratio(found, 'endpoint', name):7.2f}    {words}")
    print(f"  {a_second / bare:7.2f}    of SQLite's bare compare-and-swap, no HTTP at all")
    _where_it_goes()


_PEERS = {
    "constant": "of the same server answering a constant",
    "dict": "of the same endpoint swapping in a dict instead of a database (target 0.5)",
    "swap": "of the same server swapping in a dict, the body neither read nor checked",
    "werkzeug": "of Werkzeug on waitress with SQLite, by hand, nothing checked (target 2)",
}


def _bare_swaps(file: Path) -> float:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("CREATE TABLE resource (id TEXT PRIMARY KEY, version INTEGER, body BLOB)")
        connection.execute("INSERT INTO resource VALUES ('x', 0, x'00')")
        began, count, body = time.perf_counter(), 20_000, b"x" * 300
        for number in range(count):
            sql = "UPDATE resource SET version = ?, body = ? WHERE id = 'x' AND version = ?"
            assert connection.execute(sql, (number + 1, body, number)).rowcount == 1
        return count / (time.perf_counter() - began)


def _where_it_goes() -> None:
    """The application alone, without HTTP: what it spends an update on."""
    from workbench.endpoint.in_process import BASE_URL
    from workbench.endpoint.validation import validate
    from workbench.exchange.message import Headers, Request
    from workbench.fhir import json

    application = build_application(Settings(), BASE_URL)
    path = "/STU3/List/744eec7d-8951-4722-ad74-dc34e86d4e1a"
    read = application.answer(Request("GET", path))
    resource, etag = json.parse(read.body), read.headers["ETag"]

    def put() -> None:
        nonlocal etag
        headers = Headers({"If-Match": etag, "Content-Type": "application/fhir+json"})
        etag = application.answer(Request("PUT", path, headers, read.body)).headers["ETag"]

    parts = {
        "an update in the application": put,
        "of that, validation": lambda: validate("List", resource),
        "of that, JSON, there and back": lambda: json.dumps(json.parse(read.body)),
    }
    for name, part in parts.items():
        took = min(_microseconds(part) for _ in range(7))
        print(f"  {took:7.0f} µs {name}")
    application.close()


def _microseconds(part: Callable[[], object], calls: int = 300) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        part()
    return 1e6 * (time.perf_counter() - began) / calls


def _by_store(folder: Path) -> None:
    with (
        _endpoint(str(folder / "normal.db")) as (normal, ids),
        _endpoint(str(folder / "full.db"), synchronous="FULL") as (full, _),
    ):
        memory = ServerProcess(Settings(db=MEMORY), Serving())
        made = [_created(memory.base_url) for _ in range(CLIENTS)]
        found = _rounds(
            {
                "NORMAL": lambda: load(normal, ids[:CLIENTS], CALLS),
                "FULL": lambda: load(full, ids[:CLIENTS], CALLS),
                "memory": lambda: load(memory.base_url, made, CALLS),
            }
        )
        memory.stop()
    print("The same by where it is kept, to SQLite with synchronous=NORMAL:")
    for name in ("memory", "FULL"):
        print(f"  {_ratio(found, name, 'NORMAL'):7.2f}    {name}")


def _created(base_url: str) -> str:
    import requests

    body = {"resourceType": "List", "status": "current", "mode": "working"}
    answer = requests.post(f"{base_url}/List", json=body, headers={"Content-Type": "application/fhir+json"}, timeout=10)
    return answer.headers["Location"].rpartition("/")[2]


def _by_workers(folder: Path) -> None:
    with (
        _endpoint(str(folder / "w1.db")) as (one, ids),
        _endpoint(str(folder / "w2.db"), workers=2) as (two, _),
        _endpoint(str(folder / "w4.db"), workers=4) as (four, _),
    ):
        urls = {"1": one, "2": two, "4": four}
        found = _rounds({name: (lambda url=url: load(url, ids[:CLIENTS], CALLS)) for name, url in urls.items()})  # type: ignore[misc]
    print("By workers, to one (two cores, of which the load itself takes one):")
    for name in ("2", "4"):
        print(f"  {_ratio(found, name, '1'):7.2f}    {name} workers")


def _by_size(folder: Path) -> None:
    with (
        _endpoint(str(folder / "s1.db"), count=1) as (one, _),
        _endpoint(str(folder / "s3.db"), count=1_000) as (thousand, ids),
        _endpoint(str(folder / "s5.db"), count=100_000) as (many, others),
    ):
        found = _rounds(
            {
                "1": lambda: load(one, ["r0"], CALLS * 10),
                "1,000": lambda: load(thousand, ids[:1], CALLS * 10),
                "100,000": lambda: load(many, others[7:8], CALLS * 10),
            }
        )
    print("By resources stored, one client, time an update to that with one resource (target at most 1.2):")
    for name in ("1,000", "100,000"):
        print(f"  {1 / _ratio(found, name, '1'):7.2f}    {name}")


def _two_hundred(folder: Path) -> None:
    with _endpoint(str(folder / "many.db")) as (base_url, ids):
        measured = load(base_url, ids, 10)
    answered = len(measured.each)
    print(
        f"200 clients at once: {answered} of 2000 answered, p99 {measured.percentile(99):.0f} ms (target 250), ", end=""
    )
    print(f"longest {1000 * max(measured.each):.0f} ms, {len(measured.others)} other than 200.")


def _one_client(folder: Path) -> None:
    """A notebook's client on the same endpoint: what of the time is whose."""
    import workbench as wb

    with _endpoint(str(folder / "one.db")) as (base_url, ids):
        raw = load(base_url, ids[:1], 500)
        client = wb.Client(base_url)
        draft = client.read("List", ids[1]).resource
        took = _microseconds(lambda: client.update(draft), 500)
    share = 1e6 * raw.seconds / 500 / took
    print(f"A notebook's client takes {took:.0f} µs an update, {share:.0%} of it the endpoint's and the socket's.")


if __name__ == "__main__":
    main()
