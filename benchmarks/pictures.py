"""Pictures and files of a journal of 10,000 exchanges."""

from __future__ import annotations

import time

import workbench as wb

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
EXCHANGES = 10_000


def main() -> None:
    with wb.Endpoint.in_process(clock=wb.LESSON_START, seed=0) as spine:
        client = spine.client("alice")
        client.read("List", LIST)
        for _ in range(EXCHANGES - 1):
            spine.journal.append(spine.journal[0])
        print(f"a journal of {EXCHANGES:,} exchanges:")
        for name in ("transitions", "diagram", "timeline", "to_har"):
            start = time.perf_counter()
            getattr(spine.journal, name)()
            print(f"  {1000 * (time.perf_counter() - start):6.0f} ms  {name}()")


if __name__ == "__main__":
    main()
