"""Probes of searches by ``_id``, ``_lastUpdated`` and ``_count`` (SR-1)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from workbench.conformance.answers import meta_in, version_in
from workbench.conformance.probe import Untestable, probe
from workbench.conformance.trial import Held, Trial
from workbench.exchange.message import Exchange
from workbench.fhir import json

_FOUND: Final = "200, a searchset Bundle with that one resource"


def _entries(trial: Trial, answer: Exchange) -> list[dict[str, Any]]:
    """The matches of a searchset Bundle."""
    trial.expect_status(answer, 200)
    bundle = answer.resource
    kind = (bundle.get("resourceType"), bundle.get("type")) if isinstance(bundle, dict) else None
    trial.expect(kind == ("Bundle", "searchset"), f"200 with {kind}, not a searchset Bundle", "no searchset")
    entries = bundle.get("entry") or []
    resources = [entry.get("resource") for entry in entries if _is_match(entry)]
    return [resource for resource in resources if isinstance(resource, dict)]


def _is_match(entry: Any) -> bool:
    search = entry.get("search") if isinstance(entry, dict) else None
    return isinstance(entry, dict) and (not isinstance(search, dict) or search.get("mode", "match") == "match")


def _search(trial: Trial, held: Held, query: str) -> list[dict[str, Any]]:
    return _entries(trial, trial.get(f"{held.resource_type}?{query}"))


def _expect_one(trial: Trial, held: Held, query: str) -> None:
    ids = [resource.get("id") for resource in _search(trial, held, query)]
    trial.expect(ids == [held.logical_id], f"{len(ids)} resources found by {query.partition('=')[0]}", "others found")


@probe("SR-1", "search-by-id", f"{_FOUND}, as a read shows it", writes=False)
def search_by_id(trial: Trial) -> None:
    """Its id finds a resource."""
    held = trial.resource(change=False)
    _expect_one(trial, held, f"_id={held.logical_id}")
    found = _search(trial, held, f"_id={held.logical_id}")[0]
    trial.expect(
        json.same(found, held.read.resource), "the search shows another content than a read", "another content"
    )


@probe("SR-1", "search-shows-versions", "each entry has its id and the meta.versionId that a read shows", writes=False)
def search_shows_versions(trial: Trial) -> None:
    """A search result can be updated from."""
    held = trial.resource(change=False)
    for found in _search(trial, held, f"_id={held.logical_id}"):
        meta = found.get("meta")
        version = meta.get("versionId") if isinstance(meta, dict) else None
        trial.expect(version == version_in(held.read), f"versionId {version} in the entry", "another version")


@probe("SR-1", "search-after-update", "the search shows the version that an update made")
def search_after_update(trial: Trial) -> None:
    """A search is not behind."""
    held = trial.updated(trial.resource())
    found = _search(trial, held, f"_id={held.logical_id}")
    versions = [resource.get("meta", {}).get("versionId") for resource in found]
    trial.expect(versions == [held.version_id], "the search shows another version", "another version")


@probe("SR-1", "search-for-nobody", "200, a searchset Bundle without an entry", writes=False)
def search_for_nobody(trial: Trial) -> None:
    """An id that was never assigned finds nothing, and that is no error."""
    found = _entries(trial, trial.get(f"{trial.site.resource_type}?_id={trial.unknown_id()}"))
    trial.expect(not found, f"{len(found)} resources found", "others found")


@probe("SR-1", "search-by-last-updated", f"{_FOUND} from its date on, and without it before", writes=False)
def search_by_last_updated(trial: Trial) -> None:
    """The date of its version finds a resource, and an earlier one does not."""
    held = trial.resource(change=False)
    try:
        moment = datetime.fromisoformat(meta_in(held.read, "lastUpdated")).replace(microsecond=0)
    except ValueError:
        raise Untestable("The endpoint shows no lastUpdated that is a date.") from None
    second, next_one = (_escaped(moment + timedelta(seconds=more)) for more in (0, 1))
    _expect_one(trial, held, f"_id={held.logical_id}&_lastUpdated=ge{second}")
    _expect_one(trial, held, f"_id={held.logical_id}&_lastUpdated=lt{next_one}")
    for query in (f"_lastUpdated=lt{second}", f"_lastUpdated=ge{next_one}"):
        found = _search(trial, held, f"_id={held.logical_id}&{query}")
        trial.expect(not found, f"found although {query}", "found out of its time")


@probe("SR-1", "search-count", "200, no more entries than asked for", writes=False)
def search_count(trial: Trial) -> None:
    """``_count`` limits what comes back."""
    if trial.may_change and not trial.site.shares_one:
        ids = f"{trial.created().logical_id},{trial.created().logical_id}"
        everything = _entries(trial, trial.get(f"{trial.site.resource_type}?_id={ids}"))
        trial.expect(len(everything) == 2, f"{len(everything)} of two resources found by their ids", "others found")
        found = _entries(trial, trial.get(f"{trial.site.resource_type}?_id={ids}&_count=1"))
    else:
        found = _entries(trial, trial.get(f"{trial.site.resource_type}?_count=1"))
    trial.expect(len(found) <= 1, f"{len(found)} entries with _count=1", "more than asked for")


@probe("SR-1", "search-unknown-parameter", "400", writes=False)
def search_unknown_parameter(trial: Trial) -> None:
    """A search that leaves out a condition would answer a question nobody asked."""
    trial.expect_status(trial.get(f"{trial.site.resource_type}?no-such-parameter=1"), 400)


@probe("SR-1", "search-unusable-value", "400", writes=False)
def search_unusable_value(trial: Trial) -> None:
    """A value that the parameter cannot have."""
    for query in ("_lastUpdated=yesterday", "_count=many"):
        trial.expect_status(trial.get(f"{trial.site.resource_type}?{query}"), 400)


def _escaped(moment: datetime) -> str:
    return moment.isoformat().replace("+", "%2B").replace(":", "%3A")
