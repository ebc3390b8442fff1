from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from tests.reference.plain_loops import plain_loops

ROOT = Path(__file__).parents[2]


def _load(name: str) -> ModuleType:
    path = ROOT / "tests" / "reference" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"reference_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def exact() -> ModuleType:
    """The reference ledger in decimals."""
    return _load("ledger")


@pytest.fixture(scope="session")
def sample() -> pd.DataFrame:
    """Daily bars of the embedded sample."""
    path = ROOT / "data" / "sample" / "btc_usd_1d.csv"
    return pd.read_csv(path, parse_dates=["timestamp"], index_col="timestamp")


@pytest.fixture(scope="session")
def exact_perp() -> ModuleType:
    """The reference ledger of a margin account."""
    return _load("perp_ledger")


@pytest.fixture(scope="session")
def exact_book() -> ModuleType:
    """The reference ledger of an account of several positions."""
    return _load("book_ledger")


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """By which loop a case runs: the compiled one, or the one in plain Python."""
    if request.param == "plain":
        with plain_loops():
            yield "numba"
    else:
        yield request.param
