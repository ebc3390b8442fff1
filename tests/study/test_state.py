"""`delever state` runs on whatever is stored and says what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from delever.cli.app import main
from delever.errors import ConfigError
from delever.study.inputs.known_readings import find_series
from delever.study.research.state_report import state
from delever.study.workspaces.workspace import Workspace

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]


def store(workspace: Workspace, reference: str, column: str, rows: int, lag: str | None) -> None:
    stamps = pd.date_range("2024-01-01", periods=rows, freq="8h", tz="UTC")
    if reference.endswith("1d"):
        stamps = pd.date_range("2024-01-01", periods=rows, tz="UTC")
    frame = pd.DataFrame({column: 0.0001}, index=stamps)
    workspace.catalog.add(
        frame, reference, publication_lag=None if lag is None else pd.Timedelta(lag)
    )


@pytest.mark.drawn(True)
def test_the_sample_alone_is_enough(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["state", "--at", "2018-12-15"]) == 0
    said = capsys.readouterr().out
    rows = (workspace.root / "data" / "sample" / "btc_usd_1d.csv").read_text().splitlines()
    last = next(row for row in rows if row.startswith("2018-12-14")).split(",")
    assert f"2018-12-15 UTC, price {float(last[4]):,.2f}" in said
    assert "200-week sma" in said
    assert "missing: funding: not there" in said
    (page,) = workspace.results.glob("states/2018-12-15-BTC-USD-*/state.html")
    page = page.read_text()
    assert "Nearest supports" in page
    assert "close-only: intraday extremes unseen" in page
    assert main(["state", "--at", "2018-12-15", "--json", "--days", "7"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["time"], document["days"]) == ("2018-12-15T00:00:00Z", 7)
    assert document["data"] == {"bars": "sample/ohlcv/BTC/USD/1d"}
    assert f"phase {document['phase']}" in document["headline"]
    assert f"since {document['since'][:10]}" in document["headline"]
    assert "data  sample/ohlcv/BTC/USD/1d, for want of stored daily bitcoin bars\n" in said
    assert main(["state", "--at", "2025-04-15"]) == 0  # the last close
    assert main(["state", "--at", "2025-04-16"]) == 2
    refused = capsys.readouterr().err
    assert "state of 2025-04-16 needs bars until then" in refused
    assert "end at 2025-04-15" in refused
    assert main(["state", "--at", "soon"]) == 2
    assert "--at must be a date or a time in UTC" in capsys.readouterr().err


def test_series_are_found_by_their_names(workspace: Workspace) -> None:
    store(workspace, "near/funding/BTC/USDT:USDT/8h", "funding_rate", 3, None)
    store(workspace, "far/funding/BTC/USDT:USDT/8h", "funding_rate", 9, None)
    store(workspace, "near/funding/ETH/USDT:USDT/8h", "funding_rate", 20, None)
    store(workspace, "vendor/series/FEAR_GREED/1d", "fng", 3, "1h")
    store(workspace, "vendor/series/WEATHER/1d", "rain", 3, "1h")
    assert find_series(workspace.catalog.list(), "BTC/USD") == {
        "funding": "far/funding/BTC/USDT:USDT/8h",
        "fear_greed": "vendor/series/FEAR_GREED/1d",
    }


def test_a_series_that_cannot_be_used_is_named_and_left_out(workspace: Workspace) -> None:
    store(workspace, "vendor/series/FEAR_GREED/1d", "fng", 3, "0h")
    store(workspace, "vendor/series/VIX/1d", "level", 3, "1D")
    report = state(pd.Timestamp("2024-06-01", tz="UTC"), workspace=workspace)
    assert "publication lag of at least" in report.state.missing["fear_greed"]
    with pytest.raises(ConfigError, match=r"--series must name one of funding, .*; got weather"):
        state(series={"weather": "vendor/series/VIX/1d"}, workspace=workspace)


def test_early_february_2026_on_real_histories(
    shared_data: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    add = workspace.catalog.add
    add(shared_data / "btc_usd_1d_yahoo.csv", "yahoo/ohlcv/BTC/USD/1d")
    day = pd.Timedelta(1, "D")
    for file, reference in {
        "fear_greed_1d.csv": "alternative/series/FEAR_GREED/1d",
        "network_hashrate_difficulty_1d.csv": "bitcoin/series/DIFFICULTY/1d",
        "gld_1d.csv": "yahoo/series/GLD/1d",
    }.items():
        add(shared_data / file, reference, publication_lag=day)
    report = state(pd.Timestamp("2026-02-06", tz="UTC"), workspace=workspace)
    level = {one.name: one.price for one in report.state.levels}
    # The averages of the weeks closed by 1 February, as measured independently.
    assert round(level["200-week ema"], -1) == 68_320
    assert round(level["200-week sma"], -1) == 57_950
    assert round(level["200-week wma"], -1) == 75_450
    assert report.state.phase == "cascade"
    reading = {one.feature: one for one in report.state.readings}
    assert reading["fear_greed"].value == 12
    assert set(report.data) == {"bars", "fear_greed", "difficulty", "gold"}
    assert "shutdown price" in level  # the protocol's constants come with the workspace
