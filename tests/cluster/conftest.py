"""A Ray cluster on this machine, of two CPUs, started once for all tests that need one."""

import os

import pytest

CPUS = 2


@pytest.fixture(scope="session")
def cluster():
    """This process is connected to it: ``cluster="ray"`` means it."""
    ray = pytest.importorskip("ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        address="local",
        num_cpus=CPUS,
        object_store_memory=100_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="CRITICAL",
    )
    yield "ray"
    ray.shutdown()
