"""Combinations that prove little beyond others run with `pytest --all` alone."""

from __future__ import annotations

import pytest
from tests.data.fetching import Patience


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands wait for no venue: their time passes only by sleeping."""
    monkeypatch.setattr(
        "delever.data.exchange.client.Pacing", lambda: Patience().pacing(timeout=20.0)
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "exhaustive: runs with --all alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all"):
        return
    left = [item for item in items if item.get_closest_marker("exhaustive")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
