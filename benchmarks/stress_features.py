"""Time every feature and the composite stress index on nine years of hourly bars.

    python benchmarks/stress_features.py

Made-up bars and readings, no stored data. The goal is every stress feature in under 3 seconds on
one core; levels and events are listed beside them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.signals.markets import made_up

from delever.deleveraging.phase_machine import market_phases
from delever.deleveraging.stress import stress_index
from delever.signals.features import FEATURES, measure

GOAL = 3.0
DAYS = 77_374 // 24


def main() -> int:
    market = made_up(days=DAYS, timeframe="1h")
    spent = {}
    for name in FEATURES:
        start = perf_counter()
        measure(name, market)
        spent[name] = perf_counter() - start
    price = ("fall_speed", "volatility", "volume_shock")
    stress = {
        name: t for name, t in spent.items() if FEATURES[name].needs or name.startswith(price)
    }
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"{name:28} {seconds * 1_000:8.1f} ms{'' if name in stress else '   level or event'}")
    total = sum(stress.values())
    print(f"{len(stress)} stress features on {len(market.index):,} bars: {total:.2f} s")
    for name, work in (("stress index", stress_index), ("phases", market_phases)):
        start = perf_counter()
        work(market)
        print(f"{name}: {perf_counter() - start:.2f} s")
    return 0 if total < GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
