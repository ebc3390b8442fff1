"""What a reader must know before believing the numbers of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.engine.backtest import Backtest
from delever.engine.portfolio import PortfolioBacktest
from delever.report.format import percent, short_span, when
from delever.research.evaluation import Evaluation
from delever.study.inputs.implausible import MARK, run_warnings
from delever.units import DAYS_PER_YEAR
from delever.view import MarketView

# What the engine says of itself and needs no reader's care.
ASSUMED = (
    *("ambiguous bars: 0", "mark: the mark price", "resolution: ", "settled in coins"),
    "trailing stop: ",
    "what the bars hid did not",
)


def remarks(
    evaluation: Evaluation,
    market: MarketView,
    *,
    costs_times: float = 1.0,
    n_trials: int,
    itself: bool = False,
) -> dict[str, Any]:
    """What a reader must know before believing a number, as a manifest keeps it.

    Of the ``notes``, warnings first, the ``assumptions`` are those that say what was taken for
    granted and call for nothing. A benchmark that is run as a strategy, beside `itself`, may keep
    one exposure.
    """
    status = evaluation.backtest.trades["status"]
    last = f"the last trade is open and valued at the close of {evaluation.span[1]:%Y-%m-%d %H:%M}"
    return noted(
        evaluation,
        [
            *_idle(evaluation, itself=itself),
            *_unpaid(evaluation),
            *run_warnings(evaluation, market),
        ],
        of_data=[note for note in market.notes if not note.startswith(MARK)],
        of_engine=[*evaluation.backtest.fidelity, *hidden(evaluation.backtest)],
        assumed=[],
        on_margin="funding" in evaluation.backtest.ledger,
        still_open=last if len(status) and status.iloc[-1] == "open" else None,
        costs_times=costs_times,
        n_trials=n_trials,
    )


def noted(
    evaluation: Evaluation,
    warned: Sequence[str],
    *,
    of_data: Sequence[str],
    of_engine: Sequence[str],
    assumed: Sequence[str],
    on_margin: bool,
    still_open: str | None,
    costs_times: float,
    n_trials: int,
) -> dict[str, Any]:
    """Notes of any run, those of its own kind among them; as `remarks`."""
    warned, assumed, run = [*warned], [*assumed], evaluation.backtest
    if costs_times != 1.0:
        warned.append(
            f"costs x{costs_times:g}: fees and slippage are that many times as high as they were "
            "said to be, the benchmark's as well"
        )
    warned.extend(short_span(evaluation.years * DAYS_PER_YEAR))
    warned.extend(of_data)
    if evaluation.periods:
        assumed.append("deleveraging periods were drawn with hindsight")
    else:
        warned.append("no deleveraging period of the catalogue lies in this run")
    warned.extend(
        f"the run covers {period.title} ({period.id}) only in part"
        for period in evaluation.cut_periods
    )
    for said in of_engine:
        note = said.partition(": ")[2] if isinstance(run, PortfolioBacktest) else said
        (assumed if note.startswith(ASSUMED) else warned).append(said)
    ruined = run.equity[run.equity <= 0]
    if len(ruined):
        warned.append(
            f"the account was ruined in the bar of {when(ruined.index[0])} and did nothing after "
            "it; a loss avoided since then is no protection"
        )
    if on_margin:
        assumed.append("the benchmark holds spot: it pays no funding and cannot be liquidated")
    if n_trials > 1:
        assumed.append(one_of(n_trials))
    if still_open:
        assumed.append(still_open)
    notes = [*dict.fromkeys([*warned, *assumed])]
    return {"notes": notes, "assumptions": assumed, "n_trials": n_trials}


def one_of(n_trials: int, subject: str = "this is one of") -> str:
    """Say how many trials there were when a run was made."""
    return (
        f"{subject} {n_trials:,} trials on these data: the best of many is lucky as well as good; "
        "delever trials lists them"
    )


def _idle(evaluation: Evaluation, *, itself: bool) -> list[str]:
    """Whether nothing was decided for a while, or one thing all the time."""
    run, flat = evaluation.backtest, evaluation.undecided
    index = pd.DatetimeIndex(run.ledger.index)
    out = []
    if flat:
        bars = f"{counted(flat, 'bar')} {'was' if flat == 1 else 'were'}"
        out.append(f"no decision before {when(index[flat - 1])}: {bars} flat for want of history")
    kept = run.ledger["target_exposure"].iloc[flat:].dropna().unique()  # NaN is not known
    # Stops, liquidations and ladders change what is held while what is asked for stays.
    held = np.sign(run.ledger["position"].iloc[flat:]).unique()
    asked_alone = run.fills["reason"].eq("target").all()
    if len(kept) == 1 and len(held) == 1 and asked_alone and not itself:
        share = percent(kept[0] if held[0] else 0.0, 0)
        out.append(
            f"the exposure never changed: {share} from {when(index[flat])} to the "
            "end, so the run tells nothing about when to be in or out"
        )
    return out


def _unpaid(evaluation: Evaluation) -> list[str]:
    """Whether fills are made at the open itself, and those of the benchmark are not."""

    def slips(run: Backtest) -> bool:
        return bool((run.fills["slippage"] != 0.0).any())

    # Limit orders are filled at their own prices.
    if slips(evaluation.backtest) or not evaluation.backtest.fills["reason"].eq("target").any():
        return []
    if slips(evaluation.benchmark):
        return [
            "slippage: the strategy's fills are made at the open itself while the benchmark's pay "
            f"{evaluation.benchmark.costs.slippage:g} of the price; the two are not on equal terms"
        ]
    if evaluation.backtest.account is None:
        return []
    return ["slippage: none was said, so fills are made at the open itself; see [costs]"]


def hidden(run: Backtest) -> list[str]:
    """What a margin account's fills and bars leave out."""
    out = []
    if run.bounds is not None:
        worst, best = (float(run.bounds[side].iloc[-1]) for side in ("worst", "best"))
        out.append(
            f"what the bars hid: a final equity between {worst:,.2f} (worst) and {best:,.2f} (best)"
            if best - worst > 1e-9 * max(abs(best), abs(worst))
            else "what the bars hid did not change the final equity: worst and best end alike"
        )
    return out
