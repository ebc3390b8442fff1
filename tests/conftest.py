"""What every test stands on: UTC, a quiet terminal, and a workspace of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["TZ"] = "UTC"
os.environ.pop("DELEVER_WORKSPACE", None)
time.tzset()

# The same examples every time, and no clock: a busy machine must not fail a test.
settings.register_profile("delever", derandomize=True, deadline=None)
settings.load_profile("delever")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A fresh workspace as `delever init` makes it, and the current folder inside it."""
    from delever.study.workspace import create

    place = create(tmp_path / "workspace")
    monkeypatch.chdir(place.root)
    return place


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real histories beside the project; tests that need it skip without it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real histories are not beside this checkout (../shared/data)")
    return folder
