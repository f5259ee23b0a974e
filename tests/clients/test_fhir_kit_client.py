"""fhir-kit-client, from npm, at the embedded endpoint: it reads, updates once it is given the ETag, and meets a 409.

It sends no ``If-Match`` of its own; header fields are an option of each call. Skipped where there is no Node.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clientkit import Shared
from fetched import fetched, program, skipped_where_unavailable

VERSION = "2.0.3"
SCRIPT = Path(__file__).with_name("kit.mjs")


@pytest.fixture(scope="module")
def package() -> Path:
    """The installed package's entry."""
    with skipped_where_unavailable("fhir-kit-client"):
        program("node")
        silent = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"]
        place = fetched(
            f"fhir-kit-client-{VERSION}",
            lambda into: [[program("npm"), "install", "--prefix", str(into), *silent, f"fhir-kit-client@{VERSION}"]],
        )
    return place / "node_modules" / "fhir-kit-client" / "dist" / "index.js"


@pytest.fixture
def steps(package: Path, shared: Shared) -> dict[str, Any]:
    """What happened when it read, updated alone, updated with the ETag, and updated with the same ETag again."""
    command = [program("node"), str(SCRIPT), str(package), shared.base_url, shared.logical_id]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_reads_updates_with_the_etag_and_meets_a_409(steps: dict[str, Any], shared: Shared) -> None:
    assert steps["read"] == "Hard of hearing"
    assert steps["alone"]["status"] == 412
    assert steps["guarded"] == {"status": 200, "version": shared.etag.removeprefix('W/"').removesuffix('"')}
    assert steps["guarded"]["version"] not in steps["etag"]
    stale = steps["stale"]
    assert (stale["status"], stale["issue"]["code"]) == (409, "conflict")
    assert stale["issue"]["details"]["coding"][0]["code"] == "RESOURCE_VERSION_MISMATCH"
    assert shared.status == "inactive"
