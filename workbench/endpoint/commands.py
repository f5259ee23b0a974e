"""What a running endpoint can be asked to do from outside HTTP: by its standard input, or by a notebook."""

from __future__ import annotations

from collections.abc import Iterable

from workbench.endpoint.application import Application
from workbench.endpoint.faults import Faults
from workbench.errors import BadInput


def obey(application: Application, faults: Faults, command: str, arguments: Iterable[str]) -> None:
    """``reset``: return to the stories' start. ``faults``: have these from now on, and no others."""
    if command == "reset":
        application.reset()
    elif command == "faults":
        faults.switch(arguments)
    else:
        raise BadInput(f"There is no command {command!r}; there are reset and faults.")
