"""The one place that prints what a command has to say."""

from __future__ import annotations

import sys
from typing import IO

from workbench.fhir.printable import printable


def say(text: object, file: IO[str] | None = None) -> None:
    """Print a text with a newline, by default to standard output; a terminal obeys nothing in it."""
    print(printable(str(text)), file=file or sys.stdout)
