"""How many simulated markets a test draws."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def draws(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """Takes how many by default, and how many with ``pytest --all``; gives the one that holds."""
    everything = request.config.getoption("--all")
    return lambda few, all_: all_ if everything else few
