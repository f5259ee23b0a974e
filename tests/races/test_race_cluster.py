"""A race spread by Dask over processes that share nothing but the endpoint's address.

The endpoint keeps its resources in a PostgreSQL database that two processes of its own serve; or in a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster
from racekit import expect_sound

from workbench import Endpoint, race


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Executor]:
    """A cluster of two worker processes with two threads each; a task that was lost is not run again."""
    settings = {"distributed.scheduler.allowed-failures": 0, "temporary-directory": str(tmp_path)}
    with (
        dask.config.set(settings),
        LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        assert os.getpid() not in client.run(os.getpid).values()
        yield client.get_executor(retries=0)


@pytest.mark.parametrize(("strategy", "resources"), [("reload", 1), ("merge", 2)])
def test_a_cluster_runs_the_same_race(executor: Executor, shared_db: str, strategy: str, resources: int) -> None:
    with Endpoint.start(db=shared_db, workers=2) as spine:
        run = race(
            spine,
            clients=4,
            updates=11,
            strategy=strategy,
            resources=resources,
            executor=executor,
            workers=4,
            progress=False,
        )
    assert run.complete
    assert {each.client for each in run.journal} == {*run.clients, "referee"}
    expect_sound(run)
