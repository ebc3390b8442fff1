"""How a run comes by its answer: put to the tests of luck when it is made, stored, read back."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from delever.bars import resample
from delever.engine.orders import Target
from delever.errors import StrategyError
from delever.research.answer import Answer, answer, causal_periods
from delever.research.evaluation import Evaluation
from delever.research.luck import NullTest, timing_test
from delever.research.protection import COLUMNS, Protection
from delever.research.redrawn import Redrawing, Rule, redrawn_test
from delever.stats.bootstrap import Estimate
from delever.stats.sign_flip import MeanOfFew
from delever.study.kept.result import plain
from delever.study.machines.executor import mapping, open_executor
from delever.study.runs.simulation import target_of
from delever.study.workspaces.strategy import Strategy, strategy_from
from delever.units import timeframe_delta
from delever.view import MarketView

Progress = Callable[[str], None]
"""Told the name of each step as it begins."""


def counting(progress: Progress, what: str) -> Callable[[int, int], None]:
    """Tell how many of something are done as a step."""
    return lambda done, total: progress(f"{what}, {done:,} of {total:,}")


MARKETS = 400
"""Resampled markets of the test on redrawn periods."""


def daily_closes(bars: pd.DataFrame, timeframe: str) -> tuple[pd.Series, str]:
    """Closes that periods are detected on: those of whole days where the bars are finer."""
    if timeframe_delta(timeframe) >= pd.Timedelta(days=1):
        return bars["close"], timeframe
    return resample(bars, timeframe, "1d")["close"], "1d"


def answer_over(evaluation: Evaluation) -> Answer:
    """Answer for a run on nothing but its bars, without the tests of luck."""
    return answer(evaluation, *daily_closes(evaluation.bars, evaluation.backtest.timeframe))


def stored(found: Answer) -> dict[str, Any]:
    """The answer as JSON holds it; what follows from it stands beside it for other programs."""
    split = found.protection
    derived = ("payouts", "payout_ratio", "premium_per_year", "relative_growth")
    more = (*derived, "periods_per_year", "break_even_frequency")
    return {
        "verdict": found.verdict,
        "disagrees": found.disagrees,
        **{field.name: _plain(getattr(found, field.name)) for field in dataclasses.fields(found)},
        "account": {name: plain(getattr(split, name)) for name in more},
    }


def restored(document: Mapping[str, Any]) -> Answer:
    """The answer of a stored run."""

    def maybe(name: str, kind: type) -> Any:
        return None if document[name] is None else _record(kind, document[name])

    return Answer(
        protection=_record(Protection, document["protection"]),
        detected=document["detected"],
        saved=_record(MeanOfFew, document["saved"]),
        payout=_record(MeanOfFew, document["payout"]),
        causal=maybe("causal", Protection),
        causal_saved=maybe("causal_saved", MeanOfFew),
        estimates={name: _record(Estimate, one) for name, one in document["estimates"].items()},
        timing=None if document["timing"] is None else NullTest.from_data(document["timing"]),
        redrawn=None if document["redrawn"] is None else NullTest.from_data(document["redrawn"]),
        liquidations=document["liquidations"],
    )


def _plain(value: Any) -> Any:
    if isinstance(value, NullTest):
        return value.to_data()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return plain(value)


def _record(kind: Any, document: Mapping[str, Any]) -> Any:
    """A record of a kind from its fields; what JSON could not hold is NaN again."""
    values: dict[str, Any] = {
        name: math.nan if value is None else value for name, value in document.items()
    }
    if kind is Protection:
        ruined = document["ruined"]
        values["ruined"] = None if ruined is None else pd.Timestamp(ruined)
        rows = [{"id": name, **row} for name, row in values["periods"].items()]
        table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
        values["periods"] = table.set_index("id")
    return kind(**values)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileRule:
    """A strategy file with its parameters, as a rule that travels to other processes."""

    path: Path
    source: bytes  # of the file that the run was made with
    params: Mapping[str, Any]

    def __call__(self, market: MarketView) -> Target:
        """Target exposure of every bar, and orders if there are any."""
        return target_of(market, _loaded(self.path, self.source), self.params)


def file_rule(strategy: Strategy, params: Mapping[str, Any]) -> FileRule:
    """The rule of a strategy that was loaded from its file.

    Raises StrategyError if the file is another one by now.
    """
    source = strategy.path.read_bytes()
    if hashlib.sha256(source).hexdigest() != strategy.sha256:
        raise StrategyError(f"{strategy.path} changed while it was run; run it again")
    return FileRule(path=strategy.path, source=source, params=params)


@lru_cache(maxsize=4)
def _loaded(path: Path, source: bytes) -> Strategy:
    return strategy_from(path, source)


def answered(
    evaluation: Evaluation,
    market: MarketView,
    *,
    rule: Rule,
    benchmark_rule: Rule,
    quick: bool,
    workers: int = 1,
    cluster: str | Executor | None = None,
    progress: Progress = lambda step: None,
) -> Answer:
    """Answer for a run that was just made on a market, put to the tests of luck."""
    progress("testing against luck")
    market = market.upto(evaluation.span[1])
    redrawn = None
    if not quick:
        redrawing = Redrawing(
            market=market,
            rule=rule,
            benchmark_rule=benchmark_rule,
            backtest=evaluation.backtest,
            benchmark=evaluation.benchmark,
        )
        with open_executor(workers, cluster) as pool:
            mapper = mapping(pool, workers, progress=counting(progress, "resampled markets"))
            redrawn = redrawn_test(redrawing, markets=MARKETS, mapper=mapper)
    return tested(evaluation, market.bars, redrawn)


def tested(evaluation: Evaluation, bars: pd.DataFrame, redrawn: NullTest | None) -> Answer:
    """Answer for a run on bars, put to the test of timing."""
    run, benchmark = evaluation.backtest, evaluation.benchmark
    closes = daily_closes(bars, run.timeframe)
    periods = evaluation.periods or causal_periods(*closes)
    return answer(evaluation, *closes, timing=timing_test(run, benchmark, periods), redrawn=redrawn)
