"""How long an account of several positions takes, on this machine.

    python -m benchmarks.portfolio [SYMBOLS] [BARS]

Runs one cross account of 20 perpetuals on 40,000 hourly bars each, with funding every eight hours
and a new target of every symbol once a week, three times after compilation; prints the seconds of
processor time from the frames to the tables, and the most memory the process ever took.
"""

from __future__ import annotations

import resource
import sys
import time
from datetime import date

import numpy as np
import pandas as pd

from delever.engine.portfolio import Leg, Margin, portfolio_backtest
from delever.engine.settings import Account, FundingSeries
from delever.venues.brackets import bracket_table
from delever.venues.contract import PerpContract
from delever.venues.costs import Costs
from delever.venues.margin_formulas import FORMULAS
from delever.venues.rules import Fees, Rules


def legs(symbols: int, bars: int) -> tuple[dict[str, Leg], pd.DataFrame]:
    """Perpetuals that move together, and targets that change once a week."""
    chance = np.random.default_rng(7)
    times = pd.date_range("2021-01-01", periods=bars, freq="1h", tz="UTC")
    stamps = pd.date_range(times[0], periods=bars // 8 + 2, freq="8h")
    common = 0.004 * chance.standard_normal(bars)
    made, targets = {}, {}
    for number in range(symbols):
        close = 100.0 * np.exp(np.cumsum(common + 0.004 * chance.standard_normal(bars)))
        opened = np.append(100.0, close[:-1])
        up, down = np.exp(np.abs(0.003 * chance.standard_normal((2, bars))))
        prices = {
            "open": opened,
            "high": np.maximum(opened, close) * up,
            "low": np.minimum(opened, close) / down,
            "close": close,
        }
        symbol = f"C{number:02d}/USDT:USDT"
        rates = 0.0001 * chance.standard_normal(len(stamps))
        account = Account(
            contract=PerpContract(symbol=symbol),
            rules=_rules(symbol),
            leverage=5.0,
            funding=FundingSeries.of(pd.Series(rates, index=stamps)),
        )
        made[symbol] = Leg(bars=pd.DataFrame(prices, index=times), account=account)
        weekly = chance.uniform(-0.1, 0.1, bars // 168 + 1)
        targets[symbol] = np.repeat(weekly, 168)[:bars]
    return made, pd.DataFrame(targets, index=times)


def _rules(symbol: str) -> Rules:
    rows = [(50_000.0, 0.01, 50.0), (250_000.0, 0.02, 25.0), (1_000_000.0, 0.05, 10.0)]
    return Rules(
        venue="none",
        valid_from=date(2000, 1, 1),
        contract=PerpContract(symbol=symbol),
        formula=FORMULAS["binance_linear"],
        brackets=bracket_table(rows, progressive=True),
        fees=Fees(maker=0.0002, taker=0.0005, liquidation=0.01),
        funding_hours=(8,),
        notes=(),
    )


def main(symbols: int = 20, bars: int = 40_000) -> None:
    """Run and print."""
    made, targets = legs(symbols, bars)
    few = {name: Leg(bars=leg.bars.iloc[:50], account=leg.account) for name, leg in made.items()}
    costs = Costs(taker_fee=0.0005, slippage=0.0002)
    begun = time.process_time()
    portfolio_backtest(few, targets.iloc[:50], timeframe="1h", costs=costs)
    print(f"compiled or loaded in {time.process_time() - begun:.2f} s")
    for _ in range(3):
        begun = time.process_time()
        run = portfolio_backtest(
            made, targets, timeframe="1h", costs=costs, margin=Margin(mode="cross")
        )
        taken = time.process_time() - begun
        print(
            f"{symbols} symbols x {bars:,} hourly bars: {taken:.2f} s, "
            f"{1e9 * taken / symbols / bars:.0f} ns a bar and symbol; {len(run.fills):,} fills, "
            f"equity {run.equity.iloc[-1]:,.0f}"
        )
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"most memory {most:,.0f} MiB")


if __name__ == "__main__":
    main(*(int(one) for one in sys.argv[1:]))
