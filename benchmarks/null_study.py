"""How often does a signal study find something where there is nothing, and what it says it finds?

    python benchmarks/null_study.py [MARKETS] [sizes|power|speed ...]

Markets without an effect of any level are drawn again from the embedded sample in six ways, and in
two of three correlated coins that begin at different times, pooled. Breaks of three rules are
studied on each with everything a page prints. Counted are, at 5 %, every p-value, whether a page
shows any, and whether three rules studied together do; and how often 90 % intervals hold the truth,
which is zero for differences to placebos and else the mean over all markets of the kind. Then
effects are planted into prices, of half, one and one and a half times the smallest that the page
says would be found.

Promised are a rejection in at most 7 % of studies for every p-value (in 3 to 7 % for the one that
decides), any on a page in at most 6 %, coverage of at least 87 %, and power within 5 points; each
is judged with two standard errors of so many markets. Ends with exit code 1 where a promise is
broken. With 300 markets it takes about an hour of one core.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd

import delever as dl
from delever.research.null_markets import NULL_KINDS, NullKind, resampled_bars, simulate_bars
from delever.research.signal.event_study import abnormal_returns, event_study
from delever.research.signal.ladder import study_ladder
from delever.research.signal.level_break import LevelRule, Signal
from delever.research.signal.level_rules import RULES
from delever.research.signal.placebo import placebo_events
from delever.research.signal.planted import DIRECTIONS, POWER_AT, plant
from delever.research.signal.pool import pool_signals
from delever.research.signal.study import StudyDesign, study_signal
from delever.stats.families import holm
from delever.view import MarketView

MARKETS, BARS, DRAWS, RUNG_BARS = 300, 4_000, 200, 60
DESIGN = {"horizons": (7, 30, 90), "decides": 30, "draws": DRAWS, "alpha": 0.10}
RUNGS = (0.95, 0.9, 0.8)
TOGETHER, STARTS = 0.7, (0, 800, 2_000)  # correlation of three coins, and the bars they begin at
LENGTHS = (1_800, 3_000, 4_800)
BINS = ((5, 7), (8, 12), (13, 20))
SECONDS = 10.0
SELDOM = 3
"""Of so many markets one has its abnormal returns measured, bar by bar as a page draws them."""


def rules() -> dict[str, LevelRule]:
    return {
        "rolling_low": RULES["rolling_low"](),
        "average": RULES["average"](weeks=100),
        "round_number": RULES["round_number"](),
    }


def markets(sample: pd.DataFrame, kind: str, seed: int) -> list[MarketView]:
    """One market of a kind, or three coins that move together."""
    rng = np.random.default_rng([seed, 1])
    if not kind.startswith("three coins"):
        return [MarketView(bars=resampled_bars(sample, "1d", kind, rng), timeframe="1d")]
    base: NullKind = "garch" if kind.endswith("garch") else "random signs"
    drawn = [
        np.log(resampled_bars(sample, "1d", base, rng)["close"]).diff().fillna(0.0).to_numpy()
        for _ in range(4)
    ]
    found = []
    for name, begin, own in zip("ABC", STARTS, drawn[1:], strict=True):
        moves = math.sqrt(TOGETHER) * drawn[0] + math.sqrt(1 - TOGETHER) * own
        closes = pd.Series(np.exp(np.cumsum(moves)), index=sample.index).iloc[begin:]
        opens = closes.shift(1).fillna(1.0)
        bars = pd.DataFrame({"open": opens, "close": closes, "volume": np.nan})
        bars["high"], bars["low"] = (
            bars[["open", "close"]].max(axis=1),
            bars[["open", "close"]].min(axis=1),
        )
        found.append(MarketView(bars=bars, timeframe="1d", symbol=name))
    return found


def page(
    signals: list[Signal], name: str, seed: int
) -> Iterator[tuple[str, float, float, float, float]]:
    """Of everything that a page prints: name, p-value, estimate, and its interval."""
    design = StudyDesign(**DESIGN, seed=seed)
    pool = pool_signals(signals)
    placebos = placebo_events(pool, design.factors())
    study = study_signal(
        signals, name=name, design=design, pool=pool, placebos=placebos, calibrated=False
    )
    decides = (design.decides, study.against)
    first = float(study.deciding["p_value"])
    if math.isnan(first):
        return
    for key, row in study.comparisons.iterrows():
        label = "decides" if key == decides else f"{key[0]} {key[1]}"
        yield label, row["p_value"], row["adjusted"], row["low"], row["high"]
    for horizon, row in study.outcomes.iterrows():
        yield f"hit rate {horizon}", math.nan, row["hit_rate"], row["hit_low"], row["hit_high"]
    if seed % SELDOM == 0:
        last = abnormal_returns(pool, None, design, placebos).path.iloc[-1]
        yield "abnormal", math.nan, last["adjusted"], last["low"], last["high"]
    ladder = study_ladder(
        pool, RUNGS, RUNG_BARS, design=design, placebos=placebos, decided=first
    ).table
    for rung, row in ladder.iterrows():
        if row["complete"] >= 5:
            yield f"reached {rung}", math.nan, row["reached"], row["low"], row["high"]
            lower, upper = row["difference_low"], row["difference_high"]
            yield f"rung {rung}", row["p_value"], row["difference"], lower, upper
        if row["before"] >= 5:
            yield f"onward {rung}", math.nan, row["onward"], row["onward_low"], row["onward_high"]
        lower, upper = row["median_low"], row["median_high"]
        yield f"half by {rung}", math.nan, row["median_bars"], lower, upper
    if len(signals) == 1 and seed % SELDOM == 0:
        returns = signals[0].market.bars[["close"]].pct_change(fill_method=None)
        flags = signals[0].event.to_frame("close")
        found = event_study(returns, flags, window=(1, design.decides), alpha=0.10)
        last = found.path.iloc[-1]
        yield "event study", found.p_value, last["adjusted"], last["low"], last["high"]


def sizes(number: int) -> bool:
    sample = dl.market("sample/ohlcv/BTC/USD/1d").bars.iloc[-BARS:]
    kinds = (*NULL_KINDS, "three coins, garch", "three coins, random signs")
    rows, begun = [], time.perf_counter()
    for kind in kinds:
        for seed in range(number):
            seen = markets(sample, kind, seed)
            for rule, level in rules().items():
                for row in page([level.on(market) for market in seen], rule, seed):
                    rows.append((kind, rule, seed, *row))
        print(f"{kind}: {time.perf_counter() - begun:.0f} s", flush=True)
    names = ["kind", "rule", "seed", "what", "p", "estimate", "low", "high"]
    frame = pd.DataFrame(rows, columns=names)
    return judged(frame)


def judged(frame: pd.DataFrame) -> bool:
    kept = True
    tested = frame.dropna(subset="p").assign(hit=lambda one: one["p"] <= 0.05)
    pages = tested[tested["what"] != "event study"].groupby(["kind", "rule", "seed"])["hit"].any()
    first = tested[tested["what"] == "decides"].set_index(["kind", "seed"])["p"]
    family = first.groupby(level=[0, 1]).apply(lambda one: min(holm(one.tolist())) <= 0.05)
    shares = tested.pivot_table(
        index="what", columns="kind", values="hit", aggfunc=["mean", "size"]
    )
    shares.loc["any on a page"] = pd.concat(
        {what: pages.groupby("kind").agg(what) for what in ("mean", "size")}
    )
    shares.loc["three rules together"] = pd.concat(
        {what: family.groupby("kind").agg(what) for what in ("mean", "size")}
    )
    for what, row in shares["mean"].iterrows():
        room = 2 * np.sqrt(0.05 * 0.95 / shares["size"].loc[what])
        most = 0.06 if what in {"any on a page", "three rules together"} else 0.07
        kept &= bool(
            (row <= most + room).all() and (what != "decides" or (row >= 0.03 - room).all())
        )
    print("rejected at 5 %\n" + (100 * shares["mean"]).round(1).to_string(), flush=True)
    spans = frame.dropna(subset=["low", "high"]).copy()
    ours = spans["what"].isin(["decides", "7 placebo", "90 placebo", "abnormal"])
    ours |= spans["what"].str.startswith("rung")
    truth = spans.groupby(["kind", "rule", "what"])["estimate"].transform(_centre)
    spans["truth"] = np.where(ours, 0.0, truth)
    spans["holds"] = (spans["low"] <= spans["truth"] + 1e-9) & (
        spans["truth"] <= spans["high"] + 1e-9
    )
    covered = spans.pivot_table(
        index="what", columns="kind", values="holds", aggfunc=["mean", "size"]
    )
    print("90 % intervals that hold the truth\n" + (100 * covered["mean"]).round(1).to_string())
    for what, row in covered["mean"].iterrows():
        room = 2 * np.sqrt(0.09 / covered["size"].loc[what])
        kept &= bool((row >= 0.87 - room).all())
    return kept


def _centre(values: pd.Series) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean() if len(finite) == len(values) else values.median())


def power(number: int) -> bool:
    bars = dl.market("sample/ohlcv/BTC/USD/1d").bars
    chosen, rows, begun = (
        (RULES["rolling_low"](), RULES["average"](weeks=50)),
        [],
        time.perf_counter(),
    )
    kinds: tuple[NullKind, ...] = ("garch", "random signs", "heston")
    for seed in range(number):
        for place, kind in enumerate(kinds):
            rng = np.random.default_rng([seed, 2])
            length = LENGTHS[(seed + place) % len(LENGTHS)]
            market = MarketView(
                bars=resampled_bars(bars.iloc[-length:], "1d", kind, rng), timeframe="1d"
            )
            for level in chosen:
                signal = level.on(market)
                design = StudyDesign(horizons=(30,), decides=30, draws=DRAWS, seed=seed)
                study = study_signal([signal], name=level.name, design=design)
                if study.power.empty:
                    continue
                direction = DIRECTIONS[seed % 2]
                sign = 1 if direction == "rise" else -1
                events = int(study.outcomes.loc[30, "distinct"])
                for multiple in POWER_AT:
                    effect, said = study.power.loc[(direction, multiple)]
                    if math.isnan(said):
                        continue
                    moved, _ = plant(signal, sign * effect, 30)
                    again = study_signal([moved], name="", design=design, calibrated=False)
                    if again.verdict != "too few":
                        rows.append((events, direction, multiple, effect, said, again.rejects))
    print(f"planted: {time.perf_counter() - begun:.0f} s")
    frame = pd.DataFrame(
        rows, columns=["events", "direction", "multiple", "effect", "said", "found"]
    )
    kept = True
    for low, high in BINS:
        mine = frame[frame["events"].between(low, high)]
        table = mine.groupby("multiple")[["effect", "said", "found"]].mean()
        table["studies"] = mine.groupby("multiple").size()
        print(f"{low} to {high} events\n{table.round(3).to_string()}", flush=True)
        room = 0.05 + 2 * np.sqrt(0.25 / table["studies"])
        kept &= bool(((table["said"] - table["found"]).abs() <= room).all())
    print(frame.groupby(["direction", "multiple"])[["said", "found"]].mean().round(3).to_string())
    return kept


def speed(_: int) -> bool:
    kept = True
    print(f"one study, horizons 7, 30 and 90, 1,000 placebo levels, {BARS} bars")
    market = MarketView(bars=simulate_bars(BARS, seed=5).assign(volume=1.0), timeframe="1d")
    for name in sorted(set(RULES) - {"prices", "shutdown"}):
        begun = time.perf_counter()
        dl.signal_study(name, market)
        spent = time.perf_counter() - begun
        print(f"{name:22}{spent:>8.1f} s", flush=True)
        kept &= spent < SECONDS
    return kept


PARTS = {"sizes": sizes, "power": power, "speed": speed}


def main() -> int:
    words = sys.argv[1:]
    number = int(words.pop(0)) if words and words[0].isdigit() else MARKETS
    kept = [PARTS[word](number) for word in words or PARTS]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
