"""Studies of several symbols: from TOML to page, stored, read back, compared; carry by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.errors import ConfigError
from delever.study.workspaces.workspace import Workspace

pytestmark = [
    pytest.mark.xdist_group("portfolio"),  # its loop is compiled in one process
    pytest.mark.drawn(False),
    pytest.mark.otherwise(False),
]

HOURS = pd.date_range("2021-04-01", periods=24 * 40, freq="1h", tz="UTC", name="open_time")
STUDY = """\
strategy = "carry"
benchmark = "spot"
margin = "isolated"
counterfactuals = ["costs x2"]

[legs.spot]
data = "made/ohlcv/BTC/USDT/1h"

[legs.perpetual]
data = "made/ohlcv/BTC/USDT:USDT/4h"

[legs.perpetual.series]
funding = "made/funding/BTC/USDT:USDT/8h"

[legs.perpetual.account]
contract = "BTC/USDT:USDT"
rules = "generic"
leverage = 3
funding = "made/funding/BTC/USDT:USDT/8h"

[params]
settlements = 3
enter = 0.00005
size = 0.7

[costs]
taker_fee = 0.0005
slippage = 0.0002
"""


@pytest.fixture
def stored(workspace: Workspace) -> Workspace:
    """Spot that rises by half over 40 days, its perpetual with a basis, funding that pays."""
    rng = np.random.default_rng(7)
    close = 50_000 * np.exp(
        np.linspace(0, np.log(1.5), len(HOURS)) + rng.normal(0, 1e-3, len(HOURS))
    )
    opened = np.append(50_000.0, close[:-1])
    ends = np.stack([opened, close])
    spot = pd.DataFrame({"open": opened, "high": ends.max(0), "low": ends.min(0), "close": close,
                         "volume": 1.0}, index=HOURS)  # fmt: skip
    four = spot.resample("4h").agg({"open": "first", "high": "max", "low": "min", "close": "last",
                                    "volume": "sum"})  # fmt: skip
    basis = 1.0 + 0.002 * np.sin(np.arange(len(four)) / 9.0)
    perp = four.assign(**{name: four[name] * basis for name in ("open", "high", "low", "close")})
    stamps = pd.date_range(HOURS[0], HOURS[-1], freq="8h", name="timestamp")
    rates = pd.DataFrame({"funding_rate": 1e-4}, index=stamps)
    for frame, name in (
        (spot, "made/ohlcv/BTC/USDT/1h"),
        (perp, "made/ohlcv/BTC/USDT:USDT/4h"),
        (rates, "made/funding/BTC/USDT:USDT/8h"),
    ):
        workspace.catalog.add(frame, name)
    (workspace.backtests / "carry.toml").write_text(STUDY)
    return workspace


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_a_study_of_two_legs_runs_is_stored_and_is_read_back(
    stored: Workspace, capsys: pytest.CaptureFixture[str]
):
    assert main(["run", "backtests/carry.toml", "--wide"]) == 0
    out = capsys.readouterr().out
    assert "bars of spot were put together from 1h to 4h" in out
    found = re.search(
        r"perpetual was liquidated in the bar of 2021-\S+ \S+: a rise of 3\d\.\d% from its average",
        out,
    )
    assert found is not None, out
    assert "the benchmark is spot, bought and held" in out
    run = dl.run("backtests/carry.toml")
    assert run.cached
    assert run.counterfactuals.loc["costs x2", "final_equity"] < run.equity.iloc[-1]
    book = run.evaluation.backtest
    assert sorted(book.legs) == ["perpetual", "spot"]
    assert book.margin.mode == "isolated"
    symbols = run.tables["symbols"]
    assert symbols["change"].sum() == pytest.approx(book.equity.iloc[-1] - 10_000.0, abs=1e-9)
    assert "Symbol by symbol" in (run.folder / "tearsheet.html").read_text()
    # One wallet behind the short, which is brought back to its size: no liquidation.
    changes = ["--set", "margin=multi_asset", "--set", "legs.spot.counted=0.9",
               "--set", "portfolio.rebalance_band=0.1"]  # fmt: skip
    words = ["run", "backtests/carry.toml", *changes, "--json"]
    assert main(words) == 0
    shared = json.loads(capsys.readouterr().out)[0]
    assert not any("was liquidated" in note for note in shared["notes"])
    assert main(["compare", run.manifest["run_id"], shared["run_id"], "--wide"]) == 0
    assert main(["runs"]) == 0
    assert "carry" in capsys.readouterr().out
    assert main(["export", "carry", str(stored.root / "tables")]) == 0
    assert (stored.root / "tables" / "legs.csv").is_file()


@pytest.mark.drawn(True)
def test_a_holdout_seals_every_leg_until_a_look_at_it_is_recorded(stored: Workspace):
    since = pd.Timestamp("2021-05-01", tz="UTC")
    (stored.root / "data" / "holdout.toml").write_text("[holdout]\nfrom = 2021-05-01\n")
    before = dl.run("backtests/carry.toml")
    assert all(leg.index[-1] < since for leg in before.evaluation.backtest.legs.values())
    seen = dl.unseal("backtests/carry.toml", why="the last step")
    assert seen.equity.index[-1] > since
    assert seen.folder != before.folder
    assert any("was looked at: look 1" in note for note in seen.notes)
    assert "the last step" in (seen.folder / "tearsheet.html").read_text()
    assert dl.run("backtests/carry.toml").folder == before.folder
    assert dl.holdout().frame["study"].tolist() == ["carry"]


@pytest.mark.drawn(True)
def test_carry_earns_funding_less_costs_and_what_the_basis_does(stored: Workspace):
    """By hand: both legs are opened once; the equity is cash, coins, the short's gain, funding."""
    markets = dl.markets("backtests/carry.toml")
    perpetual = dl.Account(
        contract="BTC/USDT:USDT",
        rules="generic",
        leverage=3,
        funding="made/funding/BTC/USDT:USDT/8h",
    )
    checked = dl.check("strategies/carry.py", data="backtests/carry.toml", points=1, seconds=0)
    assert checked.passed
    fee, slip, end = 0.0005, 0.0002, "2021-04-20"
    run = dl.backtest(
        markets, "carry", settlements=3, enter=0.00005, account={"perpetual": perpetual},
        costs=dl.Costs(taker_fee=fee, slippage=slip), benchmark="spot", end=end,
    )  # fmt: skip
    fills = run.evaluation.backtest.fills
    assert list(fills["symbol"]) == ["perpetual", "spot"]
    at = fills["time"].iloc[0]
    spot, perp = markets["spot"].bars, markets["perpetual"].bars
    buys, sells = spot["open"][at] * (1 + slip), perp["open"][at] * (1 - slip)
    # Equity after both fills, at their prices: 10,000 less the fee on 0.7 of it, twice.
    equity = 10_000.0 / (1.0 + 2 * 0.7 * fee)
    coins, short = 0.7 * equity / buys, 0.7 * equity / sells
    last = perp.index[perp.index < pd.Timestamp(end, tz="UTC")][-1]
    stamps = pd.date_range(at.ceil("8h"), pd.Timestamp(end, tz="UTC"), freq="8h")
    stamps = stamps[(stamps > at) & (stamps < last + pd.Timedelta("4h"))]
    # At 00:00, 08:00 and 16:00 a bar opens: the mark is its open.
    funding = 1e-4 * short * perp["open"][stamps].sum()
    basis = coins * (spot["close"][last] - buys) - short * (perp["close"][last] - sells)
    fees = fee * (coins * buys + short * sells)
    assert run.equity.iloc[-1] == pytest.approx(10_000.0 + basis + funding - fees, rel=1e-9)
    parts = run.tables["symbols"]
    assert parts.loc["perpetual", "funding"] == pytest.approx(funding, rel=1e-9)
    assert parts["fee"].sum() == pytest.approx(-fees, rel=1e-9)


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('[legs.spot]\ndata = "made/ohlcv/BTC/USDT/1h"', "", r"\[legs\] must name two"),
        (
            "[legs.perpetual]",
            "[legs.perpetual]\ncounted = 0.5",
            "counted needs margin = ",
        ),
        ('benchmark = "spot"', 'benchmark = "zzz"', "one of the symbols, spot, perpetual, a name"),
        ("made/ohlcv/BTC/USDT:USDT/4h", "made/ohlcv/BTC/USDT/1h", "spot and perpetual are both"),
        ('margin = "isolated"', 'margin = "shared"', "margin must be: 'separate', 'isolated'"),
        ('margin = "isolated"', 'data = "data/coins.toml"', "must be given, and not both"),
        ("leverage = 3", "leverages = 3", "unknown key 'legs.perpetual.account.leverages'"),
        ("taker_fee = 0.0005", "taker_fee = 0.05", "taker_fee"),
        ('rules = "generic"', 'rules = "nobody"', "perpetual: account: rules must name a file"),
        ('contract = "BTC/USDT:USDT"', 'contract = "ETH/USDT:USDT"', "perpetual: contract must be"),
    ],
)
def test_a_wrong_study_is_refused_in_a_sentence(stored: Workspace, was: str, now: str, said: str):
    path = stored.backtests / "carry.toml"
    path.write_text(STUDY.replace(was, now))
    with pytest.raises(ConfigError, match=said):
        dl.run(path)


def test_what_takes_one_symbol_refuses_a_study_of_several(stored: Workspace, capsys):
    assert main(["screen", "backtests/carry.toml"]) == 2
    assert "is a study of several symbols" in capsys.readouterr().err


@pytest.mark.otherwise(True)
def test_a_study_of_a_universe(workspace: Workspace):
    days = pd.date_range("2021-03-01", periods=70, tz="UTC", name="open_time")
    for seed, name in enumerate(("UP", "DOWN", "DEAD"), start=1):
        drift = {"UP": 0.01, "DOWN": -0.01, "DEAD": 0.03}[name]
        close = 10 * np.exp(np.cumsum(np.random.default_rng(seed).normal(drift, 0.01, 70)))
        opened = np.append(10.0, close[:-1])
        ends = np.stack([opened, close])
        frame = pd.DataFrame({"open": opened, "high": ends.max(0), "low": ends.min(0),
                              "close": close, "volume": 1.0}, index=days)  # fmt: skip
        workspace.catalog.add(
            frame.iloc[:50] if name == "DEAD" else frame, f"m/ohlcv/{name}/USDT/1d"
        )
    coins = "\n".join(
        f'[[coin]]\nsymbol = "{name}"\nbars = "m/ohlcv/{name}/USDT/1d"' for name in ("UP", "DOWN")
    )
    dead = '[[coin]]\nsymbol = "DEAD"\nbars = "m/ohlcv/DEAD/USDT/1d"\n'
    text = f"{coins}\n{dead}delisted = 2021-04-20\nrecovery = 0.5\n"
    (workspace.root / "data" / "coins.toml").write_text(text)
    study = workspace.backtests / "momentum_rank.toml"
    settings = {"params.days": 14, "params.count": 1, "counterfactuals": ["costs x2"]}
    died = dl.run(study, settings)
    # The strongest coin was held when it died, and half a unit of account came back of 30.
    assert died.equity.iloc[-1] < 1_000.0
    assert any("DEAD: its bars end 2021" in note.replace("on ", "") for note in died.notes)
    assert any("closed at a recovery of 0.5" in note for note in died.notes)
    (workspace.root / "data" / "coins.toml").write_text(coins)
    survived = dl.run(study, settings)
    assert survived.folder != died.folder
    assert survived.equity.iloc[-1] > 10_000.0
    checked = dl.check("strategies/momentum_rank.py", data="data/coins.toml", points=1, seconds=0,
                       params={"days": 14, "count": 1})  # fmt: skip
    assert checked.passed


def test_the_shipped_studies_of_several_say_what_to_fetch(workspace: Workspace):
    for name in ("carry", "momentum_rank"):
        text = (workspace.backtests / f"{name}.toml").read_text()
        assert "delever data fetch" in text
        with pytest.raises(dl.DeleverError, match="delever data"):
            dl.run(workspace.backtests / f"{name}.toml")
    assert Path(workspace.root / "data" / "coins.toml").is_file()
