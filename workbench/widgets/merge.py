"""The three-way view: what base, mine and theirs hold, conflicts first, and a choice for each.

Owns the rows and their choices. The merge itself is ``rules.merge``'s; where its result goes is the
workbench's. Nothing is chosen in a conflict until the user does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ipywidgets as widgets

from workbench.errors import BadInput
from workbench.fhir import json
from workbench.fhir.merge import Choice, Decision, Edited, Kind, Merge, Side
from workbench.widgets import html as markup
from workbench.widgets.private import Widgets

_MOST_ROWS: Final = 40
"""Rows with controls; a merge of more differences is better decided in the text itself."""

EDIT: Final = "edit"


class DecisionRow(widgets.VBox):
    """One decision: its three values, and whose to take."""

    def __init__(self, decision: Decision, changed: Callable[[], object], content: Widgets) -> None:
        self.decision = decision
        self._changed = changed
        options: list[tuple[str, str | None]] = [(side.value, side.value) for side in Side]
        if not decision.is_order:
            options.append((EDIT, EDIT))
        chosen = decision.choice.value if isinstance(decision.choice, Side) else None
        where = "this element" if content.private else decision.path
        self.choice = widgets.ToggleButtons(
            options=options, value=chosen, tooltips=[f"{name}: {where}" for name, _ in options]
        )
        self.choice.style.button_width = "68px"
        self.text = content.text(
            value=markup.plain(decision.mine), description="Value", continuous_update=False, layout={"display": "none"}
        )
        self._problem = content.html()
        row = widgets.HBox([content.html(markup.decision(decision)), self.choice])
        row.add_class("swb-decision")
        super().__init__([row, self.text, self._problem])
        self.choice.observe(self._choose, "value")
        self.text.observe(self._choose, "value")

    def _choose(self, _change: object) -> None:
        self.text.layout.display = "" if self.choice.value == EDIT else "none"
        self._changed()

    @property
    def chosen(self) -> Choice | None:
        """The choice as it stands; ``None`` while there is none, or while the value typed is no JSON."""
        self._problem.value = ""
        if self.choice.value != EDIT:
            return Side(self.choice.value) if self.choice.value else None
        try:
            return Edited(json.parse(self.text.value))
        except BadInput as error:
            self._problem.value = markup.notice(f"This value is not JSON (a text needs its quotation marks): {error}")
            return None


class Resolver(widgets.VBox):
    """All decisions of a merge. ``on_change(callback)`` calls back with the merge as chosen so far."""

    def __init__(self, content: Widgets) -> None:
        self._widgets = content
        self.merge: Merge | None = None
        self.rows: list[DecisionRow] = []
        self._callbacks: list[Callable[[Merge], object]] = []
        super().__init__(layout={"display": "none"})
        self.add_class("swb-card")

    def on_change(self, callback: Callable[[Merge], object]) -> None:
        """Call ``callback(merge)`` after each choice."""
        self._callbacks.append(callback)

    def show(self, merge: Merge) -> None:
        """Show a merge, conflicts first."""
        self.merge = merge
        ordered = sorted(merge.decisions, key=lambda decision: decision.kind is not Kind.CONFLICT)
        self.rows = [DecisionRow(decision, self._chosen, self._widgets) for decision in ordered[:_MOST_ROWS]]
        rest = len(ordered) - len(self.rows)
        more = f"… and {rest} more, as the text below has them." if rest else ""
        self.children = [
            widgets.HTML(markup.heading("What you changed, and what they changed")),
            self._widgets.html(markup.merge_summary(merge)),
            *self.rows,
            widgets.HTML(markup.muted(more)),
        ]
        self.layout.display = ""

    def hide(self) -> None:
        """Put the view away; there is nothing left to decide."""
        self.merge, self.rows = None, []
        self.children = []
        self.layout.display = "none"

    def choose(self, path: str, choice: Side | Any) -> None:
        """Choose as a person would: ``"mine"``, ``"theirs"``, or any other value to put there."""
        row = next((each for each in self.rows if each.decision.path == path), None)
        if row is None:
            raise BadInput(f"There is nothing to decide at {path!r}.")
        if choice in (Side.MINE, Side.THEIRS, "mine", "theirs"):
            row.choice.value = Side(choice).value
        else:
            row.text.value = json.dumps(choice)
            row.choice.value = EDIT

    def freeze(self, *, frozen: bool) -> None:
        """Whether the choices can be changed: not once the merged text has been edited by hand."""
        for row in self.rows:
            row.choice.disabled = row.text.disabled = frozen

    def _chosen(self) -> None:
        if self.merge is None:
            return
        choices = {row.decision.path: row.chosen for row in self.rows}
        self.merge = self.merge.decide(choices)
        self.children[1].value = markup.merge_summary(self.merge)
        for callback in self._callbacks:
            callback(self.merge)
