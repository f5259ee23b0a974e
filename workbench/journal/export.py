"""Files: the one way to write a private file, and a journal as JSON Lines, HAR and CSV.

A file is written for its owner alone (mode 0600), never through a symbolic link, and never over an existing file
unless the caller says so.
Sources: HAR 1.2 (softwareishard.com/blog/har-12-spec); OWASP, *CSV injection*.
"""

from __future__ import annotations

import base64
import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import parse_qsl, urlsplit

from workbench.errors import BadInput
from workbench.exchange.message import Exchange, Headers, Request, Response, size_of
from workbench.exchange.text import reason
from workbench.fhir import json
from workbench.journal.records import MOST_BYTES
from workbench.journal.redaction import MOST_PLACEHOLDERS, RedactionRule

# --- private files ---

_PRIVATE: Final = 0o600


def write_private(path: str | Path, text: str, *, overwrite: bool = False) -> None:
    """Write a text to a file as ``open_private`` does."""
    with open_private(path, overwrite=overwrite) as file:
        file.write(text)


@contextmanager
def open_private(path: str | Path, *, overwrite: bool = False, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Open a private file to write text to; it appears under its name once it is complete.

    Raises ``BadInput`` if a file exists and ``overwrite`` is false, for a symbolic link or a device, and if it cannot
    be written. An existing file stays unchanged until the new one is complete.
    """
    path = Path(path)
    check_writable(path, overwrite=overwrite)
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.", suffix=".part")
    except OSError as error:
        raise _unwritable(path, error) from None
    unfinished = Path(name)
    try:
        with os.fdopen(number, "w", encoding=encoding, newline="") as file:
            yield file
        if not overwrite:
            create_private(path)  # of two writers at once only one succeeds
        unfinished.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Raise ``BadInput`` if ``path`` is something that must not be overwritten."""
    if path.is_symlink():
        raise BadInput(f"{path} is a symbolic link, which is never written through; choose another name.")
    if not path.exists():
        return
    if not path.is_file():
        raise BadInput(f"{path} is not a file; choose another name.")
    if not overwrite:
        raise BadInput(f"{path} exists already; choose another name, or give overwrite=True to replace it.")


def create_private(path: Path) -> None:
    """Create an empty file; raises ``BadInput`` if it exists or cannot be created."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        os.close(os.open(path, flags, _PRIVATE))
    except FileExistsError:
        raise BadInput(f"{path} exists already; choose another name.") from None
    except OSError as error:
        raise _unwritable(path, error) from None


def read_bounded(path: str | Path) -> bytes:
    """Read a whole file.

    Raises ``OSError`` if it cannot be read, and ``BadInput`` for a device and for one larger than ``MOST_BYTES``.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise BadInput(f"{path} is not a file.")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise BadInput(f"{path} is larger than {MOST_BYTES // 2**20} MiB, so it is not read.")
    return content


def _unwritable(path: Path, error: OSError) -> BadInput:
    return BadInput(f"{path} cannot be written: {error.strerror or error}.")


# --- JSON Lines ---

_FORMAT: Final = 3
"""The format in the first line of a saved journal."""


def to_header(rule: RedactionRule, highest: int) -> str:
    """Return the first line of a saved journal: what it redacts, and the highest number of a placeholder in it."""
    return json.dumps({"journal": _FORMAT, "redaction": rule.as_json(), "last": highest}) + "\n"


def from_header(line: bytes, path: Path) -> tuple[RedactionRule, int]:
    """Read the first line of ``path``; raises ``BadInput`` for another line and for another format."""
    wrong = BadInput(f"Line 1 of {path} does not begin a journal that save() wrote.")
    try:
        found = json.parse(line)
        written, highest = found["journal"], found["last"]
        rule = RedactionRule.from_json(found["redaction"])
    except (BadInput, KeyError, TypeError):
        raise wrong from None
    if written != _FORMAT:
        raise BadInput(f"{path} was saved by another version of spine-workbench.")
    if type(highest) is not int or not 0 <= highest < MOST_PLACEHOLDERS:
        raise wrong
    return rule, highest


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file; raises ``BadInput`` for one longer than ``MOST_BYTES``."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_BYTES + 1):
            number += 1
            if len(line) > MOST_BYTES:
                raise BadInput(f"Line {number} of {path} is longer than {MOST_BYTES // 2**20} MiB.")
            yield line


# --- HAR ---


def to_har(exchanges: Iterable[Exchange]) -> dict[str, Any]:
    """Return the exchanges as an HTTP Archive 1.2; the journal's own fields begin with ``_``."""
    from workbench import __version__

    log = {"version": "1.2", "creator": {"name": "spine-workbench", "version": __version__}, "pages": []}
    return {"log": {**log, "entries": [_har_entry(seq, exchange) for seq, exchange in enumerate(exchanges, 1)]}}


def _har_entry(seq: int, exchange: Exchange) -> dict[str, Any]:
    ms = 0 if exchange.elapsed is None else round(exchange.elapsed * 1000, 3)
    comment = {"comment": "not timed"} if exchange.elapsed is None else {}
    return {
        "startedDateTime": exchange.sent_at.isoformat(timespec="milliseconds"),
        "time": ms,
        "request": _har_request(exchange.request),
        "response": _har_response(exchange),
        "cache": {},
        "timings": {"send": 0, "wait": ms, "receive": 0, **comment},
        "_seq": seq,
        "_client": exchange.client,
        "_interaction": exchange.interaction,
        "_verdict": exchange.verdict.value,
    }


def _har_request(request: Request) -> dict[str, Any]:
    query = parse_qsl(urlsplit(request.url).query, keep_blank_values=True)
    body = {"postData": _har_body(request, {"comment": "base64"})} if size_of(request) else {}
    return {
        "method": request.method,
        "url": request.url,
        "queryString": _har_pairs(query),
        **_har_headers(request.headers),
        **body,
        "bodySize": size_of(request),
    }


def _har_response(exchange: Exchange) -> dict[str, Any]:
    """Return the response; without one, status 0 and ``_error``, as browsers write it."""
    response = exchange.response or Response(0)
    is_redirect = 300 <= response.status < 400
    # The size before a content coding was undone is unknown.
    has_known_size = exchange.response and "Content-Encoding" not in response.headers
    entry = {
        "status": response.status,
        "statusText": reason(response.status),
        **_har_headers(response.headers),
        "content": {"size": size_of(response), **_har_body(response, {"encoding": "base64"})},
        "redirectURL": (response.headers.get("Location") or "") if is_redirect else "",
        "bodySize": size_of(response) if has_known_size else -1,
    }
    return entry if exchange.response else {**entry, "_error": exchange.failure}


def _har_headers(headers: Headers) -> dict[str, Any]:
    return {"httpVersion": "HTTP/1.1", "cookies": [], "headers": _har_pairs(headers.items()), "headersSize": -1}


def _har_pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _har_body(message: Request | Response, binary: dict[str, str]) -> dict[str, str]:
    kind = {"mimeType": message.headers.get("Content-Type") or "x-unknown"}
    dropped = {"comment": str(message.dropped)} if message.dropped else {}
    try:
        return {**kind, "text": message.body.decode("utf-8"), **dropped}
    except UnicodeDecodeError:
        return {**kind, "text": base64.b64encode(message.body).decode("ascii"), **binary}


# --- CSV ---

_FORMULA: Final = frozenset("=+-@＝＋－＠")


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, overwrite: bool) -> None:
    """Write a table as UTF-8 with the byte order mark that Excel needs; no text in it runs as a formula."""
    with open_private(path, overwrite=overwrite, encoding="utf-8-sig") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(columns)
        writer.writerows([_csv_value(value) for value in row] for row in rows)


def _csv_value(value: Any) -> Any:
    """Return the value for a CSV file, with an apostrophe before a text that would run as a formula."""
    if value is None or isinstance(value, int | float):
        return value
    text = value.isoformat(timespec="microseconds") if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.lstrip()[:1] in _FORMULA or text[:1] in ("\t", "\r", "\n") else text
