"""The merge view: each decision of a three-way merge with its base, mine and theirs, and a choice between them.

Conflicts come first, and a conflict has no choice until the user makes one. ``fhir/merge`` makes the merge;
the workbench puts its result into the editor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ipywidgets as widgets

from workbench.errors import BadInput
from workbench.fhir import json
from workbench.fhir.diff import ABSENT
from workbench.fhir.merge import Choice, Decision, Edited, Kind, Merge, Side
from workbench.widgets import html
from workbench.widgets.private import Widgets

_MOST_ROWS: Final = 40
"""How many decisions have controls. The rest of a larger merge is edited in the text."""

EDIT: Final = "edit"


class DecisionRow(widgets.VBox):
    """One decision: its three values, and the choice between them."""

    def __init__(self, decision: Decision, changed: Callable[[], object], content: Widgets) -> None:
        self.decision = decision
        self._changed = changed
        options: list[tuple[str, str | None]] = [(side.value, side.value) for side in Side]
        if not decision.is_order:
            options.append((EDIT, EDIT))
        where = "this element" if content.private else decision.path
        self.choice = widgets.ToggleButtons(
            options=options,
            value=decision.choice.value if isinstance(decision.choice, Side) else None,
            tooltips=[f"{name}: {where}" for name, _ in options],
        )
        self.choice.style.button_width = "68px"
        self.text = content.text(
            value="" if decision.mine is ABSENT else json.dumps(decision.mine),
            description="Value",
            continuous_update=False,
            layout={"display": "none"},
        )
        self._problem = content.html()
        row = widgets.HBox([content.html(html.decision(decision)), self.choice])
        row.add_class("swb-decision")
        super().__init__([row, self.text, self._problem])
        self.choice.observe(self._choose, "value")
        self.text.observe(self._choose, "value")

    def _choose(self, _change: object) -> None:
        self.text.layout.display = "" if self.choice.value == EDIT else "none"
        self._changed()

    def chosen(self) -> Choice | None:
        """Return the choice, or ``None`` if there is none or the typed value is not JSON; show that problem."""
        self._problem.value = ""
        if self.choice.value != EDIT:
            return Side(self.choice.value) if self.choice.value else None
        try:
            return Edited(json.parse(self.text.value))
        except BadInput as error:
            self._problem.value = html.notice(f"This value is not JSON (a string needs quotation marks). {error}")
            return None


class MergeView(widgets.VBox):
    """All decisions of a merge. ``merge`` holds the choices made so far; ``None`` while the view is hidden."""

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
        self.rows = [DecisionRow(decision, self._row_changed, self._widgets) for decision in ordered[:_MOST_ROWS]]
        hidden = len(ordered) - len(self.rows)
        self.children = [
            widgets.HTML(html.heading("Your changes and theirs")),
            self._widgets.html(html.merge_summary(merge)),
            *self.rows,
            widgets.HTML(html.muted(f"… and {hidden} more, which you can edit in the text below." if hidden else "")),
        ]
        self.layout.display = ""

    def hide(self) -> None:
        """Remove all decisions and hide the view."""
        self.merge, self.rows, self.children = None, [], []
        self.layout.display = "none"

    def choose(self, path: str, choice: Side | Any) -> None:
        """Make a choice as a click does: ``"mine"``, ``"theirs"``, or another value for the element.

        Raises ``BadInput`` if there is no decision at this path.
        """
        row = next((each for each in self.rows if each.decision.path == path), None)
        if row is None:
            raise BadInput(f"There is no decision at {path!r}. Choose one of the paths shown.")
        if choice in (Side.MINE, Side.THEIRS, "mine", "theirs"):
            row.choice.value = Side(choice).value
        else:
            row.text.value = json.dumps(choice)
            row.choice.value = EDIT

    def freeze(self, *, frozen: bool) -> None:
        """Disable the choices while the merged text has manual edits; enable them otherwise."""
        for row in self.rows:
            row.choice.disabled = row.text.disabled = frozen

    def _row_changed(self) -> None:
        if self.merge is None:
            return  # a message from the browser that arrives after the view was hidden
        self.merge = self.merge.decide({row.decision.path: row.chosen() for row in self.rows})
        self.children[1].value = html.merge_summary(self.merge)
        for callback in self._callbacks:
            callback(self.merge)
