"""Write docs/verdicts.md from the answers in tests/kits/realanswers.py: ``python docs/make_verdicts.py``.

A test compares the page with what this gives, so that it is in step with the data and with the verdicts.
"""

from __future__ import annotations

import sys
from pathlib import Path

PAGE = Path(__file__).with_name("verdicts.md")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "kits"))

from realanswers import ANSWERS, Answer, Server  # noqa: E402

_OPENING = """# Verdicts on the answers of real servers

A verdict follows from what was sent and what came back, never from a server's name. This page lists {count} answers
of {servers} servers. Each is a test. Made by `python docs/make_verdicts.py`; not edited by hand.

How a verdict is found, in this order:

1. No answer: *unknown* if the request may have reached the endpoint, else *failed*.
2. A write answered 202, 408, 502 or 504, or 503 with the issue type `timeout` or `transient`: *unknown*. The endpoint
   does not say whether it carried the write out.
3. A 2xx: *read*, *created*, *updated* or *deleted*. A write answered with something that is not FHIR is *unknown*.
4. 404 and 410: *not found*. 501: *unsupported*. Any other 5xx: *failed*.
5. 428: *unguarded*.
6. 400, 409 and 412 where the OperationOutcome names another reason (`duplicate`, `multiple-matches`, referential
   integrity, another header): *refused*.
7. 409 with a version, and 412 with one: *stale*. 412 without a usable one: *unguarded*. 400 is either of the two only
   where its text says so.
8. 405 that does not say that the client assigned an id: *unsupported*. Everything else: *refused*.

Where a source is silent about a body, the table has none. The words are those of
[`wb.Verdict`](reference.md#verdict).
"""


def page() -> str:
    """Return the whole page."""
    servers = list(dict.fromkeys(server.name for server, _ in ANSWERS))
    parts = [_OPENING.format(count=len(ANSWERS), servers=len(servers))]
    last = ""
    for server, answer in ANSWERS:
        if server.name != last:
            parts.append(_heading(server))
            last = server.name
        parts.append(_row(answer))
    return "\n".join(parts) + "\n"


def _heading(server: Server) -> str:
    return (
        f"\n## {server.name}\n\nSource: {server.source}.\n\n"
        "| request | answer | issue type | code | text | verdict |\n| --- | --- | --- | --- | --- | --- |"
    )


def _row(answer: Answer) -> str:
    headers = answer.headers.encode("unicode_escape").decode("ascii")
    came = f"{answer.status}, `{headers}`" if headers else str(answer.status)
    text = answer.says.replace("|", "\\|").replace("`", "'")
    request = answer.request.replace(" | ", "`, `").replace("If-Match: `", "If-Match:`").rstrip()
    return f"| `{request}` | {came} | {answer.code} | {answer.detail} | {text} | **{answer.verdict.value}** |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
