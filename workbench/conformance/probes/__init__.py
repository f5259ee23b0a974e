"""The probes, in one module for each chapter of the contract. Each expects the contract's literal statuses and codes.

update: what is stored, which resource is meant, what is not valid. content: everything that FHIR JSON can say.
freshness: old reads, lost updates, dates. lock: a stale, missing or malformed ``If-Match``, races, the whole history.
headers: ``Prefer``, formats, codings, Spine's headers. errors: OperationOutcomes. reading: reads, searches, the
CapabilityStatement. lifecycle: creates, deletes, entity tags.
"""

from typing import Final

from workbench.conformance.contract import PROMISES
from workbench.conformance.probes import content, errors, freshness, headers, lifecycle, lock, reading, update

_ORDER = {promise.id: place for place, promise in enumerate(PROMISES)}

_MODULES = (update, content, freshness, lock, headers, errors, reading, lifecycle)

PROBES: Final = tuple(
    sorted(
        (probe for module in _MODULES for probe in module.chapter.probes),
        key=lambda probe: _ORDER[probe.promise],
    )
)
"""Every probe, in the contract's order; those of one promise in the order of their module."""
