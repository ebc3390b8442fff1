"""The price at which miners switch off, and the facts it rests on."""

from __future__ import annotations

import datetime as dt
import tomllib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from delever.errors import ConfigError, InputError
from delever.research.strategy_checks import check_strategy
from delever.signals.network import (
    load_network,
    realised_price,
    shutdown_distance,
    shutdown_price,
    shutdown_value,
)
from delever.view import MarketView, Reading

FACTS = Path(__file__).parents[2] / "data" / "bitcoin.toml"
DAYS = pd.date_range("2024-04-15", periods=12, tz="UTC").as_unit("ns")


def market(**extra: Reading) -> MarketView:
    difficulty = Reading(
        frame=pd.DataFrame({"difficulty": [8e13] * 9 + [9e13] * 3}, index=DAYS),
        publication_lag=pd.Timedelta(1, "D"),
    )
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], 60_000.0), index=DAYS)
    readings = {"difficulty": difficulty, **load_network(FACTS), **extra}
    return MarketView(bars=bars, timeframe="1d", readings=readings)


@pytest.mark.parametrize(("joules", "price"), [(16.0, 69_230), (17.1, 73_990), (20.0, 86_538)])
def test_the_band_of_february_2026(joules: float, price: int) -> None:
    assert round(shutdown_value(141.67e12, 3.125, joules, 0.08)) == price
    # The same in exact fractions: hashes a block, times J a hash, in kWh, times the tariff.
    hashes = Fraction("141.67e12") * 2**32
    kilowatt_hours = hashes * Fraction(str(joules)) / 10**12 / 3_600_000
    exact = kilowatt_hours * Fraction("0.08") / Fraction("3.125")
    assert shutdown_value(141.67e12, 3.125, joules, 0.08) == pytest.approx(float(exact), rel=1e-14)


def test_fees_lower_it() -> None:
    assert shutdown_value(1e14, 3.125, 16, 0.08, fees=0.25) == pytest.approx(
        shutdown_value(1e14, 3.125, 16, 0.08) / 1.25
    )


def test_difficulty_and_halving_count_only_after_their_day() -> None:
    got = shutdown_price(market(), joules_per_terahash=20.0)
    old = shutdown_value(8e13, 6.25, 20.0, 0.08)
    # The halving of 2024-04-20 is known at the close of that day's bar; the difficulty of the
    # 24th at the close of the 24th.
    expected = [old] * 5 + [old * 2] * 4 + [old * 2 * 9 / 8] * 3
    np.testing.assert_allclose(got, expected)


def test_the_machine_is_that_of_its_time() -> None:
    newest, previous = (shutdown_price(market(), machine=name) for name in ("newest", "previous"))
    # In April 2024 an S21 of 17.5 J/TH, before it an S19 XP of 21.5.
    np.testing.assert_allclose(previous / newest, 21.5 / 17.5)
    gap = shutdown_distance(market(), machine="previous")
    np.testing.assert_allclose(gap, 60_000 / previous - 1)


def test_realised_price_in_multiples() -> None:
    frame = pd.DataFrame({"usd": [20_000.0] * 12}, index=DAYS)
    reading = Reading(frame=frame, publication_lag=pd.Timedelta(1, "D"), prices=("usd",))
    assert (realised_price(market(realised_price=reading), multiple=2.4) == 48_000.0).all()
    with pytest.raises(InputError, match="multiple must be above 0"):
        realised_price(market(realised_price=reading), multiple=0.0)
    with pytest.raises(InputError, match="realised_price"):
        realised_price(market())


def test_a_reading_that_is_a_price_is_rescaled_with_the_bars() -> None:
    frame = pd.DataFrame({"usd": np.linspace(50_000.0, 70_000.0, 12)}, index=DAYS)

    def above(seen: MarketView) -> pd.Series:
        return (seen.bars["close"] > realised_price(seen)).astype(float)

    day = pd.Timedelta(1, "D")
    marked = Reading(frame=frame, publication_lag=day, prices=("usd",))
    assert check_strategy(above, market(realised_price=marked)) == []
    assert marked.upto(DAYS[5]).prices == ("usd",)
    bare = Reading(frame=frame, publication_lag=day)
    (found,) = check_strategy(above, market(realised_price=bare))
    assert found.check == "unit-free"


def test_refuses_what_no_miner_pays() -> None:
    for wrong in ({"power_price": 0.0}, {"fees": -0.1}, {"joules_per_terahash": 0.0}):
        with pytest.raises(InputError, match="must be above 0"):
            shutdown_price(market(), **wrong)


def test_the_shipped_facts() -> None:
    document = tomllib.loads(FACTS.read_text(encoding="utf-8"))
    for number, row in enumerate(document["subsidies"]):
        assert row["height"] == 210_000 * number
        assert row["coins"] == 50 / 2**number
    # Stamps in the headers of the first blocks that paid less.
    for row in document["subsidies"]:
        if "stamp" in row["source"]:
            stamp = int(row["source"].rsplit(" ", 1)[1])
            assert dt.datetime.fromtimestamp(stamp, dt.UTC).date() == row["from"]
    readings = load_network(FACTS)
    assert readings["subsidy"].frame["coins"].tolist() == [50, 25, 12.5, 6.25, 3.125]
    machines = readings["efficiency"].frame
    assert machines["previous"].iloc[1:].tolist() == machines["newest"].iloc[:-1].tolist()
    # Watts over terahashes a second, where the source gives both.
    for name, watts, terahashes in (("S17 Pro", 2_094, 53), ("S21 XP", 3_645, 270)):
        (row,) = (row for row in document["machines"] if row["name"] == f"Antminer {name}")
        assert row["joules_per_terahash"] == pytest.approx(watts / terahashes, abs=0.05)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("coins = 25.0", "coins = 20.0", "half of the one before"),
        ("coins = 25.0", "coins = 0", r"needs from \(a date\) and coins"),
        ("2012-11-28", "2008-11-28", "dates of subsidies must increase"),
        ("= 21.5", "= 31.5", "must need less than the one before"),
        ("[[machines]]", "[[rigs]]", "at least one"),
        ("[[subsidies]]", "[[", "must be TOML"),
    ],
)
def test_refuses_facts_that_cannot_be(tmp_path: Path, old: str, new: str, message: str) -> None:
    copy = tmp_path / "bitcoin.toml"
    copy.write_text(FACTS.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_network(copy)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_network(tmp_path / "none.toml")
