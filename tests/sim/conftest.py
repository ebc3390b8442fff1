from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def exact() -> ModuleType:
    """The reference ledger in decimals."""
    spec = importlib.util.spec_from_file_location(
        "reference_ledger", ROOT / "tests" / "reference" / "ledger.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def sample() -> pd.DataFrame:
    """Daily bars of the embedded sample."""
    path = ROOT / "data" / "sample" / "btc_usd_1d.csv"
    return pd.read_csv(path, parse_dates=["timestamp"], index_col="timestamp")
