"""The CapabilityStatement the endpoint lives by (CAP-1): what it lists is what it does.

Routing asks ``TYPES`` what to serve, so the statement cannot promise a type that is not there.
"""

from __future__ import annotations

from typing import Any, Final

from workbench.endpoint.policy import Policy
from workbench.endpoint.search import PARAMETERS

FHIR_VERSION: Final = "3.0.2"

TYPES: Final = ("Condition", "Consent", "Flag", "List", "Subscription")
"""The resource types served."""

INTERACTIONS: Final = ("read", "create", "update", "delete", "search-type")
"""What each of them allows."""


def statement(base_url: str, policy: Policy) -> dict[str, Any]:
    """The CapabilityStatement of an endpoint at ``base_url`` under ``policy``."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2019-01-01",
        "publisher": "spine-workbench",
        "kind": "instance",
        "software": {"name": "spine-workbench, embedded endpoint"},
        "implementation": {"description": f"Embedded Spine, policy {policy.name}", "url": base_url},
        "fhirVersion": FHIR_VERSION,
        "acceptUnknown": "no",
        "format": ["application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "documentation": policy.in_words(),
                "resource": [_resource(name, policy) for name in TYPES],
            }
        ],
    }


def _resource(name: str, policy: Policy) -> dict[str, Any]:
    return {
        "type": name,
        "interaction": [{"code": code} for code in INTERACTIONS],
        # Versions count up under every policy; only where the lock is demanded must an update know the one it replaces.
        "versioning": "versioned-update" if policy.locks else "versioned",
        "readHistory": False,
        "updateCreate": False,
        "conditionalCreate": False,
        "conditionalRead": "full-support",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchParam": [{"name": parameter, "type": kind} for parameter, kind in PARAMETERS.items()],
    }
