"""What a service writes down about itself: a line a request, as text or as JSON, on standard error.

Owns: which fields such a line has. They are chosen one by one: no header is ever written as it came but
``If-Match`` and ``TraceID``, no query string, no body, so that no credential and no patient can be among them.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import Final

from workbench.errors import BadInput
from workbench.exchange.message import Headers, Request, Response

FORMATS: Final = ("none", "text", "json")
"""``none`` still says what went wrong in the endpoint itself."""

_access: Final = logging.getLogger("workbench.endpoint.access")
_ours: Final = logging.getLogger("workbench.endpoint")

_SHOWN: Final = 200
_ODD = re.compile(r"[^\x20-\x7e]")
_PLAIN_TRACE = re.compile(r"[0-9A-Fa-f-]{1,36}")


def configure(log_format: str) -> None:
    """Write this process's log in this format; raises ``BadInput`` for another than ``FORMATS``."""
    if log_format not in FORMATS:
        raise BadInput(f"There is no log format {log_format!r}; there are {', '.join(FORMATS)}.")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(log_format))
    for logger in (_ours, logging.getLogger("uvicorn.error")):
        logger.handlers = [handler]
        logger.propagate = False
    _ours.setLevel(logging.INFO)
    _access.setLevel(logging.CRITICAL if log_format == "none" else logging.INFO)
    # What it could not read is answered, and noted, by SpineProtocol.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def note(request: Request | None, response: Response, *, peer: str, seconds: float, fault: str = "") -> None:
    """Write down one request with its answer; ``None`` where the request could not be read."""
    if not _access.isEnabledFor(logging.INFO):
        return
    headers = request.headers if request else Headers()
    trace = headers.get("TraceID") or ""
    fields: dict[str, str | int | float | None] = {
        "peer": peer,
        "method": _shown(request.method if request else "?"),
        "path": _shown(request.url.partition("?")[0] if request else "?"),
        "status": response.status,
        "ms": round(seconds * 1000, 2),
        "bytes": len(response.body),
        "if_match": _shown(headers.get("If-Match")),
        "etag": response.headers.get("ETag"),
        "trace_id": trace if _PLAIN_TRACE.fullmatch(trace) else None,
        "fault": fault or None,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    text = " ".join(f"{name}={value}" for name, value in given.items())
    _access.info("%s", text, extra={"request": given})


def _shown(value: str | None) -> str | None:
    """Whatever a client may have written, on one line and not for long."""
    return None if value is None else _ODD.sub("?", value[:_SHOWN])


def _formatter(log_format: str) -> logging.Formatter:
    if log_format != "json":
        formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    else:
        formatter = _json_formatter()
    formatter.converter = time.gmtime
    return formatter


def _json_formatter() -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    class OneLine(JsonFormatter):
        """A request's fields stand beside the time, not in a text."""

        def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
            request = log_data.pop("request", None)
            if isinstance(request, dict):
                log_data.pop("message", None)
                log_data.update(request)
            return log_data

    names = {"asctime": "time", "levelname": "level", "process": "worker"}
    return OneLine(
        "%(asctime)s %(levelname)s %(process)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%SZ",
        rename_fields=names,
        json_ensure_ascii=True,
    )
