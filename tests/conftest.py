"""What every test stands on: UTC, a quiet terminal, and a workspace of its own."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from hypothesis import is_hypothesis_test, settings

if TYPE_CHECKING:
    from delever.data.remote import Remote

os.environ["TZ"] = "UTC"
os.environ.pop("DELEVER_WORKSPACE", None)
time.tzset()

FEW = 20
"""Examples of a property by default, or what its mark ``few`` says; `pytest --all` draws as many as
each test asks for."""

PAGES = ("tearsheet", "sweep_page", "comparison", "signal_page", "state_page")
"""Pages that take long to draw; see the mark ``drawn``."""

LONG = ("study", "cli", "strategies", "report", "research")
"""Folders whose tests take long: they begin first."""

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


# What one process has compiled, and a test's assertions are a part of it, the other need not.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "drawn(whether): whether a test looks at the pages of its runs, sweeps and studies, as it "
        "does unless this says that it does not; --all draws them all",
    )
    config.addinivalue_line(
        "markers",
        "otherwise(whether): whether a test looks at what might have been otherwise: a run's usual "
        "counterfactuals and its tests against luck, what the best of a sweep is worth, which "
        "effects a signal study would find; as drawn",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Half of what a run takes is its page: it is blank in a test that looks at none."""
    with pytest.MonkeyPatch.context() as patch:
        if _left_out(item, "drawn"):
            for page in PAGES:
                blank = f"delever.report.pages.{page}.render"
                patch.setattr(blank, lambda *_, **__: "<!DOCTYPE html>")
        if _left_out(item, "otherwise"):
            _nothing_otherwise(patch)
        return (yield)


def _left_out(item: pytest.Item, name: str) -> bool:
    mark = item.get_closest_marker(name)
    return not (mark is None or mark.args[0] or item.config.getoption("--all"))


def _nothing_otherwise(patch: pytest.MonkeyPatch) -> None:
    """Runs stand beside nothing, sweeps judge no best, and studies plant no effect."""
    from delever.research.luck import no_test
    from delever.research.what_if import WhatIf, no_paths
    from delever.study.portfolios.joint_run import joint_what_if
    from delever.study.runs.neighbours import counterfactuals_of

    def asked_for(made):
        """Counterfactuals that a study names, and no others."""

        def found(run, *given):
            if isinstance(given[-1], list | tuple):
                return made(run, *given)
            run = getattr(run, "backtest", run)
            return WhatIf(initial_equity=run.initial_equity, paths=no_paths())

        return found

    for name in ("runs.run", "runs.backtesting"):
        patch.setattr(f"delever.study.{name}.counterfactuals_of", asked_for(counterfactuals_of))
    for name in ("joint_study", "joint_backtesting"):
        patch.setattr(f"delever.study.portfolios.{name}.joint_what_if", asked_for(joint_what_if))
    for test in ("timing_test", "redrawn_test"):
        patch.setattr(f"delever.study.runs.answering.{test}", lambda *_, **__: no_test("left out"))
    patch.setattr("delever.study.sweeps.chosen._judged", lambda found, *_: found)
    power = pd.DataFrame(columns=["effect", "found"])
    patch.setattr("delever.research.signal.study._power", lambda *_, **__: power)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Collect without looking for garbage, of which there is none; nor look there later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(30_000, 10, 10)  # a test is short, and most of what it leaves is counted
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Of two processes one begins at the end: each compiles half of the files."""
    report = yield
    odd = os.environ.get("PYTEST_XDIST_WORKER", "")[-1:] in set("13579")
    if odd and isinstance(collector, pytest.Session | pytest.Directory):
        report.result.reverse()
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # All processes have one order, and work to its end.
    items.sort(key=lambda item: (item.path.parent.name not in LONG, str(item.path)))
    for item in items:
        if _shares(item) and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
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


def _shares(item: pytest.Item) -> bool:
    """Whether a test stands on what its file makes once: such a file belongs to one process."""
    made = getattr(item, "_fixtureinfo", None)
    fixtures = made.name2fixturedefs.values() if made else ()
    return any(one.scope == "module" for several in fixtures for one in several)


@pytest.fixture(scope="session", autouse=True)
def little_work(request: pytest.FixtureRequest) -> Iterator[None]:
    """Work in this process, unless a test says how many; redraw six markets, two of each kind,
    and shift a walk, or a run that no sweep covers, as often as it takes for a p-value to be small.

    `pytest --all` draws all of them. A process of a pool is two seconds of imports.
    """
    from delever.study.sweeps.walk import walk_forward

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("delever.study.machines.executor.default_workers", lambda: 1)
        patch.setattr("delever.study.sweeps.study_sweep.default_workers", lambda: 1)
        if not request.config.getoption("--all"):
            patch.setitem(walk_forward.__kwdefaults__, "shifts", 39)
            patch.setattr("delever.study.runs.answering.MARKETS", 6)
            patch.setattr("delever.research.luck.ONE_BY_ONE", 39)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_wait_for_the_disk(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave what is written to the system's cache, which outlives a killed process.

    Each file that reaches the disk costs milliseconds to write and again to delete. `pytest --all`
    waits for the disk.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not request.config.getoption("--all"):
            patch.setattr(os, "fsync", lambda _: None)
        yield


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


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A server that speaks S3, on the loopback."""
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """A store in a bucket of it."""
    import fsspec

    from delever.data.remote import Remote

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    options = {"endpoint_url": server}
    name = tmp_path.name.replace("_", "-")
    fsspec.filesystem("s3", **options).mkdir(name)
    return Remote(url=f"s3://{name}/store", options=options)
