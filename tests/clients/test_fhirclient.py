"""fhirclient (SMART) at the embedded endpoint: it reads, updates once it is given the ETag, and meets a 409.

It sends no ``If-Match`` of its own; its ``requests`` session is the way in. Its models are R4, and a Flag with
what STU3 and R4 share passes through them.
"""

from collections.abc import Iterator

import pytest
from clientkit import Shared
from fhirclient.models.flag import Flag
from fhirclient.server import FHIRServer
from requests import HTTPError


@pytest.fixture
def server(shared: Shared) -> Iterator[FHIRServer]:
    server = FHIRServer(None, base_uri=f"{shared.base_url}/")
    yield server
    server.session.close()


@pytest.fixture
def flag(server: FHIRServer, shared: Shared) -> Flag:
    return Flag.read(shared.logical_id, server)


def test_it_reads(flag: Flag) -> None:
    assert flag.code.text == "Hard of hearing"


def test_its_own_update_is_refused(flag: Flag, shared: Shared) -> None:
    held = shared.etag
    flag.status = "inactive"
    with pytest.raises(HTTPError, match="412") as refused:
        flag.update()
    assert "PRECONDITION_FAILED" in refused.value.response.text
    assert (shared.etag, shared.status) == (held, "active")


def test_it_updates_with_the_right_etag(server: FHIRServer, flag: Flag, shared: Shared) -> None:
    held = shared.etag
    server.session.headers.update({"If-Match": f'W/"{flag.meta.versionId}"', "Prefer": "return=representation"})
    flag.status = "inactive"
    answer = flag.update()
    assert shared.status == "inactive"
    assert f'W/"{answer["meta"]["versionId"]}"' == shared.etag != held


def test_without_a_representation_it_learns_no_version(server: FHIRServer, flag: Flag, shared: Shared) -> None:
    server.session.headers["If-Match"] = held = shared.etag
    flag.status = "inactive"
    assert flag.update() is None
    assert f'W/"{flag.meta.versionId}"' == held != shared.etag


def test_it_meets_a_409(server: FHIRServer, flag: Flag, shared: Shared) -> None:
    server.session.headers["If-Match"] = shared.etag
    flag.status = "inactive"
    flag.update()
    flag.status = "entered-in-error"
    with pytest.raises(HTTPError, match="409") as refused:
        flag.update()
    assert "RESOURCE_VERSION_MISMATCH" in refused.value.response.text
    assert shared.status == "inactive"
