"""Real servers that may be missing: a reason to skip, but a failure where they are due."""

import os
from typing import NoReturn

import pytest


def unavailable(name: str, reason: str) -> NoReturn:
    """Skip; with ``CI`` or ``REQUIRE_<NAME>`` in the environment, fail."""
    if os.environ.get("CI") or os.environ.get(f"REQUIRE_{name.upper()}"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
