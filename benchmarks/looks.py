"""How often who looks after every event finds what is not there: table of docs/signal-studies.md.

    python benchmarks/looks.py [MARKETS]

The embedded sample's last 4,000 days drawn again without any memory of levels, and breaks of three
kinds of levels on each, compared with 60 placebo levels. Then the same with a rise of 30 % over 30
bars, or 14 % over 7, after every event. Seeds are the numbers of the markets.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from delever.research.null_markets import NullKind, resampled_bars
from delever.research.signal.forward import distinct
from delever.research.signal.level_break import Signal
from delever.research.signal.level_rules import RULES
from delever.research.signal.placebo import placebo_breaks, placebo_events, placebo_factors
from delever.research.signal.pool import forward_outcomes, pool_signals
from delever.research.signal.sequential import sequential
from delever.view import MarketView

SAMPLE = Path(__file__).parents[1] / "data" / "sample" / "btc_usd_1d.csv"
KINDS: tuple[NullKind, ...] = ("garch", "random signs", "blocks", "heston")
FACTORS = placebo_factors(60, 0.25, 0)
ENOUGH, EFFECT = 20.0, 0.3


def most(signal: Signal, horizon: int) -> tuple[float, int]:
    """Highest stake that any look would have shown, and how many looks there were."""
    pool = pool_signals([signal])
    ahead = forward_outcomes(pool, horizon)
    placebos = placebo_events(pool, FACTORS)
    beside = None if placebos is None else placebo_breaks(placebos, ahead)[0]
    found = sequential(ahead, pool.index, beside)
    return float(found["e_value"].max()) if len(found) else 1.0, len(found)


def planted(signal: Signal, horizon: int) -> Signal:
    """The same events, with a rise over the horizon after each; compared with all bars."""
    added = np.zeros(len(signal.event))
    for row in distinct(np.flatnonzero(signal.event.to_numpy()), horizon).tolist():
        added[row + 1 : row + 1 + horizon] = np.log1p(EFFECT * math.sqrt(horizon / 30.0)) / horizon
    bars = signal.market.bars.mul(np.exp(added.cumsum()), axis=0)
    market = MarketView(bars=bars, timeframe="1d", symbol=signal.market.symbol)
    return Signal(market=market, event=signal.event, known=signal.known)


def main(arguments: list[str]) -> None:
    markets = int(arguments[0]) if arguments else 200
    past = pd.read_csv(SAMPLE, index_col=0, parse_dates=True).iloc[-4_000:]
    rules = {
        "low of 26 weeks": RULES["rolling_low"](weeks=26),
        "100-week average": RULES["average"](weeks=100),
        "round numbers": RULES["round_number"](),
    }
    print("| markets | signal | held | looks | ever 20 | with a rise |")
    print("|---|---|---:|---:|---:|---:|")
    for kind in KINDS:
        found: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
        for number in range(markets):
            bars = resampled_bars(past, "1d", kind, np.random.default_rng([8, number]))
            market = MarketView(bars=bars, timeframe="1d", symbol="X/Y")
            for name, rule in rules.items():
                signal = rule.on(market)
                if not signal.event.any():
                    continue
                for horizon in (7, 30):
                    height, looks = most(signal, horizon)
                    lifted, _ = most(planted(signal, horizon), horizon)
                    row = (looks, height >= ENOUGH, lifted >= ENOUGH)
                    found.setdefault((name, horizon), []).append(row)
        for (name, horizon), rows in found.items():
            looks, ever, lifted = np.mean(np.array(rows, dtype=float), axis=0)
            print(
                f"| {kind} | {name} | {horizon} | {looks:.0f} | {100 * ever:.1f} % | "
                f"{100 * lifted:.0f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
