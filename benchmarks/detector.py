"""Is any causal detector of deleveraging better than a plain drawdown?

    python benchmarks/detector.py BITCOIN.csv [OTHER.csv] [--hourly BITCOIN_1H.csv]

Daily bars (timestamp, open, high, low, close, volume); of hourly ones days and bars of four hours
are made, and the same rules, in as many days, shown on all three. Thresholds are chosen on
bitcoin's first half, before 2020: the greatest F1 among those no later, in the median, than a
drawdown of 20 days beyond 20 %. Shown are both halves, and the other market as it is; its periods
are drawn by rule, for the catalogue's dates are bitcoin's. Intervals: 90 %, from quarters drawn
anew 1,000 times, the same for every rule, so that the differences to the plain drawdown are paired;
those of hours from periods drawn anew. An alarm is a run of detected bars; runs less than a week
apart are one. Then come 40 made coins that follow bitcoin's second half about as ether does, 1.25
times as far and with a correlation of 0.8: the forced selling is the same, the prices are not.
Their ranges are those of nine coins in ten.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from delever.bars import close_times, resample
from delever.deleveraging.detect import Detector, Drawdown, detect
from delever.deleveraging.drawn import drawn_periods
from delever.deleveraging.membership import membership
from delever.deleveraging.overlap import DetectionReport, overlap
from delever.deleveraging.period import Period, load_catalog
from delever.deleveraging.phase_machine import PhaseRules, is_deleveraging, market_phases
from delever.signals.clock import bars_in
from delever.study.research.period_report import JOIN_DAYS
from delever.units import timeframe_delta
from delever.view import MarketView

ROOT = Path(__file__).parents[1]
HALF = pd.Timestamp("2020-01-01", tz="UTC")
DRAWS, BLOCK = 1_000, 91
WARM_UP, HOUR = pd.Timedelta("100D"), pd.Timedelta("1h")
COINS, BETA, TOGETHER, TAILS = 40, 1.25, 0.8, 5
"""Made coins, how far they go with bitcoin, how closely, and degrees of freedom of the rest."""

Rule = Callable[[MarketView], "pd.Series[bool]"]


def _phases(flow: float, enter: float) -> Rule:
    def rule(market: MarketView) -> pd.Series[bool]:
        rules = replace(PhaseRules(), flow_enter=flow, enter=enter)
        on = is_deleveraging(market_phases(market, rules))
        return on.reindex(market.index, fill_value=False)

    return rule


def _closes(detector: Drawdown | Detector) -> Rule:
    def rule(market: MarketView) -> pd.Series[bool]:
        days = isinstance(detector, Detector)
        return detect(
            market.bars["close"], detector.in_days(market.timeframe) if days else detector
        )

    return rule


SIMPLE: dict[str, Rule] = {
    "20 days beyond 20 %": _closes(Drawdown()),
    "20 days beyond 15 %": _closes(Drawdown(fall=0.15)),
    "7 days beyond 12 %": _closes(Drawdown(days=7, fall=0.12)),
}
TUNED: dict[str, dict[str, Rule]] = {
    "speed of the fall": {
        f"{enter:g}": _closes(Detector(enter=enter)) for enter in (1.5, 2.0, 2.5, 3.0, 3.5)
    },
    "phases": {
        f"{flow:g}, {enter:g}": _phases(flow, enter)
        for flow in (0.98, 0.99, 0.995)
        for enter in (0.9, 0.95, 0.98)
    },
}
PLAIN = next(iter(SIMPLE))


def _score(on: pd.Series, periods: Sequence[Period]) -> DetectionReport:
    return overlap(on, periods, "1d", join_days=JOIN_DAYS)


def _f1(report: DetectionReport) -> float:
    precision, recall = report.bar_precision, report.bar_recall
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def _counts(on: pd.Series, periods: Sequence[Period], timeframe: str = "1d") -> np.ndarray:
    """Bars detected rightly, detected, and in a period, by quarter."""
    inside = membership(pd.DatetimeIndex(on.index), timeframe, periods).to_numpy()
    rows = np.column_stack([on.to_numpy() & inside, on.to_numpy(), inside]).astype(float)
    return np.add.reduceat(rows, np.arange(0, len(rows), bars_in(BLOCK, timeframe)))


def _shares(counts: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Precision and recall of each draw of quarters."""
    right, detected, inside = (counts[draws].sum(axis=1)).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.column_stack([right / detected, right / inside])


def _within(on: pd.Series, periods: Sequence[Period]) -> pd.Series:
    first, last = min(one.start for one in periods), max(one.end for one in periods)
    return on[(on.index >= first) & (on.index < last)]


def _table(title: str, states: dict[str, pd.Series], periods: Sequence[Period]) -> None:
    print(f"\n{title}: {len(periods)} periods\n")
    print(
        "| rule | precision | recall | against the plain one | found | lag | false alarms a year |"
    )
    print("|---|---|---|---|---|---|---|")
    plain = _counts(_within(states[PLAIN], periods), periods)
    draws = np.random.default_rng(0).integers(0, len(plain), (DRAWS, len(plain)))
    base = _shares(plain, draws)
    for name, on in states.items():
        report = _score(on, periods)
        drawn = _shares(_counts(_within(on, periods), periods), draws)
        low, high = np.nanquantile(drawn, [0.05, 0.95], axis=0)
        apart = np.nanquantile(drawn - base, [0.05, 0.95], axis=0).T
        years = (report.end - report.start) / pd.Timedelta("365D")
        beside = "" if name == PLAIN else "; ".join(f"{a:+.2f} to {b:+.2f}" for a, b in apart)
        found = int(report.periods["detected"].sum())
        print(
            f"| {name} | {report.bar_precision:.2f} ({low[0]:.2f} to {high[0]:.2f}) "
            f"| {report.bar_recall:.2f} ({low[1]:.2f} to {high[1]:.2f}) | {beside} "
            f"| {found} of {len(report.periods)} | {24 * report.periods['lag'].median():.0f} h "
            f"| {report.false_alarms / years:.1f} |"
        )


def _coin(market: MarketView, seed: int) -> MarketView:
    """A coin that moves with the market, and with wild days of its own."""
    logs = np.log(market.bars[["open", "high", "low", "close"]])
    moves = BETA * logs["close"].diff().fillna(0.0)
    rest = np.random.default_rng(seed).standard_t(TAILS, len(moves)) / np.sqrt(TAILS / (TAILS - 2))
    close = (moves + rest * moves.std() * np.sqrt(1 / TOGETHER**2 - 1)).cumsum()
    opens, ends = close.shift(1).fillna(0.0), logs[["open", "close"]]
    high = np.maximum(opens, close) + BETA * (logs["high"] - ends.max(axis=1)).clip(lower=0.0)
    low = np.minimum(opens, close) + BETA * (logs["low"] - ends.min(axis=1)).clip(upper=0.0)
    made = np.exp(pd.DataFrame({"open": opens, "high": high, "low": low, "close": close}))
    return replace(market, bars=made.assign(volume=market.bars["volume"]))


def _coins(market: MarketView, rules: dict[str, Rule], periods: Sequence[Period]) -> None:
    """How each rule does on the made coins, on average and in nine of ten."""
    rows = []
    for seed in range(COINS):
        coin = _coin(market, seed)
        for name, rule in rules.items():
            report = _score(rule(coin), periods)
            years = (report.end - report.start) / pd.Timedelta("365D")
            lag = 24 * report.periods["lag"].median()
            found = report.periods["detected"].mean() * len(periods)
            shares = report.bar_precision, report.bar_recall
            rows.append((seed, name, *shares, _f1(report), found, lag, report.false_alarms / years))
    names = ["seed", "rule", "precision", "recall", "F1", "found", "lag", "false"]
    frame = pd.DataFrame(rows, columns=names).set_index(["rule", "seed"])
    print(f"\n{COINS} made coins: {len(periods)} periods\n")
    print("| rule | precision | recall | F1 less the plain one's | found | lag | false a year |")
    print("|---|---|---|---|---|---|---|")
    for name in rules:
        mine = frame.loc[name]
        ends = mine.quantile([0.05, 0.95])
        apart = (mine["F1"] - frame.loc[PLAIN]["F1"]).quantile([0.05, 0.95]).tolist()
        beside = "" if name == PLAIN else f"{apart[0]:+.2f} to {apart[1]:+.2f}"
        shares = " | ".join(
            f"{mine[one].mean():.2f} ({ends[one].iloc[0]:.2f} to {ends[one].iloc[1]:.2f})"
            for one in ("precision", "recall")
        )
        print(
            f"| {name} | {shares} | {beside} | {mine['found'].mean():.1f} "
            f"| {mine['lag'].mean():.0f} h | {mine['false'].mean():.1f} |"
        )


def _by_timeframe(hours: MarketView, rules: dict[str, Rule], catalogue: Sequence[Period]) -> None:
    """How late each rule knows of a period on bars of each length, in hours."""
    print("\n| rule | bars | precision | recall | found | known after | before the low | false |")
    print("|---|---|---|---|---|---|---|---|")
    lows = hours.bars["low"]
    for name, rule in rules.items():
        for timeframe in ("1d", "4h", "1h"):
            bars = hours.bars if timeframe == "1h" else resample(hours.bars, "1h", timeframe)
            on = rule(MarketView(bars=bars, timeframe=timeframe))[hours.index[0] + WARM_UP :]
            periods = [one for one in catalogue if on.index[0] <= one.start]
            periods = [one for one in periods if one.end <= on.index[-1]]
            report = overlap(on, periods, timeframe, join_days=JOIN_DAYS)
            known, early = [], []
            for one in periods:
                inside = on[one.start : one.end - timeframe_delta(timeframe)]
                if not inside.any():
                    continue
                at = close_times(inside[inside].index[:1], timeframe)[0]
                known.append((at - one.start) / HOUR)
                early.append((lows[one.start : one.end].idxmin() - at) / HOUR)
            draws = np.random.default_rng(0).integers(0, len(known), (DRAWS, len(known)))
            spans = [
                "{:.0f} h ({:.0f} to {:.0f})".format(
                    np.median(times),
                    *np.quantile(np.median(np.array(times)[draws], axis=1), [0.05, 0.95]),
                )
                for times in (known, early)
            ]
            shares = _within(on, periods)
            counts = _counts(shares, periods, timeframe)
            quarters = np.random.default_rng(0).integers(0, len(counts), (DRAWS, len(counts)))
            low, high = np.nanquantile(_shares(counts, quarters), [0.05, 0.95], axis=0)
            years = (report.end - report.start) / pd.Timedelta("365D")
            print(
                f"| {name} | {timeframe} | {report.bar_precision:.2f} ({low[0]:.2f} to "
                f"{high[0]:.2f}) | {report.bar_recall:.2f} ({low[1]:.2f} to {high[1]:.2f}) "
                f"| {len(known)} of {len(periods)} | {' | '.join(spans)} "
                f"| {report.false_alarms / years:.1f} |"
            )


def _read(file: str, timeframe: str = "1d") -> MarketView:
    bars = pd.read_csv(file, index_col=0, parse_dates=True)
    return MarketView(
        bars=bars.set_axis(pd.DatetimeIndex(bars.index).as_unit("ns")), timeframe=timeframe
    )


def _chosen(market: MarketView, periods: Sequence[Period]) -> Iterator[tuple[str, Rule]]:
    """The threshold of each detector that does best where it is tuned, and is not later."""
    yield from SIMPLE.items()
    latest = _score(SIMPLE[PLAIN](market)[:HALF], periods).periods["lag"].median()
    for name, rules in TUNED.items():
        scored = {label: _score(rule(market)[:HALF], periods) for label, rule in rules.items()}
        early = {k: one for k, one in scored.items() if one.periods["lag"].median() <= latest}
        label = max(early or scored, key=lambda k: _f1(scored[k]))
        yield f"{name} ({label}{'' if early else ', none as early'})", rules[label]


def main() -> None:
    """Print a table for each half of bitcoin, other markets, made coins and lengths of bars."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bitcoin")
    parser.add_argument("others", nargs="*")
    parser.add_argument("--hourly")
    asked = parser.parse_args()
    market = _read(asked.bitcoin)
    catalogue = load_catalog(ROOT / "data" / "deleveraging.toml")
    # The first half begins where every rule has had its warm-up.
    begun = market.index[300]
    halves = [
        [one for one in catalogue if one.start >= begun and one.end < HALF],
        [one for one in catalogue if one.start >= HALF and one.end <= market.index[-1]],
    ]
    rules = dict(_chosen(market, halves[0]))
    states = {name: rule(market) for name, rule in rules.items()}
    for title, periods in zip(("First half, tuned on", "Second half"), halves, strict=True):
        _table(title, states, periods)
    for file in asked.others:
        other = _read(file)
        drawn = drawn_periods(other.bars["close"], "1d", since=other.index[400])
        _table(Path(file).name, {name: rule(other) for name, rule in rules.items()}, drawn)
    _coins(replace(market, bars=market.bars[HALF - pd.Timedelta("400D") :]), rules, halves[1])
    if asked.hourly:
        _by_timeframe(_read(asked.hourly, "1h"), rules, catalogue)


if __name__ == "__main__":
    main()
