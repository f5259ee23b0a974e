"""What a request is about: taken apart once, before anything is decided.

Owns: where the endpoint's resources are, and which method on which path is which interaction of FHIR's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, unquote

from workbench.endpoint.capability import TYPES
from workbench.endpoint.policy import Refusal, bad_request, media_type, too_long
from workbench.endpoint.search import MOST_PARAMETERS, QUERY_LIMIT
from workbench.exchange.message import Request

BASE_PATH: Final = "/STU3"

CAPABILITIES: Final = "capabilities"
SEARCH: Final = "search-type"

_FORM: Final = "application/x-www-form-urlencoded"

_INTERACTIONS: Final[Mapping[tuple[str, int], str]] = {
    ("GET", 1): SEARCH,
    ("POST", 1): "create",
    ("GET", 2): "read",
    ("PUT", 2): "update",
    ("DELETE", 2): "delete",
}
"""Method and number of steps below the base, to the interaction."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request, taken apart: what it is about, and the one moment at which it is answered.

    ``interaction`` is ``None`` for what is not in the CapabilityStatement. ``steps`` are those below the
    base, unescaped; ``None`` where the request is not below it. ``refusal``: its parameters are too many, or too long.
    """

    request: Request
    now: datetime
    steps: tuple[str, ...] | None
    interaction: str | None
    parameters: Sequence[tuple[str, str]] = ()
    refusal: Refusal | None = None

    def header(self, name: str) -> str | None:
        """A header field's value."""
        return self.request.headers.get(name)

    @property
    def resource_type(self) -> str:
        """The type in the URL; empty where there is none."""
        return self.steps[0] if self.steps else ""

    @property
    def logical_id(self) -> str:
        """The id in the URL."""
        return self.steps[1] if self.steps and len(self.steps) > 1 else ""

    @property
    def name(self) -> str:
        """What the request is about, relative to the base: ``List`` or ``List/744e…``."""
        return "/".join(self.steps or ())


def taken_apart(request: Request, now: datetime) -> Call:
    """The request as a call; never fails, whatever it is."""
    path, _, query = request.url.partition("?")
    if path != BASE_PATH and not path.startswith(f"{BASE_PATH}/"):
        return Call(request, now, None, None)
    steps = tuple(map(unquote, path.removeprefix(BASE_PATH).removesuffix("/").split("/")[1:]))
    interaction = _interaction("GET" if request.method == "HEAD" else request.method, steps)
    form = request.body if interaction == SEARCH and request.method == "POST" and is_form(request) else b""
    if len(form) > QUERY_LIMIT:
        return Call(
            request, now, steps, interaction, refusal=too_long(f"a search is at most {QUERY_LIMIT} bytes long.")
        )
    try:
        parameters = [
            parameter
            for text in (query, form.decode("latin-1"))
            if text
            for parameter in parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
        ]
    except ValueError:
        words = f"a request has at most {MOST_PARAMETERS} parameters."
        return Call(request, now, steps, interaction, refusal=bad_request(words))
    return Call(request, now, steps, interaction, parameters)


def is_form(request: Request) -> bool:
    """Whether the body is what ``POST Type/_search`` takes."""
    return media_type(request.headers.get("Content-Type")) == _FORM


def _interaction(method: str, steps: tuple[str, ...]) -> str | None:
    if (method, steps) in (("GET", ("metadata",)), ("OPTIONS", ())):
        return CAPABILITIES
    if not steps or steps[0] not in TYPES:
        return None
    if (method, steps[1:]) == ("POST", ("_search",)):
        return SEARCH
    is_operation = len(steps) == 2 and steps[1][:1] in ("_", "$")  # such as _history
    return None if is_operation else _INTERACTIONS.get((method, len(steps)))
