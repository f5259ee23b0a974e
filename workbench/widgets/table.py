"""A live table for notebooks: rows are appended in the kernel and shown as plain text."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import RLock
from types import MappingProxyType
from typing import Any, Literal, NotRequired, TypedDict

import anywidget
import traitlets

_STATIC = Path(__file__).parent / "static"

_CHUNK = 1000
"""Rows in one message, so that a long table does not hold up what is sent after it."""

_LARGEST_EXACT = 2**53 - 1
"""The largest whole number that a browser, where every number is a float, keeps exact."""

Cell = str | int | float | None
Row = Mapping[str, Cell]


class Column(TypedDict):
    """How to show the cells that a row holds under `key`.

    The column whose key is `status` is the one that a row's tone tints.
    """

    key: str
    title: str
    align: NotRequired[Literal["left", "right"]]
    width: NotRequired[int]
    mono: NotRequired[bool]


def _as_sent(cell: object) -> Cell:
    """Give a cell the form in which JSON and the browser show it as it is.

    JSON has no infinity and no NaN, a browser rounds long whole numbers, and a lone
    surrogate has no UTF-8 form.
    """
    match cell:
        case None:
            return None
        case str():
            return cell.encode("utf-8", "replace").decode("utf-8")
        case bool():
            return str(cell)
        case int():
            return cell if abs(cell) <= _LARGEST_EXACT else str(cell)
        case float():
            return cell if math.isfinite(cell) else str(cell)
    message = f"a cell is a text, a number or None, not {type(cell).__name__}"
    raise TypeError(message)


class LiveTable(anywidget.AnyWidget):
    """A sortable table that grows while it is looked at.

    A row is a mapping from column keys to cells. Two keys of it are no columns:
    `_tone` ("good", "bad", "warn" or "neutral") colours the row, and `_key` is the
    caller's own name for it. Only the columns and the tone are sent to the browser.

    The rows are not a synced trait, or each new row would send all of them again.
    Each is sent once, under its number and the `generation` that `replace` counts
    up; a page that has missed some asks for them (see `row_store.js`).

    Rows may be appended from any thread.
    """

    _esm = _STATIC / "table.js"
    _css = _STATIC / "table.css"

    columns = traitlets.List(traitlets.Dict(), read_only=True).tag(sync=True)
    label = traitlets.Unicode("Table").tag(sync=True)
    empty = traitlets.Unicode("Nothing here yet").tag(sync=True)
    height = traitlets.Unicode("18rem").tag(sync=True)
    follows = traitlets.Bool(default_value=True).tag(sync=True)
    """Whether it scrolls to rows that are added at its end."""

    def __init__(self, columns: Sequence[Column], **kwargs: Any) -> None:
        """Open an empty table; keywords set the traits of the same name."""
        self._rows: list[dict[str, Cell]] = []
        self._generation = 0
        self._select_callbacks: list[Callable[[int], object]] = []
        self._lock = RLock()  # a row's number must be the one it is sent under
        self.set_trait("columns", [dict(column) for column in columns])
        super().__init__(**kwargs)
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        return f"LiveTable({len(self)} rows)"

    def __len__(self) -> int:
        return len(self._rows)

    def __bool__(self) -> bool:
        """Be true like any widget: with only a length, an empty table would be false."""
        return True

    @property
    def rows(self) -> tuple[Row, ...]:
        """What the table holds, oldest first, for reading only."""
        return tuple(MappingProxyType(row) for row in self._rows)

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows at the end."""
        new = [dict(row) for row in rows]
        wire = [self._wire(row) for row in new]  # refuses a bad cell before anything changes
        with self._lock:
            start = len(self._rows)
            self._rows += new
            self._send_rows(start, wire)

    def replace(self, rows: Sequence[Row]) -> None:
        """Drop what the table holds and show these rows instead."""
        new = [dict(row) for row in rows]
        wire = [self._wire(row) for row in new]
        with self._lock:
            self._generation += 1
            self._rows = new
            self._send_rows(0, wire)

    def on_select(self, callback: Callable[[int], object]) -> None:
        """Call `callback(index)` when a row is clicked, or Enter is pressed on it.

        The index is the row's place in `rows`, however the table is sorted.
        """
        self._select_callbacks.append(callback)

    def _wire(self, row: Row) -> dict[str, Cell]:
        keys = [column["key"] for column in self.columns] + ["_tone"]
        return {key: _as_sent(row[key]) for key in keys if row.get(key) is not None}

    def _send_rows(self, start: int, wire: Sequence[Row]) -> None:
        """Send rows in chunks; no rows are one empty message, which says what begins here."""
        for offset in range(0, len(wire) or 1, _CHUNK):
            self.send(
                {
                    "kind": "rows",
                    "generation": self._generation,
                    "start": start + offset,
                    "rows": wire[offset : offset + _CHUNK],
                }
            )

    def _receive(self, _widget: object, content: object, _buffers: object) -> None:
        match content:
            case {"kind": "want", "generation": int(generation), "start": int(start)}:
                self._answer(generation, start)
            case {"kind": "select", "generation": int(generation), "index": int(index)}:
                if generation == self._generation and 0 <= index < len(self):
                    for callback in self._select_callbacks:
                        callback(index)

    def _answer(self, generation: int, start: int) -> None:
        """Send a page what it lacks; of an older generation it lacks everything."""
        with self._lock:
            if generation != self._generation:
                start = 0
            missing = self._rows[max(start, 0) :]
            self._send_rows(max(start, 0), [self._wire(row) for row in missing])
