"""Export the journal: to a file in one folder beside the notebook, or as a download of the browser.

A download travels in a message to the page, so a saved notebook does not contain it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anywidget
import ipywidgets as widgets

from workbench.errors import BadInput, WorkbenchError
from workbench.journal.journal import Journal
from workbench.widgets import html

FOLDER: Final = "exports"
"""The folder for every file, in the working directory, which is the notebook's."""


class Download(anywidget.AnyWidget):
    """Passes a file to the page, which saves it as a download."""

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
        """Make every page that shows this widget save a file."""
        self.send({"name": name}, buffers=[content])


class Export(widgets.VBox):
    """Write the journal to a file in ``FOLDER``, or download it. The file's ending chooses the format.

    ``journal`` returns the journal to export.
    """

    def __init__(self) -> None:
        self.journal: Callable[[], Journal] = Journal
        self.path = widgets.Text(
            value="journal.har", description="File", layout={"width": "350px"}, style={"description_width": "initial"}
        )
        self.button = widgets.Button(description="Export", tooltip=f"Write the journal to a file in {FOLDER}")
        self.overwrite = widgets.Button(
            description="Overwrite", button_style="warning", tooltip="Replace the file", layout={"display": "none"}
        )
        self.download_button = widgets.Button(
            description="Download", button_style="primary", tooltip="Download the journal in your browser"
        )
        self.outcome = widgets.HTML(html.muted("The file's ending chooses the format: .har, .csv, .jsonl or .svg."))
        self.download = Download(layout={"display": "none"})
        self.button.on_click(lambda _: self.write())
        self.overwrite.on_click(lambda _: self.write(overwrite=True))
        self.download_button.on_click(lambda _: self.save())
        self.path.observe(lambda _: self._offer_overwrite(False), "value")
        controls = widgets.HBox([self.path, self.download_button, self.button, self.overwrite, self.download])
        super().__init__([controls, self.outcome])

    def write(self, *, overwrite: bool = False) -> None:
        """Write the file, readable by its owner only. If it exists, ask before replacing it.

        A symbolic link is never followed or replaced. The outcome appears below the buttons.
        """
        self._offer_overwrite(False)
        try:
            path = Path(FOLDER) / self._file_name()
            if path.is_file() and not path.is_symlink() and not overwrite:
                self._offer_overwrite(True)
                self.outcome.value = html.notice(f"{path} already exists. Overwrite it?")
                return
            Path(FOLDER).mkdir(mode=0o700, exist_ok=True)
            self.journal().export(path, overwrite=overwrite)
        except (WorkbenchError, OSError) as error:
            self.outcome.value = html.notice(str(error))
        else:
            self.outcome.value = html.notice(f"Written: {path.resolve()}", "good")

    def save(self) -> None:
        """Make the browser download the file."""
        self._offer_overwrite(False)
        try:
            name = self._file_name()
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / name
                self.journal().export(path)
                self.download.offer(name, path.read_bytes())
        except (WorkbenchError, OSError) as error:
            self.outcome.value = html.notice(str(error))
        else:
            self.outcome.value = html.notice(f"Your browser downloads {name}.", "good")

    def _file_name(self) -> str:
        name = str(self.path.value).strip()
        if not name or name.startswith(".") or Path(name).name != name or "\\" in name:
            raise BadInput(f"{name!r} is not a file name. Give a name without a folder; files go to {FOLDER}.")
        return name

    def _offer_overwrite(self, offered: bool) -> None:
        self.overwrite.layout.display = None if offered else "none"
