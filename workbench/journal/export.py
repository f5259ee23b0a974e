"""Files made of a journal: CSV, JSON Lines and HAR, and the one way to write a private file."""

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
from workbench.journal.records import MOST_BYTES

_FORMULA: Final = frozenset("=+-@＝＋－＠")
_PRIVATE: Final = 0o600


def write_private(path: str | Path, text: str, *, overwrite: bool = False) -> None:
    """Write a text to a file; see ``open_private``."""
    with open_private(path, overwrite=overwrite) as file:
        file.write(text)


@contextmanager
def open_private(path: str | Path, *, overwrite: bool = False, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Open a file to write text to: readable by its owner only, and there only once it is whole.

    Raises ``BadInput`` where a file exists and ``overwrite`` is false, for a symbolic link or a device, and for a
    place that cannot be written to. What existed stays as it was until the new file is complete.
    """
    path = Path(path)
    check_writable(path, overwrite=overwrite)
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.", suffix=".part")  # 0600, new
    except OSError as error:
        raise _unwritable(path, error) from None
    unfinished = Path(name)
    try:
        with os.fdopen(number, "w", encoding=encoding, newline="") as file:
            yield file
        if not overwrite:
            create_private(path)  # so that of two writers at once only one gets the name
        unfinished.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Raise ``BadInput`` where ``path`` is taken by something that must not be written over."""
    if path.is_symlink():
        raise BadInput(f"{path} is a symbolic link, which is never written through; choose another name.")
    if not path.exists():
        return
    if not path.is_file():
        raise BadInput(f"{path} is not a file; choose another name.")
    if not overwrite:
        raise BadInput(f"{path} exists already; choose another name, or give overwrite=True to replace it.")


def create_private(path: Path) -> None:
    """Create an empty file; raises ``BadInput`` where one exists by now, or none can be created."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        os.close(os.open(path, flags, _PRIVATE))
    except FileExistsError:
        raise BadInput(f"{path} exists already; choose another name.") from None
    except OSError as error:
        raise _unwritable(path, error) from None


def read_bounded(path: str | Path) -> bytes:
    """Read a whole file; raises ``OSError`` where that cannot be, and ``BadInput`` for a device or one too large."""
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


def har(exchanges: Iterable[Exchange]) -> dict[str, Any]:
    """The exchanges as an HTTP Archive 1.2; what only this journal knows stands in fields that begin with ``_``."""
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
    head = {"method": request.method, "url": request.url, "queryString": _har_pairs(query)}
    body = {"postData": _har_body(request, {"comment": "base64"})} if size_of(request) else {}
    return {**head, **_har_fields(request.headers), **body, "bodySize": size_of(request)}


def _har_response(exchange: Exchange) -> dict[str, Any]:
    """Where no answer came: status 0 and ``_error``, as browsers write it."""
    response = exchange.response or Response(0)
    told = {"status": response.status, "statusText": reason(response.status), **_har_fields(response.headers)}
    told["content"] = {"size": size_of(response), **_har_body(response, {"encoding": "base64"})}
    told["redirectURL"] = response.headers.get("Location") or "" if 300 <= response.status < 400 else ""
    # Where a content coding has been undone, nobody knows how many bytes came before that.
    counted = exchange.response and "Content-Encoding" not in response.headers
    told["bodySize"] = size_of(response) if counted else -1
    return told if exchange.response else {**told, "_error": exchange.failure}


def _har_fields(headers: Headers) -> dict[str, Any]:
    return {"httpVersion": "HTTP/1.1", "cookies": [], "headers": _har_pairs(headers.items()), "headersSize": -1}


def _har_pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _har_body(message: Request | Response, binary: dict[str, str]) -> dict[str, str]:
    kind = {"mimeType": message.headers.get("Content-Type") or "x-unknown"}
    try:
        kept = {"comment": str(message.dropped)} if message.dropped else {}
        return {**kind, "text": message.body.decode("utf-8"), **kept}
    except UnicodeDecodeError:
        return {**kind, "text": base64.b64encode(message.body).decode("ascii"), **binary}


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, overwrite: bool) -> None:
    """A table for spreadsheets: UTF-8 with the mark that Excel wants, and no text that would run as a formula."""
    with open_private(path, overwrite=overwrite, encoding="utf-8-sig") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    """An apostrophe before what a spreadsheet would take for a formula, so that it shows it and computes nothing."""
    if value is None or isinstance(value, int | float):
        return value
    text = value.isoformat(timespec="microseconds") if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.lstrip()[:1] in _FORMULA or text[:1] in ("\t", "\r", "\n") else text
