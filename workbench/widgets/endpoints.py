"""The endpoint picker: select an endpoint by its profile, test the connection, and open a workbench.

    picker = EndpointPicker()
    picker.profile.value = "integration"
    picker.test()
    picker.open_bench()

``client/profiles`` defines what a profile is and how a connection is tested.
"""

from __future__ import annotations

from pathlib import Path

import ipywidgets as widgets

from workbench.client.client import Client
from workbench.client.profiles import ConnectionTest, connect, profile_names, profiles_path, try_connection
from workbench.errors import WorkbenchError
from workbench.widgets import html
from workbench.widgets.frame import Frame
from workbench.widgets.private import PrivateHTML
from workbench.widgets.workbench import Workbench


class EndpointPicker(widgets.VBox):
    """A choice of profile with *Test connection* and *Open*. ``bench`` is the workbench that is open.

    ``profiles`` is the file of profiles; by default, the user's own.
    """

    def __init__(self, profiles: str | Path | None = None) -> None:
        self._profiles = profiles
        self.bench: Workbench | None = None
        self.profile = widgets.Dropdown(description="Endpoint", layout={"width": "350px"})
        self.test_button = widgets.Button(
            description="Test connection", tooltip="Read its CapabilityStatement", layout={"width": "auto"}
        )
        self.open_button = widgets.Button(
            description="Open",
            button_style="primary",
            tooltip="Open a workbench on this endpoint",
            layout={"width": "auto"},
        )
        self._notice, self._place = PrivateHTML(), widgets.VBox()
        bar = widgets.HBox([self.profile, self.test_button, self.open_button])
        bar.add_class("swb-bar")
        super().__init__([Frame(), bar, self._notice, self._place])
        self.add_class("swb")
        self.test_button.on_click(lambda _: self.test())
        self.open_button.on_click(lambda _: self.open_bench())
        self.profile.observe(lambda _: self._show_notice(""), "value")
        self._offer_profiles()

    def test(self) -> ConnectionTest | None:
        """Test the connection and show the result; return ``None`` if it could not be tested."""
        client = self._connect()
        if client is None:
            return None
        try:
            trial = try_connection(client)
        except WorkbenchError as error:
            self._show_notice(str(error))
            return None
        finally:
            client.close()
        self._show_notice(trial.words if trial.ok else f"Failed at: {trial.failed_at}. {trial.words}", good=trial.ok)
        return trial

    def open_bench(self) -> Workbench | None:
        """Open a workbench on the endpoint selected; close the one that was open.

        Returns ``None`` if the profile cannot be used; the notice says why.
        """
        client = self._connect()
        if client is None:
            return None
        if self.bench is not None:
            self.bench.close()
        self.bench = Workbench(client)
        self._place.children = (self.bench,)
        self._show_notice("")
        return self.bench

    def __repr__(self) -> str:
        return "EndpointPicker()"

    def _offer_profiles(self) -> None:
        try:
            names = profile_names(self._profiles)
        except WorkbenchError as error:
            names = []
            self._show_notice(str(error))
        else:
            if not names:
                path = self._profiles or profiles_path()
                self._show_notice(f"There are no profiles yet. Write one into {path}.")
        self.profile.options = names
        self.profile.value = names[0] if names else None
        self.test_button.disabled = self.open_button.disabled = not names

    def _connect(self) -> Client | None:
        try:
            return connect(self.profile.value, profiles=self._profiles)
        except WorkbenchError as error:
            self._show_notice(str(error))
            return None

    def _show_notice(self, text: str, *, good: bool = False) -> None:
        self._notice.value = html.notice(text, "good" if good else "warn")
