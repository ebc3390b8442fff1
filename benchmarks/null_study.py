"""How often does a signal study find something where there is nothing, and what it says it finds?

    python benchmarks/null_study.py [sizes|power|speed] [--markets 0:300] [--rows FILE.csv]
        [--cluster local:2]
    python benchmarks/null_study.py sizes|power --judge FILE.csv FILE.csv ...

Markets without an effect of any level are drawn again from the embedded sample in six ways, and in
two of three correlated coins that begin at different times, pooled. Breaks of three rules are
studied on each with everything a page prints. Counted are, at 5 %, every p-value, whether a page
shows any, and whether three rules studied together do; and how often 90 % intervals hold the truth,
which is zero for differences to placebos and else the mean over all markets of the kind. Then
effects are planted into prices, of half, one and one and a half times the smallest that the page
says would be found.

Promised are a rejection in at most 7 % of studies for every p-value (in 3 to 7 % for the one that
decides), any on a page and of three rules together in at most 6 %, coverage of at least 87 %, and
power within 5 points; each is judged with two standard errors of so many markets, and in a single
kind, of which there are many, with four. Ends with exit code 1 where a promise is broken. Markets
may be studied in parts, whose rows are then judged together, and by the workers of a cluster. With
300 markets sizes and power take about an hour of one core each.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

import delever as dl
from delever.research.null_markets import NULL_KINDS, NullKind, resampled_bars, simulate_bars
from delever.research.signal.conditions import study_conditions
from delever.research.signal.event_study import abnormal_returns, event_study
from delever.research.signal.family import family_tests
from delever.research.signal.ladder import study_ladder
from delever.research.signal.level_break import LevelRule, Signal
from delever.research.signal.level_rules import RULES
from delever.research.signal.placebo import Placebos, placebo_events
from delever.research.signal.planted import DIRECTIONS, POWER_AT, plant
from delever.research.signal.pool import PooledSignals, pool_signals
from delever.research.signal.study import SignalStudy, StudyDesign, study_signal
from delever.stats.families import holm
from delever.study.machines.executor import mapping, open_executor
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
PATH, CURVE = (1, 10, 20, 30), (10, 30, 60)  # bars at which bands are looked at
TESTED = ["kind", "rule", "seed", "what", "p", "estimate", "low", "high"]
PLANTED = ["events", "direction", "multiple", "effect", "said", "found"]


def rules() -> dict[str, LevelRule]:
    return {
        "rolling_low": RULES["rolling_low"](),
        "average": RULES["average"](weeks=100),
        "round_number": RULES["round_number"](),
    }


def events_alone(signals: list[Signal]) -> list[Signal]:
    """The same events as of a signal without a level, which volatility-matched bars decide."""
    return [replace(signal, level=None, placebo=None, again=None) for signal in signals]


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


@dataclass(frozen=True)
class Studied:
    """A signal on its markets, studied."""

    signals: list[Signal]
    pool: PooledSignals
    placebos: Placebos | None
    study: SignalStudy

    @classmethod
    def of(cls, signals: list[Signal], name: str, design: StudyDesign) -> Studied:
        pool = pool_signals(signals)
        placebos = placebo_events(pool, design.factors())
        study = study_signal(
            signals, name=name, design=design, pool=pool, placebos=placebos, calibrated=False
        )
        return cls(signals, pool, placebos, study)


def page(one: Studied, seed: int) -> Iterator[tuple[str, float, float, float, float]]:
    """Of everything that a page prints: name, p-value, estimate, and its interval."""
    signals, pool, placebos, study = one.signals, one.pool, one.placebos, one.study
    design = study.design
    decides = (design.decides, study.against)
    first = float(study.deciding["p_value"])
    if math.isnan(first):
        return
    for key, row in study.comparisons.iterrows():
        label = "decides" if key == decides else f"{key[0]} {key[1]}"
        yield label, row["p_value"], row["adjusted"], row["low"], row["high"]
    if placebos is None:
        return
    for horizon, row in study.outcomes.iterrows():
        yield f"hit rate {horizon}", math.nan, row["hit_rate"], row["hit_low"], row["hit_high"]
    if seed % SELDOM == 0:
        path = abnormal_returns(pool, None, design, placebos).path.loc[list(PATH)]
        for bar, row in path.iterrows():
            yield f"abnormal {bar}", math.nan, row["adjusted"], row["low"], row["high"]
    closes = signals[0].market.bars["close"]
    rising = (closes > closes.rolling(200).mean()).reindex(pool.index).to_numpy(dtype=np.float64)
    holds = {"rising": np.repeat(rising[:, None], len(signals), axis=1)}
    for _, row in study_conditions(pool, holds, design.decides, decided=first).iterrows():
        yield "condition", row["p_value"], math.nan, math.nan, math.nan
    ladder = study_ladder(pool, RUNGS, RUNG_BARS, design=design, placebos=placebos, decided=first)
    for rung, row in ladder.table.iterrows():
        if row["complete"] >= 5:
            yield f"reached {rung}", math.nan, row["reached"], row["low"], row["high"]
            lower, upper = row["difference_low"], row["difference_high"]
            yield f"rung {rung}", row["p_value"], row["difference"], lower, upper
        if row["before"] >= 5:
            yield f"onward {rung}", math.nan, row["onward"], row["onward_low"], row["onward_high"]
        lower, upper = row["median_low"], row["median_high"]
        yield f"half by {rung}", math.nan, row["median_bars"], lower, upper
        for bar, band in ladder.curve(float(rung)).loc[list(CURVE)].iterrows():
            yield f"curve {rung}, {bar}", math.nan, band["breaks"], band["low"], band["high"]
    if len(signals) == 1 and seed % SELDOM == 0:
        returns = signals[0].market.bars[["close"]].pct_change(fill_method=None)
        flags = signals[0].event.to_frame("close")
        found = event_study(returns, flags, window=(1, design.decides), alpha=0.10)
        for bar, row in found.path.loc[list(PATH)].iterrows():
            p_value = found.p_value if bar == design.decides else math.nan
            yield f"event study {bar}", p_value, row["adjusted"], row["low"], row["high"]


def sizes(seeds: Sequence[int]) -> pd.DataFrame:
    """Everything that pages print of markets without an effect, a row each."""
    sample = dl.market("sample/ohlcv/BTC/USD/1d").bars.iloc[-BARS:]
    kinds = (*NULL_KINDS, "three coins, garch", "three coins, random signs")
    rows: list[tuple[object, ...]] = []
    for seed in seeds:
        for kind in kinds:
            seen = markets(sample, kind, seed)
            drawn = {rule: [level.on(market) for market in seen] for rule, level in rules().items()}
            design = StudyDesign(**DESIGN, seed=seed)
            family = [Studied.of(signals, rule, design) for rule, signals in drawn.items()]
            alone = Studied.of(events_alone(drawn["rolling_low"]), "low, no level", design)
            for one in (*family, alone):
                rows += [(kind, one.study.name, seed, *row) for row in page(one, seed)]
            together = family_tests(
                [one.study for one in family],
                [one.pool for one in family],
                [one.placebos for one in family],
            )
            for rule, p_value in together["p_stepm"].items():
                rows.append((kind, rule, seed, "StepM", p_value, *[math.nan] * 3))
    return pd.DataFrame(rows, columns=TESTED)


def judge_sizes(frame: pd.DataFrame) -> bool:
    """Print how often what is printed rejects and covers, by kind of market and over all."""
    bare = frame["rule"] == "low, no level"
    frame = frame.assign(what=frame["what"].where(~bare, frame["what"] + ", no level"))
    frame["seed"] = frame["kind"] + frame["seed"].astype(str)
    zero = frame["what"].str.contains("^decides|placebo|^abnormal|^rung")
    truth = frame.groupby(["kind", "rule", "what"])["estimate"].transform(_centre)
    frame["truth"] = np.where(zero, 0.0, truth)
    frame = pd.concat([frame, frame.assign(kind="all of them")], ignore_index=True)
    tested = frame.dropna(subset="p").assign(hit=lambda one: one["p"] <= 0.05)
    own = ~tested["what"].str.contains("event study|no level|StepM")
    by_page = ["kind", "rule", "seed"]
    pages = tested[own].groupby(by_page)["hit"].any().reset_index().assign(what="any on a page")
    first = tested[tested["what"] == "decides"].groupby(["kind", "seed"])["p"]
    family = first.apply(lambda one: min(holm(one.tolist())) <= 0.05)
    family = family.rename("hit").reset_index().assign(what="three rules together")
    steps = tested[tested["what"] == "StepM"].groupby(["kind", "seed"])["hit"].any()
    steps = steps.reset_index().assign(what="three rules together, StepM")
    found = pd.concat([tested[tested["what"] != "StepM"], pages, family, steps])
    shares = found.pivot_table(index="what", columns="kind", values="hit", aggfunc=["mean", "size"])
    kept = True
    for what, row in shares["mean"].iterrows():
        row = row.dropna()
        room = _errors(row.index) * np.sqrt(0.05 * 0.95 / shares["size"].loc[what, row.index])
        most = 0.06 if str(what).startswith(("any on", "three rules")) else 0.07
        least = 0.03 if str(what).startswith("decides") else 0.0
        kept &= bool((row <= most + room).all() and (row >= least - room).all())
    print("rejected at 5 %\n" + (100 * shares["mean"]).round(1).to_string())
    print("of\n" + shares["size"].to_string(), flush=True)
    spans = frame.dropna(subset=["low", "high"]).copy()
    above, below = spans["low"] <= spans["truth"] + 1e-9, spans["truth"] <= spans["high"] + 1e-9
    spans["holds"] = above & below
    covered = spans.pivot_table(
        index="what", columns="kind", values="holds", aggfunc=["mean", "size"]
    )
    print("90 % intervals that hold the truth\n" + (100 * covered["mean"]).round(1).to_string())
    for what, row in covered["mean"].iterrows():
        row = row.dropna()
        room = _errors(row.index) * np.sqrt(0.09 / covered["size"].loc[what, row.index])
        kept &= bool((row >= 0.87 - room).all())
    return kept


def _errors(kinds: pd.Index) -> np.ndarray:
    """Standard errors that each kind may be off: two for all of them, and of so many kinds four."""
    return np.where(kinds == "all of them", 2.0, 4.0)


def _centre(values: pd.Series) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean() if len(finite) == len(values) else values.median())


def power(seeds: Sequence[int]) -> pd.DataFrame:
    """Effects planted after the events of a page, and whether they are found, a row each."""
    bars = dl.market("sample/ohlcv/BTC/USD/1d").bars
    chosen = (RULES["rolling_low"](), RULES["average"](weeks=50))
    kinds: tuple[NullKind, ...] = ("garch", "random signs", "heston")
    rows: list[tuple[object, ...]] = []
    for seed in seeds:
        design = StudyDesign(horizons=(30,), decides=30, draws=DRAWS, seed=seed)
        direction = DIRECTIONS[seed % 2]
        sign = 1 if direction == "rise" else -1
        for place, kind in enumerate(kinds):
            rng = np.random.default_rng([seed, 2])
            drawn = bars.iloc[-LENGTHS[(seed + place) % len(LENGTHS)] :]
            market = MarketView(bars=resampled_bars(drawn, "1d", kind, rng), timeframe="1d")
            for level in chosen:
                signal = level.on(market)
                study = study_signal([signal], name=level.name, design=design)
                if study.power.empty:
                    continue
                events = int(study.outcomes["distinct"].iloc[0])
                for multiple in POWER_AT:
                    effect, said = study.power.loc[(direction, multiple)]
                    if math.isnan(said):
                        continue
                    moved, _ = plant(signal, sign * effect, 30)
                    again = study_signal([moved], name="", design=design, calibrated=False)
                    if again.verdict != "too few":
                        rows.append((events, direction, multiple, effect, said, again.rejects))
    return pd.DataFrame(rows, columns=PLANTED)


def judge_power(frame: pd.DataFrame) -> bool:
    """Print what was said to be found and what was, by number of events."""
    kept = True
    for low, high in BINS:
        mine = frame[frame["events"].between(low, high)]
        table = mine.groupby("multiple")[["effect", "said", "found"]].mean()
        table["studies"] = mine.groupby("multiple").size()
        table["error"] = np.sqrt(table["said"] * (1 - table["said"]) / table["studies"])
        print(f"{low} to {high} events\n{table.round(3).to_string()}", flush=True)
        kept &= bool(((table["said"] - table["found"]).abs() <= 0.05 + 2 * table["error"]).all())
    print(frame.groupby(["direction", "multiple"])[["said", "found"]].mean().round(3).to_string())
    return kept


def speed() -> bool:
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


PARTS = {"sizes": (sizes, judge_sizes), "power": (power, judge_power)}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=[*PARTS, "speed"], default=[*PARTS, "speed"])
    parser.add_argument("--markets", default=f"0:{MARKETS}", help="first:after the last")
    parser.add_argument("--rows", help="file to write the rows of one part to, unjudged")
    parser.add_argument("--judge", nargs="+", help="files of rows of one part, to judge together")
    parser.add_argument("--cluster", help="Dask: tcp://HOST:8786, or local:2 for processes here")
    asked = parser.parse_args()
    kept = True
    for part in asked.parts:
        if part == "speed":
            kept &= speed()
            continue
        study, judge = PARTS[part]
        if asked.judge:
            rows = pd.concat([pd.read_csv(file) for file in asked.judge], ignore_index=True)
        else:
            first, after = map(int, asked.markets.split(":"))
            with open_executor(1, asked.cluster) as pool:
                each = mapping(pool)(lambda seed, study=study: study([seed]), range(first, after))
                rows = pd.concat([one for one in each if len(one)], ignore_index=True)
        if asked.rows:
            rows.to_csv(asked.rows, index=False)
        else:
            kept &= judge(rows)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
