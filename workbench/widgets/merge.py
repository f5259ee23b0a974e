"""The merge view: each decision of a three-way merge with its base, mine and theirs, and a choice between them.

Conflicts come first, and a conflict has no choice until the user makes one. What only one side changed is folded.
``fhir/merge`` makes the merge; the workbench puts its result into the editor. ``frontend/src/merge.js`` draws it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final

import anywidget

from workbench.errors import BadInput
from workbench.fhir import json
from workbench.fhir.diff import ABSENT
from workbench.fhir.merge import Choice, Decision, Edited, Kind, Merge, Side
from workbench.fhir.printable import printable, printable_json

_STATIC: Final = Path(__file__).parent / "static"

MOST_ROWS: Final = 100
"""How many conflicts, and how many decisions of one fold, are shown. The rest is edited in the text."""

EDIT: Final = "edit"

_LONGEST_VALUE: Final = 1_000
_SIMILAR: Final = 0.5
_WORDS: Final = re.compile(r"\w+|\W")

_FOLDS: Final = {
    Kind.ONLY_THEIRS: "only theirs, taken",
    Kind.ONLY_MINE: "only mine, kept",
    Kind.SAME: "the same change on both sides",
}

Part = tuple[str, str]
"""A piece of a value: ``same``, ``added`` or ``removed``, and its text."""


class MergeView(anywidget.AnyWidget):
    """All decisions of a merge. ``merge`` holds the choices made so far; ``None`` while the view is hidden.

    The decisions are sent to the page in messages. So they are not part of the widget's state, which can be saved
    with a notebook.
    """

    _esm = _STATIC / "merge.js"
    _css = _STATIC / "merge.css"

    def __init__(self) -> None:
        self.merge: Merge | None = None
        self._edits: dict[int, str] = {}
        self._shown: set[int] = set()
        self._frozen = False
        self._on_change: list[Callable[[Merge], object]] = []
        super().__init__(layout={"display": "none"})
        for name in ("swb-card", "swb-merge"):
            self.add_class(name)
        self.on_msg(self._receive)

    def on_change(self, callback: Callable[[Merge], object]) -> None:
        """Call ``callback(merge)`` after each choice."""
        self._on_change.append(callback)

    def show(self, merge: Merge) -> None:
        """Show a merge, conflicts first."""
        self.merge, self._edits, self._shown = merge, {}, set()
        self.layout.display = ""
        self._send_rows()
        self._send_state()

    def hide(self) -> None:
        """Remove all decisions and hide the view."""
        self.merge, self._edits, self._shown = None, {}, set()
        self.layout.display = "none"
        self.send({"kind": "show", "rows": [], "more": "", "folds": []})

    def choose(self, path: str, choice: Side | Any) -> None:
        """Make a choice as a click does: ``"mine"``, ``"theirs"``, or another value for the element.

        Raises ``BadInput`` if there is no decision at this path.
        """
        index = next((n for n, each in enumerate(self._decisions) if each.path == path), None)
        if index is None:
            raise BadInput(f"There is no decision at {path!r}. Choose one of the paths shown.")
        if choice in (Side.MINE, Side.THEIRS, "mine", "theirs"):
            self._choose(index, Side(choice).value, None)
        else:
            self._choose(index, EDIT, json.dumps(choice))

    def choose_all(self, side: Side) -> None:
        """Decide every conflict for one side. What only one side changed stays as it is."""
        assert self.merge is not None
        self._edits = {}
        conflicts = [each.path for each in self._decisions if each.kind is Kind.CONFLICT]
        self._decided(self.merge.choose(dict.fromkeys(conflicts, side)))

    def check(self, text: str) -> None:
        """Raise ``BadInput`` if the text still has a place that is undecided, also one of an earlier merge."""
        paths = [path for path, _, _ in self.undecided(text)]
        if paths:
            places = "1 place is" if len(paths) == 1 else f"{len(paths)} places are"
            raise BadInput(f"{places} undecided: {', '.join(paths[:3])}{', …' if len(paths) > 3 else ''}.")

    def undecided(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Yield each undecided place in the text: its path, its start and its end."""
        for found in re.finditer(r'"?⟪undecided: ([^⟫]*)⟫"?', text):
            yield found[1], found.start(), found.end()

    def freeze(self, *, frozen: bool) -> None:
        """Disable the choices while the merged text has manual edits; enable them otherwise."""
        if frozen != self._frozen:
            self._frozen = frozen
            self._send_state()

    def __repr__(self) -> str:
        return f"MergeView({len(self._decisions)} decisions)"

    @property
    def _decisions(self) -> tuple[Decision, ...]:
        return self.merge.decisions if self.merge else ()

    def _receive(self, _widget: object, message: object, _buffers: object) -> None:
        """Handle a message from the page. One that arrives after the view was hidden is ignored."""
        match message:
            case {"kind": "want"}:
                self._send_rows()
                self._send_state()
            case {"kind": "unfold", "name": str(name)}:
                self._send_fold(name)
            case {"kind": "all", "side": "mine" | "theirs" as side} if self.merge and not self._frozen:
                self.choose_all(Side(side))
            case {"kind": "choose", "index": int(index), "choice": "mine" | "theirs" | "edit" as name, **rest} if (
                0 <= index < len(self._decisions) and not self._frozen
            ):
                text = rest.get("text")
                self._choose(index, name, text if isinstance(text, str) else None)

    def _choose(self, index: int, name: str, text: str | None) -> None:
        assert self.merge is not None
        decision = self._decisions[index]
        choice: Choice | None
        if name == EDIT and not decision.is_order:
            self._edits[index] = _start_of_edit(decision) if text is None else text
            choice = self._edited(index)[0]
        else:
            self._edits.pop(index, None)
            choice = Side(name)
        self._decided(self.merge.decide({decision.path: choice}))

    def _edited(self, index: int) -> tuple[Edited | None, str]:
        """Return the value that was typed; ``None`` and the reason while nothing usable was."""
        decision, text = self._decisions[index], self._edits[index]
        if text == _start_of_edit(decision):
            return None, "Change the value to decide, or choose mine or theirs."
        try:
            return Edited(json.parse(text)), ""
        except BadInput as error:
            return None, f"This value is not JSON (a string needs quotation marks). {error}"

    def _decided(self, merge: Merge) -> None:
        self.merge = merge
        for callback in self._on_change:
            callback(merge)
        self._send_state()

    # Messages to the page

    def _send_rows(self) -> None:
        conflicts = [n for n, each in enumerate(self._decisions) if each.kind is Kind.CONFLICT]
        counts = {kind: sum(each.kind is kind for each in self._decisions) for kind in _FOLDS}
        folds = [{"name": kind.value, "title": f"{n:,} {_FOLDS[kind]}"} for kind, n in counts.items() if n]
        self.send({"kind": "show", **self._rows(conflicts), "folds": folds})

    def _send_fold(self, name: str) -> None:
        indexes = [n for n, each in enumerate(self._decisions) if each.kind.value == name]
        self.send({"kind": "fold", "name": name, **self._rows(indexes)})
        self._send_state()

    def _rows(self, indexes: Sequence[int]) -> dict[str, Any]:
        hidden = len(indexes) - MOST_ROWS
        more = f"… and {hidden:,} more, which you can edit in the text below." if hidden > 0 else ""
        shown = indexes[:MOST_ROWS]
        self._shown.update(shown)
        return {"rows": [_row(n, self._decisions[n]) for n in shown], "more": more}

    def _send_state(self) -> None:
        if self.merge is None:
            return
        conflicts = sum(each.kind is Kind.CONFLICT for each in self._decisions)
        still_open = len(self.merge.conflicts)
        self.send(
            {
                "kind": "state",
                "summary": _summary(self.merge, conflicts),
                "progress": f"{max(conflicts - still_open, 0)} of {conflicts} decided" if conflicts else "",
                "conflicts": conflicts,
                "choices": {str(n): self._state_of(n) for n in self._shown},
                "frozen": self._frozen,
            }
        )

    def _state_of(self, index: int) -> dict[str, str]:
        if index in self._edits:
            return {"choice": EDIT, "text": self._edits[index], "problem": self._edited(index)[1]}
        choice = self._decisions[index].choice
        return {"choice": choice.value} if isinstance(choice, Side) else {}


def _summary(merge: Merge, conflicts: int) -> tuple[str, str]:
    """Return how many decisions there are and how many are open, and the tone."""
    still_open = len(merge.conflicts)
    if still_open:
        count = "1 open conflict" if still_open == 1 else f"{still_open:,} open conflicts"
        return f"{count}, where you and another client changed the same element. Choose below.", "bad"
    differences = "1 difference" if len(merge.decisions) == 1 else f"{len(merge.decisions):,} differences"
    decided = "1 conflict" if conflicts == 1 else f"{conflicts:,} conflicts"
    yours = f" You decided {decided}." if conflicts else ""
    return f"{differences}, no open conflict.{yours} Check the text, then send.", "good"


def _row(index: int, decision: Decision) -> dict[str, Any]:
    base = _written(decision.base)
    values = {
        "base": [("same", base)] if base else None,
        "mine": _compared(base, _written(decision.mine)),
        "theirs": _compared(base, _written(decision.theirs)),
    }
    choices = [Side.MINE.value, Side.THEIRS.value, *([] if decision.is_order else [EDIT])]
    path, kind = printable(decision.path, one_line=True), decision.kind.value
    return {"index": index, "path": path, "kind": kind, "values": values, "choices": choices}


def _written(value: Any) -> str:
    """Return a value as JSON whose invisible characters are visible; an absent one as an empty text."""
    if value is ABSENT:
        return ""
    text = printable_json(json.dumps(value))
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]} … ({len(text):,} characters in all)"


def _start_of_edit(decision: Decision) -> str:
    return "" if decision.mine is ABSENT else json.dumps(decision.mine)


def _compared(base: str, text: str) -> list[Part] | None:
    """Return a value word by word, compared with base; ``None`` for an absent one.

    A value that has little in common with base is shown whole, because its pieces would be hard to read.
    """
    if not text:
        return None
    if not base:
        return [("added", text)]
    before, after = _WORDS.findall(base), _WORDS.findall(text)
    matcher = SequenceMatcher(None, before, after)
    if matcher.ratio() < _SIMILAR:
        return [("added", text)]

    parts: list[Part] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            parts.append(("same", "".join(after[j1:j2])))
            continue
        if i2 > i1:
            parts.append(("removed", "".join(before[i1:i2])))
        if j2 > j1:
            parts.append(("added", "".join(after[j1:j2])))
    return parts
