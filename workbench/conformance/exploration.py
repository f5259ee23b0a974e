"""What exploring found: the shortest sequence for each disagreement, as HTTP, as a diagram and as Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workbench.conformance.rules import RULES
from workbench.exchange.message import Exchange
from workbench.fhir.printable import printable
from workbench.journal.diagram import Diagram, draw_sequence

_SHOWN_IN_PYTHON: Final = ("If-Match", "If-None-Match", "If-Modified-Since", "Prefer")


@dataclass(frozen=True, slots=True)
class ShortestSequence:
    """The shortest sequence found that ends in a disagreement; its last exchange is the one that disagrees.

    ``rule`` names what disagrees, and ``promise`` the promise of the contract behind it. ``repeats``: whether it
    disagreed again when these requests alone were sent.
    """

    rule: str
    expected: str
    observed: str
    exchanges: tuple[Exchange, ...]
    base_url: str
    repeats: bool = True

    def __post_init__(self) -> None:
        for name in ("expected", "observed"):
            object.__setattr__(self, name, printable(getattr(self, name), one_line=True))

    @property
    def promise(self) -> str:
        """The id of the promise in the contract."""
        return RULES[self.rule].promise

    def __str__(self) -> str:
        requests = f"{len(self.exchanges)} request{'s' if len(self.exchanges) > 1 else ''}"
        again = "" if self.repeats else "; it did not happen again with these requests alone"
        return f"{self.promise} {self.rule}, in {requests}: expected {self.expected}; observed {self.observed}{again}"

    def as_http(self) -> str:
        """Return all requests and responses as HTTP messages."""
        return "\n\n".join(exchange.as_http(base=self.base_url, indent=2) for exchange in self.exchanges)

    def diagram(self) -> Diagram:
        """Return the sequence diagram."""
        return draw_sequence(self.exchanges, start=1, last=len(self.exchanges), resource=None, names={})

    def as_python(self) -> str:
        """Return a program that sends the same requests. Ids and versions come from the responses as it runs.

        Credentials are not in it: where the endpoint demands some, give them to ``wb.connect``.
        """
        writer = _PythonWriter()
        names = list(dict.fromkeys(exchange.client for exchange in self.exchanges))
        lines = ["import workbench as wb", "", f"{names[0]} = wb.connect({self.base_url!r}, name={names[0]!r})"]
        lines += [f"{name} = {names[0]}.sibling({name!r})" for name in names[1:]]
        lines += [writer.line(exchange, self.base_url) for exchange in self.exchanges]
        last = f"r{len(self.exchanges)}"
        lines.append(f"print({last}.status, {last}.resource)  # expected {self.expected}; observed {self.observed}")
        return "\n".join(lines) + "\n"


class _PythonWriter:
    """Writes exchanges as Python; a text that an earlier response brought is written as that response's attribute."""

    def __init__(self) -> None:
        self._sources: dict[str, str] = {}
        self._number = 0

    def line(self, exchange: Exchange, base_url: str) -> str:
        """Return the statement that sends this request."""
        request = exchange.request
        self._number += 1
        name = f"r{self._number}"
        arguments = [repr(request.method), self._text(request.url.removeprefix(f"{base_url}/"))]
        fields = [(field, request.headers.get(field)) for field in _SHOWN_IN_PYTHON]
        if (kind := request.headers.get("Content-Type")) not in (None, "application/fhir+json"):
            fields.append(("Content-Type", kind))
        if given := [f"{field!r}: {self._text(value)}" for field, value in fields if value is not None]:
            arguments.append(f"headers={{{', '.join(given)}}}")
        if request.body:
            arguments.append(f"body={self._text(request.body.decode('utf-8', errors='replace'))}")
        self._remember(exchange, name)
        return f"{name} = {exchange.client}.send({', '.join(arguments)})"

    def _remember(self, exchange: Exchange, name: str) -> None:
        etag = exchange.etag
        if etag and etag.version_id:
            self._sources.setdefault(etag.version_id, f"{name}.etag.version_id")
        if exchange.request.method == "POST" and exchange.logical_id:
            self._sources.setdefault(exchange.logical_id, f"{name}.logical_id")
        modified = exchange.response.headers.get("Last-Modified") if exchange.response else None
        if modified:
            self._sources[modified] = f"{name}.response.headers['Last-Modified']"

    def _text(self, text: str) -> str:
        """Return an expression for a text: its literal, with ``%s`` in place of what responses brought."""
        found = sorted(
            (position, value)
            for value in self._sources
            if len(value) > 3 or f'W/"{value}"' in text
            for position in _positions(text, value)
        )
        if not found:
            return repr(text)
        pieces, end, values = [], 0, []
        for position, value in found:
            if position >= end:
                pieces.append(text[end:position].replace("%", "%%"))
                values.append(self._sources[value])
                end = position + len(value)
        pieces.append(text[end:].replace("%", "%%"))
        return f"{'%s'.join(pieces)!r} % ({', '.join(values)},)"


def _positions(text: str, value: str) -> list[int]:
    found, start = [], text.find(value)
    while start >= 0:
        found.append(start)
        start = text.find(value, start + 1)
    return found


@dataclass(frozen=True, slots=True)
class Exploration:
    """What exploring an endpoint found. The same ``seed`` gives the same sequences at an endpoint that answers alike.

    ``steps`` is the number explored, without those that shortened a sequence; ``requests`` counts all.
    ``disagreements`` are in the order in which they were found.
    """

    endpoint: str
    seed: int
    steps: int
    requests: int
    disagreements: tuple[ShortestSequence, ...] = ()
    profile: str = ""
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", tuple(printable(note, one_line=True) for note in self.notes))

    @property
    def ok(self) -> bool:
        """Whether something was explored to the end, and nothing disagreed."""
        return bool(self.steps) and not (self.disagreements or self.interrupted)

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        against = "the model" + (f" of {self.profile}" if self.profile else "")
        after = f"{self.steps:,} explored steps ({self.requests:,} requests, seed {self.seed})"
        number = len(self.disagreements)
        if not number:
            return f"No disagreement with {against} in {after}."
        return f"{number} disagreement{'s' if number > 1 else ''} with {against} in {after}."

    def __str__(self) -> str:
        return "\n".join([self.headline, *map(str, self.disagreements), *(f"Note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        return f"<Exploration: {self.headline}>"
