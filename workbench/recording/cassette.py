"""A cassette: the file of a recorded session, and the differences between two sessions.

The file is JSON, indented so that a diff of two versions is readable. It holds no credential, no personal data and only
logical names.

An exchange is a dict with ``client``, ``request`` (``method``, ``path`` below the base URL, ``headers``, ``body``)
and ``answer``, the response (``status``, ``headers``, ``body``). If the response is missing or broke off, ``failure``
and ``sent`` say why. A JSON body is kept as JSON with exact decimals, any other body as text. ``to_exchange`` turns
it into the journal's record, which is not readable in a diff, because a body there is one line of text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workbench.clock import LESSON_START
from workbench.errors import BadInput, MalformedJSON, needs
from workbench.exchange.message import Exchange, Request, Response
from workbench.fhir import json
from workbench.fhir.diff import ABSENT, changes
from workbench.journal.export import check_writable, read_bounded, write_private
from workbench.journal.records import from_json
from workbench.journal.secrets import without_credentials, without_named_credentials
from workbench.recording.logical import BASE_URL

if TYPE_CHECKING:
    import pandas as pd

FORMAT: Final = 1
REQUEST_FIELDS: Final = frozenset(
    {"accept", "content-type", "if-match", "if-modified-since", "if-none-exist", "if-none-match", "prefer"}
)
"""The header fields of a request that a cassette keeps: those that change its meaning."""

Entry = dict[str, Any]


@dataclass
class Cassette:
    """The exchanges of one session in order, and the element paths that were redacted in them."""

    redacted: tuple[str, ...] = ()
    exchanges: list[Entry] = field(default_factory=list)

    @classmethod
    def read(cls, path: str | Path) -> Cassette:
        """Read a cassette; raises ``BadInput`` with the reason if it cannot be read."""
        try:
            content = json.parse(read_bounded(path))
        except FileNotFoundError:
            raise BadInput(f"There is no cassette {path}; record one by WORKBENCH_CASSETTE=record.") from None
        except (BadInput, OSError) as error:
            raise BadInput(f"The cassette {path} cannot be read: {error}") from None
        if not isinstance(content, dict) or content.get("cassette") != FORMAT:
            raise BadInput(
                f"{path} is not a cassette of format {FORMAT}; record it again by WORKBENCH_CASSETTE=record."
            )
        exchanges, redacted = content.get("exchanges"), content.get("redacted")
        if not (isinstance(exchanges, list) and isinstance(redacted, list) and {str}.issuperset(map(type, redacted))):
            raise BadInput(f"The cassette {path} has no list of exchanges or of redacted paths; record it again.")
        for number, entry in enumerate(exchanges, 1):
            try:
                to_exchange(entry)
            except (AttributeError, KeyError, TypeError, ValueError):  # BadInput is a ValueError
                raise BadInput(
                    f"Exchange {number} of the cassette {path} is not one that was recorded; record it again."
                ) from None
        return cls(tuple(redacted), exchanges)

    def write(self, path: str | Path) -> None:
        """Write the cassette as a private file; an earlier cassette is replaced in one step.

        Raises ``BadInput`` if ``path`` is a file but no cassette.
        """
        check_recordable(path)
        whole = {"cassette": FORMAT, "redacted": list(self.redacted), "exchanges": self.exchanges}
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_private(path, json.dumps(whole, indent=2) + "\n", overwrite=True)


def check_recordable(path: str | Path) -> None:
    """Raise ``BadInput`` if ``path`` is a file but no cassette, so that recording does not destroy it."""
    path = Path(path)
    check_writable(path, overwrite=True)
    if path.exists():
        with path.open("rb") as file:
            if not _BEGINNING.match(file.read(100)):
                raise BadInput(f"{path} is not a cassette, so nothing is recorded over it; choose another name.")


_BEGINNING: Final = re.compile(rb'\s*\{\s*"cassette"\s*:')


def as_request(request: Request, base_url: str) -> Entry:
    """Return a request as a cassette holds it, its credentials replaced."""
    fields = {name: value for name, value in request.headers.items() if name.lower() in REQUEST_FIELDS}
    head = {"method": request.method, "path": without_credentials(request.url).removeprefix(base_url).lstrip("/")}
    return head | ({"headers": fields} if fields else {}) | _content(without_named_credentials(request.body))


def as_response(response: Response) -> Entry:
    """Return a response as a cassette holds it."""
    return {"status": response.status, "headers": dict(response.headers.items()), **_content(response.body)}


def to_exchange(entry: Entry) -> Exchange:
    """Return a recorded exchange as the journal reads it from a file, with the same checks.

    Raises ``BadInput`` or the error of a missing or wrong field for what no session recorded.
    """
    request, answer = entry["request"], entry.get("answer")
    return from_json(
        {
            "client": entry["client"],
            "interaction": "",
            "resource_type": "",
            "logical_id": "",
            "sent_at": LESSON_START,
            "elapsed": None,
            "failure": entry["failure"] if answer is None else entry.get("failure", ""),
            "sent": entry.get("sent", True),
            "request": {"method": request["method"], "url": f"{BASE_URL}/" + request["path"], **_message(request)},
            "response": None if answer is None else {"status": answer["status"], **_message(answer)},
        }
    )


def _message(found: Entry) -> Entry:
    """Return the header fields and body of a message as the journal writes them; JSON has no spaces there."""
    text = found["text"] if "text" in found else json.dumps(found["body"]) if "body" in found else ""
    return {"headers": list(found.get("headers", {}).items()), "body": text}


def _content(body: bytes) -> Entry:
    if not body:
        return {}
    try:
        return {"body": json.parse(body)}
    except MalformedJSON:
        return {"text": body.decode("utf-8", errors="backslashreplace")}


class Difference(NamedTuple):
    """One difference from the recording: the exchange, the element in it, its value then and its value now."""

    seq: int
    client: str
    request: str
    what: str
    then: str
    now: str


@dataclass(frozen=True, repr=False)
class Drift:
    """The differences between a session and its cassette; its ``repr`` is a sentence or a table."""

    exchanges: int
    differences: tuple[Difference, ...]

    def __bool__(self) -> bool:
        return bool(self.differences)

    @property
    def frame(self) -> pd.DataFrame:
        """Return the differences as a table: ``seq``, ``client``, ``request``, ``what``, ``then``, ``now``."""
        with needs("tables"):
            import pandas as pd

        return pd.DataFrame(self.differences, columns=list(Difference._fields))

    def __repr__(self) -> str:
        if not self.differences:
            return f"{self.exchanges} exchanges, each answered as recorded."
        return f"{self.exchanges} exchanges, {len(self.differences)} differences:\n{self.frame.to_string(index=False)}"


def differences(seq: int, then: Entry, now: Entry) -> Iterator[Difference]:
    """Yield the differences between a recorded exchange and the one of now."""
    for change in changes(_comparable(then), _comparable(now)):
        yield Difference(
            seq, now["client"], request_line(now), change.path, _short(change.before), _short(change.after)
        )


def request_line(entry: Entry) -> str:
    """Return the method and the path of an exchange."""
    return f"{entry['request']['method']} {entry['request']['path']}"


def _comparable(entry: Entry) -> Entry:
    """Return an exchange with its header names in lower case and its body under one name."""
    request, response = entry["request"], entry.get("answer") or {}
    lower_request, lower_response = (
        {name.lower(): value for name, value in message.get("headers", {}).items()} for message in (request, response)
    )
    return {
        "request": request | {"headers": lower_request},
        "status": response.get("status", "no answer"),
        "header": lower_response,
        **({"body": response.get("body", response.get("text"))} if {"body", "text"} & response.keys() else {}),
        "failure": entry.get("failure", ""),
    }


def _short(value: Any) -> str:
    text = str(value) if value is ABSENT or isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else f"{text[:199]}…"
