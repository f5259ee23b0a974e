"""What an exchange costs in the journal, and how its table grows."""

from __future__ import annotations

import gc
import time
import tracemalloc

import workbench as wb

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
EXCHANGES = 2000


def main() -> None:
    with wb.Endpoint.start() as spine:
        client = spine.client("alice")
        client.read("List", LIST)
        # A PUT that is refused for want of a body's worth of words: no body either way but the OperationOutcome.
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
        _tables(spine.journal)


def _tables(journal: wb.Journal) -> None:
    exchanges = list(journal)
    print("transitions(), in microseconds a row (linear: the same at every size):")
    for times in (1, 5, 25):
        longer = wb.Journal()
        for _ in range(times):
            for exchange in exchanges:
                longer.append(exchange)
        start = time.perf_counter()
        longer.transitions()
        print(f"  {1e6 * (time.perf_counter() - start) / len(longer):5.1f}  at {len(longer):,} rows")


if __name__ == "__main__":
    main()
