"""How long an account of several positions takes, on this machine.

    python -m benchmarks.portfolio [run | sweep] [SYMBOLS] [BARS]

`run` runs one cross account of 20 perpetuals on 40,000 hourly bars each, with funding every eight
hours and a new target of every symbol once a week, three times after compilation; prints the
seconds of processor time from the frames to the tables, and the most memory the process ever took.

`sweep` prints the most memory of a process that sweeps such accounts, and of one with four times as
many combinations or bars; then the processor time a bar, symbol and combination in each margin
mode, with new targets once a week and with one target held throughout.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from datetime import date

import numpy as np
import pandas as pd

from delever.engine.book_accounts import BookAccount, BookSweep, book_sweep
from delever.engine.portfolio import Leg, Margin, portfolio_backtest
from delever.engine.settings import Account, FundingSeries
from delever.engine.sweep_accounts import changes_each
from delever.venues.brackets import bracket_table
from delever.venues.contract import PerpContract
from delever.venues.costs import Costs
from delever.venues.margin_formulas import FORMULAS
from delever.venues.rules import Fees, Rules

COSTS = Costs(taker_fee=0.0005, slippage=0.0002)


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


def run(symbols: int = 20, bars: int = 40_000) -> None:
    """Time one account from the frames to the tables."""
    made, targets = legs(symbols, bars)
    few = {name: Leg(bars=leg.bars.iloc[:50], account=leg.account) for name, leg in made.items()}
    begun = time.process_time()
    portfolio_backtest(few, targets.iloc[:50], timeframe="1h", costs=COSTS)
    print(f"compiled or loaded in {time.process_time() - begun:.2f} s")
    for _ in range(3):
        begun = time.process_time()
        run = portfolio_backtest(
            made, targets, timeframe="1h", costs=COSTS, margin=Margin(mode="cross")
        )
        taken = time.process_time() - begun
        print(
            f"{symbols} symbols x {bars:,} hourly bars: {taken:.2f} s, "
            f"{1e9 * taken / symbols / bars:.0f} ns a bar and symbol; {len(run.fills):,} fills, "
            f"equity {run.equity.iloc[-1]:,.0f}"
        )
    print(f"most memory {_most_memory():,.0f} MiB")


def _most_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def accounts(names: list[str], bars: int, every: int, count: int) -> list[BookAccount]:
    """Combinations with new targets of every symbol each so many bars."""
    made = []
    for number in range(count):
        chance = np.random.default_rng(number)
        drawn = chance.uniform(-0.1, 0.1, (len(names), bars // every + 1))
        told = np.repeat(drawn, every, axis=1)[:, :bars]
        each = changes_each(told, np.arange(bars), bars).changes
        changes = dict(zip(names, each, strict=True))
        own = dict.fromkeys(names, COSTS)
        made.append(BookAccount(begin=0, decided=0, changes=changes, costs=own))
    return made


def _swept(laid: BookSweep, told: list[BookAccount]) -> float:
    """Least seconds of processor time of three sweeps."""
    taken = []
    for _ in range(3):
        begun = time.process_time()
        _, errors = laid.run(told)
        taken.append(time.process_time() - begun)
        assert not errors, errors
    return min(taken)


def sweep(symbols: int = 20, bars: int = 40_000) -> None:
    """Weigh sweeps in processes of their own, then time them in each margin mode."""
    # First, as a process begins with the most memory that the one it comes from ever took.
    for size, many in ((bars // 4, 10), (bars // 4, 40), (bars, 10)):
        asked = [sys.executable, "-m", "benchmarks.portfolio", "weigh"]
        subprocess.run([*asked, *map(str, (symbols, size, many))], check=True)
    made, _ = legs(symbols, bars)
    count = 16
    for mode in ("cross", "separate", "isolated"):
        laid = book_sweep(made, timeframe="1h", margin=Margin(mode=mode))
        laid.run(accounts(list(made), bars, bars, 1))
        weekly, held = (
            _swept(laid, accounts(list(made), bars, every, count)) for every in (168, bars)
        )
        ns = 1e9 / (symbols * bars * count)
        trading = 1e6 * (weekly - held) / (count * (bars // 168))
        print(
            f"{mode}: {weekly * ns:.1f} ns a bar, symbol and combination with weekly targets, "
            f"{held * ns:.1f} ns held; {trading:.0f} us more a bar in which all trade",
            flush=True,
        )


def weigh(symbols: int, bars: int, count: int) -> None:
    """Most memory of a sweep over a cross account, and before it."""
    made, _ = legs(symbols, bars)
    laid = book_sweep(made, timeframe="1h", margin=Margin(mode="cross"))
    begun = time.process_time()
    laid.run(accounts(list(made), bars, bars, 1))
    first, before = time.process_time() - begun, _most_memory()
    laid.run(accounts(list(made), bars, 168, count))
    print(
        f"{count} combinations on {bars:,} bars: at most {_most_memory():,.0f} MiB, "
        f"{before:,.0f} once laid out; compiled or loaded in {first:.1f} s"
    )


if __name__ == "__main__":
    what, *sizes = sys.argv[1:] or ["run"]
    {"run": run, "sweep": sweep, "weigh": weigh}[what](*(int(one) for one in sizes))
