"""Every error this package raises on purpose, and what each one is about.

::

    WorkbenchError
    ├── BadInput            what you gave cannot be used; nothing was sent
    │   ├── MalformedJSON   the text is not JSON that FHIR can carry (knows line and column)
    │   ├── MalformedETag   the text is not an entity tag
    │   ├── OpenConflict    a merge in which somebody still has to decide
    │   └── NotRecorded     a request that the cassette being replayed does not hold
    ├── WriteNotAllowed     a write to a host that is not loopback, without your explicit yes
    ├── EndpointError       the embedded endpoint could not start, or has ended
    ├── CannotCheck         an endpoint could not be checked at all; nothing was probed
    └── UnwantedVerdict     raised by ``Exchange.raise_for_verdict()``, and defined beside it

Each message is one sentence that says what was wrong and what to do next. A status code never
raises by itself: an answer is an answer, and it comes back as an ``Exchange``.
"""

from __future__ import annotations

from collections.abc import Sequence


class WorkbenchError(Exception):
    """The root of the tree: catches whatever this package raises on purpose."""


class BadInput(WorkbenchError, ValueError):
    """What was given cannot be used. Nothing was sent and nothing was changed."""


class MalformedJSON(BadInput):
    """The text is not JSON that a FHIR resource can be written in.

    ``position`` counts characters from 0; ``line`` and ``column`` count from 1.
    """

    def __init__(self, problem: str, *, position: int = 0, line: int = 1, column: int = 1) -> None:
        super().__init__(f"line {line}, column {column}: {problem}")
        self.problem = problem
        self.position = position
        self.line = line
        self.column = column


class MalformedETag(BadInput):
    """The text is not an entity tag (RFC 9110, section 8.8.3)."""


class OpenConflict(BadInput):
    """Both sides changed the same element, and nobody has decided yet; ``paths`` says where."""

    def __init__(self, paths: Sequence[str]) -> None:
        where = ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
        super().__init__(f"Both sides changed {where}; choose mine, theirs or a value of your own for each.")
        self.paths = tuple(paths)


class NotRecorded(BadInput):
    """A request that the cassette does not hold, in a replay, which never sends one."""


class WriteNotAllowed(WorkbenchError):
    """A write to a host that is not loopback, and the connection does not say ``allow_writes``."""


class EndpointError(WorkbenchError):
    """The embedded endpoint could not start, or it is no longer running."""


class CannotCheck(WorkbenchError):
    """An endpoint could not be checked at all: nothing answers, or there is nothing to work on."""
