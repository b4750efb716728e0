"""What all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

TESTS = Path(__file__).parent
SERVERS = {"contract", "e2e", "faults"}
"""Folders of tests that talk to processes of their own, on real time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On several cores (``-n``), one core has the tests with servers, one after the other; the rest goes by file."""
    for item in items:
        where = item.path.relative_to(TESTS)
        item.add_marker(pytest.mark.xdist_group("servers" if where.parts[0] in SERVERS else where.as_posix()))
