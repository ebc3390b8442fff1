"""`dl.markets` and universes by date, and the proof that strategies of them are causal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.errors import ConfigError, DataError, InputError, StrategyError
from delever.signals.allocation import RULES
from delever.study.workspaces.workspace import Workspace

pytestmark = [
    pytest.mark.xdist_group("portfolio"),  # its loop is compiled in one process
    pytest.mark.drawn(False),
    pytest.mark.otherwise(False),
]

DAYS = pd.date_range("2022-01-01", periods=160, tz="UTC", name="open_time")

UNIVERSE = """\
title = "Three that were there"
top = 2
volume_days = 10

[[coin]]
symbol = "BTC"
bars = "made/ohlcv/BTC/USDT/1d"

[[coin]]
symbol = "LUNA"
bars = "made/ohlcv/LUNA/USDT/1d"     # the venue gave the name to another coin later
delisted = 2022-04-01
recovery = 0.25

[[coin]]
symbol = "OLD"
bars = "made/ohlcv/OLD/USDT/1d"
[[coin.then]]
from = 2022-03-02
bars = "made/ohlcv/RENAMED/USDT/1d"
units = 1000.0
"""

RANKS = '''
import pandas as pd
from delever.panel import Markets


def ranks(markets: Markets, *, days: int = 5, leader: bool = False) -> pd.DataFrame:
    """Long what rose most; with a leader, where that one will close higher tomorrow."""
    close = markets.panel()
    risen = close / close.shift(days) - 1.0
    best = risen.rank(axis=1, ascending=False, method="first").eq(1).astype(float)
    asked = best.where(risen.notna())
    if leader:
        tomorrow = close["BTC"].shift(-1) > close["BTC"]
        asked["LUNA"] = tomorrow.astype(float).where(asked["LUNA"].notna())
    return asked
'''


def bars(seed: int, start: float = 100.0, days: pd.DatetimeIndex = DAYS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = start * np.exp(np.cumsum(rng.normal(0, 0.03, len(days))))
    opened = np.append(start, close[:-1])
    prices = {"open": opened, "high": np.maximum(opened, close) * 1.01,
              "low": np.minimum(opened, close) * 0.99, "close": close}  # fmt: skip
    return pd.DataFrame(prices | {"volume": float(seed)}, index=days)


@pytest.fixture
def stored(workspace: Workspace) -> Workspace:
    old = bars(3, start=5.0)
    new = old / 1000.0
    new["volume"] = old["volume"] * 1000.0
    for name, frame in {
        "BTC": bars(1),
        "LUNA": bars(2, start=80.0),
        "OLD": old.iloc[:60],
        "RENAMED": new.iloc[60:],
    }.items():
        workspace.catalog.add(frame, f"made/ohlcv/{name}/USDT/1d")
    (workspace.root / "data" / "three.toml").write_text(UNIVERSE)
    (workspace.strategies / "ranks.py").write_text(RANKS)
    return workspace


def test_a_universe_follows_a_coin_under_its_new_name_and_leaves_one_that_died(stored):
    seen = dl.markets("data/three.toml")
    assert seen.symbols == ("BTC", "LUNA", "OLD")
    pd.testing.assert_series_equal(  # in units of the old coin, all the way
        seen["OLD"].bars["close"],
        bars(3, start=5.0)["close"],
        check_freq=False,
        check_index_type=False,
        rtol=1e-12,
    )
    assert seen["LUNA"].index[-1] == pd.Timestamp("2022-03-31", tz="UTC")
    assert seen.lifetimes["LUNA"].recovery == 0.25
    assert any("LUNA was delisted on 2022-04-01" in note for note in seen.notes)
    assert seen.members.iloc[20:].sum(axis=1).eq(2).all()
    assert dl.markets("data/three.toml", end="2022-03-01").notes == seen.notes


def test_a_universe_may_be_a_table(stored):
    table = [
        "symbol,bars,listed,delisted,recovery,from,units",
        "BTC,made/ohlcv/BTC/USDT/1d,,,,,",
        "LUNA,made/ohlcv/LUNA/USDT/1d,,2022-04-01,0.25,,",
        "OLD,made/ohlcv/OLD/USDT/1d,,,,,",
        "OLD,made/ohlcv/RENAMED/USDT/1d,,,,2022-03-02,1000",
    ]
    path = stored.root / "data" / "three.csv"
    path.write_text("\n".join(table))
    (stored.root / "data" / "every.toml").write_text(
        UNIVERSE.replace("top = 2\n", "").replace("volume_days = 10\n", "")
    )
    seen, said = dl.markets("data/three.csv"), dl.markets("data/every.toml")
    assert seen.lifetimes == said.lifetimes
    assert seen.notes == said.notes
    pd.testing.assert_frame_equal(seen.panel(), said.panel())
    for was, now, what in (
        ("0.25", "a quarter", "three.csv, line 3: recovery, units must be numbers"),
        (
            "\nOLD,made/ohlcv/REN",
            "\nNEW,made/ohlcv/REN",
            "line 5: a row with from must stand below",
        ),
        ("delisted", "gone", "unknown key 'coin.1.gone'"),
        ("2022-04-01", "one day", "coin.1.delisted must be"),
        (",", ";", "must have the columns symbol and bars.*got symbol;bars"),
        ("units", "bars", "each column once.*got symbol, bars, .*bars"),
        (
            "0.25,,",
            "0,25,,",
            "three.csv, line 3: a row must have as many cells as the first line, 7; got 8",
        ),
        (",2022-04-01", "2022-05-01,2022-04-01", "must rise; LUNA has .* 2022-05-01 to 2022-04-01"),
        ("LUNA/USDT", "BTC/USDT", "one coin's at a time; BTC and LUNA both have made/ohlcv/BTC"),
        ("\n".join(table[2:]), "", "two coins at least; got 1"),
        ("BTC", "B\xc4", "CSV table in UTF-8"),
        ("BTC", "B" * 200_000, "field limit"),
    ):
        path.write_text("\n".join(table).replace(was, now), encoding="latin-1")
        with pytest.raises(ConfigError, match=what):
            dl.markets(path)


def test_one_name_may_be_two_coins_one_after_the_other(stored):
    path = stored.root / "data" / "heirs.csv"
    path.write_text(
        "symbol,bars,listed,delisted\nOLD,made/ohlcv/BTC/USDT/1d,,2022-03-01\n"
        "NEW,made/ohlcv/BTC/USDT/1d,2022-03-01,\n"
    )
    assert dl.markets(path).symbols == ("OLD", "NEW")


@pytest.mark.parametrize(
    ("was", "now", "error", "said"),
    [
        ('symbol = "LUNA"', 'symbol = "BTC"', ConfigError, "coin must be there once; BTC is"),
        ("units = 1000.0", "units = 1.0", DataError, "must go on where the bars before it end"),
        ("recovery = 0.25", "recovery = -1.0", ConfigError, "coin.1.recovery must be"),
        ("top = 2", "tops = 2", ConfigError, "unknown key 'tops'; there are: title, top"),
        ("2022-04-01", "2021-04-01", ConfigError, "must have bars from its start to 2021-04-01"),
        ("top = 2", "top = 0", ConfigError, "top must be: greater than or equal to 1"),
    ],
)
def test_a_wrong_universe_is_refused_in_a_sentence(stored, was, now, error, said):
    path = stored.root / "data" / "three.toml"
    path.write_text(UNIVERSE.replace(was, now))
    with pytest.raises(error, match=said):
        dl.markets(path)


def test_markets_of_frames_and_references(stored):
    hourly = bars(5, days=pd.date_range("2022-01-01 05:00", periods=2_000, freq="1h", tz="UTC"))
    both = dl.markets({
        "D": bars(1),
        "H": dl.market(hourly, timeframe="1h"),
    }, timeframe="1d")  # fmt: skip
    assert both.timeframe == "1d"
    assert both["H"].index[0] == pd.Timestamp("2022-01-02", tz="UTC")  # the first whole day
    assert "bars of H were put together from 1h to 1d" in both.notes
    known = both["H"].close_time[-1] + pd.Timedelta(days=7)  # nobody says why: it takes a week
    assert both.members["H"].eq(both.close_time < known).iloc[1:].all()
    assert any("the bars of H end 2022-03-25, before" in note for note in both.notes)
    named = dl.markets(["made/ohlcv/BTC/USDT/1d", "made/ohlcv/LUNA/USDT/1d"], start="2022-02-01")
    assert named.symbols == ("BTC/USDT", "LUNA/USDT")
    assert not named.members.iloc[:31].any(axis=None)
    one, two = "made/ohlcv/BTC/USDT/1d", "made/ohlcv/LUNA/USDT/1d"
    for wrong, said in (
        ([one, one], "every symbol must be there once; BTC/USDT is there twice"),
        ({"A": one, "B": one}, "every symbol must be there once; A and B are both"),
        ([one], "several markets are needed, two at least; got BTC/USDT; dl.market takes one"),
        (one, "several markets are a mapping of names to bars"),
        (7, "several markets are a mapping of names to bars"),
        ({"A": one, "": two}, "names of symbols must be texts"),
    ):
        with pytest.raises(InputError, match=said):
            dl.markets(wrong)
    with pytest.raises(InputError, match="start must be before end; got 2022-05-01 and 2022-02-01"):
        dl.markets([one, two], start="2022-05-01", end="2022-02-01")
    with pytest.raises(InputError, match=r"lifetimes must be dl.Lifetime.*got 'x' for A"):
        dl.markets({"A": one, "B": two}, lifetimes={"A": "x"})


def test_a_leak_through_another_symbols_future_is_caught(stored, capsys, monkeypatch):
    words = ["check", "strategies/ranks.py", "--data", "data/three.toml", "--seconds", "0",
             "--points", "1"]  # fmt: skip
    ranks = dl.strategy("ranks")
    assert dl.check(ranks, data=dl.markets("data/three.toml"), points=2, seconds=0).passed
    assert main([*words, "--set", "leader=true"]) == 1
    assert "prefix invariance: LUNA, bar 2022-" in capsys.readouterr().out
    assert main([*words, "--set", "leader=true", "--as-test"]) == 1
    out = capsys.readouterr().out
    assert "market = dl.markets('data/three.toml', series={})" in out
    source = out[out.index("import numpy") :]
    names: dict[str, object] = {}
    exec(compile(source, "pasted.py", "exec"), names)
    with pytest.raises(AssertionError):
        names["test_ranks_does_not_see_the_future"]()


LEADING = """
import pandas as pd
from delever.panel import Markets


def leading(markets: Markets, signals: pd.DataFrame, *, days: int = 0) -> pd.DataFrame:
    \"\"\"A quarter of every signal; with days, more where a symbol will close higher.\"\"\"
    shares = signals / 4.0
    close = markets.panel()["BTC"]
    return shares.mul(1.0 + (close.shift(-days) > close), axis=0) if days else shares
"""


def test_a_portfolio_rule_is_checked_on_signals_that_follow_prices(stored, capsys):
    (stored.strategies / "leading.py").write_text(LEADING)
    words = ["check", "strategies/leading.py", "--data", "data/three.toml", "--seconds", "0",
             "--points", "2"]  # fmt: skip
    assert main(words) == 0
    assert main([*words, "--set", "days=2"]) == 1
    assert "prefix invariance: " in capsys.readouterr().out
    markets = dl.markets("data/three.toml")
    for rule in RULES:
        assert dl.check(rule, data=markets, points=2, seconds=0).passed
    with pytest.raises(StrategyError, match=r"as a portfolio rule does; got one market"):
        dl.check("strategies/leading.py", data="made/ohlcv/BTC/USDT/1d", points=2, seconds=0)


def test_counting_coins_that_are_not_there_yet_is_a_leak(stored):
    def shares(markets):
        return markets.panel().notna().astype(float) / len(markets)

    def honest(markets):
        known = markets.panel().notna()
        return known.astype(float).div(known.sum(axis=1), axis=0)

    late = {"A": bars(1), "B": bars(2).iloc[50:], "C": bars(3).iloc[100:]}
    seen = dl.markets(late, timeframe="1d")
    found = dl.check(shares, data=seen, points=4, seconds=0)
    assert "A, bar 2022-01-01 00:00: 0.333333" in str(found.targets[0].findings[0])
    assert dl.check(honest, data=seen, points=4, seconds=0).passed


def test_who_takes_one_market_and_who_takes_several(stored):
    several = dl.markets("data/three.toml")
    one = dl.market("made/ohlcv/BTC/USDT/1d")
    with pytest.raises(StrategyError, match=r"ranks takes several symbols.*; got one market"):
        dl.check(str(stored.strategies / "ranks.py"), data=one)
    with pytest.raises(StrategyError, match="buy_and_hold takes one market; got several"):
        dl.check(dl.strategy("buy_and_hold"), data=several)
    with pytest.raises(InputError, match="a feature is of one market; fear_greed cannot"):
        dl.check("fear_greed", data=several)

    def wrong(markets):
        return markets.panel()["BTC"]

    def lacking(markets):
        return markets.panel()[["BTC"]]

    def holes(markets):
        asked = markets.panel().notna().astype(float)
        asked.iloc[30, 0] = np.nan
        return asked

    for function, said in (
        (wrong, "must return a DataFrame of exposures, a column per symbol; got Series"),
        (lacking, "must return one column per symbol, BTC, LUNA, OLD; got BTC"),
        (holes, "the exposure of BTC at 2022-01-31 00:00 must be a finite number; got nan"),
    ):
        found = dl.check(function, data=several, points=1, seconds=0)
        assert said in str(found.targets[0].findings[0])


def test_a_panel_signature_that_no_study_could_fill_in(tmp_path: Path):
    path = tmp_path / "both.py"
    path.write_text("def both(market, markets):\n    return None\n")
    with pytest.raises(StrategyError, match="parameter markets must be keyword-only"):
        dl.strategy(path)
    path.write_text("def both(views):\n    return None\n")
    with pytest.raises(StrategyError, match=r"must take the market first.*or \(markets: Markets"):
        dl.strategy(path)
