"""The probes, in one module for each chapter of the contract. Each expects the contract's literal statuses and codes.

update: what is stored, which resource is meant, what is not valid. lock: a stale, missing or malformed ``If-Match``.
headers: ``Prefer``, formats, codings, Spine's headers. errors: OperationOutcomes. reading: reads, searches, the
CapabilityStatement. lifecycle: creates, deletes, entity tags.
"""

from typing import Final

from workbench.conformance.contract import PROMISES
from workbench.conformance.probes import errors, headers, lifecycle, lock, reading, update

_ORDER = {promise.id: place for place, promise in enumerate(PROMISES)}

PROBES: Final = tuple(
    sorted(
        (probe for module in (update, lock, headers, errors, reading, lifecycle) for probe in module.chapter.probes),
        key=lambda probe: _ORDER[probe.promise],
    )
)
"""Every probe, in the contract's order; those of one promise in the order of their module."""
