"""HTML for a notebook's output. Every text in it is escaped, and invisible control characters are visible.

A class gives a notebook its HTML by ``_repr_html_``. The texts in it can come from a server, so no function here
takes HTML as a plain ``str``: markupsafe's ``Markup`` marks what is HTML, and everything else is escaped.
The styles are inline, because a notebook removes style sheets from outputs that it does not trust.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from markupsafe import Markup, escape

from workbench.fhir.printable import printable

MOST_ROWS: Final = 40
"""How many rows a table in an output has."""

_LONGEST_CELL: Final = 300
_LONGEST_TEXT: Final = 20_000
_CELLS: Final = {
    "th": "text-align:left;vertical-align:top;white-space:nowrap;padding:2px 10px 2px 0",
    "td": "text-align:left;vertical-align:top;overflow-wrap:anywhere;padding:2px 10px 2px 0",
}

_COLOURS: Final = {
    "good": "var(--jp-success-color1, #2e7d32)",
    "bad": "var(--jp-error-color1, #c62828)",
    "warn": "var(--jp-warn-color1, #b26a00)",
    "neutral": "var(--jp-border-color0, #757575)",
}


def text(value: object) -> Markup:
    """Return a text as HTML. ``Markup`` stays as it is.

    >>> print(text("<b>"))
    &lt;b&gt;
    """
    return value if isinstance(value, Markup) else escape(printable(str(value)))


def code(value: object) -> Markup:
    """Return a text as code, cut after 300 characters; nothing for an empty one."""
    written = _cut(str(value), _LONGEST_CELL)
    return Markup("<code>{}</code>").format(text(written)) if written else Markup()


def chip(word: str, tone: str) -> Markup:
    """Return a word in a coloured frame. ``tone`` is ``good``, ``bad``, ``warn`` or ``neutral``."""
    style = f"border:1px solid {_COLOURS[tone]};border-radius:10px;padding:0 8px;white-space:nowrap"
    return Markup('<span style="{}">{}</span>').format(style, text(word))


def block(tone: str, *parts: object) -> Markup:
    """Return paragraphs, tables and the like under one another, with a coloured line at their left."""
    style = f"border-left:4px solid {_COLOURS[tone]};padding:2px 12px"
    inner = Markup().join(map(_paragraph, parts))
    return Markup('<div style="{}">{}</div>').format(style, inner)


def folded(title: str, inner: Markup) -> Markup:
    """Return HTML that the reader unfolds by its title."""
    return Markup("<details><summary>{}</summary>{}</details>").format(text(title), inner)


def lines(value: str) -> Markup:
    """Return a text whose spaces and line ends are kept, cut after 20,000 characters."""
    kept = text(_cut(value, _LONGEST_TEXT))
    return Markup('<pre style="white-space:pre-wrap;overflow-wrap:anywhere">{}</pre>').format(kept)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, most: int = MOST_ROWS) -> Markup:
    """Return a table of the first ``most`` rows, and how many more there are."""
    found = list(rows)
    shown = Markup().join(_row("td", row) for row in found[:most])
    more = Markup("<div>… and {:,} more</div>").format(len(found) - most) if len(found) > most else Markup()
    return Markup("<table><thead>{}</thead><tbody>{}</tbody></table>{}").format(_row("th", head), shown, more)


def _row(name: str, cells: Iterable[object]) -> Markup:
    made = (Markup('<{} style="{}">{}</{}>').format(name, _CELLS[name], text(cell), name) for cell in cells)
    return Markup("<tr>{}</tr>").format(Markup().join(made))


def _cut(written: str, most: int) -> str:
    return written if len(written) <= most else f"{written[:most]} … ({len(written):,} characters in all)"


def _paragraph(part: object) -> Markup:
    if isinstance(part, Markup) and part.startswith(("<table", "<details")):
        return part
    return Markup("<div>{}</div>").format(text(part))
