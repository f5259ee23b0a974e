"""Conditional updates a second by wrk: this endpoint beside other servers, each as a ratio to a constant answer.

16 connections, each a chain of updates of a List of its own; several rounds, in a new order each time. Helios and HAPI
take part where the tests have built them (``tests/servers``); nothing is built here. Needs wrk.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from benchmarks.endpoint import _peer
from workbench.endpoint.process import ServerProcess
from workbench.endpoint.settings import Serving, Settings

HERE = Path(__file__).parent
CLIENTS, SECONDS, ROUNDS = 16, 4, 5
LIST = {"resourceType": "List", "status": "current", "mode": "working"}
FHIR = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}


def main() -> None:
    if shutil.which("wrk") is None:
        print("Servers by wrk: left out, there is no wrk on this machine.")
        return
    with ExitStack() as stack:
        paths = {}
        for name, serve in _SERVERS.items():
            url = stack.enter_context(serve())
            if url is None:
                print(f"  {name}: not built")
            else:
                paths[name] = _lists(url, made=name not in _UNFILLED)
        found = _rounds(paths)
    _print(found)


def _rounds(paths: dict[str, list[str]]) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in paths}
    order = list(paths)
    shuffle = random.Random(1).shuffle
    for turn in range(ROUNDS + 1):
        shuffle(order)
        for name in order:
            measured = _wrk(paths[name])
            if turn:  # the first warms up
                found[name].append(measured)
    return found


def _wrk(urls: list[str]) -> dict[str, float]:
    split = urlsplit(urls[0])
    command = ["wrk", f"-t{CLIENTS}", f"-c{CLIENTS}", f"-d{SECONDS}s", "--timeout", "30s", "-s", HERE / "updates.lua"]
    paths = [urlsplit(url).path for url in urls]
    done = subprocess.run(
        [*command, f"http://{split.netloc}", "--", *paths], check=True, capture_output=True, text=True
    )
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _lists(base_url: str, *, made: bool) -> list[str]:
    if not made:
        return [f"{base_url}/List/r{number}" for number in range(CLIENTS)]
    answers = [requests.post(f"{base_url}/List", json=LIST, headers=FHIR, timeout=60) for _ in range(CLIENTS)]
    return [f"{base_url}/List/{answer.headers['Location'].partition('/List/')[2].split('/')[0]}" for answer in answers]


def _print(found: dict[str, list[dict[str, float]]]) -> None:
    constant = [measured["a_second"] for measured in found[_CONSTANT]]
    print(
        f"Conditional updates by wrk, {CLIENTS} connections, one worker; to uvicorn's constant answer; {ROUNDS} rounds:"
    )
    print("   median   (lowest to highest)   to the endpoint   p99 ms   not 200")
    ours = statistics.median(measured["a_second"] / one for measured, one in zip(found[_OURS], constant, strict=True))
    for name, rounds in found.items():
        ratios = [measured["a_second"] / one for measured, one in zip(rounds, constant, strict=True)]
        middle = statistics.median(ratios)
        p99 = statistics.median(measured["p99"] for measured in rounds)
        others = sum(measured["others"] for measured in rounds)
        spread = f"({min(ratios):.3f} to {max(ratios):.3f})"
        print(f"  {middle:7.3f}   {spread:>19}   {middle / ours:15.2f}   {p99:6.1f}   {others:7.0f}   {name}")


@contextmanager
def _endpoint(workers: int = 1) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Settings(db=f"{folder}/spine.db"), Serving(workers=workers))
        try:
            yield server.base_url
        finally:
            server.stop()


@contextmanager
def _built(name: str) -> Iterator[str | None]:
    sys.path[:0] = [str(HERE.parent / "tests" / each) for each in ("kits", "servers")]
    import fetched
    import serverkit

    with tempfile.TemporaryDirectory() as folder:
        try:
            start: Any = serverkit.STARTERS[name](Path(folder))
        except fetched.Unavailable:
            yield None
            return
        with serverkit.running(start) as server:
            yield server.base_url


_OURS = "this endpoint, SQLite file"
_CONSTANT = "uvicorn, a constant answer"
_WERKZEUG = "Werkzeug on waitress, by hand, SQLite file, nothing validated"
_UNFILLED = (_CONSTANT, _WERKZEUG)
"""What answers a read of any List."""

_SERVERS: dict[str, Callable[[], Any]] = {
    _OURS: _endpoint,
    "this endpoint, two workers": lambda: _endpoint(2),
    _CONSTANT: lambda: _peer("uvicorn"),
    _WERKZEUG: lambda: _peer("werkzeug"),
    "Helios (as the tests build it: not a release build), SQLite in memory": lambda: _built("helios"),
    "HAPI FHIR JPA, H2 in memory": lambda: _built("hapi-jpa"),
}


if __name__ == "__main__":
    main()
