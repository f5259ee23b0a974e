"""The errors that this package raises on purpose.

::

    WorkbenchError
    ├── BadInput            an argument, file or text cannot be used; nothing was sent
    │   ├── MalformedJSON   the text is not FHIR JSON; has the line and the column
    │   ├── MalformedETag   the text is not an entity tag
    │   ├── OpenConflict    a merge has a conflict without a decision
    │   └── NotRecorded     a replayed recording does not contain the request
    ├── WriteNotAllowed     a write to a remote host without ``allow_writes``
    ├── EndpointError       the embedded endpoint could not start, or has stopped
    ├── CannotCheck         an endpoint could not be checked; no probe ran
    ├── NotInstalled        a package that an extra brings is missing
    └── UnwantedVerdict     raised by ``Exchange.raise_for_verdict()``; defined beside ``Exchange``

A message says what happened and what to do next. A status code alone raises no error: the response
comes back as an ``Exchange``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class WorkbenchError(Exception):
    """The base class of every error that this package raises on purpose."""


class BadInput(WorkbenchError, ValueError):
    """An argument, file or text cannot be used. Nothing was sent and nothing was changed."""


class MalformedJSON(BadInput):
    """The text is not FHIR JSON. ``problem`` is one sentence.

    ``position`` counts characters from 0; ``line`` and ``column`` count from 1.
    """

    def __init__(self, problem: str, *, position: int = 0, line: int = 1, column: int = 1) -> None:
        super().__init__(f"line {line}, column {column}: {problem}")
        self.problem = problem
        self.position = position
        self.line = line
        self.column = column


class MalformedETag(BadInput):
    """The text is not an entity tag (RFC 9110, 8.8.3)."""


class OpenConflict(BadInput):
    """Both sides changed the same element, and no choice is made yet. ``paths`` lists the elements."""

    def __init__(self, paths: Sequence[str]) -> None:
        where = ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
        super().__init__(f"Both sides changed {where}; choose mine, theirs or a value of your own for each.")
        self.paths = tuple(paths)


class NotRecorded(BadInput):
    """A replay has no recorded response to this request. A replay never sends a request."""


class WriteNotAllowed(WorkbenchError):
    """A write to a host that is not loopback, over a connection without ``allow_writes``. Nothing was sent."""


class EndpointError(WorkbenchError):
    """The embedded endpoint could not start, or it has stopped."""


class CannotCheck(WorkbenchError):
    """An endpoint could not be checked: it does not answer, or it has no resource to test with."""


class NotInstalled(WorkbenchError, ImportError):
    """A package is missing. The message has the command that installs it."""


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Raise ``NotInstalled`` where the body imports a package that is missing.

    ``extra`` is the extra of spine-workbench that brings the package; ``pyproject.toml`` lists them.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise NotInstalled(
            f"This needs {package}, which is not installed; run: pip install 'spine-workbench[{extra}]'.",
            name=package,
        ) from None
