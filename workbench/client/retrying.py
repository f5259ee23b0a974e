"""Sending an update again: what may be sent again, when the endpoint wants it, and what is told of it.

Owns: the judgement of one attempt, and the record of all of them. Must not know who waits and sends: that is
``workbench.client.retry``. Sources: RFC 9110, sections 9.2.2 and 10.2.3; the contract's UPD-13, which makes it safe.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from workbench.client.unanswered import Resolution
    from workbench.exchange.message import Exchange


@dataclass(frozen=True, slots=True)
class Retried:
    """How an update went that was allowed to be sent again.

    ``attempts`` are all its exchanges, in order; the last is the one that came back. ``stopped`` is a sentence on
    why it was not sent once more, empty where it was answered. ``resolution`` says what became of the first attempt
    that was not answered, where a later one was refused: the version it found changed may be one's own.
    """

    attempts: tuple[Exchange, ...]
    stopped: str = ""
    resolution: Resolution | None = None

    def explain(self) -> str:
        """What there is to add to the last answer; nothing where it was the first and only one."""
        count = len(self.attempts)
        told = [f"It was sent {count} times with the same If-Match."] if count > 1 else []
        told += [self.stopped] if self.stopped else []
        if self.resolution:
            told.append(f"What became of the attempt that was not answered: {self.resolution}")
        return " ".join(told)


_GATEWAY_HEARD_NOTHING: Final = frozenset({502, 504})


def is_unanswered(exchange: Exchange) -> bool:
    """Whether no answer of the endpoint came: never sent, or lost on the way, or a gateway that heard nothing."""
    return exchange.response is None or exchange.status in _GATEWAY_HEARD_NOTHING


def wait_asked(exchange: Exchange) -> float | None:
    """The seconds that ``Retry-After`` asks for; ``None`` where there is none that can be read.

    A date counts from the answer's own ``Date``, so that the two clocks need not agree.
    """
    headers = exchange.response.headers if exchange.response else None
    value = (headers.get("Retry-After") or "").strip() if headers else ""
    if value.isascii() and value.isdigit():
        return float(value)
    until = _http_date(value)
    if until is None or headers is None:
        return None
    now = _http_date(headers.get("Date") or "") or exchange.sent_at
    return max(0.0, (until - now).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
