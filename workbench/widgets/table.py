"""A live table for notebooks: the kernel appends rows, and the page shows them as plain text."""

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
"""Rows in one message. A long table in one message would delay the messages after it."""

_LARGEST_EXACT = 2**53 - 1
"""The largest integer that a browser keeps exact, because every JavaScript number is a float."""

Cell = str | int | float | None
Row = Mapping[str, Cell]


class Column(TypedDict):
    """How to show the cells under `key`. A row's tone colours the column whose key is `status`.

    `short` shortens ids and shows the whole in a tooltip. A column with `more` is shown on demand, by `tools`.
    """

    key: str
    title: str
    align: NotRequired[Literal["left", "right"]]
    width: NotRequired[int]
    mono: NotRequired[bool]
    short: NotRequired[bool]
    more: NotRequired[bool]


def _as_sent(cell: object) -> Cell:
    """Convert a cell to a value that JSON and the browser can show unchanged; raise `TypeError` for other types.

    JSON has no infinity and no NaN, a browser rounds long integers, and a lone surrogate has no UTF-8 form.
    """
    match cell:
        case None:
            return None
        case str() if cell.isascii():
            return cell
        case str():
            return cell.encode("utf-8", "replace").decode("utf-8")
        case bool():
            return str(cell)
        case int():
            return cell if abs(cell) <= _LARGEST_EXACT else str(cell)
        case float():
            return cell if math.isfinite(cell) else str(cell)
    raise TypeError(f"A cell must be a string, a number or None, not {type(cell).__name__}.")


class LiveTable(anywidget.AnyWidget):
    """A sortable table that can grow while it is shown.

    A row is a mapping from column keys to cells. Two keys are not columns: `_tone` ("good", "bad", "warn" or
    "neutral") colours the row, and `_key` is the caller's own name for it. Only the columns and the tone are sent
    to the browser.

    The rows are not a synced trait, because each new row would send all rows again. Each row is sent once, with its
    number and the current `generation`, which `replace` increments. A page that missed rows asks for them (see
    `row_store.js`). Until the first page asks, only short messages are sent: no page may be listening yet, and
    many rows would be sent twice.

    Rows may be appended from any thread.
    """

    _esm = _STATIC / "table.js"
    _css = _STATIC / "table.css"

    columns = traitlets.List(traitlets.Dict(), read_only=True).tag(sync=True)
    label = traitlets.Unicode("Table").tag(sync=True)
    empty = traitlets.Unicode("Nothing here yet").tag(sync=True)
    height = traitlets.Unicode("18rem").tag(sync=True)
    tools = traitlets.Bool(default_value=False).tag(sync=True)
    """Whether there is a filter above the table, and a switch for the columns that are shown on demand."""
    follows = traitlets.Bool(default_value=True).tag(sync=True)
    """Whether the table scrolls to rows that are added at its end."""

    def __init__(self, columns: Sequence[Column], **kwargs: Any) -> None:
        """Create an empty table; keywords set the traits of the same name."""
        self._rows: list[dict[str, Cell]] = []
        self._generation = 0
        self._is_read = False  # whether a page has asked for rows
        self._select_callbacks: list[Callable[[int], object]] = []
        self._lock = RLock()  # rows must be sent in the order of their numbers
        self.set_trait("columns", [dict(column) for column in columns])
        super().__init__(**kwargs)
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        return f"LiveTable({len(self)} rows)"

    def __len__(self) -> int:
        return len(self._rows)

    def __bool__(self) -> bool:
        """Return true, as for any widget; without this, an empty table would be false."""
        return True

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows, oldest first, read-only."""
        return tuple(MappingProxyType(row) for row in self._rows)

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows at the end."""
        new = [dict(row) for row in rows]
        wire = self._wire(new)  # raises for a bad cell before anything changes
        with self._lock:
            start = len(self._rows)
            self._rows += new
            if self._is_read or len(wire) <= _CHUNK:
                self._send_rows(start, wire)

    def replace(self, rows: Sequence[Row]) -> None:
        """Remove all rows and show these instead."""
        new = [dict(row) for row in rows]
        wire = self._wire(new)
        with self._lock:
            self._generation += 1
            self._rows = new
            if self._is_read or len(wire) <= _CHUNK:
                self._send_rows(0, wire)

    def on_select(self, callback: Callable[[int], object]) -> None:
        """Call `callback(index)` when a row is clicked, or Enter is pressed on it.

        The index is the row's position in `rows`, independent of how the table is sorted.
        """
        self._select_callbacks.append(callback)

    def _wire(self, rows: Sequence[Row]) -> list[dict[str, Cell]]:
        keys = [column["key"] for column in self.columns] + ["_tone"]
        return [{key: _as_sent(row[key]) for key in keys if row.get(key) is not None} for row in rows]

    def _send_rows(self, start: int, wire: Sequence[Row]) -> None:
        """Send rows in chunks; send one empty message for no rows, so that the page learns the generation."""
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
                self._send_missing(generation, start)
            case {"kind": "select", "generation": int(generation), "index": int(index)}:
                if generation == self._generation and 0 <= index < len(self):
                    for callback in self._select_callbacks:
                        callback(index)

    def _send_missing(self, generation: int, start: int) -> None:
        """Send a page the rows it lacks; a page with an older generation lacks all of them."""
        with self._lock:
            self._is_read = True
            first = max(start, 0) if generation == self._generation else 0
            for offset in range(first, max(len(self._rows), first + 1), _CHUNK):
                self._send_rows(offset, self._wire(self._rows[offset : offset + _CHUNK]))
