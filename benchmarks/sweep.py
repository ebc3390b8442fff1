"""How fast sweeps are: prints the performance table of the README.

    python benchmarks/sweep.py               what needs no data
    python benchmarks/sweep.py CSV           and 10,000 combinations on the hourly bars of a file:
                                             of a shipped strategy, and of the README's own
    python benchmarks/sweep.py --study CSV   these alone

Times are the least of several, warm, except of the last. Wall time suffers from whatever else the
machine does; CPU time, printed beside it, less. Memory is what the process grew by while it ran;
for the last, what all its processes hold, what they share divided among them.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Ge

from delever.engine import sweep_kernel
from delever.engine.settings import Account
from delever.engine.steps import TermArrays
from delever.engine.sweep_accounts import SweepAccount, asked, simulate
from delever.engine.sweep_market import SweepMarket, board_of, sweep_market
from delever.signals import indicators
from delever.study.kept.provenance import gather
from delever.study.settings.grid import combinations
from delever.study.settings.portfolio_config import load_study
from delever.study.sweeps.chunk import Combination, SweepGround, combination_maker
from delever.study.sweeps.chunk import ground_of as study_ground
from delever.study.workspaces.any_strategy import as_strategy
from delever.study.workspaces.workspace import Workspace, init
from delever.venues.contract import PerpContract
from delever.venues.costs import Costs
from delever.view import MarketView

COSTS = Costs(taker_fee=0.001, slippage=0.0005)


def resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


def grown(run: Callable[[], object]) -> int:
    """Bytes the process grew by at most while something ran."""
    gc.collect()
    before, most, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.0005):
            most = max(most, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    run()
    most = max(most, resident())
    done.set()
    watcher.join()
    return max(most - before, 0)


def timed(run: Callable[[], object], times: int) -> tuple[float, float]:
    """Least wall and CPU seconds."""
    walls, cpus = [], []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


def random_bars(size: int, seed: int = 0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    close = 1_000.0 * np.exp(np.cumsum(chance.normal(0.0003, 0.02, size)))
    opened = np.append(1_000.0, close[:-1])
    high, low = np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.99
    index = pd.date_range("2010-01-01", periods=size, freq="D", tz="UTC", name="open_time")
    frame = {"open": opened, "high": high, "low": low, "close": close}
    return pd.DataFrame(frame, index=index.as_unit("ns"))


def perpetual(bars: pd.DataFrame) -> SweepMarket:
    """A margin account with one bracket and funding at every open."""
    inside = np.arange(len(bars)) % 400 < 60
    market = sweep_market(bars, timeframe="1d", inside=inside)
    table = market.board.table.copy()
    table["paid_open"] = 0.0001 * table["mark_open"]
    held = TermArrays(
        rule=market.board.rule,
        paid=np.zeros((len(bars), 6)),
        brackets=np.array([[[np.inf, 0.005, 0.0, 125.0]]]),
        how=np.zeros((1, 3)),
    )
    account = Account(contract=PerpContract(symbol="X"), rules=(), leverage=2.0)
    return replace(market, account=account, board=board_of(table, inside, held, {}))


Row = tuple[str, str, str, str]


def kernel() -> list[Row]:
    bars = random_bars(20_000)
    market = perpetual(bars)
    rows = np.arange(len(bars))
    accounts = [
        SweepAccount(
            asked=asked(np.where((rows // (300 + n)) % 2 == 0, 1.0, -0.5), 0),
            costs=COSTS,
        )
        for n in range(1_024)
    ]
    frame = simulate(market, accounts)
    if frame["liquidations"].min() < 1.0 or (frame["funding"] == 0.0).any():
        raise SystemExit("every account of this benchmark must be liquidated and pay funding")
    wall, cpu = timed(lambda: simulate(market, accounts), 9)
    cells = len(bars) * len(accounts) / 1e9
    what = "a bar of a margin account, funding and liquidation on, one core"
    return [(what, f"{wall / cells:.2f} ns", f"{cpu / cells:.2f} ns", "")]


def crossings(close: pd.Series, windows: range) -> pd.DataFrame:
    return pd.DataFrame(
        {w: (close > close.rolling(w).mean()).astype(float) for w in windows}, index=close.index
    )


def against_vectorbt(engine: str) -> tuple[float, float, int]:
    import vectorbt as vbt

    bars, windows = random_bars(5_000), range(2, 1_002)
    held = crossings(bars["close"], windows)
    entries = (held == 1.0) & (held.shift(1, fill_value=0.0) == 0.0)
    exits = (held == 0.0) & (held.shift(1, fill_value=0.0) == 1.0)
    entries, exits = entries.shift(1, fill_value=False), exits.shift(1, fill_value=False)
    inside = np.arange(5_000) % 400 < 60

    def run() -> None:
        portfolio = vbt.Portfolio.from_signals(
            bars["open"], entries, exits, fees=0.001, slippage=0.0005, freq="1D", engine=engine
        )
        returns, exposure = portfolio.returns(), portfolio.gross_exposure()
        traded = portfolio.asset_flow().abs().mul(bars["open"], axis=0) / portfolio.value().shift(1)
        for part in (np.ones(5_000, dtype=bool), inside, ~inside):
            bar = returns[part]
            found = bar.vbt.returns(freq="1D", year_freq="365D")
            found.total(), found.annualized(), found.annualized_volatility()
            found.sharpe_ratio(), found.sortino_ratio(), found.max_drawdown(), found.calmar_ratio()
            found.downside_risk(), bar.min(), bar.max(), traded[part].mean()
            exposure[part].mean(), (exposure[part] != 0.0).mean()
        portfolio.trades.win_rate(), portfolio.trades.count(), portfolio.orders.fees.sum()

    run()
    memory = grown(run)
    return *timed(run, 2), memory


def vectorbt() -> list[Row]:
    bars, windows = random_bars(5_000), range(2, 1_002)
    held = crossings(bars["close"], windows).to_numpy()
    market = sweep_market(bars, timeframe="1d", inside=np.arange(5_000) % 400 < 60)
    accounts = [SweepAccount(asked=asked(held[:, n], 0), costs=COSTS) for n in range(1_000)]
    with ThreadPoolExecutor(2) as pool:

        def run() -> None:
            simulate(market, accounts, mapper=pool.map)

        run()
        wall, cpu = timed(run, 25)
        memory = grown(run)
    what = "1,000 windows x 5,000 bars, every metric in three scopes, two threads"
    rows = [(what, f"{wall:.3f} s", f"{cpu:.3f} s", f"+ {memory / 2**20:.1f} MiB")]
    for engine in ("numba", "rust"):
        slow, spent, took = against_vectorbt(engine)
        rows.append(
            (
                f"the same through vectorbt, {engine}",
                f"{slow:.2f} s (x {slow / wall:.0f})",
                f"{spent:.2f} s (x {spent / cpu:.0f})",
                f"+ {took / 2**20:.0f} MiB",
            )
        )
    return rows


def crossing(
    market: MarketView, *, fast: Annotated[int, Ge(1)] = 20, slow: Annotated[int, Ge(2)] = 100
) -> pd.Series:
    """Long while the fast average stands above the slow one."""
    close = market.bars["close"]
    quick, late = indicators.sma(close, fast), indicators.sma(close, slow)
    return (quick > late).astype(float).where(late.notna())


def ground_of(bars: pd.DataFrame) -> SweepGround:
    market = MarketView(bars=bars, timeframe="1d")
    return SweepGround(
        market=market,
        strategy=as_strategy(crossing),
        benchmark=pd.Series(1.0, index=market.index),
        account=None,
        periods=(),
        start=None,
        initial_equity=10_000.0,
        costs=COSTS,
    )


def asked_for(combinations: int) -> list[Combination]:
    fast, slow = range(5, 55), range(60, 60 + combinations // 50)
    return [Combination({"fast": a, "slow": b}, None, COSTS, COSTS) for a in fast for b in slow]


def in_kernel(run: Callable[[], object]) -> float:
    """Share of its CPU time that something spends in the compiled loop."""
    loop, spent = sweep_kernel.run_block, 0.0

    def watched(*args: object) -> None:
        nonlocal spent
        begun = time.thread_time()
        loop(*args)
        spent += time.thread_time() - begun

    sweep_kernel.run_block = watched
    try:
        begun = time.process_time()
        run()
        return spent / (time.process_time() - begun)
    finally:
        sweep_kernel.run_block = loop


def run_all(grounds: Sequence[SweepGround], wanted: Sequence[Combination]) -> None:
    for ground in grounds:
        done = ground.rows(wanted)
        if (done["error"] != "").any() or ground.asking.why:
            raise SystemExit(f"all crossings must be asked at once; {ground.asking.why}")


def crossings_of_averages() -> list[Row]:
    """From parameters to metrics: 5,000 pairs of windows, and how that grows."""
    rows = []
    for count, size, coins in (
        (5_000, 20_000, 1), (500, 20_000, 1), (5_000, 2_000, 1), (500, 20_000, 10),
    ):  # fmt: skip
        grounds, wanted = (
            [ground_of(random_bars(size, coin)) for coin in range(coins)],
            asked_for(count),
        )

        run = partial(run_all, grounds, wanted)
        run()
        wall, cpu = timed(run, 3)
        cells = count * size * coins / 1e9
        share = in_kernel(run)
        what = f"{count:,} crossings of two averages x {size:,} bars, signals and metrics"
        what += f", of {coins} coins" if coins > 1 else ""
        told = f"{cpu / cells:.0f} ns a bar, {share:.0%} in the kernel"
        rows.append((what, f"{wall:.2f} s", f"{cpu:.2f} s", told))
    for engine in ("numba", "rust"):
        wall, cpu = timed(partial(crossings_by_vectorbt, engine), 1)
        what = f"500 of the 5,000 through vectorbt, {engine}"
        rows.append((what, f"{wall:.1f} s", f"{cpu:.1f} s", f"{cpu / 0.01:.0f} ns a bar"))
    return rows


def crossings_by_vectorbt(engine: str) -> None:
    import vectorbt as vbt

    bars, wanted = random_bars(20_000), asked_for(500)
    lines = vbt.MA.run(bars["close"], window=sorted({*range(5, 55), *range(60, 70)})).ma
    lines.columns = lines.columns.get_level_values(0)
    quick = lines[[one.params["fast"] for one in wanted]].to_numpy()
    late = lines[[one.params["slow"] for one in wanted]].to_numpy()
    held = pd.DataFrame(np.where(np.isnan(late), 0.0, quick > late), index=bars.index)
    before = held.shift(1, fill_value=0.0)
    entries = ((held == 1.0) & (before == 0.0)).shift(1, fill_value=False)
    exits = ((held == 0.0) & (before == 1.0)).shift(1, fill_value=False)
    portfolio = vbt.Portfolio.from_signals(
        bars["open"], entries, exits, fees=0.001, slippage=0.0005, freq="1D", engine=engine
    )
    found = portfolio.returns().vbt.returns(freq="1D", year_freq="365D")
    found.total(), found.annualized(), found.annualized_volatility(), found.sharpe_ratio()
    found.sortino_ratio(), found.max_drawdown(), found.calmar_ratio()
    portfolio.trades.win_rate(), portfolio.trades.count()


def _family() -> list[Path]:
    """This process and all that came from it, where /proc tells."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[status.parent] = status.read_text().rpartition(")")[2].split()[1]
    found = [Path(f"/proc/{os.getpid()}")]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process.name]
    return found


def _proportional(process: Path) -> int:
    """Resident bytes, those shared between processes divided among them."""
    with suppress(OSError):
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _cpu(process: Path) -> float:
    """Seconds a process has computed so far."""
    with suppress(OSError):
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


AXES = """
[sweep]
memory = 256
[sweep.params]
weeks = { from = 10, to = 259, step = 1 }
"""
STUDIES = {
    "ma200w_break": 'average = ["sma", "wma"]\nconfirm_weeks = [1, 2, 3, 4, 5]\n'
    'when_below = ["flat", "short"]\nreentry = ["reclaim", "confirmed"]\n',
    "above_average": "[sweep.costs]\ntaker_fee = { from = 0.0, to = 0.0018, step = 0.0002 }\n"
    "[sweep.account]\nexposure = [0.25, 0.5, 0.75, 1.0]\n",
}


def readme_strategy() -> str:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    begun = text.index("# strategies/above_average.py")
    return text[begun : text.index("```", begun)]


def study(csv: str) -> list[Row]:
    """Two studies as the command runs them, from the file to the page, in all their processes."""
    rows = []
    for name, axes in STUDIES.items():
        with tempfile.TemporaryDirectory() as folder:
            place = init(Path(folder) / "workspace")
            (place.strategies / "above_average.py").write_text(readme_strategy())
            place.catalog.add(Path(csv), "file/ohlcv/BTC/USDT/1h")
            path = place.backtests / "hourly.toml"
            head = f'strategy = "{name}"\ndata = "file/ohlcv/BTC/USDT/1h"'
            path.write_text(head + AXES + axes)
            share = _share(path, place)
            rows.append((*_watched(name, path, place), f"{share:.0%} of it in the kernel"))
    return [(what, wall, cpu, f"{held}; {share}") for what, wall, cpu, held, share in rows]


def _share(path: Path, place: Workspace) -> float:
    """Share of the kernel in the CPU time from parameters to metrics."""
    found = load_study(path, {})
    ground = study_ground(found, gather(found, place))
    wanted = list(map(combination_maker(found, ground), combinations(found.sweep)))
    ground.rows(wanted[:64])
    return in_kernel(lambda: ground.rows(wanted))


def _watched(name: str, path: Path, place: Workspace) -> Row:
    most, seen, spent = threading.Event(), [0], {}
    command = [sys.executable, "-m", "delever", "sweep", str(path), "--json"]
    # As an installed package has it: bytecode is there, and written where it is not.
    said = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    said.setdefault("PYTHONPYCACHEPREFIX", str(Path(tempfile.gettempdir()) / "delever-bytecode"))
    subprocess.run([*command, "--set", "sweep.params.weeks=[10]"], cwd=place.root, env=said,
                   stdout=subprocess.DEVNULL, check=True)  # fmt: skip
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=place.root, env=said, stdout=subprocess.PIPE)

    def watch() -> None:
        while not most.wait(0.05):
            family = [one for one in _family() if one.name != str(os.getpid())]
            seen.append(sum(_proportional(one) for one in family))
            spent.update({one: _cpu(one) or spent.get(one, 0.0) for one in family})

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, _ = process.communicate()
    wall = time.perf_counter() - begun
    most.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"the sweep of {name} failed")
    done = json.loads(out)
    what = f"10,000 combinations of `{name}` on nine years of hourly bars, from command to page"
    if done["combinations"] != 10_000:
        raise SystemExit(f"10,000 combinations must have run; got {done['combinations']}")
    return what, f"{wall:.1f} s", f"{sum(spent.values()):.1f} s", f"{max(seen) / 2**20:.0f} MiB"


def main(files: Sequence[str]) -> None:
    print("| what | wall | CPU | memory |\n|---|---:|---:|---:|", flush=True)
    # The study first: it counts what its processes hold and have computed from their beginning.
    alone = "--study" in files
    rest = () if alone else (kernel, vectorbt, crossings_of_averages)
    for measure in (*(partial(study, file) for file in files if file != "--study"), *rest):
        for row in measure():
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
