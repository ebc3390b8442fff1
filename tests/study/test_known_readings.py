"""What is stored as `data fetch` or a vendor names it reaches the state, claims and features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.signals.features import INPUTS, measure
from delever.study.inputs.known_readings import KNOWN, instead_of
from delever.study.workspaces.workspace import Workspace

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

DAYS = pd.date_range("2024-01-01", periods=240, tz="UTC")
HOURS = pd.date_range("2024-01-01", periods=720, freq="8h", tz="UTC")
# Under what `delever data fetch` stores each, and its columns.
STORED = {
    "fred/series/VIX/1d": ("40h", ["vix"]),
    "stooq/series/IGV/1d": ("24h", ["open", "high", "low", "close", "volume"]),
    "stooq/series/GLD/1d": ("24h", ["open", "high", "low", "close", "volume"]),
    "alternative/series/FEAR_GREED/1d": ("8h", ["fear_greed"]),
    "blockchain/series/DIFFICULTY/1d": ("48h", ["difficulty"]),
    "deribit/dvol/BTC/1d": ("1D", ["open", "high", "low", "close"]),
    "binanceusdm/funding/BTC/USDT:USDT/8h": (None, ["funding_rate"]),
    "gate/open_interest/BTC/USDT:USDT/1d": ("1D", ["open_interest", "open_interest_notional"]),
    "gate/liquidations/BTC/USDT:USDT/1d": ("1D", ["long_liquidations", "short_liquidations"]),
    "farside/series/ETF_FLOWS/1d": ("32h", ["total"]),
}


@pytest.fixture
def fetched(workspace: Workspace) -> Workspace:
    rng = np.random.default_rng(2)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, len(DAYS))))
    bars = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close), index=DAYS)
    workspace.catalog.add(bars.assign(volume=1.0), "kraken/ohlcv/BTC/USD/1d")
    for reference, (lag, columns) in STORED.items():
        index = HOURS if reference.endswith("8h") else DAYS
        level = 0.0001 if "funding" in reference else 1.0
        values = level * (1 + rng.random(len(index)))
        frame = pd.DataFrame(dict.fromkeys(columns, values), index=index)
        for number, name in enumerate(columns):
            if not {"open", "high"} <= set(columns):
                frame[name] = values * (1 + number)
        known = None if lag is None else pd.Timedelta(lag)
        workspace.catalog.add(frame, reference, publication_lag=known)
    return workspace


def test_all_of_it_reaches_the_state(fetched: Workspace) -> None:
    report = dl.state(workspace=fetched)
    assert report.data["bars"] == "kraken/ohlcv/BTC/USD/1d"
    names = {"vix", "igv", "gold", "fear_greed", "difficulty", "dvol", "funding"}
    names |= {"open_interest", "liquidations", "etf_flows"}
    assert set(report.data) == {"bars", *names}
    assert not names & set(report.state.missing)
    readings = {one.feature: one.value for one in report.state.readings}
    for feature in ("dvol", "fear_greed", "vix_change", "liquidation_total", "etf_flow_week"):
        assert np.isfinite(readings[feature]), feature
    assert report.source.startswith("kraken/ohlcv/BTC/USD/1d, the daily bitcoin bars that reach")


def test_a_study_reads_them_by_the_names_that_features_ask_for(fetched: Workspace) -> None:
    series = {
        "open_interest": "gate/open_interest/BTC/USDT:USDT/1d",
        "liquidations": "gate/liquidations/BTC/USDT:USDT/1d",
        "mood": "alternative/series/FEAR_GREED/1d",
    }
    market = dl.market("kraken/ohlcv/BTC/USD/1d", series=series, workspace=fetched)
    gate = market.readings["open_interest"].frame
    # Of two columns the one in quote units is meant; the vendor's own names stay.
    pd.testing.assert_series_equal(
        market.series("open_interest"),
        market.series("open_interest", "open_interest_notional"),
        check_names=False,
    )
    assert (gate["open_interest_notional"] == 2 * gate["open_interest"]).all()
    total = measure("liquidation_total", market, hours=24)
    own = market.series("liquidations", "long_liquidations") + market.series(
        "liquidations", "short_liquidations"
    )
    np.testing.assert_allclose(total.iloc[5:], own.iloc[5:])
    assert market.series("mood").notna().sum() > 200


def test_every_reading_is_known_as_late_as_it_was_stored_to_be(fetched: Workspace) -> None:
    names = {f"reading{place}": reference for place, reference in enumerate(STORED)}
    market = dl.market("kraken/ohlcv/BTC/USD/1d", series=names, workspace=fetched)
    for name, reference in names.items():
        lag = pd.Timedelta(STORED[reference][0] or 0)  # funding is known at its stamp
        reading = market.readings[name]
        stamps = HOURS if reference.endswith("8h") else DAYS
        np.testing.assert_array_equal(reading.known_at, stamps + lag)


def test_claims_find_the_same_thing_under_another_name(
    fetched: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    def line(name: str, data: str) -> str:
        return f'{name} = {{ what = "it", data = "{data}" }}'

    def claim(name: str, extra: str = "") -> str:
        return (
            f'[[claim]]\nid = "{name}"\nstatement = "It stood."\nsaid = 2024-03-01\n'
            f'measure = [{{ label = "then", compute = "value", series = "{name}", {extra}'
            "at = 2024-02-01, expects = { above = 0 } }]\n"
        )

    named = {
        "dvol": "deribit/series/DVOL/1d",
        "vix": "cboe/series/VIX/1d",
        "fear_greed": "alternative/series/FNG/1d",
        "funding": "binance/funding/BTC/USDT:USDT/8h",
        "liquidations": "coinglass/liquidations/BTC/1d",
    }
    columns = {"vix": 'column = "close", ', "fear_greed": 'column = "fear_greed", '}
    text = 'title = "Names"\n[series]\n' + "\n".join(line(*one) for one in named.items()) + "\n"
    text += "".join(claim(name, columns.get(name, "")) for name in named)
    Path("names.toml").write_text(text)
    audit = dl.claims("names.toml", workspace=fetched)
    verdicts = {one.claim.id: one.verdict for one in audit.audited}
    assert [name for name, said in verdicts.items() if said == "confirmed"] == list(named)[:4]
    # One venue's liquidations are not those of all.
    assert set(audit.missing) == {"liquidations"}
    assert audit.data["funding"].endswith("in place of binance/funding/BTC/USDT:USDT/8h")
    entries = fetched.catalog.list()
    assert instead_of("kraken/ohlcv/BTC/USD/1h", entries) is None
    assert instead_of("coinbase/ohlcv/BTC/USD/1d", entries) is None


def test_the_list_says_what_each_serves_as(
    fetched: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "list", "--json"]) == 0
    said = {one["reference"]: one["reading"] for one in json.loads(capsys.readouterr().out)}
    assert said["deribit/dvol/BTC/1d"] == "dvol"
    assert said["stooq/series/GLD/1d"] == "gold"
    assert said["kraken/ohlcv/BTC/USD/1d"] == ""
    assert main(["data", "list"]) == 0
    assert "open_interest" in capsys.readouterr().out


def test_every_known_reading_is_one_that_features_ask_for() -> None:
    assert set(KNOWN) <= set(INPUTS)
    for name, known in KNOWN.items():
        assert set(INPUTS[name].columns) <= set(known.columns), name


@pytest.mark.parametrize(
    ("kind", "column"), [("dvol", "dvol"), ("funding", "rate"), ("long_short_ratio", "x")]
)
def test_one_column_is_imported_as_any_kind(kind: str, column: str, workspace: Workspace) -> None:
    rows = "".join(f"2024-01-0{day}T00:00:00Z,0.{day}\n" for day in range(1, 6))
    Path("one.csv").write_text(f"timestamp,{column}\n{rows}")
    words = ["--venue", "deribit", "--symbol", "BTC/USD:BTC", "--kind", kind, "--timeframe", "1d"]
    assert main(["data", "import", "one.csv", *words]) == 0
    frame = dl.load(f"deribit/{kind}/BTC/USD:BTC/1d", workspace=workspace).frame
    assert (frame.max(axis=1) == [0.1, 0.2, 0.3, 0.4, 0.5]).all()
    assert (frame.nunique(axis=1) == 1).all()
