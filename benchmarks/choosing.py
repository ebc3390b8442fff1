"""What the figures on choosing come to where there is nothing to choose, and where there is.

    python benchmarks/choosing.py [REPLICATIONS]

Overfitting: 200 matrices of 1,000 normal returns x 200 trials, with and without 20 that have an
edge; moving averages on random walks. Periods left out: nine exposure paths drawn at random on
markets of GARCH with jumps, on the sample's returns in blocks, and on the sample itself, with
periods drawn by rule: whatever choosing saves is luck. Walks: random exposures and moving averages
on markets whose signs are drawn, 39 shifts a walk. Seeds are the numbers of the replications.

A test at 5 % should reject in 3 to 7 %; less is conservative.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import delever as dl
from delever.deleveraging.drawn import drawn_periods
from delever.research.choosing import Parts, Tried, choosing
from delever.research.null_markets import GarchJumps, resampled_bars, simulate_bars
from delever.stats.overfitting import overfitting

SAMPLE = Path(__file__).parents[1] / "data" / "sample" / "btc_usd_1d.csv"
BARS, TRIALS, BLOCKS = 1_000, 200, 16
PATHS, STAY = 9, 40
Floats = np.ndarray


def halved(returns: Floats) -> float:
    """Probability of overfitting of returns of shape (bars, trials)."""
    parts = np.array_split(returns, BLOCKS)
    sums = np.stack([part.sum(axis=0) for part in parts], axis=1)
    squares = np.stack([(part**2).sum(axis=0) for part in parts], axis=1)
    return overfitting(sums, squares, [len(part) for part in parts]).probability


def averages(rng: np.random.Generator) -> Floats:
    """Returns of twelve rules that hold above their moving average, on a random walk."""
    market = rng.normal(0.0, 0.02, 2_000)
    close = pd.Series(100.0 * np.exp(market.cumsum()))
    rows = [close > close.rolling(days).mean() for days in range(10, 250, 20)]
    held = np.stack([row.shift(fill_value=False).to_numpy() for row in rows], axis=1)
    return held * market[:, None]


def populations(many: int) -> None:
    null = [halved(np.random.default_rng([1, n]).normal(size=(BARS, TRIALS))) for n in range(many)]
    edge = []
    for n in range(many):
        returns = np.random.default_rng([2, n]).normal(size=(BARS, TRIALS))
        returns[:, :20] += 0.15
        edge.append(halved(returns))
    grid = [halved(averages(np.random.default_rng([3, n]))) for n in range(many)]
    for name, found in (
        ("no edge, 1,000 x 200", null),
        ("20 of 200 with an edge of 0.15 a bar", edge),
        ("moving averages on random walks", grid),
    ):
        ends = np.quantile(found, [0.05, 0.95])
        print(
            f"{name}: mean {np.mean(found):.3f}, 5 to 95 % {ends[0]:.3f} to {ends[1]:.3f}",
            flush=True,
        )


def sample() -> pd.DataFrame:
    return pd.read_csv(SAMPLE, index_col=0, parse_dates=True).iloc[-3_000:]


MARKETS: dict[str, Callable[[int], pd.DataFrame]] = {
    "GARCH-t with jumps": lambda n: simulate_bars(3_000, seed=n, process=GarchJumps(tails=5.0)),
    "resampled history": lambda n: resampled_bars(
        sample(), "1d", "blocks", np.random.default_rng([4, n])
    ),
    "random exposure": lambda n: sample(),
}


def left_out(kind: str, number: int) -> dict[str, float]:
    """p-value by way of choosing."""
    bars = MARKETS[kind](number)
    index = pd.DatetimeIndex(bars.index)
    parts = Parts.of(index, "1d", 0, drawn_periods(bars["close"], "1d"))
    market = bars["close"].pct_change().fillna(0.0).to_numpy()
    rng = np.random.default_rng([5, number])
    switches = (rng.random((PATHS, len(index))) < 1.0 / STAY).cumsum(axis=1)
    held = (switches + rng.integers(2, size=(PATHS, 1))) % 2 * market

    def sums(one: Floats) -> Floats:
        own = np.stack([one, one**2, np.log1p(one), np.zeros_like(one)], axis=-1)
        since = np.concatenate([np.zeros_like(own[..., :1, :]), own.cumsum(axis=-2)], axis=-2)
        first, last = np.array(list(parts.rows.values())).T
        return since[..., last, :] - since[..., first, :]

    found = choosing(
        Tried(
            parts=parts,
            sums=sums(held),
            begins=np.zeros(PATHS, dtype=int),
            benchmark=sums(market),
            periods_per_year=365.0,
        )
    )
    return {by: one.p_value for by, one in found.gained.items()}


def periods_left_out(many: int) -> None:
    for kind in MARKETS:
        found = [left_out(kind, number) for number in range(many)]
        for by in ("sharpe_ratio", "payout"):
            own = np.array([one[by] for one in found if by in one])
            print(
                f"period left out, by {by}, {kind}: rejects {100 * np.mean(own <= 0.05):.1f} % of "
                f"{len(own)} markets",
                flush=True,
            )


def walked(number: int, *, follows: bool) -> float:
    """p-value of a walk on the sample's returns with their signs drawn."""
    bars = resampled_bars(
        sample().iloc[-1_500:], "1d", "random signs", np.random.default_rng([6, number])
    )
    market = dl.market(bars, timeframe="1d", symbol="X/Y")

    def rule(market: dl.MarketView, *, days: int = 20) -> pd.Series:
        if follows:
            close = market.bars["close"]
            return (close > close.rolling(days).mean()).astype(float)
        rng = np.random.default_rng([7, number, days])
        switches = (rng.random(len(market.index)) < 1.0 / days).cumsum() + rng.integers(2)
        return pd.Series(switches % 2 == 0, index=market.index, dtype=float)

    axes = {"days": [10, 20, 40, 80]}
    return dl.walk_forward(market, rule, axes, window=365, step=180, shifts=39).p_value


def walks(many: int) -> None:
    for name, follows in (("random exposures", False), ("moving averages", True)):
        found = np.array([walked(number, follows=follows) for number in range(many)])
        print(f"walk, {name}: rejects {100 * np.mean(found <= 0.05):.1f} % of {many}", flush=True)


def main(arguments: list[str]) -> None:
    many = int(arguments[0]) if arguments else 400
    populations(min(many, 200))
    periods_left_out(many)
    walks(many)


if __name__ == "__main__":
    main(sys.argv[1:])
