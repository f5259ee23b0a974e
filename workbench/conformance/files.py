"""A report as a file, of the kind that its name ends in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from workbench.conformance.junit import junit
from workbench.conformance.page import page
from workbench.conformance.report import Report
from workbench.conformance.saved import as_text
from workbench.errors import BadInput
from workbench.journal.export import write_private

_WRITERS: Final[dict[str, Callable[[Report], str]]] = {".json": as_text, ".html": page, ".xml": junit}


def write(report: Report, path: Path, *, overwrite: bool = False) -> None:
    """Write the report; raises ``BadInput`` for a name that does not say what to write, or cannot be written."""
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise BadInput(f"{path} does not say what to write; end its name in {', '.join(_WRITERS)}.")
    write_private(path, writer(report), overwrite=overwrite)
