"""fhirpy at the embedded endpoint: it reads, updates once it is given the ETag, and meets a 409.

It sends no ``If-Match`` of its own; its header fields are one dictionary for every request, and that is the way in.
"""

from typing import Any

import pytest
from clientkit import Shared
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome


@pytest.fixture
def client(shared: Shared) -> SyncFHIRClient:
    return SyncFHIRClient(shared.base_url, extra_headers={})


@pytest.fixture
def flag(client: SyncFHIRClient, shared: Shared) -> Any:
    return client.reference("Flag", shared.logical_id).to_resource()


def test_it_reads(flag: Any) -> None:
    assert flag["code"] == {"text": "Hard of hearing"}


def test_its_own_update_is_refused_and_misnamed(flag: Any, shared: Shared) -> None:
    held = shared.etag
    flag["status"] = "inactive"
    with pytest.raises(MultipleResourcesFound, match="PRECONDITION_FAILED"):  # its word for any 412
        flag.save()
    assert (shared.etag, shared.status) == (held, "active")


def test_it_updates_with_the_right_etag(client: SyncFHIRClient, flag: Any, shared: Shared) -> None:
    held = shared.etag
    client.extra_headers.update({"If-Match": f'W/"{flag["meta"]["versionId"]}"', "Prefer": "return=representation"})
    flag["status"] = "inactive"
    flag.save()
    assert shared.status == "inactive"
    assert shared.etag != held
    assert f'W/"{flag["meta"]["versionId"]}"' == shared.etag


def test_without_a_representation_it_keeps_the_version_it_read(
    client: SyncFHIRClient, flag: Any, shared: Shared
) -> None:
    client.extra_headers["If-Match"] = held = shared.etag
    flag["status"] = "inactive"
    flag.save()
    assert f'W/"{flag["meta"]["versionId"]}"' == held != shared.etag


def test_it_meets_a_409(client: SyncFHIRClient, flag: Any, shared: Shared) -> None:
    client.extra_headers["If-Match"] = shared.etag
    flag["status"] = "inactive"
    flag.save()
    flag["status"] = "entered-in-error"
    with pytest.raises(OperationOutcome) as refused:
        flag.save()
    issue = refused.value.resource["issue"][0]
    assert (issue["code"], issue["details"]["coding"][0]["code"]) == ("conflict", "RESOURCE_VERSION_MISMATCH")
    assert shared.status == "inactive"
