"""All probes there are, in the contract's order."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Final

from workbench.conformance.contract import PROMISES
from workbench.conformance.probe import Probe
from workbench.conformance.probes import (
    addressing,
    capability,
    creating,
    formats,
    headers,
    lock,
    outcomes,
    preference,
    race,
    reading,
    searching,
    update,
    validation,
    versions,
)

_MODULES = (
    *(update, lock, addressing, race, validation, preference, outcomes),
    *(reading, creating, searching, capability, versions, formats, headers),
)
_PLACES = {promise.id: place for place, promise in enumerate(PROMISES)}


def _in(module: ModuleType) -> Iterator[Probe]:
    return (value for value in vars(module).values() if isinstance(value, Probe))


PROBES: Final = tuple(
    sorted((found for module in _MODULES for found in _in(module)), key=lambda found: _PLACES[found.promise])
)
"""Every probe; those of one promise stand in the order of their module."""
