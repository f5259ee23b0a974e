"""The picker: an endpoint chosen by its profile, tried, and opened in a workbench.

    picker = EndpointPicker()
    picker.profile.value = "integration"
    picker.test()
    picker.open_bench()

Owns: the choice, and telling what came of trying it. What a profile is stands in ``profiles``, what a trial shows in
``trial``.
"""

from __future__ import annotations

from pathlib import Path

import ipywidgets as widgets

from workbench.client.client import Client
from workbench.client.profiles import ConnectionTest, connect, profile_names, profiles_path, try_connection
from workbench.errors import WorkbenchError
from workbench.widgets import html as markup
from workbench.widgets.private import PrivateHTML
from workbench.widgets.workbench import Workbench


class EndpointPicker(widgets.VBox):
    """A profile to choose, *Test connection*, and *Open*; ``bench`` is the workbench that was opened.

    ``profiles`` is the file they stand in, by default your own.
    """

    def __init__(self, profiles: str | Path | None = None) -> None:
        self._profiles = profiles
        self.bench: Workbench | None = None
        self.profile = widgets.Dropdown(description="Endpoint", layout={"width": "350px"})
        self.test_button = widgets.Button(description="Test connection", tooltip="Read its CapabilityStatement")
        self.open_button = widgets.Button(
            description="Open", button_style="primary", tooltip="Open a workbench on this endpoint"
        )
        self._notice, self._place = PrivateHTML(), widgets.VBox()
        bar = widgets.HBox([self.profile, self.test_button, self.open_button])
        bar.add_class("swb-bar")
        super().__init__([widgets.HTML(markup.style(), layout={"display": "none"}), bar, self._notice, self._place])
        self.add_class("swb")
        for button in (self.test_button, self.open_button):
            button.layout.width = "auto"
        self.test_button.on_click(lambda _: self.test())
        self.open_button.on_click(lambda _: self.open_bench())
        self.profile.observe(lambda _: self._say(""), "value")
        self._offer()

    def test(self) -> ConnectionTest | None:
        """Try the connection and say what came of it; ``None`` where it could not be tried."""
        client = self._client()
        if client is None:
            return None
        try:
            trial = try_connection(client)
        except WorkbenchError as error:
            self._say(str(error))
            return None
        finally:
            client.close()
        self._say(trial.words if trial.ok else f"Failed at: {trial.failed_at}. {trial.words}", good=trial.ok)
        return trial

    def open_bench(self) -> Workbench | None:
        """Open a workbench on the endpoint chosen, in the place of one that was open."""
        client = self._client()
        if client is None:
            return None
        if self.bench is not None:
            self.bench.close()
        self.bench = Workbench(client)
        self._place.children = (self.bench,)
        self._say("")
        return self.bench

    def __repr__(self) -> str:
        return "EndpointPicker()"

    def _offer(self) -> None:
        try:
            names = profile_names(self._profiles)
            self.profile.options = names
            self.profile.value = next(iter(names), None)
        except WorkbenchError as error:
            self._say(str(error))
        else:
            if not self.profile.options:
                self._say(f"There are no profiles yet; write one into {self._profiles or profiles_path()}.")
        self.test_button.disabled = self.open_button.disabled = not self.profile.options

    def _client(self) -> Client | None:
        try:
            return connect(self.profile.value, profiles=self._profiles)
        except WorkbenchError as error:
            self._say(str(error))
            return None

    def _say(self, text: str, *, good: bool = False) -> None:
        self._notice.value = markup.notice(text, "good" if good else "warn")
