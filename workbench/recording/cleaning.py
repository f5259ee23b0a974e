"""Put back what a session changed at the endpoint: delete what it created, restore what it updated.

These requests are no part of the session. Neither its journal nor its cassette holds them.
"""

from __future__ import annotations

from typing import Any

from workbench.client.client import Client
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import Verdict
from workbench.fhir.printable import printable
from workbench.fhir.resource import without_version

TypeAndId = tuple[str, str]


class CleanUp:
    """The resources that a session created or updated, with the content that they had before."""

    def __init__(self) -> None:
        self._before: dict[TypeAndId, dict[str, Any]] = {}
        self._created: set[TypeAndId] = set()
        self._updated: set[TypeAndId] = set()

    def note(self, exchange: Exchange) -> None:
        """Keep what this exchange with the endpoint changed, or what a resource held before any change."""
        target = (exchange.resource_type, exchange.logical_id)
        match exchange.interaction, exchange.verdict:
            case "read", Verdict.READ if target not in self._updated:
                self._before.setdefault(target, exchange.resource)
            case "create", Verdict.CREATED:
                self._created.add(target)
            case "update", Verdict.UPDATED | Verdict.UNKNOWN:
                self._updated.add(target)

    def run(self, client: Client) -> list[str]:
        """Clean up once; return a sentence for each resource that is not as it was."""
        updated = sorted(self._updated - self._created)
        left = [self._delete(client, target) for target in sorted(self._created)]
        left += [self._restore(client, target) for target in updated]
        self._created, self._updated = set(), set()
        return [sentence for sentence in left if sentence]

    def _delete(self, client: Client, target: TypeAndId) -> str:
        read = client.read(*target)
        if read.status in (404, 410):  # the session has deleted it
            return ""
        deleted = client.delete(*target, if_match=read.etag)
        return "" if deleted.verdict is Verdict.DELETED else _left(target, "created", deleted)

    def _restore(self, client: Client, target: TypeAndId) -> str:
        before = self._before.get(target)
        if before is None:
            return f"{'/'.join(target)} was updated before it was read, so its earlier content is unknown."
        read = client.read(*target)
        if read.verdict is Verdict.READ and without_version(read.resource) == without_version(before):
            return ""
        restored = client.update(before, if_match=read.etag)
        return "" if restored.verdict is Verdict.UPDATED else _left(target, "updated", restored)


def _left(target: TypeAndId, what: str, last: Exchange) -> str:
    return printable(f"{'/'.join(target)} was {what} and could not be put back: {last.explain()}", one_line=True)
