"""The three-way merge of large resources: how long, and how it grows."""

from __future__ import annotations

import copy
import time
from typing import Any

from workbench.fhir.json import dumps
from workbench.fhir.merge import merge

SIZES = (1_000, 4_000, 8_000, 32_000)


def main() -> None:
    print("merge of Lists with many entries (target: 4 MB under 1 s, growing no worse than n log n):")
    for entries in SIZES:
        base, mine, theirs = versions(entries)
        start = time.process_time()
        decisions = merge(base, mine, theirs).decisions
        seconds = time.process_time() - start
        size = len(dumps(base))
        print(
            f"  {size / 1e6:5.2f} MB, {entries:,} entries, {len(decisions)} decisions: "
            f"{seconds:.2f} s of CPU, {1e9 * seconds / size:.0f} ns a byte"
        )


def versions(entries: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A List; mine with some entries changed and one added, theirs with others removed and one added."""
    base: dict[str, Any] = {"resourceType": "List", "id": "1", "entry": [entry(number) for number in range(entries)]}
    mine, theirs = copy.deepcopy(base), copy.deepcopy(base)
    for number in range(0, entries, 100):
        mine["entry"][number]["deleted"] = True
    del theirs["entry"][50::100]
    mine["entry"].append(entry(entries + 1))
    theirs["entry"].append(entry(entries + 2))
    return base, mine, theirs


def entry(number: int) -> dict[str, Any]:
    return {
        "flag": {"text": f"adjustment {number}"},
        "date": "2018-05-25",
        "item": {"reference": f"Condition/{number}", "display": f"Adjustment number {number}"},
    }


if __name__ == "__main__":
    main()
