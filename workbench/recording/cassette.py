"""A cassette: the file of a recorded session, and the differences between two sessions.

The file is JSON, indented so that a diff of two versions is readable. It holds no credential, no personal data and only
logical names.

An exchange is a dict with ``client``, ``request`` (``method``, ``path`` below the base URL, ``headers``, ``body``)
and ``answer``, the response (``status``, ``headers``, ``body``). If the response is missing or broke off, ``failure``
and ``sent`` say why. A JSON body is kept as JSON with exact decimals, any other body as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workbench.errors import BadInput, MalformedJSON, needs
from workbench.exchange.message import Headers, Request, Response, check_answered, check_field, check_method, check_url
from workbench.fhir import json
from workbench.fhir.diff import ABSENT, changes
from workbench.journal.export import check_writable, read_bounded, write_private
from workbench.journal.secrets import without_credentials, without_named_credentials

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
        if not (
            isinstance(exchanges, list)
            and isinstance(redacted, list)
            and all(isinstance(each, str) for each in redacted)
        ):
            raise BadInput(f"The cassette {path} has no list of exchanges or of redacted paths; record it again.")
        for number, entry in enumerate(exchanges, 1):
            if not _is_entry(entry):
                raise BadInput(
                    f"Exchange {number} of the cassette {path} is not one that was recorded; record it again."
                )
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


def _is_entry(entry: Any) -> bool:
    """Return whether an exchange could have been recorded; a client checks what it sends in the same way."""
    try:
        _check_entry(entry)
    except (AttributeError, KeyError, TypeError, ValueError):  # BadInput is a ValueError
        return False
    return True


def _check_entry(entry: Entry) -> None:
    request, answer = entry["request"], entry.get("answer")
    check_method(request["method"])
    check_url("http://recorded.invalid/" + request["path"])
    for name, value in request.get("headers", {}).items():
        check_field(name, value)
    if answer is not None:
        check_answered(answer["status"], answer.get("headers", {}).items())
    texts = [entry["client"], request.get("text", ""), entry.get("failure", ""), (answer or {}).get("text", "")]
    if not all(isinstance(text, str) for text in texts) or not isinstance(entry.get("sent", True), bool):
        raise BadInput("This is text.")
    if answer is None and "failure" not in entry:
        raise BadInput("Where there is no answer there is a reason.")


def as_request(request: Request, base_url: str) -> Entry:
    """Return a request as a cassette holds it, its credentials replaced."""
    fields = {name: value for name, value in request.headers.items() if name.lower() in REQUEST_FIELDS}
    head = {"method": request.method, "path": without_credentials(request.url).removeprefix(base_url).lstrip("/")}
    return head | ({"headers": fields} if fields else {}) | _content(without_named_credentials(request.body))


def as_response(response: Response) -> Entry:
    """Return a response as a cassette holds it."""
    return {"status": response.status, "headers": dict(response.headers.items()), **_content(response.body)}


def to_response(answer: Entry) -> Response:
    """Return the response of a cassette's exchange."""
    return Response(answer["status"], Headers(answer.get("headers", {})), body_of(answer))


def body_of(message: Entry) -> bytes:
    """Return the bytes of a recorded body; JSON is written without spaces."""
    if "body" in message:
        return json.dumps(message["body"]).encode()
    return str(message.get("text", "")).encode()


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
    request = now["request"]
    about = (seq, now["client"], f"{request['method']} {request['path']}")
    for change in changes(_comparable(then), _comparable(now)):
        yield Difference(*about, change.path, _short(change.before), _short(change.after))


def _comparable(entry: Entry) -> Entry:
    """Return an exchange with its header names in lower case and its body under one name."""
    request, response = entry["request"], entry.get("answer") or {}
    body = {"body": response.get("body", response.get("text"))} if "body" in response or "text" in response else {}
    return {
        "request": request | {"headers": _lower_names(request)},
        "status": response.get("status", "no answer"),
        "header": _lower_names(response),
        **body,
        "failure": entry.get("failure", ""),
    }


def _lower_names(message: Entry) -> dict[str, str]:
    return {name.lower(): value for name, value in message.get("headers", {}).items()}


def _short(value: Any) -> str:
    text = str(value) if value is ABSENT or isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else f"{text[:199]}…"
