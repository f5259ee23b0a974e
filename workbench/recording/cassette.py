"""A cassette: a session as a file, and how another session differs from it.

Owns: the format (JSON, laid out to be read in a diff) and the comparison. Must not know how anything is sent. What it
holds has been redacted and made logical before it comes here.

An exchange is a plain dict: ``client``, ``request`` (``method``, ``path`` below the base URL, ``headers``, ``body``)
and ``answer`` (``status``, ``headers``, ``body``), with ``failure`` and ``sent`` where the answer is missing
or broke off. A body stands as JSON where it is JSON, decimals digit for digit, else as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workbench.errors import BadInput, MalformedJSON
from workbench.exchange.message import Headers, Request, Response, check_answered, check_field, check_method, check_url
from workbench.fhir import json
from workbench.fhir.diff import ABSENT, changes
from workbench.journal.export import check_writable, read_bounded, write_private
from workbench.journal.secrets import without_credentials, without_named_credentials

if TYPE_CHECKING:
    import pandas as pd

FORMAT: Final = 1
ASKED_FIELDS: Final = frozenset(
    {"accept", "content-type", "if-match", "if-modified-since", "if-none-exist", "if-none-match", "prefer"}
)
"""The header fields of a request that a cassette keeps: those that mean something, and no other."""

Entry = dict[str, Any]


@dataclass
class Cassette:
    """What one session asked and was answered, in order; ``redacted`` are the element paths that were blanked."""

    redacted: tuple[str, ...] = ()
    exchanges: list[Entry] = field(default_factory=list)

    @classmethod
    def read(cls, path: str | Path) -> Cassette:
        """Read a cassette; raises ``BadInput`` that says what is wrong with it."""
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
        if not isinstance(exchanges, list) or not isinstance(redacted, list):
            raise BadInput(f"The cassette {path} has no list of exchanges or of redacted paths; record it again.")
        if not all(isinstance(each, str) for each in redacted):
            raise BadInput(f"The cassette {path} has no list of exchanges or of redacted paths; record it again.")
        for number, entry in enumerate(exchanges, 1):
            if not _is_entry(entry):
                raise BadInput(
                    f"Exchange {number} of the cassette {path} is not one that was recorded; record it again."
                )
        return cls(tuple(redacted), exchanges)

    def write(self, path: str | Path) -> None:
        """Write it, over an earlier cassette; the file is whole at every moment, and for its owner only.

        Raises ``BadInput`` where another file than a cassette is in the way.
        """
        check_recordable(path)
        whole = {"cassette": FORMAT, "redacted": list(self.redacted), "exchanges": self.exchanges}
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_private(path, json.dumps(whole, indent=2) + "\n", overwrite=True)


def check_recordable(path: str | Path) -> None:
    """Raise ``BadInput`` where a file is in the way that is not a cassette, so that recording would destroy it."""
    path = Path(path)
    check_writable(path, overwrite=True)
    if path.exists():
        with path.open("rb") as file:
            if not _BEGINNING.match(file.read(100)):
                raise BadInput(f"{path} is not a cassette, so nothing is recorded over it; choose another name.")


_BEGINNING: Final = re.compile(rb'\s*\{\s*"cassette"\s*:')


def _is_entry(entry: Any) -> bool:
    """Whether an exchange is one that could have been recorded: checked as a client checks what it sends."""
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
    fields = {name: value for name, value in request.headers.items() if name.lower() in ASKED_FIELDS}
    head = {"method": request.method, "path": without_credentials(request.url).removeprefix(base_url).lstrip("/")}
    return head | ({"headers": fields} if fields else {}) | _content(without_named_credentials(request.body))


def as_answer(response: Response) -> Entry:
    """An answer as a cassette holds it."""
    return {"status": response.status, "headers": dict(response.headers.items()), **_content(response.body)}


def to_response(answer: Entry) -> Response:
    """The answer of a cassette."""
    return Response(answer["status"], Headers(answer.get("headers", {})), body_of(answer))


def body_of(message: Entry) -> bytes:
    """The bytes of a recorded body; JSON is written compact, as a recorded session sees it too."""
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
    """One thing that is not as it was recorded: what it is about, what was answered then, and what now."""

    seq: int
    client: str
    request: str
    what: str
    then: str
    now: str


@dataclass(frozen=True, repr=False)
class Drift:
    """How a session differs from its cassette; shows itself as a sentence or as a table."""

    exchanges: int
    differences: tuple[Difference, ...]

    def __bool__(self) -> bool:
        return bool(self.differences)

    @property
    def frame(self) -> pd.DataFrame:
        """The differences as a table: ``seq``, ``client``, ``request``, ``what``, ``then``, ``now``."""
        import pandas as pd

        return pd.DataFrame(self.differences, columns=list(Difference._fields))

    def __repr__(self) -> str:
        if not self.differences:
            return f"{self.exchanges} exchanges, each answered as recorded."
        return f"{self.exchanges} exchanges, {len(self.differences)} differences:\n{self.frame.to_string(index=False)}"


def differences(seq: int, then: Entry, now: Entry) -> Iterator[Difference]:
    """What is different between an exchange as recorded and as it came now."""
    asked = now["request"]
    about = (seq, now["client"], f"{asked['method']} {asked['path']}")
    for change in changes(_told(then), _told(now)):
        yield Difference(*about, change.path, _short(change.before), _short(change.after))


def _told(entry: Entry) -> Entry:
    answer = entry.get("answer") or {}
    headers = {name.lower(): value for name, value in answer.get("headers", {}).items()}
    asked = entry["request"]
    fields = {name.lower(): value for name, value in asked.get("headers", {}).items()}
    body = {"body": answer.get("body", answer.get("text"))} if "body" in answer or "text" in answer else {}
    told = {"request": asked | {"headers": fields}, "status": answer.get("status", "no answer"), "header": headers}
    return told | body | {"failure": entry.get("failure", "")}


def _short(value: Any) -> str:
    text = str(value) if value is ABSENT or isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else f"{text[:199]}…"
