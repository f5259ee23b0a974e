"""The example resources that a new endpoint holds, exactly as the JSON files in this folder say.

The List and the Subscription have the ids, version id and date of the guide's own examples. The patient is a test
patient: NHS numbers that start with 999 are never given to people.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import Any

from workbench.endpoint.search import index
from workbench.endpoint.store import Stored
from workbench.fhir import json


def load() -> Iterator[dict[str, Any]]:
    """Yield each example as plain JSON, in the order of file names."""
    for file in sorted(resources.files(__name__).iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".json"):
            yield json.parse(file.read_bytes())


def rows() -> Iterator[tuple[str, str, Stored]]:
    """Yield each example as the store takes it: its type, its id, and its version with date and JSON."""
    for resource in load():
        meta = resource["meta"]
        stored = Stored(meta["versionId"], meta["lastUpdated"], json.dumps(resource).encode(), index(resource))
        yield resource["resourceType"], resource["id"], stored
