"""What ``client.update`` costs beside a bare session, and beside the FHIR clients people use.

All send the same resource with the right ``If-Match`` to the same endpoint, and carry the new ETag on.
fhirpy and fhirclient send no ``If-Match`` by themselves; it is put into their session's headers here.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import requests

import workbench as wb
from benchmarks.rounds import ratios

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"


def main() -> None:
    with wb.Endpoint.start() as spine:
        first = spine.client().read("List", LIST).resource
        made = {name: _copy(spine, first) for name in ("bare", "workbench", "fhirpy", "fhirclient")}
        contestants = {
            "requests.Session.put": _bare(spine.base_url, made["bare"]),
            "workbench client.update": _workbench(spine, made["workbench"]),
            "fhirpy save": _fhirpy(spine.base_url, made["fhirpy"]),
            "fhirclient update": _fhirclient(spine.base_url, made["fhirclient"]),
        }
        found = ratios(contestants, to="requests.Session.put")
    print("One update, as a ratio to a bare requests.Session.put of the same bytes (target: at most 1.0):")
    for name, ratio in found.items():
        print(f"  {ratio:5.2f}  {name}")


def _copy(spine: wb.Endpoint, resource: dict[str, object]) -> dict[str, object]:
    """A List of its own for each contestant, with its id."""
    plain = {name: value for name, value in resource.items() if name not in ("id", "meta")}
    made: dict[str, object] = spine.client().create(plain, prefer="representation").resource
    return made


def _bare(base_url: str, resource: dict[str, object]) -> Callable[[], object]:
    session = requests.Session()
    url = f"{base_url}/List/{resource['id']}"
    body = json.dumps(resource, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
    headers["If-Match"] = session.get(url).headers["ETag"]

    def put() -> None:
        answer = session.put(url, data=body, headers=headers)
        assert answer.status_code == 200
        headers["If-Match"] = answer.headers["ETag"]

    return put


def _workbench(spine: wb.Endpoint, resource: dict[str, object]) -> Callable[[], object]:
    client = spine.client()
    client.read("List", str(resource["id"]))

    def update() -> None:
        assert client.update(resource).status == 200

    return update


def _fhirpy(base_url: str, resource: dict[str, object]) -> Callable[[], object]:
    from fhirpy import SyncFHIRClient

    client = SyncFHIRClient(base_url, extra_headers={})
    held = client.resource("List", **{name: value for name, value in resource.items() if name != "resourceType"})
    url = f"{base_url}/List/{resource['id']}"
    client.extra_headers["If-Match"] = requests.get(url, timeout=10).headers["ETag"]
    client.extra_headers["Prefer"] = "return=representation"

    def save() -> None:
        held.save()
        client.extra_headers["If-Match"] = f'W/"{held["meta"]["versionId"]}"'

    return save


def _fhirclient(base_url: str, resource: dict[str, object]) -> Callable[[], object]:
    from fhirclient.models.list import List
    from fhirclient.server import FHIRServer

    server = FHIRServer(None, base_uri=f"{base_url}/")
    # fhirclient's models are R4; what STU3 shares with it is what is sent.
    held = List({name: value for name, value in resource.items() if name != "meta"})
    url = f"{base_url}/List/{resource['id']}"
    server.session.headers["If-Match"] = requests.get(url, timeout=10).headers["ETag"]
    server.session.headers["Prefer"] = "return=representation"

    def update() -> None:
        version = held.update(server)["meta"]["versionId"]
        server.session.headers["If-Match"] = f'W/"{version}"'

    return update


if __name__ == "__main__":
    main()
