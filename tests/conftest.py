"""What every test stands on: UTC, a quiet terminal, and a workspace of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import is_hypothesis_test, settings

os.environ["TZ"] = "UTC"
os.environ.pop("DELEVER_WORKSPACE", None)
time.tzset()

FEW = 25
"""Examples of a property by default, or what its mark ``few`` says; `pytest --all` draws as many as
each test asks for."""

# The same examples every time, and no clock: a busy machine must not fail a test.
settings.register_profile("delever", derandomize=True, deadline=None)
settings.load_profile("delever")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all",
        action="store_true",
        default=bool(os.environ.get("DELEVER_ALL_EXAMPLES")),
        help="draw every example of the properties, not only the first few; "
        "the same as DELEVER_ALL_EXAMPLES=1",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all"):
        return
    for item in items:
        test = getattr(item, "function", None)
        if is_hypothesis_test(test):
            # Here Hypothesis keeps the settings of a test, and there is no public way to cap them.
            asked = test._hypothesis_internal_use_settings
            mark = item.get_closest_marker("few")
            few = min(FEW if mark is None else mark.args[0], asked.max_examples)
            test._hypothesis_internal_use_settings = settings(asked, max_examples=few)


@pytest.fixture(autouse=True)
def few_markets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redraw six markets, two of each kind; `pytest --all` draws all of them."""
    if not request.config.getoption("--all"):
        monkeypatch.setattr("delever.study.runs.answering.MARKETS", 6)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A fresh workspace as `delever init` makes it, and the current folder inside it."""
    from delever.study.workspaces.workspace import init

    place = init(tmp_path / "workspace")
    monkeypatch.chdir(place.root)
    return place


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real histories beside the project; tests that need it skip without it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real histories are not beside this checkout (../shared/data)")
    return folder
