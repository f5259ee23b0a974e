"""The log of an endpoint: one line per request, as text or as JSON, on standard error.

A line holds chosen fields only. Of the headers it holds ``If-Match`` and ``TraceID``; it holds no query string and no
body. So no credential and no patient can be in the log.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import Final

from workbench.errors import needs
from workbench.exchange.message import Headers, Request, Response

_access: Final = logging.getLogger("workbench.endpoint.access")
_endpoint: Final = logging.getLogger("workbench.endpoint")

_LONGEST: Final = 200
_NOT_PRINTABLE: Final = re.compile(r"[^\x20-\x7e]")
_TRACE_ID: Final = re.compile(r"[0-9A-Fa-f-]{1,36}")


def configure(log_format: str) -> None:
    """Write this process's log in one of ``settings.LOG_FORMATS``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json_formatter() if log_format == "json" else _text_formatter())
    for logger in (_endpoint, logging.getLogger("uvicorn.error")):
        logger.handlers = [handler]
        logger.propagate = False
    _endpoint.setLevel(logging.INFO)
    _access.setLevel(logging.CRITICAL if log_format == "none" else logging.INFO)
    # uvicorn also warns of requests that it cannot parse; SpineProtocol logs those.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def log_request(request: Request | None, response: Response, *, peer: str, seconds: float, fault: str = "") -> None:
    """Log one request and its response; ``None`` for a request that could not be parsed."""
    if not _access.isEnabledFor(logging.INFO):
        return
    headers = request.headers if request else Headers()
    trace_id = headers.get("TraceID") or ""
    fields: dict[str, str | int | float | None] = {
        "peer": peer,
        "method": _shown(request.method if request else "?"),
        "path": _shown(request.url.partition("?")[0] if request else "?"),
        "status": response.status,
        "ms": round(seconds * 1000, 2),
        "bytes": len(response.body),
        "if_match": _shown(headers.get("If-Match")),
        "etag": response.headers.get("ETag"),
        "trace_id": trace_id if _TRACE_ID.fullmatch(trace_id) else None,
        "fault": fault or None,
    }
    present = {name: value for name, value in fields.items() if value is not None}
    text = " ".join(f"{name}={value}" for name, value in present.items())
    _access.info("%s", text, extra={"request": present})


def _shown(value: str | None) -> str | None:
    """Return a client's text as one short line."""
    return None if value is None else _NOT_PRINTABLE.sub("?", value[:_LONGEST])


def _text_formatter() -> logging.Formatter:
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


def _json_formatter() -> logging.Formatter:
    with needs("serve"):
        from pythonjsonlogger.json import JsonFormatter

    class RequestFormatter(JsonFormatter):
        """Writes the fields of a request beside the time, instead of a message."""

        def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
            request = log_data.pop("request", None)
            if isinstance(request, dict):
                log_data.pop("message", None)
                log_data.update(request)
            return log_data

    formatter: logging.Formatter = RequestFormatter(
        "%(asctime)s %(levelname)s %(process)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%SZ",
        rename_fields={"asctime": "time", "levelname": "level", "process": "worker"},
        json_ensure_ascii=True,
    )
    formatter.converter = time.gmtime
    return formatter
