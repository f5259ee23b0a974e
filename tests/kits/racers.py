"""What the racing processes run: kept apart so that a child imports no more than it needs.

Nothing here sleeps: a barrier starts every round for all at once, and ends it.
"""

from pathlib import Path
from typing import Any

from workbench.endpoint.store import Store, Stored

WAIT = 60.0
"""Seconds after which a barrier breaks: a racer that died must not hold the others."""


def race_over_http(barrier: Any, results: Any, base_url: str, path: str, rounds: int) -> None:
    """Send one PUT a round with the ETag that all read before it; report the statuses and the new ETags."""
    from spinekit import Service, a_list, plain_session

    with plain_session() as session:
        endpoint = Service(base_url, session)
        body = a_list(id=path.partition("/")[2])
        outcome = []
        for number in range(rounds):
            etag = endpoint.get(path).headers["ETag"]
            barrier.wait(WAIT)
            answer = endpoint.put(path, body | {"title": f"round {number}"}, etag)
            outcome.append((answer.status_code, answer.headers.get("ETag")))
            barrier.wait(WAIT)
    results.put(outcome)


def race_in_the_store(barrier: Any, results: Any, path: Path, rounds: int) -> None:
    """Swap the version that all read before; report which rounds were won, and with what."""
    store = Store(str(path))
    won = []
    for number in range(rounds):
        before = store.read("List", "x")
        assert before is not None
        new = Stored(store.versions.after("List/x", before.version_id), before.last_updated, b"%d" % number)
        barrier.wait(WAIT)
        won.append(store.swap("List", "x", before.version_id, new))
        barrier.wait(WAIT)
    store.close()
    results.put(won)


def open_at_once(barrier: Any, results: Any, paths: list[Path]) -> None:
    """Open each database at the same moment as the others; report the key of its version ids, or the error."""
    outcome = []
    for path in paths:
        barrier.wait(WAIT)
        try:
            store = Store(str(path), seed=None)
        except Exception as error:  # noqa: BLE001  # whatever it is, the parent is to see it
            outcome.append(repr(error))
        else:
            outcome.append(store.versions.first("List/x"))
            store.close()
        barrier.wait(WAIT)
    results.put(outcome)
