"""Probes of exact content: everything that FHIR JSON can say comes back as it was sent.

Promise UPD-5. The content is random and valid; the number of its seed is in the report, so it can be written again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from workbench.conformance.content import first_difference, rich_content
from workbench.conformance.probe import Chapter, HeldResource, ProbeRun
from workbench.conformance.responses import header, json_object, json_objects
from workbench.conformance.under_check import Untestable
from workbench.exchange.message import Exchange
from workbench.fhir.resource import without_version

chapter: Final = Chapter()

_SEEDS: Final = 3
_EXACT: Final = (
    "everything FHIR JSON can say, exactly as sent: members, their order, lists, equal entries, siblings, "
    "contained resources, tags, narrative, white space, composed characters, digits"
)

_Shown = Callable[[ProbeRun, HeldResource, Exchange], Any]
"""Returns the resource as the endpoint shows it after an update."""


def _read(run: ProbeRun, held: HeldResource, _update: Exchange) -> Any:
    return run.read(held.path).read.resource


def _preferred(_run: ProbeRun, _held: HeldResource, update: Exchange) -> Any:
    return update.resource


def _found(run: ProbeRun, held: HeldResource, _update: Exchange) -> Any:
    bundle = run.get(f"{held.resource_type}?_id={held.logical_id}")
    run.expect_status(bundle, 200)
    entries = json_objects(json_object(bundle.resource).get("entry"))
    return next((entry.get("resource") for entry in entries), None)


def _expect_exact_update(run: ProbeRun, *, prefer: str | None, shown: _Shown) -> None:
    held = run.resource()
    contents = {f"content of seed {seed}": rich_content(held.content, seed) for seed in range(_SEEDS)}
    contents["an update that leaves all that out again"] = held.content
    for name, sent in contents.items():
        response = run.put(held, sent, if_match=run.read(held.path).etag, prefer=prefer)
        run.expect_status(response, 200)
        _expect_same(run, sent, shown(run, held, response), name)


def _expect_same(run: ProbeRun, sent: dict[str, Any], found: Any, name: str) -> None:
    run.expect(isinstance(found, dict), "200, and the resource is not shown", "not shown")
    difference = first_difference(without_version(sent), without_version(found))
    run.expect(difference is None, f"{difference} ({name})", "another content")


for _name, _tries, _prefer, _shown in (
    ("exact-content", "Random content of every kind, updated and read.", None, _read),
    ("exact-representation", "Random content, as an update returns it.", "return=representation", _preferred),
    ("exact-search", "Random content, as a search shows it.", None, _found),
):
    chapter.row("UPD-5", _name, _EXACT, _tries, _expect_exact_update, prefer=_prefer, shown=_shown)


@chapter.probe("UPD-5", _EXACT)
def exact_create(run: ProbeRun) -> None:
    """Random content of every kind, created and read."""
    for seed in range(_SEEDS):
        content, mark = run.endpoint.new_content()
        sent = rich_content(content, seed)
        response = run.send("POST", run.endpoint.resource_type, body=sent)
        run.expect_status(response, 201)
        held = run.own(response, mark)
        if held is None:
            raise Untestable(f"What was created is not at its Location, {header(response, 'Location') or '(none)'}.")
        found = {name: value for name, value in held.content.items() if name != "id"}
        _expect_same(run, sent, found, f"content of seed {seed}")
