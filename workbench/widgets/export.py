"""The journal as a file: written into one folder beside the notebook, or downloaded by the page.

Owns: the two buttons, the question before a file is overwritten, and the widget that hands a download to the page.
A download travels in a message. So the saved notebook does not hold it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anywidget
import ipywidgets as widgets

from workbench.errors import BadInput, WorkbenchError
from workbench.journal.journal import Journal
from workbench.widgets import html as markup

FOLDER: Final = "exports"
"""Where every file is written: a folder in the working directory, which is the notebook's."""


class Download(anywidget.AnyWidget):
    """Hands a file to the page, which saves it as any download."""

    _esm = """
    export default {
      initialize({ model }) {
        model.on("msg:custom", ({ name }, [content]) => {
          const link = document.createElement("a");
          link.href = URL.createObjectURL(new Blob([content]));
          link.download = name;
          link.click();
          setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
        });
      },
    };
    """

    def offer(self, name: str, content: bytes) -> None:
        """Have every page that shows this widget save a file."""
        self.send({"name": name}, buffers=[content])


class Export(widgets.VBox):
    """Write the journal to a file of ``FOLDER``, or download it, in the format that the name's ending says.

    ``journal`` gives the journal at that moment.
    """

    def __init__(self) -> None:
        self.journal: Callable[[], Journal] = Journal
        self.path = widgets.Text(
            value="journal.har", description="File", layout={"width": "350px"}, style={"description_width": "initial"}
        )
        self.button = widgets.Button(description="Export", tooltip=f"Write the journal into the folder {FOLDER}")
        self.overwrite = widgets.Button(
            description="Overwrite", button_style="warning", tooltip="Replace the file", layout={"display": "none"}
        )
        self.download_button = widgets.Button(
            description="Download", tooltip="Save the journal where your browser does"
        )
        self.said = widgets.HTML(markup.muted("The ending says what is written: .har, .csv, .jsonl or .svg."))
        self.download = Download(layout={"display": "none"})
        self.button.on_click(lambda _: self.write())
        self.overwrite.on_click(lambda _: self.write(overwrite=True))
        self.download_button.on_click(lambda _: self.save())
        self.path.observe(lambda _: self._ask(False), "value")
        controls = widgets.HBox([self.path, self.button, self.overwrite, self.download_button, self.download])
        super().__init__([controls, self.said])

    def write(self, *, overwrite: bool = False) -> None:
        """Write the file; ask first where there is one of that name. The outcome stands below the buttons."""
        self._ask(False)
        try:
            path = Path(FOLDER) / self._name()
            content = self._file()
            Path(FOLDER).mkdir(mode=0o700, exist_ok=True)
            if overwrite:
                _replace(path, content)
            else:
                _create(path, content)
        except FileExistsError:
            self._ask(True)
            self.said.value = markup.notice(f"{FOLDER}/{self._name()} is there already. Overwrite it?")
        except (WorkbenchError, OSError) as error:
            self.said.value = markup.notice(str(error))
        else:
            self.said.value = markup.notice(f"Written: {path.resolve()}", "good")

    def save(self) -> None:
        """Have the page download the file."""
        self._ask(False)
        try:
            self.download.offer(self._name(), self._file())
        except (WorkbenchError, OSError) as error:
            self.said.value = markup.notice(str(error))
        else:
            self.said.value = markup.notice(f"Your browser saves {self._name()}.", "good")

    def _name(self) -> str:
        name = str(self.path.value).strip()
        if not name or name.startswith(".") or Path(name).name != name or "\\" in name:
            raise BadInput(f"{name!r} is not a file name. Every file is written into the folder {FOLDER}.")
        return name

    def _file(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self._name()
            self.journal().export(path)
            return path.read_bytes()

    def _ask(self, asked: bool) -> None:
        self.overwrite.layout.display = None if asked else "none"


def _create(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read; raise ``FileExistsError`` where anything has that name."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _replace(path: Path, content: bytes) -> None:
    """Put a new file in the place of another one; a symbolic link is replaced, not followed."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        new = Path(folder) / path.name
        _create(new, content)
        new.replace(path)
