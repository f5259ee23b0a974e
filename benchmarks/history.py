"""The proof of a long race: how long, and how it grows."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import workbench as wb
from workbench.exchange.message import Headers, Request, Response

SIZES = (10_000, 100_000, 1_000_000)
CLIENTS, RESOURCES = 16, 32
BASE = "http://127.0.0.1:8080/STU3"
START = datetime(2018, 5, 25, 16, 10, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def main() -> None:
    print("history(journal).check() of a sound race (target: a million exchanges under 30 s, linear):")
    per_exchange: list[float] = []
    wb.history([]).check()  # so that importing is not measured
    for size in SIZES:
        journal = list(race(size))
        gc.collect()
        start, worked = time.perf_counter(), time.process_time()
        proof = wb.history(journal).check()
        seconds, worked = time.perf_counter() - start, time.process_time() - worked
        assert proof.sound, proof.explain()
        per_exchange.append(1e6 * worked / len(journal))
        ratio = per_exchange[-1] / per_exchange[0]
        print(
            f"  {seconds:6.2f} s, {worked:6.2f} s of CPU  {len(journal):>9,} exchanges, {proof.resources} resources: "
            f"{per_exchange[-1]:.1f} µs of CPU each, {ratio:.2f} times that of the shortest"
        )
        del journal


def race(size: int, *, body: bytes = b'{"resourceType":"List"}') -> Iterator[wb.Exchange]:
    """Clients in turn read a resource and update it, all at once: of those that read one version, one is accepted."""
    versions = [1] * RESOURCES
    about = Headers({"Content-Type": "application/fhir+json", "Accept": "application/fhir+json", "User-Agent": "race"})
    number = 0
    while number < size:
        rounds = number // (2 * CLIENTS)
        resource, at = rounds % RESOURCES, START + 4 * MILLISECOND * rounds
        before = version(resource, versions[resource])
        versions[resource] += 1
        after = version(resource, versions[resource])
        for client in range(CLIENTS):
            yield made(f"client {client}", "read", resource, about, None, answer(200, before, body), at)
        for client in range(CLIENTS):
            won = client == rounds % CLIENTS
            sent = Headers([*about.items(), ("If-Match", before)])
            answered = answer(200, after, b"") if won else answer(409, None, b"")
            at_last = at + 2 * MILLISECOND
            yield made(f"client {client}", "update", resource, sent, body, answered, at_last)
        number += 2 * CLIENTS


def version(resource: int, number: int) -> str:
    return f'W/"{resource:04x}{number:04x}-{number >> 16:04x}"'


def answer(status: int, etag: str | None, body: bytes) -> Response:
    fields = [("date", "Fri, 25 May 2018 16:10:00 GMT"), ("server", "uvicorn"), ("content-length", str(len(body)))]
    return Response(status, Headers([*fields, *([("ETag", etag)] if etag else [])]), body)


def made(
    client: str, interaction: str, resource: int, headers: Headers, body: bytes | None, came: Response, at: datetime
) -> wb.Exchange:
    method = "GET" if interaction == "read" else "PUT"
    asked = Request(method, f"{BASE}/List/{resource}", headers, body or b"")
    return wb.Exchange(client, interaction, "List", str(resource), asked, came, at, 0.0015)


if __name__ == "__main__":
    main()
