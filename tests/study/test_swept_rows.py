"""Rows of a sweep's many accounts are single runs, for every shipped strategy of one market."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.study.test_asking import AXES, MARKET, ROOT, drawn

import delever as dl
from delever.deleveraging.membership import membership
from delever.deleveraging.period import load_catalog
from delever.engine.settings import FundingSeries
from delever.engine.sweep_metrics import SWEPT, TOTALS, column_name
from delever.errors import DeleverError
from delever.research.evaluation import Evaluation
from delever.stats.metric import SCOPES
from delever.study.runs.simulation import RunTerms, simulate
from delever.study.settings.account_table import load_account
from delever.study.sweeps.chunk import Combination, SweepGround
from delever.study.workspaces.strategy import Strategy, load_strategy

PERIODS = tuple(load_catalog(ROOT / "data" / "deleveraging.toml"))
HELD = pd.Series(1.0, index=MARKET.index)
PERPETUAL, _ = load_account(
    dl.Account(
        contract="BTC/USDT:USDT",
        rules="generic",
        funding=FundingSeries.of(MARKET.readings["funding"].frame["funding_rate"]),
    ),
    catalog=None,
    venues=ROOT / "data" / "venues",
)
SETTINGS: dict[str, list[Any]] = {
    "leverage": [1.0, 3.0, 20.0],
    "exposure": [0.3, 1.0],  # of the leverage: some are liquidated
    "stop_loss": [None, None, 0.1],
    "take_profit": [None, None, 0.4],
    "trailing_stop": [None, None, 0.2],
}
FEES = {"taker_fee": [0.0, 0.0005, 0.002], "slippage": [0.0005, 0.001]}
CAPITAL = 10_000.0


def asked(name: str, count: int) -> list[Combination]:
    """Parameters, costs, and an account: spot for one half, a perpetual for the other."""
    chance, found = random.Random(name), []
    for place, params in enumerate(drawn(AXES[name], count)):
        costs = dl.Costs(**{key: chance.choice(values) for key, values in FEES.items()})
        own = {key: chance.choice(values) for key, values in SETTINGS.items()}
        own["exposure"] *= own["leverage"]
        account = replace(PERPETUAL, **own) if place % 2 else None
        found.append(Combination(params, account, costs, costs))
    return found


def alone(strategy: Strategy, one: Combination) -> Evaluation | str:
    """A combination as a single run, or why there is none."""
    try:
        return simulate(
            MARKET,
            strategy,
            name="one",
            benchmark=HELD,
            params=one.params,
            costs=one.costs,
            account=one.account,
            terms=RunTerms(periods=PERIODS, initial_equity=CAPITAL),
        )
    except DeleverError as error:
        return str(error)


def columns_of_run(run: Evaluation) -> Iterator[tuple[str, float, float]]:
    """What a row of a sweep says of it in each scope, and in which unit.

    Amounts are counted in capital, since what rounding leaves of those that cancel is of its size.
    """
    ledger, fills = run.backtest.ledger, run.backtest.fills
    struck = fills["time"][fills["reason"] == "liquidation"]
    counted = struck.value_counts().reindex(ledger.index, fill_value=0)
    inside = membership(ledger.index, "1d", PERIODS).to_numpy()
    decided = np.arange(len(ledger)) >= run.undecided
    flags = {"whole": inside | ~inside, "inside": inside & decided, "outside": ~inside & decided}
    for scope in SCOPES:
        for each in SWEPT:
            if scope in each.scopes:
                yield column_name(scope, each.name), float(run.metrics.loc[each.name, scope]), 1.0
        for total in TOTALS:
            paid = counted if total == "liquidations" else ledger.get(total, 0.0 * counted)
            unit = 1.0 if total == "liquidations" else CAPITAL
            yield column_name(scope, total), float(paid[flags[scope]].sum()), unit


def rows_and_runs(name: str, count: int) -> Iterator[tuple[Combination, pd.Series, Any]]:
    """Combinations, what a sweep says of each, and what a single run does: so many with a result.

    One half trade spot, the other a perpetual. Those that the strategy refuses come on top.
    """
    strategy, wanted = load_strategy(ROOT / "strategies" / f"{name}.py"), asked(name, 3 * count)
    for account in (None, PERPETUAL):
        ground = SweepGround(
            market=MARKET,
            strategy=strategy,
            benchmark=HELD,
            account=account,
            periods=PERIODS,
            start=None,
            initial_equity=CAPITAL,
        )
        own = [one for one in wanted if (one.account is None) == (account is None)]
        left = count // 2
        for one, (_, row) in zip(own, ground.rows(own).iterrows(), strict=True):
            if left:
                run = alone(strategy, one)
                left -= not isinstance(run, str)
                yield one, row, run


@pytest.mark.parametrize("name", AXES)
def test_each_row_is_the_single_run(name, request) -> None:
    count, measured = 200 if request.config.getoption("--all") else 6, 0
    for one, row, run in rows_and_runs(name, count):
        assert row["error"] == (run if isinstance(run, str) else "")
        if isinstance(run, str):
            continue
        told = list(columns_of_run(run))
        got = {column: row[column] / unit for column, _, unit in told}
        expected = {column: value / unit for column, value, unit in told}
        assert got == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True), one
        measured += 1
    assert measured == count
